//! `--text`, `--raw`, `--key-prefix` and patterns, with the daemon.

use std::io::Write;
use std::process::Stdio;
use std::sync::atomic::Ordering;
use std::thread;

use crate::common::Daemon;
use crate::common::command::{Running, fanfare, fanfare_at, publish, stderr};
use crate::common::relay::relay;

#[test]
fn texts_and_bytes_go_through_the_commands_unchanged() {
    let daemon = Daemon::start(&[]);
    let texts = "a \"b\"\n\n\t[1] \u{e9}\u{0}\u{1b}\n";
    let sub = |count: &str| {
        let mut command = fanfare(&daemon, &["sub", "--raw", "c", "--count", count]);
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut running = child;
        let mut notices = std::io::BufReader::new(running.stderr.take().expect("it is piped"));
        let mut line = String::new();
        while !line.contains("subscribed to") {
            line.clear();
            std::io::BufRead::read_line(&mut notices, &mut line).expect("it goes on");
        }
        // What else it says is read so that it need not wait.
        thread::spawn(move || std::io::copy(&mut notices, &mut std::io::sink()));
        running
    };
    let running = sub("3");
    let output = publish(&daemon, &["--text", "c"], texts);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let printed = running.wait_with_output().unwrap().stdout;
    assert_eq!(printed, texts.as_bytes());

    let bytes: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    let running = sub("1");
    let mut child = fanfare(&daemon, &["pub", "--raw", "c"])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&bytes).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(running.wait_with_output().unwrap().stdout == bytes);
}

#[test]
fn a_pattern_follows_channels_that_come_later() {
    let daemon = Daemon::start(&[]);
    let sub = Running::sub(&daemon, &["prices.*"], 1);
    publish(&daemon, &["prices.oak"], "1\n");
    publish(&daemon, &["weather"], "2\n");
    publish(&daemon, &["prices.ash"], "3\n");
    assert_eq!(
        sub.line(),
        r#"{"type":"message","pattern":"prices.*","seq":1,"channel":"prices.oak","channel_seq":1,"data":1}"#
    );
    assert_eq!(
        sub.line(),
        r#"{"type":"message","pattern":"prices.*","seq":2,"channel":"prices.ash","channel_seq":1,"data":3}"#
    );
}

#[test]
fn the_same_lines_with_the_same_keys_are_published_once() {
    let daemon = Daemon::start(&[]);
    for _ in 0..2 {
        let output = publish(&daemon, &["--key-prefix", "a", "c"], "1\n2\n3\n");
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(stderr(&output).contains("3 published"));
    }
    let output = fanfare(&daemon, &["sub", "c", "--last", "9", "--count", "3"]).output();
    assert_eq!(output.unwrap().stdout, b"1\n2\n3\n");
    let output = publish(&daemon, &["--key-prefix", "b", "c"], "4\n");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let place = fanfare(&daemon, &["pub", "c", "5"]).output().unwrap();
    assert!(
        stderr(&place).trim_end().ends_with(":5"),
        "{}",
        stderr(&place)
    );
}

#[test]
fn a_connection_that_is_cut_costs_no_line_and_doubles_none() {
    const LINES: usize = 60_000;
    const CUTS: [u64; 4] = [90_001, 5, 412_345, 1_000];
    let daemon = Daemon::start(&["--retain-messages", "0", "--retain-bytes", "64MiB"]);
    let (url, cut) = relay(&daemon, &CUTS);
    let lines: String = (1..=LINES).map(|n| format!("{n}\n")).collect();
    let mut child = fanfare_at(&url, &["pub", "--key-prefix", "a", "n"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = lines.clone();
    let writing = thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap().unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains(&format!("{LINES} published")), "{said}");
    assert_eq!(cut.load(Ordering::Relaxed), CUTS.len() as u64, "{said}");
    let count = LINES.to_string();
    let arguments = ["sub", "n", "--last", "1000000", "--count", &count];
    let log = fanfare(&daemon, &arguments).output().unwrap();
    assert!(log.stdout == lines.as_bytes());
    let next = fanfare(&daemon, &["pub", "n", "0"]).output().unwrap();
    let place = format!(":{}", LINES + 1);
    assert!(
        stderr(&next).trim_end().ends_with(&place),
        "{}",
        stderr(&next)
    );
}
