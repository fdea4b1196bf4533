//! What a server sends, for clients: replies and events, from the bytes of a text
//! message to values that borrow from them.

use std::fmt;
use std::ops::Range;
use std::str;

use super::parse::{NotJson, Parser, Tree, trim_end};
use super::{Id, MAX_DEPTH};

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
    },
    /// A subscription was made.
    Subscribed {
        /// The request's.
        id: Option<Id<'a>>,
        /// The channel.
        channel: &'a str,
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
        /// The channel.
        channel: &'a str,
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
    },
    /// A publication.
    Message(Message<'a>),
    /// Messages that will not come.
    Gap {
        /// The channel.
        channel: &'a str,
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
        /// The channel, if the request named a valid one.
        channel: Option<&'a str>,
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
    /// Its number in the channel's epoch.
    pub seq: u64,
    /// The JSON value as the publisher wrote it.
    pub data: &'a [u8],
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
        message: &'static str,
        /// Where, in bytes, if known.
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
    fn from(fault: NotJson) -> Self {
        match fault {
            NotJson::NotUtf8 => Self::NotUtf8,
            NotJson::Fault { message, offset } => Self::NotJson { message, offset },
        }
    }
}

/// Reads a `message` in the form that the protocol has servers write it in (members in
/// order, no white space between them, `data` last), and nothing else: a few tens of
/// nanoseconds, however long `data` is, which is neither looked at nor checked.
///
/// `None` says only that a look with an [`EventDecoder`] is needed.
pub fn message(text: &[u8]) -> Option<Message<'_>> {
    let places = MessagePlaces::find(text)?;
    places.in_text(text)
}

/// A [`Message`] without what it borrows.
struct MessagePlaces {
    channel: Range<usize>,
    seq: u64,
    data: Range<usize>,
}

impl MessagePlaces {
    fn find(text: &[u8]) -> Option<Self> {
        const BEGIN: &[u8] = br#"{"type":"message","channel":""#;
        const SEQ: &[u8] = br#"","seq":"#;
        const DATA: &[u8] = br#","data":"#;
        let rest = text.strip_prefix(BEGIN)?;
        let channel = memchr::memchr2(b'"', b'\\', rest)?;
        // With a backslash there the prefix does not match, so the name has no escapes.
        let rest = rest[channel..].strip_prefix(SEQ)?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let seq = Id(&rest[..digits]).as_number()?;
        let data = rest[digits..].strip_prefix(DATA)?.strip_suffix(b"}")?;
        let end = text.len() - 1;
        Some(Self {
            channel: BEGIN.len()..BEGIN.len() + channel,
            seq,
            data: end - data.len()..end,
        })
    }

    fn in_text<'a>(&self, text: &'a [u8]) -> Option<Message<'a>> {
        Some(Message {
            channel: str::from_utf8(text.get(self.channel.clone())?).ok()?,
            seq: self.seq,
            data: text.get(self.data.clone())?,
        })
    }
}

/// Reads what a server sends; keeps nothing between two messages but memory to work in.
pub struct EventDecoder {
    parser: Parser,
}

impl Default for EventDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl EventDecoder {
    /// A decoder.
    pub fn new() -> Self {
        Self {
            parser: Parser::new(MAX_DEPTH),
        }
    }

    /// Reads `text[..len]`, with padding as in
    /// [`Decoder::decode`](super::Decoder::decode). A `message` takes the short way of
    /// [`message`], so its `data` is whatever the server sent.
    ///
    /// # Errors
    /// What is wrong with the text; a client does well to end the connection.
    pub fn decode<'a>(&mut self, text: &'a mut [u8], len: usize) -> Result<Event<'a>, EventError> {
        let len = len.min(text.len());
        if let Some(places) = MessagePlaces::find(&text[..len]) {
            let message = places.in_text(text).ok_or(EventError::NotUtf8)?;
            return Ok(Event::Message(message));
        }
        self.decode_whole(text, len)
    }

    /// The same, without the short way: that `data` is JSON is checked, too.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub fn decode_whole<'a>(
        &mut self,
        text: &'a mut [u8],
        len: usize,
    ) -> Result<Event<'a>, EventError> {
        let len = len.min(text.len());
        let mut fields = None;
        let parsed = self
            .parser
            .parse(text, len, |tree| fields = Fields::new(tree, len));
        if let Some(fields) = &fields {
            for place in fields.texts() {
                self.parser.unescape(text, place);
            }
        }
        self.parser.shrink(len);
        parsed?;
        fields
            .ok_or(EventError::Member("type"))?
            .into_event(&text[..len])
    }
}

