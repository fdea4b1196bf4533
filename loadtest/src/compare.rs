//! The same runs against several servers, in turn, several rounds; medians.
//!
//! Servers take turns within a round, so that whatever else the machine does hits all of them alike; each run is a
//! process of its own with a fresh server.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::chart::{Axis, Series, draw_lines};
use crate::cli::Compare;
use crate::fault::{check_interruption, interrupted};
use crate::progress::say;
use crate::report::{self, Report, label_and_unit, median, number};

/// What stands behind the name of a server that is spoken to over TLS.
const OVER_TLS: &str = "+tls";

/// One kind of run.
struct Run {
    name: String,
    arguments: Vec<String>,
    /// Servers that can't do it.
    without: &'static [&'static str],
    /// The figures to be compared.
    figures: &'static [&'static str],
    /// The window, for the chart.
    window: Option<f64>,
    /// Whether it goes on for a time.
    lasts: bool,
}

impl Run {
    /// Those of the servers compared that can do it.
    fn servers<'c>(&self, compare: &'c Compare) -> impl Iterator<Item = &'c String> {
        let can = |server: &&String| self.suits(server);
        compare.servers.iter().filter(can)
    }

    /// Whether a server can do it.
    fn suits(&self, server: &str) -> bool {
        let (name, over_tls) = split(server);
        let scenario = self.arguments.first().map_or("", String::as_str);
        let suits_tls = over_tls || scenario != "handshakes";
        // A web server has connections, but no messages.
        let suits_web = name != "nginx" || ["idle", "handshakes"].contains(&scenario);
        suits_tls && suits_web && !self.without.contains(&name)
    }
}

/// A server's name, and whether it is spoken to over TLS.
fn split(server: &str) -> (&str, bool) {
    match server.strip_suffix(OVER_TLS) {
        Some(name) => (name, true),
        None => (server, false),
    }
}

const FANOUT_FIGURES: &[&str] = &[
    "cpu_per_delivery_us",
    "deliveries_per_s",
    "sends_per_delivery",
    "p50_ms",
    "p99_ms",
];
const RATE_FIGURES: &[&str] = &[
    "cpu_per_delivery_us",
    "server_cpu_percent",
    "p50_ms",
    "p99_ms",
];
const SINGLE_SUBSCRIPTION: &[&str] = &["tungstenite", "nchan", "limit"];

fn runs(compare: &Compare) -> Vec<Run> {
    let n = compare.n;
    let run = |name: String, arguments: &str, without, figures, window| Run {
        name,
        arguments: arguments.split_whitespace().map(str::to_owned).collect(),
        without,
        figures,
        window,
        lasts: !["connect", "idle"].contains(&arguments),
    };
    let mut runs = Vec::new();
    for window in [1, 4, 16, 64, 256] {
        let arguments = format!("fanout -n {n} -w {window}");
        runs.push(run(
            format!("fanout, window {window}"),
            &arguments,
            &[],
            FANOUT_FIGURES,
            Some(f64::from(window)),
        ));
    }
    if let Some(rate) = compare.rate {
        let arguments = format!("fanout -n {n} --rate {rate}");
        runs.push(run(
            format!("fanout, {rate} messages/s"),
            &arguments,
            &[],
            RATE_FIGURES,
            None,
        ));
    }
    let board = &[
        "cpu_per_delivery_us",
        "deliveries_per_s",
        "sends_per_delivery",
        "p99_ms",
    ];
    runs.push(run(
        "board, 100 channels".to_owned(),
        "board -n 100 --channels 100",
        SINGLE_SUBSCRIPTION,
        board,
        None,
    ));
    let many = &["cpu_per_delivery_us", "deliveries_per_s", "p99_ms"];
    runs.push(run(
        "many, 1,000 channels".to_owned(),
        "many",
        &["nchan", "limit"],
        many,
        None,
    ));
    runs.push(run(
        "ingest, 1,000 publishers".to_owned(),
        "ingest",
        &["limit"],
        &["cpu_per_publish_us", "p99_ms"],
        None,
    ));
    runs.push(run(
        "churn, 100 of 1,100 come and go".to_owned(),
        "churn",
        &["nchan", "limit"],
        many,
        None,
    ));
    let connect = &["cpu_per_handshake_us", "handshakes_per_s"];
    runs.push(run(
        "connect".to_owned(),
        "connect",
        &["limit"],
        connect,
        None,
    ));
    runs.push(run(
        "idle".to_owned(),
        "idle",
        &["limit"],
        &["memory_per_connection_bytes"],
        None,
    ));
    runs.push(run(
        "TLS handshakes, 64 at once".to_owned(),
        "handshakes",
        // Bun sends no ticket, by which the end of a handshake is told.
        &["limit", "bun"],
        connect,
        None,
    ));
    runs.retain(|run| {
        compare
            .only
            .as_ref()
            .is_none_or(|only| run.name.contains(only.as_str()))
    });
    runs
}

