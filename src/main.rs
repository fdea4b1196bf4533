//! The command line: parses, calls, reports.

mod commands;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use fanfare::config::{self, ServeArgs};

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
    Sub(commands::SubArgs),
    Pub(commands::PubArgs),
}

/// What stood on the command line, in the environment or in a file makes no sense; clap's own.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(args) => serve(args),
        Command::Sub(args) => args.run().into(),
        Command::Pub(args) => args.run().into(),
    }
}

fn serve(args: ServeArgs) -> ExitCode {
    let config = match args.load() {
        Ok(config) => config,
        Err(error) => {
            for problem in error.problems() {
                eprintln!("fanfare: {problem}");
            }
            return ExitCode::from(EXIT_USAGE);
        }
    };
    // The level has a setting of its own; a RUST_LOG that was meant for others changes nothing.
    env_logger::Builder::new().filter_level(config.log).init();
    for name in config::unknown_variables() {
        log::warn!("{name} is set, but is no option of fanfare's");
    }
    match fanfare::server::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fanfare: {error}");
            ExitCode::FAILURE
        }
    }
}
