//! The members of a request: which there are, and what they say.

use super::super::base64;
use super::super::keys::Keys;
use super::super::meter::Meter;
use super::super::place::{Text, Value};
use super::super::unescape::{self, in_place};
use super::super::walk::{Key, Members};
use super::{Command, DecodeError, Publication, Request};
use crate::channel::name;
use crate::channel::pattern::{self, Pattern};
use crate::channel::topic::Topic;
use crate::dialect::json::{
    Data, Encoding, ErrorCode, ErrorReply, Id, MAX_ID_BYTES, MAX_KEY_BYTES,
};
use crate::hub::Start;

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
const PATTERN: Complaints = complaints!("pattern", "a string");
const ENCODING: Complaints = complaints!("encoding", "\"text\" or \"base64\"");
const KEY: Complaints = complaints!("key", "a string of 1 to 64 bytes");
const DATA: Complaints = complaints!("data", "a value");
const TOKEN: Complaints = complaints!("token", "a string");
const LAST: Complaints = complaints!("last", "a whole number from 0 to 2^53-1");
const SINCE: Complaints = complaints!("since", "an object with `epoch` and `seq`");
const EPOCH: Complaints = complaints!("since.epoch", "a string");
const SEQ: Complaints = complaints!("since.seq", "a whole number from 0 to 2^53-1");

const NO_TOPIC: &str = "`channel` or `pattern` is missing";

/// No `type` is longer.
const MAX_TYPE_BYTES: usize = 16;
/// No `encoding` is longer.
const MAX_ENCODING_BYTES: usize = 6;
/// No epoch is longer.
const MAX_EPOCH_BYTES: usize = 64;

/// What a request wants.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Publish,
    Subscribe,
    Unsubscribe,
    Ping,
    /// Where the decoder knows it.
    Auth,
    Unknown,
}

/// The members that some request knows; others are ignored.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Member {
    Type,
    Id,
    Channel,
    Data,
    Since,
    Last,
    Token,
    Pattern,
    Encoding,
    Key,
    SinceEpoch,
    SinceSeq,
}

impl Member {
    const fn is_of_since(self) -> bool {
        matches!(self, Self::SinceEpoch | Self::SinceSeq)
    }
}

static KEYS: Keys<Member, 12> = Keys::new([
    ("type", Member::Type),
    ("id", Member::Id),
    ("channel", Member::Channel),
    ("data", Member::Data),
    ("since", Member::Since),
    ("last", Member::Last),
    ("token", Member::Token),
    ("pattern", Member::Pattern),
    ("encoding", Member::Encoding),
    ("key", Member::Key),
    ("epoch", Member::SinceEpoch),
    ("seq", Member::SinceSeq),
]);

/// Where they stand. Of `since` there is only the beginning if it is an object that has members.
#[derive(Default)]
pub(super) struct Fields {
    pub(super) is_object: bool,
    /// The members by their keys, the last one of each key.
    members: [Option<Value>; 12],
    /// The keys that stand twice, as bits. No more of them are kept, since they would change nothing: so a message of
    /// thousands of them costs less.
    twice: u32,
    /// `encoding` says that `data` is base64, and it is.
    is_base64: bool,
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
    pub(super) fn unescape(&mut self, message: &mut [u8], auth: bool, meter: &mut impl Meter) {
        let texts = [
            (Member::Type, MAX_TYPE_BYTES),
            (Member::Channel, name::MAX_BYTES),
            (Member::Pattern, name::MAX_BYTES),
            (Member::Encoding, MAX_ENCODING_BYTES),
            (Member::Key, MAX_KEY_BYTES),
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

    /// Unescapes a payload that is given in base64, if it is good, and notes whether it is.
    pub(super) fn read_base64(&mut self, message: &mut [u8], meter: &mut impl Meter) {
        let encoding = self.members[Member::Encoding as usize];
        if encoding.and_then(|value| encoding_of(&value, message)) != Some(Encoding::Base64) {
            return;
        }
        if let Some(value) = &mut self.members[Member::Data as usize]
            && let Some(mut text) = value.as_text(message)
            && base64::read(message, &mut text, meter)
        {
            self.is_base64 = true;
            value.end = text.end + 1;
            value.escaped = false;
            // What was behind the text is left of its escapes.
            if let Some(quote) = message.get_mut(text.end) {
                *quote = b'"';
            }
        }
    }

    pub(super) fn into_request<'a>(
        self,
        message: &'a [u8],
        auth: bool,
    ) -> Result<Request<'a>, DecodeError<'a>> {
        let id = self.id(message);
        let kind = self.kind(message, auth);
        let topic = self.topic_of(kind, message);
        let command = match self.is_object {
            true => self.command(message, kind, id, topic),
            false => Err(bad_request("a message must be a JSON object")),
        };
        let id = id.ok().flatten();
        match command {
            Ok(command) => Ok(Request { id, command }),
            Err((code, why)) => Err(DecodeError::Refused(ErrorReply {
                id,
                topic: topic.ok().flatten(),
                ..ErrorReply::new(code, why)
            })),
        }
    }

    pub(super) fn into_publication<'a>(
        self,
        message: &'a [u8],
    ) -> Result<Publication<'a>, DecodeError<'a>> {
        let topic = self.topic_of(Ok(Kind::Publish), message);
        self.publication(message, topic).map_err(|(code, why)| {
            let error = ErrorReply {
                topic: topic.ok().flatten(),
                ..ErrorReply::new(code, why)
            };
            DecodeError::Refused(error)
        })
    }

