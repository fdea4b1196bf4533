//! What a run found: figures with names and units, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{ErrorKind, Write as _};

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, poll};
use serde::{Deserialize, Serialize};

use crate::latency::Quantiles;
use crate::meter::Cost;

/// The word that a remark about the load client's own limit contains.
const BOTTLENECK: &str = "bottleneck";

/// The result of one run of a scenario against one server.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    /// The scenario's name.
    pub(crate) scenario: String,
    /// What was measured.
    pub(crate) server: String,
    /// What it ran on.
    pub(crate) machine: String,
    /// The parameters that the scenario used.
    pub(crate) parameters: BTreeMap<String, f64>,
    /// What was found, in the order of finding.
    pub(crate) figures: Vec<Figure>,
    /// From sending to receiving.
    pub(crate) latency: Option<Quantiles>,
    /// From the first subscriber that had a message to the last one.
    pub(crate) skew: Option<Quantiles>,
    /// What to keep in mind when reading the figures.
    pub(crate) remarks: Vec<String>,
}

/// One figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figure {
    /// Its name; the unit is last.
    pub(crate) name: String,
    /// Its value, in the unit that the name ends with.
    pub(crate) value: f64,
}

impl Report {
    /// Adds a figure.
    pub(crate) fn add(&mut self, name: &str, value: f64) {
        self.figures.push(Figure {
            name: name.to_owned(),
            value,
        });
    }

    /// The value of a figure, or of a quantile as `p99_ms`.
    pub(crate) fn value(&self, name: &str) -> Option<f64> {
        let latency = self.latency.as_ref();
        self.figures
            .iter()
            .find(|figure| figure.name == name)
            .map(|figure| figure.value)
            .or_else(|| {
                latency.and_then(|latency| match name {
                    "p50_ms" => Some(latency.p50_ms),
                    "p90_ms" => Some(latency.p90_ms),
                    "p99_ms" => Some(latency.p99_ms),
                    "p999_ms" => Some(latency.p999_ms),
                    "max_ms" => Some(latency.max_ms),
                    _ => None,
                })
            })
    }

    /// Adds what a stretch of publishing cost.
    pub(crate) fn add_cost(&mut self, cost: &Cost, published: u64, deliveries: u64) {
        let seconds = cost.wall_ns as f64 / 1e9;
        let per = |total: u64, count: u64| total as f64 / count.max(1) as f64;
        self.add("seconds", seconds);
        self.add("published", published as f64);
        self.add("publishes_per_s", published as f64 / seconds);
        self.add("deliveries", deliveries as f64);
        self.add("deliveries_per_s", deliveries as f64 / seconds);
        if cost.server_cpu_ns > 0 {
            self.add(
                "cpu_per_delivery_us",
                per(cost.server_cpu_ns, deliveries) / 1e3,
            );
            self.add(
                "cpu_per_publish_us",
                per(cost.server_cpu_ns, published) / 1e3,
            );
            self.add("user_share_percent", cost.server_user_share * 100.0);
        }
        self.add("sends_per_delivery", per(cost.server_sends, deliveries));
        self.add(
            "wire_per_delivery_bytes",
            per(cost.received_bytes, deliveries),
        );
        if cost.server_cpu_ns > 0 {
            self.add(
                "cpu_per_send_us",
                per(cost.server_cpu_ns, cost.server_sends) / 1e3,
            );
        }
        self.add_load(cost);
    }

    /// Adds how busy both sides were, and says so if ours was the limit.
    pub(crate) fn add_load(&mut self, cost: &Cost) {
        let share = |cpu: u64| cpu as f64 / cost.wall_ns.max(1) as f64 * 100.0;
        if cost.server_cpu_ns > 0 {
            self.add("server_cpu_percent", share(cost.server_cpu_ns));
        }
        self.add("load_cpu_percent", share(cost.own_cpu_ns));
        if cost.load_was_the_bottleneck() {
            let own = share(cost.own_cpu_ns);
            self.remarks.push(if cost.server_cpu_ns > 0 {
                format!(
                    "the load client was the {BOTTLENECK}: it used {own:.0} % of its core, the server {:.0} % of its own; \
                     rates and latencies are the client's limit, CPU per delivery is still the server's",
                    share(cost.server_cpu_ns),
                )
            } else {
                format!(
                    "the load client used {own:.0} % of its core and may have been the {BOTTLENECK}; \
                     give --pid to see what the server used"
                )
            });
        }
    }

    /// Whether rates and latencies may be the load client's limit.
    pub(crate) fn load_was_the_bottleneck(&self) -> bool {
        self.remarks
            .iter()
            .any(|remark| remark.contains(BOTTLENECK))
    }

