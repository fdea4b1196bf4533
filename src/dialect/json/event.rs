//! What a server sends, for clients: replies and events, from the bytes of a text
//! message to values that borrow from them.

mod short;

use std::borrow::Cow;
use std::fmt;

use super::fault::NotJson;
use super::meter::Free;
use super::place::{Text, Value};
use super::unescape::{Unescaped, in_place};
use super::walk::{self, Key, Members};
use super::{Data, Encoding, Id};
use crate::channel::topic::Topic;
use crate::hub::Place;

pub use short::message;

/// Something that the server says. Texts are unescaped; codes and reasons are as they
/// came, since a client meets ones that are younger than itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event<'a> {
    /// The first message on a connection.
    Welcome {
        /// The sub-protocol that is spoken.
        protocol: &'a str,
        /// Name and version of the server.
        server: &'a str,
        /// The server's name for this connection.
        session: &'a str,
        /// The longest message that the server takes, in bytes.
        max_message: u64,
        /// Which optional parts of the protocol the server has.
        features: Features<'a>,
        /// What the server knows the client as, where the handshake said so.
        subject: Option<&'a str>,
        /// Until when, in seconds since 1970, where that ends.
        expires: Option<u64>,
    },
    /// A token was accepted.
    Authenticated {
        /// The request's.
        id: Option<Id<'a>>,
        /// What the server knows the client as.
        subject: &'a str,
        /// Until when, in seconds since 1970, where that ends.
        expires: Option<u64>,
    },
    /// A subscription was made.
    Subscribed {
        /// The request's.
        id: Option<Id<'a>>,
        /// What it is to.
        topic: Topic<'a>,
        /// What `seq` counts in.
        epoch: &'a str,
        /// The newest message's number, 0 if there was none yet.
        seq: u64,
        /// Whether all since the point asked for will come; only if one was.
        recovered: Option<bool>,
    },
    /// A subscription was ended.
    Unsubscribed {
        /// The request's; none where the server ended it by itself.
        id: Option<Id<'a>>,
        /// What it was to.
        topic: Topic<'a>,
        /// Why the server ended it by itself, where it says so.
        reason: Option<&'a str>,
    },
    /// A publication was taken.
    Published {
        /// The request's.
        id: Option<Id<'a>>,
        /// The channel.
        channel: &'a str,
        /// What `seq` counts in.
        epoch: &'a str,
        /// The number that the message got.
        seq: u64,
        /// It was published before, with the same key.
        duplicate: bool,
    },
    /// A publication.
    Message(Message<'a>),
    /// Messages that will not come.
    Gap {
        /// The subscription's.
        topic: Topic<'a>,
        /// What `from` and `to` count in.
        epoch: &'a str,
        /// The first that is missing, 0 if the numbering began anew.
        from: u64,
        /// The last that is missing.
        to: u64,
        /// Why.
        reason: &'a str,
    },
    /// A request failed.
    Error {
        /// The request's, if it had one that could be read.
        id: Option<Id<'a>>,
        /// The channel or the pattern, if the request named a valid one.
        topic: Option<Topic<'a>>,
        /// Why, for programs.
        code: &'a str,
        /// Why, for people.
        message: &'a str,
        /// Where the request's JSON goes wrong, in bytes.
        offset: Option<u64>,
        /// When to try again, in milliseconds from now.
        retry_after_ms: Option<u64>,
    },
    /// The answer to a ping.
    Pong {
        /// The request's.
        id: Option<Id<'a>>,
    },
    /// The connection will be closed, as planned.
    Goodbye {
        /// Why.
        reason: &'a str,
        /// When to come back, in milliseconds from now.
        reconnect_after_ms: Option<u64>,
    },
    /// Something from a younger server, to be ignored.
    Unknown {
        /// Its `type`.
        kind: &'a str,
    },
}

/// A publication.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Message<'a> {
    /// The channel it was published to.
    pub channel: &'a str,
    /// For which subscription it comes, and its number there.
    pub place: Place<'a>,
    /// What was published, as it stands in the message.
    pub data: Data<'a>,
}

