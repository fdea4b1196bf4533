//! What is logged, and how a line looks.

use std::fmt;

use log::{Level, LevelFilter, Metadata};

#[cfg(feature = "cli")]
pub(super) use settings::LOGGING;

/// What is logged, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogConfig {
    /// Which lines.
    pub filter: LogFilter,
    /// How they look.
    pub format: LogFormat,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people: time, level, target and message.
    #[default]
    Text,
    /// For programs: a JSON object a line, with the members `timestamp` (RFC 3339), `level`, `target` and `message`.
    Json,
}

/// The least severe level that is logged, of the daemon and of parts of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter {
    /// That of all targets that are not listed.
    level: LevelFilter,
    /// That of targets and of those below them, in the order in which they were given.
    targets: Vec<(Box<str>, LevelFilter)>,
}

impl Default for LogFilter {
    fn default() -> Self {
        LogFilter::of(LevelFilter::Info)
    }
}

impl LogFilter {
    /// One level for everything.
    pub fn of(level: LevelFilter) -> Self {
        LogFilter {
            level,
            targets: Vec::new(),
        }
    }

    /// Reads `info`, or `warn,fanfare::server=debug`. Where only targets are given, nothing else is logged, as `RUST_LOG` has it
    /// everywhere.
    ///
    /// # Errors
    /// A sentence that says what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut level = None;
        let mut targets = Vec::new();
        for part in text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            let (target, name) = match part.split_once('=') {
                Some((target, name)) => (Some(target.trim()), name.trim()),
                None => (None, part),
            };
            let read = name.parse().ok().filter(|_| target != Some(""));
            let read: LevelFilter = read.ok_or_else(|| {
                format!(
                    "{part:?} is not known here: give one of off, error, warn, info, debug, trace, or \
                     TARGET=LEVEL such as fanfare::server=debug, with commas between"
                )
            })?;
            match target {
                Some(target) => targets.push((target.into(), read)),
                None => level = Some(read),
            }
        }
        if level.is_none() && targets.is_empty() {
            return Err("there is nothing: give a level, such as info".into());
        }
        Ok(LogFilter {
            level: level.unwrap_or(LevelFilter::Off),
            targets,
        })
    }

    /// The least severe level that is logged of anything.
    pub fn most(&self) -> LevelFilter {
        let levels = self.targets.iter().map(|(_, level)| *level);
        levels.fold(self.level, Ord::max)
    }

    /// Whether such a line is logged. Of the targets that hold for it the longest decides.
    pub fn admits(&self, metadata: &Metadata<'_>) -> bool {
        self.admits_line(metadata.target(), metadata.level())
    }

    fn admits_line(&self, target: &str, level: Level) -> bool {
        let holds = |of: &str| {
            let rest = target.strip_prefix(of);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        let listed = self.targets.iter().filter(|(of, _)| holds(of));
        let decides = listed.max_by_key(|(of, _)| of.len());
        level <= decides.map_or(self.level, |(_, level)| *level)
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.level.as_str().to_ascii_lowercase())?;
        for (target, level) in &self.targets {
            write!(f, ",{target}={}", level.as_str().to_ascii_lowercase())?;
        }
        Ok(())
    }
}

/// The rows of the table.
#[cfg(feature = "cli")]
mod settings {
    use super::{LogFilter, LogFormat};
    use crate::config::settings::{Set, Setting, put};
    use crate::config::units::word;

    pub(in crate::config) const LOGGING: &[Setting] = &[
        Setting {
            key: "log",
            value: "LEVEL",
            default: "info",
            help: "The least severe level to log: off, error, warn, info, debug, trace; of one part by \
                   TARGET=LEVEL, with commas between. In the environment RUST_LOG says the same, unless \
                   FANFARE_LOG is set",
            set: Set::Daemon(|c, text| put(&mut c.log.filter, LogFilter::parse(text))),
        },
        Setting {
            key: "log_format",
            value: "FORMAT",
            default: "text",
            help: "How a line of the log looks: text for people, or json, an object a line",
            set: Set::Daemon(|c, text| put(&mut c.log.format, word(text, FORMATS))),
        },
    ];

    const FORMATS: &[(&str, LogFormat)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_holds_for_everything_but_the_targets_that_have_their_own() {
        let filter = LogFilter::parse("warn, fanfare=info,fanfare::server=debug,").expect("good");
        let admits = |target, level| filter.admits_line(target, level);
        assert!(admits("rustls", Level::Warn) && !admits("rustls", Level::Info));
        assert!(admits("fanfare::auth", Level::Info) && !admits("fanfare::auth", Level::Debug));
        assert!(admits("fanfare::server::journal", Level::Debug));
        assert!(
            !admits("fanfare::serverless", Level::Debug),
            "another target"
        );
        assert_eq!(filter.most(), LevelFilter::Debug);
        assert_eq!(
            filter.to_string(),
            "warn,fanfare=info,fanfare::server=debug"
        );
    }

    #[test]
    fn where_only_targets_are_given_nothing_else_is_logged() {
        let filter = LogFilter::parse("fanfare=INFO").expect("good");
        assert!(!filter.admits_line("rustls", Level::Error));
        assert!(filter.admits_line("fanfare", Level::Info));
    }

    #[test]
    fn what_is_no_level_is_refused_with_what_is_allowed() {
        for text in [
            "loud",
            "info,x",
            "=info",
            "fanfare=",
            "fanfare=loud",
            "info/regex",
        ] {
            let why = LogFilter::parse(text).unwrap_err();
            assert!(
                why.contains("off, error, warn, info, debug, trace"),
                "{why}"
            );
        }
        assert!(LogFilter::parse(" ,").unwrap_err().contains("give a level"));
    }
}
