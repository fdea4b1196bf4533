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

/// Beginnings of a clause that stand where a noun belongs: "a client", "a subscriber", "a message".
const TWISTED: &[&str] = &[
    "who ",
    "whoever ",
    "whom ",
    "whose ",
    "what who ",
    "closes on who ",
    "of who ",
    "for who ",
    "to who ",
    "with who ",
    "of whom ",
    "nobody who ",
    "somebody who ",
    "everybody who ",
];

/// The clauses of `text` that begin with one of [`TWISTED`]: at a paragraph's beginning, an item's or a cell's, or after a full
/// stop, a colon or a semicolon. Code blocks are left out.
fn twisted_clauses(text: &str) -> Vec<String> {
    let mut paragraphs = vec![String::new()];
    let mut is_code = false;
    for line in text.lines().map(str::trim) {
        is_code ^= line.starts_with("```");
        if line.is_empty() || line.starts_with(['|', '-', '#', '`']) {
            paragraphs.push(String::new());
        }
        if let Some(paragraph) = paragraphs.last_mut().filter(|_| !is_code) {
            paragraph.push_str(line);
            paragraph.push(' ');
        }
    }
    let clauses = paragraphs.iter().flat_map(|paragraph| {
        let ends = [". ", ": ", "; ", "| ", "- ", "# ", ".** "];
        let mut rest = paragraph.as_str();
        std::iter::from_fn(move || {
            let end = ends
                .iter()
                .filter_map(|end| Some(rest.find(end)? + end.len()));
            let (clause, after) = rest.split_at(end.min().unwrap_or(rest.len()));
            rest = after;
            (!clause.is_empty()).then_some(clause)
        })
    });
    let clauses = clauses.filter(|clause| {
        let clause = clause.trim_start_matches([' ', '*']).to_lowercase();
        TWISTED.iter().any(|start| clause.starts_with(start))
    });
    clauses.map(str::to_owned).collect()
}

#[test]
fn a_twisted_clause_is_found_wherever_it_begins() {
    for text in [
        "Who sends nothing is closed.",
        "A line. Whoever reads\nwins.",
        "One thing: what who would keep too much\nof its input waiting is told.",
        "- **Whoever comes** goes.\n- A client",
        "| a limit | 5 s; who waits longer is told |",
        "A line ends here.\nFor who runs the daemon.",
    ] {
        assert_eq!(twisted_clauses(text).len(), 1, "{text}");
    }
    let plain =
        "A proxy decides who gets in.\n\n```\n# Who may\n```\n\nA client that waits is told.";
    assert_eq!(twisted_clauses(plain), [""; 0]);
}

#[test]
fn docs_and_help_name_the_subject_of_each_sentence() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut pages = vec![root.join("README.md"), root.join("tests/interop/README.md")];
    for entry in std::fs::read_dir(root.join("docs")).expect("there is a folder of docs") {
        pages.push(entry.expect("it can be listed").path());
    }
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    assert!(pages.len() > 5, "the docs are somewhere else: {pages:?}");
    for page in pages {
        let text = std::fs::read_to_string(&page).expect("a page is text");
        assert_eq!(twisted_clauses(&text), [""; 0], "{}", page.display());
    }
    for command in [
        &["--help"][..],
        &["serve", "--help"],
        &["sub", "--help"],
        &["pub", "--help"],
        &["allow", "--help"],
        &["restart", "--help"],
        &["check", "--help"],
        &["config", "--help"],
        &["completions", "--help"],
        &["man", "--help"],
    ] {
        let help = stdout(&fanfare(command, &[]));
        assert_eq!(twisted_clauses(&help), [""; 0], "{command:?}");
    }
}
