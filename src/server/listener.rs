//! The sockets that connections come in by.

mod unix;

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use log::warn;
use mio::event::Source;
use mio::net::{TcpListener, UnixListener};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use self::unix::SocketFile;
use super::service_manager::sockets::{GivenSockets, TakenSocket};
use crate::auth::forwarded::TrustedProxies;
use crate::config::{Config, Listen};
use crate::transport::Transport;
use crate::transport::tls::terms::Terms;

/// The permissions of those who are neither a file's owner nor in its group.
const OTHERS: u32 = 0o007;

/// How many connections may wait in the kernel to be accepted.
const BACKLOG: i32 = 4096;

/// What a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Plain,
    Tls,
    Admin,
}

impl Role {
    /// That of the listener with this place in the configuration: see [`Config::doors`].
    pub(super) fn at(config: &Config, door: usize) -> Role {
        let plain = config.listen.len();
        match door {
            _ if door < plain => Role::Plain,
            _ if door < plain + config.tls.listen.len() => Role::Tls,
            _ => Role::Admin,
        }
    }
}

/// One listening socket.
#[derive(Debug)]
pub(super) struct Listener {
    socket: Acceptor,
    /// What to call it in a log line: `ws://127.0.0.1:8040` or `unix:/run/fanfare.sock`.
    pub(super) name: String,
    /// Whether TLS is spoken there.
    pub(super) is_tls: bool,
    /// Its place in the configuration: the listeners for TLS follow the others.
    pub(super) door: usize,
    /// Whether it is that of administration.
    pub(super) is_admin: bool,
    /// The networks that can reach it, for the log line at the start.
    pub(super) reach: &'static str,
    /// Set while connections may still wait: the event that said so does not come again.
    pub(super) ready: bool,
}

#[derive(Debug)]
enum Acceptor {
    Tcp(TcpListener),
    /// The file stands first so that it is removed while the listener is still open. A socket that was given has none: whoever gave
    /// it removes it.
    Unix(Option<SocketFile>, UnixListener),
}

/// A connection that has come in.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) transport: Transport,
    /// Whether its peer is on this machine: it came by a loopback address or by a unix socket.
    pub(super) is_local: bool,
    /// The place of its listener in the configuration.
    pub(super) door: usize,
}

impl Listener {
    /// Listens on every address of the configuration: by the socket that was given for it, or by one that is bound here.
    ///
    /// # Errors
    /// A sentence that names the first address that failed and what to do about it.
    pub(super) fn open_all(
        config: &Config,
        mut given: GivenSockets,
    ) -> Result<Vec<Listener>, String> {
        let all: Vec<Listen> = config.doors().cloned().collect();
        for sentence in idle_options(config) {
            warn!("{sentence}");
        }
        let mut listeners: Vec<Listener> = Vec::with_capacity(all.len());
        for door in 0..all.len() {
            let is_admin = Role::at(config, door) == Role::Admin;
            let socket = given.take_at(&all[door]);
            let opened = Listener::open(config, &all, door, socket, &listeners);
            match opened {
                Ok(listener) => listeners.push(Listener {
                    door,
                    is_admin,
                    ..listener
                }),
                // Nobody asked for it.
                Err(why) if is_admin && !config.admin_is_required => {
                    warn!(
                        "nothing listens for administration: {why}; --admin gives another address, or off"
                    );
                }
                Err(why) => return Err(why),
            }
        }
        Ok(listeners)
    }

