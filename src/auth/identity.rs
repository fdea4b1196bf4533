//! Identities: what a client is known as.

use std::fmt;

use super::token;
use crate::channel::pattern::Pattern;

/// By which means a client showed who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Means {
    /// A certificate in the TLS handshake.
    Certificate,
    /// A name and a password (RFC 7617).
    Basic,
    /// A signed token (RFC 7519).
    Token,
}

impl Means {
    /// Its name in rules: `cert`, `basic` or `jwt`.
    pub const fn name(self) -> &'static str {
        match self {
            Means::Certificate => "cert",
            Means::Basic => "basic",
            Means::Token => "jwt",
        }
    }
}

/// What a token says that its bearer may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// What it may subscribe to; `None` if the token does not say.
    pub subscribe: Option<Vec<Pattern>>,
    /// Where it may publish; `None` if the token does not say.
    pub publish: Option<Vec<Pattern>>,
    /// Whether it may do what an administrator does; `None` if the token does not say.
    pub admin: Option<bool>,
}

impl Claims {
    /// Whether they say anything about channels.
    pub fn name_channels(&self) -> bool {
        self.subscribe.is_some() || self.publish.is_some()
    }
}

/// A client that has shown who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// How that was shown. Equal names by different means are different people.
    pub means: Means,
    /// The name.
    pub subject: Box<str>,
    /// When it ends, in seconds since 1970; `None`: never.
    pub expires: Option<u64>,
    /// When its token was issued, in seconds since 1970; `None` if there is no token, or it does not say.
    pub issued: Option<u64>,
    /// What a token says beside the name.
    pub claims: Claims,
    /// Which of the configured keys, authorities or entries vouches for it. After a reload that no longer has it, the identity
    /// does not hold.
    pub voucher: u64,
}

impl Identity {
    /// A client of this name, shown by these means, for whom `voucher` stands. It has no end and claims nothing.
    pub fn new(means: Means, subject: Box<str>, voucher: u64) -> Identity {
        Identity {
            means,
            subject,
            expires: None,
            issued: None,
            claims: Claims::default(),
            voucher,
        }
    }

    /// The bearer of a token that says this, and was checked with the key of this number.
    pub fn of_token(claims: token::Claims, key: u64) -> Identity {
        Identity {
            expires: claims.expires,
            issued: claims.issued,
            claims: Claims {
                subscribe: claims.subscribe,
                publish: claims.publish,
                admin: claims.admin,
            },
            ..Identity::new(Means::Token, claims.subject, key)
        }
    }
}

/// The means and the name, such as `jwt:ada`.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.means.name(), self.subject)
    }
}
