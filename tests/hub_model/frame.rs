//! Messages that say all about themselves, in three encodings.

use fanfare::hub::{Encode, Frame, Message, Slot};

/// The slot of halved messages. Its readers may be given base frames.
pub(super) const HALVES: Slot = Slot(1);
/// The slot of longer messages, made from the parts. Its readers must not get anything else.
pub(super) const PARTS: Slot = Slot(7);

/// A frame that says all about itself: tag, channel, message number, seq, its own length, filler.
pub(super) struct TestFrame {
    pub(super) channel: u8,
    pub(super) id: u64,
    pub(super) filler: usize,
}

/// What comes before the filler.
pub(super) const HEAD: usize = 1 + 1 + 8 + 8 + 4;

impl Frame for TestFrame {
    fn len(&self, _: u64) -> usize {
        HEAD + self.filler
    }

    fn write(&self, seq: u64, out: &mut Vec<u8>) {
        out.push(b'B');
        out.push(self.channel);
        out.extend_from_slice(&self.id.to_le_bytes());
        out.extend_from_slice(&seq.to_le_bytes());
        out.extend_from_slice(&(self.len(seq) as u32).to_le_bytes());
        out.resize(out.len() + self.filler, self.id as u8);
    }
}

/// What a frame carries: its filler.
pub(super) fn payload(frame: &[u8]) -> &[u8] {
    &frame[HEAD..]
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
                let filler = (frame.len() - HEAD) / 2;
                out.push(b'H');
                out.extend_from_slice(&frame[1..HEAD - 4]);
                out.extend_from_slice(&((HEAD + filler) as u32).to_le_bytes());
                out.extend_from_slice(&frame[HEAD..HEAD + filler]);
            }
            PARTS => {
                let letter = message.channel.bytes().next_back();
                out.push(b'P');
                out.push(letter.expect("names are not empty") - b'a');
                out.extend_from_slice(&frame[2..10]);
                out.extend_from_slice(&message.seq.to_le_bytes());
                out.extend_from_slice(&((frame.len() + LONGER) as u32).to_le_bytes());
                out.extend_from_slice(message.payload());
                out.extend_from_slice(&[frame[2]; LONGER]);
            }
            _ => panic!("nobody uses slot {}", slot.0),
        }
    }
}
