//! The ways in which a pattern's text stands for names. Each dialect has its own.

use super::name::is_daemons_own;

/// How a pattern's text stands for channel names.
///
/// No pattern stands for the daemon's own channels, whose names begin with `$`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Matcher {
    /// Part by part: `*` is exactly one part and `>`, as the last part, one or more.
    Parts,
    /// As [`Matcher::Parts`], but `>` is none, one or more: `a.>` stands for `a`, too.
    PartsAndParent,
    /// The name begins with the text, wherever that ends.
    Prefix,
}

impl Matcher {
    /// Whether `text` stands for the channel `name`. The cost is linear in the shorter of them.
    pub fn matches(self, text: &str, name: &str) -> bool {
        if is_daemons_own(name) {
            return false;
        }
        match self {
            Self::Prefix => name.starts_with(text),
            Self::Parts => matches_parts(text, name, false),
            Self::PartsAndParent => matches_parts(text, name, true),
        }
    }
}

/// Whether a text of parts stands for a name. `and_parent`: `>` stands for no part as well.
pub(super) fn matches_parts(text: &str, name: &str, and_parent: bool) -> bool {
    let mut parts = name.split('.');
    for wanted in text.split('.') {
        match (wanted, parts.next()) {
            (">", Some(_)) => return true,
            (">", None) => return and_parent,
            ("*", Some(_)) => {}
            (literal, Some(part)) if literal == part => {}
            _ => return false,
        }
    }
    parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_matcher_has_its_own_idea_of_what_a_text_stands_for() {
        use Matcher::{Parts, PartsAndParent, Prefix};
        let table = [
            ("a.b", "a.b", [true, true, true]),
            ("a.b", "a.bc", [false, false, true]),
            ("a", "a.b", [false, false, true]),
            ("a.*", "a", [false, false, false]),
            ("a.*", "a.b", [true, true, false]),
            ("a.*", "a.b.c", [false, false, false]),
            ("a.>", "a", [false, true, false]),
            ("a.>", "a.b.c", [true, true, false]),
            (">", "a", [true, true, false]),
            ("*.>", "a", [false, true, false]),
            ("", "a", [false, false, true]),
            (">", "$a", [false, false, false]),
            ("$a", "$a", [false, false, false]),
        ];
        for (text, name, expected) in table {
            let got = [Parts, PartsAndParent, Prefix].map(|matcher| matcher.matches(text, name));
            assert_eq!(got, expected, "{text} on {name}");
        }
    }
}
