//! What numbers publications and carries them between machines.
//!
//! Without a broker the hub numbers them at once. A broker takes a publication, gives it a number of its own, and
//! answers later: see [`Service`](super::service::Service).

#[cfg(test)]
use super::late_broker::LateBroker;

/// The broker in use.
#[derive(Debug, Default)]
pub(super) enum Broker {
    /// There is none: this machine is alone.
    #[default]
    None,
    /// For tests: one that answers when it is told to.
    #[cfg(test)]
    Late(LateBroker),
}
