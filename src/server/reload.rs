//! What is read again while the daemon runs: certificates, keys of tokens, passwords, and the rules.
//!
//! On SIGHUP the configuration is read again, with all files that it names; when a file changes by itself, that file's kind is. Nobody is
//! dropped because of a reload as such. Each connection's rights are decided anew: see
//! [`Connections::readmit`](super::connections::Connections::readmit).

use std::path::PathBuf;
use std::sync::Arc;

use log::{info, warn};

use mio::Waker;
use rustix::process::{Resource, getrlimit};

use super::Server;
use super::gate::refuse_accidents;
use super::preflight::check_state;
use super::service::Service;
use crate::auth::passwords::Passwords;
use crate::auth::token::{KeySource, Verifier};
use crate::config::{Config, Effective, TlsConfig};
use crate::transport::tls::terms::Terms;

/// Reads the configuration again from where it came.
///
/// With each value as it was written, and where it comes from.
///
/// # Errors
/// Everything that is wrong with it, one sentence a line.
pub type ReadConfig = Box<dyn FnMut() -> Result<(Config, Effective), String>>;

/// How the configuration is read again, and who is told when another one holds.
pub struct Reloading {
    /// Reads it.
    pub read: ReadConfig,
    /// Told of each configuration that was read again and holds: what is logged, and how, is not the daemon's own.
    pub holds: Box<dyn FnMut(&Config)>,
    /// What holds, each value with where it comes from.
    pub effective: Effective,
}

/// What came of reading the configuration again.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Reloaded {
    /// The keys of the options, and the blocks, that are others now.
    pub(super) changed: Vec<String>,
    /// Those that are others in the configuration, and hold after a restart.
    pub(super) needs_restart: Vec<String>,
}

impl Server {
    /// Reads the configuration again. All that can change without a drop holds from now on, and the log names the rest;
    /// what is wrong is told, and what was read before stays.
    ///
    /// # Errors
    /// What is wrong, one sentence each.
    pub(super) fn reload_all(&mut self, why: &str) -> Result<Reloaded, Vec<String>> {
        if self.handover.is_some() {
            // The next process has read what held before.
            self.give_handover_up("the configuration is read again meanwhile");
        }
        let Some(reloading) = &mut self.reloading else {
            return self.reload_files(why);
        };
        let (read, effective) = (reloading.read)().map_err(|error| {
            for line in error.lines() {
                warn!("{why}: the configuration stays as it is: {line}");
            }
            error.lines().map(str::to_owned).collect::<Vec<_>>()
        })?;
        let current = &self.engine.connections.service.config;
        let (mut next, mut others) = (current.clone(), read.clone());
        take_over(&read, &mut next);
        take_over(current, &mut others);
        let needs_restart = others != *current;
        let differences = reloading.effective.differences(&effective);
        self.commit(next, why)?;
        let (changed, later): (Vec<_>, Vec<_>) =
            differences.into_iter().partition(|key| holds_at_once(key));
        if needs_restart || !later.is_empty() {
            let names = match later.is_empty() {
                true => "some options".to_owned(),
                false => later.join(", "),
            };
            warn!("{why}: these hold after a restart: {names}");
        }
        if !changed.is_empty() {
            info!("{why}: these have changed: {}", changed.join(", "));
        }
        if let Some(reloading) = &mut self.reloading {
            reloading.effective.take_over(effective, holds_at_once);
        }
        Ok(Reloaded {
            changed,
            needs_restart: later,
        })
    }

    /// Takes the keys that came from their URL, and asks for newer ones if a token named one that is not there.
    pub(super) fn follow_keys(&mut self) {
        let Some(source) = &self.key_source else {
            return;
        };
        let connections = &mut self.engine.connections;
        let gate = &mut connections.service.gate;
        if let Some(keys) = source.poll() {
            gate.take_keys(keys);
            connections.begin_to_readmit();
        } else if gate.misses_key() {
            source.wanted();
        }
    }

    /// Reads the files again that the configuration names. What is wrong with one is told, and what was read before stays.
    ///
    /// # Errors
    /// What is wrong, one sentence each.
    pub(super) fn reload_files(&mut self, why: &str) -> Result<Reloaded, Vec<String>> {
        let config = self.engine.connections.service.config.clone();
        self.commit(config, why).map(|()| Reloaded::default())
    }

