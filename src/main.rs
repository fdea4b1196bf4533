//! The command line: parses, calls, reports.

mod commands;
mod logging;
mod streams;

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use fanfare::config::{self, ServeArgs};
use fanfare::server::{GivenSockets, Reloading};
use streams::{Blocking, say};

/// A WebSocket broadcast daemon that speaks JSON, and its client.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the daemon.
    Serve(ServeArgs),
    Check(commands::CheckArgs),
    Config(commands::ConfigArgs),
    Sub(commands::SubArgs),
    Pub(commands::PubArgs),
    Token(commands::TokenArgs),
    Allow(commands::AllowArgs),
    Top(commands::TopArgs),
    Restart(commands::RestartArgs),
    Completions(commands::CompletionsArgs),
    Man(commands::ManArgs),
}

/// What stood on the command line, in the environment or in a file makes no sense; clap's own.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => match cli.command {
            Command::Serve(args) => serve(args),
            Command::Check(args) => args.run().code(),
            Command::Config(args) => args.run().code(),
            Command::Sub(args) => args.run().code(),
            Command::Pub(args) => args.run().code(),
            Command::Token(args) => args.run().code(),
            Command::Allow(args) => args.run().code(),
            Command::Top(args) => args.run().code(),
            Command::Restart(args) => args.run().code(),
            Command::Completions(args) => args.run(Cli::command()).code(),
            Command::Man(args) => args.run(Cli::command()).code(),
        },
        Err(answer) => print(&answer),
    }
}

/// Prints what clap has to say: help, or what is wrong with the command line.
fn print(answer: &clap::Error) -> ExitCode {
    let written = if answer.use_stderr() {
        write(io::stderr(), answer)
    } else {
        write(io::stdout(), answer)
    };
    match written {
        Err(error) if !answer.use_stderr() && error.kind() != ErrorKind::BrokenPipe => {
            say(&error);
            ExitCode::FAILURE
        }
        _ => ExitCode::from(u8::try_from(answer.exit_code()).unwrap_or(EXIT_USAGE)),
    }
}

/// Writes it, in colours where a terminal wants them. clap would leave off in the middle if the stream were non-blocking.
fn write(stream: impl Write + AsFd + IsTerminal, answer: &clap::Error) -> io::Result<()> {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    let text = answer.render();
    let text = if stream.is_terminal() && !plain {
        text.ansi().to_string()
    } else {
        text.to_string()
    };
    let mut stream = Blocking(stream);
    stream.write_all(text.as_bytes())?;
    stream.flush()
}

fn serve(args: ServeArgs) -> ExitCode {
    // Before there is a thread that could open a file.
    let sockets = match GivenSockets::take() {
        Ok(sockets) => sockets,
        Err(error) => {
            say(&error);
            return ExitCode::FAILURE;
        }
    };
    let doors = sockets.doors();
    let again = args.clone();
    let (config, effective) = match args.load_effective() {
        Ok(loaded) => loaded,
        Err(error) => {
            for problem in error.problems() {
                say(problem);
            }
            return ExitCode::from(EXIT_USAGE);
        }
    };
    logging::init(&config.log);
    for name in config::unknown_variables() {
        log::warn!("{name} is set, but fanfare has no such option");
    }
    for address in doors.missing(&config) {
        log::warn!("nobody listens on {address}: the service manager gives no socket for it");
    }
    let config = match doors.replace(config) {
        Ok(config) => config,
        Err(error) => {
            say(&error);
            return ExitCode::FAILURE;
        }
    };
    let read = move || {
        let read = again.clone().load_effective();
        let (config, effective) = read.map_err(|error| error.to_string())?;
        Ok((doors.replace(config)?, effective))
    };
    let reloading = Reloading {
        read: Box::new(read),
        holds: Box::new(|config| logging::change(&config.log)),
        effective,
    };
    match fanfare::server::run(config, sockets, Some(reloading)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error);
            ExitCode::FAILURE
        }
    }
}
