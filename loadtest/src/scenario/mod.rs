//! The scenarios. Each opens its connections, does its one thing, and reports.

mod broadcast;
mod channels;
mod connections;
mod resume;
mod slow;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use fanfare::ws::deflate::Inflater;

use crate::cli::{Given, Target};
use crate::client::Client;
use crate::dialect::Dialect;
use crate::pace::Pace;
use crate::payload::{Content, MAX_PUBLISHERS, MIN_SIZE, Template};
use crate::receive::Shared;
use crate::report::Report;
use crate::server::{Recipe, Server, sibling_daemon};
use crate::{pin, procfs};

/// Files that the load client needs beside its connections.
const SPARE_FILES: u64 = 64;

/// What a scenario is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// One channel, many subscribers.
    Fanout,
    /// A storm of handshakes.
    Connect,
    /// Connections that do nothing.
    Idle,
    /// Some subscribers stop reading.
    Slow,
    /// Everybody comes back at once.
    Resume,
    /// Subscriptions come and go.
    Churn,
    /// Many channels with few subscribers each.
    Many,
    /// Each connection subscribes to many channels.
    Board,
    /// Many publishers, few subscribers.
    Ingest,
    /// Nothing but `send`.
    Limit,
}

/// What a run does, every number known.
#[derive(Clone, Debug)]
pub(crate) struct Parameters {
    /// Subscribers, or connections.
    pub(crate) n: u64,
    /// Publishers.
    pub(crate) publishers: u64,
    /// How publications are paced.
    pub(crate) pace: Pace,
    /// Bytes of each message's data.
    pub(crate) size: u64,
    /// Channels.
    pub(crate) channels: u64,
    /// Messages of a history.
    pub(crate) last: u64,
    /// Subscribers that stop reading.
    pub(crate) stalled: u64,
    /// How long to publish.
    pub(crate) seconds: f64,
    /// How many to publish at most.
    pub(crate) messages: u64,
    /// How long to publish before measuring.
    pub(crate) warmup: f64,
    /// What each message's data is made of.
    pub(crate) content: Content,
    /// Whether subscribers offer permessage-deflate.
    pub(crate) deflate: bool,
    /// Whether pings are measured too.
    pub(crate) probe: bool,
}

impl Scenario {
    /// Its name, as on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fanout => "fanout",
            Self::Connect => "connect",
            Self::Idle => "idle",
            Self::Slow => "slow",
            Self::Resume => "resume",
            Self::Churn => "churn",
            Self::Many => "many",
            Self::Board => "board",
            Self::Ingest => "ingest",
            Self::Limit => "limit",
        }
    }

    /// Fills in what was not given.
    ///
    /// # Errors
    /// A number is out of bounds, with what is allowed.
    pub(crate) fn parameters(self, given: &Given) -> Result<Parameters> {
        let (n, publishers, channels, stalled) = match self {
            Self::Fanout | Self::Limit => (1_000, 1, 1, 0),
            Self::Connect => (10_000, 0, 1, 0),
            Self::Idle => (8_000, 0, 1, 0),
            Self::Slow => (1_000, 1, 1, 1_000),
            Self::Resume => (5_000, 1, 1, 0),
            Self::Churn => (1_000, 1, 1, 0),
            Self::Many => (2_000, 1, 1_000, 0),
            Self::Board => (100, 1, 100, 0),
            Self::Ingest => (2, 1_000, 1, 0),
        };
        let window = if self == Self::Ingest { 1_000 } else { 64 };
        let size = given
            .size
            .unwrap_or(if self == Self::Slow { 1_024 } else { 128 });
        // 100 MB, however long that takes, where memory is the question.
        let (seconds, messages) = match self {
            Self::Slow => (300.0, (100_000_000 / size.max(1)).max(1)),
            _ => (3.0, 100_000_000),
        };
        let parameters = Parameters {
            n: given.n.unwrap_or(n),
            publishers: given.publishers.unwrap_or(publishers),
            pace: given
                .rate
                .map_or(Pace::Window(given.window.unwrap_or(window)), Pace::Rate),
            size,
            channels: given.channels.unwrap_or(channels),
            last: given
                .last
                .unwrap_or(if self == Self::Resume { 1_000 } else { 0 }),
            stalled: given.stalled.unwrap_or(stalled),
            seconds: given.seconds.unwrap_or(seconds),
            messages: given.messages.unwrap_or(messages),
            warmup: given.warmup.unwrap_or(0.5),
            content: given.content,
            deflate: given.deflate,
            probe: given.probe,
        };
        parameters.check(publishers.min(1))?;
        Ok(parameters)
    }
}

