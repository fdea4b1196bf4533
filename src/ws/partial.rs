//! What an endpoint keeps between two inputs: half a header, half a frame, half a message.

#[cfg(feature = "server")]
mod snapshot;

use super::deflate::Inflater;
use super::frame::{FrameHeader, MAX_HEADER, Opcode, parse_header};
use super::mask::unmask;
use super::utf8::Utf8Stream;
use super::violation::Violation;

/// RFC 6455 §8.1.
pub(super) const NOT_UTF8: Violation = Violation::invalid_data("a text message that is not UTF-8");

/// The incomplete, on the heap. Its buffers grow with the bytes received, never with an announced length.
#[derive(Debug, Default)]
pub(super) struct Partial {
    /// The beginning of a header: `header[..header_len]`, fewer bytes than it needs.
    header: [u8; MAX_HEADER],
    header_len: u8,
    /// The frame whose payload is arriving.
    frame: Option<Arriving>,
    /// The message whose fragments are arriving.
    message: Option<Message>,
    /// The payload of a control frame that arrives in pieces: at most 125 bytes.
    control: Vec<u8>,
}

/// A frame whose payload is arriving.
#[derive(Clone, Copy, Debug)]
struct Arriving {
    header: FrameHeader,
    /// Payload bytes so far: `received <= header.len`.
    received: u64,
}

/// A message whose fragments are arriving.
#[derive(Debug)]
struct Message {
    text: bool,
    compressed: bool,
    /// Its payload so far, unmasked, compressed still if it is.
    bytes: Vec<u8>,
    /// Has seen `bytes`, where text is checked and is not compressed.
    utf8: Utf8Stream,
    /// All is there and `bytes` is inflated: only the event that shows it is left.
    whole: bool,
}

impl Partial {
    pub(super) fn begin_header(&mut self, bytes: &[u8]) {
        // Shorter than a header: `parse_header` asked for more.
        self.header[..bytes.len()].copy_from_slice(bytes);
        self.header_len = bytes.len() as u8;
    }

    /// Completes the header with bytes from `input[*pos..]`, or keeps those too.
    pub(super) fn complete_header(
        &mut self,
        input: &[u8],
        pos: &mut usize,
    ) -> Result<Option<FrameHeader>, Violation> {
        let before = usize::from(self.header_len);
        let unread = &input[*pos..];
        let taken = unread.len().min(MAX_HEADER - before);
        let after = before + taken;
        self.header[before..after].copy_from_slice(&unread[..taken]);
        match parse_header(&self.header[..after])? {
            Some((header, header_bytes)) => {
                // More than `before`, as those bytes alone were no whole header.
                *pos += header_bytes - before;
                self.header_len = 0;
                Ok(Some(header))
            }
            None => {
                *pos += taken;
                self.header_len = after as u8;
                Ok(None)
            }
        }
    }

    /// Gets ready for the payload of a frame that the endpoint has found legal here.
    pub(super) fn begin_frame(&mut self, header: FrameHeader) {
        if header.opcode.is_control() {
            self.control.clear();
        } else if header.opcode != Opcode::Continuation {
            let text = header.opcode == Opcode::Text;
            self.message = Some(Message::new(text, header.rsv1));
        }
        self.frame = Some(Arriving {
            header,
            received: 0,
        });
    }

    /// Takes payload from `input[*pos..]`, if a frame waits for some: unmasked, checked as it comes. Returns the frame's
    /// header when its payload is whole.
    pub(super) fn take_payload(
        &mut self,
        input: &mut [u8],
        pos: &mut usize,
        check_utf8: bool,
    ) -> Result<Option<FrameHeader>, Violation> {
        let Some(frame) = &mut self.frame else {
            return Ok(None);
        };
        let missing = frame.header.len - frame.received;
        let unread = input.len() - *pos;
        let taken = usize::try_from(missing).map_or(unread, |missing| missing.min(unread));
        let piece = &mut input[*pos..*pos + taken];
        *pos += taken;
        if let Some(key) = frame.header.mask {
            unmask(piece, key, (frame.received % 4) as usize);
        }
        frame.received += taken as u64;
        let header = frame.header;
        if header.opcode.is_control() {
            self.control.extend_from_slice(piece);
        } else if let Some(message) = &mut self.message {
            message.append(piece, missing, check_utf8)?;
        }
        if (taken as u64) < missing {
            return Ok(None);
        }
        self.frame = None;
        Ok(Some(header))
    }

