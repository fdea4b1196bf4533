//! The daemon's log: to stderr, which never blocks the daemon.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use env_logger::Builder;
use env_logger::fmt::Formatter;
use fanfare::auth::rates::{Bucket, Rate};
use fanfare::config::{LogConfig, LogFormat};
use fanfare::words::Shown;
use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::streams;

/// Bytes of a line that are logged. With what stands before them, a line fits into what a pipe takes at once.
const LINE_BYTES: usize = streams::PIECE - 296;

/// How many lines of one level are written: 1,000 at once, and 50 a second from then on. At 200 bytes each that is 860 MB a day, if
/// somebody finds a way to make the daemon log.
const LINES: Option<Rate> = Rate::new(1_000, 20_000);

static LOGGER: OnceLock<Logger> = OnceLock::new();

/// Writes a line where stderr has room for it. A line that would have to wait is dropped, and counted: one thread serves
/// everybody, and must not wait for the log's reader.
struct Logger {
    text: env_logger::Logger,
    json: env_logger::Logger,
    config: RwLock<LogConfig>,
    began: Instant,
    /// For each level, the most severe first.
    allowances: Mutex<[Allowance; 5]>,
    /// Lines that were dropped since the last one that was written.
    lost: AtomicU64,
}

/// What may still be logged of a level.
#[derive(Clone, Copy, Default)]
struct Allowance {
    bucket: Bucket,
    /// Lines that were left out since the last one that was written.
    left_out: u64,
}

impl Allowance {
    /// Takes one line, and says how many were left out before it; `None`: there is none to take.
    fn take(&mut self, now_ms: u64) -> Option<u64> {
        let taken = LINES.is_none_or(|rate| self.bucket.take(rate, 1, now_ms).is_ok());
        match taken {
            true => Some(std::mem::take(&mut self.left_out)),
            false => {
                self.left_out += 1;
                None
            }
        }
    }
}

/// Logs from now on, and changes nothing if it did before.
pub(crate) fn init(config: &LogConfig) {
    let everything = || {
        let mut builder = Builder::new();
        builder.filter_level(LevelFilter::Trace);
        builder
    };
    let logger = LOGGER.get_or_init(|| Logger {
        text: everything().build(),
        json: everything().format(write_json).build(),
        config: RwLock::new(config.clone()),
        began: Instant::now(),
        allowances: Mutex::default(),
        lost: AtomicU64::new(0),
    });
    log::set_max_level(config.filter.most());
    // It fails only where there is a logger already, and this is the one place that sets one.
    let _ = log::set_logger(logger);
}

/// Logs otherwise from now on.
pub(crate) fn change(config: &LogConfig) {
    if let Some(logger) = LOGGER.get() {
        config.clone_into(
            &mut logger
                .config
                .write()
                .unwrap_or_else(PoisonError::into_inner),
        );
        log::set_max_level(config.filter.most());
    }
}

/// A line of JSON. The record's text is JSON already.
fn write_json(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let time = out.timestamp_millis();
    let level = record.level().as_str().to_ascii_lowercase();
    let target = serde_json::Value::from(record.target());
    let message = record.args();
    writeln!(
        out,
        r#"{{"timestamp":"{time}","level":"{level}","target":{target},"message":{message}}}"#
    )
}

/// The text as JSON, cut so that it fits into a line.
fn quoted(text: &dyn Display) -> serde_json::Value {
    let shown = |bytes| serde_json::Value::from(Shown::new(text, bytes).to_string());
    let whole = shown(LINE_BYTES);
    // Quotation marks and backslashes take two bytes.
    match whole.to_string().len() > LINE_BYTES {
        true => shown(LINE_BYTES / 2),
        false => whole,
    }
}

/// Says warnings as a command says what it has to say: as sentences without a time.
pub(crate) fn say_warnings() {
    log::set_max_level(LevelFilter::Warn);
    // It fails only where there is a logger already.
    let _ = log::set_logger(&Sayer);
}

/// See [`say_warnings`].
struct Sayer;

impl Log for Sayer {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            streams::say(record.args());
        }
    }

    fn flush(&self) {}
}

