//! An encrypted connection, of which two threads use one side each.
//!
//! rustls has one state for both directions. It is locked while bytes are encrypted or decrypted, and never while a thread waits for
//! the socket: the half that waits to be read from keeps nobody from writing, nor the other way round.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use socket2::Socket;

use super::{Options, TlsError, explain};
use crate::client::deadline;
use crate::client::error::{ConnectError, Step};
use crate::client::transport::{Transport, is_timeout};

/// Bytes read from the socket at once.
const READ_BYTES: usize = 128 << 10;

/// How often one `read` looks, once its time is up, whether there is more without waiting: a record has at most 16 KiB, and is not to be
/// left half read where the rest of it is there.
const LATE_READS: u32 = 32;

/// An encrypted connection over a socket.
struct TlsStream {
    socket: Socket,
    /// What was read and not decrypted. For the one thread that reads.
    incoming: Mutex<Incoming>,
    /// Encrypted bytes that the socket has no room for yet. The thread that writes to the socket holds it, so that records go out in
    /// order.
    outgoing: Mutex<Vec<u8>>,
    /// Locked after `incoming` or `outgoing`, and for no longer than a computation takes.
    session: Mutex<Session>,
}

/// What is known before there is a connection.
pub(in crate::client) struct Encryption {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Encryption {
    /// What a server at `host` is to be asked for.
    ///
    /// # Errors
    /// What no server can help: a file that cannot be used, or a host that no certificate is for.
    pub(in crate::client) fn new(options: &Options, host: &str) -> Result<Self, TlsError> {
        Ok(Self {
            config: options.config()?,
            name: server_name(host)?,
        })
    }

    /// Does the handshake on a connected socket, until `deadline`.
    ///
    /// # Errors
    /// [`ConnectError::Tls`], or what the connection came to.
    pub(in crate::client) fn over(
        self,
        socket: Socket,
        deadline: Instant,
    ) -> Result<Arc<dyn Transport>, ConnectError> {
        let stream = TlsStream::open(socket, self.config, self.name, deadline)?;
        Ok(Arc::new(stream))
    }
}

struct Session {
    connection: ClientConnection,
    /// Why nothing can be read any more.
    failed: Option<TlsError>,
}

/// `buffer[pos..end]` is what was read and not decrypted.
struct Incoming {
    buffer: Vec<u8>,
    pos: usize,
    end: usize,
    timeout: Option<Duration>,
    /// The socket waits less long than `timeout`, since a read had used some of it up.
    is_shortened: bool,
}

impl TlsStream {
    fn open(
        socket: Socket,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        deadline: Instant,
    ) -> Result<Self, ConnectError> {
        let failed = |error| ConnectError::Tls(explain(&error));
        let connection = ClientConnection::new(config, name).map_err(failed)?;
        let stream = Self {
            socket,
            incoming: Mutex::new(Incoming {
                buffer: vec![0; READ_BYTES],
                pos: 0,
                end: 0,
                timeout: None,
                is_shortened: false,
            }),
            outgoing: Mutex::default(),
            session: Mutex::new(Session {
                connection,
                failed: None,
            }),
        };
        stream.handshake(deadline)?;
        Ok(stream)
    }

    fn handshake(&self, deadline: Instant) -> Result<(), ConnectError> {
        let left = || match deadline.checked_duration_since(Instant::now()) {
            Some(left) if !left.is_zero() => Ok(left),
            _ => Err(ConnectError::TimedOut(Step::Handshake)),
        };
        let mut incoming = locked(&self.incoming);
        loop {
            Transport::set_write_timeout(&self.socket, Some(left()?)).map_err(broken)?;
            self.flush().map_err(broken)?;
            if !locked(&self.session).connection.is_handshaking() {
                return Ok(());
            }
            Transport::set_read_timeout(&self.socket, Some(left()?)).map_err(broken)?;
            if incoming.fill(&self.socket).map_err(broken)? == 0 {
                return Err(ConnectError::NoAnswer);
            }
            // Not in the condition: the session must be free in the body.
            let decrypted = locked(&self.session).decrypt(&mut incoming, &mut []);
            if let Err(error) = decrypted {
                // The server may care to know why.
                let _ = self.flush();
                return Err(broken(error));
            }
        }
    }

