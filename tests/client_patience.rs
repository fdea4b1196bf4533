//! The client library with timeouts as long as a `Duration` can be: they never pass, and nothing else is different.

mod common;

use std::io::Write;
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use common::{Daemon, PATIENCE};
use fanfare::client::{Connector, Event, Message, Reconnect, Start, Timeouts};

/// Waits for ever, at each step.
fn patient(url: &str) -> Connector {
    let timeouts = Timeouts {
        resolve: Duration::MAX,
        connect: Duration::MAX,
        handshake: Duration::MAX,
        write: Duration::MAX,
        answer: Duration::MAX,
        close: Duration::MAX,
    };
    let reconnect = Reconnect {
        first: Duration::MAX,
        max: Duration::MAX,
        settled_after: Duration::MAX,
        retry_after_max: Duration::MAX,
        give_up_after: Some(Duration::MAX),
    };
    Connector::new(url)
        .expect("a good URL")
        .timeouts(timeouts)
        .reconnect(reconnect)
        .ping_after(Duration::MAX)
}

#[test]
fn a_client_that_would_wait_for_ever_subscribes_publishes_and_closes() {
    let daemon = Daemon::start(&[]);
    let url = format!("ws://localhost:{}", daemon.address.port());
    let mut client = patient(&url).client().expect("the daemon takes it");
    client.subscribe("c", Start::Live).expect("no refusal");
    client.publish("c", "1").expect("no refusal");
    let event = client.next().expect("an event").expect("no end");
    assert!(matches!(event, Event::Message { seq: 1, .. }), "{event:?}");
    client.close().expect("nothing was left to send");
}

#[test]
fn a_websocket_that_would_wait_for_ever_closes_and_is_closed() {
    let daemon = Daemon::start(&["--echo"]);
    let url = format!("ws://{}/echo", daemon.address);
    let mut socket = patient(&url).websocket().expect("the daemon takes it");
    socket
        .set_timeout(Some(Duration::MAX))
        .expect("it can wait for ever");
    socket.send_text("echo").expect("it goes out");
    let message = socket.receive().expect("it comes back");
    assert_eq!(message, Message::Text("echo".to_owned()));
    socket.close().expect("the daemon closes, too");
    // The daemon ends, and this side reads on to the end of the stream.
    let mut socket = patient(&url).websocket().expect("the daemon takes it");
    daemon.signal("TERM");
    assert!(socket.receive().is_err(), "the daemon's close");
}

#[test]
fn a_client_that_is_asked_to_stay_away_for_ever_waits_and_can_be_closed_meanwhile() {
    let daemon = Daemon::start(&[]);
    let reconnect = Reconnect {
        first: Duration::from_millis(1),
        retry_after_max: Duration::MAX,
        ..Reconnect::default()
    };
    let connector = patient(&format!("ws://{}", daemon.address)).reconnect(reconnect);
    let mut client = connector.client().expect("the daemon takes it");
    let address = daemon.address;
    drop(daemon);
    let busy = thread::spawn(move || {
        let listener = TcpListener::bind(address).expect("the port is free again");
        let (mut stream, _) = listener.accept().expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        common::read_head(&mut stream);
        let retry_after = u64::MAX;
        let busy =
            format!("HTTP/1.1 503 Busy\r\nRetry-After: {retry_after}\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(busy.as_bytes()).expect("it goes out");
    });
    let centuries = Duration::from_secs(1 << 40);
    loop {
        match client.next().expect("an event").expect("no end") {
            Event::Reconnecting { wait, .. } if wait > centuries => break,
            Event::Reconnecting { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    busy.join().expect("no panic");
    let closer = client.closer();
    let rest = thread::spawn(move || client.count());
    closer.close();
    assert_eq!(rest.join().expect("no panic"), 0);
}
