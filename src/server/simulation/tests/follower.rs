//! What holds for every subscriber: its messages come in order, and what is missing is told.

use std::collections::HashMap;

use serde_json::Value;

/// What a subscriber has been told of its channels.
#[derive(Debug, Default)]
pub(super) struct Follower {
    /// The next message of each channel; `None` where any may be the first.
    next: HashMap<String, Option<u64>>,
    /// A broker numbers all channels together, so that most numbers are missing in each.
    is_sparse: bool,
    pub(super) messages: usize,
    pub(super) gaps: usize,
}

impl Follower {
    /// Of a server whose broker numbers, if it `is_sparse`.
    pub(super) fn new(is_sparse: bool) -> Self {
        Follower {
            is_sparse,
            ..Follower::default()
        }
    }

    /// The messages up to `to` are accounted for, those from `from` on just now.
    fn go_on(&mut self, channel: &str, from: u64, to: u64) {
        let next = self.next.get_mut(channel).expect("it is subscribed");
        let expected = next.unwrap_or(from);
        let fits = from == expected || (self.is_sparse && from > expected);
        assert!(
            fits && to >= from,
            "{channel}: {from} to {to}, not {expected}"
        );
        *next = Some(to + 1);
    }

    fn message(&mut self, channel: &str, seq: u64) {
        self.go_on(channel, seq, seq);
        self.messages += 1;
    }

    fn gap(&mut self, channel: &str, from: u64, to: u64) {
        if from == 0 {
            // Another epoch has begun.
            self.next.insert(channel.to_owned(), Some(0));
        }
        self.go_on(channel, from, to);
        self.gaps += 1;
    }

    /// The number that the next message of a channel has, if that is known.
    pub(super) fn next(&self, channel: &str) -> Option<u64> {
        self.next.get(channel).copied().flatten()
    }

    /// Takes what a JSON client was told. A subscription that asks for history has the id 1.
    pub(super) fn json(&mut self, text: &str) {
        let event: Value = serde_json::from_str(text).expect("JSON");
        let number = |key: &str| event[key].as_u64().expect("a number");
        let channel = || event["channel"].as_str().expect("a channel");
        match event["type"].as_str().expect("a type") {
            "message" => self.message(channel(), number("seq")),
            "gap" => self.gap(channel(), number("from"), number("to")),
            "subscribed" => {
                let is_live = event["id"] != 1;
                let next = is_live.then(|| number("seq") + 1);
                self.next.insert(channel().to_owned(), next);
            }
            "unsubscribed" => {
                self.next.remove(channel());
            }
            "welcome" | "published" | "pong" | "error" | "goodbye" => {}
            other => panic!("{other}"),
        }
    }

    /// Takes what a client of the tests' dialect was told.
    pub(super) fn line(&mut self, text: &str) {
        let words: Vec<_> = text.splitn(4, ' ').collect();
        let number = |word: &str| word.parse::<u64>().expect("a number");
        match words[..] {
            ["ok" | "no"] => {}
            ["gap", channel, from, to] => {
                self.next.entry(channel.to_owned()).or_default();
                self.gap(channel, number(from), number(to));
            }
            [channel, _, seq, _] => {
                self.next.entry(channel.to_owned()).or_default();
                self.message(channel, number(seq));
            }
            _ => panic!("{text}"),
        }
    }
}
