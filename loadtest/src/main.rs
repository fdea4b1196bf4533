//! Loads a fanfare daemon, or another server that does the same, and says what it costs and how fast it is.
//!
//! The server runs on one core, the load on another; every message that arrives is checked; the figure that counts is
//! the server's CPU time per delivery, which is steady where wall time is not. `loadtest limit` measures the kernel
//! alone in the same way, so that every result can be read as a ratio.

mod bare;
mod chart;
mod cli;
mod client;
mod compare;
mod dialect;
mod events;
mod fault;
mod latency;
mod link;
mod load;
mod meter;
mod order;
mod pace;
mod pattern;
mod payload;
mod pin;
mod post;
mod probe;
mod procfs;
mod progress;
mod reader;
mod receive;
mod report;
mod scenario;
mod server;
mod socket;
mod stream;
mod sustain;
mod tls;
mod wire;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

use crate::cli::{Cli, Command, Run};
use crate::report::Report;
use crate::scenario::Scenario;

/// The exit status of who was asked to end, as shells have it for SIGINT.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    match act(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        // The server may have got the signal too: what it looked like from here is of no interest.
        Err(_) if fault::interrupted() => {
            progress::say("loadtest: interrupted");
            ExitCode::from(INTERRUPTED)
        }
        Err(error) => {
            progress::say(format_args!("loadtest: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn act(command: Command) -> Result<()> {
    // The process that `limit` measures ends when it is told to, without further ado.
    if !matches!(command, Command::Bare(_)) {
        fault::listen_for_interruption()?;
    }
    let (scenario, run) = match command {
        Command::Bare(bare) => {
            return bare::serve(bare.listen, bare.size, bare.content, bare.history);
        }
        Command::Compare(compare) => return compare::run(&compare),
        Command::Medians(medians) => return compare::print_medians(&medians.files),
        Command::Draw(draw) => {
            let reports = compare::read(&draw.files)?;
            return chart::draw_reports(&draw.chart, &reports, draw.sweep.as_deref());
        }
        Command::Sustain(run) => {
            let report = sustain::run(&run)?;
            return publish(&run, &[report], true);
        }
        Command::Fanout(run) => (Scenario::Fanout, run),
        Command::Connect(run) => (Scenario::Connect, run),
        Command::Idle(run) => (Scenario::Idle, run),
        Command::Handshakes(run) => (Scenario::Handshakes, run),
        Command::Slow(run) => (Scenario::Slow, run),
        Command::Resume(run) => (Scenario::Resume, run),
        Command::Churn(run) => (Scenario::Churn, run),
        Command::Many(run) => (Scenario::Many, run),
        Command::Board(run) => (Scenario::Board, run),
        Command::Ingest(run) => (Scenario::Ingest, run),
        Command::Patterns(run) => (Scenario::Patterns, run),
        Command::Limit(run) => (Scenario::Limit, run),
    };
    let mut reports = Vec::new();
    let result = run_all(scenario, &run, &mut reports);
    // What a sweep found before it failed is worth keeping.
    if !reports.is_empty() {
        publish(&run, &reports, false)?;
    }
    result
}

/// Writes and draws the reports where that was asked for, and prints those that are not printed yet.
fn publish(run: &Run, reports: &[Report], print: bool) -> Result<()> {
    if print && !run.quiet {
        for report in reports {
            report::print(&report.table())?;
        }
    }
    if let Some(path) = &run.json {
        let text = serde_json::to_string_pretty(reports)?;
        std::fs::write(path, text + "\n")
            .with_context(|| format!("can't write {}", path.display()))?;
    }
    if let Some(path) = &run.chart {
        let swept = run.sweep.as_ref().map(|sweep| sweep.name.as_str());
        chart::draw_reports(path, reports, swept)?;
    }
    Ok(())
}

/// Runs a scenario once, or once for each value of a sweep; each report is printed when it is there.
fn run_all(scenario: Scenario, run: &Run, reports: &mut Vec<Report>) -> Result<()> {
    let Some(sweep) = &run.sweep else {
        reports.push(run_one(scenario, run)?);
        return Ok(());
    };
    let at = |value: f64| -> Result<Run> {
        let mut run = run.clone();
        run.given.set(&sweep.name, value)?;
        Ok(run)
    };
    // A value that is not allowed is said before anything runs.
    for value in &sweep.values {
        scenario.parameters(&at(*value)?.given)?;
    }
    for value in &sweep.values {
        let report = run_one(scenario, &at(*value)?);
        reports.push(report.with_context(|| format!("{} = {value}", sweep.name))?);
    }
    Ok(())
}

fn run_one(scenario: Scenario, run: &Run) -> Result<Report> {
    let report = scenario::run(scenario, &run.target, &run.given)?;
    if !run.quiet {
        report::print(&report.table())?;
    }
    Ok(report)
}
