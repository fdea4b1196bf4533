//! A stopped daemon judges nobody by the time during which it did not read.
//!
//! The only clock here is the stop itself: it lasts longer than any of the daemon's timeouts. What
//! is asserted is that nobody is closed for it, whenever the answers come.

mod common;

use std::io::Write;
use std::time::Duration;

use common::{Client, Daemon, handshake, masked, member, read_answer, read_head};

/// Stops the daemon, does `meanwhile`, and lets it go on when a timeout is over.
fn stop_while(daemon: &Daemon, timeout: Duration, meanwhile: impl FnOnce()) {
    daemon.stop();
    meanwhile();
    std::thread::sleep(timeout + timeout / 4);
    daemon.signal("CONT");
}

fn is_alive(client: &mut Client) {
    client.send_text(r#"{"type":"ping","id":"alive"}"#);
    loop {
        let frame = client.frame();
        match frame.first {
            0x89 => client.send(&masked(0x8A, &frame.payload)),
            0x81 => {
                let text = String::from_utf8(frame.payload).expect("text is UTF-8");
                assert_eq!(member(&text, "id"), r#""alive""#, "{text}");
                return;
            }
            _ => panic!("closed: {frame:?}"),
        }
    }
}

#[test]
fn a_client_that_answered_its_ping_while_the_daemon_was_stopped_stays() {
    let daemon = Daemon::start(&["--ping-interval", "2s", "--ping-timeout", "5s"]);
    // More than one poll tells of.
    let mut clients: Vec<_> = (0..1_100).map(|_| daemon.connect()).collect();
    let mut silent = daemon.connect();
    for client in &mut clients {
        assert_eq!(client.frame().first, 0x89, "a ping");
    }
    stop_while(&daemon, Duration::from_secs(5), || {
        for client in &mut clients {
            client.send(&masked(0x8A, b""));
        }
    });
    for client in &mut clients {
        is_alive(client);
    }
    // A client that says nothing at all is closed still.
    assert_eq!(silent.close().0, 1011);
}

#[test]
fn messages_and_requests_that_became_whole_while_the_daemon_was_stopped_are_not_late() {
    let daemon = Daemon::start(&["--message-timeout", "2s", "--handshake-timeout", "2s"]);
    let ask = masked(0x81, br#"{"type":"ping","id":"alive"}"#);
    let post = "POST /channels/c HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n1234";
    let upgrade = handshake("/", "");
    let mut clients: Vec<_> = (0..100).map(|_| daemon.connect()).collect();
    let mut posts: Vec<_> = (0..100).map(|_| daemon.raw()).collect();
    let mut upgrades: Vec<_> = (0..100).map(|_| daemon.raw()).collect();
    let half = |stream: &mut std::net::TcpStream, bytes: &[u8]| {
        stream.write_all(bytes).expect("half of it goes out");
    };
    for ((client, post_to), upgrading) in clients.iter_mut().zip(&mut posts).zip(&mut upgrades) {
        half(&mut client.stream, &ask[..9]);
        half(post_to, &post.as_bytes()[..post.len() - 2]);
        half(upgrading, &upgrade.as_bytes()[..40]);
    }
    is_alive(&mut daemon.connect());
    stop_while(&daemon, Duration::from_secs(2), || {
        for client in &mut clients {
            half(&mut client.stream, &ask[9..]);
        }
        for stream in &mut posts {
            half(stream, &post.as_bytes()[post.len() - 2..]);
        }
        for stream in &mut upgrades {
            half(stream, &upgrade.as_bytes()[40..]);
        }
    });
    for client in &mut clients {
        assert_eq!(client.text(), r#"{"type":"pong","id":"alive"}"#);
    }
    for stream in &mut posts {
        let answer = read_answer(stream);
        assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    }
    for stream in &mut upgrades {
        let head = read_head(stream);
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    }
}
