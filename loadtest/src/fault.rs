//! The two ways for a run to end that are nobody's mistake: the server does not keep up, or somebody has had enough.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// The server does not keep up with the load, or has turned somebody away because of it; or the load client does not.
#[derive(Debug)]
pub(crate) struct Overloaded {
    what: String,
    ours: bool,
}

impl Overloaded {
    /// What shows it.
    pub(crate) fn because(what: String) -> anyhow::Error {
        Self { what, ours: false }.into()
    }

    /// What shows that the load client is the one.
    pub(crate) fn ours(what: String) -> anyhow::Error {
        Self { what, ours: true }.into()
    }

    /// Whether this is why something failed: `Some`, with whether it was the load client.
    pub(crate) fn cause(error: &anyhow::Error) -> Option<bool> {
        let overloaded = |cause: &(dyn std::error::Error + 'static)| {
            cause
                .downcast_ref::<Self>()
                .map(|overloaded| overloaded.ours)
        };
        error.chain().find_map(overloaded)
    }
}

impl fmt::Display for Overloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Overloaded {}

/// Set by the first signal that asks this process to end.
static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From now on SIGINT, SIGTERM and SIGHUP end a run at its next turn, so that the server that it started ends too.
///
/// # Errors
/// The system refuses a handler.
pub(crate) fn listen_for_interruption() -> Result<()> {
    let flag = INTERRUPTED.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(flag)).context("can't handle signals")?;
    }
    Ok(())
}

/// Whether this process has been asked to end.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED
        .get()
        .is_some_and(|flag| flag.load(Ordering::Relaxed))
}

/// Fails once this process has been asked to end.
///
/// # Errors
/// It has.
#[inline]
pub(crate) fn check_interruption() -> Result<()> {
    if interrupted() {
        anyhow::bail!("interrupted")
    }
    Ok(())
}
