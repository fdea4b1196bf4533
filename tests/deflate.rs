//! permessage-deflate over real sockets (RFC 7692): what is agreed, which messages come compressed
//! and which do not, and what a peer that misuses it gets.
//!
//! What the daemon compresses is read by the slow inflater that the library's own tests use: it is
//! written from RFC 1951 alone, and tells how far back the data refers.

mod common;
#[path = "../src/ws/deflate/reference.rs"]
mod reference;

use std::io::Write;

use common::{Client, Daemon, Frame, handshake, header, masked, member, read_head};
use flate2::{Compress, Compression, FlushCompress};

const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate\r\n";

/// What every answer says: neither side carries its window over.
const AGREED: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// A connection that agreed on compression and has read its `welcome`.
fn connect(daemon: &Daemon) -> Client {
    let mut client = daemon.open("/", OFFER);
    assert_eq!(
        header(&client.head, "Sec-WebSocket-Extensions"),
        Some(AGREED)
    );
    let (_, welcome) = read(&client.frame());
    assert!(welcome.contains(r#""type":"welcome""#), "{welcome}");
    client
}

fn subscribe(client: &mut Client, start: &str) -> String {
    client.send_text(&format!(
        r#"{{"type":"subscribe","id":1,"channel":"c"{start}}}"#
    ));
    let (_, reply) = read(&client.frame());
    assert_eq!(member(&reply, "type"), r#""subscribed""#, "{reply}");
    reply
}

fn publish(client: &mut Client, data: &str) {
    let reply = client.ask(&format!(
        r#"{{"type":"publish","id":0,"channel":"c","data":{data}}}"#
    ));
    assert_eq!(member(&reply, "type"), r#""published""#, "{reply}");
}

/// Whether a text frame came compressed, and what it says.
fn read(frame: &Frame) -> (bool, String) {
    let (compressed, bytes) = match frame.first {
        0x81 => (false, frame.payload.clone()),
        0xC1 => (true, inflate(&frame.payload).0),
        _ => panic!("not a whole text message: {frame:?}"),
    };
    (compressed, String::from_utf8(bytes).expect("text is UTF-8"))
}

/// A compressed message's content, and the largest distance that it refers back.
fn inflate(payload: &[u8]) -> (Vec<u8>, usize) {
    let mut data = payload.to_vec();
    data.extend_from_slice(&[0x00, 0x00, 0xFF, 0xFF]);
    let found = reference::inflate(&data).expect("it can be inflated");
    assert!(!found.saw_final && found.ends_with_empty_stored);
    (found.plain, found.distance_max)
}

/// A compressor that goes on from message to message.
struct Compressor(Compress);

impl Compressor {
    fn new() -> Compressor {
        Compressor(Compress::new(Compression::best(), false))
    }

    fn message(&mut self, plain: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(plain.len() + 1024);
        self.0
            .compress_vec(plain, &mut out, FlushCompress::Sync)
            .expect("it compresses");
        assert!(out.len() < out.capacity(), "all is out");
        out.truncate(out.len() - 4);
        out
    }
}

fn deflate(plain: &[u8]) -> Vec<u8> {
    Compressor::new().message(plain)
}

/// Prices as JSON, as many as fit `len` bytes.
fn prices(len: usize) -> String {
    let mut json = String::from("[");
    let mut state = 1u32;
    while json.len() + 60 < len {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (bid, volume) = (state >> 16, state % 10_007);
        json.push_str(&format!(
            r#"{{"symbol":"S{}","bid":{bid},"volume":{volume}}},"#,
            state % 97
        ));
    }
    json.push_str("null]");
    json
}

/// Text that no compressor makes smaller.
fn noise(len: usize) -> String {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let characters = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // Two bytes each: 1,856 characters of which all bits but few are free.
        char::from_u32(0x80 + (state >> 33) as u32 % 0x740).unwrap_or('x')
    });
    characters.take(len / 2).collect()
}

#[test]
fn the_answer_names_what_was_offered_and_what_this_side_always_does() {
    let daemon = Daemon::start(&["--echo"]);
    let limited = |bits: u8| Some(format!("{AGREED}; server_max_window_bits={bits}"));
    let agreed = || Some(AGREED.to_owned());
    let table = [
        ("permessage-deflate", agreed()),
        ("permessage-deflate; server_no_context_takeover", agreed()),
        ("permessage-deflate; client_no_context_takeover", agreed()),
        // A limit on the client's own window needs no answer, and none is given.
        ("permessage-deflate; client_max_window_bits", agreed()),
        ("permessage-deflate; client_max_window_bits=8", agreed()),
        ("permessage-deflate; client_max_window_bits=15", agreed()),
        ("permessage-deflate; server_max_window_bits=15", limited(15)),
        ("permessage-deflate; server_max_window_bits=9", limited(9)),
        (
            "permessage-deflate; server_max_window_bits=\"12\"",
            limited(12),
        ),
        (
            "permessage-deflate;server_max_window_bits=10 ; client_max_window_bits",
            limited(10),
        ),
        // What this side cannot do, or nobody knows, declines that offer alone.
        ("permessage-deflate; server_max_window_bits=8", None),
        (
            "permessage-deflate; server_max_window_bits=8, permessage-deflate",
            agreed(),
        ),
        (
            "permessage-deflate; mux=1, permessage-deflate; server_max_window_bits=11",
            limited(11),
        ),
        ("x-webkit-deflate-frame, permessage-deflate", agreed()),
        ("permessage-deflate; server_max_window_bits", None),
        ("permessage-deflate; server_max_window_bits=16", None),
        ("permessage-deflate; server_max_window_bits=09", None),
        ("permessage-deflate; client_max_window_bits=7", None),
        ("permessage-deflate; server_no_context_takeover=1", None),
        (
            "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
            None,
        ),
        ("permessage-deflate; unknown", None),
        ("Permessage-Deflate", None),
    ];
    for (offer, expected) in table {
        for path in ["/", "/echo"] {
            let client = daemon.open(path, &format!("Sec-WebSocket-Extensions: {offer}\r\n"));
            let answer = header(&client.head, "Sec-WebSocket-Extensions");
            assert_eq!(answer, expected.as_deref(), "{offer}");
        }
    }
}

#[test]
fn where_deflate_is_off_no_offer_is_answered_and_nothing_is_compressed() {
    let daemon = Daemon::start(&["--deflate", "off"]);
    let mut client = daemon.open("/", OFFER);
    assert_eq!(header(&client.head, "Sec-WebSocket-Extensions"), None);
    assert!(!read(&client.frame()).0);
    subscribe(&mut client, "");
    publish(&mut daemon.connect(), &prices(2_000));
    assert!(!read(&client.frame()).0);
    client.send(&masked(0xC1, &deflate(br#"{"type":"ping"}"#)));
    assert_eq!(client.close().0, 1002);
}

#[test]
fn large_messages_come_compressed_small_ones_and_noise_as_they_are() {
    let daemon = Daemon::start(&[]);
    let mut client = connect(&daemon);
    subscribe(&mut client, "");
    let mut publisher = daemon.connect();
    let envelope = r#"{"type":"message","channel":"c","seq":0,"data":}"#.len();
    let small = format!("\"{}\"", "a".repeat(199 - envelope - 2));
    let just = format!("\"{}\"", "a".repeat(200 - envelope - 2));
    let large = prices(20_000);
    let noise = format!("\"{}\"", noise(170));
    let cases = [(small, false), (just, true), (large, true), (noise, false)];
    for (seq, (data, compressed)) in (1..).zip(cases) {
        publish(&mut publisher, &data);
        let frame = client.frame();
        let expected = format!(r#"{{"type":"message","channel":"c","seq":{seq},"data":{data}}}"#);
        assert_eq!(read(&frame), (compressed, expected));
        if compressed {
            assert!(frame.payload.len() < data.len());
        }
    }
}

#[test]
fn all_who_agreed_get_the_same_bytes_and_the_others_the_message_as_it_is() {
    let daemon = Daemon::start(&[]);
    let (mut one, mut two) = (connect(&daemon), connect(&daemon));
    let mut plain = daemon.connect();
    subscribe(&mut one, "");
    subscribe(&mut two, "");
    subscribe(&mut plain, "");
    let mut publisher = daemon.connect();
    for seq in 1..=20 {
        let data = prices(seq * 150);
        publish(&mut publisher, &data);
        let text = plain.text();
        let frame = one.frame();
        assert_eq!(read(&frame).1, text);
        assert_eq!(two.frame(), frame);
        assert_eq!(
            text,
            format!(r#"{{"type":"message","channel":"c","seq":{seq},"data":{data}}}"#)
        );
    }
}

#[test]
fn what_was_published_before_anybody_agreed_comes_plain_and_the_switch_has_no_hole() {
    let daemon = Daemon::start(&[]);
    let mut publisher = daemon.connect();
    let data = prices(1_000);
    for _ in 1..=5 {
        publish(&mut publisher, &data);
    }
    let mut first = connect(&daemon);
    let reply = subscribe(&mut first, r#","last":3"#);
    let epoch = member(&reply, "epoch").to_owned();
    publish(&mut publisher, &data);
    publish(&mut publisher, &data);

    let mut second = connect(&daemon);
    let since = format!(r#","since":{{"epoch":{epoch},"seq":1}}"#);
    assert_eq!(member(&subscribe(&mut second, &since), "recovered"), "true");
    publish(&mut publisher, &data);

    for (client, begins) in [(&mut first, 3), (&mut second, 2)] {
        for seq in begins..=8 {
            let expected =
                format!(r#"{{"type":"message","channel":"c","seq":{seq},"data":{data}}}"#);
            // The compressed log began when the first of them came, after 5.
            assert_eq!(read(&client.frame()), (seq > 5, expected));
        }
    }
}

#[test]
fn when_the_last_who_agreed_is_gone_so_is_what_was_compressed() {
    let daemon = Daemon::start(&[]);
    let mut publisher = daemon.connect();
    let data = prices(1_000);
    let mut first = connect(&daemon);
    let mut second = connect(&daemon);
    subscribe(&mut first, "");
    subscribe(&mut second, "");
    publish(&mut publisher, &data);
    assert!(read(&first.frame()).0);
    assert!(read(&second.frame()).0);

    let leave = r#"{"type":"unsubscribe","id":2,"channel":"c"}"#;
    first.ask(leave);
    // One is left, and what it has is what there was.
    let mut third = connect(&daemon);
    subscribe(&mut third, r#","last":1"#);
    assert!(read(&third.frame()).0);
    // One says good-bye, the last one a close: message 1 is then held plain only.
    second.ask(leave);
    third.send(&masked(0x88, &[]));
    third.close();
    let mut fourth = connect(&daemon);
    subscribe(&mut fourth, r#","last":1"#);
    assert!(!read(&fourth.frame()).0);
    publish(&mut publisher, &data);
    assert!(read(&fourth.frame()).0);
}

#[test]
fn a_client_that_limits_the_window_gets_broadcasts_as_they_are_and_large_replies_compressed() {
    let daemon = Daemon::start(&["--echo"]);
    let mut publisher = daemon.connect();
    let data = prices(4_000);
    for bits in 9..=14 {
        let offer = format!(
            "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits={bits}\r\n"
        );
        let mut client = daemon.open("/", &offer);
        client.frame();
        subscribe(&mut client, "");
        publish(&mut publisher, &data);
        assert!(!read(&client.frame()).0, "{bits}");
        let channel = "long.".repeat(50) + "c";
        client.send_text(&format!(
            r#"{{"type":"subscribe","id":2,"channel":"{channel}"}}"#
        ));
        let (compressed, reply) = read(&client.frame());
        assert!(compressed && reply.contains(&channel), "{bits}: {reply}");

        // What is compressed keeps to the window that was agreed on.
        let mut client = daemon.open("/echo", &offer);
        let text = prices(60_000);
        client.send_text(&text);
        let frame = client.frame();
        assert_eq!(frame.first, 0xC1);
        let (plain, distance) = inflate(&frame.payload);
        assert_eq!(plain, text.as_bytes());
        assert!(distance <= 1 << bits, "{bits}: {distance}");
        // zlib leaves the last 262 bytes of a window alone, of 512 that is most.
        assert!(distance > 1 << (bits - 2), "{bits}: {distance}");
    }
}

#[test]
fn requests_may_come_compressed_in_one_frame_or_many_with_a_ping_between() {
    let daemon = Daemon::start(&[]);
    let mut client = connect(&daemon);
    let request = format!(
        r#"{{"type":"publish","id":7,"channel":"c","data":{}}}"#,
        prices(3_000)
    );
    let compressed = deflate(request.as_bytes());
    client.send(&masked(0xC1, &compressed));
    assert_eq!(member(&read(&client.frame()).1, "seq"), "1");
    let (head, tail) = compressed.split_at(100);
    client.send(&masked(0x41, head));
    client.send(&masked(0x89, b"between"));
    client.send(&masked(0x80, tail));
    assert_eq!(client.frame().first, 0x8A);
    assert_eq!(member(&read(&client.frame()).1, "seq"), "2");
    // An uncompressed one is legal at any time.
    client.send_text(&request);
    assert_eq!(member(&read(&client.frame()).1, "seq"), "3");
}

#[test]
fn what_comes_compressed_behind_the_handshake_is_inflated_a_little_at_a_time() {
    let mut daemon = Daemon::start(&[]);
    let pad = "0".repeat(60_000);
    let request = format!(r#"{{"type":"ping","id":1,"pad":"{pad}"}}"#);
    let frames = masked(0xC1, &deflate(request.as_bytes())).repeat(400);
    assert!((30_000..60_000).contains(&frames.len()), "{}", frames.len());
    let mut stream = daemon.raw();
    let bytes = [handshake("/", OFFER).as_bytes(), &frames].concat();
    stream.write_all(&bytes).expect("all of it goes out");
    let head = read_head(&mut stream);
    let mut client = Client { stream, head };
    client.frame();
    for _ in 0..400 {
        assert_eq!(client.text(), r#"{"type":"pong","id":1}"#);
    }
    // 4 KiB in each turn of the loop.
    assert!(daemon.sum("turns") >= frames.len() as u64 / 4096);
}

#[test]
fn misuse_of_compression_is_closed_with_its_code() {
    let daemon = Daemon::start(&["--echo"]);
    let text = prices(1_000);
    let whole = deflate(text.as_bytes());
    let mut compressor = Compressor::new();
    let first = masked(0xC1, &compressor.message(text.as_bytes()));
    // It refers back to the first message, which the answer forbade.
    let second = masked(0xC1, &compressor.message(text.as_bytes()));
    let cases = [
        ("RSV1 on a ping", masked(0xC9, b""), 1002),
        ("RSV1 on a close", masked(0xC8, &[0x03, 0xE8]), 1002),
        (
            "RSV1 on a continuation",
            [masked(0x41, &whole[..9]), masked(0xC0, &whole[9..])].concat(),
            1002,
        ),
        ("RSV2", masked(0xE1, &whole), 1002),
        ("rubbish", masked(0xC1, &[0xFF; 40]), 1007),
        (
            "a cut message",
            masked(0xC1, &whole[..whole.len() / 2]),
            1007,
        ),
        ("not UTF-8", masked(0xC1, &deflate(&[0xC3; 300])), 1007),
        ("a window carried over", [first, second].concat(), 1007),
    ];
    for (what, bytes, code) in cases {
        for path in ["/", "/echo"] {
            let mut client = daemon.open(path, OFFER);
            client.send(&bytes);
            let closed = loop {
                let frame = client.frame();
                if frame.first == 0x88 {
                    break u16::from_be_bytes([frame.payload[0], frame.payload[1]]);
                }
            };
            assert_eq!(closed, code, "{what} at {path}");
        }
    }
}

#[test]
fn the_limit_holds_for_the_inflated_message_to_the_byte() {
    let daemon = Daemon::start(&["--max-message", "10kB"]);
    let request = |len: usize| {
        let head = r#"{"type":"ping","id":1,"pad":""#;
        format!("{head}{}\"}}", "x".repeat(len - head.len() - 2))
    };
    let mut client = connect(&daemon);
    client.send(&masked(0xC1, &deflate(request(10_000).as_bytes())));
    assert_eq!(read(&client.frame()).1, r#"{"type":"pong","id":1}"#);
    client.send(&masked(0xC1, &deflate(request(10_001).as_bytes())));
    assert_eq!(client.close().0, 1009);
}

#[test]
fn a_gibibyte_of_zeros_in_a_mebibyte_is_refused_for_no_more_memory_than_the_limit() {
    const LIMIT_KIB: u64 = 2 << 10;
    let daemon = Daemon::start(&["--max-message", "2MiB"]);
    // Each piece ends with a sync flush, so it can stand behind any other.
    let piece = {
        let mut piece = Compressor::new().message(&vec![0; 1 << 20]);
        piece.extend_from_slice(&[0x00, 0x00, 0xFF, 0xFF]);
        piece
    };
    let bomb = piece.repeat(1 << 10);
    assert!(
        bomb.len() > 1_000_000 && bomb.len() < 1_200_000,
        "{}",
        bomb.len()
    );
    let mut client = connect(&daemon);
    // The inflater and all else that is made once.
    client.send(&masked(0xC1, &deflate(br#"{"type":"ping","id":1}"#)));
    client.frame();
    let before = daemon.peak_kib();
    client.send(&masked(0xC1, &bomb));
    assert_eq!(client.close().0, 1009);
    let grew = daemon.peak_kib() - before;
    // The frame itself as it came in, what was inflated of it, and a little.
    let most = bomb.len() as u64 / 1024 + LIMIT_KIB + 512;
    assert!(grew <= most, "grew by {grew} KiB");
}
