//! Frames (RFC 6455 §5.2): the header parsed and written; one function each way.

use super::mask::unmask;
use super::violation::Violation;

/// The longest frame header in bytes: two, eight of extended length, four of masking key.
pub const MAX_HEADER: usize = 14;

/// The longest payload of a control frame in bytes (RFC 6455 §5.5).
pub const MAX_CONTROL: usize = 125;

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const RSV2_AND_RSV3: u8 = 0x30;
const MASKED: u8 = 0x80;
const LEN_IN_TWO_BYTES: u8 = 126;
const LEN_IN_EIGHT_BYTES: u8 = 127;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// A further fragment of the message begun before.
    Continuation = 0x0,
    /// A text message, or its first fragment.
    Text = 0x1,
    /// A binary message, or its first fragment.
    Binary = 0x2,
    /// The end of the connection, with or without a code and a reason.
    Close = 0x8,
    /// "Are you there?", with up to 125 bytes to repeat.
    Ping = 0x9,
    /// The answer to a ping, or an unasked sign of life.
    Pong = 0xA,
}

impl Opcode {
    /// Whether this is a control frame: never fragmented, at most [`MAX_CONTROL`] bytes, allowed between fragments.
    pub const fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }

    const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            _ => return None,
        })
    }
}

/// A frame's header. What is in it is legal by itself; whether it is legal here is for [`Endpoint`] to say.
///
/// [`Endpoint`]: super::endpoint::Endpoint
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// The message (or control frame) ends with this frame.
    pub fin: bool,
    /// The message is compressed (RFC 7692 §6); only ever set on its first frame.
    pub rsv1: bool,
    /// What the frame is.
    pub opcode: Opcode,
    /// The key that the payload is masked with. Clients mask, servers do not.
    pub mask: Option<[u8; 4]>,
    /// The payload's length in bytes as announced, under 2^63.
    pub len: u64,
}

/// Reads the frame header at the beginning of `input`, and how many bytes it took. `None`: more is needed.
///
/// # Errors
/// A [`Violation`] (1002) as soon as the bytes show it: RSV2 or RSV3 set, RSV1 where RFC 7692 §6.1 has none (control
/// frames and continuations), an unknown opcode, a control frame that is fragmented or over 125 bytes, a length
/// that is not in its shortest form or not under 2^63.
#[inline]
pub fn parse_header(input: &[u8]) -> Result<Option<(FrameHeader, usize)>, Violation> {
    let &[first, second, ref rest @ ..] = input else {
        return match input {
            [first] => parse_first(*first).map(|_| None),
            _ => Ok(None),
        };
    };
    let (fin, rsv1, opcode) = parse_first(first)?;
    let short_len = second & !MASKED;
    if opcode.is_control() && usize::from(short_len) > MAX_CONTROL {
        return Err(Violation::protocol("a control frame over 125 bytes"));
    }
    let (len, rest, len_bytes) = match short_len {
        LEN_IN_TWO_BYTES => match rest.split_first_chunk() {
            Some((bytes, rest)) => (extended_len_16(*bytes)?, rest, 2),
            None => return Ok(None),
        },
        LEN_IN_EIGHT_BYTES => match rest.split_first_chunk() {
            Some((bytes, rest)) => (extended_len_64(*bytes)?, rest, 8),
            None => return Ok(None),
        },
        _ => (u64::from(short_len), rest, 0),
    };
    let (mask, mask_bytes) = match (second & MASKED != 0, rest.first_chunk()) {
        (false, _) => (None, 0),
        (true, Some(key)) => (Some(*key), 4),
        (true, None) => return Ok(None),
    };
    let header = FrameHeader {
        fin,
        rsv1,
        opcode,
        mask,
        len,
    };
    Ok(Some((header, 2 + len_bytes + mask_bytes)))
}

/// FIN, RSV1 and the opcode, from a header's first byte.
#[inline]
fn parse_first(byte: u8) -> Result<(bool, bool, Opcode), Violation> {
    let fin = byte & FIN != 0;
    let rsv1 = byte & RSV1 != 0;
    if byte & RSV2_AND_RSV3 != 0 {
        return Err(Violation::protocol("reserved bit RSV2 or RSV3 is set"));
    }
    let Some(opcode) = Opcode::from_bits(byte & 0x0F) else {
        return Err(Violation::protocol("unknown opcode"));
    };
    if opcode.is_control() && !fin {
        return Err(Violation::protocol("a fragmented control frame"));
    }
    if rsv1 && !matches!(opcode, Opcode::Text | Opcode::Binary) {
        return Err(Violation::protocol(
            "RSV1 on a frame that does not begin a message",
        ));
    }
    Ok((fin, rsv1, opcode))
}

/// A length of 126 to 65535: anything shorter fits the second byte (RFC 6455 §5.2: "the minimal number of bytes MUST be used").
fn extended_len_16(bytes: [u8; 2]) -> Result<u64, Violation> {
    match u64::from(u16::from_be_bytes(bytes)) {
        len @ 126.. => Ok(len),
        _ => Err(NOT_MINIMAL),
    }
}

/// A length of 65536 to 2^63 - 1 (RFC 6455 §5.2: "the most significant bit MUST be 0").
fn extended_len_64(bytes: [u8; 8]) -> Result<u64, Violation> {
    match u64::from_be_bytes(bytes) {
        len @ 0x1_0000..0x8000_0000_0000_0000 => Ok(len),
        0..0x1_0000 => Err(NOT_MINIMAL),
        _ => Err(Violation::protocol("a length of 2^63 or more")),
    }
}

const NOT_MINIMAL: Violation = Violation::protocol("a length not in its shortest form");

