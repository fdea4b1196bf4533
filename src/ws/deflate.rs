//! The compression under permessage-deflate (RFC 7692 §7.2): whole messages in, whole messages out.
//!
//! Raw deflate (RFC 1951) as zlib-rs does it, through flate2. This side never carries a window of its own from one
//! message to the next (§7.1.1), so that one [`Inflater`] and one [`Deflater`] per window size serve a whole
//! process, however many connections it has. All of them are made on first use: one that is never used owns no heap.
//!
//! This module knows nothing of frames: its caller strips and sets RSV1.

use std::fmt;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::violation::Violation;

/// What a sync flush ends with: an empty stored block after its header. The sender removes it, the receiver puts it
/// back (RFC 7692 §7.2.1 and §7.2.2).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// [`TAIL`] and an empty final block. Only where the tail ends a block does the second part end the stream, so a
/// message that was cut short inside a block gives itself away.
const CLOSING: [u8; 6] = [0x00, 0x00, 0xff, 0xff, 0x03, 0x00];

/// From this size on, in bytes, compressing a message of JSON pays.
///
/// Measured by `benches/deflate.rs` at level 2: of 100 bytes a compressor saves 13, of 200 bytes 64, of 1 KiB 667, and at
/// least half of what it takes for a message that small is its own reset and the codes at the head of the block.
pub const WORTH_DEFLATING: usize = 200;

/// How far back, in powers of two, a compressor may refer: 9 (512 bytes) to 15 (32 KiB).
///
/// RFC 7692 §7.1.2 has 8 too, which zlib cannot compress to: what stands in an offer or an answer is therefore
/// judged in `extension`, and only what this side can do becomes a `WindowBits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowBits(u8);

impl WindowBits {
    /// 512 bytes.
    pub const MIN: Self = Self(9);
    /// 32 KiB, what holds where nothing was negotiated.
    pub const MAX: Self = Self(15);

    /// `bits`, if it is 9 to 15.
    pub const fn new(bits: u8) -> Option<Self> {
        if bits >= Self::MIN.0 && bits <= Self::MAX.0 {
            Some(Self(bits))
        } else {
            None
        }
    }

    /// The base-2 logarithm of the window's size: 9 to 15.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The window's size in bytes: 512 to 32,768.
    pub const fn bytes(self) -> usize {
        1 << self.0
    }
}

impl fmt::Display for WindowBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Inflates messages, one after the other.
///
/// The state (about 47 KB) is made when the first message comes. It is reset for every message; with context
/// takeover the window's worth of earlier messages is kept beside it and given to it first.
#[derive(Debug, Default)]
pub struct Inflater {
    stream: Option<Box<Decompress>>,
    takeover: Option<History>,
    /// How long a message may become that is inflated now; `None`: as long as any may.
    at_once: Option<usize>,
}

impl Inflater {
    /// For peers that agreed not to carry their window from one message to the next (`…_no_context_takeover`): may
    /// be shared by any number of them.
    pub const fn new() -> Self {
        Self {
            stream: None,
            takeover: None,
            at_once: None,
        }
    }

    /// For one peer that may refer to its earlier messages, as far back as `window` (RFC 7692 §7.1.1).
    ///
    /// What reaches farther back into earlier messages is refused. Within one message zlib-rs does not check the
    /// distance against a window smaller than 32 KiB.
    pub const fn with_context_takeover(window: WindowBits) -> Self {
        Self {
            stream: None,
            takeover: Some(History {
                window,
                bytes: Vec::new(),
            }),
            at_once: None,
        }
    }

    /// Bounds, in bytes, what an endpoint inflates of one message before it says that the message is
    /// longer: see [`Endpoint::receive`](super::endpoint::Endpoint::receive). `None`, as at first: nothing does.
    pub const fn set_at_once(&mut self, bytes: Option<usize>) {
        self.at_once = bytes;
    }

    /// The bound that [`set_at_once`](Self::set_at_once) has set.
    pub(super) const fn at_once(&self) -> Option<usize> {
        self.at_once
    }

