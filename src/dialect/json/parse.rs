//! simd-json with what it leaves out: where in the text each member's value stands.
//!
//! simd-json's tape has values but no positions, and it unescapes strings where they
//! lie. Positions come from its first stage, which lists the offset of every structural
//! character: walking that list beside the tape's top-level members gives the span of
//! each value as it was written. A message with a `\` in it is parsed as a scratch copy,
//! so that the original keeps its bytes.

use std::mem;
use std::ops::Range;
use std::slice;

use simd_json::{Buffers, ErrorType, Node, Tape};

use super::PADDING;

/// A longer message's buffers are given back after it, …
const KEEP_BYTES: usize = 256 * 1024;
/// … and so is a tape of more nodes than this (3 MiB): what a 64 KiB message can need.
const KEEP_NODES: usize = 128 * 1024;

/// Why a message is not JSON as the protocol wants it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotJson {
    /// It is not UTF-8.
    NotUtf8,
    /// It breaks a rule of JSON, or a limit.
    Fault {
        /// Which, for people.
        message: &'static str,
        /// Where, in bytes from the start, if known.
        offset: Option<usize>,
    },
}

/// The parser and the memory that it uses again for each message.
pub(super) struct Parser {
    buffers: Buffers,
    tape: Tape<'static>,
    scratch: Vec<u8>,
    scratch_is_current: bool,
    max_depth: usize,
}

impl Parser {
    pub(super) fn new(max_depth: usize) -> Self {
        Self {
            buffers: Buffers::with_max_depth(0, max_depth),
            tape: Tape(Vec::new()),
            scratch: Vec::new(),
            scratch_is_current: false,
            max_depth,
        }
    }

    /// Parses `message[..len]`, which is not changed, and has `read` look at the tree. What that finds out it puts where
    /// its caller wants it: to hand it back through here would copy it several times.
    ///
    /// What lies beyond `len` is only padding; where there are fewer than [`PADDING`]
    /// bytes of it the message is copied first.
    pub(super) fn parse(
        &mut self,
        message: &mut [u8],
        len: usize,
        read: impl FnOnce(Tree<'_, '_>),
    ) -> Result<(), NotJson> {
        let len = len.min(message.len());
        let text = &message[..len];
        self.scratch_is_current =
            message.len() - len < PADDING || memchr::memchr(b'\\', text).is_some();
        let target = if self.scratch_is_current {
            self.scratch.clear();
            self.scratch.reserve(len + PADDING);
            self.scratch.extend_from_slice(text);
            self.scratch.resize(len + PADDING, b' ');
            &mut self.scratch[..]
        } else {
            &mut message[..]
        };

        let mut tape = mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let parsed = simd_json::fill_tape_padded(target, len, &mut self.buffers, &mut tape);
        if parsed.is_ok() {
            read(Tree {
                nodes: &tape.0,
                structurals: self.buffers.structural_indexes(),
            });
        }
        self.tape = tape.reset();
        parsed.map_err(|error| explain(&error, &message[..len]))
    }

    /// Puts the unescaped text of a string of the message just parsed where the escaped
    /// one stands in `message`. It is never the longer of the two, and it begins at the
    /// same offset in the scratch copy, where simd-json has unescaped it in place.
    pub(super) fn unescape(&self, message: &mut [u8], text: &Range<usize>) {
        if !self.scratch_is_current {
            return;
        }
        if let (Some(from), Some(to)) = (
            self.scratch.get(text.clone()),
            message.get_mut(text.clone()),
        ) {
            to.copy_from_slice(from);
        }
    }

    /// Gives memory back that only an unusually large message needs.
    #[inline]
    pub(super) fn shrink(&mut self, len: usize) {
        if len > KEEP_BYTES || self.tape.0.capacity() > KEEP_NODES {
            *self = Self::new(self.max_depth);
        }
    }

    /// Bytes of memory kept for the next message, of those that can be known.
    #[cfg(test)]
    pub(super) fn kept_bytes(&self) -> usize {
        self.scratch.capacity() + self.tape.0.capacity() * size_of::<Node<'_>>()
    }
}

/// A parsed message: its values in order, and the offsets of `{ } [ ] : ,` and of each
/// value's first byte.
#[derive(Clone, Copy)]
pub(super) struct Tree<'p, 't> {
    nodes: &'p [Node<'t>],
    structurals: &'p [u32],
}

impl<'p, 't> Tree<'p, 't> {
    /// The whole message, as if it were the value of a member.
    pub(super) fn root(&self) -> Option<Member<'p, 't>> {
        let (value, inside) = self.nodes.split_first()?;
        Some(Member {
            value,
            inside,
            structural: 0,
            end: self.structurals.len() as u32,
        })
    }

