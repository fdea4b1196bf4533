//! Compressed messages at an endpoint.

use super::*;

#[test]
fn a_compressed_message_is_inflated_however_it_arrives() {
    let plain = "Hällo, hällo, hällo!".as_bytes();
    let payload = deflated(plain);
    let whole = compressed(true, Opcode::Text, &payload);
    let mut fragments = compressed(false, Opcode::Text, &payload[..3]);
    fragments.extend(frame(true, Opcode::Ping, b"!"));
    fragments.extend(frame(true, Opcode::Continuation, &payload[3..]));
    let text = Seen::Text(plain.to_vec());
    for (wire, expected) in [
        (whole, vec![text.clone()]),
        (fragments, vec![Seen::Ping(b"!".to_vec()), text]),
    ] {
        for len in 1..=wire.len() {
            let mut endpoint = server_with_deflate();
            let (seen, violation) = feed(&mut endpoint, wire.chunks(len), LIMIT);
            assert_eq!((&seen, violation), (&expected, None));
            assert_eq!(endpoint.held_bytes(), 0);
        }
    }
}

#[test]
fn a_message_that_is_too_long_to_be_inflated_now_stays_as_it_came() {
    let short = compressed(true, Opcode::Text, &deflated(b"short"));
    let long = compressed(true, Opcode::Text, &deflated(&[b'a'; 10_000]));
    let mut input = [&short[..], &long].concat();
    let (end, unread) = (input.len(), short.len());
    input.extend([0xEE; 64]);
    let (mut endpoint, mut inflater) = (server_with_deflate(), Inflater::new());
    let mut pos = 0;
    let mut receive = |endpoint: &mut Endpoint, pos: &mut usize, at_once| {
        inflater.set_at_once(at_once);
        let event = endpoint.receive(&mut input, pos, end, LIMIT, &mut inflater);
        event.map(|event| event.map(Seen::from))
    };
    let short = Seen::Text(b"short".to_vec());
    assert_eq!(
        receive(&mut endpoint, &mut pos, Some(9_999)),
        Ok(Some(short))
    );
    for _ in 0..3 {
        assert_eq!(receive(&mut endpoint, &mut pos, Some(9_999)), Ok(None));
        assert_eq!((pos, endpoint.held_bytes()), (unread, 0));
    }
    let long = Seen::Text(vec![b'a'; 10_000]);
    assert_eq!(
        receive(&mut endpoint, &mut pos, Some(10_000)),
        Ok(Some(long))
    );
    assert_eq!(receive(&mut endpoint, &mut pos, None), Ok(None));
    assert_eq!(pos, end);
}

/// What a server that may spend only `at_once` now says of `input`, and how far it comes; then the same of the rest with all
/// the time it needs.
fn in_two_visits(mut input: Vec<u8>, at_once: usize) -> (Option<Seen>, usize, Option<Seen>, usize) {
    let end = input.len();
    let (mut endpoint, mut inflater, mut pos) = (server_with_deflate(), Inflater::new(), 0);
    let mut receive = |pos: &mut usize, at_once| {
        inflater.set_at_once(at_once);
        let event = endpoint.receive(&mut input, pos, end, LIMIT, &mut inflater);
        event.expect("no violation").map(Seen::from)
    };
    let first = receive(&mut pos, Some(at_once));
    let reached = pos;
    let second = receive(&mut pos, None);
    (first, reached, second, pos)
}

#[test]
fn a_compressed_message_in_fragments_is_left_for_who_has_time() {
    let bytes = deflated(&[b'a'; 10_000]);
    let (one, other) = bytes.split_at(bytes.len() / 2);
    let first = compressed(false, Opcode::Binary, one);
    let rest = frame(true, Opcode::Continuation, other);
    let input = [first.clone(), rest].concat();
    let end = input.len();
    let (event, reached, later, pos) = in_two_visits(input, 20_000);
    assert_eq!((event, reached), (None, first.len()));
    assert_eq!((later, pos), (Some(Seen::Binary(vec![b'a'; 10_000])), end));
}

#[test]
fn of_many_short_fragments_the_rest_is_left_for_who_has_time() {
    let mut input = frame(false, Opcode::Binary, b"a");
    let each = frame(false, Opcode::Continuation, b"");
    let begun = input.len();
    input.extend(each.repeat(1000));
    input.extend(frame(true, Opcode::Continuation, b"b"));
    let end = input.len();
    let most = 100;
    let (event, reached, later, pos) = in_two_visits(input, most * FRAGMENT_BYTES);
    assert_eq!((event, reached), (None, begun + (most - 1) * each.len()));
    assert_eq!((later, pos), (Some(Seen::Binary(b"ab".to_vec())), end));
}

#[test]
fn an_inflated_message_is_handed_out_whole() {
    let mut input = compressed(true, Opcode::Binary, &deflated(&[5; 1000]));
    let end = input.len();
    let (mut endpoint, mut pos) = (server_with_deflate(), 0);
    let event = endpoint.receive(&mut input, &mut pos, end, LIMIT, &mut Inflater::new());
    let Ok(Some(Event::Message { text: false, data })) = event else {
        panic!("{event:?}");
    };
    assert_eq!(data, [5; 1000]);
}

#[test]
fn an_uncompressed_message_passes_where_deflate_was_negotiated() {
    let wire = frame(true, Opcode::Text, b"plain");
    let (seen, _) = feed(&mut server_with_deflate(), [&wire[..]], LIMIT);
    assert_eq!(seen, [Seen::Text(b"plain".to_vec())]);
}

#[test]
fn compressed_text_is_checked_once_it_is_inflated() {
    let not_utf8 = deflated(b"\xFF");
    let wire = compressed(true, Opcode::Text, &not_utf8);
    assert_eq!(refusal(server_with_deflate, &wire), NOT_UTF8);
    let wire = compressed(true, Opcode::Binary, &not_utf8);
    let (seen, _) = feed(&mut server_with_deflate(), [&wire[..]], LIMIT);
    assert_eq!(seen, [Seen::Binary(vec![0xFF])]);
}

#[test]
fn compressed_data_that_does_not_inflate_is_refused() {
    let wire = compressed(true, Opcode::Binary, &[0xFF; 20]);
    let violation = refusal(server_with_deflate, &wire);
    assert_eq!(violation.code, CloseCode::INVALID_DATA);
}

#[test]
fn the_limit_holds_for_the_inflated_message_and_for_the_compressed_one() {
    let payload = deflated(&[0; 100_000]);
    assert!(payload.len() < 1000);
    let wire = compressed(true, Opcode::Binary, &payload);
    for piece in [1, wire.len()] {
        let verdict = |limit| feed(&mut server_with_deflate(), wire.chunks(piece), limit).1;
        assert_eq!(verdict(100_000), None);
        assert_eq!(verdict(99_999).map(|v| v.code), Some(CloseCode::TOO_BIG));
    }
    let header = &wire[..8];
    let verdict = feed(&mut server_with_deflate(), [header], payload.len() - 1);
    assert_eq!(verdict, (vec![], Some(TOO_BIG)));
}
