//! What one connection does is not paid for by another: whose turn it is, and who has to go when
//! all together hold too much.
//!
//! Nothing here measures time: how much others were served before shows in the numbers that the
//! daemon gives to publications.

mod common;

use std::io::Write;

use common::{Client, Daemon, masked, member, read_answer, read_to_end};
use flate2::{Compress, Compression, FlushCompress};

const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate\r\n";

/// Asks until the daemon answers, so that everything sent before has been told to it.
fn settle(client: &mut Client) {
    let pong = client.ask(r#"{"type":"ping","id":"settled"}"#);
    assert_eq!(member(&pong, "type"), r#""pong""#, "{pong}");
}

fn deflate(plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(plain.len() + 1024);
    Compress::new(Compression::best(), false)
        .compress_vec(plain, &mut out, FlushCompress::Sync)
        .expect("it compresses");
    out.truncate(out.len() - 4);
    out
}

/// How many publications of the strangers come before the witness's, which is sent after all of theirs.
fn served_before_the_witness(daemon: &Daemon, strangers: &mut [Client], flood: &[u8]) -> u64 {
    let mut witness = daemon.connect();
    daemon.stop();
    for stranger in strangers {
        stranger
            .stream
            .set_nonblocking(true)
            .expect("it can be told not to wait");
        // As much as the kernel takes.
        let _ = stranger.stream.write(flood);
    }
    witness.send_text(r#"{"type":"publish","id":1,"channel":"c","data":1}"#);
    daemon.signal("CONT");
    let reply = witness.text();
    member(&reply, "seq").parse().expect("a number")
}

#[test]
fn a_small_request_does_not_wait_for_what_others_compressed() {
    let daemon = Daemon::start(&[]);
    let data = "1".repeat(60_000);
    let publish = format!(r#"{{"type":"publish","channel":"c","data":"{data}"}}"#);
    let flood = masked(0xC1, &deflate(publish.as_bytes())).repeat(30);
    assert!(flood.len() < 16_000);
    let mut strangers: Vec<_> = (0..100).map(|_| daemon.open("/", OFFER)).collect();
    let before = served_before_the_witness(&daemon, &mut strangers, &flood);
    assert!(before < 500, "{before} of 3,000 were served before");
}

/// A compressed text message in two frames.
fn in_fragments(plain: &[u8]) -> Vec<u8> {
    let bytes = deflate(plain);
    let (one, other) = bytes.split_at(bytes.len() / 2);
    [masked(0x41, one), masked(0x80, other)].concat()
}

#[test]
fn a_small_request_does_not_wait_for_one_message_each_that_others_compressed_in_fragments() {
    let daemon = Daemon::start(&[]);
    let data = "1".repeat(60_000);
    let publish = format!(r#"{{"type":"publish","channel":"c","data":"{data}"}}"#);
    let flood = in_fragments(publish.as_bytes());
    let mut strangers: Vec<_> = (0..100).map(|_| daemon.open("/", OFFER)).collect();
    let before = served_before_the_witness(&daemon, &mut strangers, &flood);
    assert!(before < 50, "{before} of 100 were served before");
}

#[test]
fn a_small_request_does_not_wait_for_what_others_sent_much_of() {
    let daemon = Daemon::start(&[]);
    let publish = masked(0x81, br#"{"type":"publish","channel":"c","data":1}"#);
    let flood = publish.repeat(1_300);
    let mut strangers: Vec<_> = (0..100).map(|_| daemon.connect()).collect();
    let before = served_before_the_witness(&daemon, &mut strangers, &flood);
    assert!(before < 30_000, "{before} of 130,000 were served before");
}

#[test]
fn requests_that_wait_for_their_turn_are_all_answered_in_order() {
    let daemon = Daemon::start(&[]);
    let pad = "0".repeat(20_000);
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = daemon.open("/", OFFER);
        client.frame();
        let mut frames = Vec::new();
        for id in 0..200 {
            let request = format!(r#"{{"type":"ping","id":{id},"pad":"{pad}"}}"#);
            // Long and compressed, that in fragments, short and compressed, and as they are.
            frames.extend(match id % 4 {
                3 => in_fragments(request.as_bytes()),
                0 => masked(0xC1, &deflate(request.as_bytes())),
                1 => masked(0xC1, &deflate(request.replace(&pad, "").as_bytes())),
                _ => masked(0x81, request.replace(&pad, "").as_bytes()),
            });
        }
        clients.push((client, frames));
    }
    daemon.stop();
    for (client, frames) in &mut clients {
        client.send(frames);
    }
    daemon.signal("CONT");
    for (client, _) in &mut clients {
        for id in 0..200 {
            assert_eq!(member(&client.text(), "id"), id.to_string());
        }
    }
    let mut posting = daemon.raw();
    let posts =
        "POST /channels/c HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n1".repeat(500);
    let last = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    posting
        .write_all((posts + last).as_bytes())
        .expect("the posts go out");
    let answers = read_to_end(&mut posting);
    assert_eq!(answers.matches("HTTP/1.1 201 ").count(), 500);
}

/// Sends `bytes` in two pieces, the second when the daemon has had the first.
fn send_in_two(daemon: &Daemon, client: &mut Client, bytes: &[u8]) {
    let (one, other) = bytes.split_at(bytes.len() / 2);
    client.send(one);
    settle(&mut daemon.connect());
    client.send(other);
}

#[test]
fn a_client_that_sends_a_message_in_two_pieces_does_not_pay_for_strangers_that_never_finish_theirs()
{
    let daemon = Daemon::start(&["--input-total", "1MiB"]);
    let mut publisher = daemon.connect();
    let half = &masked(0x81, &[b'a'; 60_000])[..59_000];
    let mut strangers: Vec<_> = (0..40).map(|_| daemon.connect()).collect();
    for stranger in &mut strangers {
        stranger.send(half);
    }
    for data in [1, 3_000, 30_000, 60_000].map(|len| "1".repeat(len)) {
        let publish = format!(r#"{{"type":"publish","id":1,"channel":"c","data":"{data}"}}"#);
        send_in_two(&daemon, &mut publisher, &masked(0x81, publish.as_bytes()));
        let reply = publisher.text();
        assert_eq!(member(&reply, "type"), r#""published""#, "{reply}");
    }
    // Those who had come first had to go.
    for stranger in &mut strangers[..20] {
        assert_eq!(stranger.close().0, 1013);
    }
}

#[test]
fn a_client_that_posts_in_two_pieces_does_not_pay_for_strangers_either_and_they_get_503() {
    let daemon = Daemon::start(&["--input-total", "1MiB"]);
    let head = "POST /channels/c HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n";
    let half = format!("{head}{}", "1".repeat(59_000));
    let mut strangers: Vec<_> = (0..40).map(|_| daemon.raw()).collect();
    for stranger in &mut strangers {
        stranger.write_all(half.as_bytes()).expect("it goes out");
    }
    for data in [10, 3_000, 30_000].map(|len| format!("\"{}\"", "1".repeat(len))) {
        let mut stream = daemon.raw();
        let head = "POST /channels/c HTTP/1.1\r\nHost: localhost\r\n";
        let post = format!("{head}Content-Length: {}\r\n\r\n{data}", data.len());
        let (one, other) = post.split_at(post.len() / 2);
        stream.write_all(one.as_bytes()).expect("it goes out");
        settle(&mut daemon.connect());
        stream.write_all(other.as_bytes()).expect("it goes out");
        let answer = read_answer(&mut stream);
        assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    }
    for stranger in &mut strangers[..20] {
        let answer = read_answer(stranger);
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.contains("\r\nRetry-After: "), "{answer}");
    }
}

#[test]
fn everybody_may_hold_a_little_however_much_all_hold_together() {
    let mut daemon = Daemon::start(&["--input-total", "64KiB"]);
    let whole = masked(0x81, format!("\"{}\"", "a".repeat(3_000)).as_bytes());
    let mut clients: Vec<_> = (0..100).map(|_| daemon.connect()).collect();
    for client in &mut clients {
        client.send(&whole[..2_900]);
    }
    daemon.wait_for_sum("half-read bytes", |bytes| bytes >= 290_000);
    for client in &mut clients {
        client.send(&whole[2_900..]);
        assert_eq!(member(&client.text(), "type"), r#""error""#);
    }
    daemon.wait_for_sum("half-read bytes", |bytes| bytes == 0);
}

#[test]
fn a_client_that_asks_without_reading_makes_room_before_one_that_waits_for_its_message() {
    let mut daemon = Daemon::start(&["--input-total", "1MiB", "--outbox", "4KiB"]);
    let mut publisher = daemon.connect();
    let asks = masked(0x81, br#"{"type":"ping","id":"0123456789"}"#).repeat(8_000);
    let strangers: Vec<_> = (0..60).map(|_| daemon.connect()).collect();
    let senders: Vec<_> = strangers
        .iter()
        .map(|stranger| {
            let mut writer = stranger.stream.try_clone().expect("it can be cloned");
            let asks = asks.clone();
            // Until it is closed, or the daemon is gone.
            std::thread::spawn(move || (0..100).all(|_| writer.write_all(&asks).is_ok()))
        })
        .collect();
    daemon.wait_for_sum("half-read bytes", |bytes| bytes >= 200_000);
    for _ in 0..20 {
        let data = "1".repeat(30_000);
        let publish = format!(r#"{{"type":"publish","id":1,"channel":"c","data":"{data}"}}"#);
        send_in_two(&daemon, &mut publisher, &masked(0x81, publish.as_bytes()));
        let reply = publisher.text();
        assert_eq!(member(&reply, "type"), r#""published""#, "{reply}");
    }
    drop(daemon);
    for sender in senders {
        sender.join().expect("no panic");
    }
}
