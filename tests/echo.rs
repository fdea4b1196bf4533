//! What `/echo` sends back is what it was sent, byte for byte and of the same kind: messages of
//! 64 KiB to 16 MiB, whole and in fragments, as they are and compressed.

mod common;

use common::{Client, Daemon, header, masked};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// A daemon and a connection to its echo, on a machine that may be busy with other things: what is
/// of interest here is what comes back, not when.
fn connect(headers: &str) -> (Daemon, Client) {
    let daemon = Daemon::start(&["--echo", "--message-timeout", "0", "--ping-interval", "0"]);
    let client = daemon.open("/echo", headers);
    let patience = Some(6 * common::PATIENCE);
    let stream = &client.stream;
    stream
        .set_read_timeout(patience)
        .expect("a timeout can be set");
    (daemon, client)
}

/// Bytes that do not repeat and do not shrink.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(len).collect()
}

/// Text of characters of one to four bytes, in an order that does not repeat.
fn text(len: usize) -> Vec<u8> {
    const CHARACTERS: [&str; 8] = ["a", " ", "é", "ж", "€", "語", "😀", "\u{10FFFF}"];
    let mut text = Vec::with_capacity(len + 4);
    for byte in noise(len) {
        text.extend_from_slice(CHARACTERS[usize::from(byte % 8)].as_bytes());
        if text.len() >= len {
            break;
        }
    }
    text
}

/// A message's frames: fragments of `size` bytes, the first of which says what it is.
fn fragments(first: u8, payload: &[u8], size: usize) -> Vec<u8> {
    let count = payload.len().div_ceil(size);
    let mut frames = Vec::with_capacity(payload.len() + count * 14);
    for (n, part) in payload.chunks(size).enumerate() {
        let opcode = if n == 0 { first & 0x7F } else { 0 };
        let fin = if n + 1 == count { 0x80 } else { 0 };
        frames.extend_from_slice(&masked(fin | opcode, part));
    }
    frames
}

/// The message that comes back as one frame; an answer of another kind than `first` is none.
fn echoed(client: &mut Client, first: u8) -> Vec<u8> {
    let frame = client.frame();
    assert_eq!(frame.first & 0xBF, first & 0xBF, "of the same kind");
    if frame.first & 0x40 == 0 {
        return frame.payload;
    }
    let mut compressed = frame.payload;
    compressed.extend_from_slice(&[0x00, 0x00, 0xFF, 0xFF]);
    let mut inflater = Decompress::new(false);
    let mut plain = Vec::new();
    while inflater.total_in() < compressed.len() as u64 {
        plain.reserve(MIB);
        let rest = &compressed[inflater.total_in() as usize..];
        inflater
            .decompress_vec(rest, &mut plain, FlushDecompress::Sync)
            .expect("it can be inflated");
    }
    plain
}

fn deflate(plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(plain.len() + plain.len() / 4 + KIB);
    Compress::new(Compression::fast(), false)
        .compress_vec(plain, &mut out, FlushCompress::Sync)
        .expect("it compresses");
    assert!(out.ends_with(&[0x00, 0x00, 0xFF, 0xFF]), "all is out");
    out.truncate(out.len() - 4);
    out
}

#[test]
fn messages_of_every_size_come_back_as_they_were() {
    let (_daemon, mut client) = connect("");
    let small = [0, 1, 125, 126, 127, 128, 65_535, 65_536, 65_537];
    let large = [256 * KIB, MIB, 4 * MIB, 16 * MIB - 4];
    for len in small.into_iter().chain(large) {
        for (first, message) in [(0x81, text(len)), (0x82, noise(len))] {
            client.send(&masked(first, &message));
            assert!(echoed(&mut client, first) == message, "{len} bytes");
        }
    }
}

#[test]
fn fragments_of_every_size_come_back_as_one_message() {
    let (_daemon, mut client) = connect("");
    // 16,384 fragments of the smallest, four of the largest.
    for size in [64, 4 * KIB, 256 * KIB] {
        for (first, message) in [(0x81, text(MIB)), (0x82, noise(MIB))] {
            client.send(&fragments(first, &message, size));
            assert!(echoed(&mut client, first) == message, "by {size} bytes");
        }
    }
}

#[test]
fn compressed_messages_of_every_size_come_back_as_they_were() {
    let offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    let (_daemon, mut client) = connect(offer);
    assert!(header(&client.head, "Sec-WebSocket-Extensions").is_some());
    for len in [0, 1, 199, 200, 64 * KIB, MIB] {
        for (first, message) in [(0xC1, text(len)), (0xC2, noise(len))] {
            let compressed = deflate(&message);
            client.send(&masked(first, &compressed));
            assert!(echoed(&mut client, first) == message, "{len} bytes");
            client.send(&fragments(first, &compressed, 4 * KIB));
            assert!(echoed(&mut client, first) == message, "{len} bytes");
        }
    }
    let largest = b"sixteen mebibytes of this ".repeat(16 * MIB / 26);
    client.send(&masked(0xC1, &deflate(&largest)));
    assert!(echoed(&mut client, 0xC1) == largest);
}

#[test]
fn a_message_that_comes_a_byte_at_a_time_comes_back() {
    let (_daemon, mut client) = connect("");
    let message = text(1_000);
    for byte in masked(0x81, &message) {
        client.send(&[byte]);
    }
    assert!(echoed(&mut client, 0x81) == message);
}

#[test]
fn over_sixteen_mebibytes_is_too_big() {
    let (_daemon, mut client) = connect("");
    let message = noise(16 * MIB);
    client.send(&masked(0x82, &message));
    assert!(echoed(&mut client, 0x82) == message);
    client.send(&masked(0x82, &vec![0; 16 * MIB + 1])[..14]);
    assert_eq!(client.close().0, 1009);
}
