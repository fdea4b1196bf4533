//! Realistic JSON from a seed, for benches: the same seed gives the same bytes on every
//! machine, so that results can be compared.

use std::fmt::Write;

/// A kind of message that people send through a broadcast daemon.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A price tick, half of it numbers: the two prices, then volume and flags, then levels of the book.
    Tick,
    /// A chat line of one sentence or several: mostly text, some of it not ASCII.
    Chat,
    /// A chat line with escapes in each sentence, which takes the decoder's longer way.
    EscapedChat,
    /// A document: records of short texts, flags and numbers.
    Document,
    /// Decimal fractions in arrays, the worst that a parser meets.
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

    /// Sizes in bytes that such messages have in practice, from the smallest that [`Samples::next`] can make.
    pub const fn sizes(self) -> &'static [usize] {
        match self {
            Self::Tick => &[64, 128, 256],
            Self::Chat | Self::EscapedChat => &[200, 1024],
            Self::Document | Self::Series => &[1024, 16 * 1024],
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

impl Samples {
    /// A source of samples; equal seeds give equal samples.
    pub const fn new(seed: u64) -> Self {
        Self {
            state: seed,
            made: 0,
        }
    }

    /// The text of one JSON value of about `size` bytes.
    pub fn next(&mut self, kind: Kind, size: usize) -> String {
        let mut out = String::new();
        self.made += 1;
        match kind {
            Kind::Tick => self.tick(&mut out, size),
            Kind::Chat => self.chat(&mut out, size, false),
            Kind::EscapedChat => self.chat(&mut out, size, true),
            Kind::Document => self.document(&mut out, size),
            Kind::Series => self.series(&mut out, size),
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

    fn tick(&mut self, out: &mut String, size: usize) {
        let symbol = ["EURUSD", "AAPL", "BTC-USD", "DAX"][self.below(4) as usize];
        let time = 1_790_000_000_000 + self.made * 137 + self.below(100);
        let (whole, part) = (self.below(2000), self.below(10_000));
        let (volume, trades) = (self.below(50_000), self.below(400));
        let _ = write!(
            out,
            r#"{{"symbol":"{symbol}","time":{time},"bid":{whole}.{part:04},"ask":{whole}.{:04}"#,
            (part + 3) % 10_000,
        );
        if out.len() + 50 <= size {
            let _ = write!(
                out,
                r#","size":{volume},"trades":{trades},"venue":"XNAS","halted":false"#
            );
        }
        if out.len() + 40 <= size {
            out.push_str(r#","book":["#);
            while out.len() + 18 <= size {
                if !out.ends_with('[') {
                    out.push(',');
                }
                let (part, volume) = (self.below(10_000), self.below(50_000));
                let _ = write!(out, "[{whole}.{part:04},{volume}]");
            }
            out.push(']');
        }
        out.push('}');
    }

    fn chat(&mut self, out: &mut String, size: usize, escaped: bool) {
        let (user, id) = (self.below(100_000), self.random());
        let _ = write!(out, r#"{{"id":"{id:016x}","user":{{"id":{user},"name":""#);
        self.words(out, 1);
        out.push_str(r#""},"text":""#);
        // Lines differ in length, by a sentence or so.
        let enough = size.saturating_sub(120) + self.below(60) as usize;
        loop {
            let count = 8 + self.below(8);
            self.words(out, count);
            if escaped {
                out.push_str(r#"\n\"really\"? \u2013 "#);
                self.words(out, 3);
            }
            if out.len() >= enough {
                break;
            }
            out.push_str(". ");
        }
        let _ = write!(
            out,
            r#"","room":"general","reply_to":null,"at":{}}}"#,
            self.made
        );
    }

    fn document(&mut self, out: &mut String, size: usize) {
        out.push_str(r#"{"version":3,"records":["#);
        while out.len() + 160 < size {
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

    fn series(&mut self, out: &mut String, size: usize) {
        out.push_str(r#"{"columns":["time","value"],"rows":["#);
        while out.len() + 32 < size {
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
    fn samples_are_json_of_about_the_size_that_is_asked_for() {
        let mut samples = Samples::new(1);
        for kind in Kind::ALL {
            for &size in kind.sizes() {
                let made: Vec<_> = (0..50).map(|_| samples.next(kind, size)).collect();
                let mean = made.iter().map(String::len).sum::<usize>() / made.len();
                assert!(mean.abs_diff(size) <= size / 6, "{kind:?} {size}: {mean}");
                for sample in made {
                    let off = sample.len().abs_diff(size);
                    assert!(off <= (size / 4).max(120), "{kind:?} {size}: {sample}");
                    let value: Result<serde_json::Value, _> = serde_json::from_str(&sample);
                    assert!(value.is_ok_and(|value| value.is_object()), "{sample}");
                    assert_eq!(sample.contains('\\'), kind == Kind::EscapedChat);
                }
            }
        }
    }

    #[test]
    fn equal_seeds_give_equal_samples() {
        for kind in Kind::ALL {
            for &size in kind.sizes() {
                let sample = |seed| Samples::new(seed).next(kind, size);
                assert_eq!(sample(7), sample(7));
                assert_ne!(sample(7), sample(8));
            }
        }
    }
}
