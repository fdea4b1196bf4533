//! WebSocket frames as the load client needs them: whole frames found in a large buffer and skipped, masked frames
//! written, on the library's own framing. No I/O.
//!
//! It takes only what the servers under test have a reason to send and gives up loudly on anything else: a load tester
//! is also the first to notice that a server talks rubbish.

use anyhow::{Result, bail};
use fanfare::ws::encode;
use fanfare::ws::frame::{FrameHeader, Opcode, parse_header};

/// A whole frame at the beginning of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// What it is for.
    pub(crate) opcode: Opcode,
    /// Whether its payload is compressed (RFC 7692 §6).
    pub(crate) compressed: bool,
    /// Bytes before the payload.
    pub(crate) header: usize,
    /// Bytes of header and payload together.
    pub(crate) len: usize,
}

/// Finds the frame at the beginning of `bytes`; `None` if it is not whole yet.
///
/// # Errors
/// What RFC 6455 forbids, and a masked or fragmented frame.
#[inline]
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Frame>> {
    let Some((header, header_len)) = parse_header(bytes)? else {
        return Ok(None);
    };
    let FrameHeader {
        fin: true,
        rsv1: compressed,
        mask: None,
        opcode,
        len,
    } = header
    else {
        bail!("a masked or fragmented frame: {header:?}");
    };
    if len > MAX_PAYLOAD {
        bail!("a frame of {len} bytes");
    }
    let len = header_len + len as usize;
    Ok((bytes.len() >= len).then_some(Frame {
        opcode,
        compressed,
        header: header_len,
        len,
    }))
}

/// What was received and is not a whole frame yet.
#[derive(Debug, Default)]
pub(crate) struct Carry(Vec<u8>);

impl Carry {
    /// Hands what was left with what was `received` behind it to `take_frames`, which says how much of it it has used.
    ///
    /// # Errors
    /// Those of `take_frames`.
    #[inline]
    pub(crate) fn feed(
        &mut self,
        received: &[u8],
        take_frames: impl FnOnce(&[u8]) -> Result<usize>,
    ) -> Result<()> {
        if self.0.is_empty() {
            let used = take_frames(received)?;
            self.0.extend_from_slice(&received[used..]);
        } else {
            self.0.extend_from_slice(received);
            let used = take_frames(&self.0)?;
            self.0.drain(..used);
        }
        Ok(())
    }
}

/// The largest payload that the load client accepts: 64 MiB.
const MAX_PAYLOAD: u64 = 64 << 20;

/// The mask of every frame. RFC 6455 §5.3 wants it unpredictable to protect intermediaries; there are none on loopback,
/// and a fixed one keeps the client cheap.
const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// Appends a masked text frame.
pub(crate) fn write_text(out: &mut Vec<u8>, payload: &[u8]) {
    encode::write_message(out, true, payload, Some(MASK));
}

/// Appends a masked pong.
pub(crate) fn write_pong(out: &mut Vec<u8>, payload: &[u8]) {
    encode::write_pong(out, payload, Some(MASK));
}

/// Appends a masked ping.
pub(crate) fn write_ping(out: &mut Vec<u8>, payload: &[u8]) {
    encode::write_ping(out, payload, Some(MASK));
}

/// Appends an unmasked text frame, as a server sends it.
pub(crate) fn write_server_text(out: &mut Vec<u8>, payload: &[u8]) {
    encode::write_message(out, true, payload, None);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_found_once_its_last_byte_is_there() {
        for len in [0, 1, 125, 126, 65_535, 65_536] {
            let mut bytes = Vec::new();
            write_server_text(&mut bytes, &vec![b'x'; len]);
            let whole = parse(&bytes).unwrap().unwrap();
            assert_eq!(
                (whole.opcode, whole.len, whole.len - whole.header),
                (Opcode::Text, bytes.len(), len)
            );
            for cut in [0, 1, 2, bytes.len() - 1] {
                if cut < bytes.len() {
                    assert_eq!(parse(&bytes[..cut]).unwrap(), None);
                }
            }
        }
    }

    #[test]
    fn a_fragmented_or_masked_frame_of_a_server_is_refused() {
        assert!(parse(&[0x01, 0x00]).is_err());
        assert!(parse(&[0xA1, 0x00]).is_err());
        assert!(parse(&[0x81, 0x80, 0, 0, 0, 0]).is_err());
    }

    #[test]
    fn a_written_payload_comes_back_when_unmasked() {
        let mut bytes = Vec::new();
        write_text(&mut bytes, b"seven b");
        assert_eq!(&bytes[..2], &[0x81, 0x87]);
        let plain: Vec<u8> = bytes[6..]
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(b, m)| b ^ m)
            .collect();
        assert_eq!(plain, b"seven b");
    }
}
