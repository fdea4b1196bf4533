//! Realistic JSON from a seed, for benches and load tests: the same seed gives the same
//! bytes on every machine, so that results can be compared.

use std::fmt::Write;

/// A kind of message that people send through a broadcast daemon.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A price tick: about 130 bytes, half of them numbers.
    Tick,
    /// A chat line: about 200 bytes, mostly text, some of it not ASCII.
    Chat,
    /// A chat line with escapes in it, which takes the decoder's longer way.
    EscapedChat,
    /// A document of about 16 KiB: records of short texts, flags and numbers.
    Document,
    /// About 16 KiB of decimal fractions in arrays, the worst that a parser meets.
    Series,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Tick,
        Self::Chat,
        Self::EscapedChat,
        Self::Document,
        Self::Series,
    ];

    /// A word for tables and charts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tick => "tick",
            Self::Chat => "chat",
            Self::EscapedChat => "escaped-chat",
            Self::Document => "document",
            Self::Series => "series",
        }
    }
}

/// Makes one sample after another.
#[derive(Clone, Debug)]
pub struct Samples {
    state: u64,
    made: u64,
}

const WORDS: [&str; 24] = [
    "the",
    "order",
    "market",
    "opens",
    "with",
    "a",
    "small",
    "gain",
    "after",
    "yesterday's",
    "fall",
    "and",
    "nobody",
    "knows",
    "why",
    "naïve",
    "prévisions",
    "Größe",
    "日本",
    "🎺",
    "tomorrow",
    "again",
    "perhaps",
    "fine",
];

const SIZE: usize = 16 * 1024;

impl Samples {
    /// A source of samples; equal seeds give equal samples.
    pub const fn new(seed: u64) -> Self {
        Self {
            state: seed,
            made: 0,
        }
    }

    /// The text of one JSON value.
    pub fn next(&mut self, kind: Kind) -> String {
        let mut out = String::new();
        self.made += 1;
        match kind {
            Kind::Tick => self.tick(&mut out),
            Kind::Chat => self.chat(&mut out, false),
            Kind::EscapedChat => self.chat(&mut out, true),
            Kind::Document => self.document(&mut out),
            Kind::Series => self.series(&mut out),
        }
        out
    }

    /// SplitMix64: small, and good enough to be no pattern to a branch predictor.
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random() % bound
    }

    fn words(&mut self, out: &mut String, count: u64) {
        for index in 0..count {
            if index > 0 {
                out.push(' ');
            }
            // `below` keeps the index within the table.
            out.push_str(WORDS[self.below(WORDS.len() as u64) as usize]);
        }
    }

    // Writing to a String cannot fail, so the results of `write!` are dropped here.

    fn tick(&mut self, out: &mut String) {
        let symbol = ["EURUSD", "AAPL", "BTC-USD", "DAX"][self.below(4) as usize];
        let time = 1_790_000_000_000 + self.made * 137 + self.below(100);
        let (whole, part) = (self.below(2000), self.below(10_000));
        let (size, trades) = (self.below(50_000), self.below(400));
        let _ = write!(
            out,
            r#"{{"symbol":"{symbol}","time":{time},"bid":{whole}.{part:04},"ask":{whole}.{:04},"size":{size},"trades":{trades},"venue":"XNAS","halted":false}}"#,
            (part + 3) % 10_000,
        );
    }

    fn chat(&mut self, out: &mut String, escaped: bool) {
        let (user, id) = (self.below(100_000), self.random());
        let _ = write!(out, r#"{{"id":"{id:016x}","user":{{"id":{user},"name":""#);
        self.words(out, 1);
        out.push_str(r#""},"text":""#);
        let count = 14 + self.below(12);
        self.words(out, count);
        if escaped {
            out.push_str(r#"\n\"really\"? \u2013 "#);
            self.words(out, 3);
        }
        let _ = write!(
            out,
            r#"","room":"general","reply_to":null,"at":{}}}"#,
            self.made
        );
    }

    fn document(&mut self, out: &mut String) {
        out.push_str(r#"{"version":3,"records":["#);
        while out.len() < SIZE - 160 {
            let (id, count) = (self.below(1_000_000), self.below(500));
            let flag = self.below(2) == 0;
            if !out.ends_with('[') {
                out.push(',');
            }
            let _ = write!(out, r#"{{"id":{id},"title":""#);
            self.words(out, 5);
            let _ = write!(
                out,
                r#"","tags":["new","sale"],"count":{count},"active":{flag},"note":""#
            );
            self.words(out, 6);
            out.push_str("\"}");
        }
        out.push_str("]}");
    }

    fn series(&mut self, out: &mut String) {
        out.push_str(r#"{"columns":["time","value"],"rows":["#);
        while out.len() < SIZE - 32 {
            let (whole, part) = (self.below(360), self.below(1_000_000_000));
            if !out.ends_with('[') {
                out.push(',');
            }
            let _ = write!(
                out,
                "[{whole}.{part:09},-{}.{:06}]",
                part % 90,
                whole * 1009
            );
        }
        out.push_str("]}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_json_of_the_size_they_are_said_to_have() {
        let mut samples = Samples::new(1);
        for kind in Kind::ALL {
            let (least, most) = match kind {
                Kind::Tick => (100, 160),
                Kind::Chat | Kind::EscapedChat => (130, 350),
                Kind::Document | Kind::Series => (15_500, 16_500),
            };
            for _ in 0..50 {
                let sample = samples.next(kind);
                assert!(
                    (least..=most).contains(&sample.len()),
                    "{}: {sample}",
                    sample.len()
                );
                let value: Result<serde_json::Value, _> = serde_json::from_str(&sample);
                assert!(value.is_ok_and(|value| value.is_object()), "{sample}");
                assert_eq!(sample.contains('\\'), kind == Kind::EscapedChat);
            }
        }
    }

    #[test]
    fn equal_seeds_give_equal_samples() {
        for kind in Kind::ALL {
            assert_eq!(Samples::new(7).next(kind), Samples::new(7).next(kind));
            assert_ne!(Samples::new(7).next(kind), Samples::new(8).next(kind));
        }
    }
}
