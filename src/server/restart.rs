//! The daemon's own part of a restart: when it begins, what becomes of it, and letting go.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use log::{info, warn};
use mio::Events;

use super::ending::Farewell;
use super::first_process::{self, Supervisor};
use super::handover::{
    Door, HandedListener, Handover, Predecessor, Step, report, tell_first_process,
};
use super::state;
use super::{HANDOVER, Server};

/// How long keys of tokens may take that come from a URL: without them nobody who has shown a token could stay.
const KEYS: Duration = Duration::from_secs(10);

impl Server {
    /// Goes on with what another process has. It returns once that is so.
    pub(super) fn take_over(&mut self, predecessor: Predecessor) -> Result<(), String> {
        if let Some(source) = &self.key_source {
            let keys = source.wait(KEYS);
            let keys = keys.ok_or("the keys of tokens did not come from their URL in time")?;
            self.engine.connections.service.gate.take_keys(keys);
        }
        let (connections, clock) = (&mut self.engine.connections, &mut self.clock);
        let before = predecessor.program.clone();
        self.link = predecessor.take_over(connections, clock, self.poll.registry())?;
        info!(
            "{} connections were taken over from fanfare/{before}",
            connections.len()
        );
        Ok(())
    }

    /// Takes what the daemon before has left in the file of `--state`.
    pub(super) fn load_state(&mut self) -> Result<(), String> {
        let service = &mut self.engine.connections.service;
        match service.config.state.clone() {
            Some(path) => state::load(&path, service, &mut self.clock),
            None => Ok(()),
        }
    }

    /// Leaves what there is in the file of `--state`, if no other process has it.
    pub(super) fn save_state(&self) {
        let service = &self.engine.connections.service;
        if let Some(path) = &service.config.state
            && !service.has_successor
        {
            state::save(path, service, self.clock.now());
        }
    }

    /// Starts the program that is on disk now, which is to go on with everything.
    pub(super) fn begin_handover(&mut self) {
        if self.handover.is_some() {
            return warn!("SIGUSR2: the daemon restarts already");
        }
        if self.engine.shutdown.is_some() {
            return self.tell_failure("the daemon ends or drains already");
        }
        info!("restarting: {} is started", self.program.path().display());
        match self.try_begin_handover() {
            Ok(handover) => self.handover = Some(handover),
            Err(why) => self.tell_failure(&why),
        }
    }

    fn try_begin_handover(&mut self) -> Result<Handover, String> {
        let failed = |error: std::io::Error| format!("the next process cannot be watched: {error}");
        if first_process::is_this() && self.supervisor.is_none() {
            let (supervisor, link) = Supervisor::new().map_err(failed)?;
            self.supervisor = Some(supervisor);
            self.link = Some(link);
        }
        let config = &self.engine.connections.service.config;
        let doors = Door::all(config);
        let listeners = self.accepting.listeners.iter().filter_map(|listener| {
            let address = doors.get(listener.door)?.address.clone();
            let (socket, file) = listener.handed();
            Some(HandedListener {
                given_as: self.given.name_at(&address).map(str::to_owned),
                address,
                file,
                socket,
            })
        });
        let listeners: Vec<_> = listeners.collect();
        let link: Option<&OwnedFd> = self.link.as_ref();
        let handover = Handover::begin(&self.program, &listeners, &doors, link)?;
        match handover.register(self.poll.registry(), HANDOVER) {
            Ok(()) => Ok(handover),
            Err(error) => {
                handover.abandon();
                Err(failed(error))
            }
        }
    }

    /// Does what a restart under way needs in this turn.
    pub(super) fn step_handover(&mut self) {
        let Some(handover) = &mut self.handover else {
            return;
        };
        let service = &self.engine.connections.service;
        self.hands_over_on = false;
        match handover.step(&service.hub, service.now) {
            Step::Wait => {}
            Step::GoOn => self.hands_over_on = true,
            // A newcomer has no seat yet, and would be lost. Those after it wait in the kernel, for whoever accepts them.
            Step::StandStill if self.accepting.rest() => self.hands_over_on = true,
            // What an administrator asked for is done here, and answered.
            Step::StandStill if !service.errands.is_empty() => self.hands_over_on = true,
            Step::StandStill => self.hand_over(),
            Step::Fail(why) => self.give_handover_up(&why),
        }
    }

