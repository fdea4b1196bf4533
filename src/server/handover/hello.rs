//! What the old process says first: which version it speaks, what time it is, and where it listens.

use std::ffi::OsStr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::wire::Message;
use crate::config::{Config, Listen};
use crate::server::listener::Role;
use crate::server::timers::Millis;
use crate::snapshot::{Damaged, Reader, VERSION, is_known, put, put_bool, put_bytes, put_len};

/// A listener that is handed over.
#[derive(Debug)]
pub(in crate::server) struct HandedListener<S> {
    /// Where the configuration says that it listens.
    pub(in crate::server) address: Listen,
    /// Its name, if the service manager gave the socket.
    pub(in crate::server) given_as: Option<String>,
    /// Device and inode of the file that goes with it.
    pub(in crate::server) file: Option<(u64, u64)>,
    pub(in crate::server) socket: S,
}

/// A place of the configuration where a daemon listens. Two are the same only if they are for the same: who came to be served does not find
/// itself where the daemon is administered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::server) struct Door {
    role: Role,
    pub(in crate::server) address: Listen,
}

impl Door {
    /// All that a configuration has, by place.
    pub(in crate::server) fn all(config: &Config) -> Vec<Door> {
        let doors = config.doors().enumerate().map(|(place, address)| Door {
            role: Role::at(config, place),
            address: address.clone(),
        });
        doors.collect()
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(match self.role {
            Role::Plain => 0,
            Role::Tls => 1,
            Role::Admin => 2,
        });
        put_address(out, &self.address);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Door, Damaged> {
        let role = match reader.byte()? {
            0 => Role::Plain,
            1 => Role::Tls,
            2 => Role::Admin,
            _ => return Err(Damaged("a listener is for nothing that there is")),
        };
        let address = address(reader)?;
        Ok(Door { role, address })
    }
}

/// What the old process says first.
#[derive(Debug)]
pub(in crate::server) struct Hello {
    /// The old process's version, for the log.
    pub(in crate::server) program: String,
    /// The listeners that there are.
    pub(in crate::server) listeners: Vec<HandedListener<OwnedFd>>,
    /// Where its configuration says to listen, whether it does or not, by place.
    pub(in crate::server) doors: Vec<Door>,
    /// Where a first process of a container is told who serves now.
    pub(in crate::server) link: Option<OwnedFd>,
}

impl Hello {
    /// Appends it, and says which files go with it.
    pub(super) fn write<'f>(
        out: &mut Vec<u8>,
        listeners: &'f [HandedListener<BorrowedFd<'f>>],
        doors: &[Door],
        link: Option<&'f OwnedFd>,
    ) -> Vec<BorrowedFd<'f>> {
        put(out, VERSION);
        put_bytes(out, env!("CARGO_PKG_VERSION").as_bytes());
        put_bool(out, link.is_some());
        put_len(out, listeners.len());
        for listener in listeners {
            put_address(out, &listener.address);
            put_bool(out, listener.given_as.is_some());
            if let Some(name) = &listener.given_as {
                put_bytes(out, name.as_bytes());
            }
            put_bool(out, listener.file.is_some());
            if let Some((device, inode)) = listener.file {
                put(out, device);
                put(out, inode);
            }
        }
        put_len(out, doors.len());
        doors.iter().for_each(|door| door.write(out));
        let link = link.map(|link| link.as_fd());
        let sockets = listeners.iter().map(|listener| listener.socket);
        link.into_iter().chain(sockets).collect()
    }

    /// Reads it.
    ///
    /// # Errors
    /// A sentence: it makes no sense, or is of a version that is not known.
    pub(super) fn read(message: Message) -> Result<Hello, String> {
        let mut reader = Reader::new(&message.body);
        let version = reader.number().map_err(|damaged| damaged.to_string())?;
        if !is_known(version) {
            return Err(format!(
                "the running daemon hands over in version {version}, and this one reads version {VERSION}: stop the daemon and start the new one"
            ));
        }
        let mut files = message.files.into_iter();
        Hello::read_rest(&mut reader, &mut files).map_err(|damaged| damaged.to_string())
    }

    fn read_rest(
        reader: &mut Reader<'_>,
        files: &mut impl Iterator<Item = OwnedFd>,
    ) -> Result<Hello, Damaged> {
        const NO_FILE: Damaged = Damaged("a listener came without its socket");
        let program = reader.text()?.to_owned();
        let link = match reader.bool()? {
            true => Some(files.next().ok_or(NO_FILE)?),
            false => None,
        };
        let mut listeners = Vec::new();
        for _ in 0..reader.number()? {
            let address = address(reader)?;
            let given_as = match reader.bool()? {
                true => Some(reader.text()?.to_owned()),
                false => None,
            };
            let file = match reader.bool()? {
                true => Some((reader.number()?, reader.number()?)),
                false => None,
            };
            listeners.push(HandedListener {
                address,
                given_as,
                file,
                socket: files.next().ok_or(NO_FILE)?,
            });
        }
        let mut doors = Vec::new();
        for _ in 0..reader.number()? {
            doors.push(Door::read(reader)?);
        }
        reader.end()?;
        Ok(Hello {
            program,
            listeners,
            doors,
            link,
        })
    }
}

fn put_address(out: &mut Vec<u8>, address: &Listen) {
    match address {
        Listen::Tcp(address) => {
            out.push(0);
            put_bytes(out, address.to_string().as_bytes());
        }
        Listen::Unix(path) => {
            out.push(1);
            put_bytes(out, path.as_os_str().as_bytes());
        }
    }
}

fn address(reader: &mut Reader<'_>) -> Result<Listen, Damaged> {
    match (reader.byte()?, reader.bytes()?) {
        (0, text) => {
            let address = str::from_utf8(text).ok().and_then(|text| text.parse().ok());
            let address = address.ok_or(Damaged("a listener has no address"))?;
            Ok(Listen::Tcp(address))
        }
        (1, path) => Ok(Listen::Unix(Path::new(OsStr::from_bytes(path)).into())),
        _ => Err(Damaged("a listener is of no kind that there is")),
    }
}

/// Appends what time it is in the old process's loop.
pub(super) fn put_time(out: &mut Vec<u8>, now: Millis) {
    put(out, now);
    put(out, monotonic().as_millis() as u64);
}

/// What time it is now in the old process's loop.
///
/// # Errors
/// The bytes make no sense.
pub(super) fn read_time(reader: &mut Reader<'_>) -> Result<Millis, Damaged> {
    let (then, said_at) = (reader.number()?, reader.number()?);
    let since = (monotonic().as_millis() as u64).saturating_sub(said_at);
    then.checked_add(since)
        .ok_or(Damaged("a time is after all others"))
}

/// The machine's time, which is the same for both processes.
fn monotonic() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default()
}
