//! What the daemon says to the system's service manager, and what it gets from there.
//!
//! The manager names a socket in the environment, and a datagram there says how things stand (sd_notify(3)). The socket is written to
//! without waiting: where the manager reads nothing, it learns nothing. Without a manager all of this is one comparison in a turn.

pub(super) mod sockets;

use std::ffi::{OsStr, OsString};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::AsFd as _;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use log::warn;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::time::{ClockId, clock_gettime};

/// Bytes of a status that are sent.
const STATUS_BYTES: usize = 1_000;

/// How long the manager may take to hear what was said.
const BARRIER: Duration = Duration::from_secs(5);

/// The service manager, or nobody.
#[derive(Debug, Default)]
pub(super) struct ServiceManager {
    socket: Option<UnixDatagram>,
    watchdog: Option<Watchdog>,
    /// Whether the log has said that the manager hears nothing.
    said_deaf: bool,
}

/// The manager ends a daemon from which it hears nothing for too long.
#[derive(Debug)]
struct Watchdog {
    /// Half of that.
    interval: Duration,
    next: Instant,
}

/// What the environment says of a manager.
#[derive(Debug, Default)]
struct Environment {
    socket: Option<OsString>,
    watchdog_usec: Option<OsString>,
    watchdog_pid: Option<OsString>,
}

impl ServiceManager {
    /// The one that the environment names. What makes no sense there is logged.
    pub(super) fn of_environment() -> ServiceManager {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        ServiceManager::of(Environment {
            socket: variable("NOTIFY_SOCKET"),
            watchdog_usec: variable("WATCHDOG_USEC"),
            watchdog_pid: variable("WATCHDOG_PID"),
        })
    }

    fn of(environment: Environment) -> ServiceManager {
        let Some(name) = &environment.socket else {
            return ServiceManager::default();
        };
        let socket = connect(name).inspect_err(|error| {
            warn!("the service manager hears nothing: NOTIFY_SOCKET {name:?}: {error}");
        });
        ServiceManager {
            watchdog: environment.watchdog(),
            said_deaf: socket.is_err(),
            socket: socket.ok(),
        }
    }

    /// The daemon has started, or has read its configuration again.
    pub(super) fn say_ready(&mut self, status: &str) {
        self.tell("READY=1", status);
    }

    /// The daemon reads its configuration again. [`ServiceManager::say_ready`] follows.
    pub(super) fn say_reloading(&mut self) {
        // The manager compares it with when it asked for that.
        let now = Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default();
        let state = format!("RELOADING=1\nMONOTONIC_USEC={}", now.as_micros());
        self.tell(&state, "reading the configuration again");
    }

    /// The daemon ends in order.
    pub(super) fn say_stopping(&mut self, status: &str) {
        self.tell("STOPPING=1", status);
    }

    /// Another process is the daemon from now on. It returns once the manager knows that, and nothing more is said to it.
    pub(super) fn say_main_process(&mut self, pid: u32, status: &str) {
        self.tell(&format!("MAINPID={pid}"), status);
        if let Some(socket) = &self.socket
            && let Err(error) = await_barrier(socket)
        {
            warn!("the service manager may not know of the new process: {error}");
        }
        *self = ServiceManager::default();
    }

    /// Called in each turn: says that the loop turns, where the manager wants to know.
    pub(super) fn keep_alive(&mut self, status: impl FnOnce() -> String) {
        let Some(watchdog) = &mut self.watchdog else {
            return;
        };
        let now = Instant::now();
        if now >= watchdog.next {
            watchdog.next = now + watchdog.interval;
            self.tell("WATCHDOG=1", &status());
        }
    }

    /// How long it may take until [`ServiceManager::keep_alive`] is called.
    pub(super) fn next_timeout(&self) -> Option<Duration> {
        let watchdog = self.watchdog.as_ref()?;
        Some(watchdog.next.saturating_duration_since(Instant::now()))
    }

    /// Says how things stand, with a line for people.
    fn tell(&mut self, state: &str, status: &str) {
        let Some(socket) = &self.socket else {
            return;
        };
        let status = crate::words::on_one_line(status, STATUS_BYTES);
        let told = socket.send(format!("{state}\nSTATUS={status}\n").as_bytes());
        if let Err(error) = told
            && !std::mem::replace(&mut self.said_deaf, true)
        {
            warn!("the service manager hears nothing: {error}");
        }
    }
}

