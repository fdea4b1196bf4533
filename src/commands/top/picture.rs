//! One picture of a daemon: two looks at its counters, and its lists.

use std::collections::HashMap;
use std::time::Instant;

use serde_json::{Value, json};

use super::source::{Failed, Source};
use crate::commands::Exit;

/// How many pages of a list are read at most, of so many rows each.
const PAGES: usize = 10;
const PAGE: usize = 1_000;

/// How many rows of a list are kept.
const ROWS: usize = 20;

/// The daemon's counters at one moment: each row of a scrape by its name and labels, as they are written.
#[derive(Debug)]
pub(super) struct Sample {
    at: Instant,
    rows: HashMap<String, f64>,
}

impl Sample {
    /// Asks for them.
    pub(super) fn take(source: &Source) -> Result<Sample, Failed> {
        let text = source.get("/metrics")?.ok_or_else(|| Failed {
            why: format!(
                "{}: there are no metrics: is this the daemon's address for administration (--admin)?",
                source.address
            ),
            exit: Exit::Refused,
        })?;
        Ok(Sample::read(&text, Instant::now()))
    }

    fn read(text: &str, at: Instant) -> Sample {
        let rows = text.lines().filter(|line| !line.starts_with('#'));
        let rows = rows.filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        let rows = rows.collect();
        Sample { at, rows }
    }

    fn value(&self, name: &str) -> f64 {
        self.rows.get(name).copied().unwrap_or_default()
    }

    /// The rows of one name, each by the value of this label.
    fn by_label(&self, name: &str, label: &str) -> Vec<(String, f64)> {
        let label = format!("{label}=\"");
        let rows = self.rows.iter().filter_map(|(row, value)| {
            let labels = row.strip_prefix(name)?.strip_prefix('{')?;
            let from = labels.split_once(&label)?.1;
            Some((from.split_once('"')?.0.to_owned(), *value))
        });
        rows.collect()
    }
}

/// What is counted by the second: its name in the picture, its metric, and what it is called.
const RATES: [(&str, &str, &str); 6] = [
    ("published", "fanfare_published_total", "published"),
    ("deliveries", "fanfare_deliveries_total", "deliveries"),
    ("sends", "fanfare_sends_total", "sends"),
    ("received_bytes", "fanfare_received_bytes_total", "bytes in"),
    ("sent_bytes", "fanfare_sent_bytes_total", "bytes out"),
    ("accepted", "fanfare_accepted_total", "accepted"),
];

/// A bound, and how much of it is in use.
#[derive(Debug, PartialEq)]
pub(super) struct Bound {
    pub(super) name: String,
    pub(super) used: f64,
    pub(super) limit: Option<f64>,
}

/// Some rows of a list that the daemon has.
#[derive(Debug, PartialEq)]
pub(super) struct List {
    pub(super) rows: Vec<Value>,
    /// How many were read, where the daemon has more than those.
    pub(super) cut_after: Option<usize>,
}

/// All that is shown.
#[derive(Debug)]
pub(super) struct Picture {
    pub(super) daemon: String,
    pub(super) version: String,
    pub(super) is_ready: bool,
    /// Each with its name, what it is called, and so many a second; `None`: it takes a second look.
    pub(super) rates: Vec<(&'static str, &'static str, Option<f64>)>,
    /// Connections by state.
    pub(super) connections: Vec<(String, f64)>,
    pub(super) worst_messages: f64,
    pub(super) worst_seconds: f64,
    /// Gaps since the start, of those who were lapped.
    pub(super) lapped: f64,
    pub(super) bounds: Vec<Bound>,
    /// The busiest channels, as the daemon lists them; `None`: it does not.
    pub(super) channels: Option<List>,
    /// The connections that are furthest behind; `None`: the daemon does not list them.
    pub(super) subscribers: Option<List>,
    /// Why it is not newer.
    pub(super) trouble: Option<String>,
}

