//! `fanfare restart`: another process goes on with everything that a daemon has.

use clap::Args;

use super::{Exit, print, refuse};

/// Have a running daemon start what is on disk now in its place, and print what became of it.
///
/// It is what SIGUSR2 does: listeners, channels and unencrypted connections go over to the new process, and clients over TLS come back by themselves. If that fails, the daemon goes on as if nothing had
/// happened.
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct RestartArgs {
    /// The daemon's process number
    #[arg(long, value_name = "N")]
    pid: u32,
}

/// What the help says below the options.
const AFTER_HELP: &str = "\
Example:
    fanfare check --config /etc/fanfare.toml && fanfare restart --pid \"$(pidof -s fanfare)\"

Exit codes: 0 the new process serves, 1 it does not, 2 a flag is unknown.";

impl RestartArgs {
    /// Does it.
    pub(crate) fn run(self) -> Exit {
        match fanfare::server::request_restart(self.pid) {
            Ok(what) => print(format!("restarted: {what}\n").as_bytes()),
            Err(why) => refuse(&[why]),
        }
    }
}