impl Parameters {
    fn check(&self, least_publishers: u64) -> Result<()> {
        let within = |name: &str, value: f64, least: f64, most: f64| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            bail!("{name} {value} is not between {least} and {most}")
        };
        within("n", self.n as f64, 1.0, 1e6)?;
        within(
            "publishers",
            self.publishers as f64,
            least_publishers as f64,
            MAX_PUBLISHERS as f64,
        )?;
        within(
            "size",
            self.size as f64,
            MIN_SIZE as f64,
            16.0 * 1024.0 * 1024.0,
        )?;
        within("channels", self.channels as f64, 1.0, 999_999.0)?;
        within("seconds", self.seconds, 0.0, 3_600.0)?;
        within("messages", self.messages as f64, 1.0, 1e9)?;
        within("warmup", self.warmup, 0.0, 600.0)?;
        match self.pace {
            Pace::Window(window) => within("window", window as f64, 1.0, 1e6),
            Pace::Rate(rate) => within("rate", rate, 0.1, 1e7),
        }
    }

    /// The numbers for the report.
    fn named(&self, scenario: Scenario) -> BTreeMap<String, f64> {
        let mut named = BTreeMap::from([
            ("n".to_owned(), self.n as f64),
            ("size".to_owned(), self.size as f64),
        ]);
        let mut add = |name: &str, value: f64| named.insert(name.to_owned(), value);
        match self.pace {
            Pace::Window(window) => add("w", window as f64),
            Pace::Rate(rate) => add("rate", rate),
        };
        add("publishers", self.publishers as f64);
        add("channels", self.channels as f64);
        if scenario == Scenario::Slow {
            add("stalled", self.stalled as f64);
        }
        if self.last > 0 {
            add("last", self.last as f64);
        }
        if self.deflate {
            add("deflate", 1.0);
        }
        named
    }
}

/// A scenario about to run: the server is up.
pub(crate) struct Bench {
    /// The server.
    pub(crate) server: Server,
    /// How it is spoken to.
    pub(crate) dialect: Dialect,
    /// What is to be done.
    pub(crate) parameters: Parameters,
}

impl Bench {
    /// A client for the bench's server.
    ///
    /// # Errors
    /// The system has no poll left.
    pub(crate) fn client(&self, followers: u64) -> Result<Client> {
        let parameters = &self.parameters;
        let mut shared = Shared::new(
            self.dialect,
            parameters.size as usize,
            parameters.publishers.max(1) as usize,
            followers as usize,
        );
        shared.template = Template::new(parameters.size as usize, parameters.content);
        shared.inflater = parameters.deflate.then(Inflater::new);
        Client::new(self.server.address, &self.server.path, shared)
    }
}

