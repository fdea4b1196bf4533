//! The next process goes on with everything: listeners, channels, and the connections with their sockets.
//!
//! The old process starts the new one, which has one end of a socket pair as its standard input. The new one reads its configuration and says that it is ready.
//! Meanwhile, and while what channels hold is copied, the old one goes on as ever. Then it stands still: it sends what has changed since, and all connections. The new one says that
//! all has arrived, is told to go, and says that it goes. Only then does the old one let go. Until it is told to go the new one reads and writes nothing for clients, so
//! whatever happens to it before, the old one goes on as if nothing had been.
//!
//! - [`wire`]: messages between the two.
//! - [`giving`]: the old process's side.
//! - [`taking`]: the new one's.
//! - [`hello`]: what is said first.

mod giving;
mod hello;
mod program;
mod report;
mod taking;
mod wire;

pub(super) use self::giving::{Handover, Step};
pub(super) use self::hello::{Door, HandedListener, Hello};
pub(super) use self::program::Program;
pub(super) use self::report::report;
pub use self::report::request_restart;
pub(super) use self::taking::{Predecessor, tell_first_process};

use std::time::Duration;

/// The variable that says which process is to be taken over from.
pub(super) const VARIABLE: &str = "SUCCEEDS_FANFARE";

/// How long the new process may take to start.
pub(super) const START: Duration = Duration::from_secs(15);

/// How long copying may take while the old process goes on.
const COPY: Duration = Duration::from_secs(60);

/// How long the old process may stand still.
const STANDSTILL: Duration = Duration::from_secs(5);

/// How long the new process waits for the old one: longer than that waits for it.
const PATIENCE: Duration = Duration::from_secs(120);
