//! Messages that say all about themselves, plain and "deflated".

use fanfare::hub::{Frame, Recode};

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
        out.push(b'P');
        out.push(self.channel);
        out.extend_from_slice(&self.id.to_le_bytes());
        out.extend_from_slice(&seq.to_le_bytes());
        out.extend_from_slice(&(self.len(seq) as u32).to_le_bytes());
        out.resize(out.len() + self.filler, self.id as u8);
    }
}

/// "Deflates" by leaving out half of the filler.
pub(super) struct Halve;

impl Recode for Halve {
    fn recode(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        let filler = (plain.len() - HEAD) / 2;
        out.push(b'D');
        out.extend_from_slice(&plain[1..HEAD - 4]);
        out.extend_from_slice(&((HEAD + filler) as u32).to_le_bytes());
        out.extend_from_slice(&plain[HEAD..HEAD + filler]);
    }
}