    /// Has a configuration and the files that it names hold from now on, or nothing of it, if anything is wrong.
    fn commit(&mut self, config: Config, why: &str) -> Result<(), Vec<String>> {
        if let Err(errors) = self.try_commit(config) {
            for error in &errors {
                warn!("{why}: {error}; all stays as it was");
            }
            // What is there now is known, and told once.
            let config = &self.engine.connections.service.config;
            self.watch.watch(watched_files(config));
            return Err(errors);
        }
        if let Some(reloading) = &mut self.reloading {
            (reloading.holds)(&self.engine.connections.service.config);
        }
        info!("{why}: {}", self.engine.connections.service.gate);
        if self.accepting.terms.is_some() {
            info!("{why}: the files for TLS were read again, and hold for new connections");
        }
        Ok(())
    }

    fn try_commit(&mut self, config: Config) -> Result<(), Vec<String>> {
        let one = |error| vec![error];
        refuse_accidents(&config).map_err(one)?;
        check_state(&config).map_err(one)?;
        let terms = load_terms(&config.tls).map_err(one)?;
        let (verifier, passwords) = both(Verifier::load(&config.token), load_passwords(&config))?;
        let connections = &mut self.engine.connections;
        let service = &mut connections.service;
        // All that may fail comes before the first change.
        start_checks(service, passwords.as_ref(), &self.waker).map_err(one)?;
        let is_other_url = config.token.jwks_url != service.config.token.jwks_url;
        if is_other_url {
            // The keys that the other URL had hold until this one's come: nobody is dropped meanwhile.
            self.key_source = fetch_keys(&config, &self.waker).map_err(one)?;
        }
        self.watch.watch(watched_files(&config));
        service.gate.take_terms(terms.clone());
        self.accepting.terms = terms;
        let file_limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        connections
            .seats
            .set_limit(config.connection_limit(file_limit));
        for sentence in config.lowered_limits(file_limit) {
            warn!("{sentence}");
        }
        service.config = config;
        service.reconfigure_hub();
        service.take_passwords(passwords.map(Arc::new));
        service.open_gate(verifier);
        connections.begin_to_readmit();
        Ok(())
    }
}

/// Begins to fetch the keys of tokens, if they are to be fetched.
pub(super) fn fetch_keys(config: &Config, waker: &Arc<Waker>) -> Result<Option<KeySource>, String> {
    let Some(url) = &config.token.jwks_url else {
        return Ok(None);
    };
    KeySource::start(url, waking(waker)).map(Some)
}

/// What a thread calls when it has something for the loop.
fn waking(waker: &Arc<Waker>) -> impl Fn() + Send + Sync + 'static {
    let waker = Arc::clone(waker);
    move || {
        if let Err(error) = waker.wake() {
            warn!("a thread has something for the loop, which cannot be woken: {error}");
        }
    }
}

/// Reads the names with passwords, if there is a file of them.
pub(super) fn load_passwords(config: &Config) -> Result<Option<Passwords>, Vec<String>> {
    config.htpasswd.as_deref().map(Passwords::load).transpose()
}

/// Starts the threads that check passwords, if there are passwords.
pub(super) fn start_checks(
    service: &mut Service,
    passwords: Option<&Passwords>,
    waker: &Arc<Waker>,
) -> Result<(), String> {
    match passwords {
        Some(_) => service.checks.start(waking(waker)),
        None => Ok(()),
    }
}

/// The options, and the blocks, that hold at once when the configuration is read again: what [`take_over`] takes.
const HOLD_AT_ONCE: &[&str] = &[
    "[[allow]]",
    "[[channel]]",
    "[[tls]]",
    "echo",
    "state",
    "retain_bytes",
    "retain_messages",
    "retain_seconds",
    "on_lag",
    "retain_total",
    "channel_linger",
    "max_connections",
    "max_message",
    "max_batch",
    "max_channels",
    "max_subscriptions",
    "max_patterns",
    "max_header",
    "outbox",
    "outbox_total",
    "input_total",
    "held_total",
    "ping_interval",
    "ping_timeout",
    "stall_timeout",
    "message_timeout",
    "handshake_timeout",
    "http_idle_timeout",
    "drain_seconds",
    "deflate",
    "tls_cert",
    "tls_key",
    "tls_client_ca",
    "tls_client",
    "tls_client_at",
    "tls_crl",
    "auth_timeout",
    "token_claims",
    "htpasswd",
    "token_cookie",
    "open_to_everyone",
    "origin",
    "host",
    "trusted_proxy",
    "trusted_proxy_header",
    "jwt_secret_file",
    "jwt_key",
    "jwks",
    "jwks_url",
    "jwt_issuer",
    "jwt_audience",
    "jwt_expiry",
    "rate_connections",
    "rate_requests",
    "rate_bytes",
    "rate_auth_failures",
    "log",
    "log_format",
];

