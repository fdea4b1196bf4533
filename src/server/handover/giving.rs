//! The old process's side: it starts the new one, copies to it, stands still, and lets go.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use super::hello::{Door, HandedListener, Hello, put_time};
use super::program::Program;
use super::wire::{FILES_MAX, Kind, Lost, Wire};
use super::{COPY, STANDSTILL, START};
use crate::hub::Hub;
use crate::hub::snapshot::Copied;
use crate::server::connection::snapshot::Saving;
use crate::server::connections::Connections;
use crate::server::timers::Millis;
use crate::snapshot::put_len;

/// Bytes of channels that are copied at a time, and how long a turn of the loop goes on with that.
const PIECE: usize = 64 * 1024;
const PIECES_A_TURN: Duration = Duration::from_millis(1);

/// It stands still once no more than so many bytes have come since the channels were last gone through.
const FEW: usize = 256 * 1024;

/// How often the channels are gone through at most before that.
const PASSES_MAX: usize = 16;

/// Bytes of connections that are sent at a time.
const BATCH: usize = 256 * 1024;

/// A restart under way.
pub(in crate::server) struct Handover {
    child: Child,
    wire: Wire,
    until: Instant,
    stage: Stage,
    copied: Copied,
    /// The places of the connections that were handed over.
    handed: Vec<usize>,
    /// What has come since the channels were last gone through, in bytes.
    pass: usize,
    passes: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Starting,
    Copying,
}

/// What is to be done next.
#[derive(Debug)]
pub(in crate::server) enum Step {
    /// Nothing, until the socket is ready or the time is over.
    Wait,
    /// More of the same in the next turn.
    GoOn,
    /// All that can be copied beforehand is: [`Handover::hand_over`].
    StandStill,
    /// It has failed, for this reason: [`Handover::abandon`].
    Fail(String),
}

