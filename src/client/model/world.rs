//! A server in memory: what it holds, and what it answers. What is called a channel in here may be the pattern.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::cut::Cut;

/// How many messages a channel holds: few, so that a client that was away misses some.
const HELD: usize = 4;

/// How far apart the numbers of messages are, in turn: as where a broker numbers many channels together.
const STRIDES: [u64; 5] = [1, 1, 4, 2, 9];

/// Reads in a row that find nothing, while the client waits for a call, until it counts as waiting for ever.
const IDLE_READS: usize = 20;

/// What it means that the client reads and the server has nothing to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Idle {
    /// The client waits for an answer that never comes: the model fails.
    Hang,
    /// The client waits for events. There are none, so the connection is cut, which is one.
    Cut,
    /// Another thread has something to do.
    Wait,
}

pub(super) struct World {
    channels: BTreeMap<String, Channel>,
    /// Everything that was ever published, by epoch and number.
    pub(super) history: BTreeMap<(String, u64), String>,
    epochs: u64,
    /// Where what has a key was published, by channel and key.
    keys: BTreeMap<(String, String), (String, u64)>,
    /// What clients published here, as against what was published elsewhere: epochs and numbers.
    own: BTreeSet<(String, u64)>,
    /// There was a connection to a server that knows no keys.
    pub(super) was_older: bool,
    /// Publications so far.
    published: usize,
    /// The newest connection is the last one.
    pub(super) lines: Vec<Line>,
    /// What happens to the connections to come.
    pub(super) cuts: Vec<Cut>,
    pub(super) refusals: u8,
    pub(super) idle: Idle,
    pub(super) idle_reads: usize,
    /// Bytes of one read, at most.
    pub(super) chunk: usize,
}

#[derive(Default)]
struct Channel {
    epoch: String,
    newest: u64,
    /// The newest message that is not held any more, 0 if all are.
    dropped: u64,
    held: Vec<(u64, Post)>,
}

/// A message, as it stands in the log of its channel and in that of the pattern.
#[derive(Clone)]
struct Post {
    channel: String,
    /// Its number in its channel.
    channel_seq: u64,
    data: String,
}

/// The pattern that clients subscribe to, which stands for all channels. No channel has its name.
pub(super) const ALL: &str = ">";

/// One connection, as the server sees it.
#[derive(Default)]
pub(super) struct Line {
    /// What the client wrote and the server did not look at yet.
    pub(super) input: Vec<u8>,
    /// What the server wrote and the client did not read yet.
    pub(super) output: Vec<u8>,
    /// All that the client wrote, whether or not it arrived: frames that are not whole yet.
    pub(super) tap: Vec<u8>,
    /// The channels that the client asked for, whether or not that arrived.
    pub(super) asked: BTreeSet<String>,
    pub(super) subscribed: BTreeSet<String>,
    pub(super) cut: Cut,
    /// The server has gone.
    pub(super) ended: bool,
    /// The client has gone.
    pub(super) aborted: bool,
}

impl World {
    pub(super) fn new(cuts: Vec<Cut>, chunk: usize) -> Self {
        Self {
            channels: BTreeMap::new(),
            history: BTreeMap::new(),
            epochs: 0,
            keys: BTreeMap::new(),
            own: BTreeSet::new(),
            was_older: false,
            published: 0,
            lines: Vec::new(),
            cuts,
            refusals: 0,
            idle: Idle::Hang,
            idle_reads: 0,
            chunk,
        }
    }

    /// All that was held is gone.
    pub(super) fn restart(&mut self) {
        self.channels.clear();
        self.keys.clear();
    }

    /// Whatever the client published is in each log in the order in which the program published it.
    pub(super) fn check_order(&self) {
        let mut newest: BTreeMap<&String, u64> = BTreeMap::new();
        for place in &self.own {
            let data = &self.history[place];
            let number = data.trim_matches(|char: char| !char.is_ascii_digit());
            let number = number.parse().expect("a client publishes numbers");
            if let Some(before) = newest.insert(&place.0, number) {
                assert!(before < number, "{number} came after {before}");
            }
        }
    }

    /// From here on nothing is cut or refused.
    pub(super) fn cut_no_more(&mut self) {
        self.cuts.clear();
        self.refusals = 0;
        self.idle_reads = 0;
        if let Some(line) = self.lines.last_mut() {
            line.cut = Cut::default();
        }
    }

    pub(super) fn newest(&mut self, name: &str) -> (String, u64) {
        let channel = self.channel(name);
        (channel.epoch.clone(), channel.newest)
    }

    /// How often it was published.
    pub(super) fn count(&self, data: &str) -> usize {
        let of_channels = self.history.iter().filter(|((of, _), _)| is_channels(of));
        of_channels.filter(|(_, held)| *held == data).count()
    }

    /// Whether a channel has this under this number.
    pub(super) fn has(&self, channel_seq: u64, data: &str) -> bool {
        let mut history = self.history.iter();
        history.any(|((of, seq), held)| is_channels(of) && *seq == channel_seq && held == data)
    }