/// Runs a scenario once, on a server of its own unless one was named that runs already.
///
/// # Errors
/// The server can't be started or reached, or did something wrong.
pub(crate) fn run(scenario: Scenario, target: &Target, given: &Given) -> Result<Report> {
    let parameters = scenario.parameters(given)?;
    let files = pin::raise_file_limit();
    let needed = parameters.n + parameters.publishers + parameters.stalled + SPARE_FILES;
    if needed > files {
        bail!(
            "{needed} files are needed, and this process may open {files}: raise `ulimit -Hn` or lower n"
        );
    }
    pin::to_core(target.load_core)?;
    let (server, dialect) = start(scenario, target, &parameters)?;
    let mut report = Report {
        scenario: scenario.name().to_owned(),
        server: server.name.clone(),
        machine: procfs::machine(),
        parameters: parameters.named(scenario),
        ..Report::default()
    };
    let bench = Bench {
        server,
        dialect,
        parameters,
    };
    match scenario {
        Scenario::Limit if bench.parameters.last > 0 => resume::run(&bench, &mut report)?,
        Scenario::Fanout | Scenario::Limit | Scenario::Ingest => {
            broadcast::run(&bench, &mut report)?
        }
        Scenario::Connect => connections::connect(&bench, &mut report)?,
        Scenario::Idle => connections::idle(&bench, &mut report)?,
        Scenario::Slow => slow::run(&bench, &mut report)?,
        Scenario::Resume => resume::run(&bench, &mut report)?,
        Scenario::Many | Scenario::Board => channels::run(scenario, &bench, &mut report)?,
        Scenario::Churn => channels::churn(&bench, &mut report)?,
    }
    Ok(report)
}

fn start(
    scenario: Scenario,
    target: &Target,
    parameters: &Parameters,
) -> Result<(Server, Dialect)> {
    let recipe = match (&target.url, &target.peer) {
        _ if scenario == Scenario::Limit => bare_recipe(parameters)?,
        (Some(url), _) => {
            let server = Server::running(url, target.pid, target.allow_remote)?;
            return Ok((server, target.dialect.unwrap_or(Dialect::Json)));
        }
        (None, Some(peer)) => peer_recipe(peer, &target.peers, scenario, parameters),
        (None, None) => daemon_recipe(target, scenario, parameters),
    };
    let default = match (scenario, target.peer.as_deref()) {
        (Scenario::Limit, _) => Dialect::Bare,
        (_, Some("nchan")) => Dialect::Nchan,
        _ => Dialect::Json,
    };
    let recipe = Recipe {
        log: target.server_log.clone(),
        ..recipe
    };
    let server = Server::start(&recipe, target.server_core, target.load_core)
        .with_context(|| format!("server {}", recipe.name))?;
    Ok((server, target.dialect.unwrap_or(default)))
}

fn bare_recipe(parameters: &Parameters) -> Result<Recipe> {
    let size = parameters.size.to_string();
    let history = parameters.last.to_string();
    let arguments = [
        "bare",
        "--listen",
        "{address}",
        "--size",
        &size,
        "--history",
        &history,
    ];
    Ok(Recipe {
        name: "limit".to_owned(),
        program: std::env::current_exe()?,
        arguments: arguments.map(str::to_owned).to_vec(),
        log: None,
    })
}

fn peer_recipe(peer: &str, peers: &Path, _scenario: Scenario, parameters: &Parameters) -> Recipe {
    Recipe {
        name: peer.to_owned(),
        program: peers.join(peer).join("run"),
        arguments: vec!["{port}".to_owned(), parameters.last.to_string()],
        log: None,
    }
}

fn daemon_recipe(target: &Target, scenario: Scenario, parameters: &Parameters) -> Recipe {
    let daemon = target.server.clone().unwrap_or_else(sibling_daemon);
    let mut arguments: Vec<String> = ["serve", "--listen", "{address}"]
        .map(str::to_owned)
        .to_vec();
    if scenario == Scenario::Resume {
        arguments.extend(["--retain-messages".to_owned(), parameters.last.to_string()]);
    }
    if matches!(scenario, Scenario::Board | Scenario::Many) {
        // As many as are asked for: the limits protect from strangers.
        arguments.extend(["--max-subscriptions", "0", "--max-channels", "0"].map(str::to_owned));
    }
    arguments.extend(target.server_arg.iter().cloned());
    let mut program = daemon;
    if let Some(under) = &target.under {
        let mut words = under.split_whitespace().map(str::to_owned);
        if let Some(first) = words.next() {
            arguments = words
                .chain([program.display().to_string()])
                .chain(arguments)
                .collect();
            program = first.into();
        }
    }
    Recipe {
        name: "fanfare".to_owned(),
        program,
        arguments,
        log: None,
    }
}
