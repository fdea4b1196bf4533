//! What is made for one reader alone: messages that are not in its slot's log, and that it must not get as base frames.

use std::rc::Rc;

use super::piece::{Piece, Remainder};
use super::segment::LONG;
use super::slot::Encode;
use super::subscriber::Link;
use super::{Hub, SubscriberId};

/// So many bytes are made for one visit, unless a single message is longer.
const MOST_BYTES: usize = 64 * 1024;

/// Consecutive messages of one subscription in its slot. There is one for the hub, since they are written at once.
#[derive(Debug, Default)]
pub(super) struct Rendered {
    owner: u32,
    link: Link,
    /// The first message.
    from: u64,
    bytes: Vec<u8>,
    /// Where each message ends; empty if nothing is rendered.
    ends: Vec<usize>,
}

impl Rendered {
    /// The position after the last message.
    pub(super) fn next(&self) -> u64 {
        self.from + self.ends.len() as u64
    }

    /// The bytes that were made for the subscription `link` of `owner` from the message `from` on.
    pub(super) fn find(&self, owner: u32, link: Link, from: u64) -> Option<&[u8]> {
        let is_it = self.owner == owner && self.link == link && self.from == from;
        (is_it && !self.ends.is_empty()).then_some(&self.bytes[..])
    }

    /// Drops what was made.
    #[inline]
    pub(super) fn clear(&mut self) {
        // Most visits render nothing.
        if !self.ends.is_empty() {
            self.drop_all();
        }
    }

    /// Drops what was made, and memory beyond the usual.
    #[cold]
    fn drop_all(&mut self) {
        self.ends.clear();
        self.bytes.clear();
        if self.bytes.capacity() > 2 * MOST_BYTES {
            self.bytes = Vec::new();
        }
        self.ends.shrink_to(MOST_BYTES / 16);
    }

    /// What is left of the message of `piece` that byte `written` falls into, and the position after it.
    pub(super) fn rest_of(&self, piece: Piece, written: usize) -> Option<(Option<Remainder>, u64)> {
        let message = self.ends.partition_point(|&end| end <= written);
        let end = *self.ends.get(message)?;
        let start = message.checked_sub(1).map_or(0, |before| self.ends[before]);
        let next = piece.from + message as u64;
        if written == start {
            return Some((None, next));
        }
        let rest = self.bytes.get(written..end)?.to_vec();
        let rest = if end - start > LONG {
            let range = 0..rest.len();
            let segment = Rc::new(rest);
            Remainder::Held { segment, range }
        } else {
            Remainder::Copied(rest)
        };
        Some((Some(rest), next + 1))
    }
}

impl Hub {
    /// Makes what the last [`Hub::gather`] for `id` found [`unrendered`](super::Gathered::unrendered): at most 64 KiB of it, or one
    /// message. Call it before anything is written, and then gather again.
    pub fn render(&mut self, id: SubscriberId, encode: &mut dyn Encode) {
        self.rendered.clear();
        let Some(link) = self.plan.unrendered(id.0) else {
            return;
        };
        let Some(channel) = self.directory.get(link.channel) else {
            return;
        };
        let Some(&sub) = channel.subs.get(link.index as usize) else {
            return;
        };
        let reading = channel.reading(sub);
        if !reading.is_private || sub.next < channel.tail {
            return;
        }
        let source = channel.messages_of(self.config.read);
        let rendered = &mut self.rendered;
        (rendered.owner, rendered.link, rendered.from) = (id.0, link, sub.next);
        for position in sub.next..reading.until {
            let Some(frame) = reading.log.message(position) else {
                break;
            };
            let before = rendered.bytes.len();
            let message = source.message(channel.seq(position), frame);
            encode.encode(sub.slot(), &message, &mut rendered.bytes);
            if before != 0 && rendered.bytes.len() > MOST_BYTES {
                // It was one too many. The next visit makes it again.
                rendered.bytes.truncate(before);
                break;
            }
            rendered.ends.push(rendered.bytes.len());
        }
    }
}
