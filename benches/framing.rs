//! What a frame costs: found, unmasked and checked; written; masked; and what a handshake costs.
//!
//! `cargo bench --bench framing`

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fanfare::http::{HttpLimits, HttpParser, NO_HEADERS, Progress, Route, Site, route};
use fanfare::ws::deflate::Inflater;
use fanfare::ws::encode::write_message;
use fanfare::ws::endpoint::{Endpoint, Event, Role};
use fanfare::ws::handshake::server::{Terms, check, write_accept};
use fanfare::ws::mask::unmask;
use fanfare::ws::utf8::Utf8Stream;

const KEY: [u8; 4] = [0x5d, 0x11, 0xe7, 0x42];

/// A key that changes nothing and costs the same: an input masked with it can be read again and again.
const NEUTRAL_KEY: [u8; 4] = [0; 4];

/// Payload sizes in bytes: a tick, a chat message, a document, a snapshot.
const SIZES: [usize; 5] = [16, 128, 1024, 16 * 1024, 64 * 1024];

/// About as many bytes as one read of the loop brings.
const INPUT: usize = 64 * 1024;

/// JSON-like text of exactly `len` bytes, all of it ASCII.
fn ascii(len: usize) -> Vec<u8> {
    let tick = br#"{"symbol":"ACME","price":101.25,"volume":300,"side":"buy"},"#;
    tick.iter().copied().cycle().take(len).collect()
}

/// Text of exactly `len` bytes with code points of every length.
fn mixed(len: usize) -> Vec<u8> {
    let chat = "naïve café, γειά σου, 今日は, 🎺🎺! ";
    let mut text: Vec<u8> = Vec::new();
    for letter in chat.chars().cycle() {
        if text.len() + letter.len_utf8() > len {
            break;
        }
        text.extend(letter.encode_utf8(&mut [0; 4]).as_bytes());
    }
    text.resize(len, b' ');
    text
}

/// As many masked frames as fill one input, or one if it is larger.
fn frames(payload: &[u8]) -> (Vec<u8>, usize) {
    let count = (INPUT / (payload.len() + 8)).max(1);
    let mut wire = Vec::new();
    for _ in 0..count {
        write_message(&mut wire, true, payload, Some(NEUTRAL_KEY));
    }
    (wire, count)
}

/// Reads all of `wire` and returns how many messages there were.
fn receive_all(endpoint: &mut Endpoint, inflater: &mut Inflater, wire: &mut [u8]) -> usize {
    let (mut pos, end, mut messages) = (0, wire.len(), 0);
    while let Ok(Some(event)) = endpoint.receive(wire, &mut pos, end, 1 << 20, inflater) {
        if let Event::Message { data, .. } = event {
            black_box(data);
            messages += 1;
        }
    }
    messages
}

/// One input full of frames, by size: headers found, payloads unmasked in place, and checked or not.
fn receive(c: &mut Criterion) {
    for (name, check_utf8) in [
        ("receive/unmask", false),
        ("receive/unmask and check UTF-8", true),
    ] {
        let mut group = c.benchmark_group(name);
        for size in SIZES {
            let (mut wire, count) = frames(&ascii(size));
            let payload_bytes = (count * size) as u64;
            group.throughput(Throughput::ElementsAndBytes {
                elements: count as u64,
                bytes: payload_bytes,
            });
            let mut endpoint = Endpoint::new(Role::Server, false, check_utf8);
            let mut inflater = Inflater::new();
            group.bench_function(BenchmarkId::from_parameter(size), |b| {
                b.iter(|| {
                    let messages = receive_all(&mut endpoint, &mut inflater, &mut wire);
                    assert_eq!(messages, count);
                });
            });
        }
        group.finish();
    }
}

/// One message written as a frame, by size; unmasked as servers do and masked as clients do.
fn encode(c: &mut Criterion) {
    for (name, mask) in [("encode/server", None), ("encode/client", Some(KEY))] {
        let mut group = c.benchmark_group(name);
        for size in SIZES {
            let payload = ascii(size);
            let mut out = Vec::with_capacity(size + 14);
            group.throughput(Throughput::Bytes(size as u64));
            group.bench_function(BenchmarkId::from_parameter(size), |b| {
                b.iter(|| {
                    out.clear();
                    write_message(&mut out, true, black_box(&payload), mask);
                    black_box(&out);
                });
            });
        }
        group.finish();
    }
}

fn masking(c: &mut Criterion) {
    let mut group = c.benchmark_group("masking");
    for size in SIZES {
        let mut payload = ascii(size);
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter(|| unmask(black_box(&mut payload), black_box(KEY), 0));
        });
    }
    group.finish();
}

fn utf8(c: &mut Criterion) {
    let mut group = c.benchmark_group("UTF-8");
    for (kind, text) in [("ascii", ascii as fn(usize) -> Vec<u8>), ("mixed", mixed)] {
        for size in SIZES {
            let payload = text(size);
            group.throughput(Throughput::Bytes(size as u64));
            group.bench_function(BenchmarkId::new(kind, size), |b| {
                b.iter(|| {
                    let mut stream = Utf8Stream::default();
                    stream.feed(black_box(&payload)).is_ok() && stream.finish().is_ok()
                });
            });
        }
    }
    group.finish();
}

/// The handshake as Chromium sends it.
const REQUEST: &[u8] = b"GET /ws HTTP/1.1\r\n\
    Host: example.org:8040\r\n\
    Connection: Upgrade\r\n\
    Pragma: no-cache\r\n\
    Cache-Control: no-cache\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n\
    Upgrade: websocket\r\n\
    Origin: https://example.org\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.9\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\
    Sec-WebSocket-Protocol: json.fanfare.v1\r\n\
    \r\n";

/// The server's half of the handshake, from the bytes of the request's head to those of the `101`: its end found, parsed,
/// routed, judged, accept key made, answer written.
fn handshake(c: &mut Criterion) {
    let limits = HttpLimits {
        max_head: HttpLimits::DEFAULT_MAX_HEAD,
        max_body: 64 * 1024,
        max_batch: 64 * 1024,
    };
    let site = Site {
        echo: false,
        secure: false,
        admin: false,
    };
    let mut group = c.benchmark_group("handshake");
    group.throughput(Throughput::ElementsAndBytes {
        elements: 1,
        bytes: REQUEST.len() as u64,
    });
    for (name, deflate) in [("plain", false), ("deflate", true)] {
        let terms = Terms {
            protocols: &["json.fanfare.v1"],
            deflate,
        };
        let mut out = Vec::with_capacity(512);
        group.bench_function(name, |b| {
            b.iter(|| {
                out.clear();
                let mut slots = NO_HEADERS;
                let progress =
                    HttpParser::new().next_request(black_box(REQUEST), &mut slots, &limits);
                let Progress::Request(request) = progress else {
                    panic!("not a whole request: {progress:?}");
                };
                assert!(matches!(route(&request, &site), Route::WebSocket(_)));
                let accept = check(&request.head, &terms).expect("a good handshake");
                write_accept(&mut out, &accept, None);
                black_box(&out);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, receive, encode, masking, utf8, handshake);
criterion_main!(benches);
