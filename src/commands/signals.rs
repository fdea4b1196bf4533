//! The signals that ask a command to end: it ends in order, and then as one whom the signal has killed, which is what
//! shells look at.

use std::process::ExitCode;
use std::{io, thread};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

/// Tells of each signal that asks the command to end, on a thread of its own.
///
/// A signal that was ignored when the command began stays ignored: `nohup` does that, and shells do it for what runs in the
/// background.
pub(super) fn watch(mut tell: impl FnMut(i32) + Send + 'static) -> io::Result<()> {
    let ignored = ignored();
    let heeded = [SIGHUP, SIGINT, SIGTERM]
        .into_iter()
        .filter(|signal| ignored & (1 << (signal - 1)) == 0);
    let mut signals = Signals::new(heeded)?;
    let wait = move || signals.forever().for_each(&mut tell);
    thread::Builder::new().name("signals".into()).spawn(wait)?;
    Ok(())
}

/// Ends the process as the signal would have.
pub(super) fn end_by(signal: i32) -> ExitCode {
    // It returns only where the system does not know the signal.
    let _ = emulate_default_handler(signal);
    let code = u8::try_from(signal).unwrap_or(u8::MAX);
    ExitCode::from(code.saturating_add(128))
}

/// The signals that this process ignores, bit 0 for signal 1. None where the system does not say.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}
