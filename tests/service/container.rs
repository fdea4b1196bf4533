//! The daemon as the first process of a container.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::common::PATIENCE;
use super::common::command::lines;

/// The daemon as process 1 of a namespace of its own, and the process that waits for it. Both end with the test.
struct Container {
    child: Child,
    daemon: String,
}

impl Container {
    /// `None`: this machine allows no such namespace.
    fn start() -> Option<Container> {
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
        // What the shell leaves behind becomes the daemon's.
        let script = "(sleep 0.2 &); exec \"$0\" serve --listen 127.0.0.1:0";
        let mut child = Command::new("unshare")
            .args(unshare)
            .args(["sh", "-c", script, env!("CARGO_BIN_EXE_fanfare")])
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        let log = lines(child.stderr.take().expect("stderr is piped"));
        while !log
            .recv_timeout(PATIENCE)
            .expect("it starts")
            .contains("listening on")
        {}
        let daemon = children(&child.id().to_string()).trim().to_owned();
        Some(Container { child, daemon })
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args(["-s", name, &self.daemon])
            .status();
        assert!(status.expect("kill runs").success());
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The numbers of a process's children, those included that have ended and that it knows nothing of.
fn children(of: &str) -> String {
    fs::read_to_string(format!("/proc/{of}/task/{of}/children")).expect("the process runs")
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn as_process_1_the_daemon_leaves_no_zombies_and_ends_by_a_signal() {
    let Some(mut container) = Container::start() else {
        return;
    };
    wait_until("a zombie is left", || {
        children(&container.daemon).is_empty()
    });
    for name in ["USR1", "HUP", "TERM"] {
        container.signal(name);
    }
    let mut code = None;
    wait_until("it did not end", || {
        let status = container.child.try_wait().expect("it can be waited for");
        code = status.and_then(|status| status.code());
        status.is_some()
    });
    assert_eq!(code, Some(0));
}
