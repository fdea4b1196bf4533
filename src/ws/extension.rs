//! Negotiating permessage-deflate (RFC 7692 §5 and §7.1) in `Sec-WebSocket-Extensions` (RFC 6455 §9.1), both sides.
//!
//! The server's side is [`negotiate`]: it passes over an offer that it cannot take and goes on with
//! the connection. The client's side is an [`Offer`], and [`Offer::check_answer`], which is strict: an answer may name only
//! what was offered. No other extension is known here. Names are compared byte by byte.

use std::borrow::Cow;
use std::{error, fmt};

use super::deflate::{Inflater, WindowBits};
use crate::words::{OneLine, Shown, in_words, on_one_line};

const NAME: &str = "permessage-deflate";
const SERVER_NO_CONTEXT_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_MAX_WINDOW_BITS: &str = "server_max_window_bits";
const CLIENT_MAX_WINDOW_BITS: &str = "client_max_window_bits";

/// What a server agreed to. Displays as the value of the `Sec-WebSocket-Extensions` that answers.
///
/// Neither side carries its window over from one message to the next: the answer always has both
/// `no_context_takeover`s, so that a connection needs no compressor or inflater of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// How far back what the server sends may refer, where the client set a limit.
    limit: Option<WindowBits>,
}

impl Agreed {
    /// How far back what the server sends may refer.
    pub fn window(self) -> WindowBits {
        self.limit.unwrap_or(WindowBits::MAX)
    }
}

impl fmt::Display for Agreed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{NAME}; {SERVER_NO_CONTEXT_TAKEOVER}; {CLIENT_NO_CONTEXT_TAKEOVER}"
        )?;
        match self.limit {
            // A limit is agreed to by repeating it (§7.1.2.1), even where it is none.
            Some(limit) => write!(f, "; {SERVER_MAX_WINDOW_BITS}={limit}"),
            None => Ok(()),
        }
    }
}

/// Takes the first acceptable offer of permessage-deflate from a request's `Sec-WebSocket-Extensions`, given as the
/// values of all its lines in order. `None`: there is none, and the answer names no extension.
///
/// An offer is passed over where it has a parameter that is unknown, repeated, or has a bad value (§7.1), or where it
/// limits this side's window to 8 bits, which zlib cannot keep to. Where any line is not even well-formed, all are
/// passed over: nobody knows what was meant.
pub fn negotiate<'h>(values: impl IntoIterator<Item = &'h [u8]>) -> Option<Agreed> {
    let offers = parse(values)?;
    offers
        .iter()
        .filter(|offer| offer.name == NAME.as_bytes())
        .find_map(|offer| {
            let limit = match Params::read(offer).ok()?.server_max_window_bits {
                Some(bits) => Some(WindowBits::new(bits)?),
                None => None,
            };
            // client_max_window_bits needs no answer (§7.1.2.2): the inflater's window is the largest anyway.
            Some(Agreed { limit })
        })
}

/// Whether a client lets the server limit the window that the client compresses with (§7.1.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientWindow {
    /// The server may not.
    Fixed,
    /// The server may set any limit.
    Negotiable,
    /// The same, and whatever it sets, the client keeps to this.
    UpTo(WindowBits),
}

/// A client's offer of permessage-deflate. Displays as the value of the request's `Sec-WebSocket-Extensions`.
///
/// The default asks for both `no_context_takeover`s (this client carries no window over anyway, and without the server's
/// it needs memory for it) and lets the server choose the client's window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Asks the server not to carry its window over; the answer must agree.
    pub server_no_context_takeover: bool,
    /// Tells the server that the client does not carry its window over.
    pub client_no_context_takeover: bool,
    /// Limits the server's window; the answer must agree.
    pub server_window: Option<WindowBits>,
    /// Whether the server may limit the client's window.
    pub client_window: ClientWindow,
}

impl Default for Offer {
    fn default() -> Self {
        Self {
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            server_window: None,
            client_window: ClientWindow::Negotiable,
        }
    }
}

impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)?;
        if self.server_no_context_takeover {
            write!(f, "; {SERVER_NO_CONTEXT_TAKEOVER}")?;
        }
        if self.client_no_context_takeover {
            write!(f, "; {CLIENT_NO_CONTEXT_TAKEOVER}")?;
        }
        if let Some(bits) = self.server_window {
            write!(f, "; {SERVER_MAX_WINDOW_BITS}={bits}")?;
        }
        match self.client_window {
            ClientWindow::Fixed => Ok(()),
            ClientWindow::Negotiable => write!(f, "; {CLIENT_MAX_WINDOW_BITS}"),
            ClientWindow::UpTo(bits) => write!(f, "; {CLIENT_MAX_WINDOW_BITS}={bits}"),
        }
    }
}

impl Offer {
    /// Judges the `Sec-WebSocket-Extensions` of the server's answer, given as the values of all its lines in order, as
    /// the answer to this offer and nothing else. `None`: the server declined, as it may.
    ///
    /// # Errors
    /// A [`BadAnswer`] that names what is wrong; the connection must be failed then (RFC 7692 §5.1).
    pub fn check_answer<'h>(
        &self,
        values: impl IntoIterator<Item = &'h [u8]>,
    ) -> Result<Option<Answer>, BadAnswer> {
        let extensions = parse(values).ok_or(BadAnswer::Malformed)?;
        if let Some(other) = extensions.iter().find(|e| e.name != NAME.as_bytes()) {
            return Err(BadAnswer::NotOffered(text(other.name)));
        }
        match &extensions[..] {
            [] => Ok(None),
            [answer] => self.check_params(Params::read(answer)?).map(Some),
            _ => Err(BadAnswer::Repeated(NAME.to_owned())),
        }
    }

    fn check_params(&self, params: Params) -> Result<Answer, BadAnswer> {
        if self.server_no_context_takeover && !params.server_no_context_takeover {
            return Err(BadAnswer::Missing(SERVER_NO_CONTEXT_TAKEOVER));
        }
        match (self.server_window, params.server_max_window_bits) {
            (Some(_), None) => return Err(BadAnswer::Missing(SERVER_MAX_WINDOW_BITS)),
            (Some(asked), Some(bits)) if bits > asked.bits() => {
                return Err(BadAnswer::OverLimit(SERVER_MAX_WINDOW_BITS));
            }
            // A server may set itself a limit unasked (§7.1.2.1).
            _ => {}
        }
        // A server that leaves its window at 8 bits is understood with a larger one.
        let server_window = match params.server_max_window_bits {
            Some(bits) => WindowBits::new(bits).unwrap_or(WindowBits::MIN),
            None => WindowBits::MAX,
        };
        Ok(Answer {
            window: self.check_client_window(params.client_max_window_bits)?,
            server_takeover: (!params.server_no_context_takeover).then_some(server_window),
        })
    }

    /// The window to compress with, as [`Answer::window`] has it.
    fn check_client_window(
        &self,
        answered: Option<Option<u8>>,
    ) -> Result<Option<WindowBits>, BadAnswer> {
        let own_limit = match self.client_window {
            ClientWindow::UpTo(bits) => bits,
            ClientWindow::Negotiable | ClientWindow::Fixed => WindowBits::MAX,
        };
        match answered {
            None => Ok(Some(own_limit)),
            Some(_) if self.client_window == ClientWindow::Fixed => {
                Err(BadAnswer::NotOffered(CLIENT_MAX_WINDOW_BITS.to_owned()))
            }
            // Only an offer may leave the value out (§7.1.2.2).
            Some(None) => Err(BadAnswer::Value(CLIENT_MAX_WINDOW_BITS)),
            Some(Some(bits)) if bits > own_limit.bits() => {
                Err(BadAnswer::OverLimit(CLIENT_MAX_WINDOW_BITS))
            }
            Some(Some(bits)) => Ok(WindowBits::new(bits)),
        }
    }
}

/// What a server's answer makes of permessage-deflate, for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// How far back what the client sends may refer. `None`: only 256 bytes (`client_max_window_bits=8`), to which zlib cannot
    /// compress, so the client sends uncompressed messages, which is always allowed (§6).
    pub window: Option<WindowBits>,
    /// Set where the server may carry its window over from message to message: then its messages need an inflater of
    /// their own, that remembers so much.
    pub server_takeover: Option<WindowBits>,
}