impl Picture {
    /// What two looks come to, the second of which was just taken.
    pub(super) fn of(source: &Source, before: Option<&Sample>, now: &Sample) -> Picture {
        let mut picture = Picture::counted(before, now);
        picture.daemon = source.address.to_string();
        let (channels, wrong) = list("channels", |path| source.get(path));
        picture.channels = channels.map(|list| list.greatest(&["rate", "subscribers"]));
        let (subscribers, also_wrong) = list("connections", |path| source.get(path));
        picture.subscribers = subscribers.map(|list| list.greatest(&["lag"]));
        picture.trouble = wrong.or(also_wrong);
        picture
    }

    /// What the counters alone come to.
    fn counted(before: Option<&Sample>, now: &Sample) -> Picture {
        let rate = |metric: &str| {
            let before = before?;
            let seconds = now.at.saturating_duration_since(before.at).as_secs_f64();
            // A daemon that was started again counts from nothing.
            let more = (now.value(metric) - before.value(metric)).max(0.0);
            (seconds > 0.0).then(|| more / seconds)
        };
        let mut connections = Vec::<(String, f64)>::new();
        for (state, count) in now.by_label("fanfare_connections", "state") {
            match connections.iter_mut().find(|(name, _)| *name == state) {
                Some((_, sum)) => *sum += count,
                None => connections.push((state, count)),
            }
        }
        connections.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let limits: HashMap<_, _> =
            (now.by_label("fanfare_bound_limit", "bound").into_iter()).collect();
        let bounds = now.by_label("fanfare_bound_used", "bound").into_iter();
        let bounds = bounds.map(|(name, used)| Bound {
            limit: limits.get(&name).copied(),
            name,
            used,
        });
        let mut bounds: Vec<Bound> = bounds.collect();
        bounds.sort_by(|a, b| {
            b.share()
                .total_cmp(&a.share())
                .then_with(|| a.name.cmp(&b.name))
        });
        let version = now.by_label("fanfare_build_info", "version");
        Picture {
            daemon: String::new(),
            version: version.into_iter().next().unwrap_or_default().0,
            is_ready: now.value("fanfare_ready") != 0.0,
            rates: RATES
                .map(|(name, metric, called)| (name, called, rate(metric)))
                .into(),
            connections,
            worst_messages: now.value("fanfare_lag_worst_messages"),
            worst_seconds: now.value("fanfare_lag_worst_seconds"),
            lapped: now.value("fanfare_gaps_total{reason=\"slow\"}"),
            bounds,
            channels: None,
            subscribers: None,
            trouble: None,
        }
    }

    /// As one object, for scripts.
    pub(super) fn to_json(&self) -> Value {
        let rates: serde_json::Map<_, _> = self
            .rates
            .iter()
            .map(|(name, _, rate)| ((*name).to_owned(), json!(rate)))
            .collect();
        let connections: serde_json::Map<_, _> = self
            .connections
            .iter()
            .map(|(state, count)| (state.clone(), json!(count)))
            .collect();
        let bounds = self
            .bounds
            .iter()
            .map(|bound| json!({ "bound": bound.name, "used": bound.used, "limit": bound.limit }));
        let bounds: Vec<_> = bounds.collect();
        let rows = |list: &Option<List>| json!(list.as_ref().map(|list| &list.rows));
        let is_cut =
            |list: &Option<List>| (list.as_ref()).is_some_and(|list| list.cut_after.is_some());
        json!({
            "daemon": self.daemon,
            "version": self.version,
            "ready": self.is_ready,
            "rates": rates,
            "connections": connections,
            "lag": { "worst_messages": self.worst_messages, "worst_seconds": self.worst_seconds },
            "lapped": self.lapped,
            "bounds": bounds,
            "channels": rows(&self.channels),
            "channels_are_cut": is_cut(&self.channels),
            "subscribers": rows(&self.subscribers),
            "subscribers_are_cut": is_cut(&self.subscribers),
        })
    }
}

impl Bound {
    /// How much of it is in use, from 0 to 1.
    pub(super) fn share(&self) -> f64 {
        match self.limit {
            Some(limit) if limit > 0.0 => self.used / limit,
            _ => 0.0,
        }
    }
}

