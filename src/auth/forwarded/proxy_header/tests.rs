//! Headers of both versions, whole, in pieces, and broken.

use proptest::prelude::*;

use super::*;

fn header(source: Source, is_https: bool, consumed: usize) -> Progress {
    Progress::Header {
        source,
        is_https,
        consumed,
    }
}

fn from(text: &str) -> Source {
    Source::Address(text.parse().expect("an address of this test"))
}

/// A header of version 2.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let len = u16::try_from(rest.len()).expect("a length").to_be_bytes();
    [V2_START, &[0x20 | command, family], &len, rest].concat()
}

const V4: &[u8] = &[192, 0, 2, 1, 10, 0, 0, 1, 0x12, 0x67, 0, 80];

fn v6(start: &[u8]) -> Vec<u8> {
    let mut rest = vec![0; 36];
    rest[..start.len()].copy_from_slice(start);
    rest[32..34].copy_from_slice(&[0x12, 0x67]);
    rest
}

#[test]
fn a_line_of_version_1_says_where_a_connection_comes_from() {
    for (line, source) in [
        (
            "PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\r\n",
            from("192.0.2.1:4711"),
        ),
        (
            "PROXY TCP6 2001:db8::1 ::1 4711 80\r\n",
            from("[2001:db8::1]:4711"),
        ),
        (
            "PROXY TCP6 ::ffff:192.0.2.1 ::1 0 0\r\n",
            from("192.0.2.1:0"),
        ),
        ("PROXY UNKNOWN\r\n", Source::Proxy),
        ("PROXY UNKNOWN ffff:f... rubbish\r\n", Source::Proxy),
    ] {
        let expected = header(source, false, line.len());
        assert_eq!(read(line.as_bytes()), expected, "{line}");
        let more = format!("{line}GET / HTTP/1.1\r\n");
        assert_eq!(read(more.as_bytes()), expected, "{line}");
    }
    let longest = format!("PROXY UNKNOWN{}\r\n", " ".repeat(107 - 15));
    assert_eq!(read(longest.as_bytes()), header(Source::Proxy, false, 107));
}

#[test]
fn a_line_of_version_1_that_makes_no_sense_is_refused() {
    for line in [
        "PROXY \r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 4711\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 4711 80 1\r\n",
        "PROXY TCP4  192.0.2.1 10.0.0.1 4711 80\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 4711 80 \r\n",
        "PROXY TCP4 ::1 10.0.0.1 4711 80\r\n",
        "PROXY TCP6 192.0.2.1 ::1 4711 80\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 +471 80\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 65536 80\r\n",
        "PROXY UDP4 192.0.2.1 10.0.0.1 4711 80\r\n",
        "PROXY tcp4 192.0.2.1 10.0.0.1 4711 80\r\n",
        "PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\nGET / HTTP/1.1\r\n",
    ] {
        let refused = Progress::Refused("the line of the PROXY header makes no sense");
        assert_eq!(read(line.as_bytes()), refused, "{line}");
    }
    let long = format!("PROXY UNKNOWN{}\r\n", " ".repeat(107 - 14));
    assert!(matches!(read(long.as_bytes()), Progress::Refused(why) if why.contains("too long")));
}

#[test]
fn a_header_of_version_2_says_where_a_connection_comes_from() {
    let v4 = from("192.0.2.1:4711");
    let tls = [0x20, 0, 5, 1, 0, 0, 0, 0];
    let plain = [0x20, 0, 5, 0, 0, 0, 0, 0];
    let authority = [2, 0, 3, b'a', b'.', b'b'];
    let mapped = [&[0; 10][..], &[0xff, 0xff, 192, 0, 2, 1]].concat();
    for (bytes, source, is_https) in [
        (v2(1, 0x11, V4), v4, false),
        (v2(1, 0x11, &[V4, &tls].concat()), v4, true),
        (v2(1, 0x11, &[V4, &authority, &plain].concat()), v4, false),
        (
            v2(1, 0x11, &[V4, &[0x20, 0, 0], &authority].concat()),
            v4,
            false,
        ),
        (
            v2(1, 0x21, &v6(&[0x20, 1, 0xd, 0xb8])),
            from("[2001:db8::]:4711"),
            false,
        ),
        (v2(1, 0x21, &v6(&mapped)), v4, false),
        (v2(1, 0x31, &[1; 216]), Source::Unix, false),
        (v2(1, 0x00, &[1, 2, 3]), Source::Proxy, false),
        (v2(0, 0x00, &[]), Source::Proxy, false),
        (v2(0, 0x11, V4), Source::Proxy, false),
        (v2(0, 0xff, &[9; 4096]), Source::Proxy, false),
    ] {
        let expected = header(source, is_https, bytes.len());
        assert_eq!(read(&bytes), expected, "{bytes:?}");
        let more = [bytes.as_slice(), b"GET /"].concat();
        assert_eq!(read(&more), expected, "{bytes:?}");
    }
}

#[test]
fn a_header_of_version_2_that_makes_no_sense_is_refused() {
    let mut version = v2(1, 0x11, V4);
    version[12] = 0x11;
    for (bytes, why) in [
        (version, "version"),
        (v2(2, 0x11, V4), "command"),
        (v2(1, 0x11, &V4[..11]), "no room"),
        (v2(1, 0x21, &[0; 35]), "no room"),
        (v2(1, 0x31, &[0; 215]), "no room"),
        (v2(1, 0x12, V4), "stream"),
        (v2(1, 0x41, V4), "stream"),
        (v2(1, 0x11, &[V4, &[2, 0]].concat()), "cut short"),
        (
            v2(1, 0x11, &[V4, &[2, 0, 4, 1, 2, 3]].concat()),
            "cut short",
        ),
        (v2(0, 0, &[0; 4097]), "too long"),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "does not begin"),
        (b"\r\n\r\nGET".to_vec(), "does not begin"),
        (b"PROXY\r\n".to_vec(), "does not begin"),
        (vec![0x16, 3, 1], "does not begin"),
    ] {
        let progress = read(&bytes);
        let Progress::Refused(found) = progress else {
            panic!("{bytes:?} is {progress:?}");
        };
        assert!(found.contains(why), "{found}: {bytes:?}");
    }
}

/// Headers, and what nearly is one.
fn nearly_a_header() -> impl Strategy<Value = Vec<u8>> {
    let bytes = proptest::collection::vec(any::<u8>(), 0..300);
    prop_oneof![
        bytes.clone(),
        (any::<u8>(), any::<u8>(), bytes.clone()).prop_map(|(command, family, rest)| v2(
            command & 0x0f,
            family,
            &rest
        )),
        bytes.prop_map(|rest| [V1_START, &rest].concat()),
        (any::<[u8; 4]>(), any::<u16>()).prop_map(|(address, port)| {
            let address = Ipv4Addr::from(address);
            format!("PROXY TCP4 {address} 10.0.0.1 {port} 80\r\nGET /").into_bytes()
        }),
    ]
}

proptest! {
    #[test]
    fn a_header_in_pieces_is_what_it_is_whole(bytes in nearly_a_header()) {
        let whole = read(&bytes);
        for len in 0..bytes.len() {
            match read(&bytes[..len]) {
                Progress::Incomplete => prop_assert!(len < MAX_BYTES),
                early => prop_assert_eq!(early, whole),
            }
        }
        if let Progress::Header { consumed, .. } = whole {
            prop_assert!(consumed <= bytes.len() && consumed <= MAX_BYTES);
            prop_assert_eq!(read(&bytes[..consumed - 1]), Progress::Incomplete);
        }
    }
}
