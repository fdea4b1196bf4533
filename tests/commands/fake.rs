//! A server that says whatever a test wants it to.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use fanfare::ws::handshake::accept_key;

use crate::common::{PATIENCE, read_head};

/// A connection to the command under test.
pub(crate) struct Fake(TcpStream);

/// Listens on a free port and does `script` with the first connection, which then stays open until the client ends it. The URL.
pub(crate) fn serve(script: impl FnOnce(&mut Fake) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("ws://{}", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut fake = Fake(stream);
        script(&mut fake);
        // However the client goes, by an end or a reset.
        let _ = fake.0.read_to_end(&mut Vec::new());
    });
    url
}

impl Fake {
    /// Reads the handshake; the key to accept it with.
    pub(crate) fn handshake(&mut self) -> String {
        let head = read_head(&mut self.0);
        let key = head
            .lines()
            .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))
            .expect("a key");
        String::from_utf8(accept_key(key.as_bytes()).to_vec()).expect("text")
    }

    /// Does the handshake as fanfare does, and says welcome.
    pub(crate) fn welcome(&mut self) {
        let key = self.handshake();
        self.send(
            format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {key}\r\nSec-WebSocket-Protocol: json.fanfare.v1\r\n\r\n"
            )
            .as_bytes(),
        );
        self.text(
            r#"{"type":"welcome","protocol":"json.fanfare.v1","server":"t","session":"s","max_message":65536,"features":[]}"#,
        );
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("it goes out");
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.frame(0x81, text.as_bytes());
    }

    pub(crate) fn close(&mut self, code: u16, reason: &str) {
        let payload = [&code.to_be_bytes(), reason.as_bytes()].concat();
        self.frame(0x88, &payload);
    }

    fn frame(&mut self, first: u8, payload: &[u8]) {
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
        self.send(&frame);
    }

    /// Reads on until the client has gone, and says nothing.
    pub(crate) fn swallow(&mut self) {
        let mut buffer = [0; 64 << 10];
        while self.0.read(&mut buffer).is_ok_and(|read| read > 0) {}
    }

    /// The payload of the client's next frame.
    pub(crate) fn hear(&mut self) -> String {
        let mut read = |len: usize| {
            let mut bytes = vec![0; len];
            self.0.read_exact(&mut bytes).expect("the client speaks");
            bytes
        };
        let len = match read(2)[1] & 0x7f {
            126 => {
                let len = read(2);
                usize::from(u16::from_be_bytes([len[0], len[1]]))
            }
            len => usize::from(len),
        };
        let key = read(4);
        let masked = read(len).into_iter().zip(key.iter().cycle());
        let bytes = masked.map(|(byte, key)| byte ^ key).collect();
        String::from_utf8(bytes).expect("text")
    }
}
