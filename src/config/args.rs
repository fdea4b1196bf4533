//! What `fanfare serve` takes on its command line.
//!
//! The flags are made from the table of settings, not written out a second time. clap only splits
//! the command line and shows the help: values are read where those of the other sources are.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, ValueHint};

use super::file::{Entry, Origin};
use super::names::Names;
use super::settings::{self, Group, Set, Setting};

/// The flags of `fanfare serve`, not yet checked; [`ServeArgs::load`] makes a
/// [`Config`](super::Config) of them.
///
/// ```
/// use clap::Parser;
///
/// #[derive(Parser)]
/// struct Cli {
///     #[command(flatten)]
///     serve: fanfare::config::ServeArgs,
/// }
///
/// let cli = Cli::parse_from(["fanfare", "--listen", "127.0.0.1:0", "--retain-bytes", "2MiB"]);
/// let config = cli.serve.load().expect("these are good values");
/// assert_eq!(config.policy.retain_bytes, fanfare::limit::Limit::of(2 << 20));
/// ```
#[derive(Clone, Default)]
pub struct ServeArgs {
    /// The file of `--config`.
    pub(super) file: Option<PathBuf>,
    /// What flags set.
    pub(super) entries: Vec<Entry>,
    /// What the names in addresses stand for. A clone shares it.
    pub(super) names: Names,
}

/// What the help says below the options.
const AFTER_HELP: &str = "\
SIZE is a number of bytes, alone or with B, kB, MB, GB (thousands), KiB, MiB, GiB (1024s).
TIME is a number of seconds, or a number with ms, s, m or h. RATE is a number or a SIZE in a second
(100/s), a minute (100/m) or an hour (100/h).

Each option can also be set in the environment and in the file: --retain-bytes 1MiB is
FANFARE_RETAIN_BYTES=1MiB in the environment (commas separate several values) and
retain_bytes = \"1MiB\" in the file. A flag wins over the environment, the environment over the
file, and the file over the default.

In the file, blocks set --retain-bytes, --retain-messages, --retain-seconds and --on-lag
for channels by name. The first block that matches a channel holds, even over a flag:

    [[channel]]
    match = \"prices.*\"     # `*` is any one part, `>` as the last part is one or more
    retain_messages = 1
    on_lag = \"latest\"

Other blocks say who may do what. As soon as there is one, or a way to say who one is, what is not
allowed is denied:

    [[allow]]
    who = \"anonymous\"      # or authenticated, subject:NAME, listener:ADDR, ...
    subscribe = [\"news.>\"]

SIGTERM and SIGINT end the daemon gracefully, and a second one ends it at once. SIGUSR1 logs a
summary. SIGHUP reads the configuration again, with the files that it names. What can change while
everybody stays connected holds at once: rules, keys, certificates, passwords, origins, hosts,
rates, retention, times, nearly all limits and what to log. SIGUSR2 starts the program on disk in
the daemon's place, and unencrypted connections stay: see fanfare restart --help.";

impl ServeArgs {
    /// No flags but `--config`, if there is a file.
    pub fn of_file(file: Option<PathBuf>) -> ServeArgs {
        ServeArgs {
            file,
            ..ServeArgs::default()
        }
    }
}

impl Args for ServeArgs {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .value_hint(ValueHint::FilePath)
            .help("Read options from this TOML file [default: none]")
            .help_heading("Configuration");
        let command = command.arg(config).after_help(AFTER_HELP);
        settings::GROUPS.iter().fold(command, |command, group| {
            command.args(
                group
                    .settings
                    .iter()
                    .map(|setting| argument(group, setting)),
            )
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        ServeArgs::augment_args(command)
    }
}

fn argument(group: &Group, setting: &Setting) -> Arg {
    let argument = Arg::new(setting.key)
        .long(setting.flag())
        .value_name(setting.value)
        .help(format!("{} [default: {}]", setting.help, setting.default))
        .help_heading(group.heading)
        // Else "-1" would be an unknown flag, which is a worse answer than what is allowed.
        .allow_negative_numbers(true);
    match setting.set {
        Set::List(_) | Set::Addresses(_) => argument.action(ArgAction::Append),
        Set::Flag(_) => argument
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("on"),
        Set::Policy(_) | Set::Daemon(_) | Set::Named(_) | Set::Mode(_) => argument,
    }
}

impl FromArgMatches for ServeArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<ServeArgs, clap::Error> {
        let entries = settings::all().filter_map(|setting| {
            let values: Vec<String> = matches.get_many(setting.key)?.cloned().collect();
            let origin = Origin::flag(format!("--{}", setting.flag()));
            Some(Entry::new(setting, values, origin))
        });
        Ok(ServeArgs {
            file: matches.get_one("config").cloned(),
            entries: entries.collect(),
            names: Names::default(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = ServeArgs::from_arg_matches(matches)?;
        Ok(())
    }
}
