//! Connecting a socket to a host that has several addresses: one after the other, without waiting for each (RFC 8305, "happy
//! eyeballs"), and the first that opens is taken. There are no threads in it: the connections are opened side by side, and one
//! poll waits for all of them.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::deadline;
use super::error::{ConnectError, Step};
use super::transport::{is_timeout, not_zero};

/// How long an address has before the next one is tried beside it (RFC 8305 §5).
const STAGGER: Duration = Duration::from_millis(250);

/// The most addresses of a host that are tried, each of which may hold a socket until one opens.
const MAX_ADDRESSES: usize = 64;

/// Connects to the first of `addresses` that opens within `timeout`.
///
/// # Errors
/// [`ConnectError::TimedOut`], or what the last one said where none takes the connection.
pub(super) fn tcp(addresses: Vec<SocketAddr>, timeout: Duration) -> Result<Socket, ConnectError> {
    let mut race = Race::new(addresses, Instant::now(), timeout);
    let mut under_way = Vec::new();
    loop {
        match race.next_move(Instant::now()) {
            Move::Begin(address) => match begin(address) {
                Ok(socket) => under_way.push((address, socket)),
                Err(error) => race.failed(address, error, Instant::now()),
            },
            Move::Wait(until) => {
                for index in ready(&under_way, until)? {
                    let (address, socket) = under_way.swap_remove(index);
                    match finish(&socket) {
                        Ok(()) => return Ok(socket),
                        Err(error) => race.failed(address, error, Instant::now()),
                    }
                }
            }
            Move::Over(error) => return Err(error),
        }
    }
}

/// Connects to the unix socket at `path` within `timeout`.
///
/// # Errors
/// [`ConnectError::TimedOut`], [`ConnectError::Unix`].
pub(super) fn unix(path: &Path, timeout: Duration) -> Result<Socket, ConnectError> {
    let deadline = deadline::after(Instant::now(), timeout);
    let connect = || {
        let address = SockAddr::unix(path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        loop {
            // It waits where many wait already, and for so long as a write may.
            let left = deadline.saturating_duration_since(Instant::now());
            socket.set_write_timeout(Some(not_zero(left)))?;
            match socket.connect(&address) {
                Err(error) if error.kind() == ErrorKind::Interrupted && !left.is_zero() => {}
                done => return done.map(|()| socket),
            }
        }
    };
    connect().map_err(|source| {
        if is_timeout(&source) || source.kind() == ErrorKind::Interrupted {
            return ConnectError::TimedOut(Step::Connect);
        }
        ConnectError::Unix {
            path: path.to_owned(),
            source,
        }
    })
}

/// Begins to connect, without waiting for it.
fn begin(address: SocketAddr) -> io::Result<Socket> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // Messages are written whole: there is nothing that a delay could gather.
    socket.set_tcp_nodelay(true)?;
    match socket.connect(&address.into()) {
        Err(error) if !is_under_way(&error) => Err(error),
        // Where it is done already, the poll says so.
        _ => Ok(socket),
    }
}

/// Whether connecting has begun and goes on by itself. It does after a signal, too.
fn is_under_way(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::INPROGRESS | Errno::INTR))
}

/// Waits until some connections are decided, or until `until`. Their indexes, the largest first.
fn ready(under_way: &[(SocketAddr, Socket)], until: Instant) -> Result<Vec<usize>, ConnectError> {
    let mut watched: Vec<_> = under_way
        .iter()
        .map(|(_, socket)| PollFd::new(socket, PollFlags::OUT))
        .collect();
    let left = until.saturating_duration_since(Instant::now());
    // A hundred years at most, see `deadline`.
    let left = Timespec {
        tv_sec: left.as_secs() as _,
        tv_nsec: left.subsec_nanos().into(),
    };
    match poll(&mut watched, Some(&left)) {
        Ok(_) => {}
        Err(Errno::INTR) => return Ok(Vec::new()),
        Err(error) => return Err(ConnectError::Broken(error.into())),
    }
    let decided = |index: &usize| !watched[*index].revents().is_empty();
    Ok((0..watched.len()).rev().filter(decided).collect())
}

/// What has become of a connection that is decided. The socket blocks from now on.
fn finish(socket: &Socket) -> io::Result<()> {
    match socket.take_error()? {
        Some(error) => Err(error),
        None => {
            socket.peer_addr()?;
            socket.set_nonblocking(false)
        }
    }
}

/// Which address is tried when. Pure: it is told the time and what happened.
struct Race {
    untried: VecDeque<SocketAddr>,
    under_way: usize,
    /// When the next one is tried, whatever becomes of those under way.
    next: Instant,
    deadline: Instant,
    /// Why there is no connection, if nothing more is to be tried.
    last: ConnectError,
}

/// What to do next.
#[derive(Debug)]
enum Move {
    /// Begin to connect to this address.
    Begin(SocketAddr),
    /// Wait until then for one of those under way.
    Wait(Instant),
    /// There is no connection to be had.
    Over(ConnectError),
}

impl Race {
    fn new(addresses: Vec<SocketAddr>, now: Instant, timeout: Duration) -> Self {
        let no_address = io::Error::new(ErrorKind::NotFound, "the host has no address");
        Self {
            untried: interleaved(addresses),
            under_way: 0,
            next: now,
            deadline: deadline::after(now, timeout),
            last: ConnectError::Resolve(no_address),
        }
    }

    fn next_move(&mut self, now: Instant) -> Move {
        if now >= self.deadline {
            return Move::Over(ConnectError::TimedOut(Step::Connect));
        }
        if now >= self.next
            && let Some(address) = self.untried.pop_front()
        {
            self.under_way += 1;
            self.next = now + STAGGER;
            return Move::Begin(address);
        }
        if self.under_way == 0 && self.untried.is_empty() {
            let nothing = ConnectError::TimedOut(Step::Connect);
            return Move::Over(std::mem::replace(&mut self.last, nothing));
        }
        Move::Wait(if self.untried.is_empty() {
            self.deadline
        } else {
            self.next.min(self.deadline)
        })
    }

    /// One of those under way did not open: the next one need not wait any longer.
    fn failed(&mut self, address: SocketAddr, source: io::Error, now: Instant) {
        self.under_way -= 1;
        self.next = now;
        self.last = if is_timeout(&source) {
            ConnectError::TimedOut(Step::Connect)
        } else {
            ConnectError::Tcp { address, source }
        };
    }
}

/// The addresses in the resolver's order, but the families take turns (RFC 8305 §4): where one of them is broken, every
/// other try is of use.
fn interleaved(addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let six_first = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == six_first);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut mixed = VecDeque::new();
    loop {
        let pair = [first.next(), second.next()];
        if pair == [None, None] {
            mixed.truncate(MAX_ADDRESSES);
            return mixed;
        }
        mixed.extend(pair.into_iter().flatten());
    }
}

#[cfg(test)]
mod tests;
