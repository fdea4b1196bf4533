//! The highest rate that a server sustains: an open loop's p99 stays under a bound, and everything arrives.
//!
//! The rate is doubled until it is too high, then narrowed down between the last good one and the first bad one.

use anyhow::{Result, bail};

use crate::cli::Run;
use crate::fault::{Overloaded, interrupted};
use crate::progress::say;
use crate::report::Report;
use crate::scenario::{self, Scenario};

/// The p99 that is still good, in milliseconds.
const P99_MAX_MS: f64 = 100.0;
/// The rate to begin with, in messages per second.
const FIRST_RATE: f64 = 250.0;
/// How close the good and the bad rate are brought together.
const CLOSE_ENOUGH: f64 = 1.07;
/// How often a rate may fail before it counts as too high: a pause of the machine is not the server's.
const TRIES: usize = 2;

/// How a rate went.
enum Attempt {
    Good(Box<Report>),
    /// Too much for the server, or for the load client where it was the bottleneck.
    TooMuch {
        ours: bool,
    },
}

/// Finds the rate and returns the report of a run at it, with the rate as a figure.
///
/// # Errors
/// Not even the first rate is sustained, or a run failed for another reason than its rate.
pub(crate) fn run(run: &Run) -> Result<Report> {
    if run.given.window.is_some() || run.sweep.is_some() {
        bail!("sustain searches for a rate: it has no use for --window and --sweep");
    }
    let (mut good, mut bad): (Option<(f64, Box<Report>)>, Option<f64>) = (None, None);
    let mut bad_was_ours = false;
    let mut rate = run.given.rate.unwrap_or(FIRST_RATE);
    loop {
        match attempt(run, rate)? {
            Attempt::Good(report) => good = Some((rate, report)),
            Attempt::TooMuch { ours } => (bad, bad_was_ours) = (Some(rate), ours),
        }
        let next = f64::round(match (&good, bad) {
            (Some((good, _)), None) => good * 2.0,
            (None, Some(bad)) if bad < 2.0 => bail!("not even {bad} messages/s are sustained"),
            (None, Some(bad)) => bad / 2.0,
            (Some((good, _)), Some(bad)) if bad / good > CLOSE_ENOUGH => (good * bad).sqrt(),
            (Some(_), Some(_)) | (None, None) => break,
        });
        // Between two small rates there may be no other whole one.
        if [good.as_ref().map(|(good, _)| *good), bad].contains(&Some(next)) {
            break;
        }
        rate = next;
    }
    let Some((rate, mut report)) = good else {
        bail!("no rate is sustained");
    };
    "sustain".clone_into(&mut report.scenario);
    // It is what was found, not what was asked for.
    report.parameters.remove("rate");
    report.add("sustained_per_s", rate);
    if let (true, Some(bad)) = (bad_was_ours, bad) {
        report.remarks.push(format!(
            "at {bad} messages/s the load client was the bottleneck: the server may sustain more than this"
        ));
    }
    Ok(*report)
}

/// Tries a rate, more than once if it fails.
fn attempt(run: &Run, rate: f64) -> Result<Attempt> {
    let mut given = run.given.clone();
    given.rate = Some(rate);
    let mut ours = false;
    for _ in 0..TRIES {
        let report = match scenario::run(Scenario::Fanout, &run.target, &given) {
            Ok(report) => report,
            // A peer may drop what it can't deliver, as its documentation says: that, too, is too much for it.
            Err(error)
                if !interrupted()
                    && run.target.url.is_none()
                    && (run.target.peer.is_some() || Overloaded::cause(&error).is_some()) =>
            {
                say(format_args!("{rate} messages/s: {error:#}"));
                ours = Overloaded::cause(&error) == Some(true);
                continue;
            }
            // A server that runs on would deliver this run's messages to the next one.
            Err(error) => return Err(error.context(format!("at {rate} messages/s"))),
        };
        let p99_ms = report.value("p99_ms").unwrap_or(f64::INFINITY);
        let good = p99_ms < P99_MAX_MS;
        let verdict = if good { "" } else { ", too much" };
        say(format_args!(
            "{rate} messages/s: p99 {p99_ms:.1} ms{verdict}"
        ));
        if good {
            return Ok(Attempt::Good(Box::new(report)));
        }
        ours = report.load_was_the_bottleneck();
    }
    Ok(Attempt::TooMuch { ours })
}
