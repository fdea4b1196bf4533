//! The command line from outside: what a person reads who asks it, or who gets it wrong.

use std::path::PathBuf;
use std::process::{Command, Output};

/// Runs the built binary with nothing of fanfare's in its environment but `variables`.
fn fanfare(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("FANFARE_") {
            command.env_remove(name);
        }
    }
    command
        .args(arguments)
        .envs(variables.iter().copied())
        .output()
        .expect("the binary runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("it prints UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("it prints UTF-8")
}

/// Runs it and expects a refusal, whose text is returned.
fn refused(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let output = fanfare(arguments, variables);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    assert!(
        output.stdout.is_empty(),
        "{arguments:?}: a refusal belongs on stderr"
    );
    assert!(!said.contains("panicked"), "{arguments:?}: {said}");
    said
}

/// A configuration file of one test's own.
struct File(PathBuf);

impl File {
    fn new(test: &str, text: &str) -> File {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}.toml"));
        std::fs::write(&path, text).expect("a temporary file");
        File(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("a path in UTF-8")
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn help_names_the_commands() {
    let output = fanfare(&["--help"], &[]);
    assert!(output.status.success());
    assert!(stdout(&output).contains("serve"), "{}", stdout(&output));
}

#[test]
fn help_for_serve_shows_options_under_headings_with_defaults_and_units() {
    let output = fanfare(&["serve", "--help"], &[]);
    assert!(output.status.success());
    let help = stdout(&output);
    let parts = [
        "Listening:",
        "--listen <ADDR>",
        "127.0.0.1:8040]",
        "Channels:",
        "--retain-bytes <SIZE>",
        "[default: 1MiB]",
        "Limits:",
        "Times:",
        "--ping-interval <TIME>",
        "Compression:",
        "--deflate <on|off>",
        "SIZE is a number of bytes",
        "TIME is a number of seconds",
        "FANFARE_RETAIN_BYTES",
        "[[channel]]",
        "SIGTERM",
    ];
    for part in parts {
        assert!(help.contains(part), "{part:?} is missing in\n{help}");
    }
}

#[test]
fn version_is_the_packages() {
    let output = fanfare(&["--version"], &[]);
    assert!(output.status.success());
    assert_eq!(
        stdout(&output),
        format!("fanfare {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn a_command_line_that_makes_no_sense_is_refused_with_what_is_wrong() {
    let cases: &[(&[&str], &str)] = &[
        (&[], "Usage: fanfare <COMMAND>"),
        (&["sing"], "unrecognized subcommand 'sing'"),
        (&["serve", "prices"], "unexpected argument 'prices'"),
        (
            &["serve", "--retain-byte", "1"],
            "a similar argument exists: '--retain-bytes'",
        ),
        (
            &["serve", "--retain-bytes"],
            "a value is required for '--retain-bytes <SIZE>'",
        ),
        (
            &["serve", "--outbox", "4KiB", "--outbox", "4KiB"],
            "cannot be used multiple times",
        ),
        (
            &["serve", "--retain-bytes", "1xb"],
            "fanfare: --retain-bytes: \"1xb\" is not a size",
        ),
        (
            &["serve", "--max-message", "0"],
            "fanfare: --max-message: \"0\" is out of range: give 1B",
        ),
        (
            &["serve", "--ping-interval", "-5"],
            "fanfare: --ping-interval: \"-5\" is not a time",
        ),
        (
            &["serve", "--on-lag", "drop"],
            "give one of skip, latest, close",
        ),
        (
            &["serve", "--deflate", "maybe"],
            "\"maybe\" is neither on nor off",
        ),
        (
            &["serve", "--echo=maybe"],
            "fanfare: --echo: \"maybe\" is neither on nor off",
        ),
        (
            &["serve", "--listen", "8040"],
            "fanfare: --listen: \"8040\" is not an address",
        ),
        (
            &["serve", "--retain-bytes", "0", "--retain-total", "0"],
            "set one of the two",
        ),
        (
            &["serve", "--config", "/nowhere.toml"],
            "fanfare: /nowhere.toml: the file can't be read",
        ),
    ];
    for (arguments, expected) in cases {
        let said = refused(arguments, &[]);
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
}

#[test]
fn every_mistake_of_a_file_is_told_on_a_line_of_its_own() {
    let file = File::new(
        "mistakes",
        "retain_byte = 1\n\n[[channel]]\nmatch = \"a\"\non_lag = 1\n",
    );
    let said = refused(&["serve", "--config", file.path()], &[]);
    let lines: Vec<&str> = said.lines().collect();
    let path = file.path();
    assert_eq!(lines.len(), 2, "{said}");
    let unknown = format!("fanfare: {path}:1:1: unknown key \"retain_byte\"; allowed here: ");
    assert!(lines[0].starts_with(&unknown), "{said}");
    let bad = format!("fanfare: {path}:5:10: on_lag: \"1\" is not known here: give one of skip");
    assert!(lines[1].starts_with(&bad), "{said}");
}

#[test]
fn a_file_that_is_no_toml_is_refused_with_its_line() {
    let file = File::new("no-toml", "echo = true\nthis is no TOML\n");
    let said = refused(&["serve", "--config", file.path()], &[]);
    assert!(
        said.starts_with(&format!("fanfare: {}:2:", file.path())),
        "{said}"
    );
}

#[test]
fn a_bad_variable_is_named() {
    let said = refused(&["serve"], &[("FANFARE_HELD_TOTAL", "much")]);
    assert!(
        said.starts_with("fanfare: FANFARE_HELD_TOTAL: \"much\" is not a size"),
        "{said}"
    );
    let said = refused(&["serve"], &[("FANFARE_CONFIG", "/nowhere.toml")]);
    assert!(said.starts_with("fanfare: /nowhere.toml: "), "{said}");
}