impl<'a> Message<'a> {
    /// What the subscription is to for which it comes.
    pub fn topic(&self) -> Topic<'a> {
        match self.place {
            Place::Channel { .. } => Topic::Channel(self.channel),
            Place::Pattern { pattern, .. } => Topic::pattern(pattern),
        }
    }

    /// Its number in that subscription's epoch.
    pub fn seq(&self) -> u64 {
        match self.place {
            Place::Channel { seq } | Place::Pattern { seq, .. } => seq,
        }
    }
}

/// The names of the optional parts of the protocol that a server has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Features<'a>(&'a [u8]);

impl<'a> Features<'a> {
    /// Whether the server has the feature of this name, which is made of letters,
    /// digits, `_` and `-`.
    pub fn has(&self, name: &str) -> bool {
        memchr::memmem::find_iter(self.0, name).any(|at| {
            // `at` is within the array's text, whose brackets stand around each name.
            let before = self.0[..at].last();
            let after = self.0.get(at + name.len());
            before == Some(&b'"') && after == Some(&b'"')
        })
    }

    /// The JSON array of the names.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.0
    }
}

/// Why a message from a server cannot be understood.
#[derive(Clone, PartialEq, Eq)]
pub enum EventError {
    /// It is not UTF-8.
    NotUtf8,
    /// It is not JSON.
    NotJson {
        /// What is wrong.
        message: Cow<'static, str>,
        /// Where, in bytes. `None` if it is empty.
        offset: Option<usize>,
    },
    /// A member that the protocol promises is missing or of the wrong type.
    Member(&'static str),
}

impl fmt::Display for EventError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8 => f.write_str("a message that is not UTF-8"),
            Self::NotJson {
                message,
                offset: Some(offset),
            } => write!(f, "a message that is not JSON: {message}, at byte {offset}"),
            Self::NotJson { message, .. } => write!(f, "a message that is not JSON: {message}"),
            Self::Member(name) => write!(f, "a message without a good `{name}`"),
        }
    }
}

impl std::error::Error for EventError {}

crate::words::in_words!(EventError);

impl From<NotJson> for EventError {
    fn from(NotJson { message, offset }: NotJson) -> Self {
        Self::NotJson { message, offset }
    }
}

/// Reads what a server sends. It has no memory: whatever a message is, decoding takes no more of it than the message
/// has.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventDecoder;

impl EventDecoder {
    /// A decoder.
    pub const fn new() -> Self {
        Self
    }

    /// Reads `text`; strings with escapes are unescaped where they stand. A `message` takes the short way of
    /// [`message`], so its `data` is whatever the server sent.
    ///
    /// # Errors
    /// What is wrong with the text; a client does well to end the connection.
    pub fn decode<'a>(&mut self, text: &'a mut [u8]) -> Result<Event<'a>, EventError> {
        if let Some(plain) = short::Plain::find(text) {
            let message = plain.in_text(text).ok_or(EventError::NotUtf8)?;
            return Ok(Event::Message(message));
        }
        if let Some(places) = short::Places::find(text) {
            let message = places.in_text(text).ok_or(EventError::NotUtf8)?;
            return Ok(Event::Message(message));
        }
        self.decode_whole(text)
    }

    /// The same, without the short way: that `data` is JSON is checked, too.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub fn decode_whole<'a>(&mut self, text: &'a mut [u8]) -> Result<Event<'a>, EventError> {
        if simdutf8::basic::from_utf8(text).is_err() {
            return Err(EventError::NotUtf8);
        }
        let mut fields = Fields::default();
        if let Err(fault) = walk::message(text, &mut fields, &mut Free) {
            return Err(fault.explain(text).into());
        }
        if fields.escaped {
            for place in fields.texts() {
                in_place(text, place);
            }
        }
        fields.into_event(text)
    }
}

/// Where the members stand that some event has.
#[derive(Default)]
struct Fields {
    /// Some string among them has escapes.
    escaped: bool,
    kind: Option<Text>,
    channel: Option<Text>,
    /// Empty where it is no string.
    pattern: Option<Text>,
    /// Empty where it is no string.
    encoding: Option<Text>,
    epoch: Option<Text>,
    reason: Option<Text>,
    code: Option<Text>,
    message: Option<Text>,
    protocol: Option<Text>,
    server: Option<Text>,
    session: Option<Text>,
    subject: Option<Text>,
    id: Option<Value>,
    data: Option<Value>,
    features: Option<Value>,
    seq: Option<u64>,
    channel_seq: Option<u64>,
    from: Option<u64>,
    to: Option<u64>,
    max_message: Option<u64>,
    offset: Option<u64>,
    retry_after_ms: Option<u64>,
    reconnect_after_ms: Option<u64>,
    expires: Option<u64>,
    recovered: Option<bool>,
    duplicate: Option<bool>,
}

