//! `--token-file`, `FANFARE_TOKEN`, `--user`, and what of certificates stands on the command line.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::common::command::{Running, fanfare_at, stderr};
use crate::common::fake::{Fake, key, serve_all};
use crate::common::tls::{Authority, Front, argument};
use crate::common::{Daemon, header};

/// A server that publishes for who says this, and refuses everybody else.
fn strict(good: &'static str) -> String {
    serve_all(move |fake| {
        let head = fake.request();
        if header(&head, "Authorization").unwrap_or_default() != good {
            return fake.answer("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno");
        }
        publishes(fake, &head);
    })
}

fn publishes(fake: &mut Fake, head: &str) {
    fake.answer(&format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: json.fanfare.v1\r\n\r\n",
        key(head)
    ));
    fake.text(
        r#"{"type":"welcome","protocol":"json.fanfare.v1","server":"t","session":"s","max_message":65536,"features":["auth"],"subject":"j\u001ban"}"#,
    );
    fake.hear();
    fake.text(r#"{"type":"published","id":0,"channel":"c","epoch":"e","seq":1}"#);
    fake.outlast();
}

/// `fanfare pub c 1` with these options and variables.
fn publish(url: &str, options: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = fanfare_at(url, &[&["pub", "c", "1"], options].concat());
    command.envs(variables.iter().copied()).stdin(Stdio::null());
    command
}

fn published(url: &str, options: &[&str], variables: &[(&str, &str)]) -> Output {
    let output = publish(url, options, variables).output().unwrap();
    assert!(!stderr(&output).contains("hush"), "{}", stderr(&output));
    output
}

/// A file that goes away with this.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, content: &str) -> Self {
        let name = format!("fanfare-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, content).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_token_comes_from_a_file_or_the_environment_and_the_file_goes_first() {
    let url = strict("Bearer hush-good");
    let file = Scratch::new("token-good", "hush-good\n");
    let bad = Scratch::new("token-bad", "hush-bad\n");
    let good = ["--token-file", argument(&file.0)];
    for (options, variables) in [
        (&good[..], &[][..]),
        (&good, &[("FANFARE_TOKEN", "hush-bad")]),
        (&[], &[("FANFARE_TOKEN", "hush-good")]),
        (
            &["--header", "Authorization: Bearer hush-good"],
            &[("FANFARE_TOKEN", "hush-bad")],
        ),
    ] {
        let output = published(&url, options, variables);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        // The name by which the server knows this, without what a terminal would obey.
        assert!(
            stderr(&output).contains(r" as j\u{1b}an"),
            "{}",
            stderr(&output)
        );
    }
    let bad = ["--token-file", argument(&bad.0)];
    for (options, variables) in [
        (&bad[..], &[][..]),
        (&[], &[("FANFARE_TOKEN", "hush-bad")]),
        (&[], &[("FANFARE_TOKEN", "")]),
    ] {
        let output = published(&url, options, variables);
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        assert!(stderr(&output).contains("401"), "{}", stderr(&output));
    }
}

#[test]
fn a_file_without_a_token_is_named_and_what_is_in_it_is_not_shown() {
    let empty = Scratch::new("token-empty", "\n");
    let words = Scratch::new("token-words", "hush hush\n");
    for path in [argument(&empty.0), argument(&words.0), "/nowhere/token"] {
        let output = published("ws://127.0.0.1:1", &["--token-file", path], &[]);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(path), "{}", stderr(&output));
    }
    let output = published("ws://127.0.0.1:1", &[], &[("FANFARE_TOKEN", "hush hush")]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}

