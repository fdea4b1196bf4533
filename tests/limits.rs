//! For each thing that a stranger can send there is a limit; here each is gone over.

mod common;

use std::io::{Read, Write};

use common::{Client, Daemon, handshake, masked, member, read_answer, read_to_end};

/// Asks until the daemon answers, so that everything sent before has been read.
fn settle(client: &mut Client) {
    let pong = client.ask(r#"{"type":"ping","id":"settled"}"#);
    assert_eq!(member(&pong, "type"), r#""pong""#, "{pong}");
}

#[test]
fn a_request_head_over_the_limit_is_answered_with_431_even_while_more_is_sent() {
    let daemon = Daemon::start(&["--max-header", "1KiB"]);
    let long = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: {}\r\n\r\n",
        "a".repeat(200_000)
    );
    let answer = daemon.exchange(long.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[test]
fn a_body_over_the_limit_is_answered_with_413() {
    let daemon = Daemon::start(&["--max-message", "1KiB"]);
    let request = format!(
        "POST /channels/c HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n{}",
        "1".repeat(100_000)
    );
    let answer = daemon.exchange(request.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[test]
fn a_handshake_that_is_not_finished_in_time_is_answered_with_408() {
    let daemon = Daemon::start(&["--handshake-timeout", "100ms"]);
    let answer = daemon.exchange(b"GET / HTTP/1.1\r\nHost: localhost\r\n");
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[test]
fn a_client_that_says_nothing_at_all_is_closed_without_a_word() {
    let daemon = Daemon::start(&["--handshake-timeout", "100ms"]);
    assert_eq!(daemon.exchange(b""), "");
}

#[test]
fn connections_over_the_limit_get_503_with_retry_after_and_others_go_on() {
    let daemon = Daemon::start(&["--max-connections", "2"]);
    let mut one = daemon.connect();
    let two = daemon.connect();
    let answer = daemon.exchange(handshake("/", "").as_bytes());
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("\r\nRetry-After: "), "{answer}");
    settle(&mut one);
    drop(two);
    // The place is free once the daemon has seen the end of that connection.
    let until = std::time::Instant::now() + common::PATIENCE;
    loop {
        let mut stream = daemon.raw();
        let _ = stream.write_all(handshake("/", "").as_bytes());
        let mut status = [0; 12];
        let _ = stream.read_exact(&mut status);
        if &status == b"HTTP/1.1 101" {
            break;
        }
        assert!(std::time::Instant::now() < until, "no place became free");
    }
}

#[test]
fn a_message_over_the_limit_is_closed_with_1009_at_its_header() {
    let daemon = Daemon::start(&["--max-message", "1KiB"]);
    let mut client = daemon.connect();
    let long = format!(r#"{{"type":"ping","pad":"{}"}}"#, "a".repeat(1024));
    // Only the header goes out: the daemon must not wait for what it will not take.
    client.send(&masked(0x81, long.as_bytes())[..8]);
    assert_eq!(client.close().0, 1009);
}

#[test]
fn fragments_are_counted_together() {
    let daemon = Daemon::start(&["--max-message", "1KiB"]);
    let mut client = daemon.connect();
    let part = "a".repeat(600);
    client.send(&masked(0x01, part.as_bytes()));
    client.send(&masked(0x80, part.as_bytes()));
    assert_eq!(client.close().0, 1009);
}

#[test]
fn channels_over_the_limit_are_refused_by_publish_subscribe_and_post() {
    let daemon = Daemon::start(&["--max-channels", "1"]);
    let mut client = daemon.connect();
    let mut other = daemon.connect();
    other.ask(r#"{"type":"subscribe","id":1,"channel":"a"}"#);
    let reply = client.ask(r#"{"type":"publish","id":2,"channel":"b","data":1}"#);
    assert_eq!(member(&reply, "code"), r#""limit""#);
    assert!(reply.contains("all of them have subscribers"), "{reply}");
    let reply = client.ask(r#"{"type":"subscribe","id":3,"channel":"b"}"#);
    assert_eq!(member(&reply, "code"), r#""limit""#);
    let answer = daemon.exchange(
        b"POST /channels/b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 1\r\n\r\n1",
    );
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    let reply = client.ask(r#"{"type":"subscribe","id":4,"channel":"a"}"#);
    assert_eq!(member(&reply, "type"), r#""subscribed""#);
}

#[test]
fn subscriptions_of_one_connection_are_limited() {
    let daemon = Daemon::start(&["--max-subscriptions", "2"]);
    let mut client = daemon.connect();
    for (id, channel) in ["a", "b"].iter().enumerate() {
        client.ask(&format!(
            r#"{{"type":"subscribe","id":{id},"channel":"{channel}"}}"#
        ));
    }
    let reply = client.ask(r#"{"type":"subscribe","id":3,"channel":"c"}"#);
    assert_eq!(member(&reply, "code"), r#""limit""#);
    client.ask(r#"{"type":"unsubscribe","id":4,"channel":"a"}"#);
    let reply = client.ask(r#"{"type":"subscribe","id":5,"channel":"c"}"#);
    assert_eq!(member(&reply, "type"), r#""subscribed""#);
}

#[test]
fn a_channel_name_has_at_most_255_bytes() {
    let daemon = Daemon::start(&[]);
    let mut client = daemon.connect();
    let ask = |client: &mut Client, len: usize| {
        let name = "n".repeat(len);
        client.ask(&format!(
            r#"{{"type":"subscribe","id":1,"channel":"{name}"}}"#
        ))
    };
    assert_eq!(member(&ask(&mut client, 256), "code"), r#""bad_channel""#);
    assert_eq!(member(&ask(&mut client, 255), "type"), r#""subscribed""#);
}

#[test]
fn a_client_that_asks_without_reading_is_not_read_from_until_it_reads() {
    let daemon = Daemon::start(&["--outbox", "4KiB"]);
    let mut client = daemon.connect();
    // Far more requests than the outbox and both sockets' buffers can hold the answers of.
    let requests = 200_000usize;
    let frame = masked(
        0x81,
        br#"{"type":"ping","id":"0123456789012345678901234567890123456789"}"#,
    );
    let mut writer = client.stream.try_clone().expect("the stream can be cloned");
    let sender = std::thread::spawn(move || {
        for _ in 0..requests {
            writer
                .write_all(&frame)
                .expect("the daemon reads on once its answers are read");
        }
    });
    let mut witness = daemon.connect();
    settle(&mut witness);
    for _ in 0..requests {
        assert_eq!(member(&client.text(), "type"), r#""pong""#);
    }
    sender.join().expect("all went out");
}

#[test]
fn answers_that_nobody_reads_are_limited_over_all_connections_together() {
    let mut daemon = Daemon::start(&["--outbox", "1MiB", "--outbox-total", "64KiB"]);
    let frame = masked(0x81, br#"{"type":"ping","id":"01234567890123456789"}"#);
    let floods: Vec<_> = (0..3).map(|_| daemon.connect()).collect();
    let senders = floods.iter().map(|client| {
        let mut writer = client.stream.try_clone().expect("the stream can be cloned");
        let requests = frame.repeat(10_000);
        // Until the daemon has gone: not even half of it is read.
        std::thread::spawn(move || (0..30).all(|_| writer.write_all(&requests).is_ok()))
    });
    let senders: Vec<_> = senders.collect();
    daemon.wait_for_sum("outbox bytes", |bytes| bytes >= 40 << 10);
    // In each turn it would read more from them, if it did.
    let mut witness = daemon.connect();
    for _ in 0..100 {
        settle(&mut witness);
    }
    // Each of them may have 1 KiB and an answer.
    assert!(daemon.sum("outbox bytes") < (64 + 3 * 2) << 10);
    drop(daemon);
    for sender in senders {
        assert!(!sender.join().expect("no panic"));
    }
}

#[test]
fn the_time_during_which_somebody_is_not_read_from_does_not_count_against_it() {
    let daemon = Daemon::start(&[
        "--outbox",
        "4KiB",
        "--message-timeout",
        "300ms",
        "--ping-interval",
        "100ms",
        "--ping-timeout",
        "300ms",
    ]);
    let mut client = daemon.connect();
    let requests = 50_000usize;
    let frame = masked(
        0x81,
        br#"{"type":"ping","id":"0123456789012345678901234567890123456789"}"#,
    );
    let mut writer = client.stream.try_clone().expect("the stream can be cloned");
    let sender = std::thread::spawn(move || {
        for _ in 0..requests {
            writer
                .write_all(&frame)
                .expect("the daemon reads on once its answers are read");
        }
    });
    // Others whose messages take too long, one after the other, are the clock of this test.
    for _ in 0..3 {
        let mut other = daemon.connect();
        other.send(&masked(0x81, b"{}")[..7]);
        assert_eq!(other.close().0, 1008);
    }
    for _ in 0..requests {
        assert_eq!(member(&client.text(), "type"), r#""pong""#);
    }
    sender.join().expect("all went out");
}

#[test]
fn half_read_messages_of_all_connections_together_are_limited() {
    let mut daemon = Daemon::start(&["--input-total", "100KiB", "--max-message", "64KiB"]);
    let mut half: Vec<_> = (0..4).map(|_| daemon.connect()).collect();
    let whole = masked(0x81, format!("\"{}\"", "a".repeat(50_000)).as_bytes());
    for client in &mut half {
        client.send(&whole[..45_000]);
    }
    // So that the halves are read before the rest of any comes.
    daemon.wait_for_sum("half-read bytes", |bytes| bytes >= 90_000);
    // Those who have held theirs for longest are told to come back later; the others finish what they began.
    let codes: Vec<_> = half
        .iter_mut()
        .map(|client| {
            let _ = client.stream.write_all(&whole[45_000..]);
            match client.frame() {
                frame if frame.first == 0x88 => {
                    u16::from_be_bytes([frame.payload[0], frame.payload[1]])
                }
                frame => {
                    assert_eq!(frame.first, 0x81, "an error, since a string is no request");
                    0
                }
            }
        })
        .collect();
    assert_eq!(codes, [1013, 1013, 0, 0]);
}

#[test]
fn half_sent_large_messages_of_all_connections_together_are_limited() {
    let daemon = Daemon::start(&[
        "--held-total",
        "2MiB",
        "--max-message",
        "2MiB",
        "--retain-bytes",
        "64MiB",
    ]);
    let mut stalled: Vec<_> = (0..3).map(|_| daemon.connect()).collect();
    let mut publisher = daemon.connect();
    // Each of them has one of these half sent, and none shares the other's.
    for (at, client) in stalled.iter_mut().enumerate() {
        client.ask(&format!(
            r#"{{"type":"subscribe","id":1,"channel":"c{at}"}}"#
        ));
        for _ in 0..4 {
            publish_large(&mut publisher, &format!("c{at}"));
        }
    }
    let mut lost = 0;
    for client in &mut stalled {
        for _ in 0..4 {
            if client.try_frame().is_err() {
                lost += 1;
                break;
            }
        }
    }
    assert!(lost >= 1, "somebody had to go");
}

/// Publishes a message of 1.5 MB to `channel`: more than the kernel takes for who does not read.
fn publish_large(publisher: &mut Client, channel: &str) {
    let data = "x".repeat(1_500_000);
    let reply = publisher.ask(&format!(
        r#"{{"type":"publish","id":1,"channel":"{channel}","data":"{data}"}}"#
    ));
    assert_eq!(member(&reply, "type"), r#""published""#);
}

#[test]
fn a_large_message_that_several_have_half_of_counts_once() {
    let mut daemon = Daemon::start(&["--held-total", "2MiB", "--max-message", "2MiB"]);
    let mut stalled: Vec<_> = (0..3).map(|_| daemon.connect()).collect();
    for client in &mut stalled {
        client.ask(r#"{"type":"subscribe","id":1,"channel":"c"}"#);
    }
    publish_large(&mut daemon.connect(), "c");
    daemon.wait_for_sum("half-sent bytes", |bytes| bytes > 1_500_000);
    for client in &mut stalled {
        assert!(client.text().len() > 1_500_000);
    }
    daemon.wait_for_sum("half-sent bytes", |bytes| bytes == 0);
}

#[test]
fn where_half_sent_messages_are_too_much_who_has_stalled_for_longest_goes() {
    let mut daemon = Daemon::start(&["--held-total", "2MiB", "--max-message", "2MiB"]);
    let mut publisher = daemon.connect();
    let mut stalled = Vec::new();
    for channel in ["a", "b", "c"] {
        let mut client = daemon.connect();
        client.ask(&format!(
            r#"{{"type":"subscribe","id":1,"channel":"{channel}"}}"#
        ));
        publish_large(&mut publisher, channel);
        stalled.push(client);
        daemon.wait_for_sum("half-sent bytes", |bytes| bytes > 1_500_000);
    }
    let mut newest = stalled.pop().expect("there are three");
    for client in &mut stalled {
        assert!(client.try_frame().is_err(), "it had stalled for longer");
    }
    assert!(newest.text().len() > 1_500_000);
    daemon.signal("USR1");
    let line = daemon.next_log("closes");
    assert!(
        line.contains("[1006 half-sent messages took too much memory: 2]"),
        "{line}"
    );
}

#[test]
fn what_all_channels_hold_together_is_limited() {
    let mut daemon = Daemon::start(&["--retain-total", "1MiB", "--retain-bytes", "512KiB"]);
    let mut client = daemon.connect();
    let data = "x".repeat(10_000);
    for n in 0..400 {
        let channel = n % 8;
        let reply = client.ask(&format!(
            r#"{{"type":"publish","id":1,"channel":"c{channel}","data":"{data}"}}"#
        ));
        assert_eq!(member(&reply, "type"), r#""published""#, "{reply}");
    }
    daemon.signal("USR1");
    let line = daemon.wait_for_log("bytes held");
    let held = line
        .split("bytes held ")
        .nth(1)
        .and_then(|rest| rest.split(',').next());
    let held: u64 = held
        .and_then(|held| held.parse().ok())
        .expect("the line has the number");
    assert!(held <= 1 << 20, "{line}");
    // Only what is too big by itself is refused.
    let daemon = Daemon::start(&["--retain-total", "50KiB"]);
    let mut client = daemon.connect();
    for (len, kind) in [(60_000, "error"), (40_000, "published")] {
        let data = "x".repeat(len);
        let reply = client.ask(&format!(
            r#"{{"type":"publish","id":1,"channel":"large","data":"{data}"}}"#
        ));
        assert_eq!(member(&reply, "type"), format!(r#""{kind}""#), "{reply}");
    }
}

#[test]
fn pipelined_requests_whose_answers_are_not_read_wait_their_turn() {
    let daemon = Daemon::start(&["--outbox", "4KiB"]);
    let mut stream = daemon.raw();
    let requests = 20_000usize;
    let mut writer = stream.try_clone().expect("the stream can be cloned");
    let sender = std::thread::spawn(move || {
        for n in 0..requests {
            let close = if n + 1 == requests {
                "Connection: close\r\n"
            } else {
                ""
            };
            let request = format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{close}\r\n");
            writer
                .write_all(request.as_bytes())
                .expect("the daemon reads on");
        }
    });
    let answers = read_to_end(&mut stream);
    sender.join().expect("all went out");
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), requests);
}

#[test]
fn a_request_that_times_out_gives_back_what_was_kept_of_it() {
    let mut daemon = Daemon::start(&["--handshake-timeout", "50ms", "--input-total", "16KiB"]);
    let half = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: {}",
        "a".repeat(3000)
    );
    for _ in 0..10 {
        let answer = daemon.exchange(half.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
    assert_eq!(daemon.sum("half-read bytes"), 0);
}

#[test]
fn half_a_chunked_body_counts_as_it_came_and_as_it_was_taken_out_of_its_chunks() {
    let mut daemon = Daemon::start(&[]);
    let head = "POST /channels/c HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    let half = format!("{head}{:x}\r\n{}", 50_000, "1".repeat(30_000));
    let mut stream = daemon.raw();
    stream.write_all(half.as_bytes()).expect("it goes out");
    daemon.wait_for_sum("half-read bytes", |bytes| bytes >= 60_000);
    let rest = format!("{}\r\n0\r\n\r\n", "1".repeat(20_000));
    stream.write_all(rest.as_bytes()).expect("it goes out");
    let answer = read_answer(&mut stream);
    // A number of so many digits is beyond a double.
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(daemon.sum("half-read bytes"), 0);
}

#[test]
fn a_client_that_has_to_make_room_for_others_keeps_no_memory_either() {
    let daemon = Daemon::start(&["--input-total", "1MiB"]);
    let before = daemon.resident_kib();
    let half = &masked(0x81, &[b'a'; 60_000])[..59_000];
    let mut clients: Vec<_> = (0..200).map(|_| daemon.connect()).collect();
    for client in &mut clients {
        client.send(half);
    }
    for client in &mut clients[..180] {
        assert_eq!(client.close().0, 1013);
    }
    let grown = daemon.resident_kib().saturating_sub(before);
    assert!(grown < 6_000, "{grown} KiB for 200 times 59 KB");
}

#[test]
fn requests_that_are_shorter_than_their_answers_do_not_overfill_the_outbox() {
    let daemon = Daemon::start(&[]);
    // 9,000 requests in one piece, each of which is answered with some 100 bytes.
    let requests = masked(0x81, b"{").repeat(9_000);
    let mut clients: Vec<_> = (0..40).map(|_| daemon.connect()).collect();
    let before = daemon.resident_kib();
    for client in &mut clients {
        client.send(&requests);
    }
    settle(&mut daemon.connect());
    let grown = daemon.resident_kib().saturating_sub(before);
    assert!(grown < 40 * 250, "{grown} KiB for 40 outboxes");
    // Nothing is lost by having had to wait.
    for client in &mut clients {
        client.send_text(r#"{"type":"ping","id":"last"}"#);
        let mut errors = 0;
        while member(&client.text(), "type") == r#""error""# {
            errors += 1;
        }
        assert_eq!(errors, 9_000);
    }
}

#[test]
fn publications_in_one_piece_wait_for_the_sweep_where_the_window_is_full() {
    let posts =
        "POST /channels/c HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n1".repeat(500);
    let publish = r#"{"type":"publish","channel":"c","data":1}"#;
    let frames = masked(0x81, publish.as_bytes()).repeat(500);
    for by_post in [true, false] {
        let mut daemon = Daemon::start(&["--retain-messages", "5"]);
        let mut subscriber = daemon.connect();
        subscriber.ask(r#"{"type":"subscribe","id":1,"channel":"c"}"#);
        let (mut http, mut ws);
        if by_post {
            http = daemon.raw();
            http.write_all(posts.as_bytes()).expect("the posts go out");
        } else {
            ws = daemon.connect();
            ws.send(&frames);
        }
        for seq in 1..=500 {
            assert_eq!(member(&subscriber.text(), "seq"), seq.to_string());
        }
        // At most one more than the window holds in each turn.
        assert!(daemon.sum("turns") >= 500 / 6, "by POST: {by_post}");
    }
}

#[test]
fn whole_requests_that_wait_for_room_are_not_late() {
    let daemon = Daemon::start(&["--outbox", "4KiB", "--handshake-timeout", "100ms"]);
    let mut stream = daemon.raw();
    let requests = "GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(50_000);
    let last = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut writer = stream.try_clone().expect("the stream can be cloned");
    let sender = std::thread::spawn(move || {
        let _ = writer.write_all((requests + last).as_bytes());
    });
    // Several times as long as a half request may take.
    std::thread::sleep(std::time::Duration::from_millis(400));
    let answers = read_to_end(&mut stream);
    sender.join().expect("the sender ends");
    assert_eq!(answers.matches("HTTP/1.1 404 ").count(), 50_000);
    assert_eq!(answers.matches("HTTP/1.1 408 ").count(), 0);
}

#[test]
fn a_client_that_missed_something_on_hundreds_of_channels_hears_of_every_one_of_them() {
    const CHANNELS: usize = 300;
    let mut daemon = Daemon::start(&[
        "--retain-seconds",
        "1",
        "--send-buffer",
        "64KiB",
        "--outbox",
        "1MiB",
    ]);
    let mut client = daemon.connect();
    client.ask(r#"{"type":"subscribe","id":1,"channel":"full"}"#);
    for channel in 0..CHANNELS {
        client.ask(&format!(
            r#"{{"type":"subscribe","id":1,"channel":"c{channel}"}}"#
        ));
    }
    // More than the kernel keeps for who does not read.
    let data = "x".repeat(60_000);
    let mut publisher = daemon.connect();
    for _ in 0..300 {
        publisher.ask(&format!(
            r#"{{"type":"publish","id":1,"channel":"full","data":"{data}"}}"#
        ));
    }
    for channel in 0..CHANNELS {
        publisher.ask(&format!(
            r#"{{"type":"publish","id":1,"channel":"c{channel}","data":1}}"#
        ));
    }
    daemon.wait_for_sum("messages held", |held| held == 0);
    // Nothing else is published, and nobody asks: the gaps come by themselves.
    let mut missed = 0;
    while missed < CHANNELS {
        let text = client.text();
        missed += usize::from(text.contains(r#""type":"gap""#) && text.contains(r#""channel":"c"#));
    }
}

#[test]
fn a_limit_that_is_passed_is_told_with_its_number() {
    let daemon = Daemon::start(&[
        "--max-message",
        "3KiB",
        "--max-channels",
        "3",
        "--max-subscriptions",
        "2",
    ]);
    let mut client = daemon.connect();
    for channel in ["a", "b"] {
        client.ask(&format!(r#"{{"type":"subscribe","channel":"{channel}"}}"#));
    }
    let reply = client.ask(r#"{"type":"subscribe","id":1,"channel":"c"}"#);
    let message = member(&reply, "message");
    assert!(message.contains("--max-subscriptions allows: 2"), "{reply}");
    let mut others = daemon.connect();
    others.ask(r#"{"type":"subscribe","channel":"c"}"#);
    for request in ["publish", "subscribe"] {
        let reply = others.ask(&format!(
            r#"{{"type":"{request}","id":1,"channel":"d","data":1}}"#
        ));
        let message = member(&reply, "message");
        assert!(message.contains("--max-channels allows"), "{reply}");
        assert!(message.contains('3'), "{reply}");
    }
    client.send(&masked(0x81, &[b'1'; 4000])[..8]);
    let (code, reason) = client.close();
    assert_eq!(code, 1009);
    assert!(reason.ends_with("of 3072 bytes"), "{reason}");
}
