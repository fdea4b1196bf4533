//! The built binary as a command: what it prints, and how it ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::{Daemon, PATIENCE};

/// The built binary, in an environment that knows this daemon and nothing else of fanfare's.
pub fn fanfare(daemon: &Daemon, arguments: &[&str]) -> Command {
    fanfare_at(&format!("ws://{}", daemon.address), arguments)
}

/// The same with a URL.
pub fn fanfare_at(url: &str, arguments: &[&str]) -> Command {
    with_url(Command::new(env!("CARGO_BIN_EXE_fanfare")), url, arguments)
}

/// `command`, which ends in the built binary, with arguments for that.
pub fn with_url(mut command: Command, url: &str, arguments: &[&str]) -> Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("FANFARE_") {
            command.env_remove(name);
        }
    }
    command.env("FANFARE_URL", url).args(arguments);
    command
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("it prints UTF-8")
}

/// Publishes `lines` with `fanfare pub`.
pub fn publish(daemon: &Daemon, arguments: &[&str], lines: &str) -> Output {
    let arguments = [&["pub"], arguments].concat();
    let mut child = fanfare(daemon, &arguments)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    stdin.write_all(lines.as_bytes()).expect("it reads");
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

/// A running `fanfare sub` or `fanfare pub`. It is killed when the test ends.
pub struct Running {
    pub child: Child,
    pub out: Receiver<String>,
    pub notices: Receiver<String>,
}

impl Running {
    /// Starts a command whose output is read here, as far as the caller has no other place for it.
    pub fn spawn(mut command: Command) -> Running {
        let mut child = command.spawn().expect("it starts");
        let out = child.stdout.take().map(lines);
        let notices = child.stderr.take().map(lines);
        Running {
            child,
            out: out.unwrap_or_else(|| channel().1),
            notices: notices.unwrap_or_else(|| channel().1),
        }
    }

    /// Starts `fanfare sub`, and waits until it has subscribed to as many channels.
    pub fn sub(daemon: &Daemon, arguments: &[&str], channels: usize) -> Running {
        let arguments = [&["sub"], arguments].concat();
        let mut command = fanfare(daemon, &arguments);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let sub = Self::spawn(command);
        for _ in 0..channels {
            sub.notice("subscribed to");
        }
        sub
    }

    /// The next line on stdout.
    pub fn line(&self) -> String {
        self.out.recv_timeout(PATIENCE).expect("a line")
    }

    /// The next notice that contains `text`.
    pub fn notice(&self, text: &str) -> String {
        let mut seen = Vec::new();
        loop {
            match self.notices.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => seen.push(line),
                Err(_) => panic!("no notice with {text:?} after {seen:#?}"),
            }
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(status.expect("kill runs").success());
    }

    /// Waits for its end; the exit code.
    pub fn wait(&mut self) -> Option<i32> {
        self.wait_for_end().code()
    }

    /// Waits for its end; the signal that killed it.
    pub fn wait_for_death(&mut self) -> Option<i32> {
        self.wait_for_end().signal()
    }

    /// Waits for its end; what it printed on the way.
    pub fn output(mut self) -> Output {
        let status = self.wait_for_end();
        let text = |lines: &Receiver<String>| {
            let lines = lines.iter().map(|line| line + "\n");
            lines.collect::<String>().into_bytes()
        };
        Output {
            status,
            stdout: text(&self.out),
            stderr: text(&self.notices),
        }
    }

    fn wait_for_end(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                return status;
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("it did not end");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of a stream, read on a thread of their own.
pub fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}
