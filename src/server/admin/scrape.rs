//! What `/metrics` answers: OpenMetrics 1.0.
//!
//! What the loop counts are plain integers. They become metrics here, when somebody asks. Nothing here walks over channels or
//! connections.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::http::{ContentType, Response, Status};
use crate::limit::Limit;
use crate::server::connections::Connections;
use crate::server::metrics::powers::Powers;
use crate::server::metrics::{Metrics, TLS_FAILED};
use crate::server::service::Service;

/// The answer to `GET /metrics`.
pub(super) fn response(connections: &Connections) -> Response {
    let mut registry = Registry::with_prefix("fanfare");
    registry.register_collector(Box::new(Families::of(connections)));
    let mut body = String::with_capacity(16 * 1024);
    match text::encode(&mut body, &registry) {
        Ok(()) => Response::new(Status::OK, ContentType::OpenMetrics, body.into_bytes()),
        // A String takes everything.
        Err(fmt::Error) => Response::text(Status::INTERNAL, "the metrics cannot be written\n"),
    }
}

/// All metrics of one name.
#[derive(Debug)]
struct Family {
    name: &'static str,
    help: &'static str,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    labels: Vec<(&'static str, String)>,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Counter(u64),
    Gauge(f64),
    Histogram { sum: f64, buckets: Vec<(f64, u64)> },
}

#[derive(Debug, Default)]
struct Families(Vec<Family>);

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        for family in &self.0 {
            let Some(first) = family.rows.first() else {
                continue;
            };
            let kind = match first.value {
                Value::Counter(_) => MetricType::Counter,
                Value::Gauge(_) => MetricType::Gauge,
                Value::Histogram { .. } => MetricType::Histogram,
            };
            let mut encoder = encoder.encode_descriptor(family.name, family.help, None, kind)?;
            for row in &family.rows {
                match row.labels.is_empty() {
                    true => row.value.encode(&mut encoder)?,
                    false => row.value.encode(&mut encoder.encode_family(&row.labels)?)?,
                }
            }
        }
        Ok(())
    }
}

impl Value {
    fn encode(&self, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        match self {
            Value::Counter(count) => encoder.encode_counter::<NoLabelSet, u64, u64>(count, None),
            Value::Gauge(value) => encoder.encode_gauge(value),
            Value::Histogram { sum, buckets } => {
                let count = buckets.iter().map(|(_, count)| count).sum();
                encoder.encode_histogram::<NoLabelSet>(*sum, count, buckets, None)
            }
        }
    }
}

impl Families {
    fn add(&mut self, name: &'static str, help: &'static str, rows: Vec<Row>) {
        self.0.push(Family { name, help, rows });
    }

    fn counter(&mut self, name: &'static str, help: &'static str, count: u64) {
        self.add(name, help, vec![row([], Value::Counter(count))]);
    }

    fn gauge(&mut self, name: &'static str, help: &'static str, value: f64) {
        self.add(name, help, vec![row([], Value::Gauge(value))]);
    }

    /// A histogram of what was counted in a unit of which so many make one.
    fn histogram<const N: usize>(
        &mut self,
        name: &'static str,
        help: &'static str,
        powers: &Powers<N>,
        parts: f64,
    ) {
        let buckets = powers.buckets();
        let buckets = buckets.map(|(most, count)| {
            (
                most.map_or(f64::INFINITY, |most| most as f64 / parts),
                count,
            )
        });
        let value = Value::Histogram {
            sum: powers.sum() as f64 / parts,
            buckets: buckets.collect(),
        };
        self.add(name, help, vec![row([], value)]);
    }

    fn of(connections: &Connections) -> Families {
        let mut all = Families::default();
        let metrics = &connections.service.metrics;
        all.daemon(&connections.service);
        all.connections(metrics);
        all.messages(metrics);
        all.lag(metrics);
        all.loop_times(metrics);
        all.bounds(connections);
        all.channels(metrics);
        all
    }

    fn daemon(&mut self, service: &Service) {
        let version = [("version", env!("CARGO_PKG_VERSION").to_owned())];
        let built = vec![row(version, Value::Gauge(1.0))];
        self.add("build_info", "The version that runs", built);
        let ready = f64::from(u8::from(service.inside.standing.is_ready()));
        let help = "Whether new clients are welcome: 1 or 0";
        self.gauge("ready", help, ready);
    }

    fn connections(&mut self, metrics: &Metrics) {
        let kinds = metrics.kinds.all();
        let rows = kinds.map(|([state, transport, dialect], count)| {
            let labels = [
                ("state", state),
                ("transport", transport),
                ("dialect", dialect),
            ];
            let labels = labels.map(|(name, value)| (name, value.to_owned()));
            row(labels, Value::Gauge(count as f64))
        });
        let help = "Connections at the moment";
        self.add("connections", help, rows.collect());
        self.counter("accepted", "Connections accepted", metrics.accepted);
        let help = "Connections turned away because there were as many as allowed";
        self.counter("refused", help, metrics.refused);
        self.counter(
            "websockets",
            "Handshakes that became a WebSocket",
            metrics.upgraded,
        );
        self.counter("streams", "Event streams begun", metrics.streams);
        // Several statuses have one reason.
        let mut refused = BTreeMap::<_, u64>::new();
        for (status, count) in metrics.handshakes_refused() {
            *refused.entry(reason_of(status)).or_default() += count;
        }
        let refused = (refused.into_iter())
            .map(|(reason, count)| row([("reason", reason.to_owned())], Value::Counter(count)));
        let help =
            "Opening handshakes of WebSockets that were refused, and TLS handshakes that failed";
        self.add("handshakes_refused", help, refused.collect());
        let responses = metrics
            .responses()
            .map(|(digit, count)| row([("status", format!("{digit}xx"))], Value::Counter(count)));
        self.add("http_responses", "HTTP responses", responses.collect());
        let closes = metrics.closes().map(|((code, reason), count)| {
            let labels = [("code", code.to_string()), ("reason", reason.to_owned())];
            row(labels, Value::Counter(count))
        });
        let help = "WebSockets and event streams that ended";
        self.add("closes", help, closes.collect());
    }

