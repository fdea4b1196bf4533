//! The slots of the hub, and what makes their bytes.

use super::allowance;
#[cfg(test)]
use crate::channel::topic::Topic;
use crate::dialect::sse;
use crate::hub::{Encode, Message, Slot, SlotConfig};
#[cfg(test)]
use crate::hub::{Parts, Payload};
use crate::ws::deflate::{Deflater, Deflaters, WindowBits};
use crate::ws::encode::write_message_deflated;
use crate::ws::frame::parse_header;

/// The slot of compressed frames. Base frames are legal among them (RFC 7692 §6).
pub(super) const DEFLATE: Slot = Slot(1);

/// The slot of event streams.
pub(super) const EVENTS: Slot = Slot(2);

/// For tests: the slot of a dialect that has no use for base frames.
#[cfg(test)]
pub(super) const LINES: Slot = Slot(3);

/// What the hub has to know of the slots.
pub(super) fn slots() -> [SlotConfig; Slot::COUNT] {
    let mut slots = [SlotConfig::default(); Slot::COUNT];
    slots[usize::from(DEFLATE.0)].falls_back = true;
    slots
}

/// Makes the bytes of each slot but the base, and compresses what is for one connection alone.
pub(super) struct Encoders {
    deflaters: Deflaters,
    /// What was made since this was last asked has cost, in the units of an allowance.
    cost: usize,
    /// How many messages were made for the slot [`LINES`].
    #[cfg(test)]
    pub(super) lines: usize,
}

impl Encoders {
    /// With the level of compression from 1 to 9.
    pub(super) fn new(deflate_level: u32) -> Self {
        Encoders {
            deflaters: Deflaters::new(deflate_level),
            cost: 0,
            #[cfg(test)]
            lines: 0,
        }
    }

    /// What compresses for a window of this size.
    pub(super) fn deflater(&mut self, window: WindowBits) -> &mut Deflater {
        self.deflaters.for_window(window)
    }

    /// What was made since the last call has cost so much, in the units of an allowance.
    pub(super) fn take_cost(&mut self) -> usize {
        std::mem::take(&mut self.cost)
    }

    /// Makes an event of a message, once for all subscribers of the slot [`EVENTS`].
    fn write_event(&mut self, message: &Message<'_>, out: &mut Vec<u8>) {
        let Message {
            topic, epoch, seq, ..
        } = *message;
        self.cost += allowance::COPY + message.frame.len();
        match message.parts() {
            Some(parts) => sse::message(out, topic, epoch, seq, &parts),
            // The log holds nothing but what the daemon wrote; were it otherwise, the stream says nothing of it.
            None => sse::keep_alive(out),
        }
    }

    /// Compresses a base frame, once for all subscribers of the slot [`DEFLATE`].
    fn compress(&mut self, frame: &[u8], out: &mut Vec<u8>) {
        self.cost += allowance::DEFLATE + allowance::DEFLATE_BYTE * frame.len();
        match parse_header(frame) {
            Ok(Some((_, header_len))) => {
                let deflater = self.deflaters.for_window(WindowBits::MAX);
                write_message_deflated(out, true, &frame[header_len..], None, deflater);
            }
            // The log holds nothing but whole frames; were it otherwise, it goes as it is.
            _ => out.extend_from_slice(frame),
        }
    }
}

impl Encode for Encoders {
    fn encode(&mut self, slot: Slot, message: &Message<'_>, out: &mut Vec<u8>) {
        match slot {
            #[cfg(test)]
            LINES => {
                self.lines += 1;
                write_line(message, out);
            }
            EVENTS => self.write_event(message, out),
            _ => self.compress(message.frame, out),
        }
    }
}

/// Appends a message as the slot [`LINES`] has it.
#[cfg(test)]
fn write_line(message: &Message<'_>, out: &mut Vec<u8>) {
    let parts = message.parts().expect("a frame of this daemon");
    let data = match &parts.payload {
        Payload::Json(data) => String::from_utf8_lossy(data),
        Payload::Text(text) => text.as_ref().into(),
        Payload::Bytes(bytes) => String::from_utf8_lossy(bytes),
    };
    let Message {
        topic, epoch, seq, ..
    } = message;
    let text = match topic {
        Topic::Channel(channel) => format!("{channel} {epoch} {seq} {data}"),
        Topic::Pattern(_, pattern) => {
            let Parts {
                channel,
                seq: channel_seq,
                ..
            } = &parts;
            format!("{pattern} {epoch} {seq} {channel} {channel_seq} {data}")
        }
    };
    crate::ws::encode::write_message(out, true, text.as_bytes(), None);
}
