//! What is granted to whom.
//!
//! A **rule** is an `[[allow]]` block: who, and what they are granted. A **grant** is a pattern of channels, in which `{subject}`
//! stands for the client's own name. The **rights** of a client are all that follows for it: they are made once, when it is
//! known who it is, and made anew after a reload.
//!
//! Without a means of authentication and without a rule the daemon is open: everybody may do everything.

#[cfg(test)]
mod tests;

use std::fmt;

use super::glob::Glob;
use super::identity::{Claims, Identity, Means};
use crate::channel::matcher::Matcher;
use crate::channel::name::{self, is_daemons_own};
use crate::channel::pattern::{Pattern, Why};
use crate::channel::topic::Topic;
use crate::config::Listen;

/// What stands for the client's own name in a grant.
const SUBJECT: &str = "{subject}";

/// The clients that a rule is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Everybody, known or not.
    Anonymous,
    /// Each client that has shown who it is.
    Authenticated,
    /// A client that has shown to have such a name, by these means or by any.
    Subject(Option<Means>, Glob),
    /// A client that comes by this listener.
    Listener(Listen),
}

impl Who {
    /// Reads what stands in a rule. `listen` reads an address as `--listen` does.
    ///
    /// # Errors
    /// What is wrong with it, and what is allowed.
    pub fn parse(
        text: &str,
        listen: impl FnOnce(&str) -> Result<Listen, String>,
    ) -> Result<Who, String> {
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        let means = match (kind, rest) {
            ("anonymous", "") => return Ok(Who::Anonymous),
            ("authenticated", "") => return Ok(Who::Authenticated),
            ("listener", rest) if !rest.is_empty() => return listen(rest).map(Who::Listener),
            ("subject", _) => None,
            ("cert", _) => Some(Means::Certificate),
            ("basic", _) => Some(Means::Basic),
            ("jwt", _) => Some(Means::Token),
            _ => return Err(unknown(text)),
        };
        if rest.is_empty() {
            return Err(format!(
                "{text:?} names nobody: a name follows the colon, in which `*` stands for any characters"
            ));
        }
        Ok(Who::Subject(means, Glob::new(rest)))
    }

    fn is(&self, identity: Option<&Identity>, listener: &Listen) -> bool {
        match self {
            Who::Anonymous => true,
            Who::Authenticated => identity.is_some(),
            Who::Listener(address) => address == listener,
            Who::Subject(means, glob) => identity.is_some_and(|identity| {
                means.is_none_or(|means| means == identity.means) && glob.matches(&identity.subject)
            }),
        }
    }

    /// Whether it is for those too who have not shown who they are.
    fn is_for_strangers(&self) -> bool {
        matches!(self, Who::Anonymous | Who::Listener(_))
    }
}

fn unknown(text: &str) -> String {
    format!(
        "{text:?} is nobody: allowed are \"anonymous\", \"authenticated\", \"subject:NAME\", \"cert:NAME\", \"basic:NAME\", \
         \"jwt:NAME\" and \"listener:ADDR\", where `*` in a NAME stands for any characters"
    )
}

/// As it stands in a rule.
impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Anonymous => f.write_str("anonymous"),
            Who::Authenticated => f.write_str("authenticated"),
            Who::Subject(None, glob) => write!(f, "subject:{}", glob.as_str()),
            Who::Subject(Some(means), glob) => write!(f, "{}:{}", means.name(), glob.as_str()),
            Who::Listener(address) => write!(f, "listener:{address}"),
        }
    }
}

/// A pattern of channels in a rule. `{subject}` is a whole part of it, or does not stand in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant(Box<str>);

