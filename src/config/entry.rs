//! The settings that say who may come in, and from where.

use super::mistake::Mistake;
use super::settings::{Set, Setting, each, put, put_list};
use super::token::file;
use super::units::{switch, timeout_ms, word};
use crate::auth::forwarded::{Network, TrustedHeader};
use crate::auth::origin::{HostName, Hosts, OriginPattern, Origins};
use crate::auth::rules::TokenClaims;

/// In the order of the help.
pub(super) const ENTRY: &[Setting] = &[
    Setting {
        key: "auth_timeout",
        value: "TIME",
        default: "10s",
        help: "How long a connection to which nothing is granted may take to say who it is; 0: no limit",
        set: Set::Daemon(|c, text| put(&mut c.auth_timeout_ms, timeout_ms(text))),
    },
    Setting {
        key: "token_claims",
        value: "HOW",
        default: "instead",
        help: "What the channels that a token names do to what [[allow]] blocks grant its bearer: instead of \
               it (but for what everybody has), add to it, or narrow it",
        set: Set::Daemon(|c, text| put(&mut c.rules.token_claims, word(text, TOKEN_CLAIMS))),
    },
    Setting {
        key: "htpasswd",
        value: "FILE",
        default: "none",
        help: "The file of the names and passwords that HTTP Basic authentication takes, each a line that \
               `htpasswd -B` makes; bcrypt of the cost 4 to 14",
        set: Set::Daemon(|c, text| put(&mut c.htpasswd, file(text).map(Some))),
    },
    Setting {
        key: "token_cookie",
        value: "NAME",
        default: "none",
        help: "The cookie in which a browser may send a token. It counts only from pages that may use the daemon",
        set: Set::Daemon(|c, text| put(&mut c.token_cookie, cookie(text).map(Some))),
    },
    Setting {
        key: "open_to_everyone",
        value: "on|off",
        default: "off",
        help: "Listen beyond this machine although everybody may do everything",
        set: Set::Flag(|c, text| put(&mut c.is_open_to_everyone, switch(text))),
    },
    Setting {
        key: "origin",
        value: "PATTERN",
        default: "the daemon's own",
        help: "The origin of pages that may use the daemon, such as https://*.example.com; may be repeated; \
               by default pages of this machine on loopback, and of the same origin elsewhere",
        set: Set::List(|c, texts| put_list(&mut c.origins, origins(texts))),
    },
    Setting {
        key: "host",
        value: "NAME",
        default: "any",
        help: "The name by which the daemon may be asked for, besides addresses; may be repeated; on loopback \
               the default is localhost only",
        set: Set::List(|c, texts| put_list(&mut c.hosts, hosts(texts))),
    },
    Setting {
        key: "trusted_proxy",
        value: "CIDR",
        default: "none",
        help: "The network of a proxy whose word is taken for the address that it was called from, such as \
               10.0.0.0/8 or 127.0.0.1, or unix; may be repeated",
        set: Set::List(|c, texts| {
            put_list(&mut c.trusted_proxies.networks, each(texts, Network::parse))
        }),
    },
    Setting {
        key: "trusted_proxy_header",
        value: "HEADER",
        default: "none",
        help: "How trusted proxies say so: by Forwarded (forwarded), by X-Forwarded-For and X-Forwarded-Proto \
               (x-forwarded-for), or by the PROXY protocol, version 1 or 2 (proxy)",
        set: Set::Daemon(|c, text| {
            put(
                &mut c.trusted_proxies.header,
                word(text, PROXY_HEADERS).map(Some),
            )
        }),
    },
];

const TOKEN_CLAIMS: &[(&str, TokenClaims)] = &[
    ("instead", TokenClaims::Instead),
    ("add", TokenClaims::Add),
    ("narrow", TokenClaims::Narrow),
];

const PROXY_HEADERS: &[(&str, TrustedHeader)] = &[
    ("forwarded", TrustedHeader::Forwarded),
    ("x-forwarded-for", TrustedHeader::XForwardedFor),
    ("proxy", TrustedHeader::Proxy),
];

fn origins(texts: &[String]) -> Result<Origins, Vec<Mistake>> {
    each(texts, OriginPattern::parse).map(Origins::of)
}

fn hosts(texts: &[String]) -> Result<Hosts, Vec<Mistake>> {
    each(texts, HostName::parse).map(Hosts::of)
}

/// A cookie's name is a token (RFC 6265 §4.1.1).
fn cookie(text: &str) -> Result<Box<str>, String> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    match !text.is_empty() && text.bytes().all(is_token) {
        true => Ok(text.into()),
        false => Err(format!(
            "{text:?} is not the name of a cookie: give letters, digits, - and _, such as fanfare_token"
        )),
    }
}
