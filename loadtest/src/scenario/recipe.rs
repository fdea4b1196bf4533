//! How the server of a scenario is started.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use clap::builder::PossibleValue;

use super::{Parameters, Scenario};
use crate::cli::Target;
use crate::pace::Pace;
use crate::server::{Recipe, Server, sibling_daemon};
use crate::tls::Certificate;

/// The daemon's limit for a message when it is told none, in bytes.
const DEFAULT_MAX_MESSAGE: u64 = 64 << 10;
/// What a publication may be longer than its data: the request around it, a message's head and frame.
const FRAMING: u64 = 256;
/// The peers that can be given a certificate.
const ENCRYPTED_PEERS: [&str; 2] = ["bun", "nginx"];

/// What `--configured` has the daemon do for everybody: all that it does without rules.
const RULES: &str = r#"[[allow]]
who = "anonymous"
subscribe = ["news.>", "prices.*"]

[[allow]]
who = "anonymous"
subscribe = [">"]
publish = [">"]

[[allow]]
who = "authenticated"
subscribe = ["inbox.{subject}"]
publish = ["chat.>"]

[[allow]]
who = "cert:*.example.com"
admin = true
"#;

/// Starts the server of a scenario, or finds the one that was named.
///
/// # Errors
/// It can't be started or reached.
pub(super) fn start(
    scenario: Scenario,
    target: &Target,
    parameters: &Parameters,
) -> Result<Server> {
    let made = parameters.tls || target.configured;
    let certificate = made.then(Certificate::new).transpose()?;
    let with = certificate.as_ref();
    let recipe = match (&target.url, &target.peer) {
        _ if scenario == Scenario::Limit => bare_recipe(parameters)?,
        (Some(_), _) if parameters.tls => bail!(
            "TLS is spoken with a certificate that is made for the run: it can't be spoken with a --url"
        ),
        (Some(url), _) => {
            return Server::running(url, target.pid, target.allow_remote);
        }
        (None, Some(peer)) => peer_recipe(peer, &target.peers, parameters, with)?,
        (None, None) => daemon_recipe(target, scenario, parameters, with)?,
    };
    let recipe = Recipe {
        log: target.server_log.clone(),
        certificate,
        is_encrypted: parameters.tls,
        ..recipe
    };
    let name = recipe.name.clone();
    Server::start(recipe, target.server_core, target.load_core)
        .with_context(|| format!("server {name}"))
}

fn bare_recipe(parameters: &Parameters) -> Result<Recipe> {
    let size = parameters.size.to_string();
    let history = parameters.last.to_string();
    let content = parameters.content.to_possible_value();
    let content = content.as_ref().map_or("words", PossibleValue::get_name);
    let arguments = [
        "bare",
        "--listen",
        "{address}",
        "--size",
        &size,
        "--content",
        content,
        "--history",
        &history,
    ];
    Ok(Recipe {
        name: "limit".to_owned(),
        program: std::env::current_exe()?,
        arguments: arguments.map(str::to_owned).to_vec(),
        ..Recipe::default()
    })
}

fn peer_recipe(
    peer: &str,
    peers: &Path,
    parameters: &Parameters,
    certificate: Option<&Certificate>,
) -> Result<Recipe> {
    let mut arguments = vec!["{port}".to_owned(), parameters.last.to_string()];
    if let Some(certificate) = certificate {
        if !ENCRYPTED_PEERS.contains(&peer) {
            bail!(
                "{peer} is not set up for TLS: {} are",
                ENCRYPTED_PEERS.join(" and ")
            );
        }
        arguments.extend([certificate.chain(), certificate.key()].map(shown));
    }
    Ok(Recipe {
        name: peer.to_owned(),
        program: peers.join(peer).join("run"),
        arguments,
        ..Recipe::default()
    })
}

fn shown(path: PathBuf) -> String {
    path.display().to_string()
}

/// Where a daemon listens, and what it is configured with beside that.
fn listening(
    target: &Target,
    parameters: &Parameters,
    certificate: Option<&Certificate>,
) -> Result<Vec<String>> {
    let mut arguments = Vec::new();
    if !parameters.tls {
        arguments.extend(["--listen", "{address}"].map(str::to_owned));
    }
    let Some(certificate) = certificate else {
        return Ok(arguments);
    };
    let encrypted = match parameters.tls {
        true => "{address}",
        false => "127.0.0.1:0",
    };
    arguments.extend(["--listen-tls", encrypted].map(str::to_owned));
    for (option, path) in [
        ("--tls-cert", certificate.chain()),
        ("--tls-key", certificate.key()),
    ] {
        arguments.extend([option.to_owned(), shown(path)]);
    }
    if target.configured {
        let rules = certificate.write("rules.toml", RULES)?;
        arguments.extend(["--config".to_owned(), shown(rules)]);
    }
    Ok(arguments)
}

fn daemon_recipe(
    target: &Target,
    scenario: Scenario,
    parameters: &Parameters,
    certificate: Option<&Certificate>,
) -> Result<Recipe> {
    let daemon = target.server.clone().unwrap_or_else(sibling_daemon);
    let mut arguments = vec!["serve".to_owned()];
    arguments.extend(listening(target, parameters, certificate)?);
    // What is asked for, it shall be able to do: the limits protect from strangers.
    let framed = parameters.size + FRAMING;
    let large = framed > DEFAULT_MAX_MESSAGE;
    if large {
        arguments.push(format!("--max-message={framed}"));
    }
    if scenario == Scenario::Resume || large {
        let count = match (scenario, parameters.pace) {
            (Scenario::Resume, _) => parameters.last,
            (_, Pace::Window(window)) => 2 * window,
            (_, Pace::Rate(rate)) => rate as u64,
        };
        // Twice what it holds, as memory is held a segment at a time.
        let bytes = (count + 64) * framed * 2;
        arguments.extend([
            format!("--retain-bytes={bytes}"),
            "--retain-total=0".to_owned(),
        ]);
    }
    if scenario == Scenario::Resume {
        arguments.push(format!("--retain-messages={}", parameters.last));
    }
    if scenario == Scenario::Slow {
        // A client that stalls has to be there to the end.
        arguments.extend(["--stall-timeout", "0", "--ping-interval", "0"].map(str::to_owned));
    }
    if matches!(
        scenario,
        Scenario::Board | Scenario::Many | Scenario::Patterns
    ) {
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
    Ok(Recipe {
        name: "fanfare".to_owned(),
        program,
        arguments,
        ..Recipe::default()
    })
}
