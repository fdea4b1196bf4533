//! The commands beside `serve`: `sub` and `pub` talk to a daemon, `token` makes what lets them in, `allow` says what
//! they may do, `top` shows what a daemon does, `check` and `config` say what a configuration comes to, `completions` and `man` say what the command line
//! takes.

mod allow;
mod check;
mod completions;
mod config;
mod man;
mod publish;
mod restart;
mod signals;
mod sub;
mod target;
mod token;
mod top;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use crate::streams::{Blocking, say};

pub(crate) use allow::AllowArgs;
pub(crate) use check::CheckArgs;
pub(crate) use completions::CompletionsArgs;
pub(crate) use config::ConfigArgs;
pub(crate) use man::ManArgs;
pub(crate) use publish::PubArgs;
pub(crate) use restart::RestartArgs;
pub(crate) use sub::SubArgs;
pub(crate) use token::TokenArgs;
pub(crate) use top::TopArgs;

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
    /// This signal asked it to end.
    Signal(i32),
}

impl Exit {
    /// What `main` returns. After a signal the process ends in here.
    pub(crate) fn code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Done => 0,
            Self::Refused => 1,
            Self::Usage => 2,
            Self::NotConnected => 3,
            Self::Signal(signal) => return signals::end_by(signal),
        })
    }
}

/// What the help of each command says about its exit code.
const EXIT_CODES: &str = "\
Exit codes: 0 all was done, 1 something was refused or its fate is unknown, 2 the command line makes no sense, 3 there was no \
connection. On SIGHUP, SIGINT or SIGTERM the command ends in order, and then by that signal: 129, 130 or 143 in a shell.";

/// How long the server may take to answer the goodbye.
const GRACE: Duration = Duration::from_secs(1);

/// Writes all of it to stdout.
fn write_out(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = Blocking(io::stdout());
    stdout.write_all(bytes)?;
    stdout.flush()
}

/// Says what is wrong, one problem a line.
fn refuse(problems: &[String]) -> Exit {
    for problem in problems {
        say(problem);
    }
    Exit::Refused
}

/// Prints what a command is asked for.
fn print(bytes: &[u8]) -> Exit {
    match write_out(bytes) {
        Ok(()) => Exit::Done,
        Err(error) => {
            say(&format_args!("it can't be printed: {error}"));
            Exit::Refused
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory as _};

    /// The command line.
    pub(super) fn command() -> Command {
        crate::Cli::command()
    }

    /// All commands, each with its flags, without the dashes.
    pub(super) fn commands_and_flags() -> Vec<(String, Vec<String>)> {
        let command = command();
        let commands = command.get_subcommands().map(|command| {
            let flags = command.get_arguments().filter_map(|flag| flag.get_long());
            let flags = flags.map(str::to_owned).collect();
            (command.get_name().to_owned(), flags)
        });
        commands.collect()
    }

    #[test]
    fn the_command_line_is_one_that_clap_takes() {
        command().debug_assert();
    }
}
