//! Event streams.

use super::common::{Daemon, member};
use super::{Response, body_of, get, post, publish};

/// The number in the last line of a block that has a place.
fn place(block: &str) -> String {
    let line = block.lines().find(|line| line.starts_with("id: "));
    line.expect("a place")["id: ".len()..].to_owned()
}

#[test]
fn a_stream_brings_what_is_published_with_its_place_and_begins_with_the_place_before() {
    let daemon = Daemon::start(&[]);
    let epoch = publish(&daemon, "news", "0");
    let mut stream = Response::to(&daemon, &get("/channels/news/events", ""));
    assert_eq!(stream.status(), "200");
    for field in [
        "Content-Type: text/event-stream\r\n",
        "Cache-Control: no-store\r\n",
        "X-Accel-Buffering: no\r\n",
        "Connection: close\r\n",
    ] {
        assert!(stream.head.contains(field), "{}", stream.head);
    }
    let opening = stream.block();
    assert!(opening.starts_with("retry: "), "{opening}");
    assert_eq!(place(&opening), format!("{epoch}:1"));
    publish(&daemon, "news", "{\"a\":\n1}");
    assert_eq!(
        stream.block(),
        format!("id: {epoch}:2\ndata: {{\"a\":\ndata: 1}}\n")
    );
    let mut websocket = daemon.connect();
    websocket.ask(r#"{"type":"publish","id":1,"channel":"news","encoding":"text","data":"a\nb"}"#);
    websocket
        .ask(r#"{"type":"publish","id":2,"channel":"news","encoding":"base64","data":"AAE="}"#);
    assert_eq!(
        stream.block(),
        format!("id: {epoch}:3\nevent: text\ndata: a\ndata: b\n")
    );
    assert_eq!(
        stream.block(),
        format!("id: {epoch}:4\nevent: base64\ndata: AAE=\n")
    );
}

#[test]
fn a_reader_that_comes_back_goes_on_after_the_last_event_that_it_had() {
    let daemon = Daemon::start(&[]);
    let epoch = publish(&daemon, "news", "1");
    for data in ["2", "3", "4"] {
        publish(&daemon, "news", data);
    }
    let from = |path: &str, fields: &str| {
        let mut stream = Response::to(&daemon, &get(path, fields));
        assert_eq!(stream.status(), "200", "{path} {fields}");
        stream.block();
        stream.block()
    };
    let third = format!("id: {epoch}:3\ndata: 3\n");
    let events = "/channels/news/events";
    let last_event = format!("Last-Event-ID: {epoch}:2\r\n");
    assert_eq!(from(events, &last_event), third);
    assert_eq!(from(&format!("{events}?since={epoch}:2"), ""), third);
    assert_eq!(from(&format!("{events}?since={epoch}%3A2"), ""), third);
    assert_eq!(from(&format!("{events}?last=2"), ""), third);
    // What the browser says it had is newer than what the page asked for once.
    assert_eq!(from(&format!("{events}?last=4"), &last_event), third);
}

#[test]
fn a_reader_from_another_epoch_learns_what_it_may_have_missed_and_gets_what_is_held() {
    let daemon = Daemon::start(&[]);
    let epoch = publish(&daemon, "news", "1");
    for place in ["elsewhere:7", "rubbish"] {
        let fields = format!("Last-Event-ID: {place}\r\n");
        let mut stream = Response::to(&daemon, &get("/channels/news/events", &fields));
        stream.block();
        let gap = format!(
            "id: {epoch}:0\nevent: gap\n\
             data: {{\"epoch\":\"{epoch}\",\"from\":0,\"to\":0,\"reason\":\"epoch\"}}\n"
        );
        assert_eq!(stream.block(), gap);
        assert_eq!(stream.block(), format!("id: {epoch}:1\ndata: 1\n"));
    }
}

#[test]
fn a_pattern_has_a_stream_of_its_own_in_the_order_of_publication() {
    let daemon = Daemon::start(&[]);
    let mut stream = Response::to(&daemon, &get("/patterns/prices.*/events", ""));
    let begin = place(&stream.block());
    let epoch = begin.strip_suffix(":0").expect("nothing is in it yet");
    for (channel, data) in [("prices.oak", "1"), ("prices.ash", "[2]"), ("other", "3")] {
        publish(&daemon, channel, data);
    }
    let first = r#"{"channel":"prices.oak","data":1}"#;
    assert_eq!(stream.block(), format!("id: {epoch}:1\ndata: {first}\n"));
    let second = r#"{"channel":"prices.ash","data":[2]}"#;
    assert_eq!(stream.block(), format!("id: {epoch}:2\ndata: {second}\n"));
}

#[test]
fn a_thousand_streams_and_websockets_of_one_channel_get_the_same_messages() {
    let daemon = Daemon::start(&[]);
    let mut streams: Vec<_> = (0..20)
        .map(|_| Response::to(&daemon, &get("/channels/a/events", "")))
        .collect();
    let mut websocket = daemon.connect();
    websocket.ask(r#"{"type":"subscribe","id":1,"channel":"a"}"#);
    for stream in &mut streams {
        stream.block();
    }
    for n in 1..=50 {
        publish(&daemon, "a", &n.to_string());
    }
    for n in 1..=50 {
        assert_eq!(member(&websocket.text(), "data"), n.to_string());
        for stream in &mut streams {
            let block = stream.block();
            assert!(block.ends_with(&format!("\ndata: {n}\n")), "{block}");
        }
    }
}

#[test]
fn a_stream_that_is_silent_has_a_comment_every_ping_interval() {
    let daemon = Daemon::start(&["--ping-interval", "1s"]);
    let mut stream = Response::to(&daemon, &get("/channels/a/events", ""));
    stream.block();
    for _ in 0..2 {
        assert_eq!(stream.line(), ":\n");
        assert_eq!(stream.line(), "\n");
    }
    publish(&daemon, "a", "1");
    assert!(stream.block().ends_with("data: 1\n"));
}

#[test]
fn a_daemon_that_ends_says_so_in_its_streams_and_when_to_come_back() {
    let mut daemon = Daemon::start(&[]);
    let mut stream = Response::to(&daemon, &get("/channels/a/events", ""));
    stream.block();
    daemon.signal("TERM");
    let ending = stream.block();
    assert!(ending.starts_with("retry: "), "{ending}");
    assert!(ending.ends_with(": the server is going away\n"), "{ending}");
    assert_eq!(stream.line(), "", "the stream ends");
    assert_eq!(daemon.wait(), Some(0));
}

#[test]
fn what_is_wrong_with_a_request_for_a_stream_is_said_as_problem_details() {
    let daemon = Daemon::start(&[]);
    for (path, status, code) in [
        ("/channels/a..b/events", 400, "bad_channel"),
        ("/channels/%20/events", 400, "bad_channel"),
        ("/patterns/a.>.b/events", 400, "bad_pattern"),
        ("/patterns/$a.*/events", 400, "bad_pattern"),
        ("/channels/a/events?since=7", 400, "bad_request"),
        ("/channels/a/events?last=x", 400, "bad_request"),
        ("/channels/a/events?last=1&since=e:1", 400, "bad_request"),
        ("/channels/$own/events", 404, "bad_channel"),
    ] {
        let answer = daemon.answer(&get(path, ""));
        let head = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&head), "{path}: {answer}");
        assert!(
            answer.contains("\r\nContent-Type: application/problem+json\r\n"),
            "{answer}"
        );
        assert_eq!(member(body_of(&answer), "code"), format!("\"{code}\""));
        assert_eq!(member(body_of(&answer), "status"), status.to_string());
    }
    // The connection is as it was.
    let mut response = Response::to(&daemon, &get("/channels/a..b/events", ""));
    assert!(response.head.contains("\r\nConnection: keep-alive\r\n"));
    assert!(response.line().starts_with('{'));
}

#[test]
fn head_of_a_stream_is_its_head_alone() {
    let daemon = Daemon::start(&[]);
    let request = "HEAD /channels/a/events HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let answer = daemon.exchange(request.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}

#[test]
fn what_a_reader_says_on_its_stream_is_passed_over() {
    use std::io::Write;
    let daemon = Daemon::start(&[]);
    let mut stream = Response::to(&daemon, &get("/channels/a/events", ""));
    stream.block();
    let more = post("/channels/a", "", "1").repeat(2_000);
    let socket = stream.body.get_mut();
    socket.write_all(more.as_bytes()).expect("it is taken");
    publish(&daemon, "a", "2");
    assert!(stream.block().ends_with("data: 2\n"));
}
