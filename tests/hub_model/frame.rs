//! Messages that say all about themselves, in three encodings.

use fanfare::channel::topic::Topic;
use fanfare::hub::{Encode, Frame, Message, Parts, Payload, Place, Slot};

use super::topics::{PATTERNS, is_pattern, name, number_of};

/// The slot of halved messages. Its readers may be given base frames.
pub(super) const HALVES: Slot = Slot(1);
/// The slot of longer messages, made from the parts. Its readers must not get anything else.
pub(super) const PARTS: Slot = Slot(7);

/// A frame that says all about itself: tag, channel or pattern, message number, seq, its own length; for a pattern the channel and
/// the seq there; filler.
pub(super) struct TestFrame {
    pub(super) channel: u8,
    pub(super) id: u64,
    pub(super) filler: usize,
}

/// What comes before the filler.
pub(super) const HEAD: usize = 1 + 1 + 8 + 8 + 4;
/// What a pattern's message has besides.
const ORIGIN: usize = 1 + 8;

/// What comes before the filler in the log of a channel or a pattern.
pub(super) fn head(topic: u8) -> usize {
    HEAD + if is_pattern(topic) { ORIGIN } else { 0 }
}

/// The number in the eight bytes at `at`.
pub(super) fn number(frame: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(frame[at..at + 8].try_into().expect("eight bytes"))
}

impl Frame for TestFrame {
    fn len(&self, place: Place<'_>) -> usize {
        let origin = match place {
            Place::Channel { .. } => 0,
            Place::Pattern { .. } => ORIGIN,
        };
        HEAD + origin + self.filler
    }

    fn write(&self, place: Place<'_>, out: &mut Vec<u8>) {
        let (topic, seq) = match place {
            Place::Channel { seq } => (self.channel, seq),
            // It has to be known by its text alone.
            Place::Pattern { pattern, seq, .. } => (pattern_of(pattern), seq),
        };
        out.push(b'B');
        out.push(topic);
        out.extend_from_slice(&self.id.to_le_bytes());
        out.extend_from_slice(&seq.to_le_bytes());
        out.extend_from_slice(&(self.len(place) as u32).to_le_bytes());
        if let Place::Pattern { channel_seq, .. } = place {
            out.push(self.channel);
            out.extend_from_slice(&channel_seq.to_le_bytes());
        }
        out.resize(out.len() + self.filler, self.id as u8);
    }
}

/// The number of the pattern with this text.
fn pattern_of(text: &str) -> u8 {
    let mut kept = String::new();
    let mut all = super::topics::patterns(false);
    let found = all.find(|&number| super::topics::topic(number, &mut kept).text() == text);
    found.expect("a pattern of this run")
}

/// What a frame says: its payload is its filler.
pub(super) fn read(frame: &[u8]) -> Option<Parts<'_>> {
    let (channel, seq) = match frame[1] {
        channel if channel < PATTERNS => (channel, number(frame, 10)),
        _ => (frame[HEAD], number(frame, HEAD + 1)),
    };
    Some(Parts {
        channel: name(channel).into(),
        seq,
        payload: Payload::Json(&frame[head(frame[1])..]),
    })
}

/// How much longer a message is in the slot [`PARTS`].
const LONGER: usize = 5;

/// Halves the filler for one slot, and writes a longer one for the other.
pub(super) struct Encoder;

impl Encode for Encoder {
    fn encode(&mut self, slot: Slot, message: &Message<'_>, out: &mut Vec<u8>) {
        let frame = message.frame;
        match slot {
            HALVES => {
                assert!(!message.topic.is_pattern(), "what falls back is not made");
                let filler = (frame.len() - HEAD) / 2;
                out.push(b'H');
                out.extend_from_slice(&frame[1..HEAD - 4]);
                out.extend_from_slice(&((HEAD + filler) as u32).to_le_bytes());
                out.extend_from_slice(&frame[HEAD..HEAD + filler]);
            }
            PARTS => {
                let parts = message.parts().expect("a frame of this model");
                out.push(b'P');
                out.push(number_of(message.topic));
                out.extend_from_slice(&frame[2..10]);
                out.extend_from_slice(&message.seq.to_le_bytes());
                out.extend_from_slice(&((frame.len() + LONGER) as u32).to_le_bytes());
                if message.topic.is_pattern() {
                    out.push(number_of(Topic::Channel(&parts.channel)));
                    out.extend_from_slice(&parts.seq.to_le_bytes());
                }
                let Payload::Json(filler) = parts.payload else {
                    panic!("all payloads are of one kind");
                };
                out.extend_from_slice(filler);
                out.extend_from_slice(&[frame[2]; LONGER]);
            }
            _ => panic!("nobody uses slot {}", slot.0),
        }
    }
}
