//! What strangers send, and what becomes of it: the answer that the RFC asks for, and a witness
//! that never notices.

mod common;

use std::io::{Read, Write};
use std::net::Shutdown;

use common::{Client, Daemon, Frame, masked, member};

/// A subscriber and publisher that must not notice what happens to others.
struct Witness(Client, u64);

impl Witness {
    fn new(daemon: &Daemon) -> Witness {
        let mut client = daemon.connect();
        client.ask(r#"{"type":"subscribe","id":1,"channel":"witness"}"#);
        Witness(client, 0)
    }

    fn is_served(&mut self) {
        self.1 += 1;
        self.0
            .send_text(r#"{"type":"publish","channel":"witness","data":true}"#);
        let expected = format!(
            r#"{{"type":"message","channel":"witness","seq":{},"data":true}}"#,
            self.1
        );
        assert_eq!(self.0.text(), expected);
    }
}

#[test]
fn each_breach_of_the_protocol_is_closed_with_its_code_and_nobody_else_notices() {
    let daemon = Daemon::start(&[]);
    let mut witness = Witness::new(&daemon);
    let breaches: &[(&str, Vec<u8>, u16)] = &[
        ("an unmasked frame", vec![0x81, 0x02, b'{', b'}'], 1002),
        ("RSV1 without compression", masked(0xC1, b"{}"), 1002),
        ("RSV2", masked(0xA1, b"{}"), 1002),
        ("an unknown opcode", masked(0x83, b""), 1002),
        (
            "a length of 2^63",
            [&[0x82, 0xFF, 0x80][..], &[0; 11]].concat(),
            1002,
        ),
        (
            "a length that is not minimal",
            vec![0x81, 0xFE, 0, 5, 1, 2, 3, 4],
            1002,
        ),
        ("a close of one byte", masked(0x88, &[3]), 1002),
        ("a close with code 1005", masked(0x88, &[3, 0xED]), 1002),
        ("a fragmented ping", masked(0x09, b""), 1002),
        ("a ping of 126 bytes", masked(0x89, &[0; 126]), 1002),
        ("a continuation of nothing", masked(0x80, b"x"), 1002),
        (
            "text that is not UTF-8",
            masked(0x81, b"{\"type\":\"\xFF\"}"),
            1007,
        ),
        (
            "a huge length",
            [&[0x81, 0xFF, 0x7F][..], &[0xFF; 7], &[1, 2, 3, 4]].concat(),
            1009,
        ),
        ("binary", masked(0x82, b"{}"), 1003),
    ];
    for (what, bytes, code) in breaches {
        let mut client = daemon.connect();
        client.send(bytes);
        assert_eq!(client.close().0, *code, "{what}");
        let mut rest = Vec::new();
        client
            .stream
            .read_to_end(&mut rest)
            .expect("the daemon ends the connection");
        witness.is_served();
    }
}

#[test]
fn text_that_is_not_utf_8_is_refused_before_its_message_ends() {
    let daemon = Daemon::start(&[]);
    let mut client = daemon.connect();
    client.send(&masked(0x01, b"{\"type\":\"\xFF"));
    assert_eq!(client.close().0, 1007);
}

#[test]
fn a_client_that_is_refused_in_the_middle_of_sending_still_reads_why() {
    let daemon = Daemon::start(&[]);
    let mut client = daemon.connect();
    let mut flood = vec![0x81, 0x02, b'{', b'}'];
    flood.resize(400_000, 0x55);
    // The unmasked frame comes first; what follows it must not turn the close into a reset.
    let _ = client.stream.write_all(&flood);
    assert_eq!(client.close().0, 1002);
}

#[test]
fn of_ten_thousand_pings_the_newest_is_answered() {
    let daemon = Daemon::start(&[]);
    let mut witness = Witness::new(&daemon);
    let mut client = daemon.connect();
    let mut writer = client.stream.try_clone().expect("the stream can be cloned");
    let sender = std::thread::spawn(move || {
        for n in 0..10_000u32 {
            writer
                .write_all(&masked(0x89, &n.to_be_bytes()))
                .expect("pings go out");
        }
    });
    loop {
        let Frame { first, payload } = client.frame();
        assert_eq!(first, 0x8A);
        if payload == 9_999u32.to_be_bytes() {
            break;
        }
    }
    sender.join().expect("all went out");
    witness.is_served();
}

#[test]
fn rubbish_instead_of_http_is_answered_with_400_and_closed() {
    let daemon = Daemon::start(&[]);
    let mut witness = Witness::new(&daemon);
    for rubbish in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"HELO x\r\n\r\n",
        &[0xFF; 64],
    ] {
        let mut stream = daemon.raw();
        stream.write_all(rubbish).expect("rubbish goes out");
        stream
            .shutdown(Shutdown::Write)
            .expect("the stream can be shut down");
        let answer = common::read_to_end(&mut stream);
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 400 "),
            "{answer}"
        );
        witness.is_served();
    }
}

