//! Many publications in one text: where each of them stands.
//!
//! A batch is a JSON array, or one JSON value a line. No value of a batch is an array, so a batch that begins with `[` is one. Only
//! the ends of the values are looked for here: what they are is found out when each is decoded, so a fault in one leaves the others
//! as they are.

use std::ops::Range;

/// What comes next in a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Item {
    /// What may be a publication.
    Value(Range<usize>),
    /// So many bytes of white space were passed over, and there may be more.
    White(usize),
    /// The batch is whole.
    End,
    /// Nothing that follows can be found, since this is wrong at this byte.
    Broken(&'static str, usize),
}

/// So many bytes of white space are passed over at once, at least.
const MUCH_WHITE: usize = 16 * 1024;

/// How far a batch has been read.
#[derive(Clone, Copy, Default, Debug)]
pub struct Batch {
    at: usize,
    state: State,
}

#[derive(Clone, Copy, Default, Debug)]
enum State {
    #[default]
    Begin,
    Lines,
    /// In an array, before a value. The first may be missing.
    Array {
        is_first: bool,
    },
    End,
}

impl Batch {
    /// How far it has been read, as two numbers: for [`Batch::go_on`].
    pub fn place(self) -> (usize, u8) {
        let state = match self.state {
            State::Begin => 0,
            State::Lines => 1,
            State::Array { is_first: true } => 2,
            State::Array { is_first: false } => 3,
            State::End => 4,
        };
        (self.at, state)
    }

    /// The batch that has been read so far in a text of `len` bytes; `None` if none can have been.
    pub fn go_on((at, state): (usize, u8), len: usize) -> Option<Self> {
        let state = match state {
            0 => State::Begin,
            1 => State::Lines,
            2 => State::Array { is_first: true },
            3 => State::Array { is_first: false },
            4 => State::End,
            _ => return None,
        };
        (at <= len).then_some(Batch { at, state })
    }

    /// The next value in `text`, which is the same each time.
    ///
    /// The cost of all calls together is linear in the text.
    pub fn next(&mut self, text: &[u8]) -> Item {
        match self.state {
            State::Begin => {
                self.skip_white(text);
                self.state = match text.get(self.at) {
                    Some(b'[') => {
                        self.at += 1;
                        State::Array { is_first: true }
                    }
                    _ => State::Lines,
                };
                self.next(text)
            }
            State::Lines => self.next_line(text),
            State::Array { is_first } => self.next_element(text, is_first),
            State::End => Item::End,
        }
    }

    fn next_line(&mut self, text: &[u8]) -> Item {
        let begin = self.at;
        while self.at < text.len() {
            if self.at - begin >= MUCH_WHITE {
                return Item::White(self.at - begin);
            }
            let rest = &text[self.at..];
            let len = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let line = self.at..self.at + len;
            self.at = (line.end + 1).min(text.len());
            if !rest[..len].iter().all(is_white) {
                return Item::Value(line);
            }
        }
        self.state = State::End;
        Item::End
    }

    fn next_element(&mut self, text: &[u8], is_first: bool) -> Item {
        self.skip_white(text);
        if is_first && text.get(self.at) == Some(&b']') {
            self.at += 1;
            return self.end(text);
        }
        let begin = self.at;
        let Some(end) = value_end(text, begin) else {
            return self.broken("the array does not end", text.len());
        };
        if begin == end {
            return self.broken("a value is missing in the array", begin);
        }
        self.at = end;
        self.skip_white(text);
        match text.get(self.at) {
            Some(b',') => {
                self.at += 1;
                self.state = State::Array { is_first: false };
            }
            // What follows the array is looked at when the next value is asked for.
            Some(b']') => self.state = State::Array { is_first: true },
            _ => return self.broken("the array does not end", text.len()),
        }
        Item::Value(begin..end)
    }

    /// The array has ended, and nothing may follow.
    fn end(&mut self, text: &[u8]) -> Item {
        self.skip_white(text);
        if self.at < text.len() {
            return self.broken("something follows the array", self.at);
        }
        self.state = State::End;
        Item::End
    }

