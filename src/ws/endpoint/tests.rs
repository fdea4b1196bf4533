//! {client, server} x {sends, receives} x each kind of frame, every violation, and any split of the input.

mod deflate;
mod properties;

use super::*;
use crate::ws::close::CloseCode;
use crate::ws::deflate::{Deflater, WindowBits};
use crate::ws::encode::{write_close, write_message, write_ping, write_pong};
use crate::ws::frame::{write_frame, write_header};

const KEY: [u8; 4] = [0xA1, 0xB2, 0xC3, 0xD4];
const LIMIT: usize = 1 << 20;

/// An event that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

impl From<Event<'_>> for Seen {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Message { text: true, data } => Self::Text(data.to_vec()),
            Event::Message { text: false, data } => Self::Binary(data.to_vec()),
            Event::Ping(bytes) => Self::Ping(bytes.to_vec()),
            Event::Pong(bytes) => Self::Pong(bytes.to_vec()),
            Event::Close(close) => {
                Self::Close(close.map(|close| (close.code.0, close.reason.to_owned())))
            }
        }
    }
}

/// Feeds `pieces` one by one and returns all events, up to the violation if there is one.
fn feed<'p>(
    endpoint: &mut Endpoint,
    pieces: impl IntoIterator<Item = &'p [u8]>,
    limit: usize,
) -> (Vec<Seen>, Option<Violation>) {
    let (mut seen, mut inflater) = (Vec::new(), Inflater::new());
    for piece in pieces {
        let mut input = piece.to_vec();
        let mut pos = 0;
        loop {
            match endpoint.receive(&mut input, &mut pos, piece.len(), limit, &mut inflater) {
                Ok(Some(event)) => seen.push(event.into()),
                Ok(None) => break,
                Err(violation) => return (seen, Some(violation)),
            }
        }
        assert_eq!(pos, piece.len(), "`None` means that all is used up");
    }
    (seen, None)
}

fn server() -> Endpoint {
    Endpoint::new(Role::Server, false, true)
}

fn server_with_deflate() -> Endpoint {
    Endpoint::new(Role::Server, true, true)
}

/// The mask that this side's frames need.
fn mask_of(role: Role) -> Option<[u8; 4]> {
    match role {
        Role::Client => Some(KEY),
        Role::Server => None,
    }
}

fn peer_of(role: Role) -> Role {
    match role {
        Role::Client => Role::Server,
        Role::Server => Role::Client,
    }
}

/// A frame from a client.
fn frame(fin: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_frame(&mut out, fin, false, opcode, payload, Some(KEY));
    out
}

/// A frame from a client that says it begins a compressed message.
fn compressed(fin: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_frame(&mut out, fin, true, opcode, payload, Some(KEY));
    out
}

fn deflated(plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Deflater::new(2, WindowBits::MAX).deflate(plain, &mut out);
    out
}

/// What a fresh `endpoint` says to `wire`, which must be a violation after no event, whole or byte by byte.
fn refusal(endpoint: impl Fn() -> Endpoint, wire: &[u8]) -> Violation {
    let whole = feed(&mut endpoint(), [wire], LIMIT);
    let bytewise = feed(&mut endpoint(), wire.chunks(1), LIMIT);
    assert_eq!(whole, bytewise);
    assert_eq!(whole.0, []);
    whole.1.expect("a violation")
}

/// How many bytes of `wire` a server needs before it refuses it.
fn bytes_until_refusal(wire: &[u8]) -> usize {
    let mut endpoint = server();
    let refused = |byte: &[u8]| feed(&mut endpoint, [byte], LIMIT).1.is_some();
    wire.chunks(1).position(refused).expect("a violation") + 1
}

#[test]
fn an_endpoint_is_small_enough_for_100_000_of_them() {
    assert!(size_of::<Endpoint>() <= 16);
}