    /// The members of an object, `None` if the value is something else.
    pub(super) fn members(&self, of: &Member<'p, 't>) -> Option<Members<'p, 't>> {
        match *of.value {
            Node::Object { len, .. } => Some(Members {
                nodes: of.inside,
                left: len,
                structural: of.structural as usize + 1,
                // An object has two brackets at least.
                close: of.end as usize - 1,
            }),
            _ => None,
        }
    }

    /// From a value's first byte to the structural character after it: the value as it
    /// was written, with the white space that follows it.
    pub(super) fn span(&self, of: &Member<'_, '_>, len: usize) -> Range<usize> {
        let offset = |index: u32| self.structurals.get(index as usize).map(|&at| at as usize);
        let start = offset(of.structural).unwrap_or(len);
        start..offset(of.end).unwrap_or(len)
    }

    /// Where the text of a string stands, without its quotes, once it is unescaped.
    pub(super) fn text(&self, of: &Member<'_, '_>) -> Option<Range<usize>> {
        let Node::String(text) = of.value else {
            return None;
        };
        let start = *self.structurals.get(of.structural as usize)? as usize + 1;
        Some(start..start + text.len())
    }
}

/// The value of one member of an object. Small, since a request's are all kept at once;
/// simd-json's own offsets are `u32`, so there are never more structural characters.
#[derive(Clone, Copy)]
pub(super) struct Member<'p, 't> {
    /// The value, or its beginning if it is an object or an array.
    value: &'p Node<'t>,
    /// What is inside the value.
    inside: &'p [Node<'t>],
    /// Which structural character the value begins with.
    structural: u32,
    /// Which structural character comes after the value.
    end: u32,
}

impl<'t> Member<'_, 't> {
    /// The value if it is a string, unescaped.
    pub(super) fn as_str(&self) -> Option<&'t str> {
        match *self.value {
            Node::String(text) => Some(text),
            _ => None,
        }
    }

    /// The value if it is a whole number from 0 to 2^53 - 1, written without sign,
    /// fraction and exponent: simd-json gives `U64` to no others.
    pub(super) fn as_whole_number(&self) -> Option<u64> {
        match *self.value {
            Node::Static(simd_json::StaticNode::U64(number))
                if number <= super::MAX_WHOLE_NUMBER =>
            {
                Some(number)
            }
            _ => None,
        }
    }

    /// The value if it is `true` or `false`.
    pub(super) fn as_bool(&self) -> Option<bool> {
        match *self.value {
            Node::Static(simd_json::StaticNode::Bool(value)) => Some(value),
            _ => None,
        }
    }
}

/// The members of an object, in order.
pub(super) struct Members<'p, 't> {
    /// The members still ahead.
    nodes: &'p [Node<'t>],
    left: usize,
    /// Which structural character the next key begins with.
    structural: usize,
    /// Which structural character closes the object.
    close: usize,
}

impl<'p, 't> Iterator for Members<'p, 't> {
    /// A key, unescaped, and its value.
    type Item = (&'t str, Member<'p, 't>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let [Node::String(key), value, rest @ ..] = self.nodes else {
            return None;
        };
        // A key, its colon, then the value.
        let start = self.structural + 2;
        let (inside, ahead, end) = match value {
            Node::String(_) | Node::Static(_) => (&rest[..0], rest, start + 1),
            Node::Object { count, .. } | Node::Array { count, .. } => {
                let (inside, ahead) = rest.split_at_checked(*count)?;
                // The value's end can be counted from either side; `data` is often large
                // and stands last or nearly so, so the shorter way is taken.
                let end = if inside.len() <= ahead.len() {
                    start + structurals(slice::from_ref(value)) + structurals(inside)
                } else {
                    // Each member ahead adds the comma before it and its colon.
                    self.close - (structurals(ahead) + 2 * self.left)
                };
                (inside, ahead, end)
            }
        };
        self.nodes = ahead;
        self.structural = end + 1;
        let member = Member {
            value,
            inside,
            structural: start as u32,
            end: end as u32,
        };
        Some((key, member))
    }
}

