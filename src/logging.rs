//! The daemon's log: to stderr, which never blocks the daemon.

use std::fmt::Display;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fanfare::words::Shown;
use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::streams;

/// Bytes of a line that are logged. With what stands before them, a line fits into what a pipe takes at once.
const LINE_BYTES: usize = streams::PIECE - 296;

/// Writes a line where stderr has room for it. A line that would have to wait is dropped, and counted: one thread serves
/// everybody, and must not wait for the log's reader.
struct Logger {
    inner: env_logger::Logger,
    /// Lines that were dropped since the last one that was written.
    lost: AtomicU64,
}

/// Logs from `level` on.
pub(crate) fn init(level: LevelFilter) {
    // The level has a setting of its own; a RUST_LOG that was meant for others changes nothing.
    let inner = env_logger::Builder::new().filter_level(level).build();
    log::set_max_level(level);
    let lost = AtomicU64::new(0);
    // It fails only where there is a logger already, and this is the one place that sets one.
    let _ = log::set_boxed_logger(Box::new(Logger { inner, lost }));
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
    /// Writes a line, if there is room for it. What clients and files say in it can be no second line, nor anything that a
    /// terminal obeys.
    fn write(&self, metadata: &Metadata<'_>, text: impl Display) -> bool {
        let has_room = streams::takes_more(&io::stderr(), Some(Duration::ZERO));
        if has_room {
            let text = Shown::new(text, LINE_BYTES);
            let mut line = Record::builder();
            line.metadata(metadata.clone());
            self.inner.log(&line.args(format_args!("{text}")).build());
        }
        has_room
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.inner.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.inner.matches(record) {
            return;
        }
        let mut lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let metadata = Metadata::builder()
                .level(Level::Warn)
                .target(record.target())
                .build();
            let notice = format_args!("{lost} lines were dropped here: nobody read the log");
            if self.write(&metadata, notice) {
                lost = 0;
            }
        }
        if lost > 0 || !self.write(record.metadata(), record.args()) {
            self.lost.fetch_add(lost + 1, Ordering::Relaxed);
        }
    }

    fn flush(&self) {
        self.inner.flush();
    }
}
