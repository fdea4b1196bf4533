//! The numbers of a run: what a scenario takes, what it does when nothing is said, and what is allowed.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use super::Scenario;
use crate::cli::Given;
use crate::pace::Pace;
use crate::payload::{Content, MAX_PUBLISHERS, MIN_SIZE};

/// What a run does, every number known.
#[derive(Clone, Debug)]
pub(crate) struct Parameters {
    /// Subscribers, or connections.
    pub(crate) n: u64,
    /// Publishers.
    pub(crate) publishers: u64,
    /// How publications are paced.
    pub(crate) pace: Pace,
    /// Bytes of each message's data.
    pub(crate) size: u64,
    /// Channels.
    pub(crate) channels: u64,
    /// Messages of a history.
    pub(crate) last: u64,
    /// Subscribers that stop reading.
    pub(crate) stalled: u64,
    /// How long to publish.
    pub(crate) seconds: f64,
    /// How many to publish at most.
    pub(crate) messages: u64,
    /// How long to publish before measuring.
    pub(crate) warmup: f64,
    /// What each message's data is made of.
    pub(crate) content: Content,
    /// Whether subscribers offer permessage-deflate.
    pub(crate) deflate: bool,
    /// Whether TLS is spoken.
    pub(crate) tls: bool,
    /// Whether subscribers follow event streams.
    pub(crate) events: bool,
    /// Whether publications by WebSocket are answered.
    pub(crate) answers: bool,
    /// Whether each publication is a request of HTTP.
    pub(crate) post: bool,
    /// How many publications are one request of HTTP; 0 for none.
    pub(crate) batch: u64,
    /// Whether pings are measured too.
    pub(crate) probe: bool,
}

/// What says how and how long to publish.
const PUBLISHING: [&str; 7] = [
    "window", "rate", "size", "seconds", "messages", "warmup", "content",
];

impl Scenario {
    /// Whether it makes use of a parameter, by the name of its option.
    fn takes(self, parameter: &str, given: &Given) -> bool {
        if parameter == "tls" {
            return !matches!(self, Self::Limit | Self::Handshakes);
        }
        let more: &[&str] = match self {
            Self::Connect => return ["n", "deflate"].contains(&parameter),
            Self::Idle => return ["n", "deflate", "events"].contains(&parameter),
            Self::Handshakes => return ["n", "seconds", "warmup", "probe"].contains(&parameter),
            Self::Resume => {
                return ["n", "size", "last", "content", "deflate"].contains(&parameter);
            }
            // With a history it is the counterpart of `resume`, without one that of `fanout`.
            Self::Limit if given.last.is_some() => {
                return ["n", "size", "last", "content"].contains(&parameter);
            }
            Self::Limit => &["n", "last"],
            Self::Fanout | Self::Ingest => &[
                "n",
                "publishers",
                "deflate",
                "probe",
                "events",
                "answers",
                "post",
                "batch",
            ],
            Self::Churn => &["n", "publishers", "deflate", "probe"],
            Self::Many | Self::Board => &["n", "publishers", "channels", "deflate", "probe"],
            Self::Slow => &["n", "stalled", "deflate"],
            Self::Patterns => &["n", "channels"],
        };
        more.contains(&parameter) || PUBLISHING.contains(&parameter)
    }