    /// Writes what rustls has to say, and what waits, as far as the write timeout allows.
    fn flush(&self) -> io::Result<()> {
        let mut outgoing = locked(&self.outgoing);
        locked(&self.session).take_encrypted(&mut outgoing)?;
        self.write_out(&mut outgoing)
    }

    fn write_out(&self, outgoing: &mut Vec<u8>) -> io::Result<()> {
        let written = Transport::write_all(&self.socket, outgoing);
        // What failed half-way is of no use to the peer.
        outgoing.clear();
        written
    }

    /// The same without waiting, and not at all while somebody else writes.
    fn flush_now(&self) -> io::Result<()> {
        let mut outgoing = match self.outgoing.try_lock() {
            Ok(outgoing) => outgoing,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(()),
        };
        if outgoing.is_empty() {
            locked(&self.session).take_encrypted(&mut outgoing)?;
        }
        self.write_some(&mut outgoing)
    }

    fn write_some(&self, outgoing: &mut Vec<u8>) -> io::Result<()> {
        if !outgoing.is_empty() {
            let written = Transport::write_now(&self.socket, outgoing)?;
            outgoing.drain(..written);
        }
        Ok(())
    }

    /// Encrypts as much of `bytes` as fits into some records.
    fn encrypt(&self, bytes: &[u8], outgoing: &mut Vec<u8>) -> io::Result<usize> {
        let mut session = locked(&self.session);
        let taken = session.connection.writer().write(bytes)?;
        session.take_encrypted(outgoing)?;
        if taken == 0 && !bytes.is_empty() {
            return Err(ErrorKind::WriteZero.into());
        }
        Ok(taken)
    }

    /// Reads more of what is to be decrypted: for as long as the socket waits, or until the deadline, and after it only what is there.
    fn read_more(
        &self,
        incoming: &mut Incoming,
        deadline: Option<Instant>,
        late: &mut u32,
    ) -> io::Result<usize> {
        if let Some(deadline) = deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                *late += 1;
                if *late > LATE_READS {
                    return Err(ErrorKind::WouldBlock.into());
                }
                return incoming.fill_now(&self.socket);
            }
            incoming.is_shortened = true;
            Transport::set_read_timeout(&self.socket, Some(left))?;
        }
        incoming.fill(&self.socket)
    }
}

impl Session {
    /// Moves what is to be sent to `outgoing`.
    fn take_encrypted(&mut self, outgoing: &mut Vec<u8>) -> io::Result<()> {
        while self.connection.wants_write() {
            self.connection.write_tls(outgoing)?;
        }
        Ok(())
    }

