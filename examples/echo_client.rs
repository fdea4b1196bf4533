//! Has a server echo messages of every kind, and looks at what comes back: `echo_client ws://127.0.0.1:9001`. The server
//! answers in several fragments at `/fragmented` and in one elsewhere. `tests/interop/run` starts it against servers that
//! others wrote.

use std::error::Error;
use std::io::{self, Write};
use std::thread;
use std::time::Duration;

use fanfare::client::{Connector, Message, WebSocket};
use fanfare::ws::extension::Offer;

/// The longest message.
const MAX_MESSAGE: usize = 16 << 20;
/// What a ping after all messages asks to be repeated.
const PING: &[u8] = b"still there?";

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).ok_or("give the server's URL")?;
    let with_takeover = Offer {
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        ..Offer::default()
    };
    for (name, offer) in [
        ("plain", None),
        ("compressed", Some(Offer::default())),
        ("compressed with context takeover", Some(with_takeover)),
    ] {
        for path in ["/", "/fragmented"] {
            let socket = Connector::new(&format!("{url}{path}"))?
                .deflate(offer)
                .max_message(MAX_MESSAGE)
                .websocket()?;
            if socket.deflates() != offer.is_some() {
                return Err(format!("{name}: permessage-deflate was not agreed on").into());
            }
            converse(socket).map_err(|error| format!("{name} at {path}: {error}"))?;
            writeln!(
                io::stdout(),
                "{name} at {path}: every message came back as it was"
            )?;
        }
    }
    Ok(())
}

/// Sends on one thread and receives on another, so that neither side waits for the other to read.
fn converse(mut socket: WebSocket) -> Result<(), Box<dyn Error>> {
    socket.set_timeout(Some(Duration::from_secs(60)))?;
    let (mut sender, mut receiver) = socket.split();
    let sending = thread::spawn(move || {
        for message in messages() {
            match message {
                Message::Text(text) => sender.send_text(&text)?,
                Message::Binary(bytes) => sender.send_binary(&bytes)?,
                Message::Pong(_) => {}
            }
        }
        sender.ping(PING)?;
        Ok::<_, fanfare::client::Error>(sender)
    });
    let mut pongs = 0;
    for (at, expected) in messages().enumerate() {
        // A pong need not wait for the echoes before it.
        let received = loop {
            match receiver.receive()? {
                Message::Pong(payload) if payload == PING => pongs += 1,
                other => break other,
            }
        };
        if received != expected {
            return Err(format!("message {at} is not what was sent").into());
        }
    }
    while pongs == 0 {
        match receiver.receive()? {
            Message::Pong(payload) if payload == PING => pongs += 1,
            _ => return Err("one message too many".into()),
        }
    }
    let mut sender = sending.join().expect("it does not panic")?;
    sender.close(fanfare::ws::close::CloseCode::NORMAL, "that was all")?;
    match receiver.receive() {
        Err(fanfare::client::Error::Closed { code, .. }) if code.0 == 1000 => Ok(()),
        other => Err(format!("no close with 1000, but {other:?}").into()),
    }
}

/// Text and binary of all sizes, some that compress and some that do not.
fn messages() -> impl Iterator<Item = Message> {
    let sizes = [0, 1, 125, 126, 1000, 65_535, 65_536, 1 << 20, MAX_MESSAGE];
    let text = |len| "{\"price\":12.5} äöü ".bytes().cycle().take(len).collect();
    let noise = |len| (0..len as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8);
    sizes.into_iter().flat_map(move |len| {
        let text: Vec<u8> = text(len);
        // A character that was cut in two at the end is left out.
        let text = String::from_utf8_lossy(&text).replace('\u{fffd}', "");
        [Message::Text(text), Message::Binary(noise(len).collect())]
    })
}
