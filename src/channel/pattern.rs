//! Patterns: which channel names are meant, part by part.

use std::fmt;

use super::matcher::matches_parts;
use super::name;

/// Which channel names are meant: parts separated by `.`, where `*` stands for exactly one part
/// and `>`, as the last part, for one or more.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern(String);

/// Why a text is no pattern.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It has no bytes at all, or more than [`MAX_BYTES`](name::MAX_BYTES).
    Length,
    /// It begins or ends with `.`, or has two of them in a row.
    EmptyPart,
    /// `>` is a part, but not the last one.
    NotLast,
    /// `*` or `>` stands in a part with other characters.
    NotAlone,
    /// It has a control character (Unicode category Cc).
    ControlCharacter,
    /// It has white space (Unicode property White_Space).
    WhiteSpace,
    /// It has this one of `+`, `#` and `/`, which MQTT's filters are made of.
    Reserved(char),
}

impl Why {
    /// A sentence for people.
    pub const fn explain(self) -> &'static str {
        match self {
            Self::Length => "a pattern has 1 to 255 bytes",
            Self::EmptyPart => "a pattern has no empty part",
            Self::NotLast => "`>` can only be a pattern's last part",
            Self::NotAlone => "`*` and `>` can only be a whole part of a pattern",
            Self::ControlCharacter => "a pattern has no control characters",
            Self::WhiteSpace => "a pattern has no white space",
            Self::Reserved('+') => "a pattern has no `+`: `*` stands for any part here",
            Self::Reserved('#') => {
                "a pattern has no `#`: `>` stands for one part or more here, at the end"
            }
            Self::Reserved(_) => "a pattern has no `/`: `.` separates parts here",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.explain())
    }
}

impl std::error::Error for Why {}

crate::words::in_words!(Why);

impl Pattern {
    /// Says whether `text` is a pattern, and if not, why. It allocates nothing, and its cost is linear in at most 255 bytes.
    ///
    /// Patterns that begin with `$` are well-formed, but stand for no channel: see [`name::is_daemons_own`].
    ///
    /// # Errors
    /// The first reason found against it.
    pub fn check(text: &str) -> Result<(), Why> {
        if text.is_empty() || text.len() > name::MAX_BYTES {
            return Err(Why::Length);
        }
        let mut parts = text.split('.').peekable();
        while let Some(part) = parts.next() {
            match part {
                "" => return Err(Why::EmptyPart),
                "*" => {}
                ">" if parts.peek().is_some() => return Err(Why::NotLast),
                ">" => {}
                _ => check_literal(part)?,
            }
        }
        Ok(())
    }

    /// The same of a pattern that somebody wants to subscribe to, which does not begin with `$`.
    ///
    /// # Errors
    /// The first reason found against it, as a sentence.
    pub fn check_wanted(text: &str) -> Result<(), &'static str> {
        Self::check(text).map_err(Why::explain)?;
        match name::is_daemons_own(text) {
            false => Ok(()),
            true => {
                Err("no pattern stands for the daemon's own channels, whose names begin with `$`")
            }
        }
    }

    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with the text, and what is allowed.
    pub fn parse(text: &str) -> Result<Pattern, String> {
        match Self::check(text) {
            Ok(()) => Ok(Pattern(text.to_owned())),
            Err(why) => Err(format!(
                "{text:?} is not a pattern: {why}. Its parts are separated by `.`; `*` is any one \
                 part, `>` as the last part is one or more, such as \"prices.*\" or \"prices.>\""
            )),
        }
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the channel of this name is meant.
    pub fn matches(&self, name: &str) -> bool {
        matches_parts(&self.0, name, false)
    }

    /// Whether this pattern matches every name that `other` matches.
    pub fn covers(&self, other: &Pattern) -> bool {
        let mut parts = other.0.split('.');
        for wanted in self.0.split('.') {
            match (wanted, parts.next()) {
                (">", Some(_)) => return true,
                // `>` stands for more than one part too, and no other part does.
                (_, None | Some(">")) => return false,
                ("*", Some(_)) => {}
                (literal, Some(part)) if literal == part => {}
                _ => return false,
            }
        }
        parts.next().is_none()
    }
}

/// Checks a part that stands for itself.
fn check_literal(part: &str) -> Result<(), Why> {
    for character in part.chars() {
        match character {
            '*' | '>' => return Err(Why::NotAlone),
            '+' | '#' | '/' => return Err(Why::Reserved(character)),
            // Line ends and tabs are both; they are reported as control characters.
            _ if character.is_control() => return Err(Why::ControlCharacter),
            _ if character.is_whitespace() => return Err(Why::WhiteSpace),
            _ => {}
        }
    }
    Ok(())
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).expect("a pattern of this test")
    }

    #[test]
    fn a_pattern_matches_part_by_part() {
        let cases = [
            ("prices", "prices", true),
            ("prices", "prices.eur", false),
            ("prices.eur", "prices", false),
            ("prices.*", "prices.eur", true),
            ("prices.*", "prices", false),
            ("prices.*", "prices.eur.usd", false),
            ("*.eur", "prices.eur", true),
            ("*", "prices", true),
            ("*", "prices.eur", false),
            ("prices.>", "prices", false),
            ("prices.>", "prices.eur", true),
            ("prices.>", "prices.eur.usd", true),
            (">", "a", true),
            (">", "a.b.c", true),
            ("*.>", "a", false),
            ("*.>", "a.b.c", true),
            ("price", "prices", false),
            ("größe.*", "größe.ü", true),
        ];
        for (text, name, expected) in cases {
            assert_eq!(pattern(text).matches(name), expected, "{text} on {name}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused_and_told_why() {
        let long = "x".repeat(256);
        let cases = [
            ("", "1 to 255 bytes"),
            (long.as_str(), "1 to 255 bytes"),
            ("prices..eur", "no empty part"),
            (".prices", "no empty part"),
            ("prices.", "no empty part"),
            ("prices.eu*", "only be a whole part"),
            ("prices.>x", "only be a whole part"),
            ("**", "only be a whole part"),
            (">.eur", "only be a pattern's last part"),
            ("a b", "white space"),
            ("a\u{7}", "control characters"),
            ("a/b", "`/`"),
            ("#", "`#`"),
            ("a.+", "`+`"),
        ];
        for (text, why) in cases {
            let refusal = Pattern::parse(text).expect_err(text);
            assert!(refusal.contains(why), "{text}: {refusal}");
        }
    }

    proptest! {
        #[test]
        fn a_pattern_that_covers_another_matches_all_that_it_matches(
            one in "[ab*]([.][ab*]){0,2}([.]>)?",
            other in "[ab*]([.][ab*]){0,2}([.]>)?",
            name in "[abc]([.][abc]){0,4}",
        ) {
            let (one, other) = (pattern(&one), pattern(&other));
            prop_assert!(one.covers(&one));
            if one.covers(&other) && other.matches(&name) {
                prop_assert!(one.matches(&name));
            }
        }
    }
}
