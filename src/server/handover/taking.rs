//! The new process's side: it starts, says so, takes what comes, and goes when it is told to.

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::time::Instant;

use mio::Registry;

use super::hello::{Door, Hello, read_time};
use super::wire::{Kind, Lost, Message, Wire};
use super::{PATIENCE, VARIABLE};
use crate::config::Config;
use crate::hub::snapshot::Restored;
use crate::server::clock::Clock;
use crate::server::connection::Connection;
use crate::server::connection::snapshot::{Back, Restoring};
use crate::server::connections::{Connections, Entry};
use crate::server::metrics::kind::Carrier;
use crate::server::tokens::index_of;
use crate::snapshot::{Damaged, Reader};
use crate::transport::Transport;

/// The process to take over from.
pub(in crate::server) struct Predecessor {
    wire: Wire,
    /// Its version.
    pub(in crate::server) program: String,
    /// Where each of its listeners listened, by its place.
    doors: Vec<Door>,
    /// Where a first process of a container is told who serves now.
    link: Option<OwnedFd>,
}

impl std::fmt::Debug for Predecessor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Predecessor").finish_non_exhaustive()
    }
}

impl Predecessor {
    /// The one that has started this process, and what it says first; `None`: none has. It is asked for once, before there are threads.
    ///
    /// # Errors
    /// A sentence: it cannot be taken over from.
    pub(in crate::server) fn meet() -> Result<Option<(Predecessor, Hello)>, String> {
        let parent = std::env::var(VARIABLE).ok();
        let parent = parent.and_then(|parent| parent.parse::<i32>().ok());
        let own_parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
        if parent.is_none() {
            return Ok(None);
        }
        if parent != own_parent {
            // It ended between starting this process and here, and nobody waits for another daemon. Without a socket it is what some
            // process before has inherited, which means nothing.
            return match stdin_is_socket() {
                true => Err("the running daemon ended before it handed over".to_owned()),
                false => Ok(None),
            };
        }
        let socket = take_stdin().map_err(|error| format!("the standard input: {error}"))?;
        let mut wire = Wire::new(socket);
        let message = wire.expect(Kind::Hello, Instant::now() + PATIENCE);
        let message = message.map_err(|lost| format!("the running daemon says nothing: {lost}"))?;
        let mut hello = match Hello::read(message) {
            Ok(hello) => hello,
            Err(why) => {
                refuse(&mut wire, &why);
                return Err(why);
            }
        };
        let predecessor = Predecessor {
            doors: std::mem::take(&mut hello.doors),
            link: hello.link.take(),
            program: std::mem::take(&mut hello.program),
            wire,
        };
        Ok(Some((predecessor, hello)))
    }

    /// Takes over. It returns once this process is the one that serves, with where a first process of a container is told who does.
    ///
    /// # Errors
    /// A sentence: then the other process goes on, if it is there.
    pub(in crate::server) fn take_over(
        mut self,
        connections: &mut Connections,
        clock: &mut Clock,
        registry: &Registry,
    ) -> Result<Option<OwnedFd>, String> {
        let taken = self.receive_all(connections, clock, registry);
        if let Err(lost) = taken {
            let why = lost.to_string();
            refuse(&mut self.wire, &why);
            return Err(why);
        }
        let until = Instant::now() + PATIENCE;
        let told = (self.wire.send(Kind::Arrived, &[], &[], until))
            .and_then(|()| self.wire.expect(Kind::Go, until));
        match told {
            // The other process gives up only after it has ended this one. So it has ended itself, and all is here.
            Ok(_) | Err(Lost::Ended) => {}
            Err(lost) => return Err(lost.to_string()),
        }
        if let Some(link) = &self.link {
            tell_first_process(link);
        }
        // It does not matter any more whether anybody hears it.
        let _ = self.wire.send(Kind::Taken, &[], &[], until).is_ok();
        Ok(self.link)
    }

