//! Sources against each other, and each kind of mistake with the words that name it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use clap::{Args, FromArgMatches};

use super::settings::{self, Set};
use super::*;

/// What a run of `fanfare serve` is told, from every side.
#[derive(Default)]
struct Told<'a> {
    flags: &'a [&'a str],
    environment: &'a [(&'a str, &'a str)],
    file: &'a str,
}

impl Told<'_> {
    fn load(&self) -> Result<Config, ConfigError> {
        let command = ServeArgs::augment_args(clap::Command::new("serve").no_binary_name(true));
        let matches = command
            .try_get_matches_from(self.flags)
            .expect("flags that clap takes");
        let mut args = ServeArgs::from_arg_matches(&matches).expect("arguments");
        let file = (!self.file.is_empty()).then(|| TempFile::new(self.file.as_bytes()));
        args.file = file.as_ref().map(|file| file.0.clone()).or(args.file);
        let environment = |name: &str| {
            let found = self.environment.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| OsString::from(value))
        };
        let loaded = args.load_from(&environment);
        let Some(file) = file else { return loaded };
        let name = file.0.display().to_string();
        loaded.map_err(|error| ConfigError::of(error.problems(), &name))
    }

    fn config(&self) -> Config {
        self.load().expect("a configuration that is in order")
    }

    fn problems(&self) -> Vec<String> {
        self.load()
            .expect_err("a configuration with a mistake")
            .problems()
            .to_vec()
    }
}

impl ConfigError {
    /// The same with the test's file called `f.toml`.
    fn of(problems: &[String], name: &str) -> ConfigError {
        ConfigError {
            problems: problems.iter().map(|p| p.replace(name, "f.toml")).collect(),
        }
    }
}

/// A file that is gone when it goes out of scope.
struct TempFile(PathBuf);

