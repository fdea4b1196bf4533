//! What comes before a PROXY header, in it and behind it.

use std::io::Write as _;
use std::net::Shutdown;

use super::super::tests::pair;
use super::*;

const LINE: &[u8] = b"PROXY TCP4 192.0.2.7 192.0.2.1 56324 443\r\n";

/// A header of version 2 with this command: from 192.0.2.7:56324, with these extensions.
fn v2(command: u8, extensions: &[u8]) -> Vec<u8> {
    let addresses = [192, 0, 2, 7, 192, 0, 2, 1, 0xDC, 0x04, 0x01, 0xBB];
    let len = u16::try_from(addresses.len() + extensions.len()).expect("they are short");
    let head = [b"\r\n\r\n\0\r\nQUIT\n", &[0x20 | command, 0x11][..]].concat();
    [&head, &len.to_be_bytes()[..], &addresses, extensions].concat()
}

/// Reads until there is nothing more, with little room. The error that said so, and what came.
fn drain(transport: &mut Transport) -> (Vec<u8>, Option<io::ErrorKind>) {
    let (mut all, mut buffer) = (Vec::new(), [0; 10]);
    loop {
        match transport.read(&mut buffer) {
            Ok(Read { len: 0, .. }) => return (all, None),
            Ok(Read { len, .. }) => all.extend_from_slice(&buffer[..len]),
            Err(error) => return (all, Some(error.kind())),
        }
    }
}

fn named(is_https: bool) -> Client {
    Client {
        address: Some(IpAddr::from([192, 0, 2, 7])),
        is_named_by_proxy: true,
        is_https,
    }
}

/// Nobody else's word: the proxy's own connection, which is by a unix socket here.
const ITSELF: Client = Client {
    address: None,
    is_named_by_proxy: false,
    is_https: false,
};

#[test]
fn a_header_that_comes_in_pieces_is_read_off_and_nothing_else_is() {
    for header in [LINE.to_vec(), v2(1, &[0x05, 0, 2, 1, 2])] {
        let (under, mut peer) = pair();
        let mut transport = under.proxied();
        for &byte in &header {
            let blocked = (Vec::new(), Some(io::ErrorKind::WouldBlock));
            assert_eq!(drain(&mut transport), blocked);
            assert_eq!(transport.client_by_proxy(), Some(ITSELF));
            peer.write_all(&[byte]).expect("it has room");
        }
        peer.write_all(b"GET").expect("it has room");
        let (read, end) = drain(&mut transport);
        assert_eq!(read, b"GET");
        assert_eq!(end, Some(io::ErrorKind::WouldBlock));
        assert_eq!(transport.client_by_proxy(), Some(named(false)));
        let name = transport.to_string();
        assert!(name.starts_with("192.0.2.7:56324 by pid "), "{name}");
    }
}

#[test]
fn what_comes_in_one_piece_with_the_header_is_read_to_its_end() {
    let (under, mut peer) = pair();
    let mut transport = under.proxied();
    let rest: Vec<u8> = (0..20_000_u32).map(|n| (n % 251) as u8).collect();
    peer.write_all(&[LINE, &rest].concat())
        .expect("it has room");
    peer.shutdown(Shutdown::Write).expect("it is open");
    assert_eq!(drain(&mut transport), (rest, None));
}

#[test]
fn a_second_header_is_the_clients_and_says_nothing() {
    let (under, mut peer) = pair();
    let mut transport = under.proxied();
    let second = b"PROXY TCP4 198.51.100.1 192.0.2.1 1 2\r\n";
    peer.write_all(&[LINE, second].concat())
        .expect("it has room");
    assert_eq!(drain(&mut transport).0, second);
    assert_eq!(transport.client_by_proxy(), Some(named(false)));
}

#[test]
fn what_begins_with_no_good_header_is_an_error_that_says_why() {
    let cases: &[(&[u8], &str)] = &[
        (
            b"GET / HTTP/1.1\r\n\r\n",
            "does not begin with a PROXY header",
        ),
        (b"PROXY TCP4 192.0.2.7\r\n", "makes no sense"),
        (&[b'P'; 5_000], "does not begin with a PROXY header"),
        (&v2(2, &[]), "unknown command"),
        (&v2(1, &[0x20, 0, 9]), "cut short"),
    ];
    for (bytes, expected) in cases {
        let (under, mut peer) = pair();
        let mut transport = under.proxied();
        peer.write_all(bytes).expect("it has room");
        let error = transport.read(&mut [0; 100]).expect_err("it is refused");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn an_end_amid_the_header_is_an_end() {
    let (under, mut peer) = pair();
    let mut transport = under.proxied();
    peer.write_all(&LINE[..20]).expect("it has room");
    drop(peer);
    assert_eq!(drain(&mut transport), (Vec::new(), None));
}

#[test]
fn a_proxy_that_speaks_for_itself_is_who_it_is() {
    let (under, mut peer) = pair();
    let mut transport = under.proxied();
    peer.write_all(&[&v2(0, &[]), &b"GET"[..]].concat())
        .expect("it has room");
    assert_eq!(drain(&mut transport).0, b"GET");
    assert_eq!(transport.client_by_proxy(), Some(ITSELF));
    assert_eq!(transport.peer_address(), None);
    assert!(transport.to_string().starts_with("pid "), "{transport}");
}

#[test]
fn version_2_says_whether_the_client_came_encrypted() {
    // Something else, then PP2_TYPE_SSL with PP2_CLIENT_SSL set or not.
    for (client, is_https) in [(1, true), (0, false)] {
        let extensions = [0x02, 0, 1, b'x', 0x20, 0, 5, client, 0, 0, 0, 0];
        let (under, mut peer) = pair();
        let mut transport = under.proxied();
        peer.write_all(&[&v2(1, &extensions), &b"GET"[..]].concat())
            .expect("it has room");
        assert_eq!(drain(&mut transport).0, b"GET");
        assert_eq!(transport.client_by_proxy(), Some(named(is_https)));
    }
}

#[test]
fn no_other_transport_looks_for_a_header() {
    let (mut transport, mut peer) = pair();
    peer.write_all(LINE).expect("it has room");
    assert_eq!(drain(&mut transport).0, LINE);
    assert_eq!(transport.client_by_proxy(), None);
}
