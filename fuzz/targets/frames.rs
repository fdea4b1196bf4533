//! Frames as either side reads them: any split of the bytes gives the same events as the whole, and what is held between
//! two of them is bounded by what was received.

#![no_main]

use fanfare::ws::close::CloseCode;
use fanfare::ws::deflate::{Inflater, WindowBits};
use fanfare::ws::endpoint::{Endpoint, Event, Role};
use fanfare::ws::violation::Violation;
use fanfare_fuzz::Cuts;
use libfuzzer_sys::fuzz_target;

/// An event that outlives the input it was read from.
#[derive(Debug, PartialEq)]
enum Seen {
    Message(bool, Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(CloseCode, String)>),
    Violation(Violation),
}

impl From<Event<'_>> for Seen {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Message { text, data } => Self::Message(text, data.to_vec()),
            Event::Ping(data) => Self::Ping(data.to_vec()),
            Event::Pong(data) => Self::Pong(data.to_vec()),
            Event::Close(close) => {
                Self::Close(close.map(|close| (close.code, close.reason.to_owned())))
            }
        }
    }
}

/// All that an endpoint of the kind that `settings` describe sees in `bytes`.
fn read(settings: u8, bytes: &[u8], cuts: Cuts) -> Vec<Seen> {
    let role = [Role::Server, Role::Client][usize::from(settings & 1)];
    let (deflate, check_utf8) = (settings & 2 != 0, settings & 4 != 0);
    let max_message = [100, 4096, 70_000, 1 << 20][usize::from(settings >> 3 & 3)];
    let mut inflater = match settings & 32 {
        0 => Inflater::new(),
        _ => Inflater::with_context_takeover(WindowBits::MIN),
    };
    let mut endpoint = Endpoint::new(role, deflate, check_utf8);
    let (mut seen, mut received) = (Vec::new(), 0);
    for piece in cuts.pieces(bytes) {
        received += piece.len();
        let (mut input, mut pos) = (piece.to_vec(), 0);
        loop {
            match endpoint.receive(
                &mut input,
                &mut pos,
                piece.len(),
                max_message,
                &mut inflater,
            ) {
                Ok(Some(event)) => {
                    if let Event::Message { text, data } = &event {
                        assert!(data.len() <= max_message);
                        assert!(!text || !check_utf8 || str::from_utf8(data).is_ok());
                    }
                    seen.push(event.into());
                }
                Ok(None) => break,
                Err(violation) => seen.push(Seen::Violation(violation)),
            }
        }
        assert_eq!(pos, piece.len(), "all is read before more is asked for");
        let held = endpoint.held_bytes();
        assert!(
            held <= 2 * received + 1024,
            "{held} bytes held of {received}"
        );
        assert!(held == 0 || endpoint.mid_message());
    }
    let is_end = |seen: &Seen| matches!(seen, Seen::Violation(_) | Seen::Close(_));
    let ends = seen.iter().position(is_end).map(|at| at + 1);
    assert!(ends.is_none_or(|ends| ends == seen.len()), "{seen:?}");
    seen
}

fuzz_target!(|data: &[u8]| {
    let Some(([settings, cuts @ ..], bytes)) = data.split_first_chunk::<9>() else {
        return;
    };
    let whole = read(*settings, bytes, Cuts::NONE);
    for cuts in [Cuts(*cuts), Cuts::ALL] {
        assert_eq!(read(*settings, bytes, cuts), whole, "{cuts:?}");
    }
});
