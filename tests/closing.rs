//! How connections end, over real sockets: closes of either side and of both at once, and the
//! timeouts but for those of pings and of stalled subscribers, which are in `strangers.rs`.
//!
//! Nothing here waits for a time to go by: each test reads until what must come has come.

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use common::{Client, Daemon, handshake, masked, member, read_to_end};

/// A client's close frame.
fn close(code: u16, reason: &str) -> Vec<u8> {
    masked(0x88, &[&code.to_be_bytes(), reason.as_bytes()].concat())
}

/// Asserts that the daemon says nothing more and ends the stream first.
fn is_over(client: &mut Client) {
    let mut rest = Vec::new();
    let read = client.stream.read_to_end(&mut rest);
    assert!(read.is_ok() && rest.is_empty(), "{read:?} {rest:?}");
}

/// Sends `bytes` one by one, each when there was no answer to the last one, until the answers so
/// far are `enough`.
fn trickle(
    stream: &mut TcpStream,
    bytes: impl IntoIterator<Item = u8>,
    enough: impl Fn(&[u8]) -> bool,
) {
    stream
        .set_read_timeout(Some(Duration::from_millis(5)))
        .expect("a timeout can be set");
    let mut bytes = bytes.into_iter();
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    let until = Instant::now() + common::PATIENCE;
    while !enough(&answer) {
        assert!(Instant::now() < until, "not what must come: {answer:?}");
        match stream.read(&mut buffer) {
            Ok(read) => answer.extend_from_slice(&buffer[..read]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                let byte = bytes.next().expect("there are bytes enough");
                stream.write_all(&[byte]).expect("a byte goes out");
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Whether answers end with the close that is due when a message took too long.
fn ends_with_1008(answers: &[u8]) -> bool {
    answers.ends_with(b"\x88\x23\x03\xF0a message took too long to arrive")
}

#[test]
fn a_close_is_answered_with_its_own_code_and_the_daemon_ends_the_stream() {
    let daemon = Daemon::start(&["--echo"]);
    for path in ["/", "/echo"] {
        for code in (1000..=1003)
            .chain(1007..=1014)
            .chain([3000, 3999, 4000, 4508, 4999])
        {
            let mut client = daemon.open(path, "");
            client.send(&close(code, "until we meet again"));
            assert_eq!(client.close(), (code, String::new()));
            is_over(&mut client);
        }
        let mut client = daemon.open(path, "");
        client.send(&masked(0x88, &[]));
        assert_eq!(client.close(), (1005, String::new()), "nothing for nothing");
        is_over(&mut client);
    }
}

#[test]
fn a_close_that_is_none_is_a_breach() {
    let daemon = Daemon::start(&["--echo"]);
    let reserved = [
        0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535,
    ];
    let mut breaches: Vec<_> = reserved.map(|code| (close(code, ""), 1002)).to_vec();
    breaches.push((masked(0x88, &[3]), 1002));
    breaches.push((masked(0x88, b"\x03\xE8half a charact\xC3"), 1007));
    breaches.push((masked(0x88, b"\x03\xE8\xED\xA0\x80"), 1007));
    breaches.push((close(1000, &"x".repeat(124)), 1002));
    breaches.push((masked(0x08, &[0x03, 0xE8]), 1002));
    for path in ["/", "/echo"] {
        for (bytes, code) in &breaches {
            let mut client = daemon.open(path, "");
            client.send(bytes);
            assert_eq!(client.close().0, *code, "{bytes:?}");
            is_over(&mut client);
        }
    }
    // As long as a reason can be.
    let mut client = daemon.open("/echo", "");
    client.send(&close(1000, &"x".repeat(123)));
    assert_eq!(client.close().0, 1000);
}

#[test]
fn what_was_asked_before_the_close_is_answered_before_it_and_nothing_after_it() {
    let daemon = Daemon::start(&[]);
    let mut client = daemon.connect();
    let ask = masked(0x81, br#"{"type":"ping","id":1}"#);
    let unmasked = b"\x81\x02{}";
    client.send(&[&ask[..], &ask, &close(1000, ""), &ask, unmasked].concat());
    assert_eq!(client.text(), r#"{"type":"pong","id":1}"#);
    assert_eq!(client.text(), r#"{"type":"pong","id":1}"#);
    let frame = client.frame();
    assert_eq!((frame.first, &frame.payload[..]), (0x88, &[0x03, 0xE8][..]));
    is_over(&mut client);
}

#[test]
fn after_a_breach_a_close_is_not_believed_either() {
    let daemon = Daemon::start(&[]);
    let mut client = daemon.connect();
    client.send(&[&b"\x81\x02{}"[..], &close(1000, "")].concat());
    let frame = client.frame();
    assert_eq!(
        (frame.first, &frame.payload[..2]),
        (0x88, &[0x03, 0xEA][..])
    );
    is_over(&mut client);
}

#[test]
fn a_subscriber_that_closes_gets_nothing_of_its_channels_after_the_answer() {
    let daemon = Daemon::start(&[]);
    let mut leaving = daemon.connect();
    leaving.ask(r#"{"type":"subscribe","id":1,"channel":"c"}"#);
    let mut publisher = daemon.connect();
    leaving.send(&close(1000, ""));
    assert_eq!(leaving.frame().first, 0x88);
    for id in 0..3 {
        publisher.ask(&format!(
            r#"{{"type":"publish","id":{id},"channel":"c","data":1}}"#
        ));
    }
    is_over(&mut leaving);
}

#[test]
fn once_the_daemon_has_said_close_only_the_peers_close_counts() {
    let mut daemon = Daemon::start(&["--message-timeout", "50ms"]);
    let mut client = daemon.connect();
    client.send(&masked(0x81, b"half")[..7]);
    assert_eq!(client.frame().first, 0x88);
    // The half message's end, a request and a ping: all on their way when the close came.
    client.send(&masked(0x81, b"half")[7..]);
    client.send_text(r#"{"type":"publish","id":1,"channel":"c","data":1}"#);
    client.send(&masked(0x89, b"?"));
    client.send(&close(1008, ""));
    is_over(&mut client);
    daemon.signal("USR1");
    let line = daemon.wait_for_log("closes");
    assert!(line.contains("messages 0,"), "{line}");
    assert!(line.contains("[1008 a message took too long to arrive: 1]"));
}

#[test]
fn a_long_message_to_echo_that_crosses_the_daemons_close_is_not_too_long() {
    let daemon = Daemon::start(&["--echo", "--message-timeout", "50ms"]);
    let mut client = daemon.open("/echo", "");
    client.send(&masked(0x81, b"half")[..7]);
    assert_eq!(client.frame().first, 0x88);
    client.send(&masked(0x81, b"half")[7..]);
    // Longer than a message of the JSON sub-protocol may be.
    client.send(&masked(0x82, &[0; 100_000]));
    let mut witness = daemon.connect();
    witness.ask(r#"{"type":"ping","id":1}"#);
    witness.ask(r#"{"type":"ping","id":2}"#);
    client
        .stream
        .set_nonblocking(true)
        .expect("it need not block");
    let read = client.stream.read(&mut [0]);
    assert!(
        read.as_ref()
            .is_err_and(|error| error.kind() == ErrorKind::WouldBlock),
        "our close is waited for: {read:?}"
    );
    client
        .stream
        .set_nonblocking(false)
        .expect("it may block again");
    client.send(&close(1008, ""));
    is_over(&mut client);
}

#[test]
fn closes_that_cross_end_the_connection_at_once() {
    let mut daemon = Daemon::start(&[]);
    let mut clients: Vec<_> = (0..10).map(|_| daemon.connect()).collect();
    daemon.signal("TERM");
    daemon.wait_for_log("ending: closing 10 connections");
    for client in &mut clients {
        // Sent without having read the other's.
        client.send(&close(1000, "I go"));
    }
    for mut client in clients {
        // Whichever the daemon came to first, and one only.
        let code = client.close().0;
        assert!([1000, 1001].contains(&code), "{code}");
        is_over(&mut client);
    }
    assert_eq!(daemon.wait(), Some(0));
}

#[test]
fn a_client_that_does_not_answer_a_close_is_ended_all_the_same() {
    let daemon = Daemon::start(&["--message-timeout", "50ms"]);
    let mut client = daemon.connect();
    client.send(&masked(0x81, b"half")[..7]);
    assert_eq!(client.frame().first, 0x88);
    // Neither a close nor a FIN comes from this side.
    is_over(&mut client);
}

#[test]
fn a_client_that_goes_on_sending_after_a_breach_is_cut_off() {
    let daemon = Daemon::start(&[]);
    let mut client = daemon.connect();
    client.send(b"\x81\x02{}");
    assert_eq!(client.close().0, 1002);
    is_over(&mut client);
    // FIN is there, and what is still sent is dropped, but not for ever.
    let until = Instant::now() + common::PATIENCE;
    let flood = [0x55; 4096];
    while client.stream.write_all(&flood).is_ok() {
        assert!(Instant::now() < until, "still read from");
    }
}

#[test]
fn a_message_that_trickles_in_is_cut_off_at_the_message_timeout() {
    let daemon = Daemon::start(&["--message-timeout", "100ms"]);
    let large = masked(0x81, &[b' '; 60_000]);
    trickle(&mut daemon.connect().stream, large, ends_with_1008);
    // Fragments of a byte, without an end.
    let first = masked(0x01, b" ").into_iter();
    let more = masked(0x00, b" ").into_iter().cycle();
    let stream = &mut daemon.connect().stream;
    trickle(stream, first.chain(more), ends_with_1008);
}

#[test]
fn pings_do_not_keep_a_half_sent_message_alive() {
    let daemon = Daemon::start(&["--message-timeout", "100ms"]);
    let mut client = daemon.connect();
    client.send(&masked(0x01, b"{"));
    let pings = masked(0x89, b"").into_iter().cycle();
    trickle(&mut client.stream, pings, ends_with_1008);
}

/// Sends what `flood` repeats until the daemon closes, and reads what it answers meanwhile; the close's code.
fn flood_until_closed(client: &mut Client, flood: Vec<u8>) -> u16 {
    let mut writer = client.stream.try_clone().expect("it can be cloned");
    let until = Instant::now() + common::PATIENCE;
    let sender =
        std::thread::spawn(
            move || {
                while writer.write_all(&flood).is_ok() && Instant::now() < until {}
            },
        );
    let code = client.close().0;
    let _ = client.stream.shutdown(std::net::Shutdown::Both);
    sender.join().expect("the sender ends");
    assert!(Instant::now() < until, "it took all of the time");
    code
}

#[test]
fn a_client_that_is_paused_again_and_again_has_no_more_time_for_a_message_than_others() {
    let daemon = Daemon::start(&["--message-timeout", "300ms", "--outbox", "1KiB"]);
    let mut client = daemon.connect();
    client.send(&masked(0x01, b"{"));
    // Each read brings more pings than the outbox has room for the pongs of.
    let pings = masked(0x89, &[b'p'; 125]).repeat(500);
    assert_eq!(flood_until_closed(&mut client, pings), 1008);
}

#[test]
fn a_message_of_fragments_without_an_end_is_cut_off_though_there_is_always_more_to_read() {
    let daemon = Daemon::start(&["--message-timeout", "300ms"]);
    let mut client = daemon.connect();
    client.send(&masked(0x01, b"{"));
    let fragments = masked(0x00, b"").repeat(100_000);
    assert_eq!(flood_until_closed(&mut client, fragments), 1008);
}

#[test]
fn a_handshake_that_trickles_in_is_answered_with_408() {
    let daemon = Daemon::start(&["--handshake-timeout", "100ms"]);
    let request = handshake("/", &format!("X-Long: {}\r\n", "x".repeat(6_000)));
    trickle(&mut daemon.raw(), request.into_bytes(), |answer| {
        answer.starts_with(b"HTTP/1.1 408 ")
    });
}

#[test]
fn a_body_that_trickles_in_is_answered_with_408_at_the_message_timeout() {
    let daemon = Daemon::start(&["--message-timeout", "100ms"]);
    let request = "POST /channels/c HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n";
    let mut stream = daemon.raw();
    stream.write_all(request.as_bytes()).expect("it goes out");
    trickle(&mut stream, std::iter::repeat(b' '), |answer| {
        answer.starts_with(b"HTTP/1.1 408 ")
    });
}

#[test]
fn a_kept_alive_http_connection_is_ended_without_a_word_at_the_idle_timeout() {
    let daemon = Daemon::start(&["--http-idle-timeout", "50ms"]);
    let answer = daemon.exchange(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nok\n"), "{answer}");
}

#[test]
fn a_stalled_http_client_is_ended_at_the_stall_timeout() {
    let daemon = Daemon::start(&["--stall-timeout", "200ms", "--outbox", "4KiB"]);
    let mut stream = daemon.raw();
    let requests = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(1_000);
    // It asks until it is not read from any more, then until it is gone: it never reads.
    let until = Instant::now() + common::PATIENCE;
    while stream.write_all(&requests).is_ok() {
        assert!(Instant::now() < until, "still read from");
    }
}

#[test]
fn what_was_acknowledged_before_the_daemon_ends_reaches_its_subscribers_before_the_close() {
    // Those of a large channel would have had to wait for its next round.
    for subscribers in [3, 300] {
        let daemon = Daemon::start(&[]);
        let mut clients: Vec<_> = (0..subscribers).map(|_| daemon.connect()).collect();
        for client in &mut clients {
            client.ask(r#"{"type":"subscribe","id":1,"channel":"c"}"#);
        }
        let mut publisher = daemon.connect();
        daemon.stop();
        publisher.send_text(r#"{"type":"publish","id":1,"channel":"c","data":1}"#);
        daemon.signal("TERM");
        daemon.signal("CONT");
        let reply = publisher.text();
        assert!(reply.contains(r#""type":"published""#), "{reply}");
        for client in &mut clients {
            let message = client.text();
            assert!(message.contains(r#""type":"message""#), "{message}");
            assert_eq!(client.close().0, 1001);
        }
    }
}

#[test]
fn what_a_full_socket_had_not_begun_reaches_its_reader_before_the_close() {
    let mut daemon = Daemon::start(&["--retain-bytes", "32MiB"]);
    let mut slow = daemon.connect();
    slow.ask(r#"{"type":"subscribe","id":1,"channel":"c"}"#);
    let mut publisher = daemon.connect();
    let data = "x".repeat(60_000);
    let count = 250;
    // Enough for any kernel's buffers, and so that less than 4 MiB are left to be sent.
    for id in 1..=count {
        publisher.ask(&format!(
            r#"{{"type":"publish","id":{id},"channel":"c","data":"{data}"}}"#
        ));
    }
    let sent = |daemon: &mut Daemon| daemon.sum("bytes");
    let mut seq = 0;
    while sent(&mut daemon) < (count - 50) * 60_000 {
        seq += 1;
        assert_eq!(member(&slow.text(), "seq"), seq.to_string());
    }
    daemon.signal("TERM");
    daemon.wait_for_log("ending");
    // Another signal of its end than the log: the publisher has been told.
    assert_eq!(publisher.close().0, 1001);
    drop(publisher);
    while seq < count {
        seq += 1;
        assert_eq!(member(&slow.text(), "seq"), seq.to_string());
    }
    let (code, _) = slow.close();
    assert_eq!(code, 1001);
    slow.send(&close(1001, ""));
    assert_eq!(daemon.wait(), Some(0));
}

#[test]
fn a_client_that_takes_nothing_does_not_keep_the_daemon_from_ending() {
    let mut daemon = Daemon::start(&["--retain-bytes", "32MiB"]);
    let mut stalled = daemon.connect();
    stalled.ask(r#"{"type":"subscribe","id":1,"channel":"c"}"#);
    let mut publisher = daemon.connect();
    let data = "x".repeat(60_000);
    for id in 1..=250 {
        publisher.ask(&format!(
            r#"{{"type":"publish","id":{id},"channel":"c","data":"{data}"}}"#
        ));
    }
    daemon.signal("TERM");
    assert_eq!(daemon.wait(), Some(0));
}

#[test]
fn a_drain_spreads_the_closes_over_its_time() {
    let mut daemon = Daemon::start(&["--drain-seconds", "500ms"]);
    let mut clients: Vec<_> = (0..50).map(|_| daemon.connect()).collect();
    let began = Instant::now();
    daemon.signal("TERM");
    for client in &mut clients {
        assert_eq!(client.close().0, 1001);
    }
    // The last one's turn comes when most of the time is over, never before.
    assert!(began.elapsed() > Duration::from_millis(300));
    drop(clients);
    assert_eq!(daemon.wait(), Some(0));
}

#[test]
fn a_drain_ends_half_open_http_connections_too() {
    let daemon = Daemon::start(&[]);
    let mut stream = daemon.raw();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        .expect("it goes out");
    let _client = daemon.connect();
    daemon.signal("TERM");
    assert_eq!(read_to_end(&mut stream), "");
}
