//! What the daemon was told: flags over environment over file over defaults.
//!
//! [`Config`] holds typed values that have been checked, so that nobody who reads one has to ask
//! again whether it makes sense. Where `0` means "no limit" on the command line, the value here is
//! [`Limit::NONE`].
//!
//! This part knows nothing about sockets, channels or the loop.

#[cfg(feature = "cli")]
mod allow;
#[cfg(feature = "cli")]
mod args;
mod effective;
#[cfg(feature = "cli")]
mod entry;
#[cfg(feature = "cli")]
mod file;
#[cfg(feature = "cli")]
mod inside;
#[cfg(feature = "cli")]
mod load;
mod logging;
mod lowered;
#[cfg(feature = "cli")]
mod mistake;
#[cfg(feature = "cli")]
mod names;
mod policy;
#[cfg(feature = "cli")]
mod rates;
#[cfg(feature = "cli")]
mod settings;
#[cfg(all(test, feature = "cli"))]
mod tests;
mod tls;
mod token;
#[cfg(feature = "cli")]
mod units;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::auth::forwarded::TrustedProxies;
use crate::auth::origin::{Hosts, Origins};
use crate::auth::rates::Rate;
use crate::auth::rules::Rules;
use crate::channel::matcher::Matcher;
use crate::channel::topic::Topic;
use crate::limit::Limit;

#[cfg(feature = "cli")]
pub use args::ServeArgs;
pub use effective::{Effective, EffectiveBlock, EffectiveSetting, SetBy, Value};
#[cfg(feature = "cli")]
pub use load::{ConfigError, unknown_variables};
pub use logging::{LogConfig, LogFilter, LogFormat};
pub use policy::{ChannelRule, OnLag, Pattern, Policy};
pub use tls::{Certificate, ClientCertificates, TlsConfig};
pub use token::TokenConfig;

/// Where the daemon listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Listen {
    /// A TCP address. A port of 0 lets the system choose one.
    Tcp(SocketAddr),
    /// A unix socket at this path.
    Unix(PathBuf),
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::Tcp(address) => write!(f, "{address}"),
            Listen::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// How often strangers may do something. `None`: as often as they like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Connections of an address.
    pub connections: Option<Rate>,
    /// Requests of a connection, and of an identity.
    pub requests: Option<Rate>,
    /// Bytes that a connection sends, and an identity.
    pub bytes: Option<Rate>,
    /// How often an address may present what does not hold.
    pub auth_failures: Option<Rate>,
}

impl Default for Rates {
    fn default() -> Rates {
        Rates {
            connections: None,
            requests: None,
            bytes: None,
            auth_failures: Rate::new(10, 60_000),
        }
    }
}

