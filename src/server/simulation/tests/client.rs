//! Clients of a simulated server.

use super::*;
use crate::ws::close::CloseCode;
use crate::ws::deflate::Inflater;
use crate::ws::encode::{write_close, write_message, write_pong};
use crate::ws::endpoint::{Endpoint, Event, Role};

/// What a client speaks, and whether it offers compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tongue {
    Json,
    Deflate,
    Lines,
}

/// What a client was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Text(String),
    Ping,
    Pong,
    Close(u16),
}

/// A key to mask frames with. That anybody can foresee it is no harm here.
const KEY: Option<[u8; 4]> = Some([0x37, 0xFA, 0x21, 0x3D]);

/// A WebSocket client. It takes what it is sent in pieces of any size.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) peer: PeerId,
    /// The answer to the handshake, until it is whole.
    head: Option<Vec<u8>>,
    endpoint: Endpoint,
    inflater: Inflater,
}

impl Client {
    /// Sends the handshake.
    pub(super) fn open(simulation: &mut Simulation, tongue: Tongue) -> Client {
        let peer = simulation.connect();
        Client::open_on(simulation, peer, tongue)
    }

    /// Sends the handshake on a connection.
    pub(super) fn open_on(simulation: &mut Simulation, peer: PeerId, tongue: Tongue) -> Client {
        simulation.send(peer, handshake(tongue).as_bytes());
        Client::expect_open(peer, tongue)
    }

    /// One whose handshake was sent.
    pub(super) fn expect_open(peer: PeerId, tongue: Tongue) -> Client {
        Client {
            peer,
            head: Some(Vec::new()),
            endpoint: Endpoint::new(Role::Client, tongue == Tongue::Deflate, true),
            inflater: Inflater::new(),
        }
    }

    /// Sends a text message.
    pub(super) fn say(&self, simulation: &mut Simulation, text: &str) {
        simulation.send(self.peer, &text_frame(text));
    }

    /// Sends a pong.
    pub(super) fn pong(&self, simulation: &mut Simulation) {
        simulation.send(self.peer, &pong_frame());
    }

    /// Sends a close.
    pub(super) fn close(&self, simulation: &mut Simulation) {
        let mut frame = Vec::new();
        write_close(&mut frame, None, KEY);
        simulation.send(self.peer, &frame);
    }

    /// Takes up to `most` bytes, and says what they tell.
    pub(super) fn hear_some(&mut self, simulation: &mut Simulation, most: usize) -> Vec<Said> {
        let mut bytes = simulation.receive(self.peer, most);
        if let Some(head) = &mut self.head {
            head.append(&mut bytes);
            let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") else {
                return Vec::new();
            };
            let text = String::from_utf8_lossy(&head[..end]).into_owned();
            assert!(text.starts_with("HTTP/1.1 101 "), "{text}");
            let agreed = text.contains("permessage-deflate");
            assert_eq!(agreed, self.endpoint.deflates(), "{text}");
            bytes = head.split_off(end + 4);
            self.head = None;
        }
        let (mut said, mut pos, end) = (Vec::new(), 0, bytes.len());
        loop {
            let event =
                (self.endpoint).receive(&mut bytes, &mut pos, end, 1 << 24, &mut self.inflater);
            said.push(match event.expect("the server keeps to the protocol") {
                None => return said,
                Some(Event::Message { data, .. }) => {
                    Said::Text(String::from_utf8(data.to_vec()).expect("text"))
                }
                Some(Event::Ping(_)) => Said::Ping,
                Some(Event::Pong(_)) => Said::Pong,
                Some(Event::Close(frame)) => {
                    Said::Close(frame.map_or(CloseCode::NO_STATUS, |frame| frame.code).0)
                }
            });
        }
    }

    /// Takes all that comes until the server is at rest, and says what it tells.
    pub(super) fn hear(&mut self, simulation: &mut Simulation) -> Vec<Said> {
        let mut said = Vec::new();
        loop {
            simulation.settle();
            let before = said.len();
            let at_end = simulation.is_at_end(self.peer);
            said.extend(self.hear_some(simulation, usize::MAX));
            if at_end || (said.len() == before && !simulation.engine.is_busy()) {
                return said;
            }
        }
    }

    /// Takes all that comes, and says the text messages among it.
    pub(super) fn hear_texts(&mut self, simulation: &mut Simulation) -> Vec<String> {
        let texts = self.hear(simulation).into_iter().map(|said| match said {
            Said::Text(text) => text,
            other => panic!("{other:?}"),
        });
        texts.collect()
    }
}

/// A client that was welcomed.
pub(super) fn open(simulation: &mut Simulation, tongue: Tongue) -> Client {
    let mut client = Client::open(simulation, tongue);
    client.hear(simulation);
    client
}

/// A text message as a client sends it.
pub(super) fn text_frame(text: &str) -> Vec<u8> {
    let mut frame = Vec::new();
    write_message(&mut frame, true, text.as_bytes(), KEY);
    frame
}

/// A pong as a client sends it.
pub(super) fn pong_frame() -> Vec<u8> {
    let mut frame = Vec::new();
    write_pong(&mut frame, b"", KEY);
    frame
}

/// A handshake as a client sends it.
fn handshake(tongue: Tongue) -> String {
    let protocol = match tongue {
        Tongue::Lines => "Sec-WebSocket-Protocol: lines.test\r\n",
        Tongue::Json | Tongue::Deflate => "Sec-WebSocket-Protocol: json.fanfare.v1\r\n",
    };
    let extensions = match tongue {
        Tongue::Deflate => "Sec-WebSocket-Extensions: permessage-deflate\r\n",
        _ => "",
    };
    format!(
        "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{protocol}{extensions}\r\n"
    )
}

/// A request to publish, with an id if there is one.
pub(super) fn publish(id: Option<usize>, channel: &str, data: &str) -> String {
    let id = id.map_or(String::new(), |id| format!(r#""id":{id},"#));
    format!(r#"{{"type":"publish",{id}"channel":"{channel}","data":{data}}}"#)
}

/// A request to subscribe.
pub(super) fn subscribe(channel: &str) -> String {
    format!(r#"{{"type":"subscribe","channel":"{channel}"}}"#)
}

/// A POST that publishes.
pub(super) fn post(channel: &str, data: &str, close: bool) -> String {
    let close = if close { "Connection: close\r\n" } else { "" };
    let len = data.len();
    format!(
        "POST /channels/{channel} HTTP/1.1\r\nHost: localhost\r\n{close}Content-Length: {len}\r\n\r\n{data}"
    )
}
