//! Flags, environment and file put together, each over the one below it.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use super::args::ServeArgs;
use super::file::{self, Block, Entry, File};
use super::settings::{self, Set};
use super::{ChannelRule, Config, NO_LIMIT};

/// Why the daemon can't start with what it was told: every mistake that was found, each with where
/// it stands, what is wrong and what is allowed.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigError {
    pub(super) problems: Vec<String>,
}

impl ConfigError {
    /// The mistakes, one sentence each; never none.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }
}

impl fmt::Display for ConfigError {
    /// One line for each mistake.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problems.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

crate::words::in_words!(ConfigError);

/// Where variables are looked up, so that a test need not change its process's own.
pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

impl ServeArgs {
    /// Puts flags, environment and file together and checks them. Reads the file and looks up the
    /// names in `listen`: it may block, and belongs before the daemon's loop.
    ///
    /// # Errors
    /// Everything that is wrong in any of the sources, also where a stronger one would win.
    pub fn load(self) -> Result<Config, ConfigError> {
        self.load_from(&|name| std::env::var_os(name))
    }

    /// [`ServeArgs::load`] with an environment of the caller's.
    pub(super) fn load_from(self, environment: Environment) -> Result<Config, ConfigError> {
        let mut draft = Draft::default();
        let from_environment = draft.read_environment(environment);
        let named = self
            .file
            .or_else(|| variable(environment, "FANFARE_CONFIG").map(Into::into));
        let file = named.map(|path| draft.read_file(&path)).unwrap_or_default();

        draft.apply(file.entries);
        draft.apply(from_environment);
        draft.apply(self.entries);
        draft.check_retention();
        for block in file.blocks {
            draft.add_rule(block);
        }
        if draft.problems.is_empty() {
            Ok(draft.config)
        } else {
            Err(ConfigError {
                problems: draft.problems,
            })
        }
    }
}

/// The variables that begin with `FANFARE_` and that nothing here reads: most likely a slip of the
/// pen, which is worth a warning. It is no error, since others may name variables as they like.
pub fn unknown_variables() -> Vec<String> {
    unknown_among(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()))
}

fn unknown_among(names: impl Iterator<Item = String>) -> Vec<String> {
    // Those of the client, and those that Kubernetes makes for a service called "fanfare".
    const OTHERS: [&str; 4] = [
        "FANFARE_URL",
        "FANFARE_TOKEN",
        "FANFARE_PORT",
        "FANFARE_SERVICE_",
    ];
    let mut unknown: Vec<String> = names
        .filter(|name| name.starts_with("FANFARE_") && name != "FANFARE_CONFIG")
        .filter(|name| !OTHERS.iter().any(|other| name.starts_with(other)))
        .filter(|name| settings::all().all(|setting| setting.variable() != *name))
        .collect();
    unknown.sort();
    unknown
}

/// A variable's value; an empty one counts as none, since a compose file or a unit file can't always
/// leave a variable out.
fn variable(environment: Environment, name: &str) -> Option<OsString> {
    environment(name).filter(|value| !value.is_empty())
}

/// A configuration that is being put together.
#[derive(Default)]
struct Draft {
    config: Config,
    /// Where `retain_bytes` was last set, for a message about it.
    retain_bytes_origin: String,
    /// The `match` of each rule in `config`, with its place.
    rule_origins: Vec<String>,
    problems: Vec<String>,
}

impl Draft {
    fn read_environment(&mut self, environment: Environment) -> Vec<Entry> {
        let mut entries = Vec::new();
        for setting in settings::all() {
            let origin = setting.variable();
            let Some(value) = variable(environment, &origin) else {
                continue;
            };
            match value.into_string() {
                Ok(text) => {
                    let values = match setting.set {
                        Set::Addresses => text.split(',').map(|a| a.trim().to_owned()).collect(),
                        _ => vec![text],
                    };
                    entries.push(Entry {
                        setting,
                        values,
                        origin,
                    });
                }
                Err(bytes) => self
                    .problems
                    .push(format!("{origin}: {bytes:?} is not UTF-8")),
            }
        }
        entries
    }

    fn read_file(&mut self, path: &Path) -> File {
        let name = path.display().to_string();
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.problems
                    .push(format!("{name}: the file can't be read: {error}"));
                return File::default();
            }
        };
        let text = match std::str::from_utf8(&bytes) {
            Ok(text) => text,
            Err(error) => {
                let good = &bytes[..error.valid_up_to()];
                let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
                self.problems
                    .push(format!("{name}:{line}: the file is not UTF-8 text"));
                return File::default();
            }
        };
        let (file, problems) = file::read(&name, text);
        self.problems.extend(problems);
        file
    }

    fn apply(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            if let Err(why) = entry.setting.apply(&mut self.config, &entry.values) {
                self.problems.push(format!("{}: {why}", entry.origin));
            }
            if entry.setting.key == "retain_bytes" {
                self.retain_bytes_origin = entry.origin;
            }
        }
    }

    /// Something has to bound what is held in memory: each channel's window, or all of them.
    fn check_retention(&mut self) {
        if self.config.policy.retain_bytes == 0 && self.config.retain_total == NO_LIMIT {
            self.problems
                .push(format!("{}: {UNBOUNDED}", self.retain_bytes_origin));
        }
    }

    fn add_rule(&mut self, block: Block) {
        let mut policy = self.config.policy;
        for entry in &block.entries {
            if let Err(why) = entry.setting.apply_to_policy(&mut policy, &entry.values) {
                self.problems.push(format!("{}: {why}", entry.origin));
            }
            let is_unbounded = policy.retain_bytes == 0 && self.config.retain_total == NO_LIMIT;
            if entry.setting.key == "retain_bytes" && is_unbounded {
                self.problems.push(format!("{}: {UNBOUNDED}", entry.origin));
            }
        }
        let pattern = block.pattern;
        let earlier = self
            .config
            .channels
            .iter()
            .position(|rule| rule.pattern.covers(&pattern));
        if let Some(earlier) = earlier {
            let (rule, origin) = (&self.config.channels[earlier], &self.rule_origins[earlier]);
            self.problems.push(format!(
                "{}: \"{pattern}\" is never reached, since \"{}\" before it matches the same \
                 channels ({origin}): the narrower pattern has to stand first",
                block.origin, rule.pattern
            ));
        }
        self.config.channels.push(ChannelRule { pattern, policy });
        self.rule_origins.push(block.origin);
    }
}

const UNBOUNDED: &str = "0 means no limit, and retain_total is 0 too, so that nothing would bound \
                         what is held in memory: set one of the two";