impl TempFile {
    fn new(bytes: &[u8]) -> TempFile {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("fanfare-config-{}-{number}.toml", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, bytes).expect("a temporary file");
        TempFile(path)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn with_nothing_said_the_defaults_hold() {
    assert_eq!(Told::default().config(), Config::default());
}

#[test]
fn each_default_that_the_help_shows_is_the_one_that_holds() {
    let in_words = ["max_connections", "socket_mode", "socket_group"];
    for setting in settings::all().filter(|setting| !in_words.contains(&setting.key)) {
        let mut config = Config::default();
        let applied = setting.apply(&mut config, &[setting.default.to_owned()]);
        assert_eq!(applied, Ok(()), "{}", setting.key);
        assert_eq!(config, Config::default(), "{}", setting.key);
    }
    let config = Config::default();
    assert_eq!(config.max_connections, None);
    assert_eq!((config.socket_mode, config.socket_group), (None, None));
}

#[test]
fn a_flag_wins_over_the_environment_that_over_the_file_that_over_the_default() {
    let file = "max_message = '1KiB'\nmax_header = '1KiB'\noutbox = '1KiB'\n";
    let environment = [("FANFARE_MAX_HEADER", "2KiB"), ("FANFARE_OUTBOX", "2KiB")];
    let flags = ["--outbox", "3KiB"];
    let config = Told {
        flags: &flags,
        environment: &environment,
        file,
    }
    .config();
    assert_eq!(config.max_message, 1 << 10);
    assert_eq!(config.max_header, 2 << 10);
    assert_eq!(config.outbox, 3 << 10);
    assert_eq!(config.max_channels, Config::default().max_channels);
}

#[test]
fn every_setting_reaches_the_same_place_from_all_three_sources() {
    for setting in settings::all() {
        let value = match setting.key {
            "listen" => "unix:/run/f.sock",
            "socket_mode" => "0640",
            "echo" => "on",
            "deflate" => "off",
            "log" => "trace",
            "on_lag" => "close",
            "deflate_level" => "9",
            _ => "1234",
        };
        let flag = format!("--{}={value}", setting.flag());
        let line = format!("{} = {value:?}", setting.key);
        let by_flag = Told {
            flags: &[&flag],
            ..Told::default()
        }
        .config();
        let variable = setting.variable();
        let environment = [(variable.as_str(), value)];
        let by_variable = Told {
            environment: &environment,
            ..Told::default()
        }
        .config();
        let by_file = Told {
            file: &line,
            ..Told::default()
        }
        .config();
        assert_ne!(by_flag, Config::default(), "{}", setting.key);
        assert_eq!(by_flag, by_variable, "{}", setting.key);
        assert_eq!(by_flag, by_file, "{}", setting.key);
    }
}

#[test]
fn the_addresses_of_a_stronger_source_replace_those_of_a_weaker_one() {
    let unix = |path: &str| Listen::Unix(path.into());
    let file = "listen = ['unix:/1', 'unix:/2']";
    let environment = [("FANFARE_LISTEN", "unix:/3, unix:/4")];
    let flags = ["--listen", "unix:/5", "--listen", "unix:/6"];
    let told = Told {
        file,
        ..Told::default()
    };
    assert_eq!(told.config().listen, [unix("/1"), unix("/2")]);
    let told = Told {
        environment: &environment,
        ..told
    };
    assert_eq!(told.config().listen, [unix("/3"), unix("/4")]);
    let told = Told {
        flags: &flags,
        ..told
    };
    assert_eq!(told.config().listen, [unix("/5"), unix("/6")]);
}

#[test]
fn a_file_may_say_numbers_and_switches_as_toml_has_them() {
    let file = "max_message = 1_000\nretain_bytes = 0x400\nretain_seconds = 5\necho = true\n\
                deflate = false\nlisten = 'unix:/run/f.sock'\n";
    let config = Told {
        file,
        ..Told::default()
    }
    .config();
    assert_eq!(config.max_message, 1_000);
    assert_eq!(config.policy.retain_bytes, 1_024);
    assert_eq!(config.policy.retain_ms, 5_000);
    assert!(config.echo && !config.deflate);
    assert_eq!(config.listen, [Listen::Unix("/run/f.sock".into())]);
}

#[test]
fn the_digits_of_a_mode_are_octal_however_a_file_writes_them() {
    for file in [
        "socket_mode = '0660'",
        "socket_mode = '660'",
        "socket_mode = 660",
        "socket_mode = 0o660",
    ] {
        let told = Told {
            file,
            ..Told::default()
        };
        assert_eq!(told.config().socket_mode, Some(0o660), "{file}");
    }
}

#[test]
fn a_switch_needs_no_value_as_a_flag_and_can_be_turned_off_again() {
    let environment = [("FANFARE_ECHO", "on")];
    let echo = |flags: &[&str]| {
        Told {
            flags,
            environment: &environment,
            file: "",
        }
        .config()
        .echo
    };
    assert!(echo(&[]));
    assert!(echo(&["--echo"]));
    assert!(!echo(&["--echo=off"]));
}

#[test]
fn an_empty_variable_counts_as_none() {
    let environment = [("FANFARE_RETAIN_BYTES", ""), ("FANFARE_CONFIG", "")];
    assert_eq!(
        Told {
            environment: &environment,
            ..Told::default()
        }
        .config(),
        Config::default()
    );
}

#[test]
fn the_file_may_be_named_by_a_variable() {
    let file = TempFile::new(b"echo = true");
    let name = file.0.display().to_string();
    let environment = [("FANFARE_CONFIG", name.as_str())];
    assert!(
        Told {
            environment: &environment,
            ..Told::default()
        }
        .config()
        .echo
    );
}

#[test]
fn a_channel_has_the_policy_of_the_first_pattern_that_matches() {
    let file = "retain_messages = 7\n\
                [[channel]]\nmatch = 'prices.eur'\non_lag = 'close'\n\
                [[channel]]\nmatch = 'prices.*'\non_lag = 'latest'\nretain_messages = 1\n\
                [[channel]]\nmatch = 'prices.>'\nretain_bytes = '1KiB'\nretain_seconds = '1m'\n";
    let config = Told {
        file,
        flags: &["--retain-seconds", "9"],
        ..Told::default()
    }
    .config();
    let own = Policy {
        retain_messages: 7,
        retain_ms: 9_000,
        ..Policy::default()
    };
    assert_eq!(config.policy_for("news"), own);
    assert_eq!(config.policy_for("prices"), own);
    assert_eq!(
        config.policy_for("prices.eur"),
        Policy {
            on_lag: OnLag::Close,
            ..own
        }
    );
    let latest = Policy {
        on_lag: OnLag::Latest,
        retain_messages: 1,
        ..own
    };
    assert_eq!(config.policy_for("prices.usd"), latest);
    let deep = Policy {
        retain_bytes: 1 << 10,
        retain_ms: 60_000,
        ..own
    };
    assert_eq!(config.policy_for("prices.usd.chf"), deep);
}

#[test]
fn each_mistake_in_a_file_is_told_with_its_place_and_what_is_allowed() {
    let cases: &[(&str, &str)] = &[
        (
            "\n\n  retain_byte = 1",
            "f.toml:3:3: unknown key \"retain_byte\"; allowed here: [[channel]], listen, socket_mode, ",
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
            "f.toml:1:16: socket_group: \"no such group\" is no group in /etc/group: give",
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
            "f.toml:1:10: listen: an array stands where",
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
            "f.toml:2:9: match: \"a..b\" is not a pattern: it has an empty part",
        ),
        (
            "[[channel]]\nmatch = 'a'\necho = true",
            "f.toml:3:1: \"echo\" is for all channels and stands before the first [[channel]]; allowed here: match, retain_bytes, retain_messages, retain_seconds, on_lag",
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
fn a_channels_window_without_limit_needs_one_for_all_together() {
    let told = |flags| Told {
        flags,
        ..Told::default()
    };
    assert_eq!(
        told(&["--retain-bytes", "0"]).config().policy.retain_bytes,
        0
    );
    assert_eq!(
        told(&["--retain-total", "0"]).config().retain_total,
        NO_LIMIT
    );
    let problems = told(&["--retain-bytes", "0", "--retain-total", "0"]).problems();
    assert!(
        problems[0].starts_with("--retain-bytes: 0 means no limit"),
        "{problems:?}"
    );
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
fn a_variable_that_is_not_utf_8_is_named() {
    let environment =
        |name: &str| (name == "FANFARE_LOG").then(|| OsString::from_vec(vec![b'i', 0xff]));
    let error = ServeArgs::default()
        .load_from(&environment)
        .expect_err("no text");
    assert_eq!(error.to_string(), "FANFARE_LOG: \"i\\xFF\" is not UTF-8");
}

#[test]
fn connections_stop_before_the_files_run_out() {
    let with = |max_connections| Config {
        max_connections,
        ..Config::default()
    };
    assert_eq!(with(None).connection_limit(1_024), 960);
    assert_eq!(with(Some(10)).connection_limit(1_024), 10);
    assert_eq!(with(Some(5_000)).connection_limit(1_024), 960);
    assert_eq!(with(None).connection_limit(3), 1);
    assert_eq!(
        Told {
            flags: &["--max-connections", "0"],
            ..Told::default()
        }
        .config(),
        with(None)
    );
}

#[test]
fn the_operators_page_names_each_option_with_its_default() {
    let page = include_str!("../../docs/operations.md");
    for setting in settings::all() {
        let row = format!("| `--{}", setting.flag());
        let line = page.lines().find(|line| {
            let rest = line.strip_prefix(&row);
            rest.is_some_and(|rest| rest.starts_with(['`', ' ', '[']))
        });
        let line = line.unwrap_or_else(|| panic!("--{} is missing", setting.flag()));
        assert!(line.contains(setting.default), "{line}");
        assert_eq!(
            line.contains("`[[channel]]`"),
            matches!(setting.set, Set::Policy(_)),
            "{line}"
        );
    }
}
