//! A server that says whatever a test wants it to.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use fanfare::client::{Connector, Reconnect};
use fanfare::ws::handshake::accept_key;

use super::{PATIENCE, header, read_head};

/// A client that comes back without much waiting.
pub fn impatient(url: &str) -> Connector {
    Connector::new(url)
        .expect("a good URL")
        .reconnect(Reconnect {
            first: Duration::from_millis(1),
            ..Reconnect::default()
        })
}

/// One connection of a client under test.
pub struct Fake(pub TcpStream);

/// A listener on a free port, and its URL.
pub fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("ws://{}", listener.local_addr().expect("an address"));
    (listener, url)
}

/// Does `script` with the first connection, which then stays open until the client ends it; the URL. Others are refused after that.
pub fn serve(script: impl FnOnce(&mut Fake) + Send + 'static) -> String {
    let (listener, url) = listen();
    thread::spawn(move || {
        let mut fake = Fake::next(&listener);
        script(&mut fake);
        fake.outlast();
    });
    url
}

/// Does each script with one connection after the other; the URL. Further ones wait in the backlog.
pub fn serve_in_turn(scripts: Vec<fn(&mut Fake)>) -> String {
    let (listener, url) = listen();
    thread::spawn(move || {
        for script in scripts {
            script(&mut Fake::next(&listener));
        }
        thread::sleep(PATIENCE);
    });
    url
}

/// Does `script` with each connection, any number of them at once; the URL.
pub fn serve_all(script: impl Fn(&mut Fake) + Clone + Send + 'static) -> String {
    let (listener, url) = listen();
    thread::spawn(move || {
        loop {
            let mut fake = Fake::next(&listener);
            let script = script.clone();
            thread::spawn(move || script(&mut fake));
        }
    });
    url
}

/// The key that accepts the handshake with this head.
pub fn key(head: &str) -> String {
    let key = header(head, "Sec-WebSocket-Key").expect("a key");
    String::from_utf8(accept_key(key.as_bytes()).to_vec()).expect("text")
}

/// A text message of less than 64 KiB in one frame.
pub fn text_frame(text: &str) -> Vec<u8> {
    frame(0x81, text.as_bytes())
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match u8::try_from(payload.len()) {
        Ok(len @ 0..126) => frame.push(len),
        _ => {
            let len = u16::try_from(payload.len()).expect("a short message");
            frame.push(126);
            frame.extend_from_slice(&len.to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}

impl Fake {
    /// The next connection.
    pub fn next(listener: &TcpListener) -> Self {
        let (stream, _) = listener.accept().expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        Self(stream)
    }

    /// Reads the head of the handshake's request.
    pub fn request(&mut self) -> String {
        read_head(&mut self.0)
    }

    /// Does the handshake as fanfare does.
    pub fn accept(&mut self) {
        let key = key(&self.request());
        self.answer(&format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {key}\r\nSec-WebSocket-Protocol: json.fanfare.v1\r\n\r\n"
        ));
    }

    /// The same, and says welcome.
    pub fn welcome(&mut self) {
        self.welcome_with("");
    }

    /// The same, with all features that a client uses.
    pub fn welcome_with_features(&mut self) {
        self.welcome_with(r#""patterns","encoding","key""#);
    }

    fn welcome_with(&mut self, features: &str) {
        self.accept();
        self.text(&format!(
            r#"{{"type":"welcome","protocol":"json.fanfare.v1","server":"t","session":"s","max_message":65536,"features":[{features}]}}"#
        ));
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("it goes out");
    }

    /// Sends what is no frame: an answer to a handshake.
    pub fn answer(&mut self, answer: &str) {
        self.send(answer.as_bytes());
    }

    pub fn text(&mut self, text: &str) {
        self.send(&text_frame(text));
    }

    /// Closes, waits for the client's answer, and ends the connection, as a server does (RFC 6455 §7.1.1).
    pub fn close(&mut self, code: u16, reason: &str) {
        let payload = [&code.to_be_bytes(), reason.as_bytes()].concat();
        self.send(&frame(0x88, &payload));
        // Whatever the client sent before its answer is passed over; it may also be gone.
        while self.next_frame().is_ok_and(|(first, _)| first != 0x88) {}
        let _ = self.0.shutdown(Shutdown::Write);
    }

    /// Says nothing until the client has gone.
    pub fn outlast(&mut self) {
        // However the client goes, by an end or a reset.
        let _ = std::io::copy(&mut self.0, &mut std::io::sink());
    }

    /// The payload of the client's next frame.
    pub fn hear(&mut self) -> String {
        let (_, payload) = self.next_frame().expect("the client speaks");
        String::from_utf8(payload).expect("text")
    }

    /// The first byte and the payload of the client's next frame, which has less than 64 KiB.
    fn next_frame(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut read = |len: usize| {
            let mut bytes = vec![0; len];
            self.0.read_exact(&mut bytes).map(|()| bytes)
        };
        let head = read(2)?;
        let len = match head[1] & 0x7f {
            126 => {
                let len = read(2)?;
                usize::from(u16::from_be_bytes([len[0], len[1]]))
            }
            len => usize::from(len),
        };
        let key = read(4)?;
        let masked = read(len)?.into_iter().zip(key.iter().cycle());
        Ok((head[0], masked.map(|(byte, key)| byte ^ key).collect()))
    }
}
