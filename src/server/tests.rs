//! The loop on a transport that keeps bytes as TLS does: what is said over it is what is said over a bare socket.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

use super::*;
use crate::client::{Client, Event, Start};
use crate::config::Listen;
use crate::limit::Limit;
use crate::transport::withholding::veil;

/// A daemon whose transports keep bytes, and before it a relay that takes their veil off. Both live as long as the tests do.
fn daemon() -> SocketAddr {
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = Config {
        listen: vec![Listen::Tcp(address)],
        admin: None,
        // So that nothing is lapped however slowly it is read, and sockets are full often.
        policy: crate::hub::Policy {
            retain_bytes: Limit::NONE,
            ..Config::default().policy
        },
        send_buffer: Some(4096),
        ..Config::default()
    };
    let (tell, told) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let mut server = Server::new(config, GivenSockets::default()).expect("a daemon starts");
        server.accepting.withholds = true;
        let name = server.accepting.listeners[0].name.clone();
        tell.send(name).expect("the test waits for it");
        server.turn_until_ended();
    });
    let name = told.recv().expect("the daemon says its address");
    let daemon = name.strip_prefix("ws://").expect("it is a TCP address");
    let daemon: SocketAddr = daemon.parse().expect("an address");
    let unveiler = TcpListener::bind(address).expect("a free port");
    let address = unveiler.local_addr().expect("it is bound");
    thread::spawn(move || {
        for client in unveiler.incoming().map_while(Result::ok) {
            let server = TcpStream::connect(daemon).expect("the daemon listens");
            for (from, to) in [(&client, &server), (&server, &client)] {
                let from = from.try_clone().expect("a second handle");
                let to = to.try_clone().expect("a second handle");
                thread::spawn(move || relay(from, to));
            }
        }
    });
    address
}

fn relay(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 5000];
    while let Ok(len) = from.read(&mut buffer)
        && len > 0
    {
        veil(&mut buffer[..len]);
        if to.write_all(&buffer[..len]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

#[test]
fn on_a_transport_that_keeps_bytes_every_message_arrives_once_and_in_order() {
    const MESSAGES: usize = 100;
    let url = format!("ws://{}", daemon());
    let mut subscriber = Client::connect(&url).expect("it connects");
    subscriber
        .subscribe("large", Start::Live)
        .expect("it subscribes");
    let publishing = thread::spawn(move || {
        let mut publisher = Client::connect(&url).expect("it connects");
        for n in 0..MESSAGES {
            let data = format!("\"{n} {}\"", "x".repeat(50_000));
            publisher.publish("large", &data).expect("it is published");
        }
    });
    for n in 0..MESSAGES {
        let event = subscriber.next().expect("an event").expect("no error");
        let Event::Message { seq, data, .. } = event else {
            panic!("{event:?}");
        };
        assert_eq!(seq, n as u64 + 1);
        assert_eq!(data.len(), 50_003 + n.to_string().len());
    }
    publishing.join().expect("all were published");
}

#[test]
fn on_a_transport_that_keeps_bytes_the_end_is_said_after_all_that_was_taken() {
    let mut stream = TcpStream::connect(daemon()).expect("it connects");
    // More answers than the sockets hold, which nobody reads until the last was asked for.
    let page = b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n";
    let mut requests = page.repeat(2_000);
    requests.extend_from_slice(
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    );
    let mut asking = stream.try_clone().expect("a second handle");
    let asking = thread::spawn(move || asking.write_all(&requests).expect("all is asked for"));
    let mut answers = Vec::new();
    stream
        .read_to_end(&mut answers)
        .expect("the end is orderly");
    asking.join().expect("all was asked for");
    let answered = String::from_utf8(answers).expect("text");
    let last = answered.rsplit("HTTP/1.1 ").next();
    assert_eq!(
        answered.matches("HTTP/1.1 200 OK").count(),
        2_001,
        "{last:?}"
    );
    assert!(answered.ends_with("ok\n"), "{last:?}");
}

#[test]
fn newcomers_wait_in_the_kernel_while_another_process_is_about_to_accept_them() {
    let config = Config {
        listen: vec![Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)))],
        admin: None,
        ..Config::default()
    };
    let mut server = Server::new(config, GivenSockets::default()).expect("a daemon starts");
    assert!(!server.accepting.rest(), "nobody waits for a seat");
    let name = server.accepting.listeners[0].name.clone();
    let address = name.strip_prefix("ws://").expect("it is a TCP address");
    let _newcomer = TcpStream::connect(address).expect("the kernel accepts");
    let mut events = Events::with_capacity(16);
    while !server.accepting.listeners[0].ready {
        server.poll(&mut events, Some(Duration::from_secs(30)));
        server.turn(&mut events, false);
    }
    server.turn(&mut events, false);
    assert_eq!(server.engine.connections.len(), 0);
    server.accepting.rests = false;
    server.turn(&mut events, false);
    assert_eq!(server.engine.connections.len(), 1);
}