    /// How often it was published in one log, at most: a server that begins anew knows no key of before.
    pub(super) fn count_in_life(&self, data: &str) -> usize {
        let mut counts: BTreeMap<&String, usize> = BTreeMap::new();
        for ((epoch, _), held) in &self.history {
            if held == data {
                *counts.entry(epoch).or_default() += 1;
            }
        }
        counts.into_values().max().unwrap_or(0)
    }

    /// The numbers of `epoch` that were given out between `after` and `before`, both excluded.
    pub(super) fn between(&self, epoch: &str, after: u64, before: u64) -> Vec<u64> {
        let held = self.history.keys().filter(|(of, _)| of == epoch);
        held.map(|(_, seq)| *seq)
            .filter(|seq| (after + 1..before).contains(seq))
            .collect()
    }

    /// The number after which the newest `count` messages follow that are held while `seq` is the newest of all; `seq` for none.
    pub(super) fn before_newest(&self, epoch: &str, seq: u64, count: u64) -> u64 {
        let until = self.between(epoch, 0, seq + 1);
        let count = HELD.min(usize::try_from(count).unwrap_or(HELD));
        let first = until.iter().rev().take(count).next_back();
        first.map_or(seq, |first| first - 1)
    }

    /// A read found nothing to read.
    pub(super) fn note_idle_read(&mut self) {
        self.idle_reads += 1;
        assert!(
            self.idle_reads < IDLE_READS,
            "the client waits, and nothing will come for ever"
        );
    }

    fn channel(&mut self, name: &str) -> &mut Channel {
        if !self.channels.contains_key(name) {
            self.epochs += 1;
            // The history of the pattern is told from that of channels by this.
            let kind = if name == ALL { "p" } else { "e" };
            let channel = Channel {
                epoch: format!("{kind}{}", self.epochs),
                ..Channel::default()
            };
            self.channels.insert(name.to_owned(), channel);
        }
        self.channels.get_mut(name).expect("it is there")
    }

    /// Publishes, and sends it to the subscribers if `deliver` says so; its place.
    pub(super) fn publish(&mut self, name: &str, data: &str, deliver: bool) -> (String, u64) {
        let mut post = Post {
            channel: name.to_owned(),
            channel_seq: 0,
            data: data.to_owned(),
        };
        let place = self.append(name, &mut post, deliver);
        // Its log begins with its first subscriber.
        if self.channels.contains_key(ALL) {
            self.append(ALL, &mut post, deliver);
        }
        place
    }

    /// Appends a message to the log of its channel, where it gets its number, or of the pattern.
    fn append(&mut self, topic: &str, post: &mut Post, deliver: bool) -> (String, u64) {
        self.published += 1;
        let stride = STRIDES[self.published % STRIDES.len()];
        let channel = self.channel(topic);
        let before = channel.newest;
        channel.newest += stride;
        let (seq, epoch) = (channel.newest, channel.epoch.clone());
        if topic != ALL {
            post.channel_seq = seq;
        }
        channel.held.push((seq, post.clone()));
        if channel.held.len() > HELD {
            channel.dropped = channel.held.remove(0).0;
        }
        self.history.insert((epoch.clone(), seq), post.data.clone());
        if let Some(line) = self.lines.last_mut()
            && line.subscribed.contains(topic)
        {
            line.say(&if deliver {
                message(topic, seq, post)
            } else {
                // What a gap bounds may begin with numbers that were never given out.
                let from = if seq % 2 == 0 { before + 1 } else { seq };
                gap(topic, &epoch, (from, seq), "slow")
            });
        }
        (epoch, seq)
    }

    /// Ends a subscription without having been asked to.
    pub(super) fn end_subscription(&mut self, topic: &str) {
        if let Some(line) = self.lines.last_mut()
            && line.subscribed.remove(topic)
        {
            line.say(&format!(
                r#"{{"type":"unsubscribed",{},"reason":"forbidden"}}"#,
                member_of(topic)
            ));
        }
    }