    fn publication<'a>(
        &self,
        message: &'a [u8],
        topic: Result<Option<Topic<'a>>, Reason>,
    ) -> Result<Publication<'a>, Reason> {
        if !self.is_object {
            return Err(bad_request("a publication must be a JSON object"));
        }
        Ok(Publication {
            channel: topic?.ok_or(bad_request(CHANNEL.missing))?.text(),
            data: self.data(message)?,
            key: self.key(message)?,
        })
    }

    fn command<'a>(
        &self,
        message: &'a [u8],
        kind: Result<Kind, Reason>,
        id: Result<Option<Id<'a>>, Reason>,
        topic: Result<Option<Topic<'a>>, Reason>,
    ) -> Result<Command<'a>, Reason> {
        let kind = kind?;
        // Of an unknown type nothing else is looked at.
        if kind != Kind::Unknown {
            id?;
        }
        Ok(match kind {
            Kind::Publish => Command::Publish {
                channel: topic?.ok_or(bad_request(CHANNEL.missing))?.text(),
                data: self.data(message)?,
                key: self.key(message)?,
            },
            Kind::Subscribe => Command::Subscribe {
                topic: topic?.ok_or(bad_request(NO_TOPIC))?,
                start: self.start(message)?,
            },
            Kind::Unsubscribe => Command::Unsubscribe {
                topic: topic?.ok_or(bad_request(NO_TOPIC))?,
            },
            Kind::Auth => Command::Auth {
                token: self.text(message, Member::Token, &TOKEN)?.as_str(message),
            },
            Kind::Ping => Command::Ping,
            Kind::Unknown => return Err((ErrorCode::UnknownType, "no request has this `type`")),
        })
    }

    /// What is wanted, as `type` says it.
    fn kind(&self, message: &[u8], auth: bool) -> Result<Kind, Reason> {
        let kind = self.text(message, Member::Type, &TYPE)?;
        Ok(
            match message.get(kind.start..kind.end).unwrap_or_default() {
                b"publish" => Kind::Publish,
                b"subscribe" => Kind::Subscribe,
                b"unsubscribe" => Kind::Unsubscribe,
                b"ping" => Kind::Ping,
                b"auth" if auth => Kind::Auth,
                _ => Kind::Unknown,
            },
        )
    }

    /// What the request is about, if it names anything. An error gives it back.
    fn topic_of<'a>(
        &self,
        kind: Result<Kind, Reason>,
        message: &'a [u8],
    ) -> Result<Option<Topic<'a>>, Reason> {
        let has = |member: Member| self.members[member as usize].is_some();
        let has_pattern = match kind {
            Ok(Kind::Ping | Kind::Auth) => return Ok(None),
            // To publish takes a channel, and `pattern` is none of its members.
            Ok(Kind::Publish) => false,
            _ => has(Member::Pattern),
        };
        match (has(Member::Channel), has_pattern) {
            (false, false) => Ok(None),
            (true, false) => self.channel(message).map(|name| Some(Topic::Channel(name))),
            (false, true) => self.pattern(message).map(|text| Some(Topic::pattern(text))),
            (true, true) => Err(bad_request("`channel` and `pattern` exclude each other")),
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

    fn pattern<'a>(&self, message: &'a [u8]) -> Result<&'a str, Reason> {
        let text = self.text(message, Member::Pattern, &PATTERN)?;
        if text.end - text.start > name::MAX_BYTES {
            return Err((ErrorCode::BadPattern, pattern::Why::Length.explain()));
        }
        let text = text.as_str(message);
        Pattern::check_wanted(text).map_err(|why| (ErrorCode::BadPattern, why))?;
        Ok(text)
    }

    /// The payload of a publication.
    fn data<'a>(&self, message: &'a [u8]) -> Result<Data<'a>, Reason> {
        let value = self.required(Member::Data, &DATA)?;
        let encoding = match self.optional(Member::Encoding, &ENCODING)? {
            None => Encoding::Json,
            Some(value) => encoding_of(value, message).ok_or(bad_request(ENCODING.wrong))?,
        };
        if encoding != Encoding::Json && value.as_text(message).is_none() {
            return Err(bad_request(
                "`data` must be a string where `encoding` is given",
            ));
        }
        if encoding == Encoding::Base64 && !self.is_base64 {
            return Err(bad_request(
                "`data` must be base64 as `encoding` says: A-Z, a-z, 0-9, + and /, padded with =, without a bit more than its bytes have",
            ));
        }
        Ok(Data {
            encoding,
            raw: value.raw(message),
        })
    }

    fn key<'a>(&self, message: &'a [u8]) -> Result<Option<&'a str>, Reason> {
        let Some(value) = self.optional(Member::Key, &KEY)? else {
            return Ok(None);
        };
        let text = value.as_text(message).ok_or(bad_request(KEY.wrong))?;
        if !(1..=MAX_KEY_BYTES).contains(&(text.end - text.start)) {
            return Err(bad_request(KEY.wrong));
        }
        Ok(Some(text.as_str(message)))
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

/// What the member `encoding` says, if it is one that there is.
fn encoding_of(value: &Value, message: &[u8]) -> Option<Encoding> {
    Encoding::named(value.as_text(message)?.as_str(message).as_bytes())
}
