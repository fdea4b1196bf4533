//! Listening sockets that the service manager has made, and gives to the daemon as open files (sd_listen_fds(3)).
//!
//! Where there are any, the daemon makes none itself. Connections wait in such a socket while the daemon is started again.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use listenfd::ListenFd;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::config::{Config, Listen};
use crate::server::handover::{Hello, Predecessor};

/// More than anybody needs; the number comes from the environment.
const SOCKETS_MAX: usize = 64;

/// What to do about a socket that is of no use.
const WANTED: &str = "give stream sockets by ListenStream= in the .socket unit";

/// The sockets that were given, if any.
#[derive(Debug, Default)]
pub struct GivenSockets {
    sockets: Vec<Given>,
    /// The process that has handed them over, if one has.
    predecessor: Option<Predecessor>,
}

#[derive(Debug)]
struct Given {
    socket: Socket,
    door: Door,
    /// Whether the service manager gave it, and not another process that has bound it.
    is_managers: bool,
    /// Device and inode of the file that was bound with it.
    file: Option<(u64, u64)>,
}

/// What is known of a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Door {
    address: Listen,
    /// What `FileDescriptorName=` says.
    name: String,
}

/// A socket, and device and inode of the file that was bound with it and goes with the listener.
pub(in crate::server) type TakenSocket = (Socket, Option<(u64, u64)>);

/// Where the sockets that were given listen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GivenDoors(Vec<Door>);

impl GivenSockets {
    /// Takes those that the environment names, if it names this process. They are closed where another program is begun. The second
    /// time there are none.
    ///
    /// # Errors
    /// A sentence that says which is no listening stream socket, and what to do.
    pub fn take() -> Result<GivenSockets, String> {
        match Predecessor::meet()? {
            Some((predecessor, hello)) => Ok(GivenSockets::handed(predecessor, hello)),
            None => GivenSockets::of_manager(),
        }
    }

    /// Those of another process that this one takes over from.
    fn handed(predecessor: Predecessor, hello: Hello) -> GivenSockets {
        let sockets = hello.listeners.into_iter().map(|listener| Given {
            socket: listener.socket.into(),
            is_managers: listener.given_as.is_some(),
            door: Door {
                address: listener.address,
                name: listener.given_as.unwrap_or_default(),
            },
            file: listener.file,
        });
        GivenSockets {
            sockets: sockets.collect(),
            predecessor: Some(predecessor),
        }
    }

    fn of_manager() -> Result<GivenSockets, String> {
        let variable = |name| std::env::var(name).unwrap_or_default();
        let own = std::process::id().to_string();
        let (count, pid) = (variable("LISTEN_FDS"), variable("LISTEN_PID"));
        // A variable that was meant for another process is inherited by mistake.
        if count.is_empty() || pid != own {
            return Ok(GivenSockets::default());
        }
        let number: Option<usize> = count.parse().ok();
        let number = number.filter(|number| *number <= SOCKETS_MAX);
        let Some(number) = number else {
            return Err(format!(
                "LISTEN_FDS: {count:?} is not a number of sockets: it has to be 0 to {SOCKETS_MAX}"
            ));
        };
        let names = variable("LISTEN_FDNAMES");
        let mut names = names.split(':');
        let mut files = ListenFd::from_env();
        let given = (0..number).map(|index| -> Result<Given, String> {
            let name = names.next().unwrap_or_default().to_owned();
            let wrong = |why: String| format!("LISTEN_FDS: file {} {name:?}: {why}", index + 3);
            let socket = take(&mut files, index).map_err(wrong)?;
            let address = address(&socket).map_err(wrong)?;
            let door = Door { address, name };
            Ok(Given {
                socket,
                door,
                is_managers: true,
                file: None,
            })
        });
        Ok(GivenSockets {
            sockets: given.collect::<Result<_, _>>()?,
            predecessor: None,
        })
    }

    /// Where they listen.
    pub fn doors(&self) -> GivenDoors {
        let given = self.sockets.iter().filter(|given| given.is_managers);
        GivenDoors(given.map(|given| given.door.clone()).collect())
    }

    /// Takes one that listens there.
    pub(in crate::server) fn take_at(&mut self, address: &Listen) -> Option<TakenSocket> {
        let mut doors = self.sockets.iter();
        let index = doors.position(|given| given.door.address == *address)?;
        let given = self.sockets.remove(index);
        Some((given.socket, given.file))
    }

    /// The process to take over from, if there is one.
    pub(in crate::server) fn take_predecessor(&mut self) -> Option<Predecessor> {
        self.predecessor.take()
    }
}

impl GivenDoors {
    /// What the service manager calls the socket that listens there, if it gave one.
    pub(in crate::server) fn name_at(&self, address: &Listen) -> Option<&str> {
        let mut doors = self.0.iter();
        let door = doors.find(|door| door.address == *address)?;
        Some(&door.name)
    }