impl Grant {
    /// Reads what stands in a rule.
    ///
    /// # Errors
    /// What is wrong with it, and what is allowed.
    pub fn parse(text: &str) -> Result<Grant, String> {
        let parts = text.split('.');
        if parts
            .clone()
            .any(|part| part != SUBJECT && part.contains(SUBJECT))
        {
            return Err(format!(
                "{text:?} is no grant: `{SUBJECT}` can only be a whole part of it, such as \"inbox.{SUBJECT}\""
            ));
        }
        Grant(text.into()).pattern(Some("x")).map_err(|_| {
            let why = Pattern::check(&text.replace(SUBJECT, "x")).err();
            let why = why.map_or("", Why::explain);
            format!(
                "{text:?} is no grant: {why}. Its parts are separated by `.`; `*` is any one part, `>` as the last part is one or \
                 more, and `{SUBJECT}` the client's own name"
            )
        })?;
        Ok(Grant(text.into()))
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the client's own name stands in it.
    fn names_subject(&self) -> bool {
        self.0.split('.').any(|part| part == SUBJECT)
    }

    /// The pattern that it is for somebody of this name, which can be a part.
    fn pattern(&self, subject: Option<&str>) -> Result<Pattern, String> {
        let subject = subject.unwrap_or_default();
        let parts: Vec<&str> = self
            .0
            .split('.')
            .map(|part| if part == SUBJECT { subject } else { part })
            .collect();
        Pattern::parse(&parts.join("."))
    }
}

/// Whether a client's name can be one literal part of a channel's name, wherever it stands there.
fn can_be_a_part(subject: &str) -> bool {
    !subject.contains('.') && !subject.starts_with('$') && name::check(subject).is_ok()
}

/// An `[[allow]]` block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The clients that it is for.
    pub who: Who,
    /// What they may subscribe to.
    pub subscribe: Vec<Grant>,
    /// Where they may publish.
    pub publish: Vec<Grant>,
    /// Whether they may do what an administrator does.
    pub admin: bool,
    /// Where it stands, for messages: `fanfare.toml:12`.
    pub place: Box<str>,
}

impl Rule {
    /// Whether it holds for a client: a rule that names its subject does so only where the name can be a part.
    fn holds(&self, identity: Option<&Identity>, listener: &Listen) -> bool {
        let mut grants = self.subscribe.iter().chain(&self.publish);
        self.who.is(identity, listener)
            && (!grants.any(Grant::names_subject)
                || identity.is_some_and(|identity| can_be_a_part(&identity.subject)))
    }
}

/// What the channels that a token names do to what the rules say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenClaims {
    /// They take its place, but for what everybody has.
    #[default]
    Instead,
    /// They are added to it.
    Add,
    /// What both allow is allowed, and what everybody has.
    Narrow,
}

/// All rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// In the file's order, which is of no importance: each that holds adds to the rights.
    pub rules: Vec<Rule>,
    /// What tokens' claims do.
    pub token_claims: TokenClaims,
    /// Whether there is a means by which a client can show who it is.
    pub knows_people: bool,
}

/// What allows something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The daemon is open to everybody.
    Open,
    /// The rule with this index.
    Rule(usize),
    /// The token itself.
    Token,
}

/// One thing that a client was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Granted {
    pattern: Pattern,
    source: Source,
    /// It is for strangers, too, so no token takes it away.
    is_for_strangers: bool,
}

/// Whether a grant is for a topic as a whole.
fn covers(grant: &Pattern, topic: Topic<'_>) -> bool {
    // What is granted of the daemon's own is granted by name.
    if is_daemons_own(topic.text()) && !is_daemons_own(grant.as_str()) {
        return false;
    }
    let covers = |text: &str| Pattern::parse(text).is_ok_and(|wanted| grant.covers(&wanted));
    match topic {
        Topic::Channel(name) => grant.matches(name),
        Topic::Pattern(Matcher::Parts, text) => covers(text),
        Topic::Pattern(Matcher::PartsAndParent, text) => {
            covers(text) && text.strip_suffix(".>").is_none_or(covers)
        }
        // A prefix ends anywhere in a part.
        Topic::Pattern(Matcher::Prefix, _) => grant.as_str() == ">",
    }
}

/// What one client may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights {
    is_open: bool,
    subscribe: Vec<Granted>,
    publish: Vec<Granted>,
    /// Where a token only narrows what the rules say: what it names.
    only: Option<Claims>,
    admin: bool,
}

impl Rules {
    /// Whether everybody may do everything, since nothing was configured.
    pub fn are_open(&self) -> bool {
        self.rules.is_empty() && !self.knows_people
    }