impl Handover {
    /// Starts the new process.
    ///
    /// # Errors
    /// A sentence that says why it does not start.
    pub(in crate::server) fn begin(
        program: &Program,
        listeners: &[HandedListener<BorrowedFd<'_>>],
        doors: &[Door],
        link: Option<&OwnedFd>,
    ) -> Result<Handover, String> {
        let (own, its) = UnixStream::pair().map_err(|error| format!("no socket pair: {error}"))?;
        let child = program.start(its.into())?;
        let mut handover = Handover {
            child,
            wire: Wire::new(own.into()),
            until: Instant::now() + START,
            stage: Stage::Starting,
            copied: Copied::default(),
            handed: Vec::new(),
            pass: 0,
            passes: 0,
        };
        let mut body = Vec::new();
        let files = Hello::write(&mut body, listeners, doors, link);
        // The socket has room for so little.
        let until = Instant::now() + Duration::from_secs(1);
        match handover.wire.send(Kind::Hello, &body, &files, until) {
            Ok(()) => Ok(handover),
            Err(lost) => {
                let why = handover.why(lost);
                handover.abandon();
                Err(why)
            }
        }
    }

    /// Has the poll tell when the new process says something, or takes something.
    ///
    /// # Errors
    /// The system's.
    pub(in crate::server) fn register(
        &self,
        registry: &Registry,
        token: Token,
    ) -> std::io::Result<()> {
        use std::os::fd::AsRawFd as _;
        let socket = self.wire.as_fd().as_raw_fd();
        let interest = Interest::READABLE | Interest::WRITABLE;
        registry.register(&mut SourceFd(&socket), token, interest)
    }

    /// The new process.
    pub(in crate::server) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The places of the connections with which the new process goes on.
    pub(in crate::server) fn handed(&self) -> &[usize] {
        &self.handed
    }

    /// How long it may take until the next step.
    pub(in crate::server) fn next_timeout(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// Does what can be done without waiting, while the loop turns.
    pub(in crate::server) fn step(&mut self, hub: &Hub, now: Millis) -> Step {
        match self.try_step(hub, now) {
            Ok(step) => step,
            Err(lost) => Step::Fail(self.why(lost)),
        }
    }

    fn try_step(&mut self, hub: &Hub, now: Millis) -> Result<Step, Lost> {
        while let Some(message) = self.wire.try_receive()? {
            match (message.kind, self.stage) {
                (Kind::Ready, Stage::Starting) => {
                    self.stage = Stage::Copying;
                    self.until = Instant::now() + COPY;
                }
                (Kind::Refused, _) => return Ok(Step::Fail(refusal(&message.body))),
                _ => return Err(Lost::Broken("the new process said what it should not")),
            }
        }
        if Instant::now() >= self.until {
            return Err(Lost::Late);
        }
        match self.stage {
            Stage::Starting => Ok(Step::Wait),
            Stage::Copying => self.copy_some(hub, now),
        }
    }

    fn copy_some(&mut self, hub: &Hub, now: Millis) -> Result<Step, Lost> {
        let began = Instant::now();
        while began.elapsed() < PIECES_A_TURN {
            if !self.wire.flush()? {
                return Ok(Step::Wait);
            }
            let mut piece = Vec::new();
            put_time(&mut piece, now);
            let empty = piece.len();
            let is_all = hub.copy(&mut self.copied, PIECE, &mut piece);
            if piece.len() > empty {
                self.pass += piece.len();
                self.wire.queue(Kind::Channels, &piece);
            }
            if is_all {
                self.copied.begin_pass();
                self.passes += 1;
                let came = std::mem::take(&mut self.pass);
                if came <= FEW || self.passes >= PASSES_MAX {
                    return Ok(Step::StandStill);
                }
            }
        }
        Ok(Step::GoOn)
    }

    /// Hands over everything while it stands still. `now` is the loop's time. After it the new process serves, and this one does not any more.
    ///
    /// # Errors
    /// A sentence that says why that failed. Then the new process has done nothing: [`Handover::abandon`].
    pub(in crate::server) fn hand_over(
        &mut self,
        connections: &Connections,
        now: Millis,
    ) -> Result<(), String> {
        let until = Instant::now() + STANDSTILL;
        self.try_hand_over(connections, now, until)
            .map_err(|lost| self.why(lost))
    }

    fn try_hand_over(
        &mut self,
        connections: &Connections,
        now: Millis,
        until: Instant,
    ) -> Result<(), Lost> {
        let hub = &connections.service.hub;
        self.copied.begin_pass();
        let mut is_all = false;
        while !is_all {
            let mut piece = Vec::new();
            put_time(&mut piece, now);
            is_all = hub.copy(&mut self.copied, BATCH, &mut piece);
            self.wire.send(Kind::Channels, &piece, &[], until)?;
        }
        let mut rest = Vec::new();
        put_time(&mut rest, now);
        hub.conclude_copy(&self.copied, &mut rest);
        self.wire.send(Kind::Channels, &rest, &[], until)?;
        let mut shared = Vec::new();
        put_time(&mut shared, now);
        connections.save_shared(&mut shared);
        self.wire.send(Kind::Shared, &shared, &[], until)?;
        self.send_connections(connections, until)?;
        let mut end = Vec::new();
        put_len(&mut end, self.handed.len());
        self.wire.send(Kind::End, &end, &[], until)?;
        self.expect(Kind::Arrived, until)?;
        self.wire.send(Kind::Go, &[], &[], until)?;
        // It says so at once, and may serve from then on: it is not given up because the time before was used up.
        self.expect(Kind::Taken, until.max(Instant::now() + STANDSTILL))
    }

    /// Sends all connections that can be handed over.
    fn send_connections(&mut self, connections: &Connections, until: Instant) -> Result<(), Lost> {
        let saving = Saving::new(&connections.service.hub);
        let (mut records, mut sockets) = (Vec::new(), Vec::with_capacity(FILES_MAX));
        for (place, entry) in &connections.slab {
            let begin = records.len();
            let socket = entry.transport.save(&mut records);
            match socket {
                Some(socket) if entry.connection.save(&saving, &mut records) => {
                    sockets.push(socket);
                    self.handed.push(place);
                }
                _ => records.truncate(begin),
            }
            if sockets.len() == FILES_MAX || records.len() >= BATCH {
                self.send_batch(&mut records, &mut sockets, until)?;
            }
        }
        self.send_batch(&mut records, &mut sockets, until)
    }

    fn send_batch(
        &mut self,
        records: &mut Vec<u8>,
        sockets: &mut Vec<BorrowedFd<'_>>,
        until: Instant,
    ) -> Result<(), Lost> {
        let mut body = Vec::with_capacity(records.len() + 2);
        put_len(&mut body, sockets.len());
        body.append(records);
        self.wire.send(Kind::Connections, &body, sockets, until)?;
        sockets.clear();
        Ok(())
    }

    fn expect(&mut self, kind: Kind, until: Instant) -> Result<(), Lost> {
        let message = self.wire.receive(until)?;
        match message.kind {
            found if found == kind => Ok(()),
            Kind::Refused => Err(Lost::Refused(refusal(&message.body))),
            _ => Err(Lost::Broken("the new process said what it should not")),
        }
    }

    /// Why it failed, in a sentence.
    fn why(&mut self, lost: Lost) -> String {
        let when = match self.stage {
            Stage::Starting => "before it was ready",
            Stage::Copying => "while it took over",
        };
        match lost {
            Lost::Refused(why) => why,
            Lost::Ended => {
                // It closes its files a moment before it has ended.
                let soon = Instant::now() + Duration::from_millis(200);
                let ended = loop {
                    match self.child.try_wait() {
                        Ok(None) if Instant::now() < soon => {
                            std::thread::sleep(Duration::from_millis(1));
                        }
                        ended => break ended,
                    }
                };
                match ended {
                    Ok(Some(status)) => format!("the new process ended {when}: {status}"),
                    _ => format!("the new process let go {when}"),
                }
            }
            Lost::Late => format!("the new process did not answer in time {when}"),
            lost => format!("{lost}, {when}"),
        }
    }

    /// Ends the new process, and waits until it has ended: it has done nothing, and will not.
    pub(in crate::server) fn abandon(mut self) {
        // It may have ended by itself, and a first process may have been told of that already.
        let _ = self.child.kill().is_ok();
        let _ = self.child.wait().is_ok();
    }
}

fn refusal(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    format!(
        "the new process refuses: {}",
        crate::words::on_one_line(&text, 1_000)
    )
}
