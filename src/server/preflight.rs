//! What a daemon would find out at its start, without starting: for whoever changes the configuration of one that runs.

use std::path::Path;

use rustix::fs::{Access, access};
use rustix::process::{Resource, getrlimit};

use super::gate::{Gate, refuse_accidents};
use super::listener::idle_options;
use super::reload::{load_passwords, load_terms};
use crate::auth::token::Verifier;
use crate::config::{Config, Listen};

/// A configuration with which the daemon can start, as far as that can be told without listening.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preflight {
    /// What the daemon would do, in one line.
    pub summary: String,
    /// What it would warn of, one sentence each.
    pub warnings: Vec<String>,
}

/// Reads all files that the configuration names, as the daemon does. Nothing is listened on, and keys are not fetched. What is wrong with
/// a file's permissions is logged as a warning.
///
/// # Errors
/// Everything that is wrong, one sentence each.
pub fn check(config: &Config) -> Result<Preflight, Vec<String>> {
    let mut problems: Vec<String> = refuse_accidents(config).err().into_iter().collect();
    problems.extend(check_state(config).err());
    problems.extend(load_terms(&config.tls).err());
    let verifier = Verifier::load(&config.token).map_err(|why| problems.extend(why));
    let passwords = load_passwords(config).map_err(|why| problems.extend(why));
    let (Ok(verifier), Ok(passwords), true) = (verifier, passwords, problems.is_empty()) else {
        return Err(problems);
    };
    let mut gate = Gate::new(config, verifier);
    gate.take_passwords(passwords.map(Into::into));
    let mut summary = listeners(config);
    let certificates = config.tls.certificates().count();
    if certificates > 0 && !config.tls.listen.is_empty() {
        summary += &format!("; certificates: {certificates}");
    }
    if !config.channels.is_empty() {
        summary += &format!("; [[channel]] blocks: {}", config.channels.len());
    }
    summary += &format!("; {gate}");
    if let Some(url) = &config.token.jwks_url {
        let url = url.split('?').next().unwrap_or_default();
        summary += &format!("; the keys at {url} were not fetched");
    }
    let mut warnings = idle_options(config);
    // The daemon raises the limit to the hard one.
    let file_limit = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    warnings.extend(config.lowered_limits(file_limit));
    Ok(Preflight { summary, warnings })
}

/// Whether the file of `--state` can be written when the daemon ends: it is written beside its place and moved there.
///
/// # Errors
/// A sentence that says why not, and what to do.
pub(super) fn check_state(config: &Config) -> Result<(), String> {
    let Some(path) = &config.state else {
        return Ok(());
    };
    let name = path.display();
    if path.exists() && !path.is_file() {
        return Err(format!("--state: {name} is no file: give a file's name"));
    }
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let may_write = access(folder, Access::WRITE_OK | Access::EXEC_OK);
    may_write.map_err(|error| {
        format!(
            "--state: the folder {} can't be written to: {error}; the daemon makes {name} there when it ends",
            folder.display()
        )
    })
}

/// Where the daemon listens.
fn listeners(config: &Config) -> String {
    let names = |all: &[Listen]| {
        let names: Vec<String> = all.iter().map(Listen::to_string).collect();
        names.join(", ")
    };
    let all = match (names(&config.listen), names(&config.tls.listen)) {
        (plain, tls) if tls.is_empty() => format!("listens on {plain}"),
        (plain, tls) if plain.is_empty() => format!("listens on {tls} by TLS"),
        (plain, tls) => format!("listens on {plain}, and on {tls} by TLS"),
    };
    match &config.admin {
        Some(admin) => format!("{all}; administration on {admin}"),
        None => all,
    }
}