    /// Fills in what was not given.
    ///
    /// # Errors
    /// A number is out of bounds, with what is allowed; or the scenario makes no use of it.
    pub(crate) fn parameters(self, given: &Given) -> Result<Parameters> {
        let idle = |name: &&str| !self.takes(name, given);
        if let Some(parameter) = given.names().into_iter().find(idle) {
            let with = match (self, given.last) {
                (Self::Limit, Some(_)) => " with --last",
                _ => "",
            };
            bail!(
                "{}{with} has no use for --{parameter}: `loadtest --help` says which numbers it takes",
                self.name()
            );
        }
        if given.window.is_some() && given.rate.is_some() {
            bail!("--window paces a closed loop and --rate an open one: give one of them");
        }
        if given.events && given.deflate {
            bail!("--events are not compressed: give one of --events and --deflate");
        }
        if u8::from(given.post) + u8::from(given.answers) + u8::from(given.batch.is_some()) > 1 {
            bail!("--answers, --post and --batch are three ways to publish: give one of them");
        }
        let (n, publishers, channels, stalled) = match self {
            Self::Fanout | Self::Limit => (1_000, 1, 1, 0),
            Self::Connect => (10_000, 0, 1, 0),
            Self::Idle => (8_000, 0, 1, 0),
            Self::Handshakes => (64, 0, 1, 0),
            Self::Slow => (1_000, 1, 1, 1_000),
            Self::Resume => (5_000, 1, 1, 0),
            Self::Churn => (1_000, 1, 1, 0),
            Self::Many => (2_000, 1, 1_000, 0),
            Self::Board => (100, 1, 100, 0),
            Self::Ingest => (2, 1_000, 1, 0),
            Self::Patterns => (100, 1, 10_000, 0),
        };
        // A batch needs room in the window, and the next one goes out while it is delivered.
        let window = match (given.batch, self) {
            (Some(batch), _) => 2 * batch,
            (None, Self::Ingest) => 1_000,
            (None, _) => 64,
        };
        let size = given
            .size
            .unwrap_or(if self == Self::Slow { 1_024 } else { 128 });
        // 100 MB, however long that takes, where memory is the question.
        let (seconds, messages) = match self {
            Self::Slow => (300.0, (100_000_000 / size.max(1)).max(1)),
            _ => (3.0, 100_000_000),
        };
        let parameters = Parameters {
            n: given.n.unwrap_or(n),
            publishers: given.publishers.unwrap_or(publishers),
            pace: given
                .rate
                .map_or(Pace::Window(given.window.unwrap_or(window)), Pace::Rate),
            size,
            channels: given.channels.unwrap_or(channels),
            last: given
                .last
                .unwrap_or(if self == Self::Resume { 1_000 } else { 0 }),
            stalled: given.stalled.unwrap_or(stalled),
            seconds: given.seconds.unwrap_or(seconds),
            messages: given.messages.unwrap_or(messages),
            warmup: given.warmup.unwrap_or(0.5),
            content: given.content.unwrap_or_default(),
            deflate: given.deflate,
            tls: given.tls || self == Self::Handshakes,
            events: given.events,
            answers: given.answers,
            post: given.post,
            batch: given.batch.unwrap_or(0),
            probe: given.probe,
        };
        parameters.check(self)?;
        Ok(parameters)
    }
}

