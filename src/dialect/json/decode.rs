//! Requests: from the bytes of a text message to a command that borrows from them.

use super::fault::NotJson;
use super::keys::Keys;
use super::meter::{Free, Meter, Steps};
use super::place::{Text, Value};
use super::unescape::{self, in_place};
use super::walk::{self, Key, Members};
use super::{ErrorCode, ErrorReply, Id, MAX_ID_BYTES};
use crate::channel::name;
use crate::hub::Start;

/// A request, borrowed from the message it came in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request<'a> {
    /// What the reply repeats, if the client wants one that it can tell from others.
    pub id: Option<Id<'a>>,
    /// What is wanted.
    pub command: Command<'a>,
}

/// What a request wants. Channel names are valid ones.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command<'a> {
    /// Receive what is published to a channel.
    Subscribe {
        /// The channel's name, unescaped.
        channel: &'a str,
        /// With which message to begin; a `seq` or count is at most 2^53 - 1, an epoch
        /// is whatever string the client sent. One that is much longer than the 64 bytes
        /// that an epoch may have is not unescaped.
        start: Start<'a>,
    },
    /// Receive no more of a channel.
    Unsubscribe {
        /// The channel's name, unescaped.
        channel: &'a str,
    },
    /// Send a value to everybody who is subscribed to a channel.
    Publish {
        /// The channel's name, unescaped.
        channel: &'a str,
        /// The value as it was written, valid JSON without white space around it.
        data: &'a [u8],
    },
    /// Say who this is. Only from a decoder made [with it](Decoder::with_auth).
    Auth {
        /// The token, unescaped.
        token: &'a str,
    },
    /// Ask for a `pong`.
    Ping,
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
    /// What is wrong with the message, with the id and the channel as far as they could
    /// be read.
    #[inline]
    pub fn decode<'a>(&mut self, message: &'a mut [u8]) -> Result<Request<'a>, DecodeError<'a>> {
        self.decode_metered(message, &mut Free)
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
        meter.add(1150 + message.len() as u64 / 4);
        if simdutf8::basic::from_utf8(message).is_err() {
            return Err(DecodeError::NotUtf8);
        }
        let mut fields = Fields::default();
        match walk::message(message, &mut fields, meter) {
            Ok(is_object) => fields.is_object = is_object,
            Err(fault) => return Err(fault.explain(message).into()),
        }
        fields.unescape(message, self.auth, meter);
        fields.into_request(message, self.auth)
    }
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

/// A reason to refuse a request.
type Reason = (ErrorCode, &'static str);

const fn bad_request(message: &'static str) -> Reason {
    (ErrorCode::BadRequest, message)
}

/// What is said about a member that is missing, stands twice, or is of the wrong type.
struct Complaints {
    missing: &'static str,
    twice: &'static str,
    wrong: &'static str,
}

macro_rules! complaints {
    ($name:literal, $type:literal) => {
        Complaints {
            missing: concat!("`", $name, "` is missing"),
            twice: concat!("`", $name, "` stands twice"),
            wrong: concat!("`", $name, "` must be ", $type),
        }
    };
}

const TYPE: Complaints = complaints!("type", "a string");
const ID: Complaints = complaints!(
    "id",
    "a whole number from 0 to 2^53-1 or a string of at most 64 bytes"
);
const CHANNEL: Complaints = complaints!("channel", "a string");
const DATA: Complaints = complaints!("data", "a value");
const TOKEN: Complaints = complaints!("token", "a string");
const LAST: Complaints = complaints!("last", "a whole number from 0 to 2^53-1");
const SINCE: Complaints = complaints!("since", "an object with `epoch` and `seq`");
const EPOCH: Complaints = complaints!("since.epoch", "a string");
const SEQ: Complaints = complaints!("since.seq", "a whole number from 0 to 2^53-1");

/// No `type` is longer.
const MAX_TYPE_BYTES: usize = 16;
/// No epoch is longer.
const MAX_EPOCH_BYTES: usize = 64;

/// The members that some request knows; others are ignored.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Member {
    Type,
    Id,
    Channel,
    Data,
    Since,
    Last,
    Token,
    SinceEpoch,
    SinceSeq,
}