impl Answer {
    /// An inflater for what the server sends.
    pub const fn inflater(&self) -> Inflater {
        match self.server_takeover {
            Some(window) => Inflater::with_context_takeover(window),
            None => Inflater::new(),
        }
    }
}

/// What is wrong with a server's `Sec-WebSocket-Extensions`.
#[derive(Clone, PartialEq, Eq)]
pub enum BadAnswer {
    /// It does not follow the header's grammar (RFC 6455 §9.1).
    Malformed,
    /// It names this extension, or `client_max_window_bits`, which was not offered.
    NotOffered(String),
    /// It names this extension or parameter twice.
    Repeated(String),
    /// It has this parameter, which permessage-deflate does not have.
    Unknown(String),
    /// This parameter's value is missing, none that it can have, or one too many.
    Value(&'static str),
    /// It lacks this parameter, without which the offer could not be accepted.
    Missing(&'static str),
    /// This parameter is larger than the offer allows.
    OverLimit(&'static str),
}

impl fmt::Display for BadAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("not a well-formed list of extensions"),
            Self::NotOffered(name) => write!(f, "\"{}\" was not offered", shown(name)),
            Self::Repeated(name) => write!(f, "\"{}\" stands twice", shown(name)),
            Self::Unknown(param) => write!(f, "{NAME} has no parameter \"{}\"", shown(param)),
            Self::Value(param) => write!(f, "{param} has a bad value, or lacks one"),
            Self::Missing(param) => write!(f, "{param} was asked for and is missing"),
            Self::OverLimit(param) => write!(f, "{param} is larger than was offered"),
        }
    }
}

/// The beginning of a name that the server sent.
const fn shown(name: &str) -> Shown<OneLine<'_>> {
    on_one_line(name, 100)
}

impl error::Error for BadAnswer {}

in_words!(BadAnswer);

/// The parameters of permessage-deflate (§7.1), as they stand in an offer or an answer.
#[derive(Default)]
struct Params {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    /// 8 to 15.
    server_max_window_bits: Option<u8>,
    /// 8 to 15; `Some(None)` is the parameter without a value.
    client_max_window_bits: Option<Option<u8>>,
}

impl Params {
    fn read(extension: &Extension<'_>) -> Result<Self, BadAnswer> {
        let mut params = Self::default();
        for Param { name, value } in &extension.params {
            let value = value.as_deref();
            match str::from_utf8(name) {
                Ok(SERVER_NO_CONTEXT_TAKEOVER) => flag(
                    &mut params.server_no_context_takeover,
                    SERVER_NO_CONTEXT_TAKEOVER,
                    value,
                )?,
                Ok(CLIENT_NO_CONTEXT_TAKEOVER) => flag(
                    &mut params.client_no_context_takeover,
                    CLIENT_NO_CONTEXT_TAKEOVER,
                    value,
                )?,
                Ok(SERVER_MAX_WINDOW_BITS) => {
                    let bits = value.and_then(window_bits);
                    let bits = bits.ok_or(BadAnswer::Value(SERVER_MAX_WINDOW_BITS))?;
                    once(&mut params.server_max_window_bits, name, bits)?;
                }
                Ok(CLIENT_MAX_WINDOW_BITS) => {
                    let bits = value.map(|value| {
                        window_bits(value).ok_or(BadAnswer::Value(CLIENT_MAX_WINDOW_BITS))
                    });
                    once(&mut params.client_max_window_bits, name, bits.transpose()?)?;
                }
                _ => return Err(BadAnswer::Unknown(text(name))),
            }
        }
        Ok(params)
    }
}

/// Sets a parameter that takes no value.
fn flag(slot: &mut bool, name: &'static str, value: Option<&[u8]>) -> Result<(), BadAnswer> {
    if value.is_some() {
        return Err(BadAnswer::Value(name));
    }
    if std::mem::replace(slot, true) {
        return Err(BadAnswer::Repeated(name.to_owned()));
    }
    Ok(())
}

