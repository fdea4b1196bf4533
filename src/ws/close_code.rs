//! Close codes (RFC 6455 §7.4).

use std::fmt;

/// Why a connection ends: the number that stands in a close frame, or for the lack of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// The purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// The server stops, or the browser leaves the page.
    pub const GOING_AWAY: Self = Self(1001);
    /// The peer broke the protocol.
    pub const PROTOCOL: Self = Self(1002);
    /// A kind of message that this side does not take, binary for one.
    pub const UNSUPPORTED: Self = Self(1003);
    /// Never sent: stands for a close frame without a code.
    pub const NO_STATUS: Self = Self(1005);
    /// Never sent: stands for a connection that ended without a close frame.
    pub const ABNORMAL: Self = Self(1006);
    /// Data that contradicts its type: text that is not UTF-8.
    pub const INVALID_DATA: Self = Self(1007);
    /// A policy of the receiver that no other code names.
    pub const POLICY: Self = Self(1008);
    /// A message over the receiver's limit.
    pub const TOO_BIG: Self = Self(1009);
    /// The server met a condition that it did not expect.
    pub const INTERNAL: Self = Self(1011);
    /// The server restarts.
    pub const RESTART: Self = Self(1012);
    /// The server is over its capacity.
    pub const OVERLOAD: Self = Self(1013);
    /// fanfare: no valid credentials were shown.
    pub const UNAUTHENTICATED: Self = Self(4401);
    /// fanfare: the credentials do not allow this.
    pub const FORBIDDEN: Self = Self(4403);
    /// fanfare: the client went over its limits again and again.
    pub const ABUSIVE: Self = Self(4429);
    /// fanfare: the client took nothing for too long, or fell behind where policy says `close`.
    pub const TOO_SLOW: Self = Self(4508);
    /// fanfare: the token's time is over; fetch a new one first.
    pub const TOKEN_EXPIRED: Self = Self(4510);

    /// Whether the code may stand in a close frame (RFC 6455 §7.4 and the IANA registry that it founded):
    /// 1000-1003, 1007-1014 and 3000-4999. What may not be sent is a violation when it is received.
    pub const fn may_be_sent(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }

    /// Whether a client that was closed with this code comes back by itself, with backoff: after 1001, 1006,
    /// 1011, 1012, 1013 and 45xx, as `docs/protocol.md` has it under "Close codes".
    pub const fn comes_back(self) -> bool {
        matches!(self.0, 1001 | 1006 | 1011..=1013 | 4500..=4599)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