/// How many structural characters these values have, each key counting as a value and
/// the commas and colons between top-level ones left out.
fn structurals(nodes: &[Node<'_>]) -> usize {
    nodes
        .iter()
        .map(|node| match node {
            Node::Object { len, .. } => 2 + len + len.saturating_sub(1),
            Node::Array { len, .. } => 2 + len.saturating_sub(1),
            Node::String(_) | Node::Static(_) => 1,
        })
        .sum()
}

/// The span without the white space at its end.
pub(super) fn trim_end(message: &[u8], span: Range<usize>) -> Range<usize> {
    let text = message.get(span.clone()).unwrap_or_default();
    let trailing = text.iter().rev().take_while(is_white_space).count();
    span.start..span.start + (text.len() - trailing)
}

/// What JSON calls white space, which is less than ASCII does.
fn is_white_space(byte: &&u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

const TRAILING: &str = "something stands after the value";

/// Puts simd-json's error into our words, with a true offset or none.
#[cold]
fn explain(error: &simd_json::Error, message: &[u8]) -> NotJson {
    // Some bad UTF-8 makes simd-json stumble over something else first.
    if simdutf8::basic::from_utf8(message).is_err() {
        return NotJson::NotUtf8;
    }
    // Only the second stage knows where it is, and it says so by naming a character.
    let at = error.character().map(|_| error.index());
    let (text, offset) = match error.error() {
        ErrorType::Eof => ("the message is empty", None),
        ErrorType::DepthLimitExceeded => ("nested more than 64 levels deep", at),
        ErrorType::InvalidNumber => (
            "a number that JSON does not know, or one beyond the range of a double",
            at,
        ),
        // The offsets of these count from the start of the string.
        ErrorType::InvalidEscape
        | ErrorType::InvalidUnicodeCodepoint
        | ErrorType::InvalidUnicodeEscape => (
            "an escape that JSON does not know, or a surrogate without its pair",
            fault_in_string(message),
        ),
        // Said of the value before it, whose end is known only where it is a bracket.
        ErrorType::TrailingData => (TRAILING, None),
        ErrorType::InternalError => match at.and_then(|at| after_last_bracket(message, at)) {
            Some(after) => (TRAILING, Some(after)),
            None => ("not JSON", at),
        },
        ErrorType::Syntax if at.is_some() => ("the message ends too early", Some(message.len())),
        ErrorType::Syntax => (
            "a string that does not end, or a control character in one",
            fault_in_string(message),
        ),
        ErrorType::ExpectedObjectColon => ("a `:` is missing", at),
        ErrorType::ExpectedObjectKey => ("a key is missing", at),
        ErrorType::ExpectedObjectContent => ("a `,` or `}` is missing", at),
        ErrorType::ExpectedArrayContent => ("a `,` or `]` is missing", at),
        _ => ("not JSON", at),
    };
    NotJson::Fault {
        message: text,
        offset,
    }
}

/// Where the message goes on after the bracket at `at`, if that bracket closes a value;
/// simd-json points there both when a value should stand there and when it was the end.
fn after_last_bracket(message: &[u8], at: usize) -> Option<usize> {
    let (before, rest) = message.split_at_checked(at)?;
    let (closer, rest) = rest.split_first()?;
    let previous = before.iter().rev().find(|byte| !is_white_space(byte))?;
    let closes = match closer {
        b'}' => !matches!(previous, b':' | b',' | b'['),
        b']' => !matches!(previous, b':' | b',' | b'{'),
        _ => false,
    };
    closes.then(|| at + 1 + rest.iter().take_while(is_white_space).count())
}

/// The offset of the first thing wrong inside a string: a control character, a bad
/// escape, or the message's end.
fn fault_in_string(message: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr(b'"', message.get(at..)?)? + 1;
        loop {
            match message.get(at) {
                None => return Some(message.len()),
                Some(b'"') => break,
                Some(b'\\') => match escape_len(&message[at..]) {
                    Some(len) => at += len,
                    None => return Some(at),
                },
                Some(0..=0x1F) => return Some(at),
                Some(_) => at += 1,
            }
        }
        at += 1;
    }
}

/// The length of the escape that `text` begins with, `None` if it is not a good one.
fn escape_len(text: &[u8]) -> Option<usize> {
    match text.get(1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        b'u' => match unit(text)? {
            0xD800..=0xDBFF => {
                let low = unit(text.get(6..)?)?;
                (0xDC00..=0xDFFF).contains(&low).then_some(12)
            }
            0xDC00..=0xDFFF => None,
            _ => Some(6),
        },
        _ => None,
    }
}

/// The UTF-16 unit that a `\uXXXX` at the beginning of `text` stands for.
fn unit(text: &[u8]) -> Option<u32> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    digits.iter().try_fold(0, |unit, &digit| {
        Some(unit * 16 + char::from(digit).to_digit(16)?)
    })
}
