//! `fanfare sub` and `fanfare pub` from outside: what they print, and how they end.

#[path = "../common/mod.rs"]
mod common;

mod features;
mod hostile;
mod identity;
mod payloads;
mod publish;
mod restarts;
mod signals;
mod streams;
mod sub;

use common::Daemon;
use common::command::{fanfare, fanfare_at, publish, stderr};

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
        &["pub", "c", "1", "--url", "wss://"],
        &["pub", "c", "1", "--url", "http://h"],
        &["sub", "c", "--header", "nothing"],
        &["sub", "c", "--header", "Host: h"],
        &["sub", "c", "--count", "-1"],
        &["sub", "prices.*", "prices.*"],
        &["sub", "prices.o*"],
        &["sub", "prices.>", "a", "--since", "e:1"],
        &["sub", "c", "--raw", "--full"],
        &["pub", "prices.*", "1"],
        &["pub", "c", "1", "--raw", "--text"],
        &["pub", "c", "1", "--key-prefix", ""],
        &[
            "pub",
            "c",
            "1",
            "--key-prefix",
            "a prefix of forty-eight bytes is longer than any",
        ],
    ] {
        let output = fanfare(&daemon, arguments).output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(!said.is_empty() && !said.contains("panicked"), "{said}");
    }
}

#[test]
fn an_empty_url_in_the_environment_is_none() {
    // Without messages to wait for it ends before it connects to whatever may be at the default URL.
    let empty = fanfare_at("", &["sub", "c", "--count", "0"]).output();
    assert_eq!(empty.unwrap().status.code(), Some(0));
    for (url, arguments) in [
        ("nonsense", &["sub", "c"][..]),
        ("", &["sub", "c", "--url", ""]),
    ] {
        let output = fanfare_at(url, arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains("URL"), "{}", stderr(&output));
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