    /// Inflates one message's whole payload and appends it to `out`.
    ///
    /// Any number of blocks of any kind, final ones included (RFC 7692 §7.2.3); what follows a final block begins with
    /// an empty window, as a new data set does (RFC 1951 §3.2.3).
    ///
    /// # Errors
    /// 1009 as soon as `out` would hold more than `max` bytes: `out` is never made larger than `max + 1` bytes for
    /// it. 1007 where the data is broken, or ends within a block. After an error `out` is as long as before.
    pub fn inflate(
        &mut self,
        compressed: &[u8],
        out: &mut Vec<u8>,
        max: usize,
    ) -> Result<(), Violation> {
        let start = out.len();
        let stream = self
            .stream
            .get_or_insert_with(|| Box::new(Decompress::new(false)));
        stream.reset(false);
        if let Some(history) = &self.takeover {
            history.give_to(stream)?;
        }
        let whole = Inflation { stream, out, max }.message(compressed);
        match (&whole, &mut self.takeover) {
            (Err(_), _) => out.truncate(start),
            (Ok(()), Some(history)) => history.remember(&out[start..]),
            (Ok(()), None) => {}
        }
        whole
    }
}

/// The end of what a peer sent so far, to which its next message may refer.
#[derive(Debug)]
struct History {
    window: WindowBits,
    /// At most `window` bytes; grows with what was received.
    bytes: Vec<u8>,
}

impl History {
    fn give_to(&self, stream: &mut Decompress) -> Result<(), Violation> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        match stream.set_dictionary(&self.bytes) {
            Ok(_) => Ok(()),
            Err(_) => Err(BROKEN),
        }
    }

    fn remember(&mut self, message: &[u8]) {
        let window = self.window.bytes();
        let message = &message[message.len().saturating_sub(window)..];
        let excess = (self.bytes.len() + message.len()).saturating_sub(window);
        // `message` is no longer than the window, so `excess` is no more than what is held.
        self.bytes.drain(..excess);
        self.bytes.extend_from_slice(message);
    }
}

const BROKEN: Violation = Violation::invalid_data("compressed data that cannot be inflated");
const TOO_BIG: Violation = Violation::too_big("the message is over the limit once inflated");

/// One message being inflated.
struct Inflation<'a> {
    stream: &'a mut Decompress,
    out: &'a mut Vec<u8>,
    max: usize,
}

/// How a piece of compressed data ended.
#[derive(PartialEq, Eq)]
enum End {
    /// All of it was used, and more may come.
    Open,
    /// A final block ended, and this many bytes follow it.
    Final { left: usize },
}

impl Inflation<'_> {
    fn message(&mut self, mut compressed: &[u8]) -> Result<(), Violation> {
        // §7.2.3.6 has an empty message sent as one byte, but a compressor flushed twice yields none at all, and some peers send that.
        while !compressed.is_empty() {
            match self.piece(compressed)? {
                End::Open => return self.close(),
                // A sender that ends with a final block adds an empty byte (§7.2.3.4); one that forgets it has still said everything.
                End::Final { left } => {
                    compressed = &compressed[compressed.len() - left..];
                    self.stream.reset(false);
                }
            }
        }
        Ok(())
    }

    /// Gives the stream the tail that the sender removed. A whole message yields nothing more from it.
    fn close(&mut self) -> Result<(), Violation> {
        let inflated = self.out.len();
        match self.piece(&CLOSING)? {
            End::Final { left: 0 } if self.out.len() == inflated => Ok(()),
            _ => Err(BROKEN),
        }
    }

    /// Inflates until `compressed` is used up and all that it yields is in `out`, or a final block has ended.
    fn piece(&mut self, mut compressed: &[u8]) -> Result<End, Violation> {
        loop {
            if self.out.len() == self.out.capacity() {
                self.grow(compressed.len());
            }
            let (consumed, produced) = (self.stream.total_in(), self.stream.total_out());
            let status = self
                .stream
                .decompress_vec(compressed, self.out, FlushDecompress::None)
                .map_err(|_| BROKEN)?;
            let consumed = (self.stream.total_in() - consumed) as usize;
            let produced = self.stream.total_out() - produced;
            compressed = &compressed[consumed..];
            if self.out.len() > self.max {
                return Err(TOO_BIG);
            }
            if status == Status::StreamEnd {
                let left = compressed.len();
                return Ok(End::Final { left });
            }
            // While there is room left in `out`, nothing is held back.
            if self.out.len() < self.out.capacity() {
                if compressed.is_empty() {
                    return Ok(End::Open);
                }
                // Cannot be, by zlib's contract; a loop that trusts it could stand still for ever.
                if consumed == 0 && produced == 0 {
                    return Err(BROKEN);
                }
            }
        }
    }

    /// Makes room in a full `out`: some multiple of what is to come at first, double what is there later, and
    /// never more than one byte over the limit. That byte tells a message of `max` bytes from a larger one.
    fn grow(&mut self, compressed: usize) {
        let limit = self.max.saturating_add(1);
        let wanted = self.out.len().max(compressed.saturating_mul(4)).max(256);
        // `out` may come in longer than `max`: then one more byte is too much, and finding out takes room for it.
        let room = limit.saturating_sub(self.out.len()).max(1);
        self.out.reserve_exact(wanted.min(room));
    }
}

