//! `fanfare allow`: whether somebody may do something, and by which rule.

mod answer;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{ArgGroup, Args};
use fanfare::auth::identity::{Claims, Identity, Means};
use fanfare::auth::token::{MAX_TOKEN_BYTES, Verifier};
use fanfare::channel::matcher::Matcher;
use fanfare::channel::name;
use fanfare::channel::pattern::Pattern;
use fanfare::channel::topic::Topic;
use fanfare::config::{Config, Listen, ServeArgs};
use fanfare::secret_file::SecretFile;
use zeroize::Zeroizing;

use super::{Exit, write_out};
use crate::streams::say;
use answer::Answers;

/// Say whether somebody may subscribe to a channel and publish there, and which rule says so.
///
/// It reads the configuration as the daemon would, and connects to nobody.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
#[command(group = ArgGroup::new("topic").required(true), group = ArgGroup::new("who"))]
pub(crate) struct AllowArgs {
    /// The daemon's configuration file [default: FANFARE_CONFIG, or none]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// The channel
    #[arg(long, value_name = "NAME", group = "topic")]
    channel: Option<String>,

    /// Ask about the whole of a pattern, to which nobody publishes
    #[arg(long, value_name = "PATTERN", group = "topic", value_parser = Pattern::parse, conflicts_with = "publish")]
    pattern: Option<Pattern>,

    /// The client's name, or cert:NAME, basic:NAME, jwt:NAME for one that was shown by these means alone
    #[arg(long, value_name = "[MEANS:]NAME", group = "who")]
    subject: Option<String>,

    /// The client is the bearer of this token. Other users of this machine can read it in the list of processes; they can't read --token-file
    /// and FANFARE_TOKEN
    #[arg(long, value_name = "TOKEN", group = "who")]
    token: Option<String>,

    /// The client is the bearer of the token in this file
    #[arg(long, value_name = "FILE", group = "who")]
    token_file: Option<PathBuf>,

    /// The client has not shown who it is. This is the default if FANFARE_TOKEN is not set
    #[arg(long, group = "who")]
    anonymous: bool,

    /// By which of the daemon's addresses the client comes [default: the first]
    #[arg(long, value_name = "ADDR")]
    listener: Option<String>,

    /// Ask about subscribing alone
    #[arg(long, conflicts_with = "publish")]
    subscribe: bool,

    /// Ask about publishing alone
    #[arg(long)]
    publish: bool,
}

/// What the help says below the options.
const AFTER_HELP: &str = "\
Examples:
    fanfare allow --config fanfare.toml --subject jwt:anna --channel prices.oak
    FANFARE_TOKEN=$(cat token) fanfare allow --config fanfare.toml --channel prices.oak

Keys that the daemon fetches from --jwks-url are not fetched here.

Exit codes: 0 all that was asked about is allowed, 1 some of it is denied or the token is refused, 2 the command line or the \
configuration makes no sense.";

/// How it ends before there is an answer.
type Failure = (Exit, Vec<String>);

fn usage(why: impl Into<String>) -> Failure {
    (Exit::Usage, vec![why.into()])
}

/// The client that is asked about.
enum Asked {
    Nobody,
    Somebody(Identity),
    /// Somebody of this name, by whatever means.
    Named(String),
}

impl AllowArgs {
    /// Does it.
    pub(crate) fn run(mut self) -> Exit {
        match self.try_run() {
            Ok(exit) => exit,
            Err((exit, problems)) => {
                for problem in problems {
                    say(&problem);
                }
                exit
            }
        }
    }

    fn try_run(&mut self) -> Result<Exit, Failure> {
        let config = self.load()?;
        let listener = self.listener(&config)?;
        let asked = self.asked(&config)?;
        let (text, is_allowed) = self.answer(&config, &listener, &asked);
        if let Err(error) = write_out(text.as_bytes()) {
            let why = format!("the answer can't be written: {error}");
            return Err((Exit::Refused, vec![why]));
        }
        Ok(match is_allowed {
            true => Exit::Done,
            false => Exit::Refused,
        })
    }

    /// The configuration, and the topic checked.
    fn load(&self) -> Result<Config, Failure> {
        if let Some(channel) = &self.channel {
            let wrong = |why| usage(format!("--channel: {channel:?} is no channel: {why}"));
            name::check(channel).map_err(wrong)?;
        }
        let loaded = ServeArgs::of_file(self.config.clone()).load();
        let mut config = loaded.map_err(|error| (Exit::Usage, error.problems().to_vec()))?;
        config.rules.knows_people = config.knows_people();
        Ok(config)
    }

    fn listener(&self, config: &Config) -> Result<Listen, Failure> {
        let all: Vec<&Listen> = config.doors().collect();
        let Some(text) = &self.listener else {
            let first = all.first().copied().cloned();
            return first.ok_or_else(|| usage("the daemon listens nowhere"));
        };
        let found = all.iter().find(|listen| listen.to_string() == *text);
        found.copied().cloned().ok_or_else(|| {
            let all: Vec<String> = all.iter().map(ToString::to_string).collect();
            let all = all.join(", ");
            usage(format!(
                "--listener: the daemon does not listen on {text:?}: give one of {all}"
            ))
        })
    }