impl List {
    /// One that has more rows than these.
    fn cut(rows: Vec<Value>) -> List {
        let cut_after = Some(rows.len());
        List { rows, cut_after }
    }

    /// The same with the rows alone that have the greatest numbers under these names.
    fn greatest(self, names: &[&str]) -> List {
        List {
            rows: greatest(self.rows, names),
            cut_after: self.cut_after,
        }
    }
}

/// A list that is asked for with `get`, up to so many pages of it, and what went wrong. No list: the daemon has none of that name.
fn list(
    name: &str,
    get: impl Fn(&str) -> Result<Option<String>, Failed>,
) -> (Option<List>, Option<String>) {
    let mut rows = Vec::new();
    let mut after = String::new();
    for page in 0..PAGES {
        // The page before said that there are more.
        let is_cut = page > 0;
        let text = match get(&format!("/{name}?limit={PAGE}{after}")) {
            Ok(Some(text)) => text,
            Ok(None) => return (is_cut.then(|| List::cut(rows)), None),
            Err(failed) => return (is_cut.then(|| List::cut(rows)), Some(failed.why)),
        };
        let Ok(mut answer) = serde_json::from_str::<Value>(&text) else {
            let why = format!("/{name}: the answer is no JSON");
            return (Some(List::cut(rows)), Some(why));
        };
        match answer.get_mut(name).map(Value::take) {
            Some(Value::Array(more)) => rows.extend(more),
            _ => return (None, None),
        }
        match answer.get("next").and_then(Value::as_str) {
            Some(next) => after = format!("&after={}", percent_encoded(next)),
            None => {
                let cut_after = None;
                return (Some(List { rows, cut_after }), None);
            }
        }
    }
    (Some(List::cut(rows)), None)
}

/// The rows with the greatest numbers under these names, the greatest first.
fn greatest(mut rows: Vec<Value>, names: &[&str]) -> Vec<Value> {
    let number =
        |row: &Value, name: &str| row.get(name).and_then(Value::as_f64).unwrap_or_default();
    rows.sort_by(|a, b| {
        let mut orders = names
            .iter()
            .map(|name| number(b, name).total_cmp(&number(a, name)));
        orders
            .find(|order| order.is_ne())
            .unwrap_or(std::cmp::Ordering::Equal)
    });
    rows.truncate(ROWS);
    rows
}

