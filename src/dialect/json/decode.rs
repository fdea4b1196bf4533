//! Requests: from the bytes of a text message to a command that borrows from them.

use std::ops::Range;
use std::str;

use super::parse::{Member, Members, NotJson, Parser, Tree, trim_end};
use crate::hub::Start;

use super::{ErrorCode, ErrorReply, Id, MAX_DEPTH, MAX_ID_BYTES, channel_name};

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
        /// is whatever string the client sent.
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

/// Reads requests; keeps nothing between two of them but memory to work in, and of that
/// no more than ordinary messages need.
pub struct Decoder {
    parser: Parser,
    auth: bool,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder that does not know `auth`.
    pub fn new() -> Self {
        Self {
            parser: Parser::new(MAX_DEPTH),
            auth: false,
        }
    }

    /// The same, with the feature `auth` or without.
    #[must_use]
    pub fn with_auth(self, auth: bool) -> Self {
        Self { auth, ..self }
    }

    /// Reads the request in `message[..len]`.
    ///
    /// The rest of `message` is not read as part of it and stays as it is; there should
    /// be at least [`PADDING`](super::PADDING) bytes, without which the message is copied
    /// first. Strings with escapes are unescaped where they stand, so the message cannot
    /// be decoded a second time.
    ///
    /// # Errors
    /// What is wrong with the message, with the id and the channel as far as they could
    /// be read.
    pub fn decode<'a>(
        &mut self,
        message: &'a mut [u8],
        len: usize,
    ) -> Result<Request<'a>, DecodeError<'a>> {
        let len = len.min(message.len());
        let auth = self.auth;
        let mut plan = Plan::default();
        let parsed = self
            .parser
            .parse(message, len, |tree| plan.read(tree, len, auth));
        if let Err(fault) = parsed {
            self.parser.shrink(len);
            return Err(fault.into());
        }
        for text in [&plan.channel, &plan.text].into_iter().flatten() {
            self.parser.unescape(message, text);
        }
        self.parser.shrink(len);
        plan.into_request(message)
    }

    /// Bytes of memory kept for the next message, of those that can be known.
    #[cfg(test)]
    pub(super) fn kept_bytes(&self) -> usize {
        self.parser.kept_bytes()
    }
}

/// Checks values that come without an envelope, such as the body of an HTTP request.
pub struct ValueDecoder {
    parser: Parser,
}

impl Default for ValueDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl ValueDecoder {
    /// A decoder that holds a value to what holds for `data` in a `publish`.
    pub fn new() -> Self {
        Self {
            // The envelope, which the value gets later, is a level of its own.
            parser: Parser::new(MAX_DEPTH - 1),
        }
    }

    /// Checks that `text[..len]` is one JSON value and gives it back as written, without
    /// the white space around it. Padding is as in [`Decoder::decode`].
    ///
    /// # Errors
    /// `NotUtf8`, or an [`ErrorReply`] with the code `bad_json`.
    pub fn decode<'a>(
        &mut self,
        text: &'a mut [u8],
        len: usize,
    ) -> Result<&'a [u8], DecodeError<'a>> {
        let len = len.min(text.len());
        // A parsed text has a root.
        let mut span = 0..len;
        let parsed = self.parser.parse(text, len, |tree| {
            if let Some(root) = tree.root() {
                span = tree.span(&root, len);
            }
        });
        self.parser.shrink(len);
        parsed?;
        Ok(slice(text, &trim_end(text, span)))
    }
}