    fn asked(&mut self, config: &Config) -> Result<Asked, Failure> {
        if let Some(text) = &self.subject {
            return Ok(match named(text) {
                (Some(means), name) => Asked::Somebody(identity(means, name)),
                (None, name) => Asked::Named(name.to_owned()),
            });
        }
        if self.anonymous {
            return Ok(Asked::Nobody);
        }
        let token = if let Some(token) = self.token.take() {
            Zeroizing::new(token.into_bytes())
        } else if let Some(path) = &self.token_file {
            token_in(path).map_err(|why| usage(format!("{}: {why}", path.display())))?
        } else if let Some(token) = std::env::var_os("FANFARE_TOKEN").filter(|t| !t.is_empty()) {
            Zeroizing::new(token.into_encoded_bytes())
        } else {
            return Ok(Asked::Nobody);
        };
        bearer(config, &token).map(Asked::Somebody)
    }

    fn topic(&self) -> Topic<'_> {
        match (&self.channel, &self.pattern) {
            (Some(channel), _) => Topic::Channel(channel),
            (None, Some(pattern)) => Topic::Pattern(Matcher::Parts, pattern.as_str()),
            // clap wants one of them.
            (None, None) => Topic::Channel(""),
        }
    }

    /// What is printed, and whether all that was asked about is allowed.
    fn answer(&self, config: &Config, listener: &Listen, asked: &Asked) -> (String, bool) {
        let topic = self.topic();
        let asks = (!self.publish, !self.subscribe && !topic.is_pattern());
        let ask = |identity: Option<&Identity>| {
            Answers::of(&config.rules, identity, listener, topic, asks)
        };
        let all: Vec<(String, Answers)> = match asked {
            Asked::Nobody => vec![("anonymous".to_owned(), ask(None))],
            Asked::Somebody(who) => vec![(who.to_string(), ask(Some(who)))],
            Asked::Named(name) => {
                let means = [Means::Certificate, Means::Basic, Means::Token];
                let identities = means.map(|means| identity(means, name));
                let answers = identities.map(|who| (who.to_string(), ask(Some(&who))));
                match answers.iter().all(|(_, other)| *other == answers[0].1) {
                    true => vec![(format!("subject:{name}"), answers[0].1.clone())],
                    false => answers.to_vec(),
                }
            }
        };
        let mut text = String::new();
        for (who, answers) in &all {
            // A String takes everything.
            let _ = writeln!(
                text,
                "{} by {listener}, {}:",
                shown(who),
                shown(topic.text())
            );
            text.push_str(&answers.lines(&config.rules));
        }
        (text, all.iter().all(|(_, answers)| answers.are_all_yes()))
    }
}

/// Text for a terminal: without control characters.
fn shown(text: &str) -> String {
    let escaped = text.chars().map(|c| match c.is_control() {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    });
    escaped.collect()
}

/// The means and the name.
fn named(text: &str) -> (Option<Means>, &str) {
    let means = match text.split_once(':') {
        Some(("cert", name)) => Some((Means::Certificate, name)),
        Some(("basic", name)) => Some((Means::Basic, name)),
        Some(("jwt", name)) => Some((Means::Token, name)),
        _ => None,
    };
    means.map_or((None, text), |(means, name)| (Some(means), name))
}

/// Somebody whose token, if that is the means, names no channels.
fn identity(means: Means, name: &str) -> Identity {
    Identity {
        means,
        subject: name.into(),
        expires: None,
        claims: Claims::default(),
        voucher: 0,
    }
}

/// The bearer of a token.
fn bearer(config: &Config, token: &[u8]) -> Result<Identity, Failure> {
    let verifier = Verifier::load(&config.token).map_err(|problems| (Exit::Usage, problems))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_s = now.map_or(0, |since| since.as_secs());
    if !config.token.has_keys() {
        return Err(usage(
            "the daemon takes no tokens: it has neither --jwt-secret-file nor --jwt-key, --jwks or --jwks-url",
        ));
    }
    let claims = verifier.verify(token, now_s).map_err(|error| {
        let mut problems = vec![format!("{error}: the daemon refuses it")];
        if config.token.jwks_url.is_some() {
            problems
                .push("the keys of --jwks-url were not fetched: one of them may be its key".into());
        }
        (Exit::Refused, problems)
    })?;
    Ok(Identity::of_token(claims, 0))
}

/// The token in a file, without the line break after it.
fn token_in(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let mut token = SecretFile::read(path, MAX_TOKEN_BYTES + 2)?.into_bytes();
    let len = token.trim_ascii_end().len();
    token.truncate(len);
    match len {
        0 => Err("the file has no token".into()),
        len if len > MAX_TOKEN_BYTES => Err("the file has more than a token: over 8 KiB".into()),
        _ => Ok(token),
    }
}