    /// Listens at `all[door]`, by the `socket` that was given for it, if one was. `earlier` are open.
    fn open(
        config: &Config,
        all: &[Listen],
        door: usize,
        socket: Option<TakenSocket>,
        earlier: &[Listener],
    ) -> Result<Listener, String> {
        let role = Role::at(config, door);
        let is_tls = role == Role::Tls;
        match (&all[door], socket) {
            (Listen::Tcp(address), Some((socket, _))) => tune(&socket, config.send_buffer)
                .and_then(|()| Listener::of_tcp(socket, is_tls))
                .map_err(|error| explain(*address, &error, &[])),
            (Listen::Unix(path), Some((socket, file))) => {
                let name = format!("unix:{}", path.display());
                let failed = |error| format!("cannot listen on {name}: {error}");
                socket.set_nonblocking(true).map_err(failed)?;
                let listener = UnixListener::from_std(OwnedFd::from(socket).into());
                let file = file.map(|identity| SocketFile::of_predecessor(path, identity));
                let socket = Acceptor::Unix(file, listener);
                Ok(Listener::of_unix(path, socket, is_tls))
            }
            (Listen::Tcp(address), None) => {
                let only_v6 = leaves_ipv4_to_another(*address, all);
                bind_tcp(*address, only_v6, config.send_buffer)
                    .and_then(|socket| Listener::of_tcp(socket, is_tls))
                    .map_err(|error| explain(*address, &error, &all[..door]))
            }
            (Listen::Unix(path), None) => {
                let earlier = earlier.iter().filter_map(Listener::file);
                // Where others may connect to be served, they may not administer.
                let mode = match role {
                    Role::Admin => Some(config.socket_mode.unwrap_or(0o600) & !OTHERS),
                    Role::Plain | Role::Tls => config.socket_mode,
                };
                let (file, listener) = unix::bind(path, config.socket_group, mode, earlier)?;
                let socket = Acceptor::Unix(Some(file), listener);
                Ok(Listener::of_unix(path, socket, is_tls))
            }
        }
    }

    fn of_unix(path: &Path, socket: Acceptor, is_tls: bool) -> Listener {
        let by_tls = if is_tls { " by TLS" } else { "" };
        Listener {
            socket,
            name: format!("unix:{}{by_tls}", path.display()),
            is_tls,
            door: 0,
            is_admin: false,
            reach: "open to every user who may write to that file",
            ready: false,
        }
    }

    /// Of a socket that listens.
    fn of_tcp(socket: Socket, is_tls: bool) -> io::Result<Listener> {
        let only_v6 = socket.only_v6().unwrap_or(false);
        let listener = TcpListener::from_std(socket.into());
        let address = listener.local_addr()?;
        let reach = if address.ip().is_loopback() {
            "open to this machine only"
        } else if only_v6 && is_dual_stack(address) {
            "open to every network that this machine is on, by IPv6"
        } else if address.ip().is_unspecified() {
            "open to every network that this machine is on"
        } else {
            "open to every machine that can reach that address"
        };
        let scheme = if is_tls { "wss" } else { "ws" };
        Ok(Listener {
            socket: Acceptor::Tcp(listener),
            name: format!("{scheme}://{address}"),
            is_tls,
            door: 0,
            is_admin: false,
            reach,
            ready: false,
        })
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match &mut self.socket {
            Acceptor::Tcp(listener) => listener.register(registry, token, Interest::READABLE),
            Acceptor::Unix(_, listener) => listener.register(registry, token, Interest::READABLE),
        }
    }

    /// Accepts a connection. It begins with a PROXY header where it is from one of `proxies` that says so who called it. It
    /// speaks TLS on these terms, if there are any. Where the daemon is administered no proxy is believed.
    pub(super) fn accept(
        &self,
        terms: Option<&Terms>,
        proxies: &TrustedProxies,
    ) -> io::Result<Accepted> {
        let (accepted, peer) = self.accept_bare()?;
        let accepted = match !self.is_admin && proxies.want_header(peer) {
            true => Accepted {
                transport: accepted.transport.proxied(),
                ..accepted
            },
            false => accepted,
        };
        match terms {
            Some(terms) => Ok(Accepted {
                transport: accepted.transport.encrypted(terms)?,
                ..accepted
            }),
            None => Ok(accepted),
        }
    }

