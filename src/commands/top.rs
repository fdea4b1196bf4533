//! `fanfare top`: what a daemon does, live in a terminal.

mod picture;
mod source;
mod view;

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::{DefaultTerminal, Terminal};
use signal_hook::consts::{SIGHUP, SIGTERM};

use super::{Exit, print};
use crate::streams::say;
use picture::{Picture, Sample};
use source::{Address, Source};

/// Show what a daemon does: rates, the busiest channels, the subscribers that are furthest behind, and how full each bound is.
///
/// It asks the daemon's address for administration (`fanfare serve --admin`). q, Esc or Ctrl-C ends it.
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct TopArgs {
    /// The daemon's address for administration: HOST:PORT or unix:PATH
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8041", value_parser = Address::parse)]
    admin: Address,

    /// Show who this is by the token in this file, in place of FANFARE_TOKEN
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// Look again after so many seconds
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = clap::value_parser!(u32).range(1..=3600))]
    interval: u32,

    /// Print one picture after one interval, and end
    #[arg(long)]
    once: bool,

    /// Print it as JSON, for scripts
    #[arg(long, requires = "once")]
    json: bool,
}

/// What the help says below the options.
const AFTER_HELP: &str = "\
Example:
    fanfare top --once --json | jq .rates.deliveries

Exit codes: 0 it ended, 1 the daemon refused or something failed, 2 the command line makes no sense, 3 there was no connection.";

/// How often the keys and the signals are looked at.
const LOOK: Duration = Duration::from_millis(100);

/// The size of a picture that is printed, in characters.
const PRINTED: (u16, u16) = (110, 50);

impl TopArgs {
    /// Does it.
    pub(crate) fn run(self) -> Exit {
        if !self.once && !io::stdout().is_terminal() {
            say(&"stdout is no terminal: --once prints one picture");
            return Exit::Usage;
        }
        let token = match source::token(self.token_file.as_deref()) {
            Ok(token) => token,
            Err(why) => {
                say(&why);
                return Exit::Usage;
            }
        };
        let source = Source::new(self.admin.clone(), token);
        match self.once {
            true => self.print_one(&source),
            false => self.watch(&source),
        }
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(self.interval.into())
    }

    fn print_one(&self, source: &Source) -> Exit {
        let picture = Sample::take(source).and_then(|first| {
            std::thread::sleep(self.interval());
            let second = Sample::take(source)?;
            Ok(Picture::of(source, Some(&first), &second))
        });
        let picture = match picture {
            Ok(picture) => picture,
            Err(failed) => {
                say(&failed.why);
                return failed.exit;
            }
        };
        match self.json {
            true => print(format!("{}\n", picture.to_json()).as_bytes()),
            false => print(drawn(&picture).as_bytes()),
        }
    }

    fn watch(&self, source: &Source) -> Exit {
        let first = match Sample::take(source) {
            Ok(first) => first,
            Err(failed) => {
                say(&failed.why);
                return failed.exit;
            }
        };
        let ended = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGHUP] {
            // Without it the signal ends the process at once, and leaves the terminal as it is.
            let _ = signal_hook::flag::register(signal, Arc::clone(&ended));
        }
        // It also has a panic restore the terminal.
        let shown = ratatui::try_init()
            .and_then(|mut terminal| self.show(&mut terminal, source, first, &ended));
        ratatui::restore();
        match shown {
            Ok(()) if ended.load(Ordering::Relaxed) => Exit::Signal(SIGTERM),
            Ok(()) => Exit::Done,
            Err(error) => {
                say(&format_args!("the terminal: {error}"));
                Exit::Refused
            }
        }
    }

    /// Draws a picture after each interval, until a key or a signal ends it.
    fn show(
        &self,
        terminal: &mut DefaultTerminal,
        source: &Source,
        first: Sample,
        ended: &AtomicBool,
    ) -> io::Result<()> {
        let mut picture = Picture::of(source, None, &first);
        let mut last = first;
        let mut next = Instant::now() + self.interval();
        terminal.draw(|frame| view::draw(frame, &picture))?;
        while !ended.load(Ordering::Relaxed) {
            if event::poll(LOOK)? {
                match event::read()? {
                    Event::Key(key) if key.kind != KeyEventKind::Release => {
                        let is_interrupt = key.code == KeyCode::Char('c')
                            && key.modifiers.contains(KeyModifiers::CONTROL);
                        if is_interrupt || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) {
                            return Ok(());
                        }
                    }
                    Event::Resize(..) => {
                        terminal.draw(|frame| view::draw(frame, &picture))?;
                    }
                    _ => {}
                }
            }
            if Instant::now() < next {
                continue;
            }
            match Sample::take(source) {
                Ok(sample) => {
                    picture = Picture::of(source, Some(&last), &sample);
                    last = sample;
                }
                // It may come back.
                Err(failed) => picture.trouble = Some(failed.why),
            }
            terminal.draw(|frame| view::draw(frame, &picture))?;
            next = Instant::now() + self.interval();
        }
        Ok(())
    }
}

/// The picture as lines of text.
fn drawn(picture: &Picture) -> String {
    let (width, height) = PRINTED;
    let Ok(mut terminal) = Terminal::new(TestBackend::new(width, height));
    let Ok(_) = terminal.draw(|frame| view::draw(frame, picture));
    let buffer = terminal.backend().buffer();
    let lines = (0..height).map(|y| {
        let line: String = (0..width).map(|x| buffer[(x, y)].symbol()).collect();
        line.trim_end().to_owned()
    });
    let lines: Vec<String> = lines.collect();
    format!("{}\n", lines.join("\n").trim_end())
}