    fn hand_over(&mut self) {
        let Some(handover) = &mut self.handover else {
            return;
        };
        let began = Instant::now();
        let connections = &self.engine.connections;
        match handover.hand_over(connections, self.clock.now()) {
            Ok(()) => self.let_go(began.elapsed()),
            Err(why) => self.give_handover_up(&why),
        }
    }

    /// Ends the next process, and goes on.
    pub(super) fn give_handover_up(&mut self, why: &str) {
        if let Some(handover) = self.handover.take() {
            handover.abandon();
        }
        self.hands_over_on = false;
        self.accepting.rests = false;
        if let Some(link) = &self.link
            && !first_process::is_this()
        {
            // The next process may have said that it serves.
            tell_first_process(link);
        }
        self.tell_failure(why);
    }

    fn tell_failure(&self, why: &str) {
        warn!("the restart failed, and this process goes on with everybody: {why}");
        self.report(false, why);
    }

    /// Tells whoever has asked for the restart.
    fn report(&self, is_done: bool, what: &str) {
        report(std::process::id(), is_done, what);
        if self.link.is_some() && !first_process::is_this() {
            // It was asked, and has passed it on.
            report(1, is_done, what);
        }
    }

    /// The next process serves. What it has is let go of without a word, and those are sent there who could not be handed over.
    fn let_go(&mut self, stood_still: Duration) {
        let Some(handover) = self.handover.take() else {
            return;
        };
        let pid = handover.pid();
        let registry = self.poll.registry();
        for listener in self.accepting.listeners.drain(..) {
            listener.leave(registry);
        }
        let before = self.engine.connections.len();
        self.engine.connections.let_go(handover.handed(), registry);
        let left = self.engine.connections.len();
        let what = format!(
            "process {pid} goes on with {} connections after {:.1} ms; {left} others, mostly encrypted, have to come back",
            before - left,
            stood_still.as_secs_f64() * 1_000.0,
        );
        info!("restarted: {what}");
        self.manager.say_main_process(pid, &what);
        self.report(true, &what);
        if let Some(supervisor) = &mut self.supervisor {
            supervisor.begin(pid);
        }
        self.engine.connections.service.has_successor = true;
        self.engine.end(Farewell::Restart);
    }

    /// A signal that came after another process has taken over: `true`, it was for that one.
    pub(super) fn pass_on(&mut self, signal: i32) -> bool {
        let has_successor = self.engine.connections.service.has_successor;
        let Some(supervisor) = self.supervisor.as_mut().filter(|_| has_successor) else {
            return false;
        };
        supervisor.pass_on(signal);
        true
    }

    /// As the first process of a container: stays until the process that serves has ended, and ends as that did.
    pub(super) fn supervise(self) {
        let Server {
            mut poll,
            mut signals,
            supervisor,
            engine,
            accepting,
            link,
            ..
        } = self;
        let has_successor = engine.connections.service.has_successor;
        // There is one as well where a restart has failed.
        let Some(mut supervisor) = supervisor.filter(|_| has_successor) else {
            return;
        };
        // The link ends with the last process that serves, so this one has no part of it.
        drop((engine, accepting, link));
        let mut events = Events::with_capacity(16);
        loop {
            if let Some(code) = supervisor.look() {
                std::process::exit(code);
            }
            // What interrupts it is a signal.
            let _ = poll
                .poll(&mut events, Some(Duration::from_secs(60)))
                .is_ok();
            for signal in signals.pending() {
                if signal != signal_hook::consts::SIGCHLD {
                    supervisor.pass_on(signal);
                }
            }
        }
    }
}
