//! The commands that talk to a daemon: `sub` and `pub`.

mod publish;
mod sub;
mod target;

use std::process::ExitCode;

pub(crate) use publish::PubArgs;
pub(crate) use sub::SubArgs;

/// How a command ended, as scripts see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All was done.
    Done,
    /// Something was refused, or its fate is unknown.
    Refused,
    /// The command line makes no sense.
    Usage,
    /// There was no connection to be had.
    NotConnected,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Refused => 1,
            Exit::Usage => 2,
            Exit::NotConnected => 3,
        })
    }
}

/// What the help of each command says about its exit code.
const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 something was refused or its fate is unknown, 2 usage, 3 could not connect.";
