//! The client library on its way to a connection: what servers and proxies answer, zones, unix sockets.

mod common;

use std::fmt::Display;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use common::fake::{key, listen};
use common::{Daemon, PATIENCE};
use fanfare::client::{
    Client, ClientError, ConnectError, Connector, Event, Message, Reconnect, Start, Timeouts,
    WebSocket,
};

/// Answers one connection after the other, each with one of `answers`, and holds it open until the client has gone.
fn server(listener: TcpListener, answers: &'static [&'static str]) -> JoinHandle<()> {
    thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().expect("a connection");
            stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            common::read_head(&mut stream);
            // A client that has read enough may be gone.
            let _ = stream.write_all(answer.as_bytes());
            outlast(&mut stream);
        }
    })
}

fn outlast(stream: &mut TcpStream) {
    // However the client goes, by an end or a reset.
    let _ = std::io::copy(stream, &mut std::io::sink());
}

/// What a client says to a server that answers so.
fn refused(answers: &'static [&'static str]) -> Vec<String> {
    let (listener, url) = listen();
    let server = server(listener, answers);
    // Only a body that does not end is waited for, and much less long.
    let timeouts = Timeouts {
        handshake: Duration::MAX,
        ..Timeouts::default()
    };
    let connector = Connector::new(&url).expect("a URL").timeouts(timeouts);
    let errors = answers
        .iter()
        .map(|_| connector.client().err().expect("a refusal").to_string())
        .collect();
    server.join().expect("no panic");
    errors
}

#[test]
fn interim_answers_before_the_handshakes_are_skipped() {
    let (listener, url) = listen();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let key = key(&common::read_head(&mut stream));
        let mut answer = format!(
            "HTTP/1.1 100 Continue\r\n\r\n\
             HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n\
             HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {key}\r\n\r\n"
        )
        .into_bytes();
        answer.extend_from_slice(b"\x81\x02hi");
        stream.write_all(&answer).expect("it goes out");
        outlast(&mut stream);
    });
    let mut socket = WebSocket::connect(&url).expect("a WebSocket");
    let message = socket.receive().expect("what came with the answer");
    assert_eq!(message, Message::Text("hi".to_owned()));
    drop(socket);
    server.join().expect("no panic");
}

#[test]
fn what_refuses_is_shown_short_decoded_and_without_anything_that_a_terminal_obeys() {
    let errors = refused(&[
        "HTTP/1.1 502 Bad Gateway\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nBad \r\n7\r\nGateway\r\n0\r\n\r\n",
        "HTTP/1.1 503 \u{1b}[31mBusy\r\nContent-Length: 9\r\n\r\n\u{1b}[2J\r\n\r\nx",
        // It never ends, and neither does the connection.
        "HTTP/1.1 404 Not Found\r\n\r\nnot here",
        "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nnot here",
        "HTTP/1.1 302 Found\r\nLocation: https://h/\r\nContent-Length: 5\r\n\r\na page",
    ]);
    let status = "the server answered with status";
    assert_eq!(
        errors[0],
        format!("{status} 502 instead of 101: Bad Gateway")
    );
    // An escape in the reason phrase is no HTTP at all.
    assert!(!errors[1].contains('\u{1b}'), "{:?}", errors[1]);
    assert_eq!(errors[2], format!("{status} 404 instead of 101: not here"));
    assert_eq!(errors[3], errors[2]);
    assert_eq!(
        errors[4],
        "the server redirects to https://h/ (status 302), and this client does not follow redirects by itself"
    );
}

#[test]
fn interim_answers_a_head_and_a_body_without_end_are_bounded() {
    for endless in [
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 200 OK\r\n",
        "X: y\r\n",
    ] {
        let (listener, url) = listen();
        let flood = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
            common::read_head(&mut stream);
            if endless.starts_with('X') {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            }
            let piece = endless.repeat(1000);
            // Far more than the buffers of both sides take: it goes out whole only if all of it is read.
            let written = (0..10_000).take_while(|_| stream.write_all(piece.as_bytes()).is_ok());
            assert!(written.count() < 10_000);
        });
        let error = Client::connect(&url).err().expect("no WebSocket");
        assert!(!error.comes_back(), "{error}");
        flood.join().expect("no panic");
    }
}

/// The events until the client is there again, as they are shown; what else may come in between is left out.
fn come_back(client: &mut Client) -> Vec<String> {
    let mut shown = Vec::new();
    for _ in 0..1000 {
        match client.next().expect("an event").expect("no end") {
            Event::Reconnecting { cause, .. } => shown.push(cause.to_string()),
            Event::Reconnected => return shown,
            _ => {}
        }
    }
    panic!("it does not come back");
}

