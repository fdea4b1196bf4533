//! The daemon behind TLS, over real sockets, to rustls' client.

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use common::tls::{Authority, Stream, connect};
use common::{Daemon, PATIENCE, handshake, masked, read_answer};

/// A daemon with a TLS port beside its plain one, and the address of that.
fn start(authority: &Authority, arguments: &[&str]) -> (Daemon, SocketAddr) {
    let (cert, key) = (authority.path("server.pem"), authority.path("server.key"));
    let mut all = vec!["--listen-tls", "127.0.0.1:0"];
    all.extend(["--tls-cert", &cert, "--tls-key", &key]);
    all.extend(arguments);
    let mut daemon = Daemon::start(&all);
    let address = daemon.tls_address();
    (daemon, address)
}

/// An authority with a certificate for the daemon.
fn authority() -> Authority {
    let authority = Authority::new();
    authority.certify("server", &["localhost"], 1);
    authority
}

/// Asks whether the daemon is well; what it answers, or the error.
fn ask_health(mut stream: Stream) -> std::io::Result<String> {
    let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn assert_well(stream: Stream) {
    let answer = ask_health(stream).expect("an answer, and an end with close_notify");
    assert!(answer.ends_with("\r\n\r\nok\n"), "{answer}");
}

/// The next text message of a WebSocket.
fn text(stream: &mut Stream) -> String {
    let mut head = [0; 2];
    stream.read_exact(&mut head).expect("a frame");
    assert_eq!(head[0], 0x81, "a text message");
    let len = match head[1] {
        126 => {
            let mut len = [0; 2];
            stream.read_exact(&mut len).expect("a length");
            usize::from(u16::from_be_bytes(len))
        }
        len => usize::from(len),
    };
    let mut payload = vec![0; len];
    stream.read_exact(&mut payload).expect("a payload");
    String::from_utf8(payload).expect("UTF-8")
}

/// A WebSocket that was welcomed.
fn open(mut stream: Stream) -> Stream {
    let request = handshake("/", "");
    stream.write_all(request.as_bytes()).expect("it goes out");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("an answer");
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
    assert!(text(&mut stream).starts_with(r#"{"type":"welcome""#));
    stream
}

fn say(stream: &mut Stream, message: &str) {
    let frame = masked(0x81, message.as_bytes());
    stream.write_all(&frame).expect("it goes out");
}

#[test]
fn what_is_published_over_a_plain_socket_arrives_over_tls_and_the_other_way_round() {
    let authority = authority();
    let (daemon, address) = start(&authority, &[]);
    let mut inside = open(connect(address, "localhost", authority.client(None)));
    assert_eq!(inside.conn.alpn_protocol(), None, "it was not asked for");
    say(&mut inside, r#"{"type":"subscribe","id":1,"channel":"c"}"#);
    assert!(text(&mut inside).contains(r#""type":"subscribed""#));
    let mut plain = daemon.connect();
    plain.ask(r#"{"type":"publish","id":1,"channel":"c","data":"from outside"}"#);
    assert!(text(&mut inside).contains(r#""data":"from outside""#));

    plain.ask(r#"{"type":"subscribe","id":2,"channel":"d"}"#);
    // Longer than a record.
    let long = "x".repeat(40_000);
    let message = format!(r#"{{"type":"publish","id":2,"channel":"d","data":"{long}"}}"#);
    say(&mut inside, &message);
    assert!(plain.text().contains(&long));
}

#[test]
fn a_client_may_ask_for_http_1_1_and_for_nothing_else() {
    let authority = authority();
    let (_daemon, address) = start(&authority, &[]);
    let mut client = authority.client(None);
    client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut stream = connect(address, "localhost", client.clone());
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\n")
        .expect("it goes out");
    assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    client.alpn_protocols = vec![b"h2".to_vec()];
    ask_health(connect(address, "localhost", client)).expect_err("nobody speaks that");
}

#[test]
fn a_client_that_comes_again_shows_its_ticket() {
    let authority = authority();
    let (_daemon, address) = start(&authority, &[]);
    let client = authority.client(None);
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let mut stream = connect(address, "localhost", client.clone());
        let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request).expect("it goes out");
        stream.read_to_end(&mut Vec::new()).expect("an answer");
        kinds.push(stream.conn.handshake_kind());
    }
    let expected = [rustls::HandshakeKind::Full, rustls::HandshakeKind::Resumed];
    assert_eq!(kinds, expected.map(Some));
}

#[test]
fn the_page_for_those_who_came_over_tls_says_wss() {
    let authority = authority();
    let (daemon, address) = start(&authority, &[]);
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut stream = connect(address, "localhost", authority.client(None));
    stream.write_all(request.as_bytes()).expect("it goes out");
    let mut page = String::new();
    stream.read_to_string(&mut page).expect("an answer");
    assert!(
        page.contains("wss://localhost") && !page.contains("ws://localhost"),
        "{page}"
    );
    let plain = daemon.exchange(request.as_bytes());
    assert!(
        plain.contains("ws://localhost") && !plain.contains("wss://"),
        "{plain}"
    );
}

/// A request in plain HTTP, whose answer is to come.
fn get(address: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("the daemon accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it goes out");
    stream
}

#[test]
fn plain_http_at_a_tls_port_is_told_so_and_harms_nobody() {
    let authority = authority();
    let (_daemon, address) = start(&authority, &[]);
    let mut inside = open(connect(address, "localhost", authority.client(None)));
    let mut stranger = get(address, "/");
    let mut answer = String::new();
    stranger
        .read_to_string(&mut answer)
        .expect("an orderly end");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("https://"), "{answer}");
    say(&mut inside, r#"{"type":"ping","id":1}"#);
    assert!(text(&mut inside).contains(r#""pong""#));
}

#[test]
fn a_client_gets_the_certificate_for_the_name_that_it_asks_for() {
    let authority = authority();
    authority.certify("chat", &["chat.example", "*.chat.example"], 2);
    let config = format!(
        "[[tls]]\ncert = {:?}\nkey = {:?}\n",
        authority.path("chat.pem"),
        authority.path("chat.key")
    );
    authority.write("fanfare.toml", &config);
    let file = authority.path("fanfare.toml");
    let (_daemon, address) = start(&authority, &["--config", &file]);
    for name in ["localhost", "chat.example", "a.chat.example"] {
        assert_well(connect(address, name, authority.client(None)));
    }
    let strange = connect(address, "strange.example", authority.client(None));
    let error = ask_health(strange).expect_err("the certificate is for localhost");
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
}

#[test]
fn a_hangup_signal_brings_a_new_certificate_and_a_bad_file_keeps_the_old_one() {
    let authority = authority();
    let (mut daemon, address) = start(&authority, &[]);
    let mut inside = open(connect(address, "localhost", authority.client(None)));
    authority.certify("server", &["renewed.example"], 2);
    daemon.signal("HUP");
    daemon.wait_for_log("were read again");
    let renewed = || connect(address, "renewed.example", authority.client(None));
    assert_well(renewed());

    authority.write("server.pem", "nothing of use\n");
    daemon.signal("HUP");
    let line = daemon.wait_for_log("has no certificate");
    assert!(
        line.contains("server.pem") && line.contains("WARN"),
        "{line}"
    );
    assert_well(renewed());
    say(&mut inside, r#"{"type":"ping","id":1}"#);
    assert!(text(&mut inside).contains(r#""pong""#));
}

#[test]
fn a_certificate_that_changes_is_read_without_being_told() {
    let authority = authority();
    let (mut daemon, address) = start(&authority, &[]);
    authority.certify("server", &["renewed.example"], 2);
    daemon.wait_for_log("a file has changed: the files for TLS were read again");
    assert_well(connect(address, "renewed.example", authority.client(None)));
}

#[test]
fn a_handshake_that_is_not_over_in_time_is_ended() {
    let authority = authority();
    let (mut daemon, address) = start(
        &authority,
        &["--handshake-timeout", "300ms", "--log", "debug"],
    );
    // Nothing, half of a hello, and a hello without what has to follow.
    let mut hello = Vec::new();
    let mut client = connect(address, "localhost", authority.client(None));
    client.conn.write_tls(&mut hello).expect("a hello");
    for said in [&[][..], &hello[..hello.len() / 2], &hello] {
        let mut stream = TcpStream::connect(address).expect("the daemon accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.write_all(said).expect("it goes out");
        stream.read_to_end(&mut Vec::new()).expect("an orderly end");
        daemon.next_log("no request came in time");
    }
}

#[test]
fn beyond_the_limit_of_handshakes_the_one_that_waits_longest_makes_room() {
    let authority = authority();
    let limits = ["--max-handshakes", "2", "--handshake-timeout", "0"];
    let (_daemon, address) = start(&authority, &limits);
    let silent = || {
        let stream = TcpStream::connect(address).expect("the daemon accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream
    };
    let (mut first, mut second) = (silent(), silent());
    assert_well(connect(address, "localhost", authority.client(None)));
    assert_eq!(first.read(&mut [0]).expect("an end"), 0);
    assert_well(connect(address, "localhost", authority.client(None)));
    // There was room for that one: a handshake that is over counts no more.
    let third = silent();
    assert_well(connect(address, "localhost", authority.client(None)));
    assert_eq!(second.read(&mut [0]).expect("an end"), 0);
    drop(third);
}

#[test]
fn a_client_needs_a_certificate_where_it_is_required_and_a_revoked_one_is_refused() {
    let authority = authority();
    authority.certify("alice", &["alice.example"], 7);
    authority.certify("mallory", &["mallory.example"], 8);
    authority.revoke("crl.pem", &[8]);
    let (ca, crl) = (authority.path("ca.pem"), authority.path("crl.pem"));
    let options = ["--tls-client-ca", &ca, "--tls-crl", &crl, "--log", "debug"];
    let (mut daemon, address) = start(&authority, &options);
    let ask = |own| ask_health(connect(address, "localhost", authority.client(own)));
    assert!(ask(Some("alice")).expect("she is known").ends_with("ok\n"));
    daemon.wait_for_log(r#"with the certificate of "alice.example""#);
    ask(None).expect_err("a certificate is required");
    daemon.wait_for_log("peer sent no certificates");
    ask(Some("mallory")).expect_err("it is revoked");
    daemon.wait_for_log("Revoked");
    let other = Authority::new();
    other.certify("eve", &["eve.example"], 9);
    let mut stranger = authority.client(None);
    stranger.client_auth_cert_resolver = other.client(Some("eve")).client_auth_cert_resolver;
    let strange = ask_health(connect(address, "localhost", stranger));
    strange.expect_err("nobody knows that authority");

    // A ticket from before is of no use to one that was revoked since.
    let alice = authority.client(Some("alice"));
    assert_well(connect(address, "localhost", alice.clone()));
    authority.revoke("crl.pem", &[7, 8]);
    daemon.signal("HUP");
    daemon.wait_for_log("were read again");
    ask_health(connect(address, "localhost", alice)).expect_err("it is revoked");
}

#[test]
fn a_handshake_that_fails_is_counted_and_one_that_does_not_is_not() {
    let authority = authority();
    authority.certify("alice", &["alice.example"], 7);
    let ca = authority.path("ca.pem");
    let options = ["--tls-client-ca", &ca, "--admin", "127.0.0.1:0"];
    let (mut daemon, address) = start(&authority, &options);
    let admin = daemon.admin_address();
    let scrape = || {
        let mut stream = get(admin, "/metrics");
        read_answer(&mut stream)
    };
    assert_well(connect(
        address,
        "localhost",
        authority.client(Some("alice")),
    ));
    let metrics = scrape();
    assert!(!metrics.contains(r#"{reason="tls"}"#), "{metrics}");

    let nameless = connect(address, "localhost", authority.client(None));
    ask_health(nameless).expect_err("a certificate is required");
    read_answer(&mut get(address, "/"));
    let metrics = scrape();
    let row = r#"fanfare_handshakes_refused_total{reason="tls"} 2"#;
    assert!(metrics.contains(row), "{metrics}");
}

#[test]
fn after_a_reload_whoever_shows_a_certificate_that_was_revoked_is_closed_with_4401() {
    let authority = authority();
    authority.certify("alice", &["alice.example"], 7);
    authority.certify("bob", &["bob.example"], 8);
    authority.revoke("crl.pem", &[]);
    let rules = "[[allow]]\nwho = 'authenticated'\nsubscribe = ['c']\n";
    authority.write("fanfare.toml", rules);
    let (ca, crl) = (authority.path("ca.pem"), authority.path("crl.pem"));
    let file = authority.path("fanfare.toml");
    let options = ["--tls-client-ca", &ca, "--tls-crl", &crl, "--config", &file];
    let (daemon, address) = start(&authority, &options);
    let client = |own| connect(address, "localhost", authority.client(Some(own)));
    let (mut alice, mut bob) = (open(client("alice")), open(client("bob")));
    for stream in [&mut alice, &mut bob] {
        say(stream, r#"{"type":"subscribe","id":1,"channel":"c"}"#);
        assert!(text(stream).contains(r#""type":"subscribed""#));
    }
    // One that speaks HTTP, and stays open between its requests.
    let mut between = client("alice");
    let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    between.write_all(request).expect("it goes out");
    let mut answer = [0; 15];
    between.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 200 OK");

    authority.revoke("crl.pem", &[7]);
    daemon.signal("HUP");
    let mut close = [0; 4];
    alice.read_exact(&mut close).expect("a close");
    assert_eq!((close[0], &close[2..]), (0x88, &4401_u16.to_be_bytes()[..]));
    between
        .read_to_end(&mut Vec::new())
        .expect("an orderly end");
    say(&mut bob, r#"{"type":"ping","id":2}"#);
    assert!(text(&mut bob).contains(r#""pong""#));

    // Of another authority nobody is known.
    let other = Authority::new();
    let root = std::fs::read_to_string(other.path("ca.pem")).expect("a file");
    authority.write("ca.pem", &root);
    daemon.signal("HUP");
    let mut close = [0; 4];
    bob.read_exact(&mut close).expect("a close");
    assert_eq!((close[0], &close[2..]), (0x88, &4401_u16.to_be_bytes()[..]));
}

#[test]
fn a_client_may_come_without_a_certificate_where_it_is_optional() {
    let authority = authority();
    authority.certify("alice", &["alice.example"], 7);
    let ca = authority.path("ca.pem");
    let options = ["--tls-client-ca", &ca, "--tls-client", "optional"];
    let (_daemon, address) = start(&authority, &options);
    for own in [None, Some("alice")] {
        assert_well(connect(address, "localhost", authority.client(own)));
    }
}

#[test]
fn clients_are_asked_for_certificates_at_the_addresses_that_say_so() {
    let authority = authority();
    authority.certify("alice", &["alice.example"], 7);
    let ca = authority.path("ca.pem");
    let asking = "127.0.0.2:0";
    let mut options = vec!["--listen-tls", asking, "--tls-client-at", asking];
    options.extend(["--tls-client-ca", &ca, "--log", "debug"]);
    let (mut daemon, open_to_all) = start(&authority, &options);
    let line = daemon.wait_for_log("listening on wss://127.0.0.2:");
    let port = line
        .split("127.0.0.2:")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    let port = port.and_then(|port| port.parse().ok()).expect("a port");
    let asking = SocketAddr::from(([127, 0, 0, 2], port));

    // Who has a ticket from where nobody was asked is asked all the same.
    let client = authority.client(None);
    assert_well(connect(open_to_all, "localhost", client.clone()));
    ask_health(connect(asking, "localhost", client)).expect_err("one is required");
    let alice = authority.client(Some("alice"));
    assert_well(connect(asking, "localhost", alice.clone()));
    daemon.wait_for_log(r#"with the certificate of "alice.example""#);
    assert_well(connect(open_to_all, "localhost", alice));
}

#[test]
fn a_daemon_without_a_certificate_of_use_does_not_start_and_says_why() {
    let authority = authority();
    authority.write("bad.pem", "nothing of use\n");
    let (cert, key) = (authority.path("server.pem"), authority.path("server.key"));
    let bad = authority.path("bad.pem");
    for (arguments, why) in [
        (&[][..], "needs a certificate"),
        (&["--tls-cert", &cert], "tls_key"),
        (
            &["--tls-cert", &bad, "--tls-key", &key],
            "has no certificate",
        ),
        (
            &["--tls-cert", &cert, "--tls-key", &bad],
            "has no private key",
        ),
    ] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_fanfare"))
            .args(["serve", "--listen-tls", "127.0.0.1:0"])
            .args(arguments)
            .output()
            .expect("it runs");
        assert!(!output.status.success());
        let told = common::command::stderr(&output);
        assert!(told.contains(why), "{told}");
    }
}