/// Everything that `fanfare serve` can be told, checked, with its units in the names.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where to listen; none twice, and at least one address here or in [`TlsConfig::listen`].
    pub listen: Vec<Listen>,
    /// The permission bits of unix sockets, at most 0o777, or `None`: as the umask has it.
    pub socket_mode: Option<u32>,
    /// The group of unix sockets by its number, or `None`: the daemon's own.
    pub socket_group: Option<u32>,
    /// Encrypted connections.
    pub tls: TlsConfig,
    /// Where the daemon is looked into and looked after; `None`: nowhere. On loopback and on a unix socket whoever comes by it is an
    /// administrator.
    pub admin: Option<Listen>,
    /// Whether [`Config::admin`] was asked for: the daemon does without the default address where that is taken.
    pub admin_is_required: bool,
    /// The channels that metrics count apart: all that a pattern matches together, by the first that matches. At most
    /// [`Config::METRICS_CHANNELS_MAX`].
    pub metrics_channels: Vec<Pattern>,
    /// The file where the daemon writes its channels at an orderly stop, and from which it reads them at its start.
    pub state: Option<PathBuf>,
    /// Whether `/echo` sends each message back.
    pub echo: bool,
    /// What is logged, and how.
    pub log: LogConfig,

    /// The policy of a channel that no rule matches. Use [`Config::policy_for`].
    pub policy: Policy,
    /// Policies by pattern, in the file's order: the first that matches holds.
    pub channels: Vec<ChannelRule>,
    /// Bytes that the logs of all channels may hold together.
    pub retain_total: Limit,
    /// How long a channel's name, epoch and seq outlive its last subscriber and message, in
    /// milliseconds. 0: not at all.
    pub channel_linger_ms: u64,

    /// Connections at once, or `None`: as many as the file limit allows less a reserve. Use
    /// [`Config::connection_limit`].
    pub max_connections: Option<usize>,
    /// Bytes of the longest message that a client may send, inflated, and of a request's body. From 1 to [`Config::MESSAGE_BYTES_MAX`].
    pub max_message: usize,
    /// Bytes of the body of a request that publishes many messages. From 1 to [`Config::MESSAGE_BYTES_MAX`].
    pub max_batch: usize,
    /// Channels at once.
    pub max_channels: Limit,
    /// Subscriptions of one connection.
    pub max_subscriptions: Limit,
    /// Patterns that are subscribed to at once.
    pub max_patterns: Limit,
    /// Keys of publications that are remembered.
    pub max_keys: Limit,
    /// Bytes of an HTTP request's head. From [`Config::HEADER_BYTES_MIN`] to
    /// [`Config::HEADER_BYTES_MAX`].
    pub max_header: usize,
    /// Bytes of replies, errors and pongs queued for one connection before it is no longer read
    /// from. At least [`Config::OUTBOX_BYTES_MIN`].
    pub outbox: usize,
    /// Bytes of memory for replies, errors and pongs queued for all connections together. What is left of it is
    /// the most that one may have before it is no longer read from, but never less than
    /// [`Config::OUTBOX_BYTES_MIN`].
    pub outbox_total: Limit,
    /// Bytes of half-read messages of all connections together.
    pub input_total: Limit,
    /// Bytes of half-sent large frames that all connections together hold by reference.
    pub held_total: Limit,
    /// `TCP_NOTSENT_LOWAT` in bytes: how much of what was sent may wait in the kernel. `None`
    /// leaves it to the system.
    pub send_buffer: Option<usize>,

    /// How long a connection may say nothing before it is pinged, in milliseconds.
    pub ping_interval_ms: Limit,
    /// How long a sign of life may take after a ping, in milliseconds.
    pub ping_timeout_ms: Limit,
    /// How long a connection that has something to get may take nothing, in milliseconds.
    pub stall_timeout_ms: Limit,
    /// How long a message may take from its first byte to its last, in milliseconds.
    pub message_timeout_ms: Limit,
    /// How long a request's head may take from accept or from its first byte, in milliseconds.
    pub handshake_timeout_ms: Limit,
    /// How long a kept-alive HTTP connection may wait for its next request, in milliseconds.
    pub http_idle_timeout_ms: Limit,
    /// How long a message to a large channel may wait, under a steady stream, for those after it to
    /// share its writes, in milliseconds. 0: not at all.
    pub coalesce_ms: u64,
    /// The time over which closes are spread when the daemon ends, in milliseconds. 0: at once.
    pub drain_ms: u64,

    /// What is granted to whom.
    pub rules: Rules,
    /// How long a connection to which nothing is granted may take to say who it is, in milliseconds.
    pub auth_timeout_ms: Limit,
    /// Whether the daemon may listen beyond this machine while everybody may do everything.
    pub is_open_to_everyone: bool,
    /// The origins of pages that may use the daemon.
    pub origins: Origins,
    /// The file of names with passwords.
    pub htpasswd: Option<PathBuf>,
    /// The name of the cookie in which a browser may send a token.
    pub token_cookie: Option<Box<str>>,
    /// The names by which the daemon may be asked for.
    pub hosts: Hosts,
    /// The proxies whose word is taken for who they were called from.
    pub trusted_proxies: TrustedProxies,
    /// How often strangers may do something.
    pub rates: Rates,

    /// Whether permessage-deflate is agreed to.
    pub deflate: bool,
    /// How hard to compress, from 1 to 9.
    pub deflate_level: u32,

    /// Which tokens are taken.
    pub token: TokenConfig,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: vec![Listen::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 8040)))],
            socket_mode: None,
            socket_group: None,
            tls: TlsConfig::default(),
            admin: Some(Listen::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 8041)))),
            admin_is_required: false,
            metrics_channels: Vec::new(),
            state: None,
            echo: false,
            log: LogConfig::default(),

            policy: Policy::default(),
            channels: Vec::new(),
            retain_total: Limit::of(256 << 20),
            channel_linger_ms: 600_000,

            max_connections: None,
            max_message: 64 << 10,
            max_batch: 1 << 20,
            max_channels: Limit::of(100_000),
            max_subscriptions: Limit::of(1024),
            max_patterns: Limit::of(256),
            max_keys: Limit::of(100_000),
            max_header: 8 << 10,
            outbox: 64 << 10,
            input_total: Limit::of(64 << 20),
            outbox_total: Limit::of(64 << 20),
            held_total: Limit::of(64 << 20),
            send_buffer: Some(128 << 10),

            ping_interval_ms: Limit::of(25_000),
            ping_timeout_ms: Limit::of(10_000),
            stall_timeout_ms: Limit::of(60_000),
            message_timeout_ms: Limit::of(30_000),
            handshake_timeout_ms: Limit::of(5_000),
            http_idle_timeout_ms: Limit::of(60_000),
            coalesce_ms: 25,
            drain_ms: 0,

            rules: Rules::default(),
            auth_timeout_ms: Limit::of(10_000),
            is_open_to_everyone: false,
            origins: Origins::default(),
            htpasswd: None,
            token_cookie: None,
            hosts: Hosts::default(),
            trusted_proxies: TrustedProxies::default(),
            rates: Rates::default(),

            deflate: true,
            deflate_level: 2,

            token: TokenConfig::default(),
        }
    }
}