#[test]
fn a_fragmented_message_with_a_ping_inside_comes_out_whole_in_pieces_of_any_length() {
    let mut wire = frame(false, Opcode::Text, "Hé".as_bytes());
    wire.extend(frame(true, Opcode::Ping, b"there?"));
    wire.extend(frame(false, Opcode::Continuation, b""));
    wire.extend(frame(true, Opcode::Continuation, "llö".as_bytes()));
    wire.extend(frame(true, Opcode::Close, b"\x03\xe8bye"));
    wire.extend(frame(true, Opcode::Ping, b"after the close"));
    for len in 1..=wire.len() {
        let mut endpoint = server();
        let (seen, violation) = feed(&mut endpoint, wire.chunks(len), LIMIT);
        assert_eq!(violation, None);
        assert_eq!(
            seen,
            [
                Seen::Ping(b"there?".to_vec()),
                Seen::Text("Héllö".as_bytes().to_vec()),
                Seen::Close(Some((CloseCode::NORMAL.0, "bye".to_owned()))),
            ]
        );
        assert_eq!(endpoint.held_bytes(), 0);
    }
}

/// Each kind of frame, as one side writes it and as the other sees it.
fn each_kind(mask: Option<[u8; 4]>) -> Vec<(Vec<u8>, Seen)> {
    let written = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        write(&mut out);
        out
    };
    let close = CloseFrame {
        code: CloseCode::RESTART,
        reason: "back soon",
    };
    let long = vec![b'x'; 70_000];
    vec![
        (
            written(&|out| write_message(out, true, "grüß".as_bytes(), mask)),
            Seen::Text("grüß".as_bytes().to_vec()),
        ),
        (
            written(&|out| write_message(out, false, b"\xff\x00", mask)),
            Seen::Binary(b"\xff\x00".to_vec()),
        ),
        (
            written(&|out| write_message(out, true, b"", mask)),
            Seen::Text(Vec::new()),
        ),
        (
            written(&|out| write_message(out, true, &long[..300], mask)),
            Seen::Text(long[..300].to_vec()),
        ),
        (
            written(&|out| write_message(out, false, &long, mask)),
            Seen::Binary(long.clone()),
        ),
        (
            written(&|out| write_ping(out, b"1", mask)),
            Seen::Ping(b"1".to_vec()),
        ),
        (
            written(&|out| write_pong(out, b"", mask)),
            Seen::Pong(Vec::new()),
        ),
        (
            written(&|out| write_close(out, None, mask)),
            Seen::Close(None),
        ),
        (
            written(&|out| write_close(out, Some(close), mask)),
            Seen::Close(Some((1012, "back soon".to_owned()))),
        ),
    ]
}

#[test]
fn each_side_receives_each_kind_of_frame_that_the_other_sends() {
    for sender in [Role::Client, Role::Server] {
        for (wire, expected) in each_kind(mask_of(sender)) {
            for piece in [1, 7, wire.len()] {
                let mut receiver = Endpoint::new(peer_of(sender), false, true);
                let (seen, violation) = feed(&mut receiver, wire.chunks(piece), LIMIT);
                assert_eq!(violation, None, "from the {sender:?}");
                assert_eq!(seen, std::slice::from_ref(&expected), "from the {sender:?}");
            }
        }
    }
}

#[test]
fn each_side_refuses_each_kind_of_frame_masked_the_wrong_way() {
    for receiver in [Role::Client, Role::Server] {
        for (wire, _) in each_kind(mask_of(receiver)) {
            let violation = refusal(|| Endpoint::new(receiver, false, true), &wire);
            assert_eq!(violation.code, CloseCode::PROTOCOL);
            assert!(violation.reason.contains("masked"));
        }
    }
}

#[test]
fn what_a_server_sends_is_not_masked_and_what_a_client_sends_is() {
    for sender in [Role::Client, Role::Server] {
        for (wire, _) in each_kind(mask_of(sender)) {
            assert_eq!(wire[1] & 0x80 != 0, sender == Role::Client);
        }
    }
}

