//! Which tokens are taken.

use std::path::PathBuf;

#[cfg(feature = "cli")]
pub(super) use settings::{TOKENS, file};

/// Where the keys of tokens are, and what a token must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenConfig {
    /// The file of a secret for HMAC.
    pub secret_file: Option<PathBuf>,
    /// The files of public keys, in PEM.
    pub keys: Vec<PathBuf>,
    /// The file of a JSON Web Key Set.
    pub jwks: Option<PathBuf>,
    /// Where a JSON Web Key Set is fetched: `https:`, or `http:` on this machine.
    pub jwks_url: Option<String>,
    /// What `iss` must be, or `None`: anything, or nothing.
    pub issuer: Option<String>,
    /// What `aud` must name, or `None`: there must be no `aud`.
    pub audience: Option<String>,
    /// Whether a token must have an end.
    pub needs_expiry: bool,
}

impl Default for TokenConfig {
    fn default() -> Self {
        Self {
            secret_file: None,
            keys: Vec::new(),
            jwks: None,
            jwks_url: None,
            issuer: None,
            audience: None,
            needs_expiry: true,
        }
    }
}

impl TokenConfig {
    /// The files of its keys.
    pub fn files(&self) -> Vec<PathBuf> {
        let files = self.secret_file.iter().chain(&self.keys);
        files.chain(&self.jwks).cloned().collect()
    }

    /// Whether there are keys, or will be: else no token is good.
    pub fn has_keys(&self) -> bool {
        self.secret_file.is_some()
            || !self.keys.is_empty()
            || self.jwks.is_some()
            || self.jwks_url.is_some()
    }
}

/// The rows of the table.
#[cfg(feature = "cli")]
mod settings {
    use std::path::PathBuf;

    use crate::auth::token::check_url;
    use crate::config::mistake::Mistake;
    use crate::config::settings::{Set, Setting, put};
    use crate::config::units::word;

    pub(in crate::config) const TOKENS: &[Setting] = &[
        Setting {
            key: "jwt_secret_file",
            value: "FILE",
            default: "none",
            help: "The file of the secret that signs tokens as HS256, with 48 bytes also HS384, with 64 also HS512; \
                   at least 32 bytes; a line break at its end is no part of it",
            set: Set::Daemon(|c, text| put(&mut c.token.secret_file, file(text).map(Some))),
        },
        Setting {
            key: "jwt_key",
            value: "FILE",
            default: "none",
            help: "The public key or the certificate, in PEM, of who signs tokens: RSA (RS256, PS256), P-256 (ES256) or \
                   Ed25519 (EdDSA); may be repeated",
            set: Set::List(|c, texts| {
                c.token.keys = files(texts)?;
                Ok(())
            }),
        },
        Setting {
            key: "jwks",
            value: "FILE",
            default: "none",
            help: "A JSON Web Key Set with the keys of who signs tokens",
            set: Set::Daemon(|c, text| put(&mut c.token.jwks, file(text).map(Some))),
        },
        Setting {
            key: "jwks_url",
            value: "URL",
            default: "none",
            help: "Where such a set is fetched every hour, and once a minute at most when a token names a key that is not \
                   known: https:, or http: on this machine",
            set: Set::Daemon(|c, text| put(&mut c.token.jwks_url, url(text).map(Some))),
        },
        Setting {
            key: "jwt_issuer",
            value: "TEXT",
            default: "any",
            help: "What the `iss` of a token must be",
            set: Set::Daemon(|c, text| put(&mut c.token.issuer, some(text).map(Some))),
        },
        Setting {
            key: "jwt_audience",
            value: "TEXT",
            default: "none",
            help: "What the `aud` of a token must name; without it a token must have no `aud`, since it is for \
                   somebody else",
            set: Set::Daemon(|c, text| put(&mut c.token.audience, some(text).map(Some))),
        },
        Setting {
            key: "jwt_expiry",
            value: "HOW",
            default: "required",
            help: "Whether a token must have an end: required, or optional",
            set: Set::Daemon(|c, text| put(&mut c.token.needs_expiry, word(text, EXPIRY))),
        },
    ];

    const EXPIRY: &[(&str, bool)] = &[("required", true), ("optional", false)];

    fn some(text: &str) -> Result<String, String> {
        match text {
            "" => Err("there is nothing: give a text, or leave the option out".into()),
            text => Ok(text.to_owned()),
        }
    }

    pub(in crate::config) fn file(text: &str) -> Result<PathBuf, String> {
        match text {
            "" => Err("there is nothing: give a file's name".into()),
            text => Ok(text.into()),
        }
    }

    fn files(texts: &[String]) -> Result<Vec<PathBuf>, Vec<Mistake>> {
        let mut files = Vec::with_capacity(texts.len());
        let mut mistakes = Vec::new();
        for (nth, text) in texts.iter().enumerate() {
            match file(text) {
                Ok(path) => files.push(path),
                Err(why) => mistakes.push(Mistake {
                    nth: Some(nth),
                    why,
                }),
            }
        }
        match mistakes.is_empty() {
            true => Ok(files),
            false => Err(mistakes),
        }
    }

    fn url(text: &str) -> Result<String, String> {
        check_url(text).map(|()| text.to_owned())
    }
}
