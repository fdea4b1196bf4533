//! What is wrong with a text that is not JSON, in words that help to mend it.

use std::borrow::Cow;

/// Why a message is not JSON as the protocol wants it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotJson {
    /// Which rule or limit it breaks, for people: at most some 300 bytes.
    pub(super) message: Cow<'static, str>,
    /// Where, in bytes from the start. `None` if the message is empty.
    pub(super) offset: Option<usize>,
}

/// A rule that is broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum What {
    /// A value should begin here.
    Value,
    /// A key should begin here.
    Key,
    /// A `:` should stand here.
    Colon,
    /// A `,` or `]` should stand here.
    InArray,
    /// A `,` or `}` should stand here.
    InObject,
    /// The text should end here.
    Trailing,
    /// This bracket is one too many.
    Depth,
    /// The string is not closed.
    Unclosed,
    /// A string has a control character here.
    Control,
    /// JSON does not know this escape.
    Escape,
    /// A number needs a digit here.
    Digit,
    /// This number is too large.
    Range,
}

/// A rule that is broken, and where.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Fault {
    what: What,
    /// In bytes from the start of the text.
    at: usize,
}

/// So much of what stands in the text is looked at, in bytes, …
const LOOKED_AT: usize = 160;

/// … and so much of it is shown, in characters.
const SHOWN: usize = 24;

impl Fault {
    #[inline(always)]
    pub(super) const fn new(what: What, at: usize) -> Self {
        Self { what, at }
    }

    /// Says it for people. `text` is the text that was read, in UTF-8.
    #[cold]
    pub(super) fn explain(self, text: &[u8]) -> NotJson {
        let at = self.start(text);
        let rest = text.get(at..).unwrap_or_default();
        let rest = &rest[..rest.len().min(LOOKED_AT)];
        // What is cut off in the middle of a character is left out.
        let found = rest.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        if text.iter().all(|byte| b" \t\r\n".contains(byte)) {
            return NotJson {
                message: Cow::Borrowed("the message is empty"),
                offset: None,
            };
        }
        NotJson {
            message: self.words(found, text.get(..at).unwrap_or_default()),
            offset: Some(at),
        }
    }

    /// Where the fault begins: a word goes wrong as a whole.
    fn start(self, text: &[u8]) -> usize {
        let before = text.get(..self.at).unwrap_or_default();
        let after = text.get(self.at).is_some_and(u8::is_ascii_alphabetic);
        match self.what {
            What::InArray | What::InObject | What::Trailing if after => {
                let letters = before.iter().rev();
                self.at
                    - letters
                        .take_while(|byte| byte.is_ascii_alphabetic())
                        .count()
            }
            _ => self.at,
        }
    }

    fn words(self, found: &str, before: &[u8]) -> Cow<'static, str> {
        let shown = Shown::of(found);
        let here = &shown.0;
        let last = before.iter().rev().find(|byte| !b" \t\r\n".contains(byte));
        let said = match self.what {
            What::Unclosed => "a string is not closed: a `\"` is missing".to_owned(),
            What::Value | What::Key | What::Colon | What::InArray | What::InObject
                if found.is_empty() =>
            {
                format!("the message ends too early: {} is missing", self.wanted())
            }
            What::Digit if found.is_empty() => {
                "the message ends too early: a digit is missing".to_owned()
            }
            What::Value => no_value(found, here, last),
            What::Key => no_key(found, here, last),
            What::InArray | What::InObject | What::Trailing
                if found.starts_with(|c: char| c.is_ascii_alphabetic())
                    && !ends_in_digit(before) =>
            {
                match self.what {
                    What::Trailing => format!("{here} stands after the value"),
                    _ => format!("{here} is no JSON value"),
                }
            }
            What::InArray | What::InObject | What::Trailing
                if found.starts_with(|c: char| c.is_ascii_digit()) && ends_in_digit(before) =>
            {
                "a number does not begin with 0 unless a `.` follows".to_owned()
            }
            What::Trailing => format!("{here} stands after the value"),
            What::Colon => format!("a `:` is missing after a key; {here} stands there"),
            What::InArray | What::InObject => {
                format!("{} is missing; {here} stands there", self.wanted())
            }
            What::Depth => "nested more than 64 levels deep".to_owned(),
            What::Control => {
                format!("a string has a control character, {here}: it needs an escape")
            }
            What::Escape => match found.get(..2) {
                Some("\\u") => format!(
                    "{} is no escape: four hexadecimal digits follow `\\u`, and surrogates come in pairs",
                    Shown::escape(found).0,
                ),
                _ => format!("{} is no escape that JSON knows", Shown::escape(found).0),
            },
            What::Digit => format!("a number needs a digit; {here} stands there"),
            What::Range => format!("the number {here} is beyond the range of a double"),
        };
        Cow::Owned(said)
    }

    const fn wanted(self) -> &'static str {
        match self.what {
            What::Key => "a key or a `}`",
            What::Colon => "a `:`",
            What::InArray => "a `,` or a `]`",
            What::InObject => "a `,` or a `}`",
            _ => "a value",
        }
    }
}

