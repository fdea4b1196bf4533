//! One side of an open connection: bytes in, messages and control frames out (RFC 6455 §5 to §8, RFC 7692 §6).

#[cfg(feature = "server")]
mod snapshot;

use std::ops::Range;

use super::close::{CloseCode, CloseFrame};
use super::deflate::Inflater;
use super::frame::{FrameHeader, Opcode, parse_header};
use super::mask::unmask;
use super::partial::{NOT_UTF8, Partial};
use super::violation::Violation;

/// Which side of the connection this one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Sends masked frames and takes unmasked ones only.
    Client,
    /// Sends unmasked frames and takes masked ones only.
    Server,
}

/// How far the closing handshake (RFC 6455 §7.1) has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Both sides may send.
    Open,
    /// This side has sent its close frame and waits for the peer's; messages that were under way still arrive.
    CloseSent,
    /// The peer's close frame has arrived and this side owes one.
    CloseReceived,
    /// Both close frames are through: the server closes the TCP connection now, the client waits for that.
    Closed,
    /// The peer broke the protocol: say so with a close frame, if none was sent, and close.
    Failed,
}

/// What arrived.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'e> {
    /// A whole message.
    Message {
        /// Text, which is UTF-8 where the endpoint checks that; else binary.
        text: bool,
        /// The message itself, free to be changed in place.
        data: &'e mut [u8],
    },
    /// To be answered with a pong that repeats the bytes (RFC 6455 §5.5.3: the newest only, if several wait).
    Ping(&'e [u8]),
    /// The answer to a ping, or an unasked sign of life.
    Pong(&'e [u8]),
    /// The peer closes; `None` where it gave no code. It is the last event.
    Close(Option<CloseFrame<'e>>),
}

/// To keep one fragment costs as much as to inflate so many bytes, however short it is.
const FRAGMENT_BYTES: usize = 32;

/// One side of an open connection.
///
/// It owns heap memory only while a frame or a message is incomplete, so an idle connection costs its own 16 bytes.
#[derive(Debug)]
pub struct Endpoint {
    /// What is incomplete, and after an event that was assembled in it, that event until the next call.
    partial: Option<Box<Partial>>,
    role: Role,
    /// permessage-deflate was negotiated: RSV1 has a meaning.
    deflate: bool,
    check_utf8: bool,
    inbound: Inbound,
    close_sent: bool,
}

/// What may still arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inbound {
    Open,
    Closed,
    Failed,
}

/// What one step through the input found. Ranges rather than slices, so that the loop over the steps borrows nothing.
enum Step {
    /// The input is used up.
    Starved,
    /// A fragment or a frame is kept; there may be more to read.
    Kept,
    /// A whole frame, unmasked and checked, at this place of the input.
    InInput(Opcode, Range<usize>),
    /// A whole control frame in the partial.
    HeldControl(Opcode),
    /// A whole message in the partial.
    HeldMessage,
    /// A whole message in the input that is too long to be inflated now.
    TooLongNow,
}

impl Endpoint {
    /// An endpoint just after the handshake. `deflate`: permessage-deflate was negotiated. `check_utf8`: text messages are
    /// checked here, as they come; without it they are handed out as they are, for a caller that checks them anyway.
    pub const fn new(role: Role, deflate: bool, check_utf8: bool) -> Self {
        Self {
            partial: None,
            role,
            deflate,
            check_utf8,
            inbound: Inbound::Open,
            close_sent: false,
        }
    }

    /// Reads `input[*pos..end]` up to the next event, and moves `pos` past what it used. `None`: all is used up, come
    /// back with more; what was incomplete, even half a header, is kept inside. So the caller reads in a loop until `None`,
    /// and gives each byte once.
    ///
    /// A whole message in one frame is unmasked and handed out in place, without a copy. `max_message` bounds a message
    /// in bytes, as sent and as inflated. `inflater` is touched only by a compressed message.
    ///
    /// `None` with `pos < end`: what comes next costs more than [`Inflater::set_at_once`] lets it cost now. Either a message
    /// in one frame would become longer, and nothing of it was used; or a compressed message comes in fragments; or there
    /// are many fragments, each of which costs as much as `FRAGMENT_BYTES` do. Give the rest once more, with more time to spend.
    ///
    /// # Errors
    /// The peer's [`Violation`], at the first byte that shows it; a message too big at the header that would make it so. After
    /// it, and after [`Event::Close`], the rest of the input is skipped and the answer is always `None` (RFC 6455 §7.1.7).
    ///
    /// # Panics
    /// Where `*pos <= end <= input.len()` does not hold: the caller's mistake, whatever the peer sends.
    #[inline]
    pub fn receive<'e>(
        &'e mut self,
        input: &'e mut [u8],
        pos: &mut usize,
        end: usize,
        max_message: usize,
        inflater: &mut Inflater,
    ) -> Result<Option<Event<'e>>, Violation> {
        assert!(
            *pos <= end && end <= input.len(),
            "the range lies outside the input"
        );
        if self.partial.is_some() {
            self.give_back();
        }
        if self.inbound != Inbound::Open {
            *pos = end;
            return Ok(None);
        }
        let mut kept = 0;
        let found = loop {
            match self.step(input, pos, end, max_message, inflater) {
                Ok(Step::Kept) => {
                    kept += 1;
                    if inflater
                        .at_once()
                        .is_some_and(|most| self.is_enough(kept, most))
                    {
                        return Ok(None);
                    }
                }
                Ok(Step::Starved | Step::TooLongNow) => return Ok(None),
                Ok(step) => break step,
                Err(violation) => return Err(self.fail(violation, pos, end)),
            }
        };
        match found {
            Step::InInput(Opcode::Text, at) => Ok(Some(Event::Message {
                text: true,
                data: &mut input[at],
            })),
            Step::InInput(Opcode::Binary, at) => Ok(Some(Event::Message {
                text: false,
                data: &mut input[at],
            })),
            Step::InInput(Opcode::Ping, at) => Ok(Some(Event::Ping(&input[at]))),
            Step::InInput(Opcode::Pong, at) => Ok(Some(Event::Pong(&input[at]))),
            found => self.rare_event(found, input, pos, end),
        }
    }

    /// The caller has sent a close frame. Events go on until the peer's arrives; see [`State::CloseSent`].
    pub const fn note_close_sent(&mut self) {
        self.close_sent = true;
    }

    /// How far the closing handshake has come.
    pub const fn state(&self) -> State {
        match (self.inbound, self.close_sent) {
            (Inbound::Open, false) => State::Open,
            (Inbound::Open, true) => State::CloseSent,
            (Inbound::Closed, false) => State::CloseReceived,
            (Inbound::Closed, true) => State::Closed,
            (Inbound::Failed, _) => State::Failed,
        }
    }

    /// Which side this is.
    pub const fn role(&self) -> Role {
        self.role
    }

    /// Whether permessage-deflate was negotiated.
    pub const fn deflates(&self) -> bool {
        self.deflate
    }

    /// How many bytes of heap memory the endpoint holds: 0 unless something is incomplete.
    pub fn held_bytes(&self) -> usize {
        self.partial
            .as_ref()
            .map_or(0, |partial| partial.held_bytes())
    }

    /// Whether the peer has begun a frame or a message and not finished it: what a message timeout watches.
    pub fn mid_message(&self) -> bool {
        self.partial
            .as_ref()
            .is_some_and(|partial| !partial.is_spent())
    }

    /// Frees what the last event was assembled in, unless a message is still incomplete. The next
    /// [`receive`](Self::receive) does so too; this is for a caller that will not call it for a while.
    #[cold]
    pub fn give_back(&mut self) {
        let over = self.inbound != Inbound::Open;
        self.partial.take_if(|partial| over || partial.is_spent());
    }

    /// Whether to stop after `kept` steps without an event, where no more may cost than to inflate `most` bytes.
    #[cold]
    fn is_enough(&self, kept: usize, most: usize) -> bool {
        let inflates = self
            .partial
            .as_ref()
            .is_some_and(|p| p.is_between_compressed_fragments());
        // A fragment makes two steps: its header, and its end.
        inflates || kept / 2 * FRAGMENT_BYTES >= most
    }

    #[cold]
    fn fail(&mut self, violation: Violation, pos: &mut usize, end: usize) -> Violation {
        self.inbound = Inbound::Failed;
        self.partial = None;
        *pos = end;
        violation
    }

    #[inline]
    fn step(
        &mut self,
        input: &mut [u8],
        pos: &mut usize,
        end: usize,
        max_message: usize,
        inflater: &mut Inflater,
    ) -> Result<Step, Violation> {
        if let Some(partial) = &mut self.partial {
            if let Some(frame) = partial.take_payload(&mut input[..end], pos, self.check_utf8)? {
                return self.end_of_frame(frame, max_message, inflater);
            }
            if *pos == end {
                return Ok(Step::Starved);
            }
        }
        let frame_start = *pos;
        let header_is_here = !self.partial.as_ref().is_some_and(|p| p.has_header_bytes());
        let Some(header) = self.read_header(&input[..end], pos)? else {
            return Ok(Step::Starved);
        };
        self.check_header(&header, max_message)?;
        let whole =
            header.opcode.is_control() || header.fin && header.opcode != Opcode::Continuation;
        if !whole || header.len > (end - *pos) as u64 {
            self.partial_mut().begin_frame(header);
            return Ok(Step::Kept);
        }
        // It fits: `len` is at most `end - pos`.
        let at = *pos..*pos + header.len as usize;
        *pos = at.end;
        let payload = &mut input[at.clone()];
        if let Some(key) = header.mask {
            unmask(payload, key, 0);
        }
        let text = header.opcode == Opcode::Text;
        if header.rsv1 {
            let at_once = inflater.at_once().filter(|_| header_is_here);
            let step = self.inflate_frame(payload, &header, max_message, at_once, inflater)?;
            if matches!(step, Step::TooLongNow) {
                *pos = frame_start;
            }
            return Ok(step);
        }
        if text && self.check_utf8 && simdutf8::basic::from_utf8(payload).is_err() {
            return Err(NOT_UTF8);
        }
        Ok(Step::InInput(header.opcode, at))
    }

    /// Inflates a message that came whole in one frame. One that is longer than `at_once` is left as it came.
    fn inflate_frame(
        &mut self,
        payload: &mut [u8],
        header: &FrameHeader,
        max_message: usize,
        at_once: Option<usize>,
        inflater: &mut Inflater,
    ) -> Result<Step, Violation> {
        let most = at_once.map_or(max_message, |bytes| bytes.min(max_message));
        let text = header.opcode == Opcode::Text;
        let check_utf8 = self.check_utf8;
        let inflated = self
            .partial_mut()
            .inflate_message(text, payload, most, check_utf8, inflater);
        match inflated {
            Ok(()) => Ok(Step::HeldMessage),
            Err(violation) if violation.code == CloseCode::TOO_BIG && most < max_message => {
                if let Some(key) = header.mask {
                    // What is unmasked twice is as it was.
                    unmask(payload, key, 0);
                }
                self.give_back();
                Ok(Step::TooLongNow)
            }
            Err(violation) => Err(violation),
        }
    }

    /// The next frame's header; begun in an earlier input, perhaps. `None`: what there is of it is kept.
    #[inline]
    fn read_header(
        &mut self,
        input: &[u8],
        pos: &mut usize,
    ) -> Result<Option<FrameHeader>, Violation> {
        if let Some(partial) = &mut self.partial
            && partial.has_header_bytes()
        {
            return partial.complete_header(input, pos);
        }
        let unread = &input[*pos..];
        if let Some((header, header_bytes)) = parse_header(unread)? {
            *pos += header_bytes;
            return Ok(Some(header));
        }
        if !unread.is_empty() {
            self.partial_mut().begin_header(unread);
            *pos = input.len();
        }
        Ok(None)
    }

    /// What a header that is legal by itself may not say here and now.
    #[inline]
    fn check_header(&self, header: &FrameHeader, max_message: usize) -> Result<(), Violation> {
        match (self.role, header.mask) {
            (Role::Server, None) => return Err(UNMASKED),
            (Role::Client, Some(_)) => return Err(MASKED),
            _ => {}
        }
        if header.rsv1 && !self.deflate {
            return Err(RSV1_WITHOUT_DEFLATE);
        }
        if header.opcode.is_control() {
            return Ok(());
        }
        let begun = match &self.partial {
            Some(partial) => partial.message_len(),
            None => None,
        };
        let before = match (begun, header.opcode) {
            (None, Opcode::Continuation) => return Err(NOTHING_TO_CONTINUE),
            (None, _) => 0,
            (Some(len), Opcode::Continuation) => len,
            (Some(_), _) => return Err(INTERLEAVED),
        };
        // `before` is within the limit already, as each fragment was held against it.
        if header.len > max_message.saturating_sub(before) as u64 {
            return Err(TOO_BIG);
        }
        Ok(())
    }

    /// What a frame makes whose last payload byte has just been kept.
    #[cold]
    fn end_of_frame(
        &mut self,
        frame: FrameHeader,
        max_message: usize,
        inflater: &mut Inflater,
    ) -> Result<Step, Violation> {
        if frame.opcode.is_control() {
            return Ok(Step::HeldControl(frame.opcode));
        }
        if !frame.fin {
            return Ok(Step::Kept);
        }
        let check_utf8 = self.check_utf8;
        self.partial_mut()
            .finish_message(max_message, check_utf8, inflater)?;
        Ok(Step::HeldMessage)
    }

    /// The events that are off the fast path: what was assembled, and the close.
    #[cold]
    fn rare_event<'e>(
        &'e mut self,
        found: Step,
        input: &'e [u8],
        pos: &mut usize,
        end: usize,
    ) -> Result<Option<Event<'e>>, Violation> {
        let (opcode, payload) = match found {
            Step::HeldMessage => {
                let whole = self.partial_mut().whole_message();
                return Ok(whole.map(|(text, data)| Event::Message { text, data }));
            }
            Step::HeldControl(opcode) => (opcode, None),
            Step::InInput(opcode, at) => (opcode, Some(&input[at])),
            Step::Starved | Step::Kept | Step::TooLongNow => return Ok(None),
        };
        if opcode == Opcode::Close {
            // Decided before anything is borrowed for the event: a bad close frame fails the connection.
            let bad = CloseFrame::parse(payload.unwrap_or(self.partial_mut().control())).err();
            if let Some(violation) = bad {
                return Err(self.fail(violation, pos, end));
            }
            self.inbound = Inbound::Closed;
            *pos = end;
        }
        let payload = match payload {
            Some(payload) => payload,
            None => self.partial_mut().control(),
        };
        Ok(Some(match opcode {
            Opcode::Ping => Event::Ping(payload),
            Opcode::Close => Event::Close(CloseFrame::parse(payload)?),
            _ => Event::Pong(payload),
        }))
    }

    fn partial_mut(&mut self) -> &mut Partial {
        self.partial.get_or_insert_default()
    }
}
/// RFC 6455 §5.1: "a server MUST close the connection upon receiving a frame that is not masked".
const UNMASKED: Violation = Violation::protocol("a frame from a client that is not masked");
/// RFC 6455 §5.1: "a client MUST close a connection if it detects a masked frame".
const MASKED: Violation = Violation::protocol("a frame from a server that is masked");
/// RFC 6455 §5.2.
const RSV1_WITHOUT_DEFLATE: Violation =
    Violation::protocol("RSV1 is set, but permessage-deflate was not negotiated");
/// RFC 6455 §5.4.
const NOTHING_TO_CONTINUE: Violation =
    Violation::protocol("a continuation frame where no message is incomplete");
/// RFC 6455 §5.4: "fragments of one message MUST NOT be interleaved between the fragments of another".
const INTERLEAVED: Violation =
    Violation::protocol("a new message before the last fragment of the one before");
const TOO_BIG: Violation = Violation::too_big("a message over the size limit");

#[cfg(test)]
mod tests;