/// Where the members stand that some event has.
#[derive(Default)]
struct Fields {
    kind: Option<Range<usize>>,
    channel: Option<Range<usize>>,
    epoch: Option<Range<usize>>,
    reason: Option<Range<usize>>,
    code: Option<Range<usize>>,
    message: Option<Range<usize>>,
    protocol: Option<Range<usize>>,
    server: Option<Range<usize>>,
    session: Option<Range<usize>>,
    id: Option<Range<usize>>,
    data: Option<Range<usize>>,
    features: Option<Range<usize>>,
    seq: Option<u64>,
    from: Option<u64>,
    to: Option<u64>,
    max_message: Option<u64>,
    offset: Option<u64>,
    retry_after_ms: Option<u64>,
    reconnect_after_ms: Option<u64>,
    recovered: Option<bool>,
}

impl Fields {
    fn new(tree: Tree<'_, '_>, len: usize) -> Option<Self> {
        let mut fields = Self::default();
        for (key, member) in tree.members(&tree.root()?)? {
            match key {
                "type" => fields.kind = tree.text(&member),
                "channel" => fields.channel = tree.text(&member),
                "epoch" => fields.epoch = tree.text(&member),
                "reason" => fields.reason = tree.text(&member),
                "code" => fields.code = tree.text(&member),
                "message" => fields.message = tree.text(&member),
                "protocol" => fields.protocol = tree.text(&member),
                "server" => fields.server = tree.text(&member),
                "session" => fields.session = tree.text(&member),
                "id" => fields.id = Some(tree.span(&member, len)),
                "data" => fields.data = Some(tree.span(&member, len)),
                "features" => fields.features = Some(tree.span(&member, len)),
                "seq" => fields.seq = member.as_whole_number(),
                "from" => fields.from = member.as_whole_number(),
                "to" => fields.to = member.as_whole_number(),
                "max_message" => fields.max_message = member.as_whole_number(),
                "offset" => fields.offset = member.as_whole_number(),
                "retry_after_ms" => fields.retry_after_ms = member.as_whole_number(),
                "reconnect_after_ms" => fields.reconnect_after_ms = member.as_whole_number(),
                "recovered" => fields.recovered = member.as_bool(),
                _ => {}
            }
        }
        Some(fields)
    }

    fn texts(&self) -> impl Iterator<Item = &Range<usize>> {
        [
            &self.kind,
            &self.channel,
            &self.epoch,
            &self.reason,
            &self.code,
            &self.message,
            &self.protocol,
            &self.server,
            &self.session,
        ]
        .into_iter()
        .flatten()
    }

    fn into_event(self, text: &[u8]) -> Result<Event<'_>, EventError> {
        let raw = |place: &Option<Range<usize>>| {
            text.get(trim_end(text, place.clone()?))
                .filter(|text| !text.is_empty())
        };
        let string = |place: &Option<Range<usize>>| str::from_utf8(text.get(place.clone()?)?).ok();
        let id = raw(&self.id).map(Id);
        let channel = || string(&self.channel).ok_or(EventError::Member("channel"));
        let epoch = || string(&self.epoch).ok_or(EventError::Member("epoch"));
        let reason = || string(&self.reason).ok_or(EventError::Member("reason"));
        let seq = || self.seq.ok_or(EventError::Member("seq"));
        let kind = string(&self.kind).ok_or(EventError::Member("type"))?;
        Ok(match kind {
            "message" => Event::Message(Message {
                channel: channel()?,
                seq: seq()?,
                data: raw(&self.data).ok_or(EventError::Member("data"))?,
            }),
            "published" => Event::Published {
                id,
                channel: channel()?,
                epoch: epoch()?,
                seq: seq()?,
            },
            "subscribed" => Event::Subscribed {
                id,
                channel: channel()?,
                epoch: epoch()?,
                seq: seq()?,
                recovered: self.recovered,
            },
            "unsubscribed" => Event::Unsubscribed {
                id,
                channel: channel()?,
                reason: string(&self.reason),
            },
            "gap" => Event::Gap {
                channel: channel()?,
                epoch: epoch()?,
                from: self.from.ok_or(EventError::Member("from"))?,
                to: self.to.ok_or(EventError::Member("to"))?,
                reason: reason()?,
            },
            "error" => Event::Error {
                id,
                channel: string(&self.channel),
                code: string(&self.code).ok_or(EventError::Member("code"))?,
                message: string(&self.message).unwrap_or_default(),
                offset: self.offset,
                retry_after_ms: self.retry_after_ms,
            },
            "pong" => Event::Pong { id },
            "welcome" => Event::Welcome {
                protocol: string(&self.protocol).ok_or(EventError::Member("protocol"))?,
                server: string(&self.server).unwrap_or_default(),
                session: string(&self.session).unwrap_or_default(),
                max_message: self.max_message.ok_or(EventError::Member("max_message"))?,
                features: Features(raw(&self.features).unwrap_or(b"[]")),
            },
            "goodbye" => Event::Goodbye {
                reason: reason()?,
                reconnect_after_ms: self.reconnect_after_ms,
            },
            kind => Event::Unknown { kind },
        })
    }
}

#[cfg(test)]
mod tests;