#[test]
fn half_a_frame_for_ever_is_closed_after_the_message_timeout() {
    let daemon = Daemon::start(&["--message-timeout", "200ms"]);
    let mut witness = Witness::new(&daemon);
    let mut client = daemon.connect();
    client.send(&masked(0x81, br#"{"type":"ping"}"#)[..9]);
    assert_eq!(client.close().0, 1008);
    witness.is_served();
}

#[test]
fn a_client_that_is_always_in_the_middle_of_some_message_but_finishes_each_stays() {
    let timeout = std::time::Duration::from_secs(1);
    let daemon = Daemon::start(&["--message-timeout", "1s"]);
    let mut client = daemon.connect();
    let frame = masked(0x81, br#"{"type":"ping","id":1}"#);
    let (first, second) = frame.split_at(10);
    let crossing = [second, first].concat();
    client.send(first);
    let began = std::time::Instant::now();
    while began.elapsed() < 3 * timeout {
        client.send(&crossing);
        assert_eq!(client.text(), r#"{"type":"pong","id":1}"#);
    }
}

#[test]
fn a_client_that_does_not_answer_a_ping_is_closed() {
    let daemon = Daemon::start(&["--ping-interval", "200ms", "--ping-timeout", "200ms"]);
    let mut client = daemon.connect();
    // This client reads but never answers.
    let mut frames = vec![client.frame()];
    while frames.last().is_some_and(|frame| frame.first != 0x88) {
        frames.push(client.frame());
    }
    assert!(frames.iter().any(|frame| frame.first == 0x89), "{frames:?}");
    let close = frames.last().expect("there is a close");
    assert_eq!(close.payload[..2], 1011u16.to_be_bytes());
}

#[test]
fn a_client_that_does_not_answer_a_ping_is_closed_though_messages_go_on_to_it() {
    let daemon = Daemon::start(&[
        "--ping-interval",
        "200ms",
        "--ping-timeout",
        "200ms",
        "--stall-timeout",
        "1s",
    ]);
    let mut silent = daemon.connect();
    silent.ask(r#"{"type":"subscribe","id":1,"channel":"c"}"#);
    let mut publisher = daemon.connect();
    let until = std::time::Instant::now() + common::PATIENCE;
    // Never so long without a message as a ping takes to be due.
    let code = loop {
        assert!(std::time::Instant::now() < until, "still there");
        publisher.send_text(r#"{"type":"publish","channel":"c","data":1}"#);
        let frame = silent.frame();
        if frame.first == 0x88 {
            break frame.payload;
        }
    };
    assert_eq!(code[..2], 1011u16.to_be_bytes());
}

#[test]
fn an_answer_to_a_ping_may_take_as_long_behind_messages_as_a_full_socket_may() {
    let daemon = Daemon::start(&["--ping-interval", "200ms", "--ping-timeout", "1s"]);
    let mut behind = daemon.connect();
    behind.ask(r#"{"type":"subscribe","id":1,"channel":"c"}"#);
    let mut publisher = daemon.connect();
    publisher.ask(r#"{"type":"publish","id":1,"channel":"c","data":1}"#);
    let message = behind.text();
    assert_eq!(member(&message, "seq"), "1");
    assert_eq!(behind.frame().first, 0x89, "a ping");
    // Somebody who came later and gets no messages is pinged later, and closed for its silence.
    let mut idle = daemon.connect();
    assert_eq!(idle.frame().first, 0x89, "a ping");
    assert_eq!(idle.frame().payload[..2], 1011u16.to_be_bytes());
    let mut publisher = daemon.connect();
    publisher.ask(r#"{"type":"publish","id":2,"channel":"c","data":2}"#);
    let message = behind.text();
    assert_eq!(member(&message, "seq"), "2");
}

#[test]
fn a_client_that_has_taken_a_long_message_only_in_part_may_answer_a_ping_later() {
    let mut daemon = Daemon::start(&[
        "--ping-interval",
        "500ms",
        "--ping-timeout",
        "500ms",
        "--max-message",
        "2MiB",
    ]);
    let mut slow = daemon.connect();
    slow.ask(r#"{"type":"subscribe","id":1,"channel":"c"}"#);
    let mut publisher = daemon.connect();
    let data = "x".repeat(1_500_000);
    publisher.ask(&format!(
        r#"{{"type":"publish","id":1,"channel":"c","data":"{data}"}}"#
    ));
    // It reads until the last of the message is in the kernel, and then not for a while: a ping waits behind
    // what is there.
    let mut taken = 0;
    let mut piece = vec![0; 64 << 10];
    daemon.wait_for_sum("half-sent bytes", |bytes| bytes > 0);
    while daemon.sum("half-sent bytes") > 0 {
        taken += slow.stream.read(&mut piece).expect("there is more");
    }
    // Those who came later and never answer are the clock of this test.
    for _ in 0..3 {
        assert_eq!(daemon.connect().close().0, 1011);
    }
    let head = 2 + 8;
    let mut rest = vec![0; head + data.len() - taken];
    slow.stream
        .read_exact(&mut rest)
        .expect("the message goes on");
    // The envelope's end is still to come, then the ping.
    let mut last = Vec::new();
    while !last.ends_with(b"x\"}\x89\x00") {
        let mut byte = [0];
        slow.stream.read_exact(&mut byte).expect("there is more");
        last.push(byte[0]);
        assert!(last.len() < 1_000, "no ping");
    }
    slow.send(&masked(0x8A, b""));
    slow.send_text(r#"{"type":"ping","id":"alive"}"#);
    assert_eq!(slow.text(), r#"{"type":"pong","id":"alive"}"#);
}

#[test]
fn a_client_that_answers_pings_stays() {
    let daemon = Daemon::start(&["--ping-interval", "100ms", "--ping-timeout", "5s"]);
    let mut client = daemon.connect();
    for _ in 0..5 {
        let frame = client.frame();
        assert_eq!(frame.first, 0x89);
        client.send(&masked(0x8A, &frame.payload));
    }
}

#[test]
fn a_client_that_takes_nothing_is_ended_after_the_stall_timeout() {
    let mut daemon = Daemon::start(&["--stall-timeout", "300ms", "--ping-interval", "100ms"]);
    let mut stalled = daemon.connect();
    stalled.ask(r#"{"type":"subscribe","id":1,"channel":"c"}"#);
    let mut publisher = daemon.connect();
    let data = "x".repeat(60_000);
    for id in 0..200 {
        publisher.ask(&format!(
            r#"{{"type":"publish","id":{id},"channel":"c","data":"{data}"}}"#
        ));
    }
    // It ends while the stalled one reads nothing; the sums tell when.
    let until = std::time::Instant::now() + common::PATIENCE;
    loop {
        daemon.signal("USR1");
        let line = daemon.next_log("closes");
        if line.contains("[4508 the client took nothing for too long: 1]") {
            break;
        }
        assert!(std::time::Instant::now() < until, "{line}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn a_client_that_vanishes_without_a_close_is_forgotten() {
    let mut daemon = Daemon::start(&[]);
    let mut witness = Witness::new(&daemon);
    for _ in 0..20 {
        let mut client = daemon.connect();
        client.ask(r#"{"type":"subscribe","id":1,"channel":"witness"}"#);
        // Unread bytes make the kernel say RST instead of FIN.
        drop(client);
        witness.is_served();
    }
    let until = std::time::Instant::now() + common::PATIENCE;
    loop {
        daemon.signal("USR1");
        let line = daemon.next_log("connections ");
        if line.contains("connections 1,") {
            break;
        }
        assert!(std::time::Instant::now() < until, "{line}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn a_slow_subscriber_gets_a_gap_with_the_right_numbers_and_goes_on() {
    let daemon = Daemon::start(&["--retain-messages", "3"]);
    let mut slow = daemon.connect();
    slow.ask(r#"{"type":"subscribe","id":1,"channel":"c"}"#);
    let mut publisher = daemon.connect();
    let data = "x".repeat(60_000);
    let count = 300u64;
    for id in 1..=count {
        publisher.ask(&format!(
            r#"{{"type":"publish","id":{id},"channel":"c","data":"{data}"}}"#
        ));
    }
    let mut next = 1;
    let mut gaps = 0;
    while next <= count {
        let text = slow.text();
        let number = |name| {
            common::member(&text, name)
                .parse::<u64>()
                .expect("a number")
        };
        match common::member(&text, "type") {
            "\"message\"" => {
                assert_eq!(number("seq"), next);
                next += 1;
            }
            "\"gap\"" => {
                assert_eq!(number("from"), next);
                assert_eq!(common::member(&text, "reason"), r#""slow""#);
                next = number("to") + 1;
                gaps += 1;
            }
            other => panic!("{other}"),
        }
    }
    assert!(gaps > 0, "18 MB do not fit any socket's buffer");
}

#[test]
fn on_lag_close_says_4508_and_on_lag_latest_goes_on_with_the_newest() {
    for (policy, closes) in [("close", true), ("latest", false)] {
        let daemon = Daemon::start(&["--retain-messages", "3", "--on-lag", policy]);
        let mut slow = daemon.connect();
        slow.ask(r#"{"type":"subscribe","id":1,"channel":"c"}"#);
        let mut publisher = daemon.connect();
        let data = "x".repeat(60_000);
        for id in 1..=300 {
            publisher.ask(&format!(
                r#"{{"type":"publish","id":{id},"channel":"c","data":"{data}"}}"#
            ));
        }
        if closes {
            assert_eq!(slow.close().0, 4508);
            continue;
        }
        let gap = loop {
            let text = slow.text();
            if common::member(&text, "type") == "\"gap\"" {
                break text;
            }
        };
        assert_eq!(common::member(&gap, "to"), "299");
        assert_eq!(common::member(&slow.text(), "seq"), "300");
    }
}
