//! `fanfare sub` and `fanfare pub` from outside: what they print, and with which code they end.

mod common;

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use common::{Daemon, PATIENCE, member};

/// The built binary, in an environment that knows this daemon and nothing else of fanfare's.
fn fanfare(daemon: &Daemon, arguments: &[&str]) -> Command {
    fanfare_at(&format!("ws://{}", daemon.address), arguments)
}

fn fanfare_at(url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("FANFARE_") {
            command.env_remove(name);
        }
    }
    command.env("FANFARE_URL", url).args(arguments);
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("it prints UTF-8")
}

/// Publishes `lines` with `fanfare pub`.
fn publish(daemon: &Daemon, arguments: &[&str], lines: &str) -> Output {
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

/// A running `fanfare sub`. It is killed when the test ends.
struct Sub {
    child: Child,
    out: Receiver<String>,
    notices: Receiver<String>,
}

impl Sub {
    /// Starts it, and waits until it has subscribed to as many channels.
    fn start(daemon: &Daemon, arguments: &[&str], channels: usize) -> Sub {
        let arguments = [&["sub"], arguments].concat();
        let mut child = fanfare(daemon, &arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let out = lines(child.stdout.take().expect("stdout is piped"));
        let notices = lines(child.stderr.take().expect("stderr is piped"));
        let sub = Sub {
            child,
            out,
            notices,
        };
        for _ in 0..channels {
            sub.notice("subscribed to");
        }
        sub
    }

    fn line(&self) -> String {
        self.out.recv_timeout(PATIENCE).expect("a line")
    }

    /// The next notice that contains `text`.
    fn notice(&self, text: &str) -> String {
        loop {
            let line = self.notices.recv_timeout(PATIENCE).expect("a notice");
            if line.contains(text) {
                return line;
            }
        }
    }

    fn wait(&mut self) -> Option<i32> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                return status.code();
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("it did not end");
    }
}

impl Drop for Sub {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(stream: impl std::io::Read + Send + 'static) -> Receiver<String> {
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

#[test]
fn one_message_is_published_and_its_place_is_named() {
    let daemon = Daemon::start(&[]);
    let output = fanfare(&daemon, &["pub", "c", r#"{"a":1}"#])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(
        stderr(&output).contains("published as "),
        "{}",
        stderr(&output)
    );
    assert!(stderr(&output).trim_end().ends_with(":1"));
    assert!(output.stdout.is_empty());
}

#[test]
fn each_line_is_published_in_order_and_all_are_counted() {
    let daemon = Daemon::start(&["--retain-messages", "10000", "--retain-bytes", "10MiB"]);
    let text: String = (1..=5000).map(|n| format!("{n}\n")).collect();
    for arguments in [&["c"][..], &["--ack", "d"]] {
        let output = publish(&daemon, arguments, &text);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(stderr(&output).contains("5000 published in "));
        let channel = arguments[arguments.len() - 1];
        let output = fanfare(
            &daemon,
            &["sub", "--last", "5000", "--count", "5000", channel],
        )
        .output()
        .unwrap();
        assert!(output.stdout == text.as_bytes());
    }
}

#[test]
fn lines_that_are_refused_are_named_by_their_numbers_and_the_rest_go() {
    let daemon = Daemon::start(&["--max-message", "4KiB"]);
    let long = "9".repeat(5000);
    let text = format!("1\nnonsense\n[2]\n\n1,2\n\"{long}\"\n3");
    let output = publish(&daemon, &["c"], &text);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for line in ["line 2: ", "line 4: ", "line 5: ", "line 6: "] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(!said.contains("line 1: ") && !said.contains("line 3: ") && !said.contains("line 7: "));
    assert!(
        said.contains("3 published in ") && said.contains("; 4 refused"),
        "{said}"
    );
}

#[test]
fn what_the_daemon_refuses_is_reported_and_ends_with_1() {
    let daemon = Daemon::start(&[]);
    let output = fanfare(&daemon, &["pub", "$own", "1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("forbidden"));
    let output = publish(&daemon, &["--ack", "$own"], "1\n2\n");
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(
        said.contains("line 2: forbidden") && said.contains("0 published"),
        "{said}"
    );
    let output = publish(&daemon, &["$own"], "1\n2\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("0 published"),
        "{}",
        stderr(&output)
    );
    assert!(
        stderr(&output).contains("; 2 refused"),
        "{}",
        stderr(&output)
    );
    let output = fanfare(&daemon, &["sub", "$nothing"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
}

#[test]
fn nonsense_on_the_command_line_ends_with_2() {
    let daemon = Daemon::start(&[]);
    for arguments in [
        &["sub"][..],
        &["pub"],
        &["sub", "a", "b", "--since", "e:1"],
        &["sub", "a", "a"],
        &["sub", "a", "--since", "e:1", "--last", "1"],
        &["sub", "a", "--since", "e"],
        &["sub", "no way"],
        &["pub", "no/way", "1"],
        &["pub", "c", "1", "--url", "wss://h"],
        &["pub", "c", "1", "--url", "http://h"],
        &["sub", "c", "--header", "nothing"],
        &["sub", "c", "--header", "Host: h"],
        &["sub", "c", "--count", "-1"],
    ] {
        let output = fanfare(&daemon, arguments).output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(!said.is_empty() && !said.contains("panicked"), "{said}");
    }
}

#[test]
fn nobody_there_ends_with_3() {
    for arguments in [&["sub", "c"][..], &["pub", "c", "1"]] {
        // Port 1 is nobody's.
        let output = fanfare_at("ws://127.0.0.1:1", arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    }
}

#[test]
fn data_is_printed_one_line_a_message_and_the_whole_event_on_demand() {
    let daemon = Daemon::start(&[]);
    let mut plain = Sub::start(&daemon, &["c", "--count", "2"], 1);
    let mut full = Sub::start(&daemon, &["--full", "c", "--count", "2"], 1);
    for data in ["{\"a\":\r\n [0.10, \"x\\ny\"]}", "2"] {
        assert!(
            fanfare(&daemon, &["pub", "c", data])
                .output()
                .unwrap()
                .status
                .success()
        );
    }
    assert_eq!(plain.line(), r#"{"a":   [0.10, "x\ny"]}"#);
    assert_eq!(plain.line(), "2");
    let event = r#"{"type":"message","channel":"c","seq":1,"data":{"a":   [0.10, "x\ny"]}}"#;
    assert_eq!(full.line(), event);
    assert_eq!((plain.wait(), full.wait()), (Some(0), Some(0)));
}

#[test]
fn with_several_channels_the_event_is_printed() {
    let daemon = Daemon::start(&[]);
    let sub = Sub::start(&daemon, &["a", "b"], 2);
    publish(&daemon, &["b"], "1");
    publish(&daemon, &["a"], "2");
    assert_eq!(
        sub.line(),
        r#"{"type":"message","channel":"b","seq":1,"data":1}"#
    );
    assert_eq!(
        sub.line(),
        r#"{"type":"message","channel":"a","seq":1,"data":2}"#
    );
}

#[test]
fn what_is_held_is_had_by_last_and_by_since() {
    let daemon = Daemon::start(&[]);
    publish(&daemon, &["c"], "1\n2\n3\n4\n");
    let sub = Sub::start(&daemon, &["c", "--last", "2"], 0);
    let notice = sub.notice("subscribed to c, now at ");
    assert_eq!((sub.line(), sub.line()), ("3".to_owned(), "4".to_owned()));
    let place = notice.split("now at ").nth(1).expect("a place");
    let since = format!("{}:1", place.rsplit_once(':').expect("EPOCH:SEQ").0);
    let output = fanfare(&daemon, &["sub", "c", "--since", &since, "--count", "3"]).output();
    assert_eq!(output.unwrap().stdout, b"2\n3\n4\n");
    let sub = Sub::start(&daemon, &["c", "--since", "another:1"], 1);
    sub.notice("gap in c: 0 to 0 of ");
    assert_eq!(sub.line(), "1");
}

#[test]
fn an_epoch_that_begins_with_a_hyphen_is_no_option() {
    let daemon = Daemon::start(&[]);
    publish(&daemon, &["c"], "1\n");
    let sub = Sub::start(&daemon, &["c", "--since", "-another:1"], 1);
    sub.notice("gap in c: 0 to 0 of ");
    assert_eq!(sub.line(), "1");
}

#[test]
fn a_reader_that_has_enough_ends_it_quietly_even_when_nothing_more_comes() {
    let daemon = Daemon::start(&[]);
    publish(&daemon, &["c"], "1\n2\n3\n");
    let mut child = fanfare(&daemon, &["sub", "c", "--last", "3"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert_eq!(line, "1\n");
    drop(reader);
    let mut sub = Sub {
        child,
        out: channel().1,
        notices: channel().1,
    };
    assert_eq!(sub.wait(), Some(0));
}

#[test]
fn sigint_ends_it_with_0_and_nothing_of_what_was_printed_is_lost() {
    let daemon = Daemon::start(&[]);
    let mut sub = Sub::start(&daemon, &["c"], 1);
    publish(&daemon, &["c"], "1\n2\n");
    assert_eq!((sub.line(), sub.line()), ("1".to_owned(), "2".to_owned()));
    let pid = sub.child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-s", "INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(sub.wait(), Some(0));
}

#[test]
fn a_file_goes_through_as_a_pipe_does() {
    let daemon = Daemon::start(&[]);
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("pub-file.jsonl");
    std::fs::write(&path, "1\n2\n3").unwrap();
    let output = fanfare(&daemon, &["pub", "c"])
        .stdin(File::open(&path).unwrap())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(
        stderr(&output).contains("3 published"),
        "{}",
        stderr(&output)
    );
}

/// What `sub` said about what it did not print.
#[derive(Default)]
struct Gaps {
    /// Numbers of an epoch that will not come.
    missing: Vec<(String, u64, u64)>,
    /// Epochs that the channel was found in.
    epochs: Vec<String>,
}

impl Gaps {
    fn read(&mut self, notices: &Receiver<String>) {
        for line in notices.try_iter() {
            // "… gap in c: FROM to TO of EPOCH will not come (REASON)"
            let Some(gap) = line.split("gap in c: ").nth(1) else {
                continue;
            };
            let words: Vec<&str> = gap.split(' ').collect();
            let number = |at: usize| words[at].parse().expect("a number");
            self.missing
                .push((words[4].to_owned(), number(0), number(2)));
            if gap.ends_with("(epoch)") {
                self.epochs.push(words[4].to_owned());
            }
        }
    }

    fn has(&self, epoch: &str, seq: u64) -> bool {
        let in_gap =
            |(e, from, to): &(String, u64, u64)| e == epoch && (*from..=*to).contains(&seq);
        self.missing.iter().any(in_gap)
    }
}

#[test]
fn a_daemon_killed_ten_times_costs_nothing_that_is_not_announced() {
    let mut daemon = Daemon::start(&[]);
    let listen = daemon.address.to_string();
    let sub = Sub::start(&daemon, &["c"], 1);
    let mut published = HashMap::new();
    let mut epochs = Vec::new();
    let mut printed = Vec::new();
    for round in 0..=10_u64 {
        if round > 0 {
            drop(daemon);
            daemon = Daemon::start_at(&listen, &[]);
        }
        let mut publisher = daemon.connect();
        let until = Instant::now() + PATIENCE;
        let first = round * 10_000;
        let mut data = first;
        // Until the subscriber is back, and for so long that its connection counts as one that settled: else it would
        // wait longer with each round.
        while printed.iter().filter(|&&data| data > first).count() < 30 {
            assert!(Instant::now() < until, "the subscriber did not come back");
            data += 1;
            let request = format!(r#"{{"type":"publish","id":1,"channel":"c","data":{data}}}"#);
            let reply = publisher.ask(&request);
            let epoch = member(&reply, "epoch").trim_matches('"').to_owned();
            if epochs.last() != Some(&epoch) {
                epochs.push(epoch.clone());
            }
            published.insert(data, (epoch, member(&reply, "seq").parse::<u64>().unwrap()));
            printed.extend(sub.out.try_iter().map(|line| line.parse::<u64>().unwrap()));
            thread::sleep(Duration::from_millis(40));
        }
        while printed.last() != Some(&data) {
            printed.push(sub.line().parse().unwrap());
        }
    }
    let mut gaps = Gaps::default();
    gaps.read(&sub.notices);
    assert_eq!(epochs.len(), 11);
    assert_eq!(
        gaps.epochs,
        epochs[1..],
        "each new epoch was announced, in order"
    );
    assert!(
        printed.is_sorted_by(|a, b| a < b),
        "in order, and none twice"
    );
    for (data, (epoch, seq)) in published {
        let accounted = printed.contains(&data) || gaps.has(&epoch, seq);
        assert!(
            accounted,
            "{data}, number {seq} of {epoch}, is neither printed nor in a gap"
        );
    }
}