/// The keys of the members that some event has.
const KEYS: [&str; 26] = [
    "type",
    "channel",
    "seq",
    "data",
    "pattern",
    "channel_seq",
    "encoding",
    "epoch",
    "reason",
    "code",
    "message",
    "protocol",
    "server",
    "session",
    "subject",
    "id",
    "features",
    "from",
    "to",
    "max_message",
    "offset",
    "retry_after_ms",
    "reconnect_after_ms",
    "expires",
    "recovered",
    "duplicate",
];

impl Members for Fields {
    type Key = &'static str;

    const ENTERED: Option<&'static str> = None;

    #[inline(never)]
    fn find(&self, text: &[u8], key: Key, _: bool) -> Option<&'static str> {
        let mut unescaped = Unescaped::new();
        let place = key.text;
        let key = match text.get(place.start..place.end)? {
            key if place.escaped => unescaped.key(key)?,
            key => key,
        };
        KEYS.into_iter().find(|known| known.as_bytes() == key)
    }

    fn put(&mut self, text: &[u8], key: &'static str, value: Value) {
        self.escaped |= value.escaped;
        match key {
            "type" => self.kind = value.as_text(text),
            "channel" => self.channel = value.as_text(text),
            "pattern" => self.pattern = Some(value.as_text(text).unwrap_or_default()),
            "encoding" => self.encoding = Some(value.as_text(text).unwrap_or_default()),
            "epoch" => self.epoch = value.as_text(text),
            "reason" => self.reason = value.as_text(text),
            "code" => self.code = value.as_text(text),
            "message" => self.message = value.as_text(text),
            "protocol" => self.protocol = value.as_text(text),
            "server" => self.server = value.as_text(text),
            "session" => self.session = value.as_text(text),
            "subject" => self.subject = value.as_text(text),
            "id" => self.id = Some(value),
            "data" => self.data = Some(value),
            "features" => self.features = Some(value),
            "seq" => self.seq = value.as_whole_number(text),
            "channel_seq" => self.channel_seq = value.as_whole_number(text),
            "from" => self.from = value.as_whole_number(text),
            "to" => self.to = value.as_whole_number(text),
            "max_message" => self.max_message = value.as_whole_number(text),
            "offset" => self.offset = value.as_whole_number(text),
            "retry_after_ms" => self.retry_after_ms = value.as_whole_number(text),
            "reconnect_after_ms" => self.reconnect_after_ms = value.as_whole_number(text),
            "expires" => self.expires = value.as_whole_number(text),
            "recovered" => self.recovered = truth(value.raw(text)),
            "duplicate" => self.duplicate = truth(value.raw(text)),
            _ => {}
        }
    }
}

fn string(place: Option<Text>, text: &[u8]) -> Option<&str> {
    place.map(|place| place.as_str(text))
}

/// The string of the member `name`, which the protocol promises.
fn needed<'a>(
    name: &'static str,
    place: Option<Text>,
    text: &'a [u8],
) -> Result<&'a str, EventError> {
    string(place, text).ok_or(EventError::Member(name))
}

fn truth(raw: &[u8]) -> Option<bool> {
    match raw {
        b"true" => Some(true),
        b"false" => Some(false),
        _ => None,
    }
}

impl Fields {
    fn texts(&mut self) -> impl Iterator<Item = &mut Text> {
        [
            &mut self.kind,
            &mut self.channel,
            &mut self.pattern,
            &mut self.encoding,
            &mut self.epoch,
            &mut self.reason,
            &mut self.code,
            &mut self.message,
            &mut self.protocol,
            &mut self.server,
            &mut self.session,
            &mut self.subject,
        ]
        .into_iter()
        .flatten()
    }