impl From<NotJson> for DecodeError<'_> {
    fn from(fault: NotJson) -> Self {
        match fault {
            NotJson::NotUtf8 => Self::NotUtf8,
            NotJson::Fault { message, offset } => Self::Refused(ErrorReply {
                offset,
                ..ErrorReply::new(ErrorCode::BadJson, message)
            }),
        }
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

/// The members with one key.
#[derive(Clone, Copy, Default)]
struct Field<'p, 't> {
    member: Option<Member<'p, 't>>,
    twice: bool,
}

impl<'p, 't> Field<'p, 't> {
    fn put(&mut self, member: Member<'p, 't>) {
        self.twice = self.member.is_some();
        self.member = Some(member);
    }

    /// The only member with this key, if there is one.
    fn optional(&self, complaints: &Complaints) -> Result<Option<&Member<'p, 't>>, Reason> {
        if self.twice {
            return Err(bad_request(complaints.twice));
        }
        Ok(self.member.as_ref())
    }

    fn required(&self, complaints: &Complaints) -> Result<&Member<'p, 't>, Reason> {
        self.optional(complaints)?
            .ok_or(bad_request(complaints.missing))
    }
}

/// The members that some request knows; others are ignored.
#[derive(Default)]
struct Fields<'p, 't> {
    kind: Field<'p, 't>,
    id: Field<'p, 't>,
    channel: Field<'p, 't>,
    data: Field<'p, 't>,
    since: Field<'p, 't>,
    last: Field<'p, 't>,
    token: Field<'p, 't>,
}

impl<'p, 't> Fields<'p, 't> {
    #[inline]
    fn put(&mut self, members: Members<'p, 't>) {
        for (key, member) in members {
            let field = match key {
                "type" => &mut self.kind,
                "id" => &mut self.id,
                "channel" => &mut self.channel,
                "data" => &mut self.data,
                "since" => &mut self.since,
                "last" => &mut self.last,
                "token" => &mut self.token,
                _ => continue,
            };
            field.put(member);
        }
    }
}

/// What a message says, as places in it: while the tape stands nothing can be borrowed
/// from the message, which the tape itself borrows.
struct Plan {
    /// The id, with white space after it.
    id: Option<Range<usize>>,
    /// The channel's name, if it is valid.
    channel: Option<Range<usize>>,
    /// The token, or the epoch of `since`.
    text: Option<Range<usize>>,
    command: Result<Wanted, Reason>,
}

/// A [`Command`] without what it borrows.
enum Wanted {
    Subscribe(Begin),
    Unsubscribe,
    /// With where the data stands, white space after it included.
    Publish(Range<usize>),
    Auth,
    Ping,
}

/// A [`Start`] without what it borrows.
enum Begin {
    Live,
    Since(u64),
    Last(u64),
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            id: None,
            channel: None,
            text: None,
            command: Err(bad_request("a message must be a JSON object")),
        }
    }
}

impl Plan {
    #[inline]
    fn read(&mut self, tree: Tree<'_, '_>, len: usize, auth: bool) {
        let Some(members) = tree.root().and_then(|root| tree.members(&root)) else {
            return;
        };
        let mut fields = Fields::default();
        fields.put(members);

        let id = id(&fields);
        if let Ok(Some(member)) = id {
            self.id = Some(tree.span(member, len));
        }
        let channel = channel(&fields);
        if let Ok(member) = channel {
            self.channel = tree.text(member);
        }
        self.command = (|| {
            let kind = fields
                .kind
                .required(&TYPE)?
                .as_str()
                .ok_or(bad_request(TYPE.wrong))?;
            match kind {
                "publish" => {
                    id?;
                    let name = channel?.as_str().unwrap_or_default();
                    let data = fields.data.required(&DATA)?;
                    if channel_name::is_daemons_own(name) {
                        return Err((ErrorCode::Forbidden, "only the daemon publishes here"));
                    }
                    Ok(Wanted::Publish(tree.span(data, len)))
                }
                "subscribe" => {
                    id?;
                    not_daemons_own(channel?)?;
                    start(&fields, &tree, &mut self.text).map(Wanted::Subscribe)
                }
                "unsubscribe" => {
                    id?;
                    not_daemons_own(channel?)?;
                    Ok(Wanted::Unsubscribe)
                }
                // `channel` does not belong to the other requests, so it is not given
                // back with what is wrong about them.
                "ping" => {
                    self.channel = None;
                    id?;
                    Ok(Wanted::Ping)
                }
                "auth" if auth => {
                    self.channel = None;
                    id?;
                    let token = fields.token.required(&TOKEN)?;
                    self.text = Some(tree.text(token).ok_or(bad_request(TOKEN.wrong))?);
                    Ok(Wanted::Auth)
                }
                _ => Err((ErrorCode::UnknownType, "no request has this `type`")),
            }
        })();
        if matches!(self.command, Err((ErrorCode::BadChannel, _))) {
            self.channel = None;
        }
    }

