//! The body of a close frame (RFC 6455 §5.5.1).

pub use super::close_code::CloseCode;
use super::frame::{MAX_CONTROL, Opcode, write_frame};
use super::violation::Violation;
use crate::words::beginning;

/// The longest reason that fits a close frame beside its code, in bytes (RFC 6455 §5.5).
pub const MAX_REASON: usize = MAX_CONTROL - 2;

/// The body of a close frame that has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseFrame<'a> {
    /// Why the connection ends.
    pub code: CloseCode,
    /// The same for people; often empty. At most [`MAX_REASON`] bytes when received, cut to it when written.
    pub reason: &'a str,
}

impl<'a> CloseFrame<'a> {
    /// Reads a close frame's unmasked payload. An empty one is legal and says nothing: `None`.
    ///
    /// # Errors
    /// A payload of one byte or a code that must not be sent is 1002; a reason that is not UTF-8 is 1007.
    pub fn parse(payload: &'a [u8]) -> Result<Option<Self>, Violation> {
        let (code, reason) = match payload {
            [] => return Ok(None),
            [_] => return Err(Violation::protocol("a close frame of one byte")),
            [high, low, reason @ ..] => (CloseCode(u16::from_be_bytes([*high, *low])), reason),
        };
        if !code.may_be_sent() {
            return Err(Violation::protocol(
                "a close frame with a code that must not be sent",
            ));
        }
        match simdutf8::basic::from_utf8(reason) {
            Ok(reason) => Ok(Some(Self { code, reason })),
            Err(_) => Err(Violation::invalid_data("a close reason that is not UTF-8")),
        }
    }
}

impl From<Violation> for CloseFrame<'static> {
    fn from(violation: Violation) -> Self {
        Self {
            code: violation.code,
            reason: violation.reason,
        }
    }
}

/// Appends a close frame, masked with `mask` if there is one (a client must give one, RFC 6455 §5.3).
///
/// A code that must not be sent (1005, which stands for an absent code, 1006, …) yields a frame without a body, so that echoing
/// what was received is always right. A reason over [`MAX_REASON`] bytes is cut at a character boundary.
pub fn write_close(out: &mut Vec<u8>, close: Option<CloseFrame<'_>>, mask: Option<[u8; 4]>) {
    let mut body = [0; MAX_CONTROL];
    let len = match close {
        Some(CloseFrame { code, reason }) if code.may_be_sent() => {
            let reason = beginning(reason, MAX_REASON).as_bytes();
            body[..2].copy_from_slice(&code.0.to_be_bytes());
            body[2..2 + reason.len()].copy_from_slice(reason);
            2 + reason.len()
        }
        _ => 0,
    };
    write_frame(out, true, false, Opcode::Close, &body[..len], mask);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_may_be_sent_or_not_as_the_rfc_and_its_registry_say() {
        let sendable = |code: u16| CloseCode(code).may_be_sent();
        assert!((1000..=1003).all(sendable));
        assert!((1007..=1014).all(sendable));
        assert!((3000..=4999).all(sendable));
        assert!(!(0..1000).any(sendable));
        assert!(!(1004..=1006).any(sendable));
        assert!(!(1015..3000).any(sendable));
        assert!(!(5000..=u16::MAX).any(sendable));
    }

    #[test]
    fn a_client_comes_back_after_exactly_the_codes_that_allow_it() {
        let allowed: Vec<u16> = (0..=u16::MAX)
            .filter(|&code| CloseCode(code).comes_back())
            .collect();
        let expected: Vec<u16> = [1001, 1006, 1011, 1012, 1013]
            .into_iter()
            .chain(4500..=4599)
            .collect();
        assert_eq!(allowed, expected);
    }

    #[test]
    fn an_empty_body_says_nothing_and_is_legal() {
        assert_eq!(CloseFrame::parse(b""), Ok(None));
    }

    #[test]
    fn a_body_of_one_byte_is_a_protocol_error() {
        let violation = CloseFrame::parse(&[3]).unwrap_err();
        assert_eq!(violation.code, CloseCode::PROTOCOL);
    }

    #[test]
    fn a_reserved_code_is_a_protocol_error_and_a_free_one_is_read() {
        for code in [0u16, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535] {
            let violation = CloseFrame::parse(&code.to_be_bytes()).unwrap_err();
            assert_eq!(violation.code, CloseCode::PROTOCOL, "{code}");
        }
        for code in [1000u16, 1003, 1007, 1012, 1013, 1014, 3000, 4999] {
            let close = CloseFrame::parse(&code.to_be_bytes())
                .map(|close| close.map(|close| (close.code.0, close.reason.is_empty())));
            assert_eq!(close, Ok(Some((code, true))));
        }
    }

    #[test]
    fn a_reason_that_is_not_utf_8_is_invalid_data() {
        let violation = CloseFrame::parse(b"\x03\xe8\xff").unwrap_err();
        assert_eq!(violation.code, CloseCode::INVALID_DATA);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let close = CloseFrame {
            code: CloseCode::TOO_SLOW,
            reason: "took nothing for 60 s",
        };
        let mut out = Vec::new();
        write_close(&mut out, Some(close), None);
        assert_eq!(out[..2], [0x88, 23]);
        assert_eq!(CloseFrame::parse(&out[2..]), Ok(Some(close)));
    }

    #[test]
    fn a_long_reason_is_cut_at_a_character_boundary() {
        let reason = "ä".repeat(100);
        let mut out = Vec::new();
        let code = CloseCode::POLICY;
        write_close(
            &mut out,
            Some(CloseFrame {
                code,
                reason: &reason,
            }),
            None,
        );
        let close = CloseFrame::parse(&out[2..]).unwrap().unwrap();
        assert_eq!(
            close.reason,
            "ä".repeat(61),
            "122 bytes, as the 123rd is half an ä"
        );
    }

    #[test]
    fn a_code_that_must_not_be_sent_is_written_as_an_empty_body() {
        for code in [CloseCode::NO_STATUS, CloseCode::ABNORMAL] {
            let mut out = Vec::new();
            write_close(&mut out, Some(CloseFrame { code, reason: "x" }), None);
            assert_eq!(out, [0x88, 0]);
        }
    }
}
