//! Signals end the commands in order, and shells see which it was.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;

use crate::common::command::{Running, fanfare, fanfare_at, publish, with_url};
use crate::common::fake::serve;
use crate::common::{Daemon, PATIENCE};

/// The signals that end a command, with their numbers, but for those that this test was started to ignore: so are its children.
fn ending() -> Vec<(&'static str, i32)> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.map_or(0, |mask| {
        u64::from_str_radix(mask.trim(), 16).expect("a mask in hexadecimal")
    });
    let mut signals = vec![("HUP", 1), ("INT", 2), ("TERM", 15)];
    signals.retain(|(_, number)| ignored >> (number - 1) & 1 == 0);
    signals
}

#[test]
fn sub_ends_by_the_signal_with_a_summary_and_nothing_of_what_it_took_is_lost() {
    let daemon = Daemon::start(&[]);
    for (name, number) in ending() {
        let mut sub = Running::sub(&daemon, &["c"], 1);
        publish(&daemon, &["c"], "1\n2\n");
        assert_eq!((sub.line(), sub.line()), ("1".to_owned(), "2".to_owned()));
        sub.signal(name);
        sub.notice("2 messages, the last at ");
        assert_eq!(sub.wait_for_death(), Some(number), "{name}");
    }
}

#[test]
fn pub_ends_by_the_signal_and_says_what_was_published_and_what_was_not_sent() {
    let daemon = Daemon::start(&[]);
    for (name, number) in ending() {
        let reader = Running::sub(&daemon, &["c"], 1);
        let mut command = fanfare(&daemon, &["pub", "c"]);
        command.stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut publisher = Running::spawn(command);
        let mut stdin = publisher.child.stdin.take().expect("stdin is piped");
        // The half of a line at the end is none.
        stdin.write_all(b"1\n2\n3").expect("it reads");
        assert_eq!(
            (reader.line(), reader.line()),
            ("1".to_owned(), "2".to_owned())
        );
        publisher.signal(name);
        publisher.notice("nothing after line 2 was sent");
        publisher.notice("2 published in ");
        assert_eq!(publisher.wait_for_death(), Some(number), "{name}");
    }
}

#[test]
fn a_server_that_does_not_answer_the_goodbye_is_not_waited_for() {
    for (name, number) in ending() {
        for (arguments, summary) in [
            (&["sub", "c"][..], "0 messages"),
            (
                &["pub", "c", "1"],
                "the message has no answer: it may be published or not",
            ),
            (&["pub", "c"], "0 published in "),
        ] {
            let (sender, asked) = channel();
            let url = serve(move |fake| {
                fake.welcome();
                fake.hear();
                sender.send(()).expect("the test waits");
                fake.outlast();
            });
            let mut command = fanfare_at(&url, arguments);
            command.stdin(Stdio::piped()).stderr(Stdio::piped());
            let mut running = Running::spawn(command);
            let mut stdin = running.child.stdin.take().expect("stdin is piped");
            stdin.write_all(b"1\n").expect("it reads");
            asked.recv_timeout(PATIENCE).expect("it asks");
            running.signal(name);
            running.notice(summary);
            assert_eq!(running.wait_for_death(), Some(number), "{arguments:?}");
        }
    }
}

#[test]
fn a_signal_that_is_ignored_from_the_start_stays_ignored() {
    let daemon = Daemon::start(&[]);
    let mut nohup = Command::new("nohup");
    nohup.arg(env!("CARGO_BIN_EXE_fanfare"));
    let url = format!("ws://{}", daemon.address);
    let mut command = with_url(nohup, &url, &["sub", "c", "--count", "1"]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut sub = Running::spawn(command);
    sub.notice("subscribed to");
    sub.signal("HUP");
    publish(&daemon, &["c"], "1\n");
    assert_eq!(sub.line(), "1");
    assert_eq!(sub.wait(), Some(0));
}
