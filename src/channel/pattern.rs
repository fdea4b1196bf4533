//! Patterns: which channel names are meant, part by part.

use std::fmt;

use super::matcher::matches_parts;
use super::name;

/// Which channel names are meant: parts separated by `.`, where `*` stands for exactly one part
/// and `>`, as the last part, for one or more.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern(String);

impl Pattern {
    /// Reads a pattern. The error says what is wrong with it and what is allowed.
    pub fn parse(text: &str) -> Result<Pattern, String> {
        let refuse = |why: &str| {
            Err(format!(
                "{text:?} is not a pattern: {why}. Its parts are separated by `.`; `*` is any one \
                 part, `>` as the last part is one or more, such as \"prices.*\" or \"prices.>\""
            ))
        };
        if text.is_empty() || text.len() > name::MAX_BYTES {
            return refuse("it has to be 1 to 255 bytes long");
        }
        let mut parts = text.split('.').peekable();
        while let Some(part) = parts.next() {
            match part {
                "" => return refuse("it has an empty part"),
                "*" => {}
                ">" if parts.peek().is_some() => return refuse("`>` is not its last part"),
                ">" => {}
                _ if part.contains(['*', '>']) => {
                    return refuse("`*` and `>` can only be a whole part");
                }
                _ if part.contains(|c: char| {
                    c.is_control() || c.is_whitespace() || matches!(c, '+' | '#' | '/')
                }) =>
                {
                    return refuse(
                        "no channel's name has control characters, white space, `+`, `#` or `/`",
                    );
                }
                _ => {}
            }
        }
        Ok(Pattern(text.to_owned()))
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
            ("prices..eur", "an empty part"),
            (".prices", "an empty part"),
            ("prices.", "an empty part"),
            ("prices.eu*", "only be a whole part"),
            ("prices.>x", "only be a whole part"),
            ("**", "only be a whole part"),
            (">.eur", "not its last part"),
            ("a b", "white space"),
            ("a\u{7}", "control characters"),
            ("a/b", "`/`"),
            ("#", "`#`"),
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
