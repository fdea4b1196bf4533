//! A daemon that is told by PROXY headers who is behind its proxy.

mod common;

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use common::{Daemon, PATIENCE, handshake, read_head, read_to_end};

const LINE: &[u8] = b"PROXY TCP4 192.0.2.7 192.0.2.1 56324 443\r\n";

/// Of version 2, from 192.0.2.7:56324, which came encrypted to the proxy.
const ENCRYPTED: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x14\xC0\0\x02\x07\xC0\0\x02\x01\xDC\x04\x01\xBB\
    \x20\0\x05\x01\0\0\0\0";

/// From the proxy itself.
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

fn start(proxy: &str) -> Daemon {
    let arguments = ["--log", "debug", "--trusted-proxy", proxy];
    Daemon::start(&[&arguments[..], &["--trusted-proxy-header", "proxy"]].concat())
}

/// The status of the answer to `request` behind `header`.
fn status(daemon: &Daemon, header: &[u8], request: &str) -> String {
    let mut stream = daemon.raw();
    let bytes = [header, request.as_bytes()].concat();
    stream.write_all(&bytes).expect("the request goes out");
    read_head(&mut stream)[9..12].to_owned()
}

/// A handshake that names a host, with this line beside.
fn named(line: &str) -> String {
    handshake("/", line).replace("Host: localhost", "Host: push.example.org")
}

#[test]
fn whom_a_proxy_names_is_the_client_and_no_field_of_a_request_is_believed() {
    let mut daemon = start("127.0.0.1");
    // Loopback's own protection, by names, does not hold for whom a proxy names, and holds for all others.
    assert_eq!(status(&daemon, LINE, &named("")), "101");
    daemon.wait_for_log(" 192.0.2.7:56324 by 127.0.0.1:");
    let forged = "X-Forwarded-For: 198.51.100.1\r\nForwarded: for=198.51.100.1\r\n";
    assert_eq!(status(&daemon, LOCAL, &named(forged)), "421");
    assert_eq!(status(&daemon, LOCAL, &handshake("/", forged)), "101");
    let own = "Origin: https://push.example.org\r\n";
    assert_eq!(status(&daemon, ENCRYPTED, &named(own)), "101");
    assert_eq!(status(&daemon, LINE, &named(own)), "403");
    let claimed = format!("{own}X-Forwarded-Proto: https\r\n");
    assert_eq!(status(&daemon, LINE, &named(&claimed)), "403");
}

#[test]
fn a_header_may_come_long_before_the_request_and_in_pieces() {
    let daemon = start("127.0.0.1");
    let mut stream = daemon.raw();
    for piece in ENCRYPTED.chunks(7) {
        stream.write_all(piece).expect("the piece goes out");
        // Something else is answered meanwhile, so the daemon has had its turn.
        assert_eq!(status(&daemon, LOCAL, &handshake("/", "")), "101");
    }
    let request = named("");
    stream.write_all(request.as_bytes()).expect("it goes out");
    let head = read_head(&mut stream);
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
}

#[test]
fn a_trusted_proxy_without_a_header_is_closed_without_an_answer_and_the_log_says_why() {
    let mut daemon = start("127.0.0.1");
    let mut stream = daemon.raw();
    let request = handshake("/", "");
    stream.write_all(request.as_bytes()).expect("it goes out");
    assert_eq!(read_to_end(&mut stream), "");
    daemon.wait_for_log("ended: the connection does not begin with a PROXY header");
    assert_eq!(status(&daemon, LOCAL, &request), "101");
}

#[test]
fn nobody_but_a_trusted_proxy_may_begin_with_a_header() {
    let daemon = start("192.0.2.1");
    let request = handshake("/", "");
    assert_eq!(status(&daemon, LINE, &request), "400");
    assert_eq!(status(&daemon, LOCAL, &request), "400");
    assert_eq!(status(&daemon, b"", &request), "101");
}

#[test]
fn where_unix_is_trusted_who_comes_by_a_unix_socket_begins_with_a_header_and_nobody_else_does() {
    let path = std::env::temp_dir().join(format!("fanfare-proxied-{}.sock", std::process::id()));
    let listen = format!("unix:{}", path.display());
    let arguments = ["--trusted-proxy", "unix", "--trusted-proxy-header", "proxy"];
    let daemon = Daemon::start(&[&arguments[..], &["--listen", &listen]].concat());
    let request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answer = |header: &[u8]| {
        let mut stream = UnixStream::connect(&path).expect("the daemon accepts");
        let patience = Some(PATIENCE);
        stream.set_read_timeout(patience).expect("a timeout");
        let bytes = [header, request.as_bytes()].concat();
        stream.write_all(&bytes).expect("the request goes out");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an end");
        answer
    };
    for header in [LINE, ENCRYPTED, LOCAL] {
        assert!(answer(header).starts_with("HTTP/1.1 200 "));
    }
    assert_eq!(answer(b""), "");
    assert_eq!(status(&daemon, b"", request), "200");
}
