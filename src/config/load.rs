//! Flags, environment and file put together, each over the one below it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use super::allow::Allow;
use super::args::ServeArgs;
use super::effective::{Effective, EffectiveBlock};
use super::file::{self, Block, Entry, File, Origin, Problem};
use super::mistake::Mistake;
use super::names::Names;
use super::settings::{self, Set, Setting};
use super::{ChannelRule, Config, Listen};
use crate::auth::rules::Who;

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
    /// names of addresses: it may block, and belongs before the daemon's loop. A clone that is loaded after it reads the
    /// file anew and looks up no name: where there is another one, that is a mistake.
    ///
    /// # Errors
    /// Everything that is wrong in any of the sources, also where a stronger one would win.
    pub fn load(self) -> Result<Config, ConfigError> {
        self.load_effective().map(|(config, _)| config)
    }

    /// The same, and each value as it was written, with where it comes from.
    ///
    /// # Errors
    /// Those of [`ServeArgs::load`].
    pub fn load_effective(self) -> Result<(Config, Effective), ConfigError> {
        let names = self.names.clone();
        let loaded = self.load_from(&|name| std::env::var_os(name));
        names.complete();
        loaded
    }

    /// [`ServeArgs::load_effective`] with an environment of the caller's.
    pub(super) fn load_from(
        self,
        environment: Environment,
    ) -> Result<(Config, Effective), ConfigError> {
        let mut draft = Draft {
            names: self.names,
            ..Draft::default()
        };
        let from_environment = draft.read_environment(environment);
        let named = self
            .file
            .or_else(|| variable(environment, "FANFARE_CONFIG").map(Into::into));
        let file = named.map(|path| draft.read_file(&path)).unwrap_or_default();

        draft.apply(file.entries);
        draft.apply(from_environment);
        draft.apply(self.entries);
        draft.check_retention();
        draft.config.tls.more = file.certificates;
        draft.check_tls();
        draft.check_admin();
        draft.check_proxies();
        for block in file.blocks {
            draft.add_rule(block);
        }
        for allow in file.allows {
            draft.add_allow(allow);
        }
        draft.finish(file.written)
    }
}

/// The variables that begin with `FANFARE_` and that nothing here reads: most likely a slip of the
/// pen, which is worth a warning. It is no error, since others may name variables as they like.
pub fn unknown_variables() -> Vec<String> {
    unknown_among(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()))
}

fn unknown_among(names: impl Iterator<Item = String>) -> Vec<String> {
    const OF_COMMANDS: [&str; 4] = [
        "FANFARE_CONFIG",
        "FANFARE_URL",
        "FANFARE_TOKEN",
        "FANFARE_PASSWORD",
    ];
    // Kubernetes makes them for a service called "fanfare".
    const OF_KUBERNETES: [&str; 2] = ["FANFARE_PORT", "FANFARE_SERVICE_"];
    let mut unknown: Vec<String> = names
        .filter(|name| name.starts_with("FANFARE_") && !OF_COMMANDS.contains(&name.as_str()))
        .filter(|name| !OF_KUBERNETES.iter().any(|other| name.starts_with(other)))
        .filter(|name| settings::all().all(|setting| setting.variable() != *name))
        .collect();
    unknown.sort();
    unknown
}

/// All variables with what they set. The later one wins.
fn variables() -> impl Iterator<Item = (&'static Setting, String)> {
    // What other programs go by holds here too, unless fanfare's own says otherwise.
    let of_others = settings::all().filter(|setting| setting.key == "log");
    let of_others = of_others.map(|setting| (setting, "RUST_LOG".to_owned()));
    of_others.chain(settings::all().map(|setting| (setting, setting.variable())))
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
    names: Names,
    /// What set each setting last, by its key: it is what holds.
    said: BTreeMap<&'static str, Entry>,
    /// The `match` of each rule in `config`, with its place.
    rule_origins: Vec<Origin>,
    problems: Vec<Problem>,
}

impl Draft {
    fn read_environment(&mut self, environment: Environment) -> Vec<Entry> {
        let mut entries = Vec::new();
        for (setting, name) in variables() {
            let Some(value) = variable(environment, &name) else {
                continue;
            };
            let origin = Origin::variable(name);
            match value.into_string() {
                Ok(text) => {
                    let values = match setting.set {
                        Set::List(_) | Set::Addresses(_) => {
                            text.split(',').map(|a| a.trim().to_owned()).collect()
                        }
                        _ => vec![text],
                    };
                    entries.push(Entry::new(setting, values, origin));
                }
                Err(bytes) => {
                    let why = format!("{bytes:?} is not UTF-8");
                    self.problems.push(origin.problem(&why));
                }
            }
        }
        entries
    }

