//! `fanfare check`: whether the daemon could start with a configuration.

use clap::Args;
use fanfare::config::{ServeArgs, unknown_variables};

use super::{Exit, print, refuse};
use crate::logging;
use crate::streams::say;

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
        logging::say_warnings();
        let config = match self.serve.load() {
            Ok(config) => config,
            Err(error) => return refuse(error.problems()),
        };
        let found = match fanfare::server::check(&config) {
            Ok(found) => found,
            Err(problems) => return refuse(&problems),
        };
        for name in unknown_variables() {
            say(&format_args!(
                "{name} is set, but fanfare has no such option"
            ));
        }
        for warning in found.warnings {
            say(&warning);
        }
        print(format!("in order: {}\n", found.summary).as_bytes())
    }
}
