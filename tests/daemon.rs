//! The daemon from outside: the sub-protocol, end to end, over real sockets.

mod common;

use std::io::{Read, Write};

use common::{Daemon, masked, member};

#[test]
fn a_publication_reaches_every_subscriber_and_its_publisher_gets_an_answer() {
    let daemon = Daemon::start(&[]);
    let mut subscribers: Vec<_> = (0..3).map(|_| daemon.connect()).collect();
    for subscriber in &mut subscribers {
        let reply = subscriber.ask(r#"{"type":"subscribe","id":1,"channel":"prices"}"#);
        assert!(
            reply.starts_with(r#"{"type":"subscribed","id":1,"channel":"prices","epoch":""#),
            "{reply}"
        );
        assert_eq!(member(&reply, "seq"), "0");
    }
    let mut publisher = daemon.connect();
    let reply = publisher
        .ask(r#"{"type":"publish","id":"a","channel":"prices","data": {"p": 0.10, "n":1E+2} }"#);
    assert!(
        reply.starts_with(r#"{"type":"published","id":"a","channel":"prices","epoch":""#),
        "{reply}"
    );
    assert_eq!(member(&reply, "seq"), "1");
    for subscriber in &mut subscribers {
        assert_eq!(
            subscriber.text(),
            r#"{"type":"message","channel":"prices","seq":1,"data":{"p": 0.10, "n":1E+2}}"#
        );
    }
}

#[test]
fn after_unsubscribed_nothing_of_that_channel_comes() {
    let daemon = Daemon::start(&[]);
    let mut client = daemon.connect();
    client.ask(r#"{"type":"subscribe","id":1,"channel":"a"}"#);
    client.ask(r#"{"type":"subscribe","id":2,"channel":"b"}"#);
    let reply = client.ask(r#"{"type":"unsubscribe","id":3,"channel":"a"}"#);
    assert_eq!(reply, r#"{"type":"unsubscribed","id":3,"channel":"a"}"#);
    client.send_text(r#"{"type":"publish","channel":"a","data":1}"#);
    client.send_text(r#"{"type":"publish","channel":"b","data":2}"#);
    assert_eq!(
        client.text(),
        r#"{"type":"message","channel":"b","seq":1,"data":2}"#
    );
    let reply = client.ask(r#"{"type":"unsubscribe","id":4,"channel":"a"}"#);
    assert_eq!(member(&reply, "code"), r#""not_subscribed""#);
}

#[test]
fn last_brings_the_newest_and_since_goes_on_without_a_hole() {
    let daemon = Daemon::start(&[]);
    let mut client = daemon.connect();
    for n in 1..=5 {
        client.send_text(&format!(r#"{{"type":"publish","channel":"c","data":{n}}}"#));
    }
    let reply = client.ask(r#"{"type":"subscribe","id":1,"channel":"c","last":2}"#);
    assert_eq!(member(&reply, "seq"), "5");
    assert_eq!(
        client.text(),
        r#"{"type":"message","channel":"c","seq":4,"data":4}"#
    );
    assert_eq!(
        client.text(),
        r#"{"type":"message","channel":"c","seq":5,"data":5}"#
    );
    let epoch = member(&reply, "epoch");

    let mut late = daemon.connect();
    let reply = late.ask(&format!(
        r#"{{"type":"subscribe","id":1,"channel":"c","since":{{"epoch":{epoch},"seq":3}}}}"#
    ));
    assert_eq!(member(&reply, "recovered"), "true");
    assert_eq!(
        late.text(),
        r#"{"type":"message","channel":"c","seq":4,"data":4}"#
    );
    assert_eq!(
        late.text(),
        r#"{"type":"message","channel":"c","seq":5,"data":5}"#
    );
}

#[test]
fn a_client_that_comes_back_too_late_is_told_what_expired() {
    let daemon = Daemon::start(&["--retain-messages", "2"]);
    let mut client = daemon.connect();
    let reply = client.ask(r#"{"type":"publish","id":0,"channel":"c","data":0}"#);
    let epoch = member(&reply, "epoch").to_owned();
    for n in 2..=6 {
        client.ask(&format!(
            r#"{{"type":"publish","id":{n},"channel":"c","data":{n}}}"#
        ));
    }
    let reply = client.ask(&format!(
        r#"{{"type":"subscribe","id":1,"channel":"c","since":{{"epoch":{epoch},"seq":1}}}}"#
    ));
    assert_eq!(member(&reply, "recovered"), "false");
    let gap = format!(
        r#"{{"type":"gap","channel":"c","epoch":{epoch},"from":2,"to":4,"reason":"expired"}}"#
    );
    assert_eq!(client.text(), gap);
    assert_eq!(
        client.text(),
        r#"{"type":"message","channel":"c","seq":5,"data":5}"#
    );
    assert_eq!(
        client.text(),
        r#"{"type":"message","channel":"c","seq":6,"data":6}"#
    );
}

#[test]
fn a_client_that_comes_back_to_another_epoch_is_told_so() {
    let daemon = Daemon::start(&[]);
    let mut client = daemon.connect();
    client.ask(r#"{"type":"publish","id":0,"channel":"c","data":0}"#);
    let reply = client
        .ask(r#"{"type":"subscribe","id":1,"channel":"c","since":{"epoch":"elsewhere","seq":7}}"#);
    assert_eq!(member(&reply, "recovered"), "false");
    let gap = client.text();
    assert_eq!(member(&gap, "from"), "0");
    assert_eq!(member(&gap, "to"), "0");
    assert_eq!(member(&gap, "reason"), r#""epoch""#);
    assert_eq!(
        client.text(),
        r#"{"type":"message","channel":"c","seq":1,"data":0}"#
    );
}

#[test]
fn a_post_whose_body_is_no_json_is_told_what_is_wrong_and_then_where() {
    let daemon = Daemon::start(&[]);
    for (body, message) in [
        (
            "hello",
            r#"`hello` is no JSON value: a text needs double quotes (\"), at byte 0"#,
        ),
        (
            "{'a':1}",
            r#"a key needs double quotes (\"): `'a'`, at byte 1"#,
        ),
        ("", "the message is empty"),
    ] {
        let length = body.len();
        let answer = daemon.answer(&format!(
            "POST /channels/c HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}"
        ));
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        let expected = format!(
            r#"{{"title":"Bad Request","status":400,"code":"bad_json","detail":"{message}"}}"#
        );
        assert_eq!(answer.lines().last(), Some(&*expected));
    }
}

#[test]
fn a_failed_request_gets_an_error_and_the_connection_goes_on() {
    let daemon = Daemon::start(&[]);
    let mut client = daemon.connect();
    for (request, code) in [
        ("{", "bad_json"),
        ("[]", "bad_request"),
        (r#"{"type":"dance","id":1}"#, "unknown_type"),
        (r#"{"type":"auth","id":1,"token":"x"}"#, "unknown_type"),
        (
            r#"{"type":"publish","id":1,"channel":"a..b","data":1}"#,
            "bad_channel",
        ),
        (
            r#"{"type":"publish","id":1,"channel":"$sys","data":1}"#,
            "forbidden",
        ),
        (
            r#"{"type":"publish","id":1,"channel":"\u0024sys","data":1}"#,
            "forbidden",
        ),
        (
            r#"{"type":"subscribe","id":1,"channel":"$sys"}"#,
            "bad_channel",
        ),
        (
            r#"{"type":"unsubscribe","id":1,"channel":"$sys"}"#,
            "bad_channel",
        ),
        (r#"{"type":"publish","id":1,"channel":"a"}"#, "bad_request"),
    ] {
        let reply = client.ask(request);
        assert_eq!(member(&reply, "type"), r#""error""#, "{request}: {reply}");
        assert_eq!(
            member(&reply, "code"),
            format!("\"{code}\""),
            "{request}: {reply}"
        );
    }
    assert_eq!(
        client.ask(r#"{"type":"ping","id":9}"#),
        r#"{"type":"pong","id":9}"#
    );
}

#[test]
fn a_second_subscription_to_the_same_channel_is_an_error() {
    let daemon = Daemon::start(&[]);
    let mut client = daemon.connect();
    client.ask(r#"{"type":"subscribe","id":1,"channel":"c"}"#);
    let reply = client.ask(r#"{"type":"subscribe","id":2,"channel":"c"}"#);
    assert_eq!(member(&reply, "code"), r#""already_subscribed""#);
}

#[test]
fn binary_is_closed_with_1003_and_a_close_is_answered_with_its_own_code() {
    let daemon = Daemon::start(&[]);
    let mut client = daemon.connect();
    client.send(&masked(0x82, b"{}"));
    assert_eq!(client.close().0, 1003);

    let mut client = daemon.connect();
    client.send(&masked(0x88, &[0x03, 0xE8]));
    assert_eq!(client.close().0, 1000);
    let mut rest = Vec::new();
    client
        .stream
        .read_to_end(&mut rest)
        .expect("the daemon closes");
    assert!(rest.is_empty());
}

#[test]
fn echo_sends_each_message_back_with_its_kind() {
    let daemon = Daemon::start(&["--echo"]);
    let mut client = daemon.open("/echo", "");
    client.send_text("any text");
    assert_eq!(client.text(), "any text");
    let large = vec![7u8; 3_000_000];
    client.send(&masked(0x82, &large));
    let frame = client.frame();
    assert_eq!(frame.first, 0x82);
    assert_eq!(frame.payload, large);
}

#[test]
fn curl_can_publish() {
    let daemon = Daemon::start(&[]);
    let mut subscriber = daemon.connect();
    subscriber.ask(r#"{"type":"subscribe","id":1,"channel":"scores"}"#);
    let post = |body: &str| {
        daemon.exchange(
            format!(
                "POST /channels/scores HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            )
            .as_bytes(),
        )
    };
    let answer = post(" {\"home\": 1} ");
    assert!(answer.starts_with("HTTP/1.1 201 Created\r\n"), "{answer}");
    assert!(answer.contains(r#""seq":1"#), "{answer}");
    assert_eq!(
        subscriber.text(),
        r#"{"type":"message","channel":"scores","seq":1,"data":{"home": 1}}"#
    );
    for bad in ["", "{", "1,\"id\":5", "1}", "nul"] {
        let answer = post(bad);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{bad}: {answer}");
    }
}

#[test]
fn sigterm_closes_everybody_with_1001_and_exits_with_0() {
    let mut daemon = Daemon::start(&[]);
    let mut clients: Vec<_> = (0..3).map(|_| daemon.connect()).collect();
    daemon.signal("TERM");
    for client in &mut clients {
        assert_eq!(client.close().0, 1001);
        client.send(&masked(0x88, &[0x03, 0xE9]));
    }
    assert_eq!(daemon.wait(), Some(0));
    let line = daemon.wait_for_log("ended after");
    assert!(line.contains("[1001 "), "{line}");
}

#[test]
fn a_daemon_without_connections_does_not_take_the_time_to_close_them() {
    let mut daemon = Daemon::start(&["--drain-seconds", "60"]);
    drop(daemon.connect());
    daemon.wait_for_sum("connections", |open| open == 0);
    daemon.signal("TERM");
    assert_eq!(daemon.wait(), Some(0));
}

#[test]
fn closes_are_spread_over_the_time_that_was_given() {
    let mut daemon = Daemon::start(&["--drain-seconds", "1"]);
    let mut clients: Vec<_> = (0..4).map(|_| daemon.connect()).collect();
    let began = std::time::Instant::now();
    daemon.signal("TERM");
    let mut closed: Vec<_> = clients
        .iter_mut()
        .map(|client| {
            assert_eq!(client.close().0, 1001);
            client.send(&masked(0x88, &[0x03, 0xE9]));
            began.elapsed().as_millis()
        })
        .collect();
    closed.sort_unstable();
    assert!(closed[0] < 700 && closed[3] > 700, "{closed:?}");
    assert_eq!(daemon.wait(), Some(0));
}

#[test]
fn a_unix_socket_is_taken_over_when_stale_served_and_removed_at_the_end() {
    let path = std::env::temp_dir().join(format!("fanfare-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    // A file that nobody listens on any more.
    drop(std::os::unix::net::UnixListener::bind(&path).expect("the path is free"));
    let listen = format!("unix:{}", path.display());
    let mut daemon = Daemon::start(&["--listen", &listen]);
    let mut stream = std::os::unix::net::UnixStream::connect(&path).expect("it listens");
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .expect("the request goes out");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .expect("the answer comes");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    daemon.signal("TERM");
    assert_eq!(daemon.wait(), Some(0));
    assert!(!path.exists());
}

#[test]
fn sighup_is_logged_and_changes_nothing() {
    let mut daemon = Daemon::start(&[]);
    let mut client = daemon.connect();
    for _ in 0..2 {
        daemon.signal("HUP");
        daemon.next_log("SIGHUP");
        assert_eq!(
            client.ask(r#"{"type":"ping","id":1}"#),
            r#"{"type":"pong","id":1}"#
        );
    }
}

#[test]
fn sigusr1_logs_the_sums() {
    let mut daemon = Daemon::start(&[]);
    let mut client = daemon.connect();
    client.ask(r#"{"type":"publish","id":1,"channel":"c","data":1}"#);
    daemon.signal("USR1");
    let line = daemon.wait_for_log("connections 1");
    assert!(line.contains("messages 1,"), "{line}");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let daemon = Daemon::start(&[]);
    let mut stream = daemon.raw();
    stream
        .write_all(
            b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n\
              HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        )
        .expect("the requests go out");
    let answers = common::read_to_end(&mut stream);
    let statuses: Vec<_> = answers
        .match_indices("HTTP/1.1 ")
        .map(|(at, _)| &answers[at + 9..at + 12])
        .collect();
    assert_eq!(statuses, ["200", "404", "200"], "{answers}");
}