    fn read_file(&mut self, path: &Path) -> File {
        let name = path.display().to_string();
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                let why = format!("the file can't be read: {error}");
                self.problems.push(Origin::file(name).problem(&why));
                return File::default();
            }
        };
        let text = match std::str::from_utf8(&bytes) {
            Ok(text) => text,
            Err(error) => {
                let good = &bytes[..error.valid_up_to()];
                let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
                let origin = Origin::file(format!("{name}:{line}"));
                let why = "the file is not UTF-8 text";
                self.problems.push(origin.problem(why));
                return File::default();
            }
        };
        let mut file = file::read(&name, text, &self.names);
        self.problems.append(&mut file.problems);
        file
    }

    fn apply(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            let setting = entry.setting;
            let applied = setting.apply(&mut self.config, &entry.values, &self.names);
            if let Err(mistakes) = applied {
                self.note(&entry, &mistakes);
            }
            self.said.insert(entry.setting.key, entry);
        }
    }

    /// Where a setting was set, if it was, for messages about settings that need each other.
    fn origin(&self, key: &str) -> Option<&Origin> {
        self.said.get(key).map(|entry| &entry.origin)
    }

    /// Notes what is wrong with an entry's values, each where it stands.
    fn note(&mut self, entry: &Entry, mistakes: &[Mistake]) {
        for mistake in mistakes {
            let of_value = mistake.nth.and_then(|nth| entry.value_origins.get(nth));
            let origin = of_value.unwrap_or(&entry.origin);
            self.problems.push(origin.problem(&mistake.why));
        }
    }

    /// Something has to bound what is held in memory: each channel's window, or all of them.
    fn check_retention(&mut self) {
        if self.config.policy.retain_bytes.is_none()
            && self.config.retain_total.is_none()
            && let Some(origin) = self.origin("retain_bytes")
        {
            self.problems.push(origin.problem(UNBOUNDED));
        }
    }

    /// What is set for TLS needs each other. An address for it takes the place of the default one without.
    fn check_tls(&mut self) {
        let client_is_set = self.said.contains_key("tls_client");
        for (key, why) in self.config.tls.mistakes(client_is_set) {
            if let Some(entry) = self.said.get(key) {
                self.problems.push(entry.origin.problem(why));
            }
        }
        if !self.config.tls.listen.is_empty() && !self.said.contains_key("listen") {
            self.config.listen.clear();
        }
    }

    /// The address for administration is one of its own. Where nobody asked for it, the daemon does without if it is taken.
    fn check_admin(&mut self) {
        self.config.admin_is_required = self.said.contains_key("admin");
        let Some(admin) = &self.config.admin else {
            return;
        };
        // Each port 0 is another one.
        let is_any = matches!(admin, Listen::Tcp(address) if address.port() == 0);
        let is_taken = !is_any && self.config.listeners().any(|listen| listen == admin);
        match self.origin("admin") {
            Some(origin) if is_taken => {
                let why = format!(
                    "{admin} is where the daemon listens for everybody: give another, or off"
                );
                self.problems.push(origin.problem(&why));
            }
            None if is_taken => self.config.admin = None,
            _ => {}
        }
    }

    /// Which proxies are trusted and how they say who called them has to be known both.
    fn check_proxies(&mut self) {
        let given = (
            self.origin("trusted_proxy"),
            self.origin("trusted_proxy_header"),
        );
        let problem = match given {
            (Some(proxies), None) => proxies.problem(
                "a trusted proxy needs --trusted-proxy-header too: forwarded, x-forwarded-for or proxy, which \
                 has to be what the proxy sends, since anything else comes from the client",
            ),
            (None, Some(header)) => header.problem(
                "it needs --trusted-proxy too: the network of the proxy, since from anybody else the header \
                 is not believed",
            ),
            _ => return,
        };
        self.problems.push(problem);
    }

    fn add_rule(&mut self, block: Block) {
        let mut policy = self.config.policy;
        for entry in &block.entries {
            if let Err(mistakes) = entry.setting.apply_to_policy(&mut policy, &entry.values) {
                self.note(entry, &mistakes);
            }
            let is_unbounded = policy.retain_bytes.is_none() && self.config.retain_total.is_none();
            if entry.setting.key == "retain_bytes" && is_unbounded {
                self.problems.push(entry.origin.problem(UNBOUNDED));
            }
        }
        let Some((pattern, origin)) = block.pattern else {
            return;
        };
        let earlier = self
            .config
            .channels
            .iter()
            .position(|rule| rule.pattern.covers(&pattern));
        if let Some(earlier) = earlier {
            let (rule, earlier) = (&self.config.channels[earlier], &self.rule_origins[earlier]);
            self.problems.push(origin.problem(&format!(
                "\"{pattern}\" is never reached, since \"{}\" before it matches the same \
                 channels ({}): the narrower pattern has to stand first",
                rule.pattern,
                earlier.name()
            )));
        }
        self.config.channels.push(ChannelRule { pattern, policy });
        self.rule_origins.push(origin);
    }

    fn add_allow(&mut self, allow: Allow) {
        if let Who::Listener(address) = &allow.rule.who
            && !self.listens_on(address)
        {
            let all: Vec<String> = self.config.doors().map(Listen::to_string).collect();
            self.problems.push(allow.who_origin.problem(&format!(
                "nothing listens on {address}, so this rule is for nobody: the daemon listens on {}",
                all.join(", ")
            )));
        }
        self.config.rules.rules.push(allow.rule);
    }

    /// Whether the address is one of those that are listened on, or may be: a port of 0 becomes any.
    fn listens_on(&self, address: &Listen) -> bool {
        self.config.doors().any(|listen| match (listen, address) {
            (Listen::Tcp(listen), Listen::Tcp(address)) if listen.port() == 0 => {
                listen.ip() == address.ip()
            }
            _ => listen == address,
        })
    }

    /// The configuration, if nothing is wrong with it, with the blocks that were `written`.
    fn finish(
        mut self,
        written: Vec<(usize, EffectiveBlock)>,
    ) -> Result<(Config, Effective), ConfigError> {
        if self.problems.is_empty() {
            let effective = Effective::of(&self.said, written, &self.config);
            return Ok((self.config, effective));
        }
        self.problems.sort();
        // A list may have the same mistake twice, and not every source says where.
        self.problems.dedup();
        let problems = self.problems.into_iter().map(Problem::into_text);
        Err(ConfigError {
            problems: problems.collect(),
        })
    }
}

const UNBOUNDED: &str = "0 means no limit, and retain_total is 0 too: nothing would bound \
                         the memory of the messages: set one of the two";