/// All reports of one kind of run, by server.
type Results = BTreeMap<String, Vec<Report>>;

/// How often a running child is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Runs everything and writes what was asked for.
///
/// # Errors
/// No run at all succeeded, a file can't be written, or this process was asked to end.
pub(crate) fn run(compare: &Compare) -> Result<()> {
    let runs = runs(compare);
    if runs.is_empty() {
        bail!("--only names no run");
    }
    let mut results: Vec<Results> = runs.iter().map(|_| Results::new()).collect();
    let pairs: usize = runs.iter().map(|run| run.servers(compare).count()).sum();
    let (all, mut done, began) = (pairs * compare.rounds, 0, Instant::now());
    let mut failed = 0;
    for round in 1..=compare.rounds {
        for (run, results) in runs.iter().zip(&mut results) {
            for server in run.servers(compare) {
                let minutes = began.elapsed().as_secs_f64() / 60.0;
                let left = minutes / done.max(1) as f64 * (all - done) as f64;
                let left = if done == 0 {
                    String::new()
                } else {
                    format!(", {left:.0} min left")
                };
                say(format_args!(
                    "round {round} of {}: {} on {server} ({done} of {all} runs done{left})",
                    compare.rounds, run.name
                ));
                match one(run, server, compare) {
                    Ok(report) => results.entry(server.clone()).or_default().push(report),
                    Err(error) if interrupted() => return Err(error),
                    // One server's failure is a result of the comparison, not the end of it.
                    Err(error) => {
                        failed += 1;
                        say(format_args!("  failed: {error:#}"));
                    }
                }
                done += 1;
            }
        }
    }
    if failed == all {
        bail!("none of the runs succeeded");
    }
    let markdown = markdown(&runs, &results, compare);
    report::print(&markdown)?;
    let write = |path: &PathBuf, text: &str| {
        std::fs::write(path, text).with_context(|| format!("can't write {}", path.display()))
    };
    if let Some(path) = &compare.markdown {
        write(path, &markdown)?;
    }
    if let Some(path) = &compare.json {
        // One list, as every other run writes it: scenario, server and parameters say what each one is.
        let reports: Vec<&Report> = results
            .iter()
            .flat_map(BTreeMap::values)
            .flatten()
            .collect();
        write(path, &(serde_json::to_string_pretty(&reports)? + "\n"))?;
    }
    if let Some(path) = &compare.chart {
        let series = series(&runs, &results, &compare.servers);
        let title = format!("Server CPU per delivery, {} subscribers, 128 B", compare.n);
        let (x, y) = (
            Axis {
                label: "window, messages under way",
            },
            Axis {
                label: "CPU per delivery, µs",
            },
        );
        draw_lines(path, &title, x, y, &series)?;
    }
    Ok(())
}

