//! The `data` of a publication: a small JSON object of an exact size that says who published it and which one it is.
//!
//! The two numbers have a fixed width and stand at fixed places, so that the receiver finds them without a parser and
//! the publisher makes the next message by patching ten digits.

/// Where the publisher's four digits stand.
const PUBLISHER_AT: usize = br#"{"p":"#.len();
/// Where the index's ten digits stand.
const INDEX_AT: usize = br#"{"p":1000,"n":"#.len();
/// Both numbers are written with these added, so that they never have a leading zero, which JSON forbids.
const PUBLISHER_BASE: u64 = 1_000;
const INDEX_BASE: u64 = 1_000_000_000;

/// The smallest size that can be asked for.
pub(crate) const MIN_SIZE: usize = br#"{"p":1000,"n":1000000000}"#.len();
/// The most publishers that four digits can tell apart.
pub(crate) const MAX_PUBLISHERS: usize = 9_000;

/// What a publication is: its publisher, and how many it published before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The publisher's number.
    pub(crate) publisher: usize,
    /// The publication's, counted from 0 in each publisher.
    pub(crate) index: u64,
}

/// What a publication's data is made of beyond its first fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Content {
    /// One text of words that repeat: the cheapest to parse, and far too easy to compress.
    #[default]
    Words,
    /// Prices, each an object of names and numbers.
    Records,
}

/// The bytes of every publication but for the two numbers.
#[derive(Default)]
pub(crate) struct Template {
    bytes: Vec<u8>,
}

impl Template {
    /// A template of `size` bytes, at least [`MIN_SIZE`].
    ///
    /// It looks like a market tick with something beside it: the numbers and names of a real one up to about 128 B, and
    /// `content` beyond that.
    pub(crate) fn new(size: usize, content: Content) -> Self {
        const HEAD: &str = r#"{"p":1000,"n":1000000000"#;
        const FIELDS: [&str; 5] = [
            r#","symbol":"EURUSD""#,
            r#","bid":1.09312"#,
            r#","ask":1.09315"#,
            r#","volume":184200"#,
            r#","open":true"#,
        ];
        const TEXT: &str = r#","text":""#;
        const WORDS: &str = "the quick brown fox jumps over the lazy dog and ";
        let mut bytes = String::from(HEAD);
        for field in FIELDS {
            if bytes.len() + field.len() + TEXT.len() + 2 <= size {
                bytes.push_str(field);
            }
        }
        if content == Content::Records {
            push_records(&mut bytes, size - TEXT.len() - 2);
        }
        // Where there is no room for a text the size is rounded down: white space would be JSON too, but a peer that
        // parses and writes again would drop it.
        if bytes.len() + TEXT.len() + 2 <= size {
            bytes.push_str(TEXT);
            let left = size - bytes.len() - 2;
            bytes.extend(WORDS.chars().cycle().take(left));
            bytes.push('"');
        }
        bytes.push('}');
        Self {
            bytes: bytes.into_bytes(),
        }
    }

    /// Writes one publication over the template and lends it.
    pub(crate) fn fill(&mut self, origin: Origin) -> &[u8] {
        write_digits(
            &mut self.bytes[PUBLISHER_AT..PUBLISHER_AT + 4],
            origin.publisher as u64 + PUBLISHER_BASE,
        );
        write_digits(
            &mut self.bytes[INDEX_AT..INDEX_AT + 10],
            origin.index + INDEX_BASE,
        );
        &self.bytes
    }

    /// Reads what `data` is, or `None` if it is not byte for byte what [`fill`](Self::fill) wrote.
    #[inline]
    pub(crate) fn check(&self, data: &[u8]) -> Option<Origin> {
        let rest = INDEX_AT + 10;
        if data.len() != self.bytes.len()
            || data[rest..] != self.bytes[rest..]
            || &data[..PUBLISHER_AT] != br#"{"p":"#
        {
            return None;
        }
        let publisher =
            read_digits(&data[PUBLISHER_AT..PUBLISHER_AT + 4])?.checked_sub(PUBLISHER_BASE)?;
        let index = read_digits(&data[INDEX_AT..rest])?.checked_sub(INDEX_BASE)?;
        (&data[PUBLISHER_AT + 4..INDEX_AT] == br#","n":"#).then_some(Origin {
            publisher: publisher as usize,
            index,
        })
    }
}

/// Appends a member with as many records as fit `size` bytes, if any does. They are the same in every run.
fn push_records(bytes: &mut String, size: usize) {
    const SYMBOLS: [&str; 8] = [
        "AAPL", "MSFT", "BTC-USD", "EURUSD", "NVDA", "XAUUSD", "TSLA", "ETH-USD",
    ];
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut dice = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 20) % below
    };
    let mut before = r#","last":["#;
    loop {
        let record = format!(
            r#"{before}{{"symbol":"{}","bid":{}.{:02},"ask":{}.{:02},"volume":{},"ts":{}}}"#,
            SYMBOLS[dice(8) as usize],
            dice(900),
            dice(100),
            dice(900),
            dice(100),
            dice(100_000),
            1_790_000_000_000 + dice(100_000_000),
        );
        if bytes.len() + record.len() + "]".len() > size {
            break;
        }
        bytes.push_str(&record);
        before = ",";
    }
    if before == "," {
        bytes.push(']');
    }
}

fn write_digits(out: &mut [u8], mut value: u64) {
    for digit in out.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// Reads a number of nothing but digits; at most 19 of them.
#[inline]
pub(crate) fn read_digits(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    let mut value = 0;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_is_valid_json_and_close_to_what_was_asked() {
        for (size, content) in
            (MIN_SIZE..600).flat_map(|size| [(size, Content::Words), (size, Content::Records)])
        {
            let mut template = Template::new(size, content);
            let data = template
                .fill(Origin {
                    publisher: 8_999,
                    index: 7_999_999_999,
                })
                .to_vec();
            serde_json::from_slice::<serde_json::Value>(&data).unwrap();
            assert!(
                data.len() <= size && data.len() + 32 > size,
                "{size} became {}",
                data.len()
            );
        }
        assert_eq!(Template::new(128, Content::Words).bytes.len(), 128);
    }

    #[test]
    fn what_was_filled_in_is_read_back() {
        let mut template = Template::new(200, Content::Words);
        let origin = Origin {
            publisher: 42,
            index: 123_456_789,
        };
        let data = template.fill(origin).to_vec();
        assert_eq!(template.check(&data), Some(origin));
    }

    #[test]
    fn a_single_changed_byte_is_noticed() {
        let mut template = Template::new(128, Content::Words);
        let origin = Origin {
            publisher: 3,
            index: 77,
        };
        let data = template.fill(origin).to_vec();
        for at in 0..data.len() {
            let mut changed = data.clone();
            changed[at] ^= 0x20;
            assert_ne!(template.check(&changed), Some(origin), "byte {at}");
        }
    }
}
