//! {client, server} x {sends, receives} x each kind of frame, every violation, and any split of the input.

use super::*;
use crate::ws::close::CloseCode;
use crate::ws::frame::write_frame;

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
            Event::Message { text: true, data } => Self::Text(data.as_slice().to_vec()),
            Event::Message { text: false, data } => Self::Binary(data.as_slice().to_vec()),
            Event::Ping(bytes) => Self::Ping(bytes.to_vec()),
            Event::Pong(bytes) => Self::Pong(bytes.to_vec()),
            Event::Close(close) => {
                Self::Close(close.map(|close| (close.code.0, close.reason.to_owned())))
            }
        }
    }
}

/// "Inflates" by repeating each byte four times: enough to see where it is called and with which limit.
struct Fourfold;

impl Inflate for Fourfold {
    fn inflate(
        &mut self,
        compressed: &[u8],
        out: &mut Vec<u8>,
        max: usize,
    ) -> Result<(), Violation> {
        if compressed.len() * 4 > max {
            return Err(TOO_BIG);
        }
        out.extend(compressed.iter().flat_map(|byte| [*byte; 4]));
        Ok(())
    }
}

/// Feeds `pieces` one by one and returns all events, up to the violation if there is one.
fn feed<'p>(
    endpoint: &mut Endpoint,
    pieces: impl IntoIterator<Item = &'p [u8]>,
    limit: usize,
) -> (Vec<Seen>, Option<Violation>) {
    let mut seen = Vec::new();
    for piece in pieces {
        let mut input = piece.to_vec();
        input.extend([0xEE; PADDING]);
        let mut pos = 0;
        loop {
            match endpoint.receive(&mut input, &mut pos, piece.len(), limit, &mut Fourfold) {
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

fn frame(fin: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_frame(&mut out, fin, false, opcode, payload, Some(KEY));
    out
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