/// How many bytes the header of a frame takes whose payload has `len` bytes.
pub const fn header_len(len: usize, masked: bool) -> usize {
    let plain = match len {
        0..126 => 2,
        126..0x1_0000 => 4,
        _ => 10,
    };
    if masked { plain + 4 } else { plain }
}

/// Appends a frame header for a payload of `len` bytes, which the caller appends after it, masked with `mask` if given.
#[inline]
pub fn write_header(
    out: &mut Vec<u8>,
    fin: bool,
    rsv1: bool,
    opcode: Opcode,
    len: usize,
    mask: Option<[u8; 4]>,
) {
    let first = if fin { FIN } else { 0 } | if rsv1 { RSV1 } else { 0 } | opcode as u8;
    let masked = if mask.is_some() { MASKED } else { 0 };
    // The three forms are written as whole arrays, so that each is one append of a known size.
    match len {
        0..126 => out.extend_from_slice(&[first, masked | len as u8]),
        126..0x1_0000 => {
            let [a, b] = (len as u16).to_be_bytes();
            out.extend_from_slice(&[first, masked | LEN_IN_TWO_BYTES, a, b]);
        }
        _ => {
            let mut header = [first, masked | LEN_IN_EIGHT_BYTES, 0, 0, 0, 0, 0, 0, 0, 0];
            header[2..].copy_from_slice(&(len as u64).to_be_bytes());
            out.extend_from_slice(&header);
        }
    }
    if let Some(key) = mask {
        out.extend_from_slice(&key);
    }
}

/// Appends a whole frame. With `mask`, the copy in `out` is masked; `payload` stays as it is.
#[inline]
pub fn write_frame(
    out: &mut Vec<u8>,
    fin: bool,
    rsv1: bool,
    opcode: Opcode,
    payload: &[u8],
    mask: Option<[u8; 4]>,
) {
    out.reserve(header_len(payload.len(), mask.is_some()) + payload.len());
    write_header(out, fin, rsv1, opcode, payload.len(), mask);
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(key) = mask {
        unmask(&mut out[start..], key, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::close::CloseCode;
    use super::*;

    const OPCODES: [Opcode; 6] = [
        Opcode::Continuation,
        Opcode::Text,
        Opcode::Binary,
        Opcode::Close,
        Opcode::Ping,
        Opcode::Pong,
    ];

    fn refused(input: &[u8]) -> &'static str {
        let violation = parse_header(input).expect_err("a violation");
        assert_eq!(violation.code, CloseCode::PROTOCOL);
        violation.reason
    }

    #[test]
    fn every_header_that_is_written_is_read_back_and_every_beginning_of_it_asks_for_more() {
        for opcode in OPCODES {
            for fin in [true, false] {
                for rsv1 in [true, false] {
                    for mask in [None, Some([1, 2, 3, 4])] {
                        for len in [0, 1, 125, 126, 127, 65535, 65536, 1 << 40] {
                            if opcode.is_control() && (!fin || len > 125)
                                || rsv1 && !matches!(opcode, Opcode::Text | Opcode::Binary)
                            {
                                continue;
                            }
                            let mut out = Vec::new();
                            write_header(&mut out, fin, rsv1, opcode, len, mask);
                            let header = FrameHeader {
                                fin,
                                rsv1,
                                opcode,
                                mask,
                                len: len as u64,
                            };
                            assert_eq!(out.len(), header_len(len, mask.is_some()));
                            assert_eq!(parse_header(&out), Ok(Some((header, out.len()))));
                            for cut in 0..out.len() {
                                assert_eq!(parse_header(&out[..cut]), Ok(None));
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn rsv2_and_rsv3_are_refused_at_the_first_byte() {
        for bits in [0x20, 0x10, 0x30] {
            assert_eq!(refused(&[0x81 | bits]), "reserved bit RSV2 or RSV3 is set");
        }
    }

    #[test]
    fn unknown_opcodes_are_refused_at_the_first_byte() {
        for opcode in (0x3..=0x7).chain(0xB..=0xF) {
            assert_eq!(refused(&[0x80 | opcode]), "unknown opcode");
        }
    }

    #[test]
    fn rsv1_is_refused_on_continuations_and_control_frames() {
        for opcode in [0x0, 0x8, 0x9, 0xA] {
            assert_eq!(
                refused(&[0xC0 | opcode]),
                "RSV1 on a frame that does not begin a message"
            );
        }
    }

    #[test]
    fn control_frames_are_refused_when_fragmented_or_over_125_bytes() {
        for opcode in [0x8, 0x9, 0xA] {
            assert_eq!(refused(&[opcode]), "a fragmented control frame");
            for len in [126, 127, 254, 255] {
                assert_eq!(
                    refused(&[0x80 | opcode, len]),
                    "a control frame over 125 bytes"
                );
            }
        }
    }

    #[test]
    fn lengths_that_are_not_in_their_shortest_form_are_refused() {
        assert_eq!(
            refused(&[0x82, 126, 0, 125]),
            "a length not in its shortest form"
        );
        assert_eq!(
            refused(&[0x82, 127, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]),
            "a length not in its shortest form"
        );
    }

    #[test]
    fn a_length_of_2_to_the_63_is_refused() {
        assert_eq!(
            refused(&[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0]),
            "a length of 2^63 or more"
        );
    }

    #[test]
    fn a_masked_frame_masks_its_copy_of_the_payload() {
        let mut out = Vec::new();
        let key = [0x37, 0xfa, 0x21, 0x3d];
        write_frame(&mut out, true, false, Opcode::Text, b"Hello", Some(key));
        // The example of RFC 6455 §5.7.
        assert_eq!(
            out,
            [
                0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58
            ]
        );
    }
}
