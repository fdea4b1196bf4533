//! The program that runs next.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::VARIABLE;

/// Variables that say something to the process that the service manager has started, and to no other.
const OF_THIS_PROCESS: [&str; 4] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID"];

/// What this process was started as.
#[derive(Debug)]
pub(in crate::server) struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
}

impl Program {
    /// By the path that it was started by, so that what lies there then is what runs next.
    pub(in crate::server) fn of_this_process() -> Program {
        let mut arguments = std::env::args_os();
        let name = PathBuf::from(arguments.next().unwrap_or_default());
        let found = match name.components().count() {
            0 => None,
            1 if !name.as_os_str().to_string_lossy().contains('/') => in_path(&name),
            _ => std::env::current_dir()
                .ok()
                .map(|folder| folder.join(&name)),
        };
        let path = found.filter(|path| path.is_file());
        let path = path.or_else(|| std::env::current_exe().ok());
        Program {
            path: path.unwrap_or(name),
            arguments: arguments.collect(),
        }
    }

    pub(in crate::server) fn path(&self) -> &Path {
        &self.path
    }

    /// Starts it, with one end of a socket pair as its standard input.
    ///
    /// # Errors
    /// A sentence that names the path.
    pub(super) fn start(&self, socket: OwnedFd) -> Result<Child, String> {
        let own = std::process::id().to_string();
        let mut command = Command::new(&self.path);
        command.args(&self.arguments).stdin(Stdio::from(socket));
        if std::env::var("WATCHDOG_PID").is_ok_and(|of| of != own) {
            // It is another process's.
            command.env_remove("WATCHDOG_USEC");
        }
        for name in OF_THIS_PROCESS {
            command.env_remove(name);
        }
        let child = command.env(VARIABLE, own).spawn();
        child.map_err(|error| format!("{} cannot be started: {error}", self.path.display()))
    }
}

/// Where a name is found that has no `/`, as a shell finds it.
fn in_path(name: &Path) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut folders = std::env::split_paths(&path);
    folders.find_map(|folder| Some(folder.join(name)).filter(|path| path.is_file()))
}
