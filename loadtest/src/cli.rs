//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};

use crate::dialect::Dialect;
use crate::payload::Content;

/// Which scenario takes which numbers.
const NUMBERS: &str = "\
Which numbers a scenario takes; it refuses the others:
  fanout, ingest         -n -p -w/-r --size --content --seconds --messages --warmup
                         --deflate --probe --events --answers --post --batch
  churn                  these but --events --answers --post --batch
  many, board            those of churn and --channels
  slow                   -n -w/-r --size --content --seconds --messages --warmup --deflate
                         --stalled
  patterns               -n --channels -w/-r --size --content --seconds --messages --warmup
  limit                  -n -w/-r --size --content --seconds --messages --warmup
  limit, as the counterpart of resume: -n --size --content --last
  resume                 -n --size --content --deflate --last
  connect                -n --deflate
  idle                   -n --deflate --events
  handshakes             -n --seconds --warmup --probe
  sustain                those of fanout but -w; -r is the rate to begin with
All but limit and handshakes take --tls; handshakes are always over TLS.";

/// Loads a fanfare daemon, or another server, and says what it costs and how fast it is.
#[derive(Debug, Parser)]
#[command(name = "loadtest", version, max_term_width = 100, after_help = NUMBERS)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// One channel, many subscribers: messages, deliveries, latency
    Fanout(Run),
    /// A storm of handshakes: CPU for each, from accept to 101
    Connect(Run),
    /// Connections that do nothing: memory for each
    Idle(Run),
    /// Full TLS 1.3 handshakes without pause and nothing else, -n at once: CPU for each
    Handshakes(Run),
    /// Some subscribers stop reading: what it costs the server and the others
    Slow(Run),
    /// Everybody comes back at once and asks for the newest messages
    Resume(Run),
    /// Subscribing and unsubscribing all the time, while messages flow
    Churn(Run),
    /// Many channels with few subscribers each
    Many(Run),
    /// Each connection subscribes to many channels
    Board(Run),
    /// Many publishers, few subscribers
    Ingest(Run),
    /// Many channels and a pattern for all of them: what a delivery costs its subscribers against those of one channel
    Patterns(Run),
    /// The kernel's own limit: nothing but `send` of ready-made bytes, by a process in the server's place
    Limit(Run),
    /// The highest rate of a fanout whose p99 stays under 100 ms, searched for from --rate on
    Sustain(Run),
    /// The same runs against several servers, side by side and in turn
    Compare(Compare),
    /// Print the median of each figure over several reports of one kind of run
    Medians(Medians),
    /// Draw reports that `--json` wrote: the latency of each, or what a sweep found
    Draw(Draw),
    /// The process that `limit` measures
    #[command(hide = true)]
    Bare(Bare),
}

/// What a run needs to know. What is not given has a default that fits the scenario.
#[derive(Args, Clone, Debug)]
pub(crate) struct Run {
    /// Which server.
    #[command(flatten)]
    pub(crate) target: Target,
    /// How much of what.
    #[command(flatten)]
    pub(crate) given: Given,
    /// Repeat the run for each value: `n=10,100,1000`, and likewise `w`, `size`, `channels`, `rate`, `publishers`, `stalled`, `last`
    #[arg(long, value_name = "NAME=V,V,…")]
    pub(crate) sweep: Option<Sweep>,
    /// Write the reports as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Draw the latency distribution, or the sweep, as SVG
    #[arg(long, value_name = "FILE")]
    pub(crate) chart: Option<PathBuf>,
    /// Print no table
    #[arg(long)]
    pub(crate) quiet: bool,
}

