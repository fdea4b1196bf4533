//! `patterns`: many channels, and subscribers of a pattern that stands for all of them, beside as many of one channel.

use anyhow::Result;

use super::broadcast::measure;
use super::recipe::start;
use super::{Bench, Scenario};
use crate::cli::Target;
use crate::client::Wish;
use crate::load::{Done, Load};
use crate::order::Keep;
use crate::pattern::{ChannelSeqs, Topic};
use crate::report::Report;

/// How much longer than in one channel the same messages may take, after which publishing ends.
const PATIENCE: f64 = 10.0;

/// What is reported of the one channel as well.
const BESIDE: [&str; 5] = [
    "deliveries_per_s",
    "cpu_per_delivery_us",
    "cpu_per_publish_us",
    "sends_per_delivery",
    "wire_per_delivery_bytes",
];

/// Publishes to one channel, and then as many messages to many channels in turn, each time for as many subscribers. Each part has
/// a daemon of its own, so that no pattern is left when the one channel is measured.
///
/// # Errors
/// A message was lost without a word, repeated, changed or out of order, or the server failed.
pub(super) fn run(bench: Bench, target: &Target, report: &mut Report) -> Result<()> {
    let mut one_channel = Report::default();
    let done = part(&bench, Topic::Channel, &mut one_channel)?;
    let Bench {
        server,
        dialect,
        mut parameters,
    } = bench;
    drop(server);
    parameters.messages = done.published;
    parameters.seconds *= PATIENCE;
    let bench = Bench {
        server: start(Scenario::Patterns, target, &parameters)?,
        dialect,
        parameters,
    };
    let done = part(&bench, Topic::Pattern, report)?;
    if done.lapped > 0 {
        report.add("lapped", done.lapped as f64);
        report.remarks.push(
            "subscribers of the pattern were lapped, and told so: they fell behind what its log holds"
                .to_owned(),
        );
    }
    compare(report, &one_channel);
    Ok(())
}

/// Measures the subscribers of a channel or of the pattern.
fn part(bench: &Bench, topic: Topic, report: &mut Report) -> Result<Done> {
    let parameters = &bench.parameters;
    let channels = match topic {
        Topic::Channel => 1,
        Topic::Pattern => parameters.channels as usize,
    };
    let mut client = bench.client(0, Keep::All)?;
    client.shared.channel_seqs = ChannelSeqs::new(channels);
    // Subscribers first: who subscribes before the first message must get all of them.
    client.open((0..parameters.n).map(|_| Wish::listener(topic)))?;
    client.open([Wish::publisher()])?;
    let publishers = vec![parameters.n as usize];
    let mut load = Load::new(client, publishers, channels, parameters.n, parameters.pace);
    measure(&mut load, bench, report, &mut |_, _| Ok(()))
}

/// Adds to the report of the pattern what the one channel took, and the ratio.
fn compare(report: &mut Report, one_channel: &Report) {
    for name in BESIDE {
        if let Some(value) = one_channel.value(name) {
            report.add(&format!("one_channel_{name}"), value);
        }
    }
    let cpu = |report: &Report| report.value("cpu_per_delivery_us");
    if let (Some(pattern), Some(channel)) = (cpu(report), cpu(one_channel)) {
        report.add("cpu_against_one_channel", pattern / channel);
    }
    let remarks = &one_channel.remarks;
    report.remarks.extend(
        remarks
            .iter()
            .map(|remark| format!("one channel: {remark}")),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_has_both_parts_and_their_ratio() {
        let (mut report, mut one_channel) = (Report::default(), Report::default());
        report.add("cpu_per_delivery_us", 0.3);
        one_channel.add("cpu_per_delivery_us", 0.2);
        one_channel.remarks.push("the load was light".to_owned());
        compare(&mut report, &one_channel);
        assert_eq!(report.value("one_channel_cpu_per_delivery_us"), Some(0.2));
        let ratio = report.value("cpu_against_one_channel").unwrap();
        assert!((ratio - 1.5).abs() < 1e-9, "{ratio}");
        assert_eq!(report.remarks, ["one channel: the load was light"]);
        assert_eq!(report.value("cpu_per_delivery_us"), Some(0.3));
    }

    #[test]
    fn what_was_not_measured_is_not_compared() {
        let mut report = Report::default();
        report.add("cpu_per_delivery_us", 0.3);
        compare(&mut report, &Report::default());
        assert_eq!(report.value("cpu_against_one_channel"), None);
    }
}
