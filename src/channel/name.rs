//! What a channel may be called.
//!
//! A name is 1 to 255 bytes of UTF-8, counted after unescaping and compared byte by
//! byte: parts separated by `.`, none of them empty, without control characters, white
//! space or the characters that patterns are made of.

use std::fmt;

/// The longest name, in bytes of UTF-8.
pub const MAX_BYTES: usize = 255;

/// Why a name cannot be a channel's.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It has no bytes at all.
    Empty,
    /// It is longer than [`MAX_BYTES`].
    TooLong,
    /// It begins or ends with `.`, or has two of them in a row.
    EmptyPart,
    /// It has a control character (Unicode category Cc).
    ControlCharacter,
    /// It has white space (Unicode property White_Space).
    WhiteSpace,
    /// It has this one of `*`, `>`, `+`, `#` and `/`: patterns are made of the first two, and MQTT's filters of the others.
    Reserved(char),
}

impl Why {
    /// A sentence for people.
    pub const fn explain(self) -> &'static str {
        match self {
            Self::Empty => "a channel's name has at least one byte",
            Self::TooLong => "a channel's name has at most 255 bytes",
            Self::EmptyPart => "the parts of a channel's name, between dots, may not be empty",
            Self::ControlCharacter => "a channel's name has no control characters",
            Self::WhiteSpace => "a channel's name has no white space",
            Self::Reserved('*') => {
                "a channel's name has no `*`: that stands for any part in a pattern"
            }
            Self::Reserved('>') => {
                "a channel's name has no `>`: that stands for one part or more at the end of a pattern"
            }
            Self::Reserved('+') => {
                "a channel's name has no `+`: that is of MQTT's filters, and a pattern has `*` for any part"
            }
            Self::Reserved('#') => {
                "a channel's name has no `#`: that is of MQTT's filters, and a pattern ends in `>` for one part or more"
            }
            Self::Reserved(_) => {
                "a channel's name has no `/`: that separates MQTT's levels, and `.` separates parts here"
            }
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

/// Says whether a channel can have this name, and if not, why.
///
/// Names that begin with `$` are well-formed: see [`is_daemons_own`].
///
/// # Errors
/// The first reason found against it.
pub fn check(name: &str) -> Result<(), Why> {
    if name.is_empty() {
        return Err(Why::Empty);
    }
    if name.len() > MAX_BYTES {
        return Err(Why::TooLong);
    }
    // Nearly every name is plain ASCII and gets by with one look at each byte. The bits of
    // CLASS are such that two dots in a row leave DOT in `faults`.
    let mut faults = 0;
    let mut previous = DOT;
    for &byte in name.as_bytes() {
        let class = CLASS[usize::from(byte)];
        faults |= class & (previous | OTHER);
        previous = class;
    }
    faults |= previous & DOT;
    if faults == 0 {
        return Ok(());
    }
    check_characters(name)
}

/// Whether the name is one of those that the daemon keeps for itself: nobody publishes
/// there, and only those that it has can be subscribed to.
pub fn is_daemons_own(name: &str) -> bool {
    name.starts_with('$')
}

/// The byte is a `.`.
const DOT: u8 = 1;
/// The byte may not stand in a name, or only as a part of a character beyond ASCII.
const OTHER: u8 = 2;

static CLASS: [u8; 256] = {
    let mut class = [OTHER; 256];
    let mut byte = 0x21;
    while byte < 0x7F {
        class[byte] = match byte as u8 {
            b'.' => DOT,
            b'*' | b'>' | b'+' | b'#' | b'/' => OTHER,
            _ => 0,
        };
        byte += 1;
    }
    class
};

fn check_characters(name: &str) -> Result<(), Why> {
    let mut previous = '.';
    for character in name.chars() {
        match character {
            '.' if previous == '.' => return Err(Why::EmptyPart),
            '*' | '>' | '+' | '#' | '/' => return Err(Why::Reserved(character)),
            // Line ends and tabs are both; they are reported as control characters.
            _ if character.is_control() => return Err(Why::ControlCharacter),
            _ if character.is_whitespace() => return Err(Why::WhiteSpace),
            _ => previous = character,
        }
    }
    if previous == '.' {
        return Err(Why::EmptyPart);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_made_of_parts_are_good() {
        for name in [
            "a",
            "prices",
            "prices.EUR-USD.bid",
            "$system.load",
            "a$b",
            "café.größe.日本語.🎺",
            "\"quoted\\",
            "{}[]:,;=?!@&%|~^`'<()_",
        ] {
            assert_eq!(check(name), Ok(()), "{name:?}");
        }
        assert_eq!(check(&"x".repeat(255)), Ok(()));
        assert_eq!(check(&format!("{}x", "é".repeat(127))), Ok(()));
    }

    #[test]
    fn each_rule_refuses_with_its_own_reason() {
        let table = [
            ("", Why::Empty),
            (".", Why::EmptyPart),
            (".a", Why::EmptyPart),
            ("a.", Why::EmptyPart),
            ("a..b", Why::EmptyPart),
            ("é.", Why::EmptyPart),
            (".é", Why::EmptyPart),
            ("é..é", Why::EmptyPart),
            ("a*", Why::Reserved('*')),
            ("a.>", Why::Reserved('>')),
            ("+.b", Why::Reserved('+')),
            ("a#b", Why::Reserved('#')),
            ("a/b", Why::Reserved('/')),
            ("é/b", Why::Reserved('/')),
            ("é/*", Why::Reserved('/')),
            ("a\0", Why::ControlCharacter),
            ("a\tb", Why::ControlCharacter),
            ("a\nb", Why::ControlCharacter),
            ("a\u{7f}", Why::ControlCharacter),
            ("a\u{80}", Why::ControlCharacter),
            ("a\u{85}", Why::ControlCharacter),
            ("a\u{9f}", Why::ControlCharacter),
            ("a b", Why::WhiteSpace),
            ("a\u{a0}b", Why::WhiteSpace),
            ("a\u{1680}", Why::WhiteSpace),
            ("a\u{2003}", Why::WhiteSpace),
            ("a\u{2028}", Why::WhiteSpace),
            ("a\u{202f}", Why::WhiteSpace),
            ("a\u{205f}", Why::WhiteSpace),
            ("\u{3000}a", Why::WhiteSpace),
        ];
        for (name, why) in table {
            assert_eq!(check(name), Err(why), "{name:?}");
        }
        assert_eq!(check(&"x".repeat(256)), Err(Why::TooLong));
        assert_eq!(check(&"é".repeat(128)), Err(Why::TooLong));
    }

    #[test]
    fn a_reserved_character_is_named_with_what_a_pattern_has_for_it() {
        for (found, pattern_has) in [
            ("*", "any part"),
            (">", "one part or more"),
            ("+", "`*`"),
            ("#", "`>`"),
            ("/", "`.`"),
        ] {
            let told = check(&format!("a.{found}")).expect_err(found).explain();
            assert!(told.contains(&format!("no `{found}`:")), "{told}");
            assert!(told.contains(pattern_has), "{told}");
        }
    }

    #[test]
    fn names_that_begin_with_a_dollar_are_the_daemons_own() {
        assert!(is_daemons_own("$"));
        assert!(is_daemons_own("$system.load"));
        assert!(!is_daemons_own("system.$load"));
    }
}