    /// What kind of run it was: the scenario, the server and the parameters.
    pub(crate) fn title(&self) -> String {
        let parameters: Vec<String> = self
            .parameters
            .iter()
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        format!(
            "{} on {}: {}",
            self.scenario,
            self.server,
            parameters.join(", ")
        )
    }

    /// The report as a table for people.
    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        // Writing to a String can't fail.
        let _ = writeln!(text, "{}", self.title());
        for figure in &self.figures {
            let (label, unit) = label_and_unit(&figure.name);
            let _ = writeln!(text, "  {label:<34} {:>14} {unit}", number(figure.value));
        }
        for (label, quantiles) in [
            ("latency", &self.latency),
            ("first to last subscriber", &self.skew),
        ] {
            if let Some(q) = quantiles {
                let _ = writeln!(
                    text,
                    "  {label:<34} p50 {}  p90 {}  p99 {}  p99.9 {}  max {} ms",
                    number(q.p50_ms),
                    number(q.p90_ms),
                    number(q.p99_ms),
                    number(q.p999_ms),
                    number(q.max_ms),
                );
            }
        }
        for remark in &self.remarks {
            let _ = writeln!(text, "  note: {remark}");
        }
        text
    }
}

/// The median of a figure over some reports, if any has it.
pub(crate) fn median<'r>(
    reports: impl IntoIterator<Item = &'r Report>,
    figure: &str,
) -> Option<f64> {
    let values = reports.into_iter();
    let mut values: Vec<f64> = values.filter_map(|report| report.value(figure)).collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

/// Prints a text; who reads it may stop before its end.
///
/// # Errors
/// It can't be written for another reason.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    let mut rest = text.as_bytes();
    loop {
        let step = match rest {
            [] => stdout.flush().map(|()| 0),
            _ => stdout.write(rest),
        };
        match step {
            Ok(_) if rest.is_empty() => return Ok(()),
            Ok(written) => rest = &rest[written..],
            Err(error) => match error.kind() {
                ErrorKind::BrokenPipe => return Ok(()),
                ErrorKind::Interrupted => {}
                // Another process that has it open, too, made it so.
                ErrorKind::WouldBlock => {
                    let mut room = [PollFd::new(&stdout, PollFlags::OUT)];
                    // However this ends, the next write says what is the matter.
                    let _ = poll(&mut room, None);
                }
                _ => return Err(error).context("can't print"),
            },
        }
    }
}

/// Splits a figure's name into words and the unit that it ends with.
pub(crate) fn label_and_unit(name: &str) -> (String, &'static str) {
    const UNITS: [(&str, &str); 9] = [
        ("_per_s", "/s"),
        ("_us", "µs"),
        ("_ms", "ms"),
        ("_percent", "%"),
        ("_mib", "MiB"),
        ("_bytes", "B"),
        ("seconds", "s"),
        ("_ns", "ns"),
        ("", ""),
    ];
    let (ending, unit) = UNITS
        .iter()
        .find(|(ending, _)| name.ends_with(ending))
        .unwrap_or(&("", ""));
    let label = name
        .strip_suffix(ending)
        .filter(|label| !label.is_empty())
        .unwrap_or(name);
    (label.replace("cpu", "CPU").replace('_', " "), unit)
}

/// A number with as many digits as it deserves, and separators from 10,000 on.
pub(crate) fn number(value: f64) -> String {
    if value.abs() >= 1_000.0 {
        let whole = format!("{value:.0}");
        let (sign, digits) = whole
            .strip_prefix('-')
            .map_or(("", whole.as_str()), |digits| ("-", digits));
        let mut text = String::from(sign);
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        text
    } else if value.abs() >= 100.0 || value == value.trunc() {
        format!("{value:.0}")
    } else if value.abs() >= 1.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.4}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_they_deserve() {
        assert_eq!(number(1_234_567.8), "1,234,568");
        assert_eq!(number(999.6), "1000");
        assert_eq!(number(12.345), "12.35");
        assert_eq!(number(0.01234), "0.0123");
        assert_eq!(number(3.0), "3");
    }

    #[test]
    fn the_median_is_the_middle_one_or_between_the_two() {
        let with = |value| {
            let mut report = Report::default();
            report.add("x", value);
            report
        };
        assert_eq!(median(&[], "x"), None);
        assert_eq!(median(&[with(3.0), with(1.0), with(2.0)], "x"), Some(2.0));
        assert_eq!(median(&[with(1.0), with(2.0)], "x"), Some(1.5));
    }

    #[test]
    fn a_name_ends_with_its_unit() {
        assert_eq!(
            label_and_unit("cpu_per_delivery_us"),
            ("CPU per delivery".to_owned(), "µs")
        );
        assert_eq!(
            label_and_unit("deliveries_per_s"),
            ("deliveries".to_owned(), "/s")
        );
        assert_eq!(label_and_unit("published"), ("published".to_owned(), ""));
    }
}
