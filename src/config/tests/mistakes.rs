//! Each kind of mistake with the words that name it, and all of them at once.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::{Listen, ServeArgs, TempFile, Told};

/// Each problem of this file, in order, by its beginning.
pub(super) fn expect_problems(file: &str, beginnings: &[&str]) {
    let problems = Told {
        file,
        ..Told::default()
    }
    .problems();
    assert_eq!(problems.len(), beginnings.len(), "{problems:#?}");
    for (problem, beginning) in problems.iter().zip(beginnings) {
        assert!(problem.starts_with(beginning), "{problem}\n{beginning}");
    }
}

#[test]
fn each_mistake_in_a_file_is_told_with_its_place_and_what_is_allowed() {
    let cases: &[(&str, &str)] = &[
        (
            "\n\n  retain_byte = 1",
            "f.toml:3:3: unknown key \"retain_byte\"; allowed here: [[allow]], [[channel]], [[tls]], listen, socket_mode, ",
        ),
        (
            "# ü\nlog = 'ü'",
            "f.toml:2:7: log: \"ü\" is not known here: give one of off, error, warn, info, debug, trace",
        ),
        (
            "on_lag = \"drop\"",
            "f.toml:1:10: on_lag: \"drop\" is not known here: give one of skip, latest, close",
        ),
        (
            "retain_bytes = \"1xb\"",
            "f.toml:1:16: retain_bytes: \"1xb\" is not a size: give a whole number of bytes",
        ),
        (
            "retain_bytes = 1.5",
            "f.toml:1:16: retain_bytes: \"1.5\" is not a size",
        ),
        (
            "retain_bytes = -1",
            "f.toml:1:16: retain_bytes: \"-1\" is not a size",
        ),
        (
            "retain_bytes = [1, 2]",
            "f.toml:1:16: retain_bytes: takes one value, not a list",
        ),
        (
            "retain_bytes = 99999999999999999999",
            "f.toml:1:16: retain_bytes: \"99999999999999999999\" is too large",
        ),
        (
            "retain_bytes = {}",
            "f.toml:1:16: retain_bytes: a table stands where a string or a number is wanted",
        ),
        (
            "retain_bytes = 2020-01-01",
            "f.toml:1:16: retain_bytes: a date stands where",
        ),
        (
            "max_message = 0",
            "f.toml:1:15: max_message: \"0\" is out of range: give 1B to 1GiB",
        ),
        (
            "max_message = '2GiB'",
            "f.toml:1:15: max_message: \"2GiB\" is out of range: give 1B to 1GiB",
        ),
        (
            "max_header = 0",
            "f.toml:1:14: max_header: \"0\" is out of range: give 512B to 64KiB",
        ),
        (
            "outbox = 0",
            "f.toml:1:10: outbox: \"0\" is out of range: give 1KiB to 1GiB",
        ),
        (
            "send_buffer = '4GiB'",
            "f.toml:1:15: send_buffer: \"4GiB\" is out of range: give 0B to",
        ),
        (
            "deflate_level = 0",
            "f.toml:1:17: deflate_level: \"0\" is out of range: give 1 to 9; deflate = off",
        ),
        (
            "socket_mode = 0x1b0",
            "f.toml:1:15: socket_mode: \"0x1b0\" is not a mode: give its permissions in octal",
        ),
        (
            "socket_group = 'no such group'",
            "f.toml:1:16: socket_group: \"no such group\" is not a group in /etc/group: give",
        ),
        (
            "echo = 'yes'",
            "f.toml:1:8: echo: \"yes\" is neither on nor off",
        ),
        (
            "stall_timeout = '1d'",
            "f.toml:1:17: stall_timeout: \"1d\" is not a time",
        ),
        ("listen = []", "f.toml:1:10: listen: the list is empty"),
        (
            "listen = [[]]",
            "f.toml:1:11: listen: an array stands where",
        ),
        (
            "listen = 'nowhere'",
            "f.toml:1:10: listen: \"nowhere\" is not an address: give HOST:PORT",
        ),
        ("config = 'x'", "f.toml:1:1: unknown key \"config\""),
        ("echo = true\necho = true", "f.toml:2:1: duplicate key"),
        ("echo = ", "f.toml:1:8: "),
        (
            "[retain]\nbytes = 1",
            "f.toml:1:2: unknown key \"retain\"; allowed here: ",
        ),
        (
            "[channel]\nmatch = 'a'",
            "f.toml:1:1: channel: a pattern's block begins with [[channel]]",
        ),
        (
            "channel = [1]",
            "f.toml:1:12: channel: an integer stands where a table is wanted",
        ),
        (
            "[[channel]]\non_lag = 'skip'",
            "f.toml:1:1: this [[channel]] has no match",
        ),
        (
            "[[channel]]\nmatch = 5",
            "f.toml:2:9: match: an integer stands where a string is wanted",
        ),
        (
            "[[channel]]\nmatch = 'a..b'",
            "f.toml:2:9: match: \"a..b\" is not a pattern: a pattern has no empty part",
        ),
        (
            "[[channel]]\nmatch = 'a'\necho = true",
            "f.toml:3:1: \"echo\" is for all channels and stands before the first block; allowed here: match, retain_bytes, retain_messages, retain_seconds, on_lag",
        ),
        (
            "[[channel]]\nmatch = 'a'\nx = 1",
            "f.toml:3:1: unknown key \"x\"; allowed here: match, retain_bytes, retain_messages, retain_seconds, on_lag",
        ),
        (
            "[[channel]]\nmatch = 'a'\non_lag = 'x'",
            "f.toml:3:10: on_lag: \"x\" is not known here",
        ),
        (
            "[[channel]]\nmatch = 'a.*'\n[[channel]]\nmatch = 'a.b'",
            "f.toml:4:9: match: \"a.b\" is never reached, since \"a.*\" before it matches the same channels (f.toml:2:9: match)",
        ),
        (
            "retain_bytes = 0\nretain_total = 0",
            "f.toml:1:16: retain_bytes: 0 means no limit, and retain_total is 0 too",
        ),
        (
            "retain_total = 0\n[[channel]]\nmatch = 'a'\nretain_bytes = 0",
            "f.toml:4:16: retain_bytes: 0 means no limit, and retain_total is 0 too",
        ),
    ];
    for (file, beginning) in cases {
        let problems = Told {
            file,
            ..Told::default()
        }
        .problems();
        assert_eq!(problems.len(), 1, "{file}: {problems:?}");
        assert!(
            problems[0].starts_with(beginning),
            "{file}:\n  {}\n  {beginning}",
            problems[0]
        );
        assert!(!problems[0].contains('\n'), "{file}: {problems:?}");
    }
}

