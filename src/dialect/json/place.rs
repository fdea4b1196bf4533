//! Where strings and values stand in a message.

use super::bytes::peek;
use super::{Id, MAX_WHOLE_NUMBER};

/// Where a string's text stands, without its quotes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Text {
    pub(super) start: usize,
    pub(super) end: usize,
    /// It has escapes.
    pub(super) escaped: bool,
}

impl Text {
    /// The text of a string, as it stands in the message: UTF-8, whose quotes are in no character's middle. To check it
    /// again costs less than to carry the proof.
    pub(super) fn as_str(self, text: &[u8]) -> &str {
        let bytes = text.get(self.start..self.end).unwrap_or_default();
        str::from_utf8(bytes).unwrap_or_default()
    }
}

/// Where a value stands, without the white space around it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Value {
    pub(super) start: usize,
    pub(super) end: usize,
    /// It is a string with escapes.
    pub(super) escaped: bool,
}

impl Value {
    /// The value as it was written.
    pub(super) fn raw<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        text.get(self.start..self.end).unwrap_or_default()
    }

    /// The value if it is a whole number from 0 to 2^53 - 1, written without sign, fraction and exponent.
    pub(super) fn as_whole_number(&self, text: &[u8]) -> Option<u64> {
        let number = Id(self.raw(text)).as_number()?;
        (number <= MAX_WHOLE_NUMBER).then_some(number)
    }

    /// What stands between the quotes, if the value is a string.
    pub(super) fn as_text(&self, text: &[u8]) -> Option<Text> {
        (peek(text, self.start) == b'"').then(|| Text {
            start: self.start + 1,
            end: self.end - 1,
            escaped: self.escaped,
        })
    }
}