    /// Accepts a connection as it is, and says from which address it comes; `None`: by a unix socket.
    fn accept_bare(&self) -> io::Result<(Accepted, Option<IpAddr>)> {
        let (transport, peer) = match &self.socket {
            Acceptor::Tcp(listener) => {
                let (stream, peer) = listener.accept()?;
                // On a dual-stack socket 127.0.0.1 is ::ffff:127.0.0.1.
                (Transport::Tcp(stream), Some(peer.ip().to_canonical()))
            }
            Acceptor::Unix(_, listener) => (Transport::Unix(listener.accept()?.0), None),
        };
        let accepted = Accepted {
            transport,
            is_local: peer.is_none_or(|address| address.is_loopback()),
            door: self.door,
        };
        Ok((accepted, peer))
    }

    /// What another process needs to go on with it: its socket, and which file is its own.
    pub(super) fn handed(&self) -> (BorrowedFd<'_>, Option<(u64, u64)>) {
        match &self.socket {
            Acceptor::Tcp(listener) => (listener.as_fd(), None),
            Acceptor::Unix(file, listener) => {
                (listener.as_fd(), file.as_ref().map(SocketFile::identity))
            }
        }
    }

    /// The process that has made it does not go on with it: its file is this one's from now on. If it was for clients and is for
    /// administration now, others can connect no longer.
    pub(super) fn own(&mut self) {
        if let Acceptor::Unix(Some(file), _) = &mut self.socket {
            file.own();
            if self.is_admin
                && let Err(error) = file.take_from(OTHERS)
            {
                warn!("{}: its permissions cannot be set: {error}", self.name);
            }
        }
    }

    /// Another process goes on with it: nothing is accepted here any more, and its file stays.
    pub(super) fn leave(mut self, registry: &Registry) {
        // The poll ends with this process at the latest.
        let _ = match &mut self.socket {
            Acceptor::Tcp(listener) => listener.deregister(registry),
            Acceptor::Unix(_, listener) => listener.deregister(registry),
        };
        if let Acceptor::Unix(file, _) = self.socket {
            std::mem::forget(file);
        }
    }

    fn file(&self) -> Option<&SocketFile> {
        match &self.socket {
            Acceptor::Tcp(_) => None,
            Acceptor::Unix(file, _) => file.as_ref(),
        }
    }
}

/// One sentence for each option that has no effect where the daemon listens.
pub(super) fn idle_options(config: &Config) -> Vec<String> {
    let mut idle = Vec::new();
    let has_unix = config.doors().any(|at| matches!(at, Listen::Unix(_)));
    if !has_unix && (config.socket_mode.is_some() || config.socket_group.is_some()) {
        let why =
            "socket_mode and socket_group have no effect: the daemon listens on no unix socket";
        idle.push(why.to_owned());
    }
    if config.tls.listen.is_empty() && !config.tls.files().is_empty() {
        let why =
            "the certificates have no effect: the daemon listens nowhere for TLS (listen_tls)";
        idle.push(why.to_owned());
    }
    let of_tokens = [
        ("jwt_issuer", config.token.issuer.is_some()),
        ("jwt_audience", config.token.audience.is_some()),
        ("token_cookie", config.token_cookie.is_some()),
    ];
    if !config.token.has_keys() {
        let given = of_tokens.iter().filter(|(_, is_given)| *is_given);
        idle.extend(given.map(|(option, _)| {
            format!("{option} has no effect: there is no key for tokens (jwt_secret_file, jwt_key, jwks or jwks_url)")
        }));
    }
    idle
}

/// Whether this is `[::]` and an IPv4 address with the same port is listed beside it: the two can
/// only be bound together if this one takes IPv6 alone.
fn leaves_ipv4_to_another(address: SocketAddr, all: &[Listen]) -> bool {
    let takes_ipv4 = |listen: &Listen| match listen {
        Listen::Tcp(other) => other.is_ipv4() && other.port() == address.port(),
        Listen::Unix(_) => false,
    };
    is_dual_stack(address) && address.port() != 0 && all.iter().any(takes_ipv4)
}

