//! Sources against each other, and what each option does.

mod allow;
mod effective;
mod mistakes;
mod tls;

use std::ffi::OsString;

use clap::{Args, FromArgMatches};

use crate::limit::Limit;

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
        self.load_effective().map(|(config, _)| config)
    }

    fn load_effective(&self) -> Result<(Config, Effective), ConfigError> {
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

/// What a file and flags make of the defaults.
fn config(file: &str, flags: &[&str]) -> Config {
    Told {
        file,
        flags,
        ..Told::default()
    }
    .config()
}

#[test]
fn with_nothing_said_the_defaults_hold() {
    assert_eq!(Told::default().config(), Config::default());
}

#[test]
fn each_default_that_the_help_shows_is_the_one_that_holds() {
    let in_words = ["max_connections", "socket_mode", "socket_group", "origin"];
    let is_word = |text: &str| matches!(text, "none" | "any");
    let settings = settings::all().filter(|setting| !is_word(setting.default));
    for setting in settings.filter(|setting| !in_words.contains(&setting.key)) {
        let mut config = Config::default();
        let applied = setting.apply(
            &mut config,
            &[setting.default.to_owned()],
            &names::Names::default(),
        );
        assert_eq!(applied, Ok(()), "{}", setting.key);
        assert_eq!(config, Config::default(), "{}", setting.key);
    }
    let config = Config::default();
    assert_eq!((config.state, config.metrics_channels), Default::default());
    assert_eq!(config.max_connections, None);
    assert_eq!((config.socket_mode, config.socket_group), (None, None));
    assert_eq!((config.origins, config.hosts), Default::default());
    assert_eq!(config.token, TokenConfig::default());
    assert_eq!(config.htpasswd, None);
    assert_eq!(config.trusted_proxies, Default::default());
    assert!(config.tls.listen.is_empty() && config.tls.files().is_empty());
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
    // Those need each other, and have a test of their own.
    let is_alone = |s: &&settings::Setting| !s.key.contains("tls");
    for setting in settings::all().filter(is_alone) {
        let value = match setting.key {
            "listen" => "unix:/run/f.sock",
            "socket_mode" => "0640",
            "admin" => "off",
            "echo" | "open_to_everyone" => "on",
            "token_claims" => "add",
            "origin" => "https://example.com",
            "host" => "example.com",
            "rate_bytes" => "7KiB/s",
            key if key.starts_with("rate_") => "7/h",
            "trusted_proxy" => "10.0.0.0/8",
            "trusted_proxy_header" => "proxy",
            "deflate" => "off",
            "log" => "trace",
            "log_format" => "json",
            "on_lag" => "close",
            "deflate_level" => "9",
            "jwks_url" => "https://id.example.com/keys",
            "jwt_expiry" => "optional",
            _ => "1234",
        };
        // Some say nothing alone.
        let besides: &[&str] = match setting.key {
            "trusted_proxy" => &["--trusted-proxy-header=forwarded"],
            "trusted_proxy_header" => &["--trusted-proxy=127.0.0.1"],
            _ => &[],
        };
        let flag = format!("--{}={value}", setting.flag());
        let line = format!("{} = {value:?}", setting.key);
        let flags = [besides, &[&flag]].concat();
        let by_flag = Told {
            flags: &flags,
            ..Told::default()
        }
        .config();
        let variable = setting.variable();
        let environment = [(variable.as_str(), value)];
        let by_variable = Told {
            flags: besides,
            environment: &environment,
            ..Told::default()
        }
        .config();
        let by_file = Told {
            flags: besides,
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
    assert_eq!(config.policy.retain_bytes, Limit::of(1_024));
    assert_eq!(config.policy.retain_ms, Limit::of(5_000));
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
        retain_messages: Limit::of(7),
        retain_ms: Limit::of(9_000),
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
        retain_messages: Limit::of(1),
        ..own
    };
    assert_eq!(config.policy_for("prices.usd"), latest);
    let deep = Policy {
        retain_bytes: Limit::of(1 << 10),
        retain_ms: Limit::of(60_000),
        ..own
    };
    assert_eq!(config.policy_for("prices.usd.chf"), deep);
}

#[test]
fn a_channels_window_without_limit_needs_one_for_all_together() {
    let told = |flags| Told {
        flags,
        ..Told::default()
    };
    assert_eq!(
        told(&["--retain-bytes", "0"]).config().policy.retain_bytes,
        Limit::NONE
    );
    assert_eq!(
        told(&["--retain-total", "0"]).config().retain_total,
        Limit::NONE
    );
    let problems = told(&["--retain-bytes", "0", "--retain-total", "0"]).problems();
    assert!(
        problems[0].starts_with("--retain-bytes: 0 means no limit"),
        "{problems:?}"
    );
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
fn each_limit_that_another_one_lowers_is_warned_about_with_both_numbers() {
    let file = "[[channel]]\nmatch = 'audit.>'\nretain_bytes = 5000\n";
    let flags = [
        "--max-connections",
        "5000",
        "--outbox",
        "4000",
        "--outbox-total",
        "2000",
        "--max-message",
        "3000",
        "--input-total",
        "2500",
        "--retain-total",
        "2700",
        "--retain-bytes",
        "2800",
    ];
    let config = Told {
        flags: &flags,
        file,
        ..Told::default()
    }
    .config();
    let warnings = config.lowered_limits(1_024);
    let numbers: &[&[&str]] = &[
        &["--max-connections", "5000", "1024", "960"],
        &["--outbox", "4000", "--outbox-total", "2000"],
        &["--max-message", "3000", "--input-total", "2500"],
        &["--max-message", "3000", "--retain-total", "2700"],
        &["--retain-bytes", "2800", "--retain-total", "2700"],
        &["audit.>", "retain_bytes", "5000", "--retain-total", "2700"],
    ];
    assert_eq!(warnings.len(), numbers.len(), "{warnings:#?}");
    for (warning, numbers) in warnings.iter().zip(numbers) {
        for number in *numbers {
            assert!(warning.contains(number), "{warning}: {number}");
        }
    }
    let tiny = Config {
        outbox_total: Limit::of(100),
        ..Config::default()
    };
    let warnings = tiny.lowered_limits(u64::MAX);
    assert!(
        warnings[0].contains("100") && warnings[0].contains("1024"),
        "{warnings:?}"
    );
}

#[test]
fn nothing_is_warned_about_where_no_limit_is_lowered() {
    let none: [String; 0] = [];
    assert_eq!(Config::default().lowered_limits(1_024), none);
    let config = Told {
        flags: &[
            "--max-connections",
            "960",
            "--outbox-total",
            "0",
            "--input-total",
            "0",
            "--retain-total",
            "0",
        ],
        ..Told::default()
    }
    .config();
    assert_eq!(config.lowered_limits(1_024), none);
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
