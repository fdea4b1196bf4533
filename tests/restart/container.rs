//! A daemon that is the first process of a container: that process stays, and the container goes on.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;

use super::common::command::lines;
use super::common::{PATIENCE, read_answer};
use super::{Folder, install, wait_until};

/// The daemon as process 1 of a namespace of its own, and the process that waits for it. All of them end with the test.
struct Container {
    child: Child,
    /// The first process's number outside.
    first: String,
    address: SocketAddr,
    log: Receiver<String>,
}

impl Container {
    /// `None`: this machine allows no such namespace.
    fn start() -> Option<Container> {
        Container::start_program(env!("CARGO_BIN_EXE_fanfare"))
    }

    fn start_program(program: &str) -> Option<Container> {
        let unshare = [
            "--user",
            "--map-root-user",
            "--pid",
            "--fork",
            "--kill-child",
        ];
        let works = Command::new("unshare").args(unshare).arg("true").output();
        if !works.is_ok_and(|output| output.status.success()) {
            return None;
        }
        let mut child = Command::new("unshare")
            .args(unshare)
            .args([program, "serve", "--listen", "127.0.0.1:0"])
            .args(["--admin", "off"])
            .env_remove("RUST_LOG")
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        let log = lines(child.stderr.take().expect("stderr is piped"));
        let line = wait_for(&log, "listening on ws://");
        let address = line
            .split("ws://")
            .nth(1)
            .and_then(|rest| rest.split(' ').next()?.parse().ok());
        let first = children(&child.id().to_string());
        Some(Container {
            child,
            first: first.trim().to_owned(),
            address: address.expect("an address"),
            log,
        })
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args(["-s", name, &self.first])
            .status();
        assert!(status.expect("kill runs").success());
    }

    fn restart(&self) {
        self.signal("USR2");
        // Two processes write there, in either order.
        let mut awaited = vec!["restarted: process", "listening on ws://"];
        while !awaited.is_empty() {
            let line = wait_for(&self.log, "");
            awaited.retain(|text| !line.contains(text));
        }
    }

    fn code(&mut self) -> Option<i32> {
        let mut code = None;
        wait_until("it did not end", || {
            let status = self.child.try_wait().expect("it can be waited for");
            code = status.and_then(|status| status.code());
            status.is_some()
        });
        code
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait_for(log: &Receiver<String>, text: &str) -> String {
    loop {
        let line = log.recv_timeout(PATIENCE).expect("it is logged");
        if line.contains(text) {
            return line;
        }
    }
}

fn children(of: &str) -> String {
    fs::read_to_string(format!("/proc/{of}/task/{of}/children")).expect("the process runs")
}

#[test]
fn the_first_process_stays_passes_signals_on_and_ends_as_the_one_that_serves() {
    let Some(mut container) = Container::start() else {
        return;
    };
    let mut kept = TcpStream::connect(container.address).expect("it accepts");
    kept.set_read_timeout(Some(PATIENCE)).expect("a time");
    let mut publish = |number: &str| {
        let request = b"POST /channels/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n1";
        kept.write_all(request).expect("it is taken");
        let answer = read_answer(&mut kept);
        assert!(answer.contains(&format!("\"seq\":{number}")), "{answer}");
    };
    publish("1");
    container.restart();
    publish("2");
    // Those that took over are not the first process, and each hands over to the next.
    container.restart();
    publish("3");
    container.restart();
    publish("4");
    wait_until("those in between stay", || {
        children(&container.first).split_whitespace().count() == 1
    });
    container.signal("USR1");
    wait_for(&container.log, "half-read bytes");
    container.signal("TERM");
    assert_eq!(container.code(), Some(0));
    let mut rest = Vec::new();
    assert!(kept.read_to_end(&mut rest).is_ok_and(|count| count == 0));
}

#[test]
fn a_process_that_serves_and_is_killed_ends_the_container() {
    let Some(mut container) = Container::start() else {
        return;
    };
    container.restart();
    let serving = children(&container.first);
    let status = Command::new("kill").args(["-9", serving.trim()]).status();
    assert!(status.expect("kill runs").success());
    assert_eq!(container.code(), Some(128 + 9));
}

#[test]
fn a_restart_that_fails_does_not_keep_the_first_process_from_ending() {
    let folder = Folder::new("first");
    install(&folder, env!("CARGO_BIN_EXE_fanfare"));
    let Some(mut container) = Container::start_program(&folder.path("fanfare")) else {
        return;
    };
    fs::remove_file(folder.path("fanfare")).expect("it is ours");
    container.signal("USR2");
    wait_for(&container.log, "the restart failed");
    container.signal("TERM");
    assert_eq!(container.code(), Some(0));
}
