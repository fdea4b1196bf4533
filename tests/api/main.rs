//! What is asked of channels by HTTP, over real sockets.

#[path = "../common/mod.rs"]
mod common;

mod administration;
mod batch;
mod events;
mod history;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use common::Daemon;

/// A request without a body.
fn get(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n")
}

fn post(path: &str, fields: &str, body: &str) -> String {
    let len = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len}\r\n{fields}\r\n{body}"
    )
}

/// Publishes the JSON `data`, and says in which epoch.
fn publish(daemon: &Daemon, channel: &str, data: &str) -> String {
    let answer = daemon.answer(&post(&format!("/channels/{channel}"), "", data));
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    common::member(&answer, "epoch")
        .trim_matches('"')
        .to_owned()
}

/// A response that is read bit by bit.
struct Response {
    head: String,
    body: BufReader<TcpStream>,
}

impl Response {
    /// The response to `request`, whose head has come.
    fn to(daemon: &Daemon, request: &str) -> Self {
        let mut stream = daemon.raw();
        stream
            .write_all(request.as_bytes())
            .expect("the request goes out");
        let head = common::read_head(&mut stream);
        Self {
            head,
            body: BufReader::new(stream),
        }
    }

    fn status(&self) -> &str {
        self.head[9..12].trim()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.body.read_line(&mut line).expect("a line comes");
        line
    }

    /// The next block of an event stream that is more than a comment, its lines without the empty one at its end.
    fn block(&mut self) -> String {
        let mut block = String::new();
        loop {
            let line = self.line();
            assert!(!line.is_empty(), "the stream ended after {block:?}");
            match line.as_str() {
                "\n" if block.is_empty() => {}
                "\n" => return block,
                ":\n" => {}
                _ => block.push_str(&line),
            }
        }
    }

    /// The body, which is in chunks.
    fn chunked(&mut self) -> String {
        assert!(
            self.head.contains("\r\nTransfer-Encoding: chunked\r\n"),
            "{}",
            self.head
        );
        let mut body = Vec::new();
        loop {
            let line = self.line();
            let size = usize::from_str_radix(line.trim_end(), 16).expect("a chunk's size");
            let begin = body.len();
            body.resize(begin + size, 0);
            self.body.read_exact(&mut body[begin..]).expect("a chunk");
            assert_eq!(self.line(), "\r\n");
            if size == 0 {
                return String::from_utf8(body).expect("text");
            }
        }
    }
}

/// The body of an answer.
fn body_of(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").expect("a head").1
}
