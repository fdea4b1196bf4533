//! What is allowed, by what; and what is denied, for want of what.

use std::fmt::Write as _;

use fanfare::auth::identity::{Claims, Identity};
use fanfare::auth::rules::{Rights, Rules, Source, TokenClaims};
use fanfare::channel::name::is_daemons_own;
use fanfare::channel::topic::Topic;
use fanfare::config::Listen;

/// Whether something is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Yes(Source),
    No(Denial),
}

/// Why something is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Denial {
    /// Nothing was configured, and the topic is the daemon's own.
    DaemonsOwn,
    /// The rule with this index would allow it, but for what the token names.
    Token(usize),
    /// No rule allows it.
    NoRule,
}

/// What was asked about; `None`: it was not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answers {
    subscribe: Option<Answer>,
    publish: Option<Answer>,
}

impl Answers {
    /// Whether somebody may subscribe to a topic, and publish to it, as far as it is asked.
    pub(super) fn of(
        rules: &Rules,
        identity: Option<&Identity>,
        listener: &Listen,
        topic: Topic<'_>,
        (asks_subscribe, asks_publish): (bool, bool),
    ) -> Answers {
        let rights = rules.rights(identity, listener);
        // What the rules say of somebody whose token names nothing.
        let plain = identity.map(|identity| Identity {
            claims: Claims::default(),
            ..identity.clone()
        });
        let plain = rules.rights(plain.as_ref(), listener);
        let answer = |source: &dyn Fn(&Rights) -> Option<Source>| match source(&rights) {
            Some(source) => Answer::Yes(source),
            None if rights.are_all() && is_daemons_own(topic.text()) => {
                Answer::No(Denial::DaemonsOwn)
            }
            None => Answer::No(match source(&plain) {
                Some(Source::Rule(index)) => Denial::Token(index),
                _ => Denial::NoRule,
            }),
        };
        Answers {
            subscribe: asks_subscribe.then(|| answer(&|rights| rights.subscribe(topic))),
            publish: asks_publish.then(|| answer(&|rights| rights.publish(topic.text()))),
        }
    }

    /// Whether all that was asked about is allowed.
    pub(super) fn are_all_yes(&self) -> bool {
        let asked = [self.subscribe, self.publish].into_iter().flatten();
        asked
            .into_iter()
            .all(|answer| matches!(answer, Answer::Yes(_)))
    }

    /// A line for each.
    pub(super) fn lines(&self, rules: &Rules) -> String {
        let mut text = String::new();
        for (name, answer) in [("subscribe", self.subscribe), ("publish", self.publish)] {
            if let Some(answer) = answer {
                let (word, why) = match answer {
                    Answer::Yes(source) => ("yes", allowed(source, rules)),
                    Answer::No(denial) => ("no", denied(denial, rules)),
                };
                // A String takes everything.
                let _ = writeln!(text, "  {name:<9}  {word:<3}  {why}");
            }
        }
        text
    }
}

fn rule(index: usize, rules: &Rules) -> String {
    let rule = rules.rules.get(index);
    rule.map_or_else(String::new, |rule| {
        format!("{}: who = {:?}", rule.place, rule.who.to_string())
    })
}

fn allowed(source: Source, rules: &Rules) -> String {
    match source {
        Source::Open => {
            "the daemon is open: there is no [[allow]] and no means of authentication".to_owned()
        }
        Source::Rule(index) => rule(index, rules),
        Source::Token => "the token names it".to_owned(),
    }
}

fn denied(denial: Denial, rules: &Rules) -> String {
    match denial {
        Denial::DaemonsOwn => "a name that begins with $ is the daemon's own".to_owned(),
        Denial::NoRule if rules.rules.is_empty() => "there is no [[allow]]".to_owned(),
        Denial::NoRule => "no [[allow]] grants it".to_owned(),
        Denial::Token(index) => {
            let how = match rules.token_claims {
                TokenClaims::Narrow => "token_claims = \"narrow\"",
                TokenClaims::Instead | TokenClaims::Add => "token_claims = \"instead\"",
            };
            let rule = rule(index, rules);
            format!("the token names other channels ({how}); without that: {rule}")
        }
    }
}
