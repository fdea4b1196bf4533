//! The signals that ask a command to end: it ends in order, and then as one whom the signal has killed, which is what
//! shells look at.

use std::process::ExitCode;
use std::time::Duration;
use std::{io, thread};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

/// How long after a signal the process lasts at most, whatever blocks it.
const LAST: Duration = Duration::from_secs(5);

/// Tells of the first signal that asks the command to end, on a thread of its own. At a second one, or after [`LAST`], the process
/// ends at once.
///
/// A signal that was ignored when the command began stays ignored: `nohup` does that, and shells do it for what runs in the
/// background.
pub(super) fn watch(tell: impl FnOnce(i32) + Send + 'static) -> io::Result<()> {
    let ignored = ignored();
    let heeded = [SIGHUP, SIGINT, SIGTERM]
        .into_iter()
        .filter(|signal| ignored & (1 << (signal - 1)) == 0);
    let mut signals = Signals::new(heeded)?;
    let wait = move || {
        let mut signals = signals.forever();
        let Some(first) = signals.next() else {
            return;
        };
        let end = move || {
            thread::sleep(LAST);
            end_by(first)
        };
        // Without this thread a second signal is all there is.
        let _ = thread::Builder::new().spawn(end);
        tell(first);
        if let Some(second) = signals.next() {
            end_by(second);
        }
    };
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
