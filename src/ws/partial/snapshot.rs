//! What is incomplete as bytes, and back.

use super::{Arriving, MAX_HEADER, Message, Partial};
use crate::snapshot::{Damaged, Reader, put, put_bool, put_bytes};
use crate::ws::frame::{FrameHeader, parse_header, write_header};
use crate::ws::utf8::Utf8Stream;

impl Partial {
    /// Appends all that is here.
    pub(in crate::ws) fn save(&self, out: &mut Vec<u8>) {
        put_bytes(out, &self.header[..usize::from(self.header_len)]);
        put_bool(out, self.frame.is_some());
        if let Some(Arriving { header, received }) = self.frame {
            let FrameHeader {
                fin,
                rsv1,
                opcode,
                mask,
                len,
            } = header;
            let mut bytes = Vec::with_capacity(MAX_HEADER);
            // A length is under 2^63.
            let len = usize::try_from(len).unwrap_or(usize::MAX >> 1);
            write_header(&mut bytes, fin, rsv1, opcode, len, mask);
            put_bytes(out, &bytes);
            put(out, received);
        }
        let message = self.message.as_ref().filter(|message| !message.whole);
        put_bool(out, message.is_some());
        if let Some(message) = message {
            put_bool(out, message.text);
            put_bool(out, message.compressed);
            put_bytes(out, &message.bytes);
            put_bytes(out, message.utf8.carried());
        }
        put_bytes(out, &self.control);
    }

    /// What was saved.
    ///
    /// # Errors
    /// The bytes are nothing that can be incomplete.
    pub(in crate::ws) fn restore(reader: &mut Reader<'_>) -> Result<Self, Damaged> {
        let mut partial = Partial::default();
        let bytes = reader.bytes()?;
        if bytes.len() >= MAX_HEADER || !matches!(parse_header(bytes), Ok(None)) {
            return Err(Damaged("a frame's header is no part of one"));
        }
        partial.begin_header(bytes);
        if reader.bool()? {
            let bytes = reader.bytes()?;
            let header = match parse_header(bytes) {
                Ok(Some((header, len))) if len == bytes.len() => header,
                _ => return Err(Damaged("a frame's header is none")),
            };
            let received = reader.number()?;
            if received > header.len || partial.has_header_bytes() {
                return Err(Damaged("a frame has more bytes than it announced"));
            }
            partial.frame = Some(Arriving { header, received });
        }
        if reader.bool()? {
            partial.message = Some(Message::restore(reader)?);
        }
        partial.control = reader.bytes()?.to_vec();
        let is_data = |frame: &Arriving| !frame.header.opcode.is_control();
        if partial.frame.as_ref().is_some_and(is_data) && partial.message.is_none() {
            return Err(Damaged("a frame belongs to no message"));
        }
        Ok(partial)
    }
}

impl Message {
    fn restore(reader: &mut Reader<'_>) -> Result<Self, Damaged> {
        let (text, compressed) = (reader.bool()?, reader.bool()?);
        let bytes = reader.bytes()?.to_vec();
        let mut utf8 = Utf8Stream::default();
        let carried = reader.bytes()?;
        if carried.len() > 3 || utf8.feed(carried).is_err() || utf8.carried() != carried {
            return Err(Damaged("half of a character is none"));
        }
        Ok(Message {
            bytes,
            utf8,
            ..Message::new(text, compressed)
        })
    }
}