fn holds_at_once(key: &str) -> bool {
    HOLD_AT_ONCE.contains(&key)
}

/// Takes over what holds at once.
fn take_over(from: &Config, to: &mut Config) {
    to.log = from.log.clone();
    to.rules = from.rules.clone();
    to.token = from.token.clone();
    to.rates = from.rates;
    to.origins = from.origins.clone();
    to.hosts = from.hosts.clone();
    to.trusted_proxies = from.trusted_proxies.clone();
    to.htpasswd = from.htpasswd.clone();
    to.token_cookie = from.token_cookie.clone();
    to.auth_timeout_ms = from.auth_timeout_ms;
    to.is_open_to_everyone = from.is_open_to_everyone;
    to.echo = from.echo;
    to.state = from.state.clone();
    to.policy = from.policy;
    to.channels = from.channels.clone();
    to.retain_total = from.retain_total;
    to.channel_linger_ms = from.channel_linger_ms;
    to.max_connections = from.max_connections;
    to.max_message = from.max_message;
    to.max_batch = from.max_batch;
    to.max_channels = from.max_channels;
    to.max_subscriptions = from.max_subscriptions;
    to.max_patterns = from.max_patterns;
    to.max_header = from.max_header;
    to.outbox = from.outbox;
    to.outbox_total = from.outbox_total;
    to.input_total = from.input_total;
    to.held_total = from.held_total;
    to.ping_interval_ms = from.ping_interval_ms;
    to.ping_timeout_ms = from.ping_timeout_ms;
    to.stall_timeout_ms = from.stall_timeout_ms;
    to.message_timeout_ms = from.message_timeout_ms;
    to.handshake_timeout_ms = from.handshake_timeout_ms;
    to.http_idle_timeout_ms = from.http_idle_timeout_ms;
    to.drain_ms = from.drain_ms;
    to.deflate = from.deflate;
    // Where to listen is not among it.
    to.tls = TlsConfig {
        listen: to.tls.listen.clone(),
        max_handshakes: to.tls.max_handshakes,
        ..from.tls.clone()
    };
}

/// Both, or everything that is wrong with either.
fn both<A, B>(
    one: Result<A, Vec<String>>,
    other: Result<B, Vec<String>>,
) -> Result<(A, B), Vec<String>> {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok((one, other)),
        (Err(mut errors), other) => {
            errors.extend(other.err().unwrap_or_default());
            Err(errors)
        }
        (Ok(_), Err(errors)) => Err(errors),
    }
}

/// The files that are read at the start, on SIGHUP and when they change.
pub(super) fn watched_files(config: &Config) -> Vec<PathBuf> {
    let mut files = match config.tls.listen.is_empty() {
        true => Vec::new(),
        false => config.tls.files(),
    };
    files.extend(config.token.files());
    files.extend(config.htpasswd.clone());
    files
}

/// What is agreed to where TLS is spoken, if it is spoken anywhere.
pub(super) fn load_terms(config: &TlsConfig) -> Result<Option<Terms>, String> {
    match config.listen.is_empty() {
        true => Ok(None),
        false => Terms::load(config).map(Some),
    }
}

#[cfg(all(test, feature = "cli"))]
mod tests {
    use super::*;
    use crate::config::ServeArgs;

    #[test]
    fn what_holds_at_once_are_options_and_blocks_and_the_rest_needs_a_restart() {
        let (_, effective) = ServeArgs::default().load_effective().expect("defaults");
        let keys: Vec<&str> = (effective.settings.iter().map(|setting| setting.key))
            .chain(["[[allow]]", "[[channel]]", "[[tls]]"])
            .collect();
        for key in HOLD_AT_ONCE {
            assert!(keys.contains(key), "{key}");
        }
        let rest: Vec<&&str> = keys.iter().filter(|key| !holds_at_once(key)).collect();
        let wanted = [
            "listen",
            "socket_mode",
            "socket_group",
            "listen_tls",
            "max_handshakes",
            "max_keys",
            "send_buffer",
            "coalesce",
            "deflate_level",
            "admin",
            "metrics_channel",
        ];
        assert_eq!(rest, wanted.iter().collect::<Vec<_>>());
    }
}