#[test]
fn after_a_connection_that_worked_what_a_proxy_says_of_a_restart_is_waited_out_and_shown_once() {
    let daemon = Daemon::start(&[]);
    let address = daemon.address;
    let connector = Connector::new(&format!("ws://{address}"))
        .expect("a URL")
        .reconnect(Reconnect {
            first: Duration::from_millis(1),
            max: Duration::from_millis(10),
            ..Reconnect::default()
        });
    let mut client = connector.client().expect("the daemon takes it");
    client.subscribe("c", Start::Live).expect("no refusal");
    drop(daemon);
    let proxy = TcpListener::bind(address).expect("the port is free again");
    let page = "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 6\r\n\r\na page";
    let answers: &[&str] = Vec::leak(vec![
        page,
        page,
        "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nback",
        "HTTP/1.1 302 Found\r\nLocation: /sorry\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nsoon",
    ]);
    let proxy = thread::spawn(move || {
        server(proxy, answers).join().expect("no panic");
        Daemon::start_at(&address.to_string(), &[])
    });
    let shown = come_back(&mut client);
    let _daemon = proxy.join().expect("no panic");
    let of_proxy: Vec<_> = shown
        .iter()
        .filter(|cause| cause.contains("status"))
        .collect();
    let status = |status: u16| format!("the server answered with status {status} instead of 101");
    assert_eq!(
        of_proxy,
        [
            &format!("{}: a page", status(502)),
            &status(502),
            &status(404),
            &status(403),
            &format!("{}: back", status(200)),
            "the server redirects to /sorry (status 302), and this client does not follow redirects by itself",
            &format!("{}: soon", status(503)),
        ]
    );
    client.publish("c", "1").expect("the daemon is there");
}

#[test]
fn after_a_connection_that_worked_an_answer_that_will_not_change_ends_the_client() {
    let daemon = Daemon::start(&[]);
    let address = daemon.address;
    let mut client = Client::connect(&format!("ws://{address}")).expect("the daemon takes it");
    drop(daemon);
    let proxy = TcpListener::bind(address).expect("the port is free again");
    let proxy = server(
        proxy,
        &["HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"],
    );
    let end = (0..1000).find_map(|_| client.next().expect("an event").err());
    assert!(
        matches!(&end, Some(ClientError::Over(cause)) if cause.to_string().contains("401")),
        "{end:?}"
    );
    proxy.join().expect("no panic");
}

/// A path for a socket of this test's own.
fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("fanfare-{}-{name}.sock", std::process::id()))
}

#[test]
fn a_client_speaks_over_a_unix_socket_and_comes_back_there() {
    let path = path("client");
    let url = format!("unix:{}", path.display());
    let missing = Client::connect(&url).err().expect("nobody is there");
    assert!(missing.comes_back() && matches!(missing, ConnectError::Unix { .. }));
    assert!(missing.to_string().starts_with(&path.display().to_string()));
    let daemon = Daemon::start(&["--listen", &url]);
    let mut client = Client::connect(&url).expect("the daemon takes it");
    client.subscribe("c", Start::Live).expect("no refusal");
    client.publish("c", "1").expect("no refusal");
    drop(daemon);
    // The daemon was killed, and its socket lies there still.
    let _ = std::fs::remove_file(&path);
    let _daemon = Daemon::start(&["--listen", &url]);
    come_back(&mut client);
    client.publish("c", "2").expect("no refusal");
    client.close().expect("nothing was left to send");
    let _ = std::fs::remove_file(&path);
}

#[test]
fn a_unix_socket_is_asked_for_a_path_of_http_and_its_host_is_localhost() {
    let path = path("path");
    let url = format!("unix:{}:/echo", path.display());
    let _daemon = Daemon::start(&["--echo", "--listen", &format!("unix:{}", path.display())]);
    let mut socket = WebSocket::connect(&url).expect("the daemon takes it");
    socket.send_text("hello").expect("it goes out");
    let message = socket.receive().expect("it comes back");
    assert_eq!(message, Message::Text("hello".to_owned()));
    std::fs::remove_file(&path).expect("it was there");
}

#[test]
fn an_address_may_have_a_zone_which_is_not_sent() {
    // Not every machine has IPv6.
    let Ok(listener) = TcpListener::bind("[::1]:0") else {
        return;
    };
    let port = listener.local_addr().expect("an address").port();
    let heads = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        common::read_head(&mut stream)
    });
    // The loopback interface has number 1.
    let error = WebSocket::connect(&format!("ws://[::1%1]:{port}/x")).err();
    assert!(matches!(
        error,
        Some(ConnectError::NoAnswer | ConnectError::Broken(_))
    ));
    let head = heads.join().expect("no panic");
    assert!(
        head.contains(&format!("\r\nHost: [::1]:{port}\r\n")),
        "{head}"
    );
    let unknown = WebSocket::connect("ws://[fe80::1%no-such-interface]:1/").err();
    assert!(
        matches!(unknown, Some(ConnectError::Resolve(_))),
        "{}",
        show(&unknown)
    );
}

fn show(error: &Option<impl Display>) -> String {
    error.as_ref().map(ToString::to_string).unwrap_or_default()
}