impl Parameters {
    fn check(&self, scenario: Scenario) -> Result<()> {
        let within = |name: &str, value: f64, least: f64, most: f64| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            bail!("{name} {value} is not between {least} and {most}")
        };
        let publishers = f64::from(u8::from(self.publishers > 0 || scenario.publishes()));
        within("n", self.n as f64, 1.0, 1e6)?;
        within(
            "publishers",
            self.publishers as f64,
            publishers,
            MAX_PUBLISHERS as f64,
        )?;
        // The daemon holds messages of each channel: with many channels, large ones would take all the memory.
        let largest = match scenario {
            Scenario::Patterns => 65_280.0,
            _ => 16_777_216.0,
        };
        within("size", self.size as f64, MIN_SIZE as f64, largest)?;
        within("channels", self.channels as f64, 1.0, 999_999.0)?;
        let least = f64::from(u8::from(scenario == Scenario::Resume));
        within("last", self.last as f64, least, 1e6)?;
        within("stalled", self.stalled as f64, 0.0, 1e6)?;
        within("seconds", self.seconds, 0.001, 3_600.0)?;
        within("messages", self.messages as f64, 1.0, 1e9)?;
        within("warmup", self.warmup, 0.0, 600.0)?;
        within("batch", self.batch as f64, 0.0, 4_096.0)?;
        match self.pace {
            Pace::Window(window) if window < self.batch => {
                bail!("window {window} has no room for a batch of {}", self.batch)
            }
            Pace::Window(window) => within("window", window as f64, 1.0, 1e6),
            Pace::Rate(rate) => within("rate", rate, 0.1, 1e7),
        }
    }

    /// Those that the scenario makes use of, for the report.
    pub(super) fn named(&self, scenario: Scenario, given: &Given) -> BTreeMap<String, f64> {
        let (pace, value) = match self.pace {
            Pace::Window(window) => ("w", window as f64),
            Pace::Rate(rate) => ("rate", rate),
        };
        let all = [
            ("n", "n", self.n as f64),
            ("publishers", "publishers", self.publishers as f64),
            ("window", pace, value),
            ("size", "size", self.size as f64),
            ("channels", "channels", self.channels as f64),
            ("last", "last", self.last as f64),
            ("stalled", "stalled", self.stalled as f64),
            (
                "content",
                "records",
                f64::from(u8::from(self.content == Content::Records)),
            ),
            ("deflate", "deflate", f64::from(u8::from(self.deflate))),
            ("tls", "tls", f64::from(u8::from(self.tls))),
            ("events", "events", f64::from(u8::from(self.events))),
            ("answers", "answers", f64::from(u8::from(self.answers))),
            ("post", "post", f64::from(u8::from(self.post))),
            ("batch", "batch", self.batch as f64),
        ];
        // What is switched off need not be said; a `slow` without stalled subscribers is worth saying.
        all.into_iter()
            .filter(|(option, _, value)| {
                scenario.takes(option, given) && (*value > 0.0 || *option == "stalled")
            })
            .map(|(_, name, value)| (name.to_owned(), value))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Scenario; 12] = [
        Scenario::Fanout,
        Scenario::Connect,
        Scenario::Idle,
        Scenario::Handshakes,
        Scenario::Slow,
        Scenario::Resume,
        Scenario::Churn,
        Scenario::Many,
        Scenario::Board,
        Scenario::Ingest,
        Scenario::Patterns,
        Scenario::Limit,
    ];

    fn given(name: &str, value: f64) -> Given {
        let mut given = Given::default();
        given.set(name, value).unwrap();
        given
    }

    #[test]
    fn every_scenario_has_defaults_that_are_allowed() {
        for scenario in ALL {
            scenario.parameters(&Given::default()).unwrap();
        }
    }

    #[test]
    fn what_a_scenario_has_no_use_for_is_refused() {
        let fanout = Scenario::Fanout.parameters(&given("channels", 10.0));
        assert!(fanout.unwrap_err().to_string().contains("--channels"));
        assert!(
            Scenario::Slow
                .parameters(&given("publishers", 2.0))
                .is_err()
        );
        assert!(Scenario::Connect.parameters(&given("w", 2.0)).is_err());
        assert!(Scenario::Many.parameters(&given("channels", 10.0)).is_ok());
        let mut limit = given("last", 100.0);
        assert!(Scenario::Limit.parameters(&limit).is_ok());
        limit.window = Some(4);
        assert!(Scenario::Limit.parameters(&limit).is_err());
    }

    #[test]
    fn what_is_reported_is_what_the_scenario_took() {
        let given = Given::default();
        let named = |scenario: Scenario| {
            let parameters = scenario.parameters(&given).unwrap();
            let named = parameters.named(scenario, &given);
            named.into_keys().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(named(Scenario::Fanout), "n publishers size w");
        assert_eq!(named(Scenario::Connect), "n");
        assert_eq!(named(Scenario::Resume), "last n size");
        assert_eq!(named(Scenario::Slow), "n size stalled w");
        assert_eq!(named(Scenario::Patterns), "channels n size w");
    }

    #[test]
    fn a_loop_is_either_closed_or_open() {
        let mut both = given("w", 4.0);
        both.set("rate", 100.0).unwrap();
        assert!(Scenario::Fanout.parameters(&both).is_err());
    }

    #[test]
    fn numbers_beyond_reason_are_refused_with_what_is_allowed() {
        for (scenario, name, value) in [
            (Scenario::Slow, "stalled", 1e18),
            (Scenario::Resume, "last", 1e18),
            (Scenario::Resume, "last", 0.0),
            (Scenario::Fanout, "n", 0.0),
            (Scenario::Fanout, "publishers", 0.0),
            (Scenario::Fanout, "size", 1.0),
            (Scenario::Patterns, "size", 65_536.0),
        ] {
            let error = scenario.parameters(&given(name, value)).unwrap_err();
            assert!(error.to_string().contains("is not between"), "{error}");
        }
    }
}