#[test]
fn a_whole_frame_is_handed_out_in_place_and_takes_no_memory_of_its_own() {
    let mut input = frame(true, Opcode::Binary, b"payload");
    let end = input.len();
    // What lies behind belongs to nobody.
    input.extend([0xEE; 64]);
    let place = input.as_ptr_range();
    let (mut endpoint, mut pos) = (server(), 0);
    let event = endpoint.receive(&mut input, &mut pos, end, LIMIT, &mut Inflater::new());
    let Ok(Some(Event::Message { text: false, data })) = event else {
        panic!("{event:?}");
    };
    assert_eq!(data, b"payload");
    assert!(place.contains(&data.as_ptr()));
    assert_eq!(endpoint.held_bytes(), 0);
}

#[test]
fn an_assembled_message_is_handed_out_whole_and_its_memory_is_given_back() {
    let wire = frame(true, Opcode::Text, &[b'x'; 5000]);
    let mut endpoint = server();
    let (half, rest) = wire.split_at(3000);
    assert_eq!(feed(&mut endpoint, [half], LIMIT), (vec![], None));
    assert!(endpoint.mid_message());
    assert!((3000..8000).contains(&endpoint.held_bytes()));

    let mut input = rest.to_vec();
    let mut pos = 0;
    let event = endpoint.receive(
        &mut input,
        &mut pos,
        rest.len(),
        LIMIT,
        &mut Inflater::new(),
    );
    let Ok(Some(Event::Message { text: true, data })) = event else {
        panic!("{event:?}");
    };
    assert_eq!(data, [b'x'; 5000]);
    assert!(!endpoint.mid_message());
    assert_eq!(feed(&mut endpoint, [&[][..]], LIMIT), (vec![], None));
    assert_eq!(endpoint.held_bytes(), 0);
}

#[test]
fn an_announced_length_costs_nothing_until_its_bytes_arrive() {
    let mut wire = Vec::new();
    write_header(&mut wire, true, false, Opcode::Binary, 1 << 40, Some(KEY));
    wire.extend([0; 1000]);
    let mut endpoint = server();
    assert_eq!(feed(&mut endpoint, [&wire[..]], usize::MAX), (vec![], None));
    assert!(endpoint.held_bytes() < 2500, "{}", endpoint.held_bytes());
}

#[test]
fn memory_for_a_large_message_stays_under_twice_what_has_arrived_and_ends_at_its_length() {
    let wire = frame(true, Opcode::Binary, &vec![7; 1_000_000]);
    let mut endpoint = server();
    for (i, piece) in wire[..wire.len() - 1].chunks(16_384).enumerate() {
        assert_eq!(feed(&mut endpoint, [piece], LIMIT), (vec![], None));
        let arrived = (i + 1) * 16_384;
        assert!(endpoint.held_bytes() <= 2 * arrived + 1024);
    }
    assert!(endpoint.held_bytes() <= 1_000_000 + 1024);
}

#[test]
fn half_a_header_is_kept_and_counts_as_begun() {
    let mut endpoint = server();
    assert!(!endpoint.mid_message());
    assert_eq!(feed(&mut endpoint, [&[0x81][..]], LIMIT), (vec![], None));
    assert!(endpoint.mid_message());
    assert!(endpoint.held_bytes() > 0);
}

#[test]
fn a_frame_with_rsv1_is_refused_where_deflate_was_not_negotiated() {
    for opcode in [Opcode::Text, Opcode::Binary] {
        let violation = refusal(server, &compressed(true, opcode, b"x"));
        assert_eq!(violation, RSV1_WITHOUT_DEFLATE);
        assert_eq!(violation.code, CloseCode::PROTOCOL);
    }
}

#[test]
fn a_frame_with_rsv1_that_begins_no_message_is_refused_also_with_deflate() {
    for opcode in [
        Opcode::Continuation,
        Opcode::Ping,
        Opcode::Pong,
        Opcode::Close,
    ] {
        let violation = refusal(server_with_deflate, &compressed(true, opcode, b""));
        assert_eq!(violation.code, CloseCode::PROTOCOL);
    }
}

