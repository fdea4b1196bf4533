//! `fanfare config`: what holds, and who says so.

use clap::Args;
use fanfare::config::ServeArgs;

use super::{Exit, print, refuse};

/// Print the options that hold, each with where it comes from: the default, the file and its line, a variable, or a flag.
///
/// What is printed is a configuration file that says the same. Files are named and not read.
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ConfigArgs {
    /// Print it as JSON, for scripts
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    serve: ServeArgs,
}

/// What the help says below the options.
const AFTER_HELP: &str = "\
Examples:
    fanfare config --config /etc/fanfare.toml
    fanfare config --config /etc/fanfare.toml --json | jq .settings.retain_total

Exit codes: 0 it was printed, 1 something is wrong with the configuration, 2 a flag is unknown.";

impl ConfigArgs {
    /// Does it.
    pub(crate) fn run(self) -> Exit {
        let effective = match self.serve.load_effective() {
            Ok((_, effective)) => effective,
            Err(error) => return refuse(error.problems()),
        };
        let text = match self.json {
            true => format!("{:#}\n", effective.to_json()),
            false => effective.to_toml(),
        };
        print(text.as_bytes())
    }
}