fn ends_in_digit(before: &[u8]) -> bool {
    before.last().is_some_and(u8::is_ascii_digit)
}

/// Why no value begins with what was found.
fn no_value(found: &str, here: &str, last: Option<&u8>) -> String {
    let word: &str = found
        .split(|c: char| !c.is_ascii_alphanumeric())
        .next()
        .unwrap_or_default();
    let lower = word.to_ascii_lowercase();
    match (found.chars().next().unwrap_or_default(), &*lower) {
        ('\'', _) => format!("a text needs double quotes (\"): {here}"),
        ('\u{feff}', _) => "a message does not begin with a byte order mark".to_owned(),
        ('/', _) if found.starts_with("//") || found.starts_with("/*") => {
            "JSON has no comments".to_owned()
        }
        ('+' | '.', _) => format!("a number begins with a digit or a `-`; {here} stands there"),
        (_, "nan" | "infinity" | "inf") => format!("{here} is no number that JSON knows"),
        (_, "true" | "false" | "null") if word != lower => {
            format!("{here} is no JSON value: `{lower}` is written in lower case")
        }
        (_, "none" | "nil" | "undefined") => {
            format!("{here} is no JSON value: `null` is the JSON value for nothing")
        }
        (',' | ']' | '}', _) if last == Some(&b',') => {
            format!("a value is missing between `,` and {here}")
        }
        (',' | ']' | '}' | ':', _) => format!("a value is missing; {here} stands there"),
        (first, _) if first.is_alphabetic() => {
            format!("{here} is no JSON value: a text needs double quotes (\")")
        }
        _ => format!("a value cannot begin with {here}"),
    }
}

/// Why no key begins with what was found.
fn no_key(found: &str, here: &str, last: Option<&u8>) -> String {
    match found.chars().next().unwrap_or_default() {
        '}' if last == Some(&b',') => "a key is missing between `,` and `}`".to_owned(),
        ',' => "a key is missing before `,`".to_owned(),
        '\'' => format!("a key needs double quotes (\"): {here}"),
        first if first.is_alphanumeric() || first == '_' || first == '$' => {
            format!("a key needs double quotes (\"): {here}")
        }
        _ => format!("a key is missing; {here} stands there"),
    }
}

/// What stands in the text, in backquotes, shortened, and with control characters escaped.
struct Shown(String);

impl Shown {
    /// The word or the number that `found` begins with, what is in single quotes, or one character.
    fn of(found: &str) -> Self {
        let mut characters = found.chars();
        let first = characters.next().unwrap_or_default();
        let len = match first {
            '\'' => found[1..].find('\'').map_or(found.len(), |at| at + 2),
            '-' | '+' | '.' | '_' | '$' => word_len(found),
            _ if first.is_alphanumeric() => word_len(found),
            _ => first.len_utf8(),
        };
        Self::quote(&found[..len.min(found.len())])
    }

    /// The escape that `found` begins with.
    fn escape(found: &str) -> Self {
        let len = if found.starts_with("\\u") { 6 } else { 2 };
        let len = found
            .char_indices()
            .nth(len)
            .map_or(found.len(), |(at, _)| at);
        Self::quote(&found[..len])
    }

    fn quote(text: &str) -> Self {
        let mut shown = String::from("`");
        for (count, character) in text.chars().enumerate() {
            if count == SHOWN {
                shown.push('…');
                break;
            }
            match character {
                '\\' | '\'' | '"' => shown.push(character),
                _ => shown.extend(character.escape_debug()),
            }
        }
        shown.push('`');
        Self(shown)
    }
}

fn word_len(found: &str) -> usize {
    let goes_on = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '-' | '+' | '.');
    found.find(|c| !goes_on(c)).unwrap_or(found.len())
}

#[cfg(test)]
mod tests;
