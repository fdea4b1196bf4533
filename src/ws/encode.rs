//! Whole messages written as frames.

use super::frame::{Opcode, write_frame};

pub use super::close::write_close;

/// Appends a message as one frame. `mask`: a client must give four bytes that nobody can foresee (RFC 6455 §5.3, §10.3), a server none.
#[inline]
pub fn write_message(out: &mut Vec<u8>, text: bool, payload: &[u8], mask: Option<[u8; 4]>) {
    let opcode = if text { Opcode::Text } else { Opcode::Binary };
    write_frame(out, true, false, opcode, payload, mask);
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
    let payload = &payload[..payload.len().min(super::frame::MAX_CONTROL)];
    write_frame(out, true, false, opcode, payload, mask);
}