#[test]
fn all_mistakes_of_a_file_are_told_at_once_in_its_order() {
    let file = "zzz = 1\naaa = 1\n[[channel]]\nmatch = ''\n";
    let problems = Told {
        file,
        ..Told::default()
    }
    .problems();
    let places: Vec<&str> = problems
        .iter()
        .map(|p| &p[..p.find(": ").unwrap_or(0)])
        .collect();
    assert_eq!(places, ["f.toml:1:1", "f.toml:2:1", "f.toml:4:9"]);
}

#[test]
fn a_block_is_checked_to_its_end_whatever_is_wrong_with_its_pattern() {
    let file = "[[channel]]\nmatch = 'a..b'\non_lag = 'x'\nzzz = 1\n\
                [[channel]]\nretain_bytes = 'lots'\nretain_seconds = 'soon'\n\
                [[channel]]\nmatch = 5\nretain_messages = []\n";
    let beginnings = [
        "f.toml:2:9: match: \"a..b\" is not a pattern",
        "f.toml:3:10: on_lag: \"x\" is not known here",
        "f.toml:4:1: unknown key \"zzz\"",
        "f.toml:5:1: this [[channel]] has no match",
        "f.toml:6:16: retain_bytes: \"lots\" is not a size",
        "f.toml:7:18: retain_seconds: \"soon\" is not a time",
        "f.toml:9:9: match: an integer stands where",
        "f.toml:10:19: retain_messages: takes one value",
    ];
    expect_problems(file, &beginnings);
}

#[test]
fn mistakes_of_values_keys_and_blocks_are_told_together_in_the_files_order() {
    let file = "max_message = 0\nzzz = 1\nlisten = ['nowhere', 5, 'unix:/a', 'unix:/a']\n\
                [[channel]]\nmatch = ''\n[[channel]]\nmatch = 'a'\non_lag = 'x'\n";
    let beginnings = [
        "f.toml:1:15: max_message: \"0\" is out of range",
        "f.toml:2:1: unknown key \"zzz\"",
        "f.toml:3:11: listen: \"nowhere\" is not an address",
        // A number is read as it is written, and is no address.
        "f.toml:3:22: listen: \"5\" is not an address",
        "f.toml:3:36: listen: \"unix:/a\" is unix:/a, which is in the list already",
        "f.toml:5:9: match: \"\" is not a pattern",
        "f.toml:8:10: on_lag: \"x\" is not known here",
    ];
    expect_problems(file, &beginnings);
}