impl Member {
    const fn is_of_since(self) -> bool {
        matches!(self, Self::SinceEpoch | Self::SinceSeq)
    }
}

static KEYS: Keys<Member, 9> = Keys::new([
    ("type", Member::Type),
    ("id", Member::Id),
    ("channel", Member::Channel),
    ("data", Member::Data),
    ("since", Member::Since),
    ("last", Member::Last),
    ("token", Member::Token),
    ("epoch", Member::SinceEpoch),
    ("seq", Member::SinceSeq),
]);

/// Where they stand. Of `since` there is only the beginning if it is an object that has members.
#[derive(Default)]
struct Fields {
    is_object: bool,
    /// The members by their keys, the last one of each key.
    members: [Option<Value>; 9],
    /// The keys that stand twice, as bits. No more of them are kept, since they would change nothing: so a message of
    /// thousands of them costs less.
    twice: u32,
}

impl Members for Fields {
    type Key = Member;

    const ENTERED: Option<Member> = Some(Member::Since);

    #[inline(always)]
    fn find(&self, _: &[u8], key: Key, inner: bool) -> Option<Member> {
        let member = KEYS.find(key.word)?;
        let twice = self.twice >> member as usize & 1 != 0;
        (member.is_of_since() == inner && !twice).then_some(member)
    }

    #[inline(always)]
    fn put(&mut self, _: &[u8], key: Member, value: Value) {
        let member = &mut self.members[key as usize];
        self.twice |= u32::from(member.is_some()) << key as usize;
        *member = Some(value);
    }
}

impl Fields {
    /// The only member with this key, if there is one.
    #[inline(always)]
    fn optional(&self, member: Member, complaints: &Complaints) -> Result<Option<&Value>, Reason> {
        if self.twice >> member as usize & 1 != 0 {
            return Err(bad_request(complaints.twice));
        }
        Ok(self.members[member as usize].as_ref())
    }

    #[inline(always)]
    fn required(&self, member: Member, complaints: &Complaints) -> Result<&Value, Reason> {
        self.optional(member, complaints)?
            .ok_or(bad_request(complaints.missing))
    }

    /// The text of the only member that this is, which has to be a string.
    fn text(
        &self,
        message: &[u8],
        member: Member,
        complaints: &Complaints,
    ) -> Result<Text, Reason> {
        let value = self.required(member, complaints)?;
        value.as_text(message).ok_or(bad_request(complaints.wrong))
    }

    /// Unescapes the strings that are looked at as texts.
    ///
    /// No byte takes more than the six of `\u00XX`. A string that is too long even so stays as it is, since it is refused
    /// or equal to no other whatever it says.
    fn unescape(&mut self, message: &mut [u8], auth: bool, meter: &mut impl Meter) {
        let texts = [
            (Member::Type, MAX_TYPE_BYTES),
            (Member::Channel, name::MAX_BYTES),
            (Member::SinceEpoch, MAX_EPOCH_BYTES),
            (Member::Token, if auth { usize::MAX / 6 } else { 0 }),
        ];
        for (member, most) in texts {
            if let Some(value) = &mut self.members[member as usize]
                && value.escaped
                && let Some(mut text) = value.as_text(message)
                && text.end - text.start <= 6 * most
            {
                meter.add(20 * (text.end - text.start) as u64);
                in_place(message, &mut text);
                value.end = text.end + 1;
                value.escaped = text.escaped;
            }
        }
    }

