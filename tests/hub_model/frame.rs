//! Messages that say all about themselves, in three encodings.

use fanfare::hub::{Encode, Frame, Message, Parts, Payload, Place, Slot};

use super::name;

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
    fn len(&self, _: Place<'_>) -> usize {
        HEAD + self.filler
    }

    fn write(&self, place: Place<'_>, out: &mut Vec<u8>) {
        let Place::Channel { seq } = place else {
            panic!("there are no patterns");
        };
        out.push(b'B');
        out.push(self.channel);
        out.extend_from_slice(&self.id.to_le_bytes());
        out.extend_from_slice(&seq.to_le_bytes());
        out.extend_from_slice(&(self.len(place) as u32).to_le_bytes());
        out.resize(out.len() + self.filler, self.id as u8);
    }
}

/// What a frame says: its payload is its filler.
pub(super) fn read(frame: &[u8]) -> Option<Parts<'_>> {
    let seq = frame[10..18].try_into().expect("eight bytes");
    Some(Parts {
        channel: name(frame[1]).into(),
        seq: u64::from_le_bytes(seq),
        payload: Payload::Json(&frame[HEAD..]),
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
                let filler = (frame.len() - HEAD) / 2;
                out.push(b'H');
                out.extend_from_slice(&frame[1..HEAD - 4]);
                out.extend_from_slice(&((HEAD + filler) as u32).to_le_bytes());
                out.extend_from_slice(&frame[HEAD..HEAD + filler]);
            }
            PARTS => {
                let parts = message.parts().expect("a frame of this model");
                let letter = parts.channel.bytes().next_back();
                out.push(b'P');
                out.push(letter.expect("names are not empty") - b'a');
                out.extend_from_slice(&frame[2..10]);
                out.extend_from_slice(&message.seq.to_le_bytes());
                out.extend_from_slice(&((frame.len() + LONGER) as u32).to_le_bytes());
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