impl Config {
    /// The largest [`Config::max_message`]: positions within a log's segment are 32 bits wide.
    pub const MESSAGE_BYTES_MAX: usize = 1 << 30;
    /// The smallest [`Config::max_header`]: the leanest clients send some 200 bytes.
    pub const HEADER_BYTES_MIN: usize = 512;
    /// The largest [`Config::max_header`]: a head is parsed anew with each piece that comes.
    pub const HEADER_BYTES_MAX: usize = 64 << 10;
    /// The smallest [`Config::outbox`]: any single reply fits.
    pub const OUTBOX_BYTES_MIN: usize = 1 << 10;
    /// How many patterns one connection may be subscribed to.
    pub const PATTERNS_EACH: u64 = 16;
    /// Files that are kept free for what `max_connections` does not count: listeners, the poll, logs, and the connections
    /// that are answered although there are as many as allowed.
    pub const FILES_RESERVED: usize = 64;

    /// The most patterns of [`Config::metrics_channels`].
    pub const METRICS_CHANNELS_MAX: usize = 64;

    /// All addresses that the daemon listens on for everybody. Those for TLS follow the others.
    pub fn listeners(&self) -> impl Iterator<Item = &Listen> {
        self.listen.iter().chain(&self.tls.listen)
    }

    /// All addresses that the daemon listens on: that of [`Config::admin`] follows the others.
    pub fn doors(&self) -> impl Iterator<Item = &Listen> {
        self.listeners().chain(&self.admin)
    }

    /// Whether there is a means by which a client can show who it is.
    pub fn knows_people(&self) -> bool {
        self.token.has_keys() || self.htpasswd.is_some() || self.tls.client_ca.is_some()
    }

    /// How a channel or a pattern's log keeps its messages: a channel as the first rule says that matches its name, a
    /// pattern's log as the rule says whose pattern is the very same; else the daemon's own policy. Nothing is allocated.
    pub fn policy_for<'t>(&self, topic: impl Into<Topic<'t>>) -> Policy {
        let topic = topic.into();
        let applies = |rule: &&ChannelRule| match topic {
            Topic::Channel(name) => rule.pattern.matches(name),
            Topic::Pattern(Matcher::Parts, text) => rule.pattern.as_str() == text,
            Topic::Pattern(..) => false,
        };
        let rule = self.channels.iter().find(applies);
        rule.map_or(self.policy, |rule| rule.policy)
    }

    /// How many connections to let in where the process may have `file_limit` files open: so many
    /// that one beyond them hears a 503 and `accept` never fails for want of files. At least 1.
    pub fn connection_limit(&self, file_limit: u64) -> usize {
        let files = usize::try_from(file_limit).unwrap_or(usize::MAX);
        let possible = files.saturating_sub(Config::FILES_RESERVED).max(1);
        self.max_connections
            .map_or(possible, |max| max.min(possible))
    }
}
