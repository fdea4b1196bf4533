//! Those who are connected notice nothing.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::Line;
use super::common::{Client, masked, member, read_answer, read_head};

/// How often the daemon is restarted.
const RESTARTS: usize = 5;

/// The number of a message.
fn seq(text: &str) -> u64 {
    assert!(text.starts_with(r#"{"type":"message""#), "{text}");
    member(text, "seq").parse().expect("a number")
}

/// Reads messages until one has this payload. Their numbers follow each other.
fn read_until(client: &mut Client, payload: &str) -> u64 {
    let mut last = 0;
    loop {
        let text = client.text();
        assert_eq!(seq(&text), last + 1, "{text}");
        last += 1;
        if text.contains(payload) {
            return last;
        }
    }
}

/// Publishes over one WebSocket, one message after the other. How many there were.
fn publish_by_socket(mut client: Client, is_over: &AtomicBool) -> u64 {
    let mut count = 0;
    while !is_over.load(Ordering::Relaxed) {
        let answer = client.ask(r#"{"type":"publish","id":7,"channel":"a","data":"socket"}"#);
        assert!(
            answer.starts_with(r#"{"type":"published","id":7"#),
            "{answer}"
        );
        count += 1;
    }
    count
}

/// Publishes by HTTP, with a connection for each request or with one for all. How many there were.
fn publish_by_http(line_address: std::net::SocketAddr, is_over: &AtomicBool, keeps: bool) -> u64 {
    let mut count = 0;
    let mut kept: Option<TcpStream> = None;
    while !is_over.load(Ordering::Relaxed) {
        let mut stream = kept.take().unwrap_or_else(|| {
            let stream = TcpStream::connect(line_address).expect("it accepts");
            stream
                .set_read_timeout(Some(super::PATIENCE))
                .expect("a time");
            stream
        });
        let close = if keeps { "" } else { "Connection: close\r\n" };
        let request = format!(
            "POST /channels/a HTTP/1.1\r\nHost: localhost\r\n{close}Content-Length: 6\r\n\r\n\"http\""
        );
        stream.write_all(request.as_bytes()).expect("it is taken");
        let answer = read_answer(&mut stream);
        assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
        count += 1;
        kept = keeps.then_some(stream);
    }
    count
}

#[test]
fn subscribers_and_publishers_go_on_through_five_restarts_with_nothing_missing_or_doubled() {
    let mut line = Line::start("five", &["--retain-bytes", "64MiB"]);
    let mut subscribers: Vec<Client> = (0..20).map(|_| line.daemon.connect()).collect();
    for subscriber in &mut subscribers {
        let answer = subscriber.ask(r#"{"type":"subscribe","channel":"a"}"#);
        assert!(answer.starts_with(r#"{"type":"subscribed""#), "{answer}");
    }
    let mut by_pattern = line.daemon.connect();
    by_pattern.ask(r#"{"type":"subscribe","pattern":"*"}"#);
    let is_over = Arc::new(AtomicBool::new(false));
    let publishers: Vec<_> = (0..4)
        .map(|kind| {
            let (is_over, address) = (Arc::clone(&is_over), line.daemon.address);
            let client = line.daemon.connect();
            thread::spawn(move || match kind {
                0 | 1 => publish_by_socket(client, &is_over),
                kind => publish_by_http(address, &is_over, kind == 2),
            })
        })
        .collect();
    for _ in 0..RESTARTS {
        line.restart();
    }
    is_over.store(true, Ordering::Relaxed);
    let counts = publishers
        .into_iter()
        .map(|publisher| publisher.join().expect("none failed"));
    let published: u64 = counts.sum();
    line.daemon
        .connect()
        .ask(r#"{"type":"publish","id":1,"channel":"a","data":"the end"}"#);
    for subscriber in subscribers.iter_mut().chain([&mut by_pattern]) {
        assert_eq!(read_until(subscriber, "the end"), published + 1);
    }
    assert_eq!(line.pids.len(), RESTARTS + 1);
}

#[test]
fn halves_of_frames_and_requests_go_over_and_so_do_event_streams_and_compressed_connections() {
    let mut line = Line::start("halves", &["--retain-bytes", "1MiB"]);
    let mut half_frame = line.daemon.connect();
    let publication = format!(
        r#"{{"type":"publish","id":1,"channel":"a","data":"{}"}}"#,
        "x".repeat(500)
    );
    let frame = masked(0x81, publication.as_bytes());
    half_frame.send(&frame[..300]);
    let mut fragments = line.daemon.connect();
    let text = br#"{"type":"ping","id":5}"#;
    fragments.send(&masked(0x01, &text[..9]));
    let mut half_request = line.daemon.raw();
    half_request
        .write_all(b"POST /channels/b HTTP/1.1\r\nHost: loc")
        .expect("it is taken");
    let mut half_body = line.daemon.raw();
    half_body
        .write_all(b"POST /channels/b HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n\"ab\r\n")
        .expect("it is taken");
    let mut stream = line.daemon.raw();
    stream
        .write_all(b"GET /channels/a/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .expect("it is taken");
    let head = read_head(&mut stream);
    assert!(head.contains("text/event-stream"), "{head}");
    let mut deflated = line
        .daemon
        .open("/", "Sec-WebSocket-Extensions: permessage-deflate\r\n");
    assert!(
        deflated.head.contains("permessage-deflate"),
        "{}",
        deflated.head
    );
    deflated.frame();
    deflated.send_text(r#"{"type":"subscribe","channel":"a"}"#);
    deflated.frame();
    // All of that has been read.
    line.daemon.connect().ask(r#"{"type":"ping"}"#);

    line.restart();
    line.restart();

    half_frame.send(&frame[300..]);
    assert!(
        half_frame
            .text()
            .starts_with(r#"{"type":"published","id":1"#)
    );
    fragments.send(&masked(0x80, &text[9..]));
    assert_eq!(fragments.text(), r#"{"type":"pong","id":5}"#);
    half_request
        .write_all(b"alhost\r\nContent-Length: 1\r\n\r\n1")
        .expect("it is taken");
    assert!(read_answer(&mut half_request).starts_with("HTTP/1.1 201 "));
    half_body
        .write_all(b"1\r\n\"\r\n0\r\n\r\n")
        .expect("it is taken");
    assert!(read_answer(&mut half_body).starts_with("HTTP/1.1 201 "));
    let frame = deflated.frame();
    assert_eq!(frame.first, 0xC1, "it is compressed");
    assert!(frame.payload.len() < 200);
    let mut event = Vec::new();
    let mut byte = [0];
    while !event.ends_with(b"xxx\"\n\n") {
        stream.read_exact(&mut byte).expect("the event comes");
        event.push(byte[0]);
    }
}

#[test]
fn what_a_slow_subscriber_has_still_to_take_goes_over() {
    let mut line = Line::start("slow", &["--retain-bytes", "64MiB"]);
    let mut subscriber = line.daemon.connect();
    subscriber.ask(r#"{"type":"subscribe","channel":"a"}"#);
    let mut publisher = line.daemon.connect();
    // More than a socket takes, so one message is half sent.
    let data = "y".repeat(50_000);
    for _ in 0..300 {
        publisher.ask(&format!(
            r#"{{"type":"publish","id":1,"channel":"a","data":"{data}"}}"#
        ));
    }
    line.restart();
    publisher.ask(r#"{"type":"publish","id":1,"channel":"a","data":"the end"}"#);
    assert_eq!(read_until(&mut subscriber, "the end"), 301);
}

#[test]
fn a_key_publishes_once_though_the_daemon_was_restarted() {
    let mut line = Line::start("keys", &[]);
    let mut publisher = line.daemon.connect();
    let publication = r#"{"type":"publish","id":1,"channel":"a","data":1,"key":"k"}"#;
    let first = publisher.ask(publication);
    line.restart();
    let second = publisher.ask(publication);
    assert_eq!(member(&first, "seq"), member(&second, "seq"));
    assert_eq!(member(&second, "duplicate"), "true");
    assert_eq!(member(&first, "epoch"), member(&second, "epoch"));
}