/// Which server to load, and where it and the load run.
#[derive(Args, Clone, Debug)]
pub(crate) struct Target {
    /// The daemon to start [default: fanfare beside this program]
    #[arg(long, value_name = "PATH")]
    pub(crate) server: Option<PathBuf>,
    /// An argument for the daemon, after those that the scenario needs; may be repeated
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    pub(crate) server_arg: Vec<String>,
    /// Start this peer instead: a directory of `loadtest/peers` with a program `run`
    #[arg(long, value_name = "NAME", conflicts_with = "server")]
    pub(crate) peer: Option<String>,
    /// Where the peers are
    #[arg(long, value_name = "DIR", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/peers"))]
    pub(crate) peers: PathBuf,
    /// Load a server that runs already: ws://HOST:PORT/PATH
    #[arg(long, conflicts_with_all = ["server", "peer"])]
    pub(crate) url: Option<String>,
    /// Measure this process, with --url
    #[arg(long, requires = "url")]
    pub(crate) pid: Option<u32>,
    /// Allow a --url that is not this machine
    #[arg(long)]
    pub(crate) allow_remote: bool,
    /// How the server is spoken to [default: json, or what the peer speaks]
    #[arg(long)]
    pub(crate) dialect: Option<Dialect>,
    /// What the names of channels begin with: several load testers with different letters may load one --url
    #[arg(long, value_name = "LETTER", default_value = "c", value_parser = letter)]
    pub(crate) letter: u8,
    /// Where the server's output goes
    #[arg(long, value_name = "FILE")]
    pub(crate) server_log: Option<PathBuf>,
    /// The core that the server runs on
    #[arg(long, default_value_t = 0)]
    pub(crate) server_core: usize,
    /// The core that the load runs on
    #[arg(long, default_value_t = 1)]
    pub(crate) load_core: usize,
    /// Configure a TLS listener and rules beside the daemon's plain listener, which is loaded
    #[arg(long, conflicts_with_all = ["peer", "url"])]
    pub(crate) configured: bool,
    /// A program to run the daemon under, with its arguments: "valgrind --tool=callgrind"
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["peer", "url"])]
    pub(crate) under: Option<String>,
}

/// The numbers that were given.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Given {
    /// Subscribers, or connections
    #[arg(short, long)]
    pub(crate) n: Option<u64>,
    /// Publishers
    #[arg(short, long)]
    pub(crate) publishers: Option<u64>,
    /// Messages under way at once; filled up when half of them are delivered
    #[arg(short, long, conflicts_with = "rate")]
    pub(crate) window: Option<u64>,
    /// Messages per second instead, whether they are delivered or not; latency counts from the intended time
    #[arg(short, long)]
    pub(crate) rate: Option<f64>,
    /// Bytes of each message's data
    #[arg(long)]
    pub(crate) size: Option<u64>,
    /// Channels
    #[arg(long)]
    pub(crate) channels: Option<u64>,
    /// How many of the newest messages to ask for
    #[arg(long)]
    pub(crate) last: Option<u64>,
    /// Subscribers that stop reading
    #[arg(long)]
    pub(crate) stalled: Option<u64>,
    /// Publish for this long
    #[arg(long)]
    pub(crate) seconds: Option<f64>,
    /// Publish no more than this many
    #[arg(long)]
    pub(crate) messages: Option<u64>,
    /// Publish this long before measuring
    #[arg(long)]
    pub(crate) warmup: Option<f64>,
    /// What each message's data is made of
    #[arg(long, value_enum)]
    pub(crate) content: Option<Content>,
    /// Subscribers offer permessage-deflate, and insist on it
    #[arg(long)]
    pub(crate) deflate: bool,
    /// Over TLS 1.3, with an ECDSA P-256 certificate that is made for the run
    #[arg(long)]
    pub(crate) tls: bool,
    /// Subscribers follow an event stream (SSE) instead of a WebSocket
    #[arg(long)]
    pub(crate) events: bool,
    /// The server answers each publication with its number, as it does those by HTTP
    #[arg(long)]
    pub(crate) answers: bool,
    /// Publishers send each publication as a request of HTTP, without waiting for answers
    #[arg(long)]
    pub(crate) post: bool,
    /// Publishers send this many publications as one request of HTTP
    #[arg(long)]
    pub(crate) batch: Option<u64>,
    /// Also measure how soon a ping on another connection is answered
    #[arg(long)]
    pub(crate) probe: bool,
}

fn letter(text: &str) -> Result<u8> {
    match text.as_bytes() {
        [letter] if letter.is_ascii_lowercase() => Ok(*letter),
        _ => bail!("give one of a to z"),
    }
}

/// A parameter and its values.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sweep {
    /// Which one.
    pub(crate) name: String,
    /// What it is set to, one run each.
    pub(crate) values: Vec<f64>,
}

impl std::str::FromStr for Sweep {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, values) = text
            .split_once('=')
            .context("write it as NAME=VALUE,VALUE")?;
        let values: Result<Vec<f64>, _> = values.split(',').map(str::parse).collect();
        let sweep = Self {
            name: name.to_owned(),
            values: values.context("a value is not a number")?,
        };
        Given::default().set(&sweep.name, 1.0)?;
        Ok(sweep)
    }
}