    fn receive_all(
        &mut self,
        connections: &mut Connections,
        clock: &mut Clock,
        registry: &Registry,
    ) -> Result<(), Lost> {
        self.wire
            .send(Kind::Ready, &[], &[], Instant::now() + PATIENCE)?;
        let doors = self.doors_now(&connections.service.config);
        let mut channels = Restored::default();
        let shared = loop {
            let message = self.wire.receive(Instant::now() + PATIENCE)?;
            match message.kind {
                Kind::Channels => {
                    let mut reader = Reader::new(&message.body);
                    let now = read_time(&mut reader)?;
                    let hub = &mut connections.service.hub;
                    hub.set_time(now);
                    hub.restore(reader.rest(), &mut channels)?;
                }
                Kind::Shared => break message.body,
                _ => return Err(UNEXPECTED),
            }
        };
        let mut reader = Reader::new(&shared);
        clock.set(read_time(&mut reader)?);
        connections.service.now = clock.now();
        let generation = connections.restore_shared(&mut reader)?;
        reader.end()?;
        let mut all = Vec::new();
        let mut places = HashSet::new();
        let mut restoring = Restoring::new(&channels, &doors);
        loop {
            let message = self.wire.receive(Instant::now() + PATIENCE)?;
            match message.kind {
                Kind::Connections => {
                    let batch = read_batch(message, &mut restoring, connections, registry)?;
                    for back in &batch {
                        let place = index_of(back.0.connection.token);
                        if !places.insert(place) {
                            return Err(Damaged("two connections have one place").into());
                        }
                    }
                    all.extend(batch);
                }
                Kind::End => {
                    let mut reader = Reader::new(&message.body);
                    if reader.number()? != all.len() as u64 {
                        return Err(Lost::Broken("not all connections have arrived"));
                    }
                    break;
                }
                _ => return Err(UNEXPECTED),
            }
        }
        connections.take_over(all, generation);
        Ok(())
    }

    /// Which listener of the configuration is now the one that had a place: that at the same address, for the same.
    fn doors_now(&self, config: &Config) -> Vec<Option<usize>> {
        let mut now: Vec<Option<Door>> = Door::all(config).into_iter().map(Some).collect();
        let doors = self.doors.iter().map(|door| {
            let place = now.iter().position(|now| now.as_ref() == Some(door))?;
            // Two may have port 0.
            now[place] = None;
            Some(place)
        });
        doors.collect()
    }
}

/// Reads some connections, registered with the poll. Each with whether its listener is still there.
fn read_batch(
    message: Message,
    restoring: &mut Restoring<'_>,
    connections: &mut Connections,
    registry: &Registry,
) -> Result<Vec<(Entry, bool)>, Lost> {
    let mut reader = Reader::new(&message.body);
    let mut batch = Vec::with_capacity(message.files.len());
    if reader.number()? != message.files.len() as u64 {
        return Err(Lost::Broken("connections came without their sockets"));
    }
    for socket in message.files {
        let mut transport = Transport::restore(&mut reader, socket)?;
        let Back {
            mut connection,
            has_listener,
        } = Connection::restore(&mut reader, restoring, &mut connections.service)?;
        connection.carrier = Carrier::of(&transport);
        let registered = transport.register(registry, connection.token);
        registered.map_err(Lost::System)?;
        let entry = Entry {
            transport,
            connection,
        };
        batch.push((entry, has_listener));
    }
    reader.end()?;
    Ok(batch)
}

const UNEXPECTED: Lost = Lost::Broken("the old process said what it should not");

impl From<Damaged> for Lost {
    fn from(damaged: Damaged) -> Self {
        Lost::Refused(damaged.to_string())
    }
}

/// Says that this process does not take over.
fn refuse(wire: &mut Wire, why: &str) {
    // If nobody hears it, the end of this process says it.
    let until = Instant::now() + std::time::Duration::from_secs(1);
    let _ = wire.send(Kind::Refused, why.as_bytes(), &[], until).is_ok();
}

fn stdin_is_socket() -> bool {
    use rustix::fs::FileType;
    let stat = rustix::fs::fstat(std::io::stdin());
    stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_socket())
}

/// Takes the socket that is the standard input, and leaves nothing in its place.
fn take_stdin() -> std::io::Result<OwnedFd> {
    use std::os::fd::AsFd as _;
    let socket = std::io::stdin().as_fd().try_clone_to_owned()?;
    let nothing = std::fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    Ok(socket)
}

/// Tells the first process of a container that this one serves now.
pub(in crate::server) fn tell_first_process(link: &OwnedFd) {
    let pid = std::process::id().to_le_bytes();
    // If it has ended, so has the container.
    let _ = rustix::io::write(link, &pid).is_ok();
}