/// A text as a parameter's value (RFC 3986 §2.1).
fn percent_encoded(text: &str) -> String {
    let bytes = text.bytes().map(|byte| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    });
    bytes.collect()
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;

    const BEFORE: &str =
        "# HELP fanfare_x .\nfanfare_published_total 10\nfanfare_deliveries_total 100\n";
    const NOW: &str = "\
fanfare_build_info{version=\"0.1.0\"} 1.0
fanfare_ready 1.0
fanfare_published_total 30
fanfare_deliveries_total 1100
fanfare_connections{state=\"open\",transport=\"tcp\",dialect=\"json\"} 3.0
fanfare_connections{state=\"open\",transport=\"tls\",dialect=\"sse\"} 2.0
fanfare_connections{state=\"http\",transport=\"tcp\",dialect=\"\"} 1.0
fanfare_lag_worst_messages 7.0
fanfare_lag_worst_seconds 1.5
fanfare_gaps_total{reason=\"slow\"} 4
fanfare_bound_used{bound=\"max_keys\"} 50.0
fanfare_bound_used{bound=\"max_channels\"} 9.0
fanfare_bound_used{bound=\"input_total\"} 5.0
fanfare_bound_limit{bound=\"max_keys\"} 100.0
fanfare_bound_limit{bound=\"max_channels\"} 10.0
# EOF
";

    /// A picture of two looks, two seconds apart.
    pub(in crate::commands::top) fn picture() -> Picture {
        let began = Instant::now();
        let before = Sample::read(BEFORE, began);
        let now = Sample::read(NOW, began + Duration::from_secs(2));
        Picture {
            daemon: "127.0.0.1:8041".to_owned(),
            ..Picture::counted(Some(&before), &now)
        }
    }

    #[test]
    fn rates_are_what_came_between_two_looks_and_the_fullest_bound_comes_first() {
        let picture = picture();
        let rates: Vec<_> = picture.rates.iter().map(|(_, _, rate)| *rate).collect();
        assert_eq!(rates[..2], [Some(10.0), Some(500.0)]);
        let connections = [("open".to_owned(), 5.0), ("http".to_owned(), 1.0)];
        assert_eq!(picture.connections, connections);
        let bounds: Vec<_> = picture.bounds.iter().map(|bound| &*bound.name).collect();
        assert_eq!(bounds, ["max_channels", "max_keys", "input_total"]);
        assert_eq!(picture.bounds[2].limit, None);
        let json = picture.to_json();
        assert_eq!(json["rates"]["published"], 10.0);
        assert_eq!(json["lag"]["worst_seconds"], 1.5);
        assert_eq!(json["lapped"], 4.0);
        assert!(json["channels"].is_null() && json["rates"]["sends"] == 0.0);
        assert_eq!(json["channels_are_cut"], false);
    }

    /// A daemon with so many channels, which are called c0 and so on, and which are listed in the order of their numbers.
    fn channels(count: usize) -> impl Fn(&str) -> Result<Option<String>, Failed> {
        move |path| {
            let first = path.split_once("&after=c").map_or(0, |(_, after)| {
                after.parse::<usize>().expect("a number") + 1
            });
            let end = count.min(first + PAGE);
            let rows: Vec<Value> = (first..end)
                .map(|n| json!({ "channel": format!("c{n}"), "rate": n }))
                .collect();
            let mut page = json!({ "channels": rows });
            if end < count {
                page["next"] = json!(format!("c{}", end - 1));
            }
            Ok(Some(page.to_string()))
        }
    }

    #[test]
    fn a_list_that_is_longer_than_what_is_read_is_known_to_be_cut() {
        let most = PAGES * PAGE;
        for (count, cut_after) in [(0, None), (most, None), (most + 1, Some(most))] {
            let (read, wrong) = list("channels", channels(count));
            assert_eq!(wrong, None);
            let read = read.expect("there is a list");
            assert_eq!(read.rows.len(), count.min(most));
            assert_eq!(read.cut_after, cut_after, "{count}");
        }
        let mut picture = picture();
        let (cut, _) = list("channels", channels(most + 1));
        picture.channels = cut.map(|list| list.greatest(&["rate"]));
        let json = picture.to_json();
        assert_eq!(json["channels"][0]["channel"], "c9999");
        assert_eq!(json["channels_are_cut"], true);
        assert_eq!(json["subscribers_are_cut"], false);
    }

    #[test]
    fn a_list_whose_next_page_does_not_come_is_cut_and_one_without_a_first_page_is_none() {
        let three_pages = channels(3 * PAGE);
        let lost = || Failed {
            why: "lost".to_owned(),
            exit: Exit::NotConnected,
        };
        let (read, wrong) = list("channels", |path| match path.contains("after") {
            true => Err(lost()),
            false => three_pages(path),
        });
        assert_eq!(read.and_then(|list| list.cut_after), Some(PAGE));
        assert_eq!(wrong.as_deref(), Some("lost"));
        assert_eq!(list("channels", |_| Ok(None)), (None, None));
        let wrong = list("channels", |_| Err(lost()));
        assert_eq!(wrong, (None, Some("lost".to_owned())));
    }

    #[test]
    fn the_busiest_rows_of_a_list_come_first() {
        let rows = (0..50).map(|n| json!({ "rate": n % 10, "subscribers": n }));
        let rows = greatest(rows.collect(), &["rate", "subscribers"]);
        assert_eq!(rows.len(), ROWS);
        assert_eq!(rows[0], json!({ "rate": 9, "subscribers": 49 }));
        assert_eq!(rows[1], json!({ "rate": 9, "subscribers": 39 }));
        assert_eq!(percent_encoded("a b/ü"), "a%20b%2F%C3%BC");
    }
}