    fn into_request<'a>(
        self,
        message: &'a [u8],
        auth: bool,
    ) -> Result<Request<'a>, DecodeError<'a>> {
        let id = self.id(message);
        let channel = self.channel(message);
        let command = self.command(message, auth, id, channel);
        let id = id.ok().flatten();
        match command {
            Ok(command) => Ok(Request { id, command }),
            Err((code, why)) => Err(DecodeError::Refused(ErrorReply {
                id,
                // The requests to which no channel belongs do not give it back.
                channel: channel.ok().filter(|_| {
                    code != ErrorCode::BadChannel && !self.is_of_no_channel(message, auth)
                }),
                ..ErrorReply::new(code, why)
            })),
        }
    }

    fn command<'a>(
        &self,
        message: &'a [u8],
        auth: bool,
        id: Result<Option<Id<'a>>, Reason>,
        channel: Result<&'a str, Reason>,
    ) -> Result<Command<'a>, Reason> {
        if !self.is_object {
            return Err(bad_request("a message must be a JSON object"));
        }
        match self.kind(message)? {
            b"publish" => {
                id?;
                let channel = channel?;
                let data = self.required(Member::Data, &DATA)?;
                let data = data.raw(message);
                Ok(Command::Publish { channel, data })
            }
            b"subscribe" => {
                id?;
                let channel = channel?;
                let start = self.start(message)?;
                Ok(Command::Subscribe { channel, start })
            }
            b"unsubscribe" => {
                id?;
                let channel = channel?;
                Ok(Command::Unsubscribe { channel })
            }
            b"ping" => id.map(|_| Command::Ping),
            b"auth" if auth => {
                id?;
                let token = self.text(message, Member::Token, &TOKEN)?;
                let token = token.as_str(message);
                Ok(Command::Auth { token })
            }
            _ => Err((ErrorCode::UnknownType, "no request has this `type`")),
        }
    }

    fn kind<'a>(&self, message: &'a [u8]) -> Result<&'a [u8], Reason> {
        let kind = self.text(message, Member::Type, &TYPE)?;
        Ok(message.get(kind.start..kind.end).unwrap_or_default())
    }

    fn is_of_no_channel(&self, message: &[u8], auth: bool) -> bool {
        match self.kind(message) {
            Ok(kind) => kind == b"ping" || auth && kind == b"auth",
            Err(_) => false,
        }
    }

    fn id<'a>(&self, message: &'a [u8]) -> Result<Option<Id<'a>>, Reason> {
        let Some(value) = self.optional(Member::Id, &ID)? else {
            return Ok(None);
        };
        let good = match value.as_text(message) {
            Some(text) => unescape::is_within(message, text, MAX_ID_BYTES),
            None => value.as_whole_number(message).is_some(),
        };
        good.then(|| Some(Id(value.raw(message))))
            .ok_or(bad_request(ID.wrong))
    }

    fn channel<'a>(&self, message: &'a [u8]) -> Result<&'a str, Reason> {
        let text = self.text(message, Member::Channel, &CHANNEL)?;
        if text.end - text.start > name::MAX_BYTES {
            return Err((ErrorCode::BadChannel, name::Why::TooLong.explain()));
        }
        let name = text.as_str(message);
        name::check(name).map_err(|why| (ErrorCode::BadChannel, why.explain()))?;
        Ok(name)
    }

    /// Where a subscription begins.
    fn start<'a>(&self, message: &'a [u8]) -> Result<Start<'a>, Reason> {
        let since = self.optional(Member::Since, &SINCE)?;
        let last = self.optional(Member::Last, &LAST)?;
        let since = match (since, last) {
            (None, None) => return Ok(Start::Live),
            (Some(_), Some(_)) => {
                return Err(bad_request("`since` and `last` exclude each other"));
            }
            (None, Some(last)) => {
                let count = last
                    .as_whole_number(message)
                    .ok_or(bad_request(LAST.wrong))?;
                return Ok(Start::Last(count));
            }
            (Some(since), None) => since,
        };
        if !since.raw(message).starts_with(b"{") {
            return Err(bad_request(SINCE.wrong));
        }
        let epoch = self.text(message, Member::SinceEpoch, &EPOCH)?;
        let seq = self.required(Member::SinceSeq, &SEQ)?;
        let seq = seq.as_whole_number(message);
        Ok(Start::Since {
            epoch: epoch.as_str(message),
            seq: seq.ok_or(bad_request(SEQ.wrong))?,
        })
    }
}

#[cfg(test)]
mod cost;
#[cfg(test)]
mod differential;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod tests;
