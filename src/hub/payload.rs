//! What was published, without what a frame has around it.

use std::borrow::Cow;

/// What was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload<'a> {
    /// A JSON value as it was written.
    Json(&'a [u8]),
    /// A text.
    Text(Cow<'a, str>),
    /// Any bytes.
    Bytes(Cow<'a, [u8]>),
}

/// What a base frame says. A frame in a pattern's log says of which channel its message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// The channel that it was published to.
    pub channel: Cow<'a, str>,
    /// Its number there.
    pub seq: u64,
    /// What was published.
    pub payload: Payload<'a>,
}
