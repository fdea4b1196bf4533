//! Names with passwords, over real sockets: helper threads check them.

mod common;

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{Daemon, handshake, read_answer};

/// A folder of the test's own with these files, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let name = format!("fanfare-passwords-{}-{name}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        Folder(folder)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let file = self.0.join(name);
        std::fs::write(&file, text).expect("a file");
        file.to_str().expect("UTF-8").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const RULES: &str = "[[allow]]\nwho = 'basic:ada'\nsubscribe = ['a']\npublish = ['a']\n";

fn entry(name: &str, password: &str) -> String {
    format!("{name}:{}\n", bcrypt::hash(password, 4).expect("a hash"))
}

fn basic(pair: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(pair))
}

fn post(pair: &str) -> String {
    let basic = basic(pair);
    format!("POST /channels/a HTTP/1.1\r\nHost: localhost\r\n{basic}Content-Length: 1\r\n\r\n1")
}

#[test]
fn who_sends_a_password_that_is_right_comes_in_and_after_a_reload_only_by_the_new_one() {
    let folder = Folder::new("reload");
    let rules = folder.write("fanfare.toml", RULES);
    let file = folder.write("htpasswd", &(entry("ada", "first") + &entry("bob", "x")));
    let mut daemon = Daemon::start(&["--config", &rules, "--htpasswd", &file]);
    daemon.wait_for_log("passwords of 2 names");
    for (pair, status) in [
        ("ada:first", 201),
        ("ada:second", 401),
        ("eve:first", 401),
        ("bob:x", 403),
    ] {
        let answer = daemon.answer(&post(pair));
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
    }
    let refused = daemon.answer(&handshake("/ws", &basic("ada:second")));
    assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
    assert!(
        refused.contains("WWW-Authenticate: Basic realm=\"fanfare\", charset=\"UTF-8\"\r\n"),
        "{refused}"
    );
    let mut client = daemon.open("/ws", &basic("ada:first"));
    assert!(client.text().contains(r#""subject":"ada""#));
    let answer = client.ask(r#"{"type":"subscribe","id":1,"channel":"a"}"#);
    assert!(answer.contains(r#""type":"subscribed""#), "{answer}");

    folder.write("htpasswd", &entry("ada", "second"));
    daemon.signal("HUP");
    let (code, reason) = client.close();
    assert_eq!(
        (code, reason.as_str()),
        (4401, "the password does not hold any more")
    );
    for (pair, status) in [("ada:first", 401), ("ada:second", 201)] {
        let answer = daemon.answer(&post(pair));
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
    }

    folder.write("htpasswd", "ada:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n");
    daemon.signal("HUP");
    let warning = daemon.wait_for_log("htpasswd:1: \"ada\": the hash is not one of bcrypt");
    assert!(
        warning.contains("all stays as it was") && !warning.contains("5en6"),
        "{warning}"
    );
    let answer = daemon.answer(&post("ada:second"));
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
}

#[test]
fn many_connections_with_the_same_password_are_all_let_in() {
    let folder = Folder::new("many");
    let rules = folder.write("fanfare.toml", RULES);
    let file = folder.write("htpasswd", &entry("ada", "x"));
    let daemon = Daemon::start(&["--config", &rules, "--htpasswd", &file]);
    let mut streams: Vec<_> = (0..50).map(|_| daemon.raw()).collect();
    for stream in &mut streams {
        let request = post("ada:x");
        stream.write_all(request.as_bytes()).expect("it goes out");
    }
    for stream in &mut streams {
        let answer = read_answer(stream);
        assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    }
}

#[test]
fn a_file_that_makes_no_sense_stops_the_start_and_is_told_line_by_line() {
    let folder = Folder::new("mistakes");
    let file = folder.write("htpasswd", "ada\nbob:secret\n");
    let output = Command::new(env!("CARGO_BIN_EXE_fanfare"))
        .args(["serve", "--listen", "127.0.0.1:0", "--htpasswd", &file])
        .output()
        .expect("it ends");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    for words in [
        "htpasswd:1: the line has no colon",
        "htpasswd:2: \"bob\": the hash is not one of bcrypt: `htpasswd -B FILE NAME`",
    ] {
        assert!(told.contains(words), "{told}");
    }
    assert!(!told.contains("secret"), "{told}");
}