fn is_dual_stack(address: SocketAddr) -> bool {
    address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
}

/// A socket that listens there.
fn bind_tcp(address: SocketAddr, only_v6: bool, send_buffer: Option<usize>) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if is_dual_stack(address) {
        // Whatever the system's default is.
        socket.set_only_v6(only_v6)?;
    }
    tune(&socket, send_buffer)?;
    socket.bind(&SockAddr::from(address))?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// `TCP_NODELAY` and `TCP_NOTSENT_LOWAT` are set once, here: accepted sockets inherit them, which
/// saves two system calls a connection.
fn tune(socket: &Socket, send_buffer: Option<usize>) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if let Some(bytes) = send_buffer {
        // What does not fit the option's 32 bits is as good as no limit.
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        socket.set_tcp_notsent_lowat(bytes)?;
    }
    Ok(())
}

/// Why a TCP address could not be listened on. `earlier` are those of the list that could.
fn explain(address: SocketAddr, error: &io::Error, earlier: &[Listen]) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => match earlier.iter().find(|other| covers(other, address)) {
            Some(other) => format!(
                "cannot listen on {address} beside {other}: the two overlap, so that one of them \
                 is enough"
            ),
            None => format!(
                "{address} is taken: another program, perhaps another fanfare, listens there; \
                 end it or choose another address"
            ),
        },
        io::ErrorKind::PermissionDenied => format!(
            "may not listen on {address}: permission denied; ports below 1024 need a privilege"
        ),
        io::ErrorKind::AddrNotAvailable => {
            format!("cannot listen on {address}: this machine has no such address")
        }
        _ => format!("cannot listen on {address}: {error}"),
    }
}

/// Whether some connections would be for both.
fn covers(other: &Listen, address: SocketAddr) -> bool {
    let Listen::Tcp(other) = other else {
        return false;
    };
    let (one, two) = (other.ip().to_canonical(), address.ip().to_canonical());
    let is_any = |ip: IpAddr| ip.is_unspecified();
    let same_family = one.is_ipv4() == two.is_ipv4();
    other.port() == address.port() && same_family && (one == two || is_any(one) || is_any(two))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(text: &str) -> Listen {
        Listen::Tcp(text.parse().expect("an address of this test"))
    }

    #[test]
    fn any_ipv6_address_takes_ipv4_too_unless_that_is_listed_with_the_same_port() {
        let any: SocketAddr = "[::]:80".parse().expect("an address");
        let leaves = |others: &[&str]| {
            let mut all: Vec<Listen> = others.iter().map(|text| tcp(text)).collect();
            all.push(Listen::Tcp(any));
            leaves_ipv4_to_another(any, &all)
        };
        assert!(!leaves(&[]));
        assert!(!leaves(&["0.0.0.0:81", "[::1]:80"]));
        assert!(leaves(&["0.0.0.0:80"]));
        assert!(leaves(&["127.0.0.1:80"]));
        let both = [tcp("0.0.0.0:80"), tcp("[::1]:80")];
        let one = "[::1]:80".parse().expect("an address");
        assert!(!leaves_ipv4_to_another(one, &both));
    }

    #[test]
    fn addresses_cover_each_other_if_one_is_every_address_of_the_same_family() {
        let covers = |one: &str, two: &str| covers(&tcp(one), two.parse().expect("an address"));
        assert!(covers("0.0.0.0:1", "127.0.0.1:1"));
        assert!(covers("127.0.0.1:1", "0.0.0.0:1"));
        assert!(covers("[::]:1", "[::1]:1"));
        assert!(covers("0.0.0.0:1", "[::ffff:127.0.0.1]:1"));
        assert!(!covers("0.0.0.0:1", "127.0.0.1:2"));
        assert!(!covers("127.0.0.2:1", "127.0.0.1:1"));
        assert!(!covers("0.0.0.0:1", "[::1]:1"));
    }
}