#[test]
fn a_mistake_of_syntax_hides_no_other_and_is_told_once() {
    let file = "echo = \nlog = 'loud'\non_lag = 'skip' 'close'\necho = on\nmax_header = 1\n\
                [[channel]]\nmatch = a\nretain_bytes = 'lots'\n[[channel]]\non_lag = 'x'\nmatch\n";
    let problems = Told {
        file,
        ..Told::default()
    }
    .problems();
    let places: Vec<&str> = problems
        .iter()
        .map(|p| p.split(':').nth(1).unwrap_or_default())
        .collect();
    assert_eq!(
        places,
        ["1", "2", "3", "4", "5", "7", "8", "10", "11"],
        "{problems:#?}"
    );
}

#[test]
fn what_stands_below_a_header_that_cannot_be_read_is_not_said_to_be_misplaced() {
    let file = "max_header = 1\n[[channel]\nmatch = 'a'\non_lag = 'skip'\n";
    let beginnings = [
        "f.toml:1:14: max_header: \"1\" is out of range",
        "f.toml:2:",
    ];
    expect_problems(file, &beginnings);
}

#[test]
fn a_bad_variable_and_a_bad_flag_are_named_also_where_a_stronger_source_wins() {
    let environment = [
        ("FANFARE_PING_INTERVAL", "soon"),
        ("FANFARE_LISTEN", "unix:/a,,"),
    ];
    let flags = ["--ping-interval", "-1", "--listen", "unix:/b"];
    let problems = Told {
        flags: &flags,
        environment: &environment,
        file: "",
    }
    .problems();
    let beginnings = [
        "FANFARE_LISTEN: \"\" is not an address",
        "FANFARE_PING_INTERVAL: \"soon\" is not a time",
        "--ping-interval: \"-1\" is not a time",
    ];
    assert_eq!(problems.len(), beginnings.len(), "{problems:?}");
    for (problem, beginning) in problems.iter().zip(beginnings) {
        assert!(problem.starts_with(beginning), "{problem}");
    }
}

#[test]
fn a_file_that_is_not_there_or_no_text_is_told_by_its_name() {
    let flags = ["--config", "/nowhere/fanfare.toml"];
    let problems = Told {
        flags: &flags,
        ..Told::default()
    }
    .problems();
    assert!(problems[0].starts_with("/nowhere/fanfare.toml: the file can't be read: No such file"));

    let file = TempFile::new(b"echo = true\n# \xff\n");
    let name = file.0.display().to_string();
    let problems = Told {
        flags: &["--config", &name],
        ..Told::default()
    }
    .problems();
    assert_eq!(problems, [format!("{name}:2: the file is not UTF-8 text")]);
}

#[test]
fn the_administrators_address_is_one_of_its_own_and_the_default_one_gives_way() {
    let taken = |flags: &[&str]| {
        let told = Told {
            flags,
            ..Told::default()
        };
        told.config().admin
    };
    let unix = Listen::Unix("/run/a.sock".into());
    assert_eq!(taken(&["--admin=unix:/run/a.sock"]), Some(unix));
    assert_eq!(taken(&["--admin=off"]), None);
    assert_eq!(taken(&["--listen=127.0.0.1:8041"]), None);
    let ports = taken(&["--listen=127.0.0.1:0", "--admin=127.0.0.1:0"]);
    assert!(ports.is_some());
    let both = Told {
        flags: &["--listen=unix:/a", "--admin=unix:/a"],
        ..Told::default()
    };
    let why = "--admin: unix:/a is where the daemon listens for everybody: give another, or off";
    assert_eq!(both.problems(), [why]);
    let none = Told {
        file: "admin = 'on'",
        ..Told::default()
    };
    let problems = none.problems();
    assert!(
        problems[0].ends_with("or unix:/run/fanfare.sock; off is for none"),
        "{problems:?}"
    );
}

#[test]
fn a_variable_that_is_not_utf_8_is_named() {
    let environment =
        |name: &str| (name == "FANFARE_LOG").then(|| OsString::from_vec(vec![b'i', 0xff]));
    let error = ServeArgs::default()
        .load_from(&environment)
        .expect_err("no text");
    assert_eq!(error.to_string(), "FANFARE_LOG: \"i\\xFF\" is not UTF-8");
}