    fn broken(&mut self, why: &'static str, at: usize) -> Item {
        self.state = State::End;
        Item::Broken(why, at)
    }

    fn skip_white(&mut self, text: &[u8]) {
        let rest = text.get(self.at..).unwrap_or_default();
        self.at += rest.iter().take_while(|byte| is_white(byte)).count();
    }
}

fn is_white(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Where the value ends that begins at `begin`: before the comma or the bracket that follows it, and the white space before that.
fn value_end(text: &[u8], begin: usize) -> Option<usize> {
    let (mut depth, mut at) = (0usize, begin);
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => at = string_end(text, at + 1)?,
            b'[' | b'{' => depth += 1,
            b',' | b']' if depth == 0 => {
                let value = &text[begin..at];
                let white = value.iter().rev().take_while(|byte| is_white(byte));
                return Some(at - white.count());
            }
            // Whether brackets match is found out by whoever decodes the value.
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    None
}

/// Where the quote is that ends a string whose text begins at `at`.
fn string_end(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of a batch, and what is wrong with it, if anything is.
    fn read(text: &str) -> (Vec<&str>, Option<(&'static str, usize)>) {
        let mut batch = Batch::default();
        let mut values = Vec::new();
        loop {
            match batch.next(text.as_bytes()) {
                Item::Value(range) => values.push(&text[range]),
                Item::White(_) => {}
                Item::End => {
                    assert_eq!(batch.next(text.as_bytes()), Item::End);
                    return (values, None);
                }
                Item::Broken(why, at) => {
                    assert_eq!(batch.next(text.as_bytes()), Item::End);
                    return (values, Some((why, at)));
                }
            }
        }
    }

    #[test]
    fn an_array_has_the_values_between_its_commas() {
        for (text, values) in [
            ("[]", &[][..]),
            (" [ ] \n", &[]),
            ("[1]", &["1"]),
            ("\n[ 1 ,\t{} ]\r\n", &["1", "{}"]),
            (
                r#"[{"a":[1,2],"b":"],\"["},"\\",[]]"#,
                &[r#"{"a":[1,2],"b":"],\"["}"#, r#""\\""#, "[]"],
            ),
        ] {
            assert_eq!(read(text), (values.to_vec(), None), "{text}");
        }
    }

    #[test]
    fn lines_are_values_unless_they_are_empty() {
        for (text, values) in [
            ("", &[][..]),
            (" \r\n\n", &[]),
            ("{}\n{}", &["{}", "{}"]),
            ("{}\r\n\n {} \n", &["{}\r", "{} "]),
            ("x\n[1]", &["x", "[1]"]),
        ] {
            let (read, fault) = read(text);
            let trimmed: Vec<_> = read.iter().map(|value| value.trim_start()).collect();
            assert_eq!((trimmed, fault), (values.to_vec(), None), "{text:?}");
        }
    }

    #[test]
    fn what_comes_before_a_fault_is_found_and_nothing_after_it() {
        for (text, values, fault) in [
            ("[", &[][..], ("the array does not end", 1)),
            ("[1", &[], ("the array does not end", 2)),
            ("[1,", &["1"], ("the array does not end", 3)),
            ("[1,\"]", &["1"], ("the array does not end", 5)),
            ("[1,\"\\", &["1"], ("the array does not end", 5)),
            ("[1,]", &["1"], ("a value is missing in the array", 3)),
            ("[,1]", &[], ("a value is missing in the array", 1)),
            ("[1] x", &["1"], ("something follows the array", 4)),
            ("[1]]", &["1"], ("something follows the array", 3)),
            ("[1}]", &["1}"], ("", 0)),
        ] {
            let fault = Some(fault).filter(|(why, _)| !why.is_empty());
            assert_eq!(read(text), (values.to_vec(), fault), "{text}");
        }
    }
}