impl Given {
    /// The names of the options that were given.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        let all = [
            ("n", self.n.is_some()),
            ("publishers", self.publishers.is_some()),
            ("window", self.window.is_some()),
            ("rate", self.rate.is_some()),
            ("size", self.size.is_some()),
            ("channels", self.channels.is_some()),
            ("last", self.last.is_some()),
            ("stalled", self.stalled.is_some()),
            ("seconds", self.seconds.is_some()),
            ("messages", self.messages.is_some()),
            ("warmup", self.warmup.is_some()),
            ("content", self.content.is_some()),
            ("deflate", self.deflate),
            ("probe", self.probe),
            ("tls", self.tls),
            ("events", self.events),
            ("answers", self.answers),
            ("post", self.post),
            ("batch", self.batch.is_some()),
        ];
        all.into_iter()
            .filter_map(|(name, given)| given.then_some(name))
            .collect()
    }

    /// Sets a parameter by its name.
    ///
    /// # Errors
    /// There is none of this name.
    pub(crate) fn set(&mut self, name: &str, value: f64) -> Result<()> {
        let whole = Some(value as u64);
        match name {
            "n" => self.n = whole,
            "w" | "window" => self.window = whole,
            "size" => self.size = whole,
            "channels" => self.channels = whole,
            "publishers" => self.publishers = whole,
            "rate" => self.rate = Some(value),
            "stalled" => self.stalled = whole,
            "last" => self.last = whole,
            "batch" => self.batch = whole,
            _ => bail!(
                "{name} can't be swept: n, w, size, channels, publishers, rate, stalled, last and batch can"
            ),
        }
        Ok(())
    }
}

/// What a comparison needs to know.
#[derive(Args, Clone, Debug)]
pub(crate) struct Compare {
    /// The servers: fanfare, limit, and directories of `loadtest/peers`; fanfare, bun and nginx also over TLS, with +tls behind
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "limit,fanfare,bun,tungstenite,ws,nchan,fanfare+tls,bun+tls,nginx+tls"
    )]
    pub(crate) servers: Vec<String>,
    /// How often each run is repeated; medians are reported
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// How long each run publishes
    #[arg(long, default_value_t = 3.0)]
    pub(crate) seconds: f64,
    /// Only runs whose name contains this
    #[arg(long)]
    pub(crate) only: Option<String>,
    /// Subscribers
    #[arg(short, long, default_value_t = 1_000)]
    pub(crate) n: u64,
    /// Also run an open loop at this many messages per second
    #[arg(long)]
    pub(crate) rate: Option<f64>,
    /// The daemon to start [default: fanfare beside this program]
    #[arg(long, value_name = "PATH")]
    pub(crate) server: Option<PathBuf>,
    /// Write the medians as a markdown table
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,
    /// Write all reports as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Draw CPU per delivery over the window as SVG
    #[arg(long, value_name = "FILE")]
    pub(crate) chart: Option<PathBuf>,
}

/// What is to be summed up.
#[derive(Args, Clone, Debug)]
pub(crate) struct Medians {
    /// Files that `--json` wrote
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
}

/// What is to be drawn.
#[derive(Args, Clone, Debug)]
pub(crate) struct Draw {
    /// Files that `--json` wrote
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Where the SVG goes
    #[arg(long, value_name = "FILE")]
    pub(crate) chart: PathBuf,
    /// The parameter that was swept, if one was; a line for each server
    #[arg(long, value_name = "NAME")]
    pub(crate) sweep: Option<String>,
}

/// What the bare sender needs to know.
#[derive(Args, Clone, Debug)]
pub(crate) struct Bare {
    /// Where to listen
    #[arg(long)]
    pub(crate) listen: SocketAddr,
    /// Bytes of each message's data
    #[arg(long)]
    pub(crate) size: usize,
    /// What each message's data is made of
    #[arg(long, value_enum, default_value_t)]
    pub(crate) content: Content,
    /// Messages that each new connection is sent; 0 to broadcast instead
    #[arg(long, default_value_t = 0)]
    pub(crate) history: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_sweep_names_a_parameter_and_its_values() {
        let sweep: Sweep = "n=10,100".parse().unwrap();
        assert_eq!(
            sweep,
            Sweep {
                name: "n".to_owned(),
                values: vec![10.0, 100.0]
            }
        );
        assert!("colour=1".parse::<Sweep>().is_err());
        assert!("n=ten".parse::<Sweep>().is_err());
    }
}
