//! Whole messages written as frames.

use super::deflate::{Deflater, WORTH_DEFLATING};
use super::frame::{MAX_CONTROL, Opcode, header_len, write_frame, write_header};
use super::mask::unmask;

pub use super::close::write_close;

/// Appends a message as one frame. `mask`: a client must give four bytes that nobody can foresee (RFC 6455 §5.3, §10.3), a server none.
#[inline]
pub fn write_message(out: &mut Vec<u8>, text: bool, payload: &[u8], mask: Option<[u8; 4]>) {
    write_frame(out, true, false, opcode_of(text), payload, mask);
}

/// Appends a message as one frame, to a peer that negotiated permessage-deflate: compressed where that makes it smaller,
/// else as [`write_message`] does (RFC 7692 §6 leaves it to the sender, message by message).
pub fn write_message_deflated(
    out: &mut Vec<u8>,
    text: bool,
    payload: &[u8],
    mask: Option<[u8; 4]>,
    deflater: &mut Deflater,
) {
    let start = out.len();
    if payload.len() < WORTH_DEFLATING || !deflater.deflate_if_smaller(payload, out) {
        return write_message(out, text, payload, mask);
    }
    let compressed = &mut out[start..];
    let len = compressed.len();
    if let Some(key) = mask {
        unmask(compressed, key, 0);
    }
    // How long the header is, the compressed length decides; so it is written last and turned to the front.
    write_header(out, true, true, opcode_of(text), len, mask);
    out[start..].rotate_right(header_len(len, mask.is_some()));
}

/// Appends a ping. What is over 125 bytes of `payload` is left out (RFC 6455 §5.5).
pub fn write_ping(out: &mut Vec<u8>, payload: &[u8], mask: Option<[u8; 4]>) {
    write_control(out, Opcode::Ping, payload, mask);
}

/// Appends the pong that answers a ping with that payload.
pub fn write_pong(out: &mut Vec<u8>, payload: &[u8], mask: Option<[u8; 4]>) {
    write_control(out, Opcode::Pong, payload, mask);
}

fn write_control(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], mask: Option<[u8; 4]>) {
    let payload = &payload[..payload.len().min(MAX_CONTROL)];
    write_frame(out, true, false, opcode, payload, mask);
}

const fn opcode_of(text: bool) -> Opcode {
    if text { Opcode::Text } else { Opcode::Binary }
}

#[cfg(test)]
mod tests {
    use super::super::deflate::{Inflater, WindowBits};
    use super::super::frame::parse_header;
    use super::*;

    const KEY: [u8; 4] = [9, 8, 7, 6];

    /// The one frame in `wire`: whether it says that it is compressed, and its payload, unmasked.
    fn only_frame(mut wire: Vec<u8>) -> (bool, Vec<u8>) {
        let (header, header_bytes) = parse_header(&wire).unwrap().unwrap();
        let mut payload = wire.split_off(header_bytes);
        assert_eq!(payload.len() as u64, header.len);
        if let Some(key) = header.mask {
            unmask(&mut payload, key, 0);
        }
        (header.rsv1, payload)
    }

    #[test]
    fn a_message_that_shrinks_is_sent_compressed_and_inflates_to_what_it_was() {
        let mut deflater = Deflater::new(2, WindowBits::MAX);
        for len in [WORTH_DEFLATING, 5_000, 300_000] {
            for mask in [None, Some(KEY)] {
                let message = "all work and no play ".repeat(len / 21 + 1).into_bytes();
                let mut out = Vec::new();
                write_message_deflated(&mut out, true, &message, mask, &mut deflater);
                let (rsv1, payload) = only_frame(out);
                assert!(rsv1 && payload.len() < message.len());
                let mut inflated = Vec::new();
                let verdict = Inflater::new().inflate(&payload, &mut inflated, message.len());
                assert_eq!(verdict, Ok(()));
                assert_eq!(inflated, message);
            }
        }
    }

    #[test]
    fn a_message_that_is_small_or_does_not_shrink_is_sent_as_it_is() {
        let mut deflater = Deflater::new(2, WindowBits::MAX);
        let mut state = 0x2545_F491_u32;
        let noise = std::iter::repeat_with(|| {
            // Xorshift: nothing in it repeats, so nothing of it shrinks.
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as u8
        });
        for message in [vec![b'x'; WORTH_DEFLATING - 1], noise.take(2000).collect()] {
            let mut out = b"before".to_vec();
            write_message_deflated(&mut out, false, &message, Some(KEY), &mut deflater);
            assert!(only_frame(out.split_off(6)) == (false, message));
            assert_eq!(out, b"before");
        }
    }

    #[test]
    fn a_control_frame_takes_no_more_than_125_bytes() {
        let mut out = Vec::new();
        write_ping(&mut out, &[1; 200], None);
        assert_eq!(out[..2], [0x89, 125]);
        assert_eq!(out.len(), 127);
    }
}