    fn into_request(self, message: &mut [u8]) -> Result<Request<'_>, DecodeError<'_>> {
        let message = &*message;
        let id = self
            .id
            .map(|span| Id(slice(message, &trim_end(message, span))));
        let channel = text(message, self.channel)?;
        let other = text(message, self.text)?;
        let command = match self.command {
            Ok(Wanted::Publish(span)) => Command::Publish {
                channel,
                data: slice(message, &trim_end(message, span)),
            },
            Ok(Wanted::Subscribe(from)) => Command::Subscribe {
                channel,
                start: match from {
                    Begin::Live => Start::Live,
                    Begin::Since(seq) => Start::Since { epoch: other, seq },
                    Begin::Last(count) => Start::Last(count),
                },
            },
            Ok(Wanted::Unsubscribe) => Command::Unsubscribe { channel },
            Ok(Wanted::Auth) => Command::Auth { token: other },
            Ok(Wanted::Ping) => Command::Ping,
            Err((code, why)) => {
                return Err(DecodeError::Refused(ErrorReply {
                    id,
                    // No valid name is empty, so this is one that could not be read.
                    channel: Some(channel).filter(|name| !name.is_empty()),
                    ..ErrorReply::new(code, why)
                }));
            }
        };
        Ok(Request { id, command })
    }
}

fn id<'f, 'p, 't>(fields: &'f Fields<'p, 't>) -> Result<Option<&'f Member<'p, 't>>, Reason> {
    let member = fields.id.optional(&ID)?;
    let good = member.is_none_or(|member| match member.as_str() {
        Some(text) => text.len() <= MAX_ID_BYTES,
        None => member.as_whole_number().is_some(),
    });
    good.then_some(member).ok_or(bad_request(ID.wrong))
}

fn channel<'f, 'p, 't>(fields: &'f Fields<'p, 't>) -> Result<&'f Member<'p, 't>, Reason> {
    let member = fields.channel.required(&CHANNEL)?;
    let name = member.as_str().ok_or(bad_request(CHANNEL.wrong))?;
    channel_name::check(name).map_err(|why| (ErrorCode::BadChannel, why.explain()))?;
    Ok(member)
}

fn not_daemons_own(channel: &Member<'_, '_>) -> Result<(), Reason> {
    if channel.as_str().is_some_and(channel_name::is_daemons_own) {
        // The daemon has none yet, so each is unknown.
        return Err((ErrorCode::BadChannel, "the daemon has no such channel"));
    }
    Ok(())
}

/// Where a subscription begins; puts where the epoch stands into `epoch`.
fn start(
    fields: &Fields<'_, '_>,
    tree: &Tree<'_, '_>,
    epoch: &mut Option<Range<usize>>,
) -> Result<Begin, Reason> {
    let since = fields.since.optional(&SINCE)?;
    let last = fields.last.optional(&LAST)?;
    let since = match (since, last) {
        (None, None) => return Ok(Begin::Live),
        (Some(_), Some(_)) => {
            return Err(bad_request("`since` and `last` exclude each other"));
        }
        (None, Some(last)) => {
            let count = last.as_whole_number().ok_or(bad_request(LAST.wrong))?;
            return Ok(Begin::Last(count));
        }
        (Some(since), None) => since,
    };
    let members = tree.members(since).ok_or(bad_request(SINCE.wrong))?;
    let mut epochs = Field::default();
    let mut seqs = Field::default();
    for (key, member) in members {
        match key {
            "epoch" => epochs.put(member),
            "seq" => seqs.put(member),
            _ => {}
        }
    }
    let text = tree.text(epochs.required(&EPOCH)?);
    *epoch = Some(text.ok_or(bad_request(EPOCH.wrong))?);
    let seq = seqs.required(&SEQ)?.as_whole_number();
    Ok(Begin::Since(seq.ok_or(bad_request(SEQ.wrong))?))
}

/// The bytes of a span that lies within the message, as all that were read from it do.
fn slice<'a>(message: &'a [u8], span: &Range<usize>) -> &'a [u8] {
    message.get(span.clone()).unwrap_or_default()
}

/// An unescaped string, "" where there is none.
fn text<'a>(message: &'a [u8], span: Option<Range<usize>>) -> Result<&'a str, DecodeError<'a>> {
    let Some(span) = span else {
        return Ok("");
    };
    // simd-json has checked it; to check a name again costs less than to carry the proof.
    str::from_utf8(slice(message, &span)).map_err(|_| DecodeError::NotUtf8)
}

#[cfg(test)]
mod differential;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod tests;
