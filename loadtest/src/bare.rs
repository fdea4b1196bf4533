//! The kernel's own limit as a server: it does nothing but `send` ready-made bytes.
//!
//! It runs as a process of its own, in the server's place, so that the same client loads it and the same counters
//! measure it. A subscriber is a socket that answered a request for `/sub`. Each byte that arrives on the one connection
//! to `/pub` asks for one message: as many as have arrived go to each subscriber in one blocking `send`.
//!
//! As the counterpart of a reconnect storm it accepts, answers with a canned 101 and sends the same bytes to each, and
//! nothing more.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use anyhow::{Context, Result, bail};
use socket2::SockRef;

use crate::dialect::Dialect;
use crate::payload::{Content, Origin, Template};

/// The answer to every handshake; the accept key fits the key that the load client always sends.
pub(crate) const ACCEPT: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
/// The largest `send`, as large as any server's here.
const SEND_MAX: usize = 256 << 10;

/// Serves until its publisher leaves, or it is killed.
///
/// `history` is how many messages each new connection is sent at once.
///
/// # Errors
/// The address is taken, or a connection is lost.
pub(crate) fn serve(
    address: SocketAddr,
    size: usize,
    content: Content,
    history: u64,
) -> Result<()> {
    let listener =
        TcpListener::bind(address).with_context(|| format!("can't listen on {address}"))?;
    // The backlog of std is 128 to 4096 depending on its version: set here, as listen(2) may be called again.
    SockRef::from(&listener).listen(4_096)?;
    let mut template = Template::new(size, content);
    let data = template.fill(Origin {
        publisher: 0,
        index: 0,
    });
    let ready_made = |count: u64| {
        let mut bytes = Vec::new();
        for at in 0..count {
            // All as long as those of a real run in full swing, whose numbers have five digits.
            Dialect::message(&mut bytes, 0, 10_000 + at, data);
        }
        bytes
    };
    if history > 0 {
        return send_history(&listener, &ready_made(history));
    }
    let message_len = ready_made(1).len();
    let same = ready_made(1).repeat(SEND_MAX / message_len + 1);
    let mut subscribers = Vec::new();
    loop {
        let (mut socket, _) = listener.accept().context("can't accept")?;
        let Some(path) = read_request(&mut socket)? else {
            continue;
        };
        socket.set_nodelay(true)?;
        socket.write_all(ACCEPT)?;
        if path.starts_with("/pub") {
            return broadcast(&mut socket, &mut subscribers, &same, message_len);
        }
        subscribers.push(socket);
    }
}

fn broadcast(
    publisher: &mut TcpStream,
    subscribers: &mut [TcpStream],
    same: &[u8],
    message_len: usize,
) -> Result<()> {
    let mut asked = [0; 64 << 10];
    loop {
        let mut count = publisher.read(&mut asked)?;
        if count == 0 {
            return Ok(());
        }
        while count > 0 {
            let now = count.min(same.len() / message_len);
            for subscriber in &mut *subscribers {
                subscriber.write_all(&same[..now * message_len])?;
            }
            count -= now;
        }
    }
}

fn send_history(listener: &TcpListener, history: &[u8]) -> Result<()> {
    let mut open = Vec::new();
    loop {
        let (mut socket, _) = listener.accept().context("can't accept")?;
        if read_request(&mut socket)?.is_none() {
            continue;
        }
        socket.set_nodelay(true)?;
        // Room for all of it, so that one call takes it.
        SockRef::from(&socket).set_send_buffer_size(history.len() * 2)?;
        socket.write_all(ACCEPT)?;
        socket.write_all(history)?;
        open.push(socket);
    }
}

/// Reads a request and returns its path; `None` if the peer went away, as who only tries the port does.
fn read_request(socket: &mut TcpStream) -> Result<Option<String>> {
    let mut head = Vec::new();
    let mut chunk = [0; 1_024];
    while !head.ends_with(b"\r\n\r\n") {
        match socket.read(&mut chunk) {
            Ok(0) | Err(_) => return Ok(None),
            Ok(len) => head.extend_from_slice(&chunk[..len]),
        }
        if head.len() > 8 << 10 {
            bail!("a request without an end");
        }
    }
    let head = String::from_utf8_lossy(&head);
    Ok(head.split(' ').nth(1).map(str::to_owned))
}
