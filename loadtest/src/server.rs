//! The server under test: started here and pinned to its core, or one that runs already.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use rustls::ClientConfig;

use crate::fault::check_interruption;
use crate::tls::Certificate;
use crate::{pin, procfs};

/// How long a server may take to accept its first connection.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How long it may take to end when asked to, before it is killed.
const END_TIMEOUT: Duration = Duration::from_secs(20);

/// A server that can be connected to. Dropping it ends the process, if it was started here.
pub(crate) struct Server {
    /// What it is called in reports.
    pub(crate) name: String,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// The path of its WebSocket.
    pub(crate) path: String,
    /// The process whose CPU time and memory are measured, if any.
    pub(crate) pid: Option<u32>,
    child: Option<Child>,
    /// Its certificate, where it has one that was made for it.
    certificate: Option<Certificate>,
    /// Whether TLS is spoken with it.
    is_encrypted: bool,
}

/// How to start a server.
#[derive(Default)]
pub(crate) struct Recipe {
    /// What it is called in reports.
    pub(crate) name: String,
    /// The program.
    pub(crate) program: PathBuf,
    /// Its arguments; `{address}` and `{port}` are filled in.
    pub(crate) arguments: Vec<String>,
    /// Where its output goes; nowhere if `None`.
    pub(crate) log: Option<PathBuf>,
    /// A certificate that its arguments name.
    pub(crate) certificate: Option<Certificate>,
    /// Whether TLS is spoken with it.
    pub(crate) is_encrypted: bool,
}

impl Server {
    /// Starts a server on a free port of `127.0.0.1`, pinned to a core, and waits until it accepts.
    ///
    /// # Errors
    /// It can't be started, ends at once, or does not accept within a minute.
    pub(crate) fn start(recipe: Recipe, server_core: usize, load_core: usize) -> Result<Self> {
        let address = free_address()?;
        let port = address.port().to_string();
        let arguments = recipe.arguments.iter().map(|argument| {
            argument
                .replace("{address}", &address.to_string())
                .replace("{port}", &port)
        });
        let (out, err) = match &recipe.log {
            Some(path) => {
                let file = File::create(path)
                    .with_context(|| format!("can't write {}", path.display()))?;
                (Stdio::from(file.try_clone()?), Stdio::from(file))
            }
            None => (Stdio::null(), Stdio::null()),
        };
        // A child inherits the affinity; setting it between fork and exec would need unsafe code.
        pin::to_core(server_core)?;
        let child = Command::new(&recipe.program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .with_context(|| format!("can't start {}", recipe.program.display()));
        pin::to_core(load_core)?;
        let child = child?;
        let mut server = Self {
            name: recipe.name,
            address,
            path: "/".to_owned(),
            pid: Some(child.id()),
            child: Some(child),
            certificate: recipe.certificate,
            is_encrypted: recipe.is_encrypted,
        };
        server.wait_until_it_accepts()?;
        Ok(server)
    }

    /// A server that runs already.
    ///
    /// # Errors
    /// The URL is not `ws://HOST:PORT/PATH`, or not on loopback although `remote` is not allowed.
    pub(crate) fn running(url: &str, pid: Option<u32>, remote_allowed: bool) -> Result<Self> {
        let rest = url
            .strip_prefix("ws://")
            .with_context(|| format!("{url} is not a ws:// URL"))?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let address = if authority.contains(':') {
            authority.to_owned()
        } else {
            format!("{authority}:80")
        };
        let address = address
            .to_socket_addrs()
            .with_context(|| format!("can't resolve {authority}"))?
            .next()
            .with_context(|| format!("{authority} has no address"))?;
        if !address.ip().is_loopback() && !remote_allowed {
            bail!("{address} is not this machine: loading others' machines needs --allow-remote");
        }
        let path = if path.is_empty() { "/" } else { path };
        Ok(Self {
            name: url.to_owned(),
            address,
            path: path.to_owned(),
            pid,
            child: None,
            certificate: None,
            is_encrypted: false,
        })
    }

    /// How TLS is spoken with it, if it is.
    pub(crate) fn tls(&self) -> Option<Arc<ClientConfig>> {
        let certificate = self.certificate.as_ref().filter(|_| self.is_encrypted);
        certificate.map(Certificate::client)
    }

    fn wait_until_it_accepts(&mut self) -> Result<()> {
        let until = Instant::now() + START_TIMEOUT;
        while TcpStream::connect_timeout(&self.address, Duration::from_secs(1)).is_err() {
            check_interruption()?;
            if let Some(child) = &mut self.child
                && let Some(status) = child.try_wait()?
            {
                bail!(
                    "{} ended before it accepted a connection ({status}); see --server-log",
                    self.name
                );
            }
            if Instant::now() > until {
                bail!(
                    "{} accepts no connection after {START_TIMEOUT:?}",
                    self.name
                );
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(child) = &mut self.child else {
            return;
        };
        if let Ok(raw) = i32::try_from(child.id())
            && let Some(pid) = Pid::from_raw(raw)
        {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::TERM);
        }
        let until = Instant::now() + END_TIMEOUT;
        while Instant::now() < until {
            if matches!(child.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        // Its workers would outlive it.
        for pid in procfs::family(child.id()) {
            if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        let _ = child.wait();
    }
}

/// An address on loopback that nobody listens on at this moment.
fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no free port on 127.0.0.1")?;
    Ok(listener.local_addr()?)
}

/// The daemon of this workspace, as `cargo build --release` leaves it beside this program.
pub(crate) fn sibling_daemon() -> PathBuf {
    let me = std::env::current_exe().unwrap_or_default();
    let profile = me.parent().unwrap_or(Path::new("."));
    let beside = profile.join("fanfare");
    if beside.exists() {
        beside
    } else {
        profile.with_file_name("release").join("fanfare")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loaded_unless_told() {
        assert!(Server::running("ws://192.0.2.1:80/", None, false).is_err());
        assert!(Server::running("ws://192.0.2.1:80/", None, true).is_ok());
        let server = Server::running("ws://127.0.0.1:8040", None, false).unwrap();
        assert_eq!((server.address.port(), server.path.as_str()), (8040, "/"));
    }

    #[test]
    fn another_scheme_is_refused() {
        assert!(Server::running("http://127.0.0.1/", None, false).is_err());
    }
}
