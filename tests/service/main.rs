//! The daemon among what runs it: its configuration from outside, its log, and what it says to the system's service manager.

#[path = "../common/mod.rs"]
mod common;

mod check;
mod container;
mod logs;
mod notify;
mod sockets;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder of one test's own, gone at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Folder {
        let name = format!("fanfare-{test}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Folder(path)
    }

    /// The path of a file there.
    fn path(&self, name: &str) -> String {
        let path: &Path = &self.0.join(name);
        path.to_str().expect("a path in UTF-8").to_owned()
    }

    /// Writes a file there. Its path.
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).expect("a temporary file");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The built binary, in an environment that knows nothing of fanfare's and of a service manager's.
fn fanfare(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
    let others = ["RUST_LOG", "NOTIFY_SOCKET", "WATCHDOG_USEC", "LISTEN_FDS"];
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("FANFARE_") || others.contains(&text.as_ref()) {
            command.env_remove(&name);
        }
    }
    command.args(arguments);
    command
}

/// The exit code, what was printed and what was said on stderr.
fn said(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes| String::from_utf8(bytes).expect("it is UTF-8");
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// The same of a run with these arguments.
fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    said(fanfare(arguments).output().expect("the binary runs"))
}
