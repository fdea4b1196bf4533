//! A whole connection as a stranger sees it: the request, the handshake, frames, requests in JSON. Whatever comes and however it is
//! cut, nothing panics, and what is held stays within the limits.

#![no_main]

use fanfare::dialect::json::{Command, DecodeError, Decoder, encode};
use fanfare::http::{HttpLimits, HttpParser, NO_HEADERS, Progress};
use fanfare::ws::deflate::{Deflater, Inflater, WindowBits};
use fanfare::ws::encode::{write_close, write_message, write_message_deflated, write_pong};
use fanfare::ws::endpoint::{Endpoint, Event, Role};
use fanfare::ws::extension::Agreed;
use fanfare::ws::handshake::server::{self, Terms};
use fanfare_fuzz::Cuts;
use libfuzzer_sys::fuzz_target;

const MAX_MESSAGE: usize = 4096;
const LIMITS: HttpLimits = HttpLimits {
    max_head: 1024,
    max_body: 100,
};
const TERMS: Terms<'static> = Terms {
    protocols: &["json.fanfare.v1"],
    deflate: true,
};

/// Reads the handshake at the beginning of `bytes`: how long it is, and what was agreed.
fn open(bytes: &[u8], out: &mut Vec<u8>) -> Option<(usize, Option<Agreed>)> {
    match HttpParser::new().next_request(bytes, &mut NO_HEADERS.clone(), &LIMITS) {
        Progress::Request(request) => {
            let accept = server::check(&request.head, &TERMS).ok()?;
            server::write_accept(out, &accept, None);
            Some((request.consumed, accept.deflate))
        }
        Progress::Refuse(response) => {
            response.write(out, "", false);
            None
        }
        Progress::Incomplete | Progress::ExpectContinue => None,
    }
}

/// Appends the reply to a message, if it gets one.
fn reply(decoder: &mut Decoder, message: &mut [u8], out: &mut Vec<u8>) {
    match decoder.decode(message) {
        Ok(request) => match request.command {
            Command::Subscribe { channel, .. } => {
                encode::subscribed(out, request.id, channel, "epoch", 1, None);
            }
            Command::Unsubscribe { channel } => encode::unsubscribed(out, request.id, channel),
            Command::Publish { channel, data } => {
                encode::published(out, request.id, channel, "epoch", data.len() as u64);
            }
            Command::Auth { .. } | Command::Ping => encode::pong(out, request.id),
        },
        Err(DecodeError::Refused(reply)) => encode::error(out, &reply),
        Err(DecodeError::NotUtf8) => {}
    }
}

fuzz_target!(|data: &[u8]| {
    let Some(([settings, cuts @ ..], mut bytes)) = data.split_first_chunk::<9>() else {
        return;
    };
    let mut out = Vec::new();
    let mut deflate = settings & 1 != 0;
    if settings & 2 != 0 {
        let Some((consumed, agreed)) = open(bytes, &mut out) else {
            return;
        };
        bytes = &bytes[consumed..];
        deflate = agreed.is_some();
    }
    let mut endpoint = Endpoint::new(Role::Server, deflate, settings & 4 != 0);
    let (mut inflater, mut decoder) = (Inflater::new(), Decoder::new());
    let mut deflater = Deflater::new(2, WindowBits::MAX);
    let mut answer = Vec::new();
    for piece in Cuts(*cuts).pieces(bytes) {
        let (mut input, mut pos) = (piece.to_vec(), 0);
        loop {
            let event = endpoint.receive(
                &mut input,
                &mut pos,
                piece.len(),
                MAX_MESSAGE,
                &mut inflater,
            );
            out.clear();
            answer.clear();
            match event {
                Ok(None) => break,
                Ok(Some(Event::Message { data, .. })) => {
                    reply(&mut decoder, data, &mut answer);
                    // Whatever a request says, the reply is JSON again.
                    if !answer.is_empty() {
                        let read = serde_json::from_slice::<&serde_json::value::RawValue>(&answer);
                        assert!(read.is_ok(), "{}", String::from_utf8_lossy(&answer));
                    }
                    match deflate {
                        true => {
                            write_message_deflated(&mut out, true, &answer, None, &mut deflater)
                        }
                        false => write_message(&mut out, true, &answer, None),
                    }
                }
                Ok(Some(Event::Ping(data))) => write_pong(&mut out, data, None),
                Ok(Some(Event::Pong(_))) => {}
                Ok(Some(Event::Close(close))) => write_close(&mut out, close, None),
                Err(violation) => write_close(&mut out, Some(violation.into()), None),
            }
            assert!(out.len() <= 4 * MAX_MESSAGE);
        }
        // A message and a frame of it at most, in buffers that double.
        assert!(endpoint.held_bytes() <= 2 * MAX_MESSAGE + 1024);
    }
});