    fn messages(&mut self, metrics: &Metrics) {
        let help = "Whole messages that WebSockets brought";
        self.counter("received_messages", help, metrics.messages_received);
        self.counter("received_bytes", "Bytes read", metrics.bytes_received);
        self.counter("published", "Messages published", metrics.published);
        let help = "Messages that went out to a subscriber; for each one that gets a message, one";
        self.counter("deliveries", help, metrics.delivered);
        self.counter("sends", "System calls to send", metrics.writes);
        let help = "Bytes that the kernel took";
        self.counter("sent_bytes", help, metrics.bytes_sent);
        let gaps = metrics
            .gaps()
            .map(|(reason, count)| row([("reason", reason.to_owned())], Value::Counter(count)));
        let help = "Gaps announced; slow: the subscriber was lapped";
        self.add("gaps", help, gaps.collect());
    }

    fn lag(&mut self, metrics: &Metrics) {
        let lags = &metrics.lags;
        let help = "Messages that a visit brought its subscriber: how far behind it was";
        self.histogram("lag_messages", help, &lags.visits, 1.0);
        let help = "How long the next message of a subscription has been there, of each that a walk over all \
                    subscriptions found; 0: it has all";
        self.histogram("lag_seconds", help, &lags.ages_ms, 1000.0);
        let (messages, ms) = lags.worst();
        let help = "The most messages that a subscription is behind";
        self.gauge("lag_worst_messages", help, messages as f64);
        let help = "How long the next message has been there of the subscription that is behind for longest";
        self.gauge("lag_worst_seconds", help, ms as f64 / 1000.0);
    }

    fn loop_times(&mut self, metrics: &Metrics) {
        const MICROSECONDS: f64 = 1e6;
        let help = "The time that the reads and the sweep of a turn took together";
        self.histogram("turn_seconds", help, &metrics.turn_us, MICROSECONDS);
        let help = "The time that the reads of a turn took";
        self.histogram("read_seconds", help, &metrics.read_us, MICROSECONDS);
        let help = "The time that the sweep of a turn took";
        self.histogram("sweep_seconds", help, &metrics.sweep_us, MICROSECONDS);
    }

    fn bounds(&mut self, connections: &Connections) {
        let Connections { service, seats, .. } = connections;
        let (config, ledger, hub) = (&service.config, &service.ledger, service.hub.sizes());
        let bounds = [
            ("retain_total", hub.allocated, config.retain_total),
            ("input_total", ledger.input, config.input_total),
            ("outbox_total", ledger.outbox, config.outbox_total),
            ("held_total", ledger.held.bytes(), config.held_total),
            ("max_channels", hub.channels, config.max_channels),
            ("max_patterns", hub.patterns, config.max_patterns),
            ("max_keys", service.keys.len(), config.max_keys),
            (
                "max_connections",
                seats.regular(),
                Limit::of(seats.limit() as u64),
            ),
            (
                "max_handshakes",
                connections.handshakes.len(),
                config.tls.max_handshakes,
            ),
        ];
        let label = |name: &str| [("bound", name.to_owned())];
        let used = bounds.iter().map(|(name, used, _)| {
            let used = Value::Gauge(*used as f64);
            row(label(name), used)
        });
        let help = "How much of an option's limit is in use, in its unit";
        self.add("bound_used", help, used.collect());
        let limits = bounds.iter().filter_map(|(name, _, limit)| {
            let limit = Value::Gauge(limit.get()? as f64);
            Some(row(label(name), limit))
        });
        let help = "The limit that an option sets; none where there is none";
        self.add("bound_limit", help, limits.collect());
    }

    fn channels(&mut self, metrics: &Metrics) {
        let label = |pattern: &str| [("pattern", pattern.to_owned())];
        let counts = || metrics.channels.iter();
        let rows = counts().map(|count| {
            row(
                label(count.pattern.as_str()),
                Value::Counter(count.published),
            )
        });
        let help = "Messages published in the channels of a pattern of --metrics-channel";
        self.add("channel_published", help, rows.collect());
        let rows =
            counts().map(|count| row(label(count.pattern.as_str()), Value::Counter(count.bytes)));
        let help = "Bytes of their data";
        self.add("channel_published_bytes", help, rows.collect());
    }
}

fn row<const N: usize>(labels: [(&'static str, String); N], value: Value) -> Row {
    Row {
        labels: labels.into(),
        value,
    }
}

/// Why a handshake was refused, by the status of the answer or what stands for it.
fn reason_of(status: u16) -> &'static str {
    match status {
        TLS_FAILED => "tls",
        401 => "unauthenticated",
        403 => "forbidden",
        421 => "host",
        426 => "version",
        429 => "rate",
        503 => "full",
        _ => "bad_request",
    }
}