impl Logger {
    fn config(&self) -> LogConfig {
        let config = self.config.read();
        config.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes one line of this level; see [`Allowance::take`].
    fn take(&self, level: Level) -> Option<u64> {
        // 2^64 milliseconds are more than a process lives.
        let now_ms = self.began.elapsed().as_millis() as u64;
        let allowances = self.allowances.lock();
        let mut allowances = allowances.unwrap_or_else(PoisonError::into_inner);
        allowances[level as usize - 1].take(now_ms)
    }

    /// Writes a line, if there is room for it, or counts it. The next line that has room says how many there were.
    fn write_or_count(&self, format: LogFormat, metadata: &Metadata<'_>, text: &dyn Display) {
        let mut lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let of = Metadata::builder()
                .level(Level::Warn)
                .target(metadata.target())
                .build();
            let notice = format_args!("{lost} lines were dropped here: nobody read the log");
            if self.write(format, &of, &notice) {
                lost = 0;
            }
        }
        if lost > 0 || !self.write(format, metadata, text) {
            self.lost.fetch_add(lost + 1, Ordering::Relaxed);
        }
    }

    /// Writes a line, if there is room for it. What clients and files say in it can be no second line, nor anything that a
    /// terminal obeys.
    fn write(&self, format: LogFormat, metadata: &Metadata<'_>, text: &dyn Display) -> bool {
        let has_room = streams::takes_more(&io::stderr(), Some(Duration::ZERO));
        if has_room {
            let mut line = Record::builder();
            line.metadata(metadata.clone());
            match format {
                LogFormat::Text => {
                    let text = Shown::new(text, LINE_BYTES);
                    self.text.log(&line.args(format_args!("{text}")).build());
                }
                LogFormat::Json => {
                    let text = quoted(text);
                    self.json.log(&line.args(format_args!("{text}")).build());
                }
            }
        }
        has_room
    }
}

/// Whether it comes from a library that logs what it is given: the HTTP client logs whole URLs, and their queries may be secrets.
fn tells_secrets(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("ureq")
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        !tells_secrets(metadata) && self.config().filter.admits(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        let LogConfig { filter, format } = self.config();
        if tells_secrets(record.metadata()) || !filter.admits(record.metadata()) {
            return;
        }
        let Some(left_out) = self.take(record.level()) else {
            return;
        };
        if left_out > 0 {
            let level = record.level().as_str().to_ascii_lowercase();
            let notice = format_args!(
                "{left_out} lines of the level {level} were left out here, to keep the log short"
            );
            self.write_or_count(format, record.metadata(), &notice);
        }
        self.write_or_count(format, record.metadata(), record.args());
    }

    fn flush(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_http_client_says_of_urls_is_not_logged() {
        let said_by = |target| tells_secrets(&Metadata::builder().target(target).build());
        assert!(said_by("ureq::run") && said_by("ureq_proto::client"));
        assert!(!said_by("fanfare::server"));
    }

    #[test]
    fn of_a_level_so_many_lines_are_written_a_second_and_the_others_are_counted() {
        let mut allowance = Allowance::default();
        let written = |allowance: &mut Allowance, now_ms, lines: u32| {
            let taken: Vec<u64> = (0..lines).filter_map(|_| allowance.take(now_ms)).collect();
            (taken.len(), taken.first().copied())
        };
        assert_eq!(written(&mut allowance, 0, 5_000), (1_000, Some(0)));
        assert_eq!(written(&mut allowance, 19, 100), (0, None));
        assert_eq!(written(&mut allowance, 1_000, 100), (50, Some(4_100)));
        assert_eq!(written(&mut allowance, 100_000, 2_000), (1_000, Some(50)));
    }

    #[test]
    fn a_line_of_json_fits_into_what_a_pipe_takes_at_once() {
        for text in [
            "\"".repeat(9_000),
            "\\".repeat(9_000),
            "é\n\u{1b}".repeat(3_000),
        ] {
            let quoted = quoted(&text).to_string();
            assert!(quoted.len() <= LINE_BYTES + 8, "{}", quoted.len());
            assert!(quoted.ends_with("…\""));
        }
        assert_eq!(quoted(&"a \"b\"\n").to_string(), r#""a \"b\"\\n""#);
    }
}
