//! Asking a daemon to restart, and what became of that: whoever asks waits for a datagram under a name that the daemon knows.

use std::fs;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// How long whoever asks waits: longer than a restart may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often it is looked whether the process is still there.
const LOOK: Duration = Duration::from_millis(100);

/// Where somebody waits that has asked the process `pid` to restart: a name that is no file's.
fn address(pid: u32) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(format!("fanfare-restart-{pid}"))
}

/// Tells what became of a restart that the process `pid` was asked for. Where nobody waits, nothing is said.
pub(in crate::server) fn report(pid: u32, is_done: bool, what: &str) {
    let say = || {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        let state = if is_done { "done" } else { "failed" };
        let text = format!("{state} {what}");
        socket.send_to_addr(text.as_bytes(), &address(pid)?)
    };
    // Mostly it was a signal by hand.
    let _ = say().is_ok();
}

/// Asks the daemon with the process number `pid` to restart, and waits for up to two minutes for what becomes of it: a sentence.
///
/// # Errors
/// A sentence: it is no daemon that restarts, or the restart failed, or nothing is known of it.
pub fn request_restart(pid: u32) -> Result<String, String> {
    let process = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let process = process.ok_or_else(|| format!("{pid} is no process number"))?;
    check(pid)?;
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => format!("somebody else waits for process {pid} to restart"),
        _ => format!("the outcome cannot be waited for: {error}"),
    };
    let socket = address(pid).and_then(|address| UnixDatagram::bind_addr(&address));
    let socket = socket.map_err(failed)?;
    socket.set_read_timeout(Some(LOOK)).map_err(failed)?;
    kill_process(process, Signal::USR2)
        .map_err(|error| format!("process {pid} cannot be told to restart: {error}"))?;
    let until = Instant::now() + PATIENCE;
    let mut is_gone = false;
    while Instant::now() < until {
        let mut bytes = [0; 4096];
        if let Ok(len) = socket.recv(&mut bytes) {
            let text = String::from_utf8_lossy(&bytes[..len]);
            let shown = |text| crate::words::on_one_line(text, 4096).to_string();
            return match text.split_once(' ') {
                Some(("done", what)) => Ok(shown(what)),
                Some((_, why)) => {
                    let why = shown(why);
                    Err(format!("process {pid} goes on with everybody: {why}"))
                }
                None => Err("the daemon said nothing that makes sense".to_owned()),
            };
        }
        // What it said last may come after its end was seen.
        if is_gone {
            return Err(format!(
                "process {pid} has ended, and said nothing: look at its log"
            ));
        }
        is_gone = test_kill_process(process).is_err();
    }
    Err(format!(
        "process {pid} has not said what became of it: look at its log"
    ))
}

/// Whether a process is a daemon that restarts when it is told so.
///
/// # Errors
/// A sentence that says why not.
fn check(pid: u32) -> Result<(), String> {
    let about = |what: &str| fs::read_to_string(format!("/proc/{pid}/{what}"));
    let name = about("comm").map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => format!("there is no process {pid}"),
        _ => format!("process {pid} cannot be looked at: {error}"),
    })?;
    let name = name.trim();
    if name != "fanfare" {
        let name = crate::words::on_one_line(name, 64);
        return Err(format!(
            "process {pid} is no fanfare but {name}: nothing was done"
        ));
    }
    let status = about("status").unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let bit = 1 << (Signal::USR2.as_raw() - 1);
    match caught {
        // A signal that is not heeded would end it.
        Some(caught) if caught & bit == 0 => Err(format!(
            "process {pid} is no daemon that can restart: it heeds no SIGUSR2, and nothing was done"
        )),
        _ => Ok(()),
    }
}
