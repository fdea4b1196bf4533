//! Requests: from the bytes of a text message to a command that borrows from them.

use super::fault::NotJson;
use super::meter::{Free, Meter, Steps};
use super::{Data, ErrorCode, ErrorReply, Id, walk};
use crate::channel::topic::Topic;
use crate::hub::Start;
use fields::Fields;

/// A request, borrowed from the message it came in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request<'a> {
    /// What the reply repeats, if the client wants one that it can tell from others.
    pub id: Option<Id<'a>>,
    /// What is wanted.
    pub command: Command<'a>,
}

/// What a request wants. Channel names and patterns are valid ones.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command<'a> {
    /// Receive what is published to a channel, or to all channels that a pattern stands for.
    Subscribe {
        /// The channel's name or the pattern's text, unescaped. No pattern begins with `$`.
        topic: Topic<'a>,
        /// With which message to begin; a `seq` or count is at most 2^53 - 1, an epoch
        /// is whatever string the client sent. One that is much longer than the 64 bytes
        /// that an epoch may have is not unescaped.
        start: Start<'a>,
    },
    /// Receive no more of a channel or of a pattern.
    Unsubscribe {
        /// The channel's name or the pattern's text, unescaped.
        topic: Topic<'a>,
    },
    /// Send a payload to everybody who is subscribed to a channel.
    Publish {
        /// The channel's name, unescaped.
        channel: &'a str,
        /// The payload: valid JSON as it was written, without white space around it. It is a string if the encoding is not
        /// JSON, and good base64 without escapes if it is base64.
        data: Data<'a>,
        /// What tells this publication from others, 1 to 64 bytes, unescaped. It is published once, however often it is sent.
        key: Option<&'a str>,
    },
    /// Say who this is. Only from a decoder made [with it](Decoder::with_auth).
    Auth {
        /// The token, unescaped.
        token: &'a str,
    },
    /// Ask for a `pong`.
    Ping,
}

/// A publication without a `type`, borrowed from the message it came in: see [`Command::Publish`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Publication<'a> {
    /// The channel's name, unescaped.
    pub channel: &'a str,
    /// The payload.
    pub data: Data<'a>,
    /// What tells this publication from others.
    pub key: Option<&'a str>,
}

/// Why a message is not a request that can be carried out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DecodeError<'a> {
    /// It is not UTF-8, so it is no text message: the connection ends with close 1007.
    NotUtf8,
    /// It gets this answer, and the connection goes on.
    Refused(ErrorReply<'a>),
}

/// Reads requests. It has no memory: whatever a message is, decoding takes no more of it than the message has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Decoder {
    auth: bool,
}

impl Decoder {
    /// A decoder that does not know `auth`.
    pub const fn new() -> Self {
        Self { auth: false }
    }

    /// The same, with the feature `auth` or without.
    #[must_use]
    pub const fn with_auth(self, auth: bool) -> Self {
        Self { auth }
    }

    /// Reads the request in `message`.
    ///
    /// Strings with escapes are unescaped where they stand, so the message cannot be decoded a second time.
    ///
    /// # Errors
    /// What is wrong with the message, with the id and the topic as far as they could
    /// be read.
    #[inline]
    pub fn decode<'a>(&mut self, message: &'a mut [u8]) -> Result<Request<'a>, DecodeError<'a>> {
        self.decode_metered(message, &mut Free)
    }

    /// Reads the publication in `message`: a `publish` whose `type` goes without saying, as one of many in one request.
    ///
    /// # Errors
    /// As for [`decode`](Self::decode).
    pub fn decode_publication<'a>(
        &mut self,
        message: &'a mut [u8],
    ) -> Result<Publication<'a>, DecodeError<'a>> {
        let fields = read(message, false, &mut Free)?;
        fields.into_publication(message)
    }

    /// What [`decode`](Self::decode) costs, in steps: each stands for about one instruction, on any machine. It grows
    /// with the message and has a bound for each byte of it; to check that is what this is for.
    pub fn steps(&mut self, message: &mut [u8]) -> u64 {
        let mut steps = Steps::default();
        // What it costs to refuse a message counts as well.
        drop(self.decode_metered(message, &mut steps));
        steps.0
    }

    #[inline(always)]
    fn decode_metered<'a>(
        &mut self,
        message: &'a mut [u8],
        meter: &mut impl Meter,
    ) -> Result<Request<'a>, DecodeError<'a>> {
        let fields = read(message, self.auth, meter)?;
        fields.into_request(message, self.auth)
    }
}

/// Finds the members of a message, and unescapes those that are looked at.
#[inline(always)]
fn read(
    message: &mut [u8],
    auth: bool,
    meter: &mut impl Meter,
) -> Result<Fields, DecodeError<'static>> {
    meter.add(1150 + message.len() as u64 / 4);
    if simdutf8::basic::from_utf8(message).is_err() {
        return Err(DecodeError::NotUtf8);
    }
    let mut fields = Fields::default();
    match walk::message(message, &mut fields, meter) {
        Ok(is_object) => fields.is_object = is_object,
        Err(fault) => return Err(fault.explain(message).into()),
    }
    fields.unescape(message, auth, meter);
    fields.read_base64(message, meter);
    Ok(fields)
}

/// Checks values that come without an envelope, such as the body of an HTTP request. It has no memory either.
#[derive(Clone, Copy, Debug, Default)]
pub struct ValueDecoder;

impl ValueDecoder {
    /// A decoder that holds a value to what holds for `data` in a `publish`.
    pub const fn new() -> Self {
        Self
    }

    /// Checks that `text` is one JSON value and gives it back as written, without
    /// the white space around it.
    ///
    /// # Errors
    /// `NotUtf8`, or an [`ErrorReply`] with the code `bad_json`.
    pub fn decode<'a>(&mut self, text: &'a [u8]) -> Result<&'a [u8], DecodeError<'a>> {
        if simdutf8::basic::from_utf8(text).is_err() {
            return Err(DecodeError::NotUtf8);
        }
        let read = walk::value(text, &mut Free).map(|value| value.raw(text));
        read.map_err(|fault| fault.explain(text).into())
    }
}

impl From<NotJson> for DecodeError<'_> {
    fn from(NotJson { message, offset }: NotJson) -> Self {
        Self::Refused(ErrorReply {
            offset,
            ..ErrorReply::new(ErrorCode::BadJson, message)
        })
    }
}

mod fields;

#[cfg(test)]
mod cost;
#[cfg(test)]
mod differential;
#[cfg(test)]
mod members;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod tests;