    /// Decrypts what was read, and moves it into `buffer` as far as there is room. `None`: there is no byte for it yet. 0 is the end.
    fn decrypt(&mut self, incoming: &mut Incoming, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let mut filled = 0;
        loop {
            while filled < buffer.len() {
                match self.connection.reader().read(&mut buffer[filled..]) {
                    Ok(0) if filled == 0 => return Ok(Some(0)),
                    Ok(0) => return Ok(Some(filled)),
                    Ok(read) => filled += read,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
            let has_room = filled < buffer.len() || buffer.is_empty();
            if has_room && let Some(failed) = &self.failed {
                if filled > 0 {
                    break;
                }
                return Err(io::Error::new(ErrorKind::InvalidData, failed.clone()));
            }
            if !has_room || !self.take_records(incoming)? {
                break;
            }
        }
        Ok((filled > 0).then_some(filled))
    }

    /// Gives rustls a part of what was read. Whether there was some, and it took it.
    fn take_records(&mut self, incoming: &mut Incoming) -> io::Result<bool> {
        let mut unread = &incoming.buffer[incoming.pos..incoming.end];
        if unread.is_empty() {
            return Ok(false);
        }
        let taken = self.connection.read_tls(&mut unread)?;
        incoming.pos += taken;
        if let Err(error) = self.connection.process_new_packets() {
            self.failed = Some(explain(&error));
        }
        Ok(taken > 0)
    }
}

impl Incoming {
    /// Reads from the socket, for as long as that waits, when all that was read is used up.
    fn fill(&mut self, socket: &Socket) -> io::Result<usize> {
        self.filled(|buffer| Transport::read(socket, buffer))
    }

    /// The same without waiting.
    fn fill_now(&mut self, socket: &Socket) -> io::Result<usize> {
        self.filled(
            |buffer| match rustix::net::recv(socket, &mut *buffer, RecvFlags::DONTWAIT) {
                Ok((read, _)) => Ok(read),
                Err(Errno::INTR) => Err(ErrorKind::WouldBlock.into()),
                Err(error) => Err(error.into()),
            },
        )
    }

    fn filled(&mut self, read: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> io::Result<usize> {
        // What rustls did not take, it never will: it has seen the end.
        (self.pos, self.end) = (0, 0);
        self.end = read(&mut self.buffer)?;
        Ok(self.end)
    }
}

impl Transport for TlsStream {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut incoming = locked(&self.incoming);
        self.flush_now()?;
        if std::mem::take(&mut incoming.is_shortened) {
            Transport::set_read_timeout(&self.socket, incoming.timeout)?;
        }
        let until = incoming
            .timeout
            .map(|timeout| deadline::after(Instant::now(), timeout));
        let (mut is_first, mut late) = (true, 0);
        loop {
            let decrypted = locked(&self.session).decrypt(&mut incoming, buffer);
            // An answer to what came, or the word that it makes no sense.
            let flushed = self.flush_now();
            if let Some(read) = decrypted? {
                return Ok(read);
            }
            flushed?;
            let deadline = until.filter(|_| !is_first);
            if self.read_more(&mut incoming, deadline, &mut late)? == 0 {
                // WebSocket has a close of its own, so an end without one needs no other sign.
                return Ok(0);
            }
            is_first = false;
        }
    }

    fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        let mut outgoing = locked(&self.outgoing);
        while !bytes.is_empty() {
            let taken = self.encrypt(bytes, &mut outgoing)?;
            bytes = &bytes[taken..];
            self.write_out(&mut outgoing)?;
        }
        Ok(())
    }

    fn write_now(&self, bytes: &[u8]) -> io::Result<usize> {
        // Nobody writes for long meanwhile: a sender has one thread write at a time.
        let mut outgoing = locked(&self.outgoing);
        self.write_some(&mut outgoing)?;
        if !outgoing.is_empty() {
            return Ok(0);
        }
        let taken = self.encrypt(bytes, &mut outgoing)?;
        self.write_some(&mut outgoing)?;
        Ok(taken)
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        let mut incoming = locked(&self.incoming);
        incoming.timeout = timeout;
        incoming.is_shortened = false;
        Transport::set_read_timeout(&self.socket, timeout)
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        Transport::set_write_timeout(&self.socket, timeout)
    }

    fn end_writing(&self) -> io::Result<()> {
        locked(&self.session).connection.send_close_notify();
        self.flush()?;
        Transport::end_writing(&self.socket)
    }

    fn abort(&self) {
        if let Ok(mut session) = self.session.try_lock() {
            session.connection.send_close_notify();
        }
        // Where there is no room for it, or the peer was faster, it is missing.
        let _ = self.flush_now();
        Transport::abort(&self.socket);
    }
}

impl fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TlsStream").field(&self.socket).finish()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The name that the certificate must be for: the host, without the zone of an IPv6 address.
fn server_name(host: &str) -> Result<ServerName<'static>, TlsError> {
    let name = host.split_once('%').map_or(host, |(address, _)| address);
    ServerName::try_from(name.to_owned()).map_err(|_| TlsError::Host(name.to_owned()))
}

fn broken(error: io::Error) -> ConnectError {
    if is_timeout(&error) {
        return ConnectError::TimedOut(Step::Handshake);
    }
    ConnectError::broken(error)
}

#[cfg(test)]
mod tests;