    fn into_event(self, text: &[u8]) -> Result<Event<'_>, EventError> {
        let id = self.id.map(|value| Id(value.raw(text)));
        let epoch = || needed("epoch", self.epoch, text);
        let channel = || needed("channel", self.channel, text);
        let topic = || self.topic(text)?.ok_or(EventError::Member("channel"));
        let seq = || self.seq.ok_or(EventError::Member("seq"));
        Ok(match needed("type", self.kind, text)? {
            "message" => Event::Message(Message {
                channel: channel()?,
                place: self.place(text)?,
                data: self.data(text)?,
            }),
            "published" => Event::Published {
                id,
                channel: channel()?,
                epoch: epoch()?,
                seq: seq()?,
                duplicate: self.duplicate == Some(true),
            },
            "subscribed" => Event::Subscribed {
                id,
                topic: topic()?,
                epoch: epoch()?,
                seq: seq()?,
                recovered: self.recovered,
            },
            "unsubscribed" => Event::Unsubscribed {
                id,
                topic: topic()?,
                reason: string(self.reason, text),
            },
            "gap" => self.gap(topic()?, epoch()?, text)?,
            "error" => self.error(id, text)?,
            "pong" => Event::Pong { id },
            "welcome" => self.welcome(text)?,
            "authenticated" => Event::Authenticated {
                id,
                subject: needed("subject", self.subject, text)?,
                expires: self.expires,
            },
            "goodbye" => Event::Goodbye {
                reason: needed("reason", self.reason, text)?,
                reconnect_after_ms: self.reconnect_after_ms,
            },
            kind => Event::Unknown { kind },
        })
    }

    fn gap<'a>(
        &self,
        topic: Topic<'a>,
        epoch: &'a str,
        text: &'a [u8],
    ) -> Result<Event<'a>, EventError> {
        Ok(Event::Gap {
            topic,
            epoch,
            from: self.from.ok_or(EventError::Member("from"))?,
            to: self.to.ok_or(EventError::Member("to"))?,
            reason: needed("reason", self.reason, text)?,
        })
    }

    fn error<'a>(&self, id: Option<Id<'a>>, text: &'a [u8]) -> Result<Event<'a>, EventError> {
        Ok(Event::Error {
            id,
            topic: self.topic(text)?,
            code: needed("code", self.code, text)?,
            message: string(self.message, text).unwrap_or_default(),
            offset: self.offset,
            retry_after_ms: self.retry_after_ms,
        })
    }

    fn welcome<'a>(&self, text: &'a [u8]) -> Result<Event<'a>, EventError> {
        let features = self.features.map(|value| value.raw(text));
        Ok(Event::Welcome {
            protocol: needed("protocol", self.protocol, text)?,
            server: string(self.server, text).unwrap_or_default(),
            session: string(self.session, text).unwrap_or_default(),
            max_message: self.max_message.ok_or(EventError::Member("max_message"))?,
            features: Features(features.unwrap_or(b"[]")),
            subject: string(self.subject, text),
            expires: self.expires,
        })
    }

    /// What it is about, if it says so.
    fn topic<'a>(&self, text: &'a [u8]) -> Result<Option<Topic<'a>>, EventError> {
        match string(self.pattern, text) {
            Some("") => Err(EventError::Member("pattern")),
            Some(pattern) => Ok(Some(Topic::pattern(pattern))),
            None => Ok(string(self.channel, text).map(Topic::from)),
        }
    }

    /// Where a message stands.
    fn place<'a>(&self, text: &'a [u8]) -> Result<Place<'a>, EventError> {
        let seq = self.seq.ok_or(EventError::Member("seq"))?;
        Ok(match self.topic(text)? {
            Some(Topic::Pattern(_, pattern)) => Place::Pattern {
                pattern,
                seq,
                channel_seq: self.channel_seq.ok_or(EventError::Member("channel_seq"))?,
            },
            _ => Place::Channel { seq },
        })
    }

    /// What was published: a string where an encoding says how to read it.
    fn data<'a>(&self, text: &'a [u8]) -> Result<Data<'a>, EventError> {
        let value = self.data.ok_or(EventError::Member("data"))?;
        let encoding = match string(self.encoding, text) {
            None => Encoding::Json,
            Some(name) => Encoding::named(name.as_bytes()).ok_or(EventError::Member("encoding"))?,
        };
        if encoding != Encoding::Json && value.as_text(text).is_none() {
            return Err(EventError::Member("data"));
        }
        let raw = value.raw(text);
        Ok(Data { encoding, raw })
    }
}

#[cfg(test)]
mod tests;
