//! The sockets that connections come in by.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use mio::event::Source;
use mio::net::{TcpListener, UnixListener};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::stream::Stream;
use crate::config::Listen;

/// How many connections may wait in the kernel to be accepted.
const BACKLOG: i32 = 4096;

/// One listening socket.
#[derive(Debug)]
pub(super) struct Listener {
    socket: Acceptor,
    /// What to call it in a log line: `ws://127.0.0.1:8040` or `unix:/run/fanfare.sock`.
    pub(super) name: String,
    /// Who can reach it, for the log line at the start.
    pub(super) reach: &'static str,
    /// Set while connections may still wait: the event that said so does not come again.
    pub(super) ready: bool,
}

#[derive(Debug)]
enum Acceptor {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

impl Listener {
    /// Binds and listens.
    ///
    /// # Errors
    /// A sentence that names the address and what to do.
    pub(super) fn bind(listen: &Listen, send_buffer: usize) -> Result<Self, String> {
        match listen {
            Listen::Tcp(address) => bind_tcp(*address, send_buffer)
                .map_err(|error| explain(&address.to_string(), &error)),
            Listen::Unix(path) => bind_unix(path)
                .map_err(|error| explain(&format!("unix:{}", path.display()), &error)),
        }
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match &mut self.socket {
            Acceptor::Tcp(listener) => listener.register(registry, token, Interest::READABLE),
            Acceptor::Unix(listener, _) => listener.register(registry, token, Interest::READABLE),
        }
    }

    pub(super) fn accept(&self) -> io::Result<Stream> {
        match &self.socket {
            Acceptor::Tcp(listener) => listener.accept().map(|(stream, _)| Stream::Tcp(stream)),
            Acceptor::Unix(listener, _) => {
                listener.accept().map(|(stream, _)| Stream::Unix(stream))
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Acceptor::Unix(_, path) = &self.socket {
            let _ = fs::remove_file(path);
        }
    }
}

/// `TCP_NODELAY` and `TCP_NOTSENT_LOWAT` are set once, here: accepted sockets inherit them, which
/// saves two system calls a connection.
fn bind_tcp(address: SocketAddr, send_buffer: usize) -> io::Result<Listener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?;
    if send_buffer > 0 {
        // What does not fit the option's 32 bits is as good as no limit.
        let bytes = u32::try_from(send_buffer).unwrap_or(u32::MAX);
        socket.set_tcp_notsent_lowat(bytes)?;
    }
    socket.bind(&SockAddr::from(address))?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from_std(socket.into());
    let address = listener.local_addr()?;
    let reach = if address.ip().is_loopback() {
        "open to this machine only"
    } else if address.ip().is_unspecified() {
        "open to every network that this machine is on"
    } else {
        "open to whoever can reach that address"
    };
    Ok(Listener {
        socket: Acceptor::Tcp(listener),
        name: format!("ws://{address}"),
        reach,
        ready: false,
    })
}

/// A socket file that a daemon left behind when it was killed is taken over; one that somebody
/// listens on is not.
fn bind_unix(path: &Path) -> io::Result<Listener> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
    if is_socket {
        match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => return Err(io::ErrorKind::AddrInUse.into()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                fs::remove_file(path)?;
            }
            Err(_) => {}
        }
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(BACKLOG)?;
    Ok(Listener {
        socket: Acceptor::Unix(
            UnixListener::from_std(OwnedFd::from(socket).into()),
            path.to_owned(),
        ),
        name: format!("unix:{}", path.display()),
        reach: "open to whoever may write to that file",
        ready: false,
    })
}

fn explain(address: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "{address} is taken: another program, perhaps another fanfare, listens there; \
             end it or choose another --listen"
        ),
        io::ErrorKind::PermissionDenied => format!(
            "may not listen on {address}: permission denied; ports below 1024 need a privilege, \
             a unix socket needs a folder that can be written to"
        ),
        io::ErrorKind::AddrNotAvailable => {
            format!("cannot listen on {address}: this machine has no such address")
        }
        _ => format!("cannot listen on {address}: {error}"),
    }
}