#[test]
fn a_header_that_is_illegal_by_itself_fails_the_connection() {
    let wires: [&[u8]; 5] = [
        &[0xA1],
        &[0x83],
        &[0x09],
        &[0x89, 0xFE],
        &[0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0],
    ];
    for wire in wires {
        assert_eq!(refusal(server, wire).code, CloseCode::PROTOCOL, "{wire:x?}");
    }
}

#[test]
fn a_continuation_of_nothing_is_refused() {
    for fin in [true, false] {
        let wire = frame(fin, Opcode::Continuation, b"x");
        assert_eq!(refusal(server, &wire), NOTHING_TO_CONTINUE);
    }
}

#[test]
fn a_continuation_after_the_last_fragment_is_refused() {
    let mut wire = frame(false, Opcode::Text, b"a");
    wire.extend(frame(true, Opcode::Continuation, b"b"));
    wire.extend(frame(true, Opcode::Continuation, b"c"));
    let (seen, violation) = feed(&mut server(), [&wire[..]], LIMIT);
    assert_eq!(seen, [Seen::Text(b"ab".to_vec())]);
    assert_eq!(violation, Some(NOTHING_TO_CONTINUE));
}

#[test]
fn a_message_inside_another_is_refused() {
    for opcode in [Opcode::Text, Opcode::Binary] {
        let mut wire = frame(false, Opcode::Text, b"a");
        wire.extend(frame(true, opcode, b"b"));
        assert_eq!(refusal(server, &wire), INTERLEAVED);
    }
}

#[test]
fn a_bad_close_frame_is_answered_with_the_code_that_names_its_fault() {
    let cases: [(&[u8], CloseCode); 4] = [
        (b"\x03", CloseCode::PROTOCOL),
        (b"\x03\xed", CloseCode::PROTOCOL),
        (b"\x0b\xb7", CloseCode::PROTOCOL),
        (b"\x03\xe8\xff", CloseCode::INVALID_DATA),
    ];
    for (body, code) in cases {
        assert_eq!(
            refusal(server, &frame(true, Opcode::Close, body)).code,
            code
        );
    }
}

#[test]
fn text_fails_at_its_first_bad_byte_in_the_middle_of_a_frame() {
    let mut text = "κόσμε".as_bytes().to_vec();
    let good = text.len();
    text.extend(b"\xF4\x90\x80\x80 and much more");
    let wire = frame(true, Opcode::Text, &text);
    assert_eq!(refusal(server, &wire), NOT_UTF8);
    assert_eq!(
        bytes_until_refusal(&wire),
        6 + good + 2,
        "header, text, F4 90"
    );
}

#[test]
fn text_fails_at_its_first_bad_byte_where_a_fragment_cuts_through_the_code_point() {
    let mut wire = frame(false, Opcode::Text, b"abc\xE0");
    let first = wire.len();
    wire.extend(frame(false, Opcode::Continuation, b"\x80\x80"));
    wire.extend(frame(true, Opcode::Continuation, b""));
    assert_eq!(bytes_until_refusal(&wire), first + 6 + 1);
}

#[test]
fn text_that_ends_within_a_code_point_fails_at_its_last_frame() {
    assert_eq!(
        refusal(server, &frame(true, Opcode::Text, b"\xE2\x82")),
        NOT_UTF8
    );
    let mut wire = frame(false, Opcode::Text, b"\xE2\x82");
    wire.extend(frame(true, Opcode::Continuation, b""));
    assert_eq!(refusal(server, &wire), NOT_UTF8);
}

#[test]
fn text_is_handed_out_unchecked_where_somebody_else_checks_it() {
    let wire = frame(true, Opcode::Text, b"\xFF\xFE");
    for piece in [1, wire.len()] {
        let mut endpoint = Endpoint::new(Role::Server, false, false);
        let (seen, violation) = feed(&mut endpoint, wire.chunks(piece), LIMIT);
        assert_eq!(
            (seen, violation),
            (vec![Seen::Text(b"\xFF\xFE".to_vec())], None)
        );
    }
}