    /// What a client may do that comes by this listener and is this, or nobody known.
    pub fn rights(&self, identity: Option<&Identity>, listener: &Listen) -> Rights {
        if self.are_open() {
            return Rights::all();
        }
        let mut rights = Rights::none();
        let nothing = Claims::default();
        let claims = identity.map_or(&nothing, |identity| &identity.claims);
        let claimed = claims.name_channels();
        let instead = claimed && self.token_claims == TokenClaims::Instead;
        let subject = identity.map(|identity| &*identity.subject);
        for (index, rule) in self.rules.iter().enumerate() {
            if rule.holds(identity, listener) && (!instead || rule.who.is_for_strangers()) {
                rights.admin |= rule.admin;
                let granted = |grants: &[Grant]| {
                    let patterns = grants
                        .iter()
                        .filter_map(|grant| grant.pattern(subject).ok());
                    let granted = patterns.map(|pattern| Granted {
                        pattern,
                        source: Source::Rule(index),
                        is_for_strangers: rule.who.is_for_strangers(),
                    });
                    granted.collect::<Vec<_>>()
                };
                rights.subscribe.extend(granted(&rule.subscribe));
                rights.publish.extend(granted(&rule.publish));
            }
        }
        if self.token_claims == TokenClaims::Narrow {
            // A token that names channels says all that it is for.
            rights.admin &= claims.admin.unwrap_or(!claimed);
            rights.only = claimed.then(|| claims.clone());
            return rights;
        }
        claim(&mut rights.subscribe, claims.subscribe.as_deref());
        claim(&mut rights.publish, claims.publish.as_deref());
        rights.admin = claims.admin.unwrap_or(rights.admin);
        rights
    }
}

/// Adds what a token names.
fn claim(granted: &mut Vec<Granted>, claims: Option<&[Pattern]>) {
    let patterns = claims.into_iter().flatten().cloned();
    granted.extend(patterns.map(|pattern| Granted {
        pattern,
        source: Source::Token,
        is_for_strangers: false,
    }));
}

impl Rights {
    /// Those of everybody where the daemon is open.
    pub const fn all() -> Rights {
        Rights {
            is_open: true,
            subscribe: Vec::new(),
            publish: Vec::new(),
            only: None,
            admin: true,
        }
    }

    /// Those of somebody who may do nothing.
    pub const fn none() -> Rights {
        Rights {
            is_open: false,
            subscribe: Vec::new(),
            publish: Vec::new(),
            only: None,
            admin: false,
        }
    }

    /// Whether they are those of everybody where the daemon is open. The daemon's own channels are beyond them.
    #[inline]
    pub const fn are_all(&self) -> bool {
        self.is_open
    }

    /// Whether they allow nothing at all.
    pub fn are_none(&self) -> bool {
        !self.is_open && !self.admin && self.subscribe.is_empty() && self.publish.is_empty()
    }

    /// From now on they are those of an administrator, too.
    pub fn administer(&mut self) {
        self.admin = true;
    }

    /// Whether they are those of an administrator.
    pub const fn admin(&self) -> bool {
        self.admin
    }

    /// What allows to subscribe to a channel, or to the whole of a pattern.
    pub fn subscribe(&self, topic: Topic<'_>) -> Option<Source> {
        let only = self.only.as_ref().map(|claims| &claims.subscribe);
        self.source(&self.subscribe, only, topic)
    }

    /// What allows to publish in a channel.
    pub fn publish(&self, channel: &str) -> Option<Source> {
        let only = self.only.as_ref().map(|claims| &claims.publish);
        self.source(&self.publish, only, Topic::Channel(channel))
    }

    fn source(
        &self,
        granted: &[Granted],
        only: Option<&Option<Vec<Pattern>>>,
        topic: Topic<'_>,
    ) -> Option<Source> {
        if self.is_open {
            return (!is_daemons_own(topic.text())).then_some(Source::Open);
        }
        let mut covering = granted
            .iter()
            .filter(|granted| covers(&granted.pattern, topic));
        let found = match only {
            None => covering.next(),
            Some(claims) => {
                let claims = claims.as_deref().unwrap_or_default();
                let is_claimed = claims.iter().any(|claim| covers(claim, topic));
                covering.find(|granted| is_claimed || granted.is_for_strangers)
            }
        };
        found.map(|granted| granted.source)
    }
}