#[test]
fn a_user_has_a_password_from_the_environment_or_from_a_terminal_and_not_on_the_command_line() {
    let url = strict("Basic bWU6aHVzaA==");
    let variables = [("FANFARE_PASSWORD", "hush")];
    let output = published(&url, &["--user", "me"], &variables);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for user in ["me:hush", "", "m\ne"] {
        let output = published(&url, &["--user", user], &variables);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    }
    let output = published(&url, &["--user", "me:hush"], &[]);
    assert!(
        stderr(&output).contains("FANFARE_PASSWORD"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn without_a_terminal_a_missing_password_is_told() {
    let url = strict("Basic bWU6aHVzaA==");
    let mut command = Command::new("setsid");
    command.args([
        "--wait",
        env!("CARGO_BIN_EXE_fanfare"),
        "pub",
        "c",
        "1",
        "--user",
        "me",
    ]);
    command
        .env_remove("FANFARE_PASSWORD")
        .env("FANFARE_URL", &url);
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("FANFARE_PASSWORD"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    let file = Scratch::new("token-any", "t");
    let token = argument(&file.0);
    for options in [
        &["--token-file", token, "--user", "me"][..],
        &["--token-file", token, "--header", "AUTHORIZATION: x"],
        &["--user", "me", "--header", "Authorization: x"],
        &["--ca", "ca.pem", "--insecure", "--url", "wss://h"],
        &["--key", "key.pem", "--url", "wss://h"],
        &["--ca", "ca.pem"],
        &["--insecure"],
        &["--cert", "c.pem", "--key", "k.pem"],
        &["--ca", "/nowhere/ca.pem", "--url", "wss://127.0.0.1:1"],
    ] {
        let output = published("ws://127.0.0.1:1", options, &[("FANFARE_PASSWORD", "x")]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{options:?}: {said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[test]
fn a_secret_that_goes_over_a_network_in_the_clear_is_warned_of() {
    let token = [("FANFARE_TOKEN", "hush")];
    // There is no such host, and no need for one.
    let output = published("ws://fanfare.invalid", &[], &token);
    assert!(
        stderr(&output).contains("in the clear"),
        "{}",
        stderr(&output)
    );
    for url in [
        "ws://127.0.0.1:1",
        "ws://localhost:1",
        "wss://fanfare.invalid",
        "unix:/nowhere",
    ] {
        let output = published(url, &[], &token);
        assert!(
            !stderr(&output).contains("in the clear"),
            "{}",
            stderr(&output)
        );
    }
    let output = published("ws://fanfare.invalid", &[], &[]);
    assert!(!stderr(&output).contains("in the clear"));
}

#[test]
fn a_token_in_the_url_is_not_shown() {
    let output = published("ws://127.0.0.1:1/?token=hush", &[], &[]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("token=…"), "{}", stderr(&output));
}

#[test]
fn certificates_are_checked_against_the_file_that_is_given_or_not_at_all_with_a_warning() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let daemon = Daemon::start(&[]);
    let plain = format!("ws://{}", daemon.address);
    let config = Authority::server(&authority.sign(&["localhost"]), Some(&clients));
    let front = Front::start(&plain, config);
    let own = clients.sign(&["a client"]);
    let file = authority.file();
    let ca = ["--ca", argument(&file)];
    let certificate = [
        "--cert",
        argument(&own.certificate),
        "--key",
        argument(&own.key),
    ];
    let publish = |host: &str, options: &[&[&str]]| {
        let output = published(&front.url(host), &options.concat(), &[]);
        (output.status.code(), stderr(&output))
    };
    let (code, said) = publish("localhost", &[&ca, &certificate]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("connected to wss://localhost"), "{said}");
    let (code, said) = publish("127.0.0.1", &[&ca, &certificate]);
    assert!(
        code == Some(3) && said.contains("it is for localhost"),
        "{said}"
    );
    let (code, said) = publish("localhost", &[&ca]);
    assert!(code == Some(3) && said.contains("--cert FILE"), "{said}");
    let (code, said) = publish("127.0.0.1", &[&["--insecure"], &certificate]);
    assert!(code == Some(0) && said.contains("--insecure: "), "{said}");

    // Both in one file, as other programs take them.
    let read = |path| std::fs::read_to_string(path).unwrap();
    let both = read(&own.certificate) + &read(&own.key);
    let both = clients.write("both.pem", &both);
    let (code, said) = publish("localhost", &[&ca, &["--cert", argument(&both)]]);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_subscriber_goes_on_over_an_encrypted_connection() {
    let authority = Authority::new();
    let daemon = Daemon::start(&[]);
    let plain = format!("ws://{}", daemon.address);
    let config = Authority::server(&authority.sign(&["localhost"]), None);
    let front = Front::start(&plain, config);
    let file = authority.file();
    let mut command = fanfare_at(
        &front.url("localhost"),
        &["sub", "c", "--count", "2", "--ca", argument(&file)],
    );
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut sub = Running::spawn(command);
    sub.notice("subscribed to");
    for n in ["1", "2"] {
        let output = fanfare_at(&plain, &["pub", "c", n]).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(sub.line(), n);
    }
    assert_eq!(sub.wait(), Some(0));
}

#[test]
fn a_password_in_the_url_is_refused_and_not_repeated() {
    for command in [&["sub", "a"][..], &["pub", "a", "1"]] {
        let url = "ws://ada:open-sesame@127.0.0.1:9";
        let output = Command::new(env!("CARGO_BIN_EXE_fanfare"))
            .args(command)
            .args(["--url", url])
            .output()
            .expect("it runs");
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("--user"), "{said}");
        assert!(!said.contains("open-sesame"), "{said}");
    }
}
