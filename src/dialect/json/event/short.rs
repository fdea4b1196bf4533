//! The short way to a `message`: nothing of it is looked at that need not be.

use std::ops::Range;
use std::str;

use super::super::{Data, Encoding, Id};
use super::Message;
use crate::hub::Place;

/// Reads a `message` in the form that the protocol has servers write it in (members in
/// order, no white space between them, `data` last), and nothing else: a few tens of
/// nanoseconds, however long `data` is, which is neither looked at nor checked.
///
/// `None` says only that a look with an [`EventDecoder`](super::EventDecoder) is needed.
pub fn message(text: &[u8]) -> Option<Message<'_>> {
    let places = Places::find(text)?;
    places.in_text(text)
}

/// A [`Message`] without what it borrows.
pub(super) struct Places {
    channel: Range<usize>,
    seq: u64,
    /// Where the pattern stands, and `channel_seq`, in a pattern's message.
    pattern: Option<(Range<usize>, u64)>,
    encoding: Encoding,
    data: Range<usize>,
}

impl Places {
    #[inline]
    pub(super) fn find(text: &[u8]) -> Option<Self> {
        let mut rest = Rest { text, at: 0 };
        rest.pass(br#"{"type":"message",""#)?;
        if rest.pass(br#"channel":""#).is_some() {
            let channel = rest.string()?;
            rest.pass(br#"","seq":"#)?;
            let seq = rest.number()?;
            return rest.end(channel, seq, None);
        }
        rest.pass(br#"pattern":""#)?;
        let pattern = rest.string()?;
        rest.pass(br#"","seq":"#)?;
        let seq = rest.number()?;
        rest.pass(br#","channel":""#)?;
        let channel = rest.string()?;
        rest.pass(br#"","channel_seq":"#)?;
        let channel_seq = rest.number()?;
        rest.end(channel, seq, Some((pattern, channel_seq)))
    }

    pub(super) fn in_text<'a>(&self, text: &'a [u8]) -> Option<Message<'a>> {
        let string = |place: &Range<usize>| str::from_utf8(text.get(place.clone())?).ok();
        let seq = self.seq;
        let place = match &self.pattern {
            None => Place::Channel { seq },
            Some((pattern, channel_seq)) => Place::Pattern {
                pattern: string(pattern)?,
                seq,
                channel_seq: *channel_seq,
            },
        };
        Some(Message {
            channel: string(&self.channel)?,
            place,
            data: Data {
                encoding: self.encoding,
                raw: text.get(self.data.clone())?,
            },
        })
    }
}

/// What is left of a text from `at` on.
struct Rest<'t> {
    text: &'t [u8],
    at: usize,
}

impl Rest<'_> {
    /// Passes what must stand next.
    #[inline(always)]
    fn pass(&mut self, wanted: &[u8]) -> Option<()> {
        self.text[self.at..].strip_prefix(wanted)?;
        self.at += wanted.len();
        Some(())
    }

    /// Passes a string without escapes: up to its closing quote, which is for the caller to pass. Where a backslash comes
    /// first, that fails.
    #[inline(always)]
    fn string(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        self.at += memchr::memchr2(b'"', b'\\', &self.text[start..])?;
        Some(start..self.at)
    }

    #[inline(always)]
    fn number(&mut self) -> Option<u64> {
        let rest = &self.text[self.at..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += digits;
        Id(&rest[..digits]).as_number()
    }

    /// The encoding, if there is one, and all that is left.
    #[inline(always)]
    fn end(
        mut self,
        channel: Range<usize>,
        seq: u64,
        pattern: Option<(Range<usize>, u64)>,
    ) -> Option<Places> {
        const DATA: &[u8] = br#","data":"#;
        let mut encoding = Encoding::Json;
        if self.pass(DATA).is_none() {
            self.pass(br#","encoding":""#)?;
            encoding = match self.pass(br#"text""#) {
                Some(()) => Encoding::Text,
                None => {
                    self.pass(br#"base64""#)?;
                    Encoding::Base64
                }
            };
            self.pass(DATA)?;
        }
        let data = self.text[self.at..].strip_suffix(b"}")?;
        Some(Places {
            channel,
            seq,
            pattern,
            encoding,
            data: self.at..self.at + data.len(),
        })
    }
}
