//! The scenarios. Each opens its connections, does its one thing, and reports.

mod broadcast;
mod channels;
mod connections;
mod handshakes;
mod parameters;
mod patterns;
mod recipe;
mod resume;
mod slow;

use anyhow::{Result, bail};
use fanfare::ws::deflate::Inflater;

use crate::cli::{Given, Target};
use crate::client::Client;
use crate::dialect::{Dialect, begin_names_with};
use crate::order::{Keep, Order};
use crate::payload::Template;
use crate::receive::Shared;
use crate::report::Report;
pub(crate) use crate::scenario::parameters::Parameters;
use crate::scenario::recipe::start;
use crate::server::Server;
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
    /// Full TLS handshakes, and nothing else.
    Handshakes,
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
    /// A pattern that stands for many channels.
    Patterns,
    /// Nothing but `send`.
    Limit,
}

impl Scenario {
    /// Its name, as on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fanout => "fanout",
            Self::Connect => "connect",
            Self::Idle => "idle",
            Self::Handshakes => "handshakes",
            Self::Slow => "slow",
            Self::Resume => "resume",
            Self::Churn => "churn",
            Self::Many => "many",
            Self::Board => "board",
            Self::Ingest => "ingest",
            Self::Patterns => "patterns",
            Self::Limit => "limit",
        }
    }

    /// Whether it makes no sense without a publisher.
    fn publishes(self) -> bool {
        !matches!(self, Self::Connect | Self::Idle | Self::Handshakes)
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
    /// A client for the bench's server, of which so many connections will be followers. `keep` says for how long a
    /// message is remembered that a subscriber has received.
    ///
    /// # Errors
    /// The system has no poll left.
    pub(crate) fn client(&self, followers: u64, keep: Keep) -> Result<Client> {
        let parameters = &self.parameters;
        let publishers = parameters.publishers.max(1) as usize;
        let mut shared = Shared::new(
            self.dialect,
            Template::new(parameters.size as usize, parameters.content),
            publishers,
            followers as usize,
            Order::new(publishers, parameters.channels as usize, keep),
        );
        shared.inflater = parameters.deflate.then(Inflater::new);
        if parameters.events {
            shared.dialect = Dialect::Events;
        }
        if parameters.batch > 0 {
            shared.publishing = Dialect::Batch;
        } else if parameters.answers {
            shared.publishing = Dialect::Answered;
        } else if parameters.post {
            shared.publishing = Dialect::Post;
        }
        Client::new(&self.server, shared)
    }
}

/// Runs a scenario once, on a server of its own unless one was named that runs already.
///
/// # Errors
/// The server can't be started or reached, or did something wrong.
pub(crate) fn run(scenario: Scenario, target: &Target, given: &Given) -> Result<Report> {
    let parameters = scenario.parameters(given)?;
    let files = pin::raise_file_limit();
    let needed = connections(scenario, &parameters) + SPARE_FILES;
    if needed > files {
        bail!(
            "{needed} files are needed, and this process may open {files}: raise `ulimit -Hn` or lower n"
        );
    }
    pin::to_core(target.load_core)?;
    begin_names_with(target.letter);
    let dialect = dialect(scenario, target)?;
    let server = start(scenario, target, &parameters)?;
    let mut report = Report {
        scenario: scenario.name().to_owned(),
        server: server.name.clone(),
        machine: procfs::machine(),
        parameters: parameters.named(scenario, given),
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
        Scenario::Handshakes => handshakes::run(&bench, &mut report)?,
        Scenario::Slow => slow::run(&bench, &mut report)?,
        Scenario::Resume => resume::run(&bench, &mut report)?,
        Scenario::Many | Scenario::Board => channels::run(scenario, &bench, &mut report)?,
        Scenario::Churn => channels::churn(&bench, &mut report)?,
        Scenario::Patterns => patterns::run(bench, target, &mut report)?,
    }
    Ok(report)
}

/// The most connections that are open at once.
fn connections(scenario: Scenario, parameters: &Parameters) -> u64 {
    let beside = match scenario {
        Scenario::Churn => channels::churners(parameters.n),
        Scenario::Idle => connections::WARMUP_CONNECTIONS,
        Scenario::Resume | Scenario::Limit => 2,
        _ => parameters.stalled,
    };
    parameters.n + parameters.publishers + beside
}

/// How the server is spoken to.
fn dialect(scenario: Scenario, target: &Target) -> Result<Dialect> {
    if scenario == Scenario::Patterns && (target.url.is_some() || target.peer.is_some()) {
        bail!(
            "patterns starts a daemon for each of its two parts: it has no use for --url and --peer"
        );
    }
    let default = match (scenario, target.peer.as_deref()) {
        (Scenario::Limit, _) => return Ok(Dialect::Bare),
        (_, Some("nchan")) => Dialect::Nchan,
        (_, Some("nginx")) => Dialect::Http,
        _ => Dialect::Json,
    };
    let dialect = target.dialect.unwrap_or(default);
    let publishes = scenario.publishes() || scenario == Scenario::Connect;
    if dialect == Dialect::Http && publishes {
        bail!(
            "{} needs WebSockets, which this server does not have",
            scenario.name()
        );
    }
    let needs_json = [
        Scenario::Many,
        Scenario::Board,
        Scenario::Churn,
        Scenario::Resume,
        Scenario::Patterns,
    ];
    if dialect != Dialect::Json && needs_json.contains(&scenario) {
        bail!(
            "{} needs a server with channels and requests: with the others a connection has one channel, in its path",
            scenario.name()
        );
    }
    Ok(dialect)
}
