//! What a request presents to show who sent it: RFC 6455 §10.5 leaves a WebSocket all the means that HTTP has.
//!
//! One of them counts, the first of these that is there: `Authorization`, `?token=`, the cookie. What is there and makes no
//! sense refuses the request: nothing falls back to a weaker means, or to nobody.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Deref;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::{Zeroize as _, Zeroizing};

use crate::http::{Head, percent_decode};
use crate::ws::handshake::fields::values;

/// What a request presents.
#[derive(PartialEq, Eq)]
pub enum Presented<'a> {
    /// Nothing.
    Nothing,
    /// A token.
    Token(Secret<'a>, Place),
    /// A name and a password (RFC 7617).
    Basic {
        /// The name and the password, with the colon between them.
        pair: Zeroizing<Vec<u8>>,
    },
    /// Something that makes no sense, and why.
    Bad(&'static str, Place),
}

/// What was presented, which is wiped when it goes if it is a copy.
#[derive(PartialEq, Eq)]
pub struct Secret<'a>(Cow<'a, str>);

impl<'a, T: Into<Cow<'a, str>>> From<T> for Secret<'a> {
    fn from(text: T) -> Self {
        Secret(text.into())
    }
}

impl Deref for Secret<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Drop for Secret<'_> {
    fn drop(&mut self) {
        if let Cow::Owned(copy) = &mut self.0 {
            copy.zeroize();
        }
    }
}

/// Where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In `Authorization`.
    Header,
    /// In the URL: `?token=`.
    Query,
    /// In the cookie of `--token-cookie`.
    Cookie,
}

/// What stands in a request's head and its query. `cookie` is the cookie's name, where cookies count: a browser sends them from any page,
/// so they count only where the page may do what the request does.
pub fn presented<'a>(
    head: &Head<'a>,
    query: Option<&'a str>,
    cookie: Option<&str>,
) -> Presented<'a> {
    let mut authorizations = values(head.headers, "Authorization");
    match (authorizations.next(), authorizations.next()) {
        (None, _) => {}
        (Some(value), None) => return authorization(value),
        (Some(_), Some(_)) => {
            return Presented::Bad("there is more than one Authorization field", Place::Header);
        }
    }
    if let Some(presented) = query.and_then(in_query) {
        return presented;
    }
    cookie
        .and_then(|name| in_cookies(head, name))
        .unwrap_or(Presented::Nothing)
}

/// Reads the value of `Authorization` (RFC 9110 §11.6.2). Schemes are compared without case.
fn authorization(value: &[u8]) -> Presented<'_> {
    let bad = |why| Presented::Bad(why, Place::Header);
    let at = value.iter().position(|&byte| byte == b' ');
    let (scheme, rest) = value.split_at(at.unwrap_or(value.len()));
    let rest = rest.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"Bearer") {
        match std::str::from_utf8(rest) {
            Ok(token) if !token.is_empty() => Presented::Token(token.into(), Place::Header),
            _ => bad("after Bearer there is no token"),
        }
    } else if scheme.eq_ignore_ascii_case(b"Basic") {
        match STANDARD.decode(rest) {
            Ok(pair) if pair.contains(&b':') => Presented::Basic {
                pair: Zeroizing::new(pair),
            },
            _ => bad("after Basic there is no name and password in base64"),
        }
    } else {
        bad("the schemes of Authorization are Bearer and Basic here")
    }
}

/// The `token` of a query, if there is one.
fn in_query(query: &str) -> Option<Presented<'_>> {
    let is_token = |pair: &&str| *pair == "token" || pair.starts_with("token=");
    let mut tokens = query.split('&').filter(is_token);
    let token = tokens.next()?;
    let bad = |why| Some(Presented::Bad(why, Place::Query));
    if tokens.next().is_some() {
        return bad("there is more than one token in the URL");
    }
    let token = token.strip_prefix("token=").unwrap_or_default();
    match percent_decode(token) {
        Ok(token) if !token.is_empty() => Some(Presented::Token(token.into(), Place::Query)),
        _ => bad("the token in the URL is empty, or not percent-encoded"),
    }
}

/// The cookie of this name, if there is one (RFC 6265 §4.2).
fn in_cookies<'a>(head: &Head<'a>, name: &str) -> Option<Presented<'a>> {
    let pairs = values(head.headers, "Cookie").flat_map(|value| value.split(|&byte| byte == b';'));
    let mut found = pairs.filter_map(|pair| {
        let pair = pair.trim_ascii();
        let at = pair.iter().position(|&byte| byte == b'=')?;
        (&pair[..at] == name.as_bytes()).then(|| &pair[at + 1..])
    });
    let value = found.next()?;
    let bad = |why| Some(Presented::Bad(why, Place::Cookie));
    if found.any(|other| other != value) {
        return bad("the token's cookie is there more than once");
    }
    let value = value.strip_prefix(b"\"").unwrap_or(value);
    let value = value.strip_suffix(b"\"").unwrap_or(value);
    match std::str::from_utf8(value) {
        Ok(token) if !token.is_empty() => Some(Presented::Token(token.into(), Place::Cookie)),
        _ => bad("the token's cookie is empty"),
    }
}