impl Environment {
    fn watchdog(&self) -> Option<Watchdog> {
        let pid = std::process::id().to_string();
        if self.watchdog_pid.as_ref().is_some_and(|of| *of != *pid) {
            return None;
        }
        let usec = self.watchdog_usec.as_ref()?;
        let time = usec.to_str().and_then(|usec| usec.parse().ok());
        let Some(time) = time.filter(|time| *time > 0).map(Duration::from_micros) else {
            warn!("WATCHDOG_USEC: {usec:?} is not a number of microseconds: there is no watchdog");
            return None;
        };
        Some(Watchdog {
            interval: time / 2,
            next: Instant::now() + time / 2,
        })
    }
}

/// Waits until the manager has heard all that was said before: it closes a file that it is given then.
fn await_barrier(socket: &UnixDatagram) -> io::Result<()> {
    let (read, write) = io::pipe()?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let files = [write.as_fd()];
    control.push(SendAncillaryMessage::ScmRights(&files));
    let barrier = [IoSlice::new(b"BARRIER=1")];
    sendmsg(socket, &barrier, &mut control, SendFlags::NOSIGNAL)?;
    drop(write);
    let timeout = Timespec::try_from(BARRIER).ok();
    match poll(&mut [PollFd::new(&read, PollFlags::IN)], timeout.as_ref())? {
        0 => Err(io::ErrorKind::TimedOut.into()),
        _ => Ok(()),
    }
}

/// A socket that writes there: a path, or `@` and a name that is no file's.
fn connect(name: &OsStr) -> io::Result<UnixDatagram> {
    let address = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(name)?,
        _ => {
            let why = "it is neither a path from / on nor a name with @ before it";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A manager's socket, by a name that no file has.
    fn manager(test: &str) -> (UnixDatagram, OsString) {
        let name = format!("fanfare-test-{test}-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let socket = UnixDatagram::bind_addr(&address).expect("the name is free");
        socket
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("a time");
        (socket, format!("@{name}").into())
    }

    fn heard(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 4_096];
        let len = socket.recv(&mut bytes).expect("a datagram");
        String::from_utf8_lossy(&bytes[..len]).into_owned()
    }

    #[test]
    fn each_state_is_one_datagram_with_a_line_for_people() {
        let (socket, name) = manager("states");
        let mut manager = ServiceManager::of(Environment {
            socket: Some(name),
            ..Environment::default()
        });
        manager.say_ready("listening on\nws://a");
        assert_eq!(heard(&socket), "READY=1\nSTATUS=listening on ws://a\n");
        manager.say_reloading();
        let text = heard(&socket);
        let usec = text.strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
        let usec = usec.and_then(|rest| rest.split('\n').next());
        assert!(
            usec.is_some_and(|usec| usec.parse::<u64>().is_ok()),
            "{text}"
        );
        manager.say_stopping("closing 3 connections");
        assert_eq!(heard(&socket), "STOPPING=1\nSTATUS=closing 3 connections\n");
        assert_eq!(manager.next_timeout(), None);
    }

    #[test]
    fn a_manager_that_does_not_read_holds_nobody_up() {
        let (socket, name) = manager("deaf");
        let mut manager = ServiceManager::of(Environment {
            socket: Some(name),
            ..Environment::default()
        });
        // More than any socket's queue has room for.
        for _ in 0..10_000 {
            manager.say_ready("");
        }
        assert!(manager.said_deaf);
        drop(socket);
        manager.say_ready("");
    }

    #[test]
    fn the_watchdog_is_fed_twice_as_often_as_it_asks_if_it_is_this_processs() {
        let (socket, name) = manager("watchdog");
        let of = |usec: &str, pid: Option<String>| {
            ServiceManager::of(Environment {
                socket: Some(name.clone()),
                watchdog_usec: Some(usec.into()),
                watchdog_pid: pid.map(Into::into),
            })
        };
        let own = std::process::id().to_string();
        let mut manager = of("40000", Some(own));
        let wait = manager.next_timeout().expect("there is a watchdog");
        assert!(wait <= Duration::from_millis(20));
        std::thread::sleep(wait);
        manager.keep_alive(|| "turning".to_owned());
        assert_eq!(heard(&socket), "WATCHDOG=1\nSTATUS=turning\n");
        assert_eq!(of("40000", Some("1".into())).next_timeout(), None);
        assert!(of("40000", None).next_timeout().is_some());
        assert_eq!(of("soon", None).next_timeout(), None);
        assert_eq!(of("0", None).next_timeout(), None);
    }

    #[test]
    fn a_name_that_is_no_sockets_makes_a_manager_that_hears_nothing() {
        for name in ["relative", "/nowhere/at/all", "@", "vsock:2:1234"] {
            let mut manager = ServiceManager::of(Environment {
                socket: Some(name.into()),
                ..Environment::default()
            });
            assert!(manager.socket.is_none() || name == "@", "{name}");
            manager.say_ready("");
        }
    }
}