#[test]
fn a_message_of_the_limit_passes_and_one_byte_more_is_refused_at_the_header() {
    let wire = frame(true, Opcode::Binary, &[1; 1000]);
    assert_eq!(feed(&mut server(), [&wire[..]], 1000).1, None);
    let (seen, violation) = feed(&mut server(), [&wire[..8]], 999);
    assert_eq!((seen, violation), (vec![], Some(TOO_BIG)));
    assert_eq!(TOO_BIG.code, CloseCode::TOO_BIG);
}

#[test]
fn the_limit_counts_all_fragments_and_refuses_at_the_header_that_goes_over_it() {
    let mut wire = frame(false, Opcode::Binary, &[1; 600]);
    wire.extend(frame(false, Opcode::Continuation, &[1; 400]));
    assert_eq!(feed(&mut server(), [&wire[..]], 1000).1, None);
    wire.extend(&frame(true, Opcode::Continuation, b"x")[..6]);
    assert_eq!(feed(&mut server(), [&wire[..]], 1000).1, Some(TOO_BIG));
}

#[test]
fn control_frames_do_not_count_against_the_limit() {
    let mut wire = frame(false, Opcode::Binary, b"1234");
    wire.extend(frame(true, Opcode::Ping, &[0; 125]));
    wire.extend(frame(true, Opcode::Continuation, b"5"));
    let (seen, violation) = feed(&mut server(), wire.chunks(3), 5);
    assert_eq!(violation, None);
    assert_eq!(
        seen,
        [Seen::Ping(vec![0; 125]), Seen::Binary(b"12345".to_vec())]
    );
}

#[test]
fn nothing_is_delivered_after_a_violation() {
    let mut endpoint = server();
    let mut wire = frame(false, Opcode::Text, b"a");
    wire.extend([0x83, 0x80]);
    wire.extend(frame(true, Opcode::Ping, b""));
    assert!(feed(&mut endpoint, [&wire[..]], LIMIT).1.is_some());
    let more = frame(true, Opcode::Ping, b"");
    assert_eq!(feed(&mut endpoint, [&more[..]], LIMIT), (vec![], None));
    assert_eq!(
        (endpoint.state(), endpoint.held_bytes()),
        (State::Failed, 0)
    );
}

#[test]
fn nothing_is_delivered_after_a_close_and_half_a_message_is_dropped() {
    let mut endpoint = server();
    let mut wire = frame(false, Opcode::Text, b"a");
    wire.extend(frame(true, Opcode::Close, b""));
    wire.extend(frame(true, Opcode::Continuation, b"b"));
    let (seen, violation) = feed(&mut endpoint, [&wire[..]], LIMIT);
    assert_eq!((seen, violation), (vec![Seen::Close(None)], None));
    assert_eq!(endpoint.held_bytes(), 0);
    assert!(!endpoint.mid_message());
}

#[test]
fn a_close_begun_by_the_peer_ends_when_it_is_answered() {
    let mut endpoint = server();
    assert_eq!(endpoint.state(), State::Open);
    feed(&mut endpoint, [&frame(true, Opcode::Close, b"")[..]], LIMIT);
    assert_eq!(endpoint.state(), State::CloseReceived);
    endpoint.note_close_sent();
    assert_eq!(endpoint.state(), State::Closed);
}

#[test]
fn a_close_begun_here_lets_messages_under_way_arrive_until_the_peers_close() {
    let mut endpoint = server();
    endpoint.note_close_sent();
    assert_eq!(endpoint.state(), State::CloseSent);
    let mut wire = frame(true, Opcode::Text, b"under way");
    wire.extend(frame(true, Opcode::Close, b""));
    let (seen, _) = feed(&mut endpoint, [&wire[..]], LIMIT);
    assert_eq!(seen, [Seen::Text(b"under way".to_vec()), Seen::Close(None)]);
    assert_eq!(endpoint.state(), State::Closed);
}
