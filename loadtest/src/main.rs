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
mod latency;
mod load;
mod meter;
mod pace;
mod payload;
mod pin;
mod probe;
mod procfs;
mod receive;
mod report;
mod scenario;
mod server;
mod stream;
mod sustain;
mod wire;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

use crate::cli::{Cli, Command, Run};
use crate::report::Report;
use crate::scenario::Scenario;

fn main() -> ExitCode {
    match act(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("loadtest: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn act(command: Command) -> Result<()> {
    let (scenario, run) = match command {
        Command::Bare(bare) => return bare::serve(bare.listen, bare.size, bare.history),
        Command::Compare(compare) => return compare::run(&compare),
        Command::Medians(medians) => return compare::print_medians(&medians.files),
        Command::Draw(draw) => {
            return chart::draw_reports(
                &draw.chart,
                &compare::read(&draw.files)?,
                draw.sweep.as_deref(),
            );
        }
        Command::Sustain(run) => {
            let report = sustain::run(&run)?;
            return publish(&run, &[report], true);
        }
        Command::Fanout(run) => (Scenario::Fanout, run),
        Command::Connect(run) => (Scenario::Connect, run),
        Command::Idle(run) => (Scenario::Idle, run),
        Command::Slow(run) => (Scenario::Slow, run),
        Command::Resume(run) => (Scenario::Resume, run),
        Command::Churn(run) => (Scenario::Churn, run),
        Command::Many(run) => (Scenario::Many, run),
        Command::Board(run) => (Scenario::Board, run),
        Command::Ingest(run) => (Scenario::Ingest, run),
        Command::Limit(run) => (Scenario::Limit, run),
    };
    let reports = run_all(scenario, &run)?;
    publish(&run, &reports, false)
}

/// Writes and draws the reports where that was asked for, and prints those that are not printed yet.
fn publish(run: &Run, reports: &[Report], print: bool) -> Result<()> {
    if print && !run.quiet {
        reports
            .iter()
            .for_each(|report| print!("{}", report.table()));
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
fn run_all(scenario: Scenario, run: &Run) -> Result<Vec<Report>> {
    let Some(sweep) = &run.sweep else {
        return Ok(vec![run_one(scenario, run)?]);
    };
    let mut reports = Vec::new();
    for value in &sweep.values {
        let mut run = run.clone();
        run.given.set(&sweep.name, *value)?;
        reports.push(run_one(scenario, &run)?);
    }
    Ok(reports)
}

fn run_one(scenario: Scenario, run: &Run) -> Result<Report> {
    let report = scenario::run(scenario, &run.target, &run.given)?;
    if !run.quiet {
        print!("{}", report.table());
    }
    Ok(report)
}
