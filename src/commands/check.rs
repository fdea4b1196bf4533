//! `fanfare check`: whether the daemon could start with a configuration.

use std::io::{self, Write};

use clap::Args;
use fanfare::config::{ServeArgs, unknown_variables};

use super::Exit;
use crate::logging;
use crate::streams::{Blocking, say};

/// Say whether the daemon could start with these options, and all that is wrong with them.
///
/// It reads the configuration, certificates, keys and passwords as the daemon does, and the environment too. It listens nowhere.
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    serve: ServeArgs,
}

/// What the help says below the options.
const AFTER_HELP: &str = "\
Example:
    fanfare check --config /etc/fanfare.toml && systemctl reload fanfare

Exit codes: 0 the daemon could start, 1 something is wrong, 2 a flag is unknown.";

impl CheckArgs {
    /// Does it.
    pub(crate) fn run(self) -> Exit {
        match self.try_run() {
            Ok(()) => Exit::Done,
            Err(problems) => {
                for problem in problems {
                    say(&problem);
                }
                Exit::Refused
            }
        }
    }

    fn try_run(self) -> Result<(), Vec<String>> {
        logging::say_warnings();
        let config = self.serve.load();
        let config = config.map_err(|error| error.problems().to_vec())?;
        let found = fanfare::server::check(&config)?;
        for name in unknown_variables() {
            say(&format_args!(
                "{name} is set, but fanfare has no such option"
            ));
        }
        for warning in found.warnings {
            say(&warning);
        }
        let mut stdout = Blocking(io::stdout());
        let line = format!("in order: {}\n", found.summary);
        let written = stdout.write_all(line.as_bytes());
        let written = written.and_then(|()| stdout.flush());
        written.map_err(|error| vec![format!("the answer can't be written: {error}")])
    }
}
