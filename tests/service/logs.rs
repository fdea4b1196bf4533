//! The daemon's log as programs read it, and who says what is in it.

use std::fs;

use super::common::Daemon;
use super::{Folder, fanfare};

/// A daemon with this environment beside.
fn daemon(arguments: &[&str], environment: &[(&str, &str)]) -> Daemon {
    let mut command = fanfare(&["serve", "--listen", "127.0.0.1:0"]);
    command.args(arguments).envs(environment.iter().copied());
    Daemon::spawn(command)
}

fn json(line: &str) -> serde_json::Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

#[test]
fn each_line_of_json_has_a_time_a_level_a_target_and_a_message() {
    let mut daemon = daemon(&["--log-format", "json", "--log", "debug"], &[]);
    let line = json(&daemon.wait_for_log("listening on ws://"));
    let member = |name: &str| line[name].as_str().expect("a text").to_owned();
    assert_eq!(member("level"), "info");
    assert_eq!(member("target"), "fanfare::server");
    assert!(member("message").starts_with("fanfare/"));
    let (date, time) = (&member("timestamp")[..10], &member("timestamp")[10..]);
    assert_eq!(date.split('-').map(str::len).collect::<Vec<_>>(), [4, 2, 2]);
    assert!(
        time.len() == 14 && time.starts_with('T') && time.ends_with('Z'),
        "{time}"
    );
    assert_eq!(line.as_object().expect("an object").len(), 4);
    // What a client sends is one line, whatever it has in it.
    let mut client = daemon.connect();
    client.ask(r#"{"type":"subscribe","channel":"a\"\n\u001b[2J"}"#);
    let line = json(&daemon.wait_for_log("refused with"));
    assert_eq!(line["level"], "debug");
}

#[test]
fn rust_log_says_what_is_logged_unless_fanfare_log_or_a_flag_does() {
    let rust_log = ("RUST_LOG", "error,fanfare::server=debug");
    let mut of_rust_log = daemon(&[], &[rust_log]);
    let _client = of_rust_log.connect();
    of_rust_log.wait_for_log("DEBUG fanfare::server::journal] ");
    let level = |arguments: &[&str], environment: &[(&str, &str)]| {
        let mut command = fanfare(&["config"]);
        command.args(arguments).envs(environment.iter().copied());
        let (_, printed, errors) = super::said(command.output().expect("it runs"));
        let line = printed.lines().find(|line| line.starts_with("log = "));
        line.unwrap_or(&errors).to_owned()
    };
    let folder = Folder::new("rust-log");
    let file = folder.file("f.toml", "log = 'trace'\n");
    let file = ["--config", file.as_str()];
    let own = ("FANFARE_LOG", "off");
    assert_eq!(
        level(&file, &[("RUST_LOG", "warn")]),
        "log = \"warn\"  # RUST_LOG"
    );
    assert_eq!(
        level(&file, &[("RUST_LOG", "warn"), own]),
        "log = \"off\"  # FANFARE_LOG"
    );
    assert_eq!(level(&["--log", "info"], &[own]), "log = \"info\"  # --log");
    assert!(
        level(&[], &[("RUST_LOG", "loud")])
            .starts_with("fanfare: RUST_LOG: \"loud\" is not known here")
    );
}

#[test]
fn level_and_format_follow_a_reload_and_a_bad_file_changes_neither() {
    let folder = Folder::new("log-reload");
    let file = folder.file("f.toml", "");
    let mut daemon = daemon(&["--config", &file], &[]);
    fs::write(&file, "log = 'debug'\nlog_format = 'json'\n").expect("it is written");
    daemon.signal("HUP");
    let line = json(&daemon.next_log("SIGHUP: access: "));
    assert_eq!(line["level"], "info");
    let _client = daemon.connect();
    assert_eq!(
        json(&daemon.next_log("opened a WebSocket"))["level"],
        "debug"
    );
    // Whatever is wrong, in it or in a file that it names.
    for text in [
        "log = 'info'\nlog_format = 'xml'\n",
        "log = 'info'\nhtpasswd = '/nowhere'\n",
    ] {
        fs::write(&file, text).expect("it is written");
        daemon.signal("HUP");
        json(&daemon.next_log("stay"));
        let _client = daemon.connect();
        json(&daemon.next_log("opened a WebSocket"));
    }
}