    /// Answers a request of the newest connection.
    pub(super) fn answer(&mut self, text: &[u8]) {
        self.idle_reads = 0;
        let request: Value = serde_json::from_slice(text).expect("a request is JSON");
        let id = request.get("id").map(Value::to_string);
        let member = id
            .as_ref()
            .map_or(String::new(), |id| format!(r#","id":{id}"#));
        let name = asked_about(&request).unwrap_or_default();
        let about = member_of(&name);
        let older = self.lines.last().is_some_and(|line| line.cut.older);
        let has_more = ["key", "encoding", "pattern"].map(|name| request.get(name).is_some());
        assert!(!older || has_more == [false; 3], "it knows no {request}");
        let answer = match request["type"].as_str().expect("a request has a type") {
            "ping" => format!(r#"{{"type":"pong"{member}}}"#),
            _ if name.starts_with("forbidden") => format!(
                r#"{{"type":"error"{member},"channel":"{name}","code":"forbidden","message":"no"}}"#
            ),
            "publish" => {
                let (epoch, seq, duplicate) = self.publish_request(&name, &request);
                if id.is_none() {
                    return;
                }
                let duplicate = if duplicate {
                    r#","duplicate":true"#
                } else {
                    ""
                };
                format!(
                    r#"{{"type":"published"{member},"channel":"{name}","epoch":"{epoch}","seq":{seq}{duplicate}}}"#
                )
            }
            "subscribe" => return self.subscribe(&name, &member, &request),
            "unsubscribe" => {
                let line = self.lines.last_mut().expect("somebody asks");
                if line.subscribed.remove(&name) {
                    format!(r#"{{"type":"unsubscribed"{member},{about}}}"#)
                } else {
                    format!(
                        r#"{{"type":"error"{member},{about},"code":"not_subscribed","message":""}}"#
                    )
                }
            }
            other => panic!("no request is {other}"),
        };
        self.lines.last_mut().expect("somebody asks").say(&answer);
    }

    /// Publishes what a client asks for, and what has a key once; its place, and whether it had it before.
    fn publish_request(&mut self, name: &str, request: &Value) -> (String, u64, bool) {
        let key = request.get("key").and_then(Value::as_str);
        let key = key.map(|key| (name.to_owned(), key.to_owned()));
        if let Some(place) = key.as_ref().and_then(|key| self.keys.get(key)) {
            return (place.0.clone(), place.1, true);
        }
        let data = match (request.get("encoding"), &request["data"]) {
            (Some(_), Value::String(data)) => text(data),
            (_, data) => data.to_string(),
        };
        let place = self.publish(name, &data, true);
        self.own.insert(place.clone());
        if let Some(key) = key {
            self.keys.insert(key, place.clone());
        }
        (place.0, place.1, false)
    }

    fn subscribe(&mut self, name: &str, member: &str, request: &Value) {
        let channel = self.channel(name);
        let (epoch, newest) = (channel.epoch.clone(), channel.newest);
        let dropped = channel.dropped;
        let number = |value: &Value| value.as_u64().expect("a number");
        let (recovered, gap_before, after) = match (request.get("since"), request.get("last")) {
            (Some(since), _) => {
                let seq = number(&since["seq"]);
                let missed = |from, reason| gap(name, &epoch, (from, dropped), reason);
                if since["epoch"] != epoch.as_str() || seq > newest {
                    (Some(false), Some(missed(0, "epoch")), dropped)
                } else if seq < dropped {
                    (Some(false), Some(missed(seq + 1, "expired")), dropped)
                } else {
                    (Some(true), None, seq)
                }
            }
            (None, Some(last)) => {
                let count = usize::try_from(number(last)).unwrap_or(HELD);
                let first = channel.held.iter().rev().take(count).next_back();
                (None, None, first.map_or(newest, |(seq, _)| seq - 1))
            }
            (None, None) => (None, None, newest),
        };
        let held = channel.held.iter().filter(|(seq, _)| *seq > after);
        let messages: Vec<String> = held.map(|(seq, post)| message(name, *seq, post)).collect();
        let about = member_of(name);
        let recovered = recovered.map_or(String::new(), |yes| format!(r#","recovered":{yes}"#));
        let line = self.lines.last_mut().expect("somebody asks");
        assert!(line.subscribed.insert(name.to_owned()), "{name} twice");
        line.say(&format!(
            r#"{{"type":"subscribed"{member},{about},"epoch":"{epoch}","seq":{newest}{recovered}}}"#
        ));
        for text in gap_before.iter().chain(&messages) {
            line.say(text);
        }
    }
}

impl Line {
    /// Sends a text message.
    pub(super) fn say(&mut self, text: &str) {
        if !self.ended {
            crate::ws::encode::write_message(&mut self.output, true, text.as_bytes(), None);
        }
    }
}

/// How a text is written down, so that it is no JSON.
pub(super) fn text(text: &str) -> String {
    format!("text {text:?}")
}

/// Whether an epoch is that of a channel.
fn is_channels(epoch: &str) -> bool {
    epoch.starts_with('e')
}

/// The channel or the pattern that a request names.
pub(super) fn asked_about(request: &Value) -> Option<String> {
    let named = request.get("pattern").or(request.get("channel"))?;
    named.as_str().map(str::to_owned)
}

/// The member that names a channel or the pattern.
fn member_of(topic: &str) -> String {
    let kind = if topic == ALL { "pattern" } else { "channel" };
    format!(r#""{kind}":"{topic}""#)
}

fn message(topic: &str, seq: u64, post: &Post) -> String {
    let Post {
        channel,
        channel_seq,
        data,
    } = post;
    let mut text = format!(r#"{{"type":"message",{},"seq":{seq}"#, member_of(topic));
    if topic == ALL {
        text += &format!(r#","channel":"{channel}","channel_seq":{channel_seq}"#);
    }
    text += &match data.strip_prefix("text ") {
        Some(data) => format!(r#","encoding":"text","data":{data}}}"#),
        None => format!(r#","data":{data}}}"#),
    };
    text
}

fn gap(topic: &str, epoch: &str, (from, to): (u64, u64), reason: &str) -> String {
    let about = member_of(topic);
    format!(
        r#"{{"type":"gap",{about},"epoch":"{epoch}","from":{from},"to":{to},"reason":"{reason}"}}"#
    )
}
