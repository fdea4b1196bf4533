//! WebSocket frames as the load client needs them: whole frames found in a large buffer and skipped, masked frames
//! written. No state, no I/O.
//!
//! It reads only what a *server* sends (RFC 6455 §5.1: never masked) and gives up loudly on anything else: a load
//! tester is also the first to notice that a server talks rubbish.

use anyhow::{Result, bail};

/// What a frame is for (RFC 6455 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Text or binary.
    Data,
    /// The peer closes.
    Close,
    /// To be answered with a pong.
    Ping,
    /// An answer to a ping of ours.
    Pong,
}

/// A whole frame at the beginning of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// What it is for.
    pub(crate) kind: Kind,
    /// Bytes before the payload.
    pub(crate) header: usize,
    /// Bytes of header and payload together.
    pub(crate) len: usize,
}

/// Finds the frame at the beginning of `bytes`; `None` if it is not whole yet.
///
/// # Errors
/// A masked, fragmented, compressed or reserved frame: no server under test has a reason to send one.
#[inline]
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Frame>> {
    let [first, second, rest @ ..] = bytes else {
        return Ok(None);
    };
    let kind = match first {
        0x81 | 0x82 => Kind::Data,
        0x88 => Kind::Close,
        0x89 => Kind::Ping,
        0x8A => Kind::Pong,
        _ => bail!("a frame begins with {first:#04x}: fragmented, compressed or reserved"),
    };
    let (header, payload) = match second {
        0..=125 => (2, u64::from(*second)),
        126 => match rest.first_chunk() {
            Some(len) => (4, u64::from(u16::from_be_bytes(*len))),
            None => return Ok(None),
        },
        127 => match rest.first_chunk() {
            Some(len) => (10, u64::from_be_bytes(*len)),
            None => return Ok(None),
        },
        _ => bail!("the server masks its frames"),
    };
    if payload > MAX_PAYLOAD {
        bail!("a frame of {payload} bytes");
    }
    let len = header + payload as usize;
    Ok((bytes.len() >= len).then_some(Frame { kind, header, len }))
}

/// The largest payload that the load client accepts: 64 MiB.
const MAX_PAYLOAD: u64 = 64 << 20;

/// The mask of every frame. RFC 6455 §5.3 wants it unpredictable to protect intermediaries; there are none on loopback,
/// and a fixed one keeps the client cheap.
const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// Appends a masked text frame.
pub(crate) fn write_text(out: &mut Vec<u8>, payload: &[u8]) {
    write(out, 0x81, payload);
}

/// Appends a masked pong.
pub(crate) fn write_pong(out: &mut Vec<u8>, payload: &[u8]) {
    write(out, 0x8A, payload);
}

/// Appends a masked ping.
pub(crate) fn write_ping(out: &mut Vec<u8>, payload: &[u8]) {
    write(out, 0x89, payload);
}

fn write(out: &mut Vec<u8>, first: u8, payload: &[u8]) {
    write_header(out, first, payload.len(), 0x80);
    out.extend_from_slice(&MASK);
    let start = out.len();
    out.extend_from_slice(payload);
    let (words, rest) = out[start..].as_chunks_mut::<4>();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(MASK)).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(MASK) {
        *byte ^= mask;
    }
}

/// Appends an unmasked text frame, as a server sends it.
pub(crate) fn write_server_text(out: &mut Vec<u8>, payload: &[u8]) {
    write_header(out, 0x81, payload.len(), 0);
    out.extend_from_slice(payload);
}

fn write_header(out: &mut Vec<u8>, first: u8, len: usize, mask_bit: u8) {
    out.push(first);
    if len <= 125 {
        out.push(mask_bit | len as u8);
    } else if let Ok(len) = u16::try_from(len) {
        out.push(mask_bit | 126);
        out.extend_from_slice(&len.to_be_bytes());
    } else {
        out.push(mask_bit | 127);
        out.extend_from_slice(&(len as u64).to_be_bytes());
    }
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
                (whole.kind, whole.len, whole.len - whole.header),
                (Kind::Data, bytes.len(), len)
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
        assert!(parse(&[0xC1, 0x00]).is_err());
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
