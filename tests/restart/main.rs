//! A restart from outside: another process goes on with everything, or nothing has happened.

#[path = "../common/mod.rs"]
mod common;

mod container;
mod failures;
mod manners;
mod phases;
mod running;
mod state;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use common::{Daemon, PATIENCE};

/// A folder of one test's own, gone at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Folder {
        let name = format!("fanfare-restart-{test}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a temporary folder");
        Folder(path)
    }

    fn path(&self, name: &str) -> String {
        let path: &Path = &self.0.join(name);
        path.to_str().expect("a path in UTF-8").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A daemon, and those that took over from it. The program on disk is the test's own.
struct Line {
    daemon: Daemon,
    pids: Vec<u32>,
    folder: Folder,
}

impl Line {
    fn start(test: &str, arguments: &[&str]) -> Line {
        Line::start_with(Folder::new(test), arguments, |_| {})
    }

    fn start_with(folder: Folder, arguments: &[&str], change: impl FnOnce(&mut Command)) -> Line {
        let anywhere = ["--listen", "127.0.0.1:0", "--admin", "off"];
        Line::start_at(folder, &[&anywhere, arguments].concat(), change)
    }

    /// Listens nowhere but where the arguments say so.
    fn start_at(folder: Folder, arguments: &[&str], change: impl FnOnce(&mut Command)) -> Line {
        install(&folder, env!("CARGO_BIN_EXE_fanfare"));
        let mut command = Command::new(folder.path("fanfare"));
        command.arg("serve").args(arguments).env_remove("RUST_LOG");
        change(&mut command);
        let daemon = Daemon::spawn(command);
        let pids = vec![daemon.pid()];
        Line {
            daemon,
            pids,
            folder,
        }
    }

    /// The process that serves.
    fn pid(&self) -> u32 {
        *self.pids.last().expect("there is one")
    }

    /// Restarts it. What the command said.
    fn restart(&mut self) -> String {
        let output = ask(self.pid());
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{output:?}");
        let pid = said.split("process ").nth(1);
        let pid = pid.and_then(|rest| rest.split(' ').next()?.parse().ok());
        self.pids
            .push(pid.unwrap_or_else(|| panic!("no process in {said}")));
        said
    }

    /// Restarts it in vain. What the command said.
    fn restart_in_vain(&mut self) -> String {
        let output = ask(self.pid());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(is_running(self.pid()), "{said}");
        said
    }

    /// Puts a script in the program's place.
    fn replace(&self, script: &str) {
        let draft = self.folder.path("draft");
        fs::write(&draft, format!("#!/bin/sh\n{script}\n")).expect("a script");
        fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)).expect("it is ours");
        install(&self.folder, &draft);
    }

    fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(status.expect("kill runs").success());
    }

    /// Has the process that serves end in order, and waits until it has.
    fn stop(&self) {
        self.signal("TERM");
        wait_until("it did not end", || !is_running(self.pid()));
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        for pid in &self.pids {
            if is_running(*pid) {
                let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
            }
        }
    }
}

/// Asks a process to restart.
fn ask(pid: u32) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
    let output = command
        .args(["restart", "--pid", &pid.to_string()])
        .output();
    output.expect("the command runs")
}

/// Puts a copy of a program in the folder, where the daemon is started from.
fn install(folder: &Folder, program: &str) {
    let new = folder.path("new");
    // By a process of its own. What is open for writing here would be so for a moment in the processes that other tests start, and
    // a program that somebody may write to is not started.
    let copied = Command::new("cp").args([program, &new]).status();
    assert!(copied.expect("cp runs").success());
    fs::rename(new, folder.path("fanfare")).expect("it is ours");
}

/// Whether a process runs, and is no zombie.
fn is_running(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