    /// Makes the message ready to be handed out, its last fragment having arrived.
    pub(super) fn finish_message(
        &mut self,
        max_message: usize,
        check_utf8: bool,
        inflater: &mut Inflater,
    ) -> Result<(), Violation> {
        match &mut self.message {
            Some(message) => message.finish(max_message, check_utf8, inflater),
            None => Ok(()),
        }
    }

    /// Keeps a compressed message that came whole in one frame, inflated from where it stands.
    pub(super) fn inflate_message(
        &mut self,
        text: bool,
        compressed: &[u8],
        max_message: usize,
        check_utf8: bool,
        inflater: &mut Inflater,
    ) -> Result<(), Violation> {
        let bytes = inflate(compressed, max_message, text && check_utf8, inflater)?;
        self.message = Some(Message {
            bytes,
            whole: true,
            ..Message::new(text, true)
        });
        Ok(())
    }

    /// The finished message: whether it is text, and its bytes.
    pub(super) fn whole_message(&mut self) -> Option<(bool, &mut [u8])> {
        let message = self.message.as_mut().filter(|message| message.whole)?;
        Some((message.text, &mut message.bytes))
    }

    /// The payload of the control frame that arrived last.
    pub(super) fn control(&self) -> &[u8] {
        &self.control
    }

    pub(super) fn has_header_bytes(&self) -> bool {
        self.header_len > 0
    }

    /// How many bytes of the incomplete message have come, as sent; `None` without one.
    pub(super) fn message_len(&self) -> Option<usize> {
        self.message.as_ref().map(|message| message.bytes.len())
    }

    /// Whether a fragment of a compressed message has ended, and another is to come.
    pub(super) fn is_between_compressed_fragments(&self) -> bool {
        let compressed = (self.message.as_ref()).is_some_and(|message| message.compressed);
        compressed && self.frame.is_none()
    }

    /// Nothing is incomplete: all that is here was handed out.
    pub(super) fn is_spent(&self) -> bool {
        self.header_len == 0
            && self.frame.is_none()
            && self.message.as_ref().is_none_or(|message| message.whole)
    }

    pub(super) fn held_bytes(&self) -> usize {
        let message = self.message.as_ref().map_or(0, |m| m.bytes.capacity());
        size_of::<Self>() + message + self.control.capacity()
    }
}

impl Message {
    fn new(text: bool, compressed: bool) -> Self {
        Self {
            text,
            compressed,
            bytes: Vec::new(),
            utf8: Utf8Stream::default(),
            whole: false,
        }
    }

    /// Appends a piece of a frame of which `missing` bytes (these included) were outstanding.
    fn append(&mut self, piece: &[u8], missing: u64, check_utf8: bool) -> Result<(), Violation> {
        if self.text && check_utf8 && !self.compressed {
            self.utf8.feed(piece).map_err(|_| NOT_UTF8)?;
        }
        self.reserve(piece.len(), missing);
        self.bytes.extend_from_slice(piece);
        Ok(())
    }

    /// Makes room for `more` bytes. Doubles, as vectors do, but not beyond what the frame will need: so one that arrives whole costs what it is long, and a lie about the length costs nothing.
    fn reserve(&mut self, more: usize, missing: u64) {
        let len = self.bytes.len();
        if self.bytes.capacity() - len < more {
            let doubled = self.bytes.capacity();
            let frame = usize::try_from(missing).map_or(doubled, |missing| missing.min(doubled));
            self.bytes.reserve_exact(frame.max(more));
        }
    }

    /// Makes the message what is handed out: inflated and checked to its end.
    fn finish(
        &mut self,
        max_message: usize,
        check_utf8: bool,
        inflater: &mut Inflater,
    ) -> Result<(), Violation> {
        if self.compressed {
            let compressed = std::mem::take(&mut self.bytes);
            self.bytes = inflate(&compressed, max_message, self.text && check_utf8, inflater)?;
        } else if self.utf8.finish().is_err() {
            return Err(NOT_UTF8);
        }
        self.whole = true;
        Ok(())
    }
}

/// Inflates a whole message, whose UTF-8 can only be looked at now.
fn inflate(
    compressed: &[u8],
    max_message: usize,
    check_utf8: bool,
    inflater: &mut Inflater,
) -> Result<Vec<u8>, Violation> {
    let mut bytes = Vec::new();
    inflater.inflate(compressed, &mut bytes, max_message)?;
    if check_utf8 && simdutf8::basic::from_utf8(&bytes).is_err() {
        return Err(NOT_UTF8);
    }
    Ok(bytes)
}