    /// Has the sockets take the place of all addresses of a configuration. TLS is spoken at a socket that is called `tls`, or whose
    /// address is one of those for TLS.
    ///
    /// # Errors
    /// A sentence about a socket of which nobody says whether TLS is spoken there.
    pub fn replace(&self, config: Config) -> Result<Config, String> {
        if self.0.is_empty() {
            return Ok(config);
        }
        let (mut plain, mut tls, mut admin) = (Vec::new(), Vec::new(), Vec::new());
        for Door { address, name } in &self.0 {
            let is_listed = |listed: &[Listen]| listed.contains(address);
            let doors = match name.as_str() {
                "plain" => &mut plain,
                "tls" => &mut tls,
                "admin" => &mut admin,
                _ if is_listed(&config.listen) => &mut plain,
                _ if is_listed(&config.tls.listen) => &mut tls,
                _ if config.admin.as_ref() == Some(address) => &mut admin,
                _ => {
                    return Err(format!(
                        "LISTEN_FDS: whether TLS is spoken on the socket {name:?} at {address} is not known: give \
                         FileDescriptorName=plain or FileDescriptorName=tls in its .socket unit, or list the address \
                         in --listen or --listen-tls"
                    ));
                }
            };
            doors.push(address.clone());
        }
        let mut config = config;
        config.listen = plain;
        config.tls.listen = tls;
        if let Some(admin) = admin.pop() {
            config.admin = Some(admin);
            config.admin_is_required = true;
        }
        Ok(config)
    }

    /// The addresses of a configuration for which there is no socket, so that nobody listens there.
    pub fn missing<'c>(&self, config: &'c Config) -> impl Iterator<Item = &'c Listen> {
        let own = Config::default().listen;
        let given = self.clone();
        let is_given = move |listen: &Listen| given.0.iter().any(|door| door.address == *listen);
        // Nobody asked for the default one.
        let all = config
            .listeners()
            .filter(move |listen| !own.contains(listen));
        let is_some = !self.0.is_empty();
        all.filter(move |listen| is_some && !is_given(listen))
    }
}

/// Takes an open file that has to be a listening stream socket.
fn take(files: &mut ListenFd, index: usize) -> Result<Socket, String> {
    let mut wrong = String::new();
    for domain in [Domain::IPV4, Domain::UNIX] {
        // An IPv6 socket is taken for the first.
        let kind = "stream socket of TCP or unix";
        match files.take_custom::<OwnedFd>(index, domain.into(), Type::STREAM.into(), kind) {
            Ok(Some(file)) => {
                let socket = Socket::from(file);
                return match socket.is_listener() {
                    Ok(true) => Ok(socket),
                    _ => Err(format!("it is a socket that does not listen: {WANTED}")),
                };
            }
            Ok(None) => wrong = "there is no such file".to_owned(),
            Err(error) => wrong = error.to_string(),
        }
    }
    Err(format!("{wrong}: {WANTED}"))
}

/// Where it listens.
fn address(socket: &Socket) -> Result<Listen, String> {
    let failed = |error: io::Error| format!("its address cannot be told: {error}");
    let address: SockAddr = socket.local_addr().map_err(failed)?;
    if let Some(address) = address.as_socket() {
        return Ok(Listen::Tcp(address));
    }
    match address.as_pathname() {
        Some(path) => Ok(Listen::Unix(PathBuf::from(path))),
        None => Err("a unix socket needs a path: one without a file has no permissions".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doors(doors: &[(&str, &str)]) -> GivenDoors {
        let doors = doors.iter().map(|(address, name)| Door {
            address: listen(address),
            name: (*name).to_owned(),
        });
        GivenDoors(doors.collect())
    }

    fn listen(text: &str) -> Listen {
        match text.strip_prefix("unix:") {
            Some(path) => Listen::Unix(path.into()),
            None => Listen::Tcp(text.parse().expect("an address of this test")),
        }
    }

    fn config(plain: &[&str], tls: &[&str]) -> Config {
        let mut config = Config {
            listen: plain.iter().map(|text| listen(text)).collect(),
            ..Config::default()
        };
        config.tls.listen = tls.iter().map(|text| listen(text)).collect();
        config
    }

    #[test]
    fn sockets_take_the_place_of_all_addresses_by_their_name_or_their_address() {
        let given = doors(&[
            ("0.0.0.0:443", "tls"),
            ("unix:/run/a", "fanfare.socket"),
            ("[::]:8443", ""),
            ("0.0.0.0:80", "plain"),
        ]);
        let told = config(&["127.0.0.1:1", "unix:/run/a"], &["[::]:8443"]);
        let replaced = given.replace(told.clone()).expect("all are known");
        assert_eq!(
            replaced,
            config(
                &["unix:/run/a", "0.0.0.0:80"],
                &["0.0.0.0:443", "[::]:8443"]
            )
        );
        let missing: Vec<_> = given.missing(&told).cloned().collect();
        assert_eq!(missing, [listen("127.0.0.1:1")]);
    }

    #[test]
    fn without_sockets_all_stays_as_it_was() {
        let none = GivenDoors::default();
        let told = config(&["127.0.0.1:1"], &[]);
        assert_eq!(none.replace(told.clone()), Ok(told.clone()));
        assert_eq!(none.missing(&told).count(), 0);
    }

    #[test]
    fn the_default_address_is_not_missed() {
        let given = doors(&[("0.0.0.0:80", "plain")]);
        assert_eq!(given.missing(&Config::default()).count(), 0);
    }

    #[test]
    fn a_socket_of_which_nobody_knows_whether_tls_is_spoken_is_refused() {
        let given = doors(&[("0.0.0.0:443", "fanfare.socket")]);
        let why = given.replace(Config::default()).expect_err("it is refused");
        for part in [
            "0.0.0.0:443",
            "fanfare.socket",
            "FileDescriptorName=tls",
            "--listen-tls",
        ] {
            assert!(why.contains(part), "{why}");
        }
    }
}
