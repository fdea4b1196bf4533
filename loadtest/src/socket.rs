//! A connection's bytes as the load client sends and receives them: over TCP, or TLS over that. Nothing here blocks.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::ClientConfig;
use socket2::{Domain, SockRef, Type};

use crate::tls::Session;

/// Connections from one address.
const CROWD: usize = 4_000;
/// How many sent bytes are kept before those that are not, lest they be moved all the time.
const SENT_MAX: usize = 1 << 20;
/// How many bytes are encrypted before they are sent.
const ENCRYPTED_AT_ONCE: usize = 64 << 10;

/// A connection's bytes in both directions.
pub(crate) struct Socket {
    stream: TcpStream,
    session: Option<Session>,
    /// What is to be sent, and how much of it is sent or encrypted.
    pub(crate) out: Vec<u8>,
    sent: usize,
}

impl Socket {
    /// Begins the connection numbered `at`, over TLS if there is a configuration for it.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn connect(
        address: SocketAddr,
        at: usize,
        tls: Option<&Arc<ClientConfig>>,
    ) -> Result<Self> {
        Ok(Self {
            stream: connect(address, at).context("can't connect")?,
            session: tls
                .map(|config| Session::new(config, address))
                .transpose()?,
            out: Vec::new(),
            sent: 0,
        })
    }

    /// Has a poll report it, in both directions.
    ///
    /// # Errors
    /// The poll refuses.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        registry
            .register(&mut self.stream, token, interest)
            .context("register")
    }

    /// Has a poll no longer report it.
    ///
    /// # Errors
    /// The poll refuses.
    pub(crate) fn deregister(&mut self, registry: &Registry) -> Result<()> {
        registry.deregister(&mut self.stream).context("deregister")
    }

    /// It can be written to for the first time: says how connecting went.
    ///
    /// # Errors
    /// It failed.
    pub(crate) fn is_connected(&mut self) -> Result<()> {
        if let Some(error) = self.stream.take_error()? {
            return Err(error).context("can't connect");
        }
        // Disabling Nagle can't fail on a connected TCP socket.
        let _ = self.stream.set_nodelay(true);
        Ok(())
    }

    /// Whether what is sent is encrypted.
    #[inline]
    pub(crate) fn is_encrypted(&self) -> bool {
        self.session.is_some()
    }

    /// Sends what is to be sent, as far as the socket takes it, and says by how many calls.
    ///
    /// # Errors
    /// The connection is lost.
    pub(crate) fn flush(&mut self) -> Result<u64> {
        let mut sends = 0;
        while self.has_unsent() {
            let result = match &mut self.session {
                None => self.stream.write(&self.out[self.sent..]).map(|len| {
                    self.sent += len;
                }),
                Some(session) if session.wants_write() => session.send(&mut self.stream),
                Some(session) => {
                    let end = self.out.len().min(self.sent + ENCRYPTED_AT_ONCE);
                    session.write(&self.out[self.sent..end])?;
                    self.sent = end;
                    continue;
                }
            };
            match result {
                Ok(()) => sends += 1,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if self.sent > SENT_MAX {
                        self.out.drain(..self.sent);
                        self.sent = 0;
                    }
                    return Ok(sends);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("can't send"),
            }
        }
        self.out.clear();
        self.sent = 0;
        Ok(sends)
    }

    /// Whether something waits to be sent.
    pub(crate) fn has_unsent(&self) -> bool {
        self.unsent() > 0 || self.session.as_ref().is_some_and(Session::wants_write)
    }

    /// How many bytes wait to be sent; over TLS, to be encrypted.
    pub(crate) fn unsent(&self) -> usize {
        self.out.len() - self.sent
    }

    /// Receives bytes as they are on the wire.
    ///
    /// # Errors
    /// The socket's.
    #[inline]
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.stream.read(buffer)
    }

    /// Appends what was `received`, which is overwritten, to `plaintext` once it is decrypted.
    ///
    /// # Errors
    /// It breaks TLS, or ends it.
    pub(crate) fn decrypt(&mut self, received: &mut [u8], plaintext: &mut Vec<u8>) -> Result<()> {
        match &mut self.session {
            Some(session) => session.decrypt(received, plaintext),
            None => bail!("the connection is not encrypted"),
        }
    }

    /// Whether the server has finished the TLS handshake.
    pub(crate) fn is_done_for_the_server(&self) -> bool {
        let session = self.session.as_ref();
        session.is_some_and(Session::is_done_for_the_server)
    }

    /// Closes at once, without a closing handshake and without leaving a port in `TIME_WAIT`.
    pub(crate) fn abort(self) {
        // Failing that, the port is merely busy for a minute.
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }
}

/// Begins the connection numbered `at`. Each crowd of them comes from a loopback address of its own: the kernel's search for
/// a free port slows down long before an address has none left.
fn connect(address: SocketAddr, at: usize) -> std::io::Result<TcpStream> {
    let crowd = at / CROWD;
    if crowd == 0 || !address.ip().is_loopback() || address.is_ipv6() {
        return TcpStream::connect(address);
    }
    let socket = socket2::Socket::new(Domain::IPV4, Type::STREAM.nonblocking().cloexec(), None)?;
    // Some 250 crowds of 4,000 are more than any process may have files.
    let source = Ipv4Addr::new(127, 0, 0, 1 + crowd.min(250) as u8);
    socket.bind(&SocketAddr::from((source, 0)).into())?;
    match socket.connect(&address.into()) {
        Err(error)
            if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) =>
        {
            Err(error)
        }
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}