/// Runs this program once more and reads its report.
fn one(run: &Run, server: &str, compare: &Compare) -> Result<Report> {
    let mut command = Command::new(std::env::current_exe()?);
    let mut arguments = run.arguments.clone();
    let (server, over_tls) = split(server);
    // Handshakes are over TLS without a word.
    if over_tls && run.arguments[0] != "handshakes" {
        arguments.push("--tls".to_owned());
    }
    match server {
        // The same load on the kernel alone.
        "limit" => "limit".clone_into(&mut arguments[0]),
        "fanfare" => {
            if let Some(path) = &compare.server {
                arguments.extend(["--server".to_owned(), path.display().to_string()]);
            }
        }
        peer => arguments.extend(["--peer".to_owned(), peer.to_owned()]),
    }
    if run.lasts {
        arguments.extend(["--seconds".to_owned(), compare.seconds.to_string()]);
    }
    let child = command
        .args(arguments)
        .args(["--json", "/dev/stdout", "--quiet"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let output = finish(child)?;
    check_interruption()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let reports: Vec<Report> =
        serde_json::from_slice(&output.stdout).context("an unreadable report")?;
    reports.into_iter().next().context("no report")
}

/// Waits for a child, and ends it if this process is asked to end.
fn finish(child: Child) -> Result<Output> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    // Its pipes have to be read while it runs.
    let reading = std::thread::spawn(move || child.wait_with_output());
    let mut told = false;
    while !reading.is_finished() {
        if interrupted() && !told {
            told = true;
            if let Some(pid) = pid {
                // It may have ended by itself.
                let _ = kill_process(pid, Signal::TERM);
            }
        }
        std::thread::sleep(LOOK);
    }
    match reading.join() {
        Ok(output) => Ok(output?),
        Err(_) => bail!("reading a child's output panicked"),
    }
}

/// Reads the reports in some files.
///
/// # Errors
/// A file is not what `--json` wrote.
pub(crate) fn read(files: &[PathBuf]) -> Result<Vec<Report>> {
    let mut reports = Vec::new();
    for path in files {
        let text = std::fs::read(path).with_context(|| format!("can't read {}", path.display()))?;
        let read: Vec<Report> = serde_json::from_slice(&text)
            .with_context(|| format!("{} is no report", path.display()))?;
        reports.extend(read);
    }
    Ok(reports)
}

/// Prints the median of each figure over the reports in some files, for each kind of run by itself.
///
/// # Errors
/// A file is not what `--json` wrote.
pub(crate) fn print_medians(files: &[PathBuf]) -> Result<()> {
    let mut kinds: BTreeMap<String, Vec<Report>> = BTreeMap::new();
    for report in read(files)? {
        kinds.entry(report.title()).or_default().push(report);
    }
    let mut text = String::new();
    for (title, reports) in &kinds {
        // Writing to a String can't fail.
        let _ = writeln!(text, "{title}; median of {}:", reports.len());
        let figures = reports.first().map_or(&[][..], |report| &report.figures);
        let quantiles = ["p50_ms", "p90_ms", "p99_ms", "p999_ms", "max_ms"];
        let names = figures.iter().map(|figure| figure.name.as_str());
        for name in names.chain(quantiles) {
            if let Some(value) = median(reports, name) {
                let _ = writeln!(text, "  {name:<40} {:>14}", number(value));
            }
        }
    }
    report::print(&text)
}

/// A table for each figure's kind of run: servers down, figures across.
fn markdown(runs: &[Run], results: &[Results], compare: &Compare) -> String {
    let mut text = String::new();
    for (run, results) in runs.iter().zip(results) {
        // Writing to a String can't fail.
        let _ = writeln!(text, "### {}\n", run.name);
        let heads = run.figures.iter().map(|figure| {
            let (label, unit) = label_and_unit(figure);
            if unit.is_empty() {
                label
            } else {
                format!("{label}, {unit}")
            }
        });
        let heads: Vec<String> = heads.collect();
        let _ = writeln!(text, "| server | {} | rounds |", heads.join(" | "));
        let _ = writeln!(text, "|---|{}---:|", "---:|".repeat(heads.len()));
        for server in run.servers(compare) {
            let reports = results.get(server).map_or(&[][..], Vec::as_slice);
            let cells: Vec<String> = run
                .figures
                .iter()
                .map(|figure| median(reports, figure).map_or("–".to_owned(), number))
                .collect();
            let ours = reports.iter().any(Report::load_was_the_bottleneck);
            let mark = if ours { " *" } else { "" };
            let _ = writeln!(
                text,
                "| {server}{mark} | {} | {} |",
                cells.join(" | "),
                reports.len()
            );
        }
        let _ = writeln!(text);
    }
    if text.contains(" * |") {
        text.push_str(
            "\\* in at least one round the load client was the bottleneck: rates and latencies are its limit.\n",
        );
    }
    text
}

fn series(runs: &[Run], results: &[Results], servers: &[String]) -> Vec<Series> {
    let of = |server: &String| -> Vec<(f64, f64)> {
        runs.iter()
            .zip(results)
            .filter_map(|(run, results)| {
                Some((
                    run.window?,
                    median(results.get(server)?, "cpu_per_delivery_us")?,
                ))
            })
            .collect()
    };
    servers
        .iter()
        .map(|server| Series {
            name: server.clone(),
            points: of(server),
        })
        .collect()
}