/// Sets a parameter that may stand once (§7.1).
fn once<T>(slot: &mut Option<T>, name: &[u8], value: T) -> Result<(), BadAnswer> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(BadAnswer::Repeated(text(name))),
    }
}

/// A window size as §7.1.2 has it: a decimal number from 8 to 15 without leading zeros.
fn window_bits(value: &[u8]) -> Option<u8> {
    match value {
        [digit @ b'8'..=b'9'] => Some(digit - b'0'),
        [b'1', digit @ b'0'..=b'5'] => Some(10 + digit - b'0'),
        _ => None,
    }
}

fn text(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

/// One element of `Sec-WebSocket-Extensions`.
struct Extension<'h> {
    name: &'h [u8],
    params: Vec<Param<'h>>,
}

struct Param<'h> {
    name: &'h [u8],
    /// Without its quotes; empty where nothing follows the `=`.
    value: Option<Cow<'h, [u8]>>,
}

/// All extensions of all lines, or `None` where one is not well-formed.
fn parse<'h>(values: impl IntoIterator<Item = &'h [u8]>) -> Option<Vec<Extension<'h>>> {
    let mut extensions = Vec::new();
    for value in values {
        let mut cursor = Cursor { rest: value };
        loop {
            cursor.skip_space();
            // A list may have empty elements (RFC 9110 §5.6.1.2).
            if cursor.eat(b',') {
                continue;
            }
            if cursor.rest.is_empty() {
                break;
            }
            extensions.push(cursor.extension()?);
            if !cursor.rest.is_empty() && !cursor.eat(b',') {
                return None;
            }
        }
    }
    Some(extensions)
}

/// What is left of one header line.
struct Cursor<'h> {
    rest: &'h [u8],
}

impl<'h> Cursor<'h> {
    fn skip_space(&mut self) {
        while self.eat(b' ') || self.eat(b'\t') {}
    }

    fn eat(&mut self, byte: u8) -> bool {
        match self.rest.split_first() {
            Some((&first, rest)) if first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// `name *( ";" param [ "=" value ] )` and the space after it.
    fn extension(&mut self) -> Option<Extension<'h>> {
        let name = self.token()?;
        let mut params = Vec::new();
        self.skip_space();
        while self.eat(b';') {
            self.skip_space();
            let name = self.token()?;
            self.skip_space();
            let value = if self.eat(b'=') {
                self.skip_space();
                Some(self.value()?)
            } else {
                None
            };
            params.push(Param { name, value });
            self.skip_space();
        }
        Some(Extension { name, params })
    }

    fn token(&mut self) -> Option<&'h [u8]> {
        let token = self.characters();
        (!token.is_empty()).then_some(token)
    }

    /// The token's characters (RFC 9110 §5.6.2) that come next, if any.
    fn characters(&mut self) -> &'h [u8] {
        let is_tchar =
            |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        let end = self.rest.iter().position(|byte| !is_tchar(byte));
        let (token, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        token
    }

    /// A token, or a quoted string that should hold one. Whether it does is the parameter's affair: one bad value costs
    /// its own offer only.
    fn value(&mut self) -> Option<Cow<'h, [u8]>> {
        if !self.eat(b'"') {
            return Some(Cow::Borrowed(self.characters()));
        }
        let mut value = Cow::Borrowed(&self.rest[..0]);
        loop {
            let stop = memchr::memchr2(b'"', b'\\', self.rest)?;
            let (plain, rest) = self.rest.split_at(stop);
            if plain
                .iter()
                .any(|&byte| byte.is_ascii_control() && byte != b'\t')
            {
                return None;
            }
            if value.is_empty() {
                value = Cow::Borrowed(plain);
            } else {
                value.to_mut().extend_from_slice(plain);
            }
            self.rest = &rest[1..];
            if rest[0] == b'"' {
                return Some(value);
            }
            let (&escaped, rest) = self.rest.split_first()?;
            value.to_mut().push(escaped);
            self.rest = rest;
        }
    }
}

#[cfg(test)]
mod tests;