/// Deflates messages, one after the other, each for itself (RFC 7692 §7.1.1: no context takeover).
///
/// The state (up to 380 KB with the largest window) is made when the first message comes.
#[derive(Debug)]
pub struct Deflater {
    level: Compression,
    window: WindowBits,
    stream: Option<Box<Compress>>,
}

impl Deflater {
    /// Compresses at `level`, 0 (stored) to 9 (smallest; so is what is above), and refers back no farther than `window`.
    pub const fn new(level: u32, window: WindowBits) -> Self {
        let level = if level > 9 { 9 } else { level };
        Self {
            level: Compression::new(level),
            window,
            stream: None,
        }
    }

    /// Appends one message's compressed payload to `out`: a sync flush without its last four bytes (RFC 7692 §7.2.1).
    ///
    /// What does not compress grows, by a few bytes in 16 KiB; `out` is at least one byte longer for an empty message.
    pub fn deflate(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        let (level, window) = (self.level, self.window.bits());
        let stream = self
            .stream
            .get_or_insert_with(|| Box::new(Compress::new_with_window_bits(level, false, window)));
        stream.reset();
        let mut rest = plain;
        loop {
            out.reserve(TAIL.len() + (rest.len() / 2).max(64));
            let consumed = stream.total_in();
            stream.compress_vec(rest, out, FlushCompress::Sync).expect(
                "a compressor fails only after its stream was finished, and this one's never is",
            );
            rest = &rest[(stream.total_in() - consumed) as usize..];
            // While there is room left in `out`, nothing is held back.
            if rest.is_empty() && out.len() < out.capacity() {
                break;
            }
        }
        debug_assert!(out.ends_with(&TAIL));
        out.truncate(out.len() - TAIL.len());
    }

    /// Like [`deflate`](Self::deflate), and says whether the message shrank. If it did not, `out` is left as it was, and
    /// the message is better sent as it is (RFC 7692 §6: compressing is up to the sender, message by message).
    #[must_use = "if it did not shrink, nothing was written"]
    pub fn deflate_if_smaller(&mut self, plain: &[u8], out: &mut Vec<u8>) -> bool {
        let start = out.len();
        self.deflate(plain, out);
        let shrank = out.len() - start < plain.len();
        if !shrank {
            out.truncate(start);
        }
        shrank
    }
}

/// The process's compressors: one per window size, all at one level.
#[derive(Debug)]
pub struct Deflaters {
    by_window: [Deflater; (WindowBits::MAX.0 - WindowBits::MIN.0) as usize + 1],
}

impl Deflaters {
    /// Compressors at `level` (see [`Deflater::new`]), none of which exists before it is used.
    pub fn new(level: u32) -> Self {
        Self {
            by_window: std::array::from_fn(|index| {
                Deflater::new(level, WindowBits(WindowBits::MIN.0 + index as u8))
            }),
        }
    }

    /// The compressor that refers back no farther than `window`.
    pub fn for_window(&mut self, window: WindowBits) -> &mut Deflater {
        // `WindowBits` is never under `MIN` or over `MAX`.
        &mut self.by_window[usize::from(window.0 - WindowBits::MIN.0)]
    }
}

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
