//! What the daemon owes to other processes where it is the first one of a container.
//!
//! The kernel gives the first process all those whose parents have ended, such as what a health check or `docker exec` leaves behind. When
//! they end, they stay as zombies until it has asked how they ended. Signals do nothing to it that it has no handler for: the loop has one for
//! each signal that it knows.
//!
//! The container ends with it. So after a restart it stays, does nothing but pass signals on, and ends when the process does that serves then: [`Supervisor`].

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use log::warn;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, wait};

/// Whether this process is the first one.
pub(super) fn is_this() -> bool {
    getpid().is_init()
}

/// Lets all go that have ended. The daemon has no children of its own, so nobody else wants to know how they ended.
pub(super) fn let_go_of_the_dead() {
    while matches!(wait(WaitOptions::NOHANG), Ok(Some(_))) {}
}

/// How long a process that has everything may take to say that it serves, once the one before it has ended.
const WORD: Duration = Duration::from_secs(10);

/// Watches over the process that serves. Each process that takes over says so by a link that goes from one to the next.
#[derive(Debug)]
pub(super) struct Supervisor {
    link: UnixStream,
    serving: Option<Pid>,
}

impl Supervisor {
    /// It watches over nobody yet. The link is for the processes that serve.
    pub(super) fn new() -> io::Result<(Supervisor, OwnedFd)> {
        let (link, other) = UnixStream::pair()?;
        link.set_nonblocking(true)?;
        let supervisor = Supervisor {
            link,
            serving: None,
        };
        Ok((supervisor, other.into()))
    }

    /// Watches over this process from now on.
    pub(super) fn begin(&mut self, pid: u32) {
        self.serving = pid_of(pid);
    }

    /// Looks who serves, and lets all go that have ended. The code with which the one that served has ended, if it has.
    pub(super) fn look(&mut self) -> Option<i32> {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if self.is_the_last(pid) {
                return Some(code_of(status));
            }
        }
        None
    }

    /// Whether a process that has ended was the one that serves, and no other has all that it had. One that takes over says so, mostly before the one before
    /// it ends; but that one may be killed after it gave all away. A process that has the link may still say so, and none has it if that was the last.
    fn is_the_last(&mut self, pid: Pid) -> bool {
        self.follow();
        if Some(pid) != self.serving {
            return false;
        }
        let waits = self.link.set_nonblocking(false);
        let waits = waits.and_then(|()| self.link.set_read_timeout(Some(WORD)));
        let has_heard = waits.is_ok() && self.hear();
        // Without it a later look would wait.
        let _ = self.link.set_nonblocking(true).is_ok();
        !has_heard
    }

    /// Looks who serves.
    fn follow(&mut self) {
        while self.hear() {}
    }

    /// Whether a process has said that it serves. It is watched over from now on.
    fn hear(&mut self) -> bool {
        let mut bytes = [0; 4];
        let said = io::Read::read_exact(&mut self.link, &mut bytes);
        if said.is_ok() {
            self.begin(u32::from_le_bytes(bytes));
        }
        said.is_ok()
    }

    /// Passes a signal on to the process that serves.
    pub(super) fn pass_on(&mut self, signal: i32) {
        self.follow();
        let signal = Signal::from_named_raw(signal);
        if let (Some(pid), Some(signal)) = (self.serving, signal)
            && let Err(error) = kill_process(pid, signal)
        {
            warn!("process {pid:?} did not get a signal: {error}");
        }
    }
}

fn pid_of(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}

/// The code as a shell says it.
fn code_of(status: WaitStatus) -> i32 {
    let signal = status.terminating_signal().map(|signal| 128 + signal);
    status.exit_status().or(signal).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_process_that_has_handed_over_is_not_the_end() {
        let (mut supervisor, link) = Supervisor::new().expect("a pair of sockets");
        let (first, second) = (pid_of(41).expect("a pid"), pid_of(42).expect("a pid"));
        supervisor.begin(41);
        let mut link = UnixStream::from(link);
        // It says so before the first one ends, and the supervisor has not looked since.
        io::Write::write_all(&mut link, &42_u32.to_le_bytes()).expect("it is open");
        assert!(!supervisor.is_the_last(first));
        // The second one is killed when a third has everything, which says so a moment later.
        let third = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            io::Write::write_all(&mut link, &43_u32.to_le_bytes()).expect("it is open");
        });
        assert!(!supervisor.is_the_last(second));
        third.join().expect("it said so");
        // Nobody has the link any more.
        assert!(supervisor.is_the_last(pid_of(43).expect("a pid")));
    }
}
