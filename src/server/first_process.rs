//! What the daemon owes to other processes where it is the first one of a container.
//!
//! The kernel gives the first process all those whose parents have ended, such as what a health check or `docker exec` leaves behind. When
//! they end, they stay as zombies until it has asked how they ended. Signals do nothing to it that it has no handler for: the loop has one for
//! each signal that it knows.

use rustix::process::{WaitOptions, getpid, wait};

/// Whether this process is the first one.
pub(super) fn is_this() -> bool {
    getpid().is_init()
}

/// Lets all go that have ended. The daemon has no children of its own, so nobody else wants to know how they ended.
pub(super) fn let_go_of_the_dead() {
    while matches!(wait(WaitOptions::NOHANG), Ok(Some(_))) {}
}
