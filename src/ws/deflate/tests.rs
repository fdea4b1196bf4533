use proptest::prelude::*;

use super::reference;
use super::*;
use crate::ws::close::CloseCode;

const NO_LIMIT: usize = usize::MAX;

fn window(bits: u8) -> WindowBits {
    WindowBits::new(bits).unwrap()
}

fn deflated(plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Deflater::new(6, WindowBits::MAX).deflate(plain, &mut out);
    out
}

fn inflated(compressed: &[u8]) -> Result<Vec<u8>, Violation> {
    let mut out = Vec::new();
    Inflater::new()
        .inflate(compressed, &mut out, NO_LIMIT)
        .map(|()| out)
}

/// What looks like a stream of trades: repeats itself, but never quite.
fn json(bytes: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut state = 1u32;
    while out.len() < bytes {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (symbol, price) = (state >> 28, state >> 8);
        out.extend_from_slice(
            format!(r#"{{"symbol":"S{symbol}","price":{price},"side":"buy"}},"#).as_bytes(),
        );
    }
    out.truncate(bytes);
    out
}

/// What nothing makes smaller.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

#[test]
fn the_examples_of_the_rfc_inflate() {
    // RFC 7692 §7.2.3.1 to §7.2.3.5.
    let examples: [&[u8]; 5] = [
        &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
        &[
            0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00,
        ],
        &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
        &[
            0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
        ],
        &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
    ];
    for example in examples {
        assert_eq!(inflated(example).as_deref(), Ok(&b"Hello"[..]));
    }
}

#[test]
fn the_rfc_s_second_hello_needs_context_takeover() {
    // RFC 7692 §7.2.3.2: the second message refers to the first.
    let (first, second) = (
        [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
        [0xf2, 0x00, 0x11, 0x00, 0x00],
    );
    let mut out = Vec::new();
    let mut takeover = Inflater::with_context_takeover(WindowBits::MAX);
    takeover.inflate(&first, &mut out, NO_LIMIT).unwrap();
    takeover.inflate(&second, &mut out, NO_LIMIT).unwrap();
    assert_eq!(out, b"HelloHello");

    let mut without = Inflater::new();
    without.inflate(&first, &mut out, NO_LIMIT).unwrap();
    let violation = without.inflate(&second, &mut out, NO_LIMIT).unwrap_err();
    assert_eq!(violation.code, CloseCode::INVALID_DATA);
}

#[test]
fn an_empty_message_is_one_byte_and_none_at_all_is_taken_too() {
    // RFC 7692 §7.2.3.6.
    assert_eq!(deflated(b""), [0x00]);
    assert_eq!(inflated(&[0x00]), Ok(Vec::new()));
    assert_eq!(inflated(&[0x02, 0x00]), Ok(Vec::new()));
    assert_eq!(inflated(&[]), Ok(Vec::new()));
}

#[test]
fn an_inflater_and_a_deflater_that_are_never_used_own_nothing() {
    assert!(Inflater::new().stream.is_none());
    let takeover = Inflater::with_context_takeover(WindowBits::MAX);
    assert_eq!(takeover.takeover.unwrap().bytes.capacity(), 0);
    let mut deflaters = Deflaters::new(2);
    deflaters
        .for_window(window(10))
        .deflate(b"x", &mut Vec::new());
    let made = |deflater: &Deflater| deflater.stream.is_some();
    assert_eq!(deflaters.by_window.iter().filter(|d| made(d)).count(), 1);
}

#[test]
fn window_bits_are_9_to_15() {
    let valid: Vec<u8> = (0..=u8::MAX)
        .filter(|&bits| WindowBits::new(bits).is_some())
        .collect();
    assert_eq!(valid, [9, 10, 11, 12, 13, 14, 15]);
    assert_eq!(window(9).bytes(), 512);
    assert_eq!(WindowBits::MAX.bytes(), 32_768);
}

#[test]
fn each_window_size_has_a_compressor_of_its_own() {
    let mut deflaters = Deflaters::new(2);
    for bits in 9..=15 {
        assert_eq!(deflaters.for_window(window(bits)).window, window(bits));
    }
}

#[test]
fn a_message_of_exactly_max_bytes_is_whole_and_one_byte_more_is_too_big() {
    for len in [1, 2, 255, 256, 257, 1000, 70_000] {
        let plain = json(len);
        let compressed = deflated(&plain);
        let mut out = b"before".to_vec();
        let mut inflater = Inflater::new();
        inflater.inflate(&compressed, &mut out, 6 + len).unwrap();
        assert_eq!(out[6..], plain);

        let mut out = b"before".to_vec();
        let violation = inflater
            .inflate(&compressed, &mut out, 6 + len - 1)
            .unwrap_err();
        assert_eq!(violation.code, CloseCode::TOO_BIG);
        assert_eq!(out, b"before", "what was there stays, and nothing else");
    }
}

#[test]
fn a_bomb_costs_no_more_memory_than_the_limit() {
    let bomb = deflated(&vec![0; 64 << 20]);
    assert!(bomb.len() < 70_000);
    let (mut out, max) = (Vec::new(), 1 << 20);
    let violation = Inflater::new().inflate(&bomb, &mut out, max).unwrap_err();
    assert_eq!(violation.code, CloseCode::TOO_BIG);
    assert!(out.capacity() <= max + 1, "{}", out.capacity());
    assert!(out.is_empty());
}

#[test]
fn a_buffer_that_is_already_over_the_limit_is_refused_and_not_hung_over() {
    let mut out = vec![7; 10];
    let violation = Inflater::new()
        .inflate(&deflated(b"x"), &mut out, 5)
        .unwrap_err();
    assert_eq!(violation.code, CloseCode::TOO_BIG);
    assert_eq!(out, [7; 10]);
}

#[test]
fn an_inflater_works_on_after_a_message_that_it_refused() {
    let mut inflater = Inflater::new();
    let mut out = Vec::new();
    for bad in [&[0xff][..], &[0x06], &deflated(&json(5000))[..600]] {
        let violation = inflater.inflate(bad, &mut out, NO_LIMIT).unwrap_err();
        assert_eq!(violation.code, CloseCode::INVALID_DATA);
        assert!(out.is_empty());
        inflater
            .inflate(&deflated(b"next"), &mut out, NO_LIMIT)
            .unwrap();
        assert_eq!(out, b"next");
        out.clear();
    }
}

#[test]
fn a_message_cut_short_anywhere_is_refused() {
    for plain in [json(600), vec![b'a'; 300], (0..=255).collect()] {
        let whole = deflated(&plain);
        for len in 1..whole.len() {
            let cut = &whole[..len];
            // The beginning of a message can be a whole one too: of a stored block, its first byte.
            match reference::inflate(&[cut, &TAIL].concat()) {
                Some(whole) if whole.ends_with_empty_stored => {
                    assert_eq!(inflated(cut), Ok(whole.plain))
                }
                _ => assert!(inflated(cut).is_err(), "cut to {len} bytes"),
            }
        }
    }
}

#[test]
fn a_tail_that_was_not_removed_is_refused() {
    let mut compressed = deflated(b"Hello");
    compressed.extend_from_slice(&TAIL);
    assert_eq!(
        inflated(&compressed).unwrap_err().code,
        CloseCode::INVALID_DATA
    );
}

/// One message that ends with a final block, as senders make it whose compressor knows no flush.
fn finished(plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(plain.len() + 100);
    let status = Compress::new(Compression::new(6), false)
        .compress_vec(plain, &mut out, FlushCompress::Finish)
        .unwrap();
    assert_eq!(status, Status::StreamEnd);
    out
}

#[test]
fn a_final_block_ends_no_message_and_what_follows_it_counts() {
    let (one, two) = (json(3000), vec![b'b'; 500]);
    let mut compressed = finished(&one);
    compressed.extend(finished(b""));
    compressed.extend(deflated(b""));
    compressed.extend_from_slice(&TAIL);
    compressed.extend(finished(&two));
    let expected = [&one[..], &two].concat();
    for padding in [&[][..], &[0x00]] {
        compressed.extend_from_slice(padding);
        assert_eq!(inflated(&compressed).as_deref(), Ok(&expected[..]));
        for takeover in [WindowBits::MIN, WindowBits::MAX] {
            let mut inflater = Inflater::with_context_takeover(takeover);
            for _ in 0..3 {
                let mut out = Vec::new();
                inflater.inflate(&compressed, &mut out, NO_LIMIT).unwrap();
                assert_eq!(out, expected);
            }
        }
    }
    compressed.push(0xff);
    assert!(inflated(&compressed).is_err());
}

/// The messages compressed one after the other in one window of `bits`, as a peer with context takeover does it.
fn with_takeover<'a>(bits: u8, messages: impl IntoIterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let mut stream = Compress::new_with_window_bits(Compression::new(9), false, bits);
    messages
        .into_iter()
        .map(|plain| {
            let mut out = Vec::with_capacity(plain.len() + plain.len() / 100 + 100);
            stream
                .compress_vec(plain, &mut out, FlushCompress::Sync)
                .unwrap();
            // Flushed twice with nothing in between, zlib yields nothing the second time.
            assert!(out.ends_with(&TAIL) || plain.is_empty() && out.is_empty());
            out.truncate(out.len().saturating_sub(TAIL.len()));
            out
        })
        .collect()
}

#[test]
fn with_takeover_a_message_may_refer_to_all_that_the_window_holds() {
    for bits in [9, 10, 15] {
        let message = json((1 << bits) / 3);
        let compressed = with_takeover(bits, [&message[..]; 12]);
        assert!(
            compressed[1].len() < 100,
            "{bits} bits: {:?}",
            compressed.iter().map(Vec::len).collect::<Vec<_>>()
        );
        let mut inflater = Inflater::with_context_takeover(window(bits));
        for compressed in compressed {
            let mut out = Vec::new();
            inflater.inflate(&compressed, &mut out, NO_LIMIT).unwrap();
            assert_eq!(out, message);
        }
        let held = inflater.takeover.unwrap().bytes.len();
        assert!(held <= 1 << bits, "{held} bytes held");
    }
}

#[test]
fn with_takeover_a_message_that_reaches_back_past_the_agreed_window_is_refused() {
    let far = json(600);
    let between = noise(4000);
    let messages = [&far[..], &between, &far];
    let compressed = with_takeover(15, messages);
    let outcomes = |agreed| {
        let mut inflater = Inflater::with_context_takeover(agreed);
        compressed
            .iter()
            .map(|message| inflater.inflate(message, &mut Vec::new(), NO_LIMIT).is_ok())
            .collect::<Vec<_>>()
    };
    assert_eq!(outcomes(window(15)), [true, true, true]);
    assert_eq!(outcomes(window(10)), [true, true, false]);
}

#[test]
fn no_compressor_refers_back_farther_than_its_window() {
    let plain = json(70_000);
    for level in [1, 2, 6, 9] {
        let mut deflaters = Deflaters::new(level);
        for bits in 9..=15 {
            let mut compressed = Vec::new();
            deflaters
                .for_window(window(bits))
                .deflate(&plain, &mut compressed);
            compressed.extend_from_slice(&TAIL);
            let found = reference::inflate(&compressed).unwrap();
            assert!(found.plain == plain, "level {level}, {bits} bits");
            assert!(
                found.distance_max <= 1 << bits,
                "level {level}, {bits} bits"
            );
            assert!(!found.saw_final);
        }
    }
}

#[test]
fn what_does_not_shrink_leaves_the_output_alone() {
    let mut deflater = Deflater::new(2, WindowBits::MAX);
    let mut out = b"log".to_vec();
    assert!(!deflater.deflate_if_smaller(b"", &mut out));
    assert!(!deflater.deflate_if_smaller(b"short", &mut out));
    assert!(!deflater.deflate_if_smaller(&noise(2000), &mut out));
    assert_eq!(out, b"log");
    assert!(deflater.deflate_if_smaller(&json(1000), &mut out));
    assert_eq!(inflated(&out[3..]), Ok(json(1000)));
}

#[test]
fn a_level_over_9_is_9() {
    let mut out = Vec::new();
    Deflater::new(u32::MAX, WindowBits::MAX).deflate(&json(1000), &mut out);
    assert_eq!(inflated(&out), Ok(json(1000)));
}

/// Runs, repeats from near and far, and noise.
fn plain() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..400),
        (any::<u8>(), 1..5000usize).prop_map(|(byte, times)| vec![byte; times]),
        (0..3000usize).prop_map(json),
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_message_comes_back_at_every_level_and_window(
        messages in proptest::collection::vec(plain(), 1..4),
        level in 0..=9u32,
        bits in 9..=15u8,
    ) {
        let mut deflater = Deflater::new(level, window(bits));
        let mut inflater = Inflater::new();
        let mut takeover = Inflater::with_context_takeover(window(bits));
        for plain in &messages {
            let mut compressed = Vec::new();
            deflater.deflate(plain, &mut compressed);
            for inflater in [&mut inflater, &mut takeover] {
                let mut out = Vec::new();
                prop_assert!(inflater.inflate(&compressed, &mut out, plain.len()).is_ok());
                prop_assert_eq!(&out, plain);
            }
            compressed.extend_from_slice(&TAIL);
            let found = reference::inflate(&compressed).unwrap();
            prop_assert_eq!(&found.plain, plain);
            prop_assert!(found.distance_max <= 1 << bits);
        }
    }

    #[test]
    fn a_peer_with_context_takeover_is_understood(
        messages in proptest::collection::vec(plain(), 1..6),
        bits in 9..=15u8,
    ) {
        let mut inflater = Inflater::with_context_takeover(window(bits));
        for (plain, compressed) in messages.iter().zip(with_takeover(bits, messages.iter().map(|m| &m[..]))) {
            let mut out = Vec::new();
            prop_assert!(inflater.inflate(&compressed, &mut out, NO_LIMIT).is_ok());
            prop_assert_eq!(&out, plain);
        }
    }

    #[test]
    fn rubbish_is_refused_or_inflates_to_what_the_reference_says(
        rubbish in proptest::collection::vec(any::<u8>(), 1..300),
    ) {
        let found = inflated(&rubbish);
        let with_tail = [&rubbish[..], &TAIL].concat();
        if let Some(reference) = reference::inflate(&with_tail).filter(|r| !r.saw_final && r.ends_with_empty_stored) {
            prop_assert_eq!(found.as_ref(), Ok(&reference.plain));
        } else if let Ok(plain) = found {
            // Only a final block can make the two differ: nothing need follow it, and after it the window is empty.
            prop_assert!(reference::inflate(&rubbish).is_some_and(|r| r.saw_final && r.plain == plain)
                || reference::inflate(&with_tail).is_some_and(|r| r.plain == plain));
        }
    }

    #[test]
    fn a_damaged_message_never_panics_and_never_goes_over_the_limit(
        plain in plain(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        max in 0..20_000usize,
    ) {
        let mut compressed = deflated(&plain);
        for (at, value) in damage {
            let at = at.index(compressed.len());
            compressed[at] = value;
        }
        let mut out = Vec::new();
        let whole = Inflater::new().inflate(&compressed, &mut out, max);
        prop_assert!(out.capacity() <= max + 1);
        prop_assert!(whole.is_ok() || out.is_empty());
    }
}
