//! The line that is printed for a message.

use fanfare::dialect::json::{DecodeError, MessageFrame, PADDING, ValueDecoder};

use crate::streams;

/// Memory that is kept from line to line.
const KEPT_BYTES: usize = 64 << 10;

/// Makes lines.
pub(super) struct Line {
    /// The whole event is printed, not only its data.
    whole_events: bool,
    /// A person reads it, on a terminal that obeys what it is sent.
    terminal: bool,
    values: ValueDecoder,
    /// The data being checked, with room for the decoder's padding.
    value: Vec<u8>,
    line: Vec<u8>,
}

impl Line {
    pub(super) fn new(whole_events: bool, terminal: bool) -> Self {
        Self {
            whole_events,
            terminal,
            values: ValueDecoder::new(),
            value: Vec::new(),
            line: Vec::new(),
        }
    }

    /// The line for a message, its line break included.
    ///
    /// # Errors
    /// `data` is not JSON: who reads the lines must not take it for that. The error says why.
    pub(super) fn of(&mut self, channel: &str, seq: u64, data: &str) -> Result<&[u8], String> {
        self.check(data)?;
        self.line.clear();
        self.line.shrink_to(KEPT_BYTES);
        if self.whole_events {
            MessageFrame::new(channel, data.as_bytes()).write_text(seq, &mut self.line);
        } else {
            self.line.extend_from_slice(data.as_bytes());
        }
        // In JSON a line break stands only where any white space may: in a string it is escaped.
        for byte in &mut self.line {
            if matches!(byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
        if self.terminal {
            self.line = escaped(&self.line);
        }
        self.line.push(b'\n');
        Ok(&self.line)
    }

    fn check(&mut self, data: &str) -> Result<(), String> {
        self.value.clear();
        self.value.shrink_to(KEPT_BYTES);
        self.value.extend_from_slice(data.as_bytes());
        self.value.resize(data.len() + PADDING, 0);
        match self.values.decode(&mut self.value, data.len()) {
            Ok(_) => Ok(()),
            Err(DecodeError::NotUtf8) => Err("it is not UTF-8".to_owned()),
            Err(DecodeError::Refused(reply)) => Err(reply.message.to_owned()),
        }
    }
}

/// The same JSON, with what a terminal would obey as escapes. In JSON such characters stand in strings only; white space
/// apart, which is left.
fn escaped(json: &[u8]) -> Vec<u8> {
    let mut out = String::with_capacity(json.len() + 1);
    for char in String::from_utf8_lossy(json).chars() {
        if char != '\t' && streams::is_obeyed(char) {
            for unit in char.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(char);
        }
    }
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(whole_events: bool, terminal: bool, data: &str) -> Result<String, String> {
        let mut maker = Line::new(whole_events, terminal);
        let line = maker.of("c", 7, data)?;
        Ok(String::from_utf8(line.to_vec()).expect("it is UTF-8"))
    }

    #[test]
    fn data_is_printed_as_it_is_on_one_line() {
        let data = "{\"a\":\r\n [0.10, \"\u{9b}x\"]}";
        let expected = "{\"a\":   [0.10, \"\u{9b}x\"]}\n";
        assert_eq!(line(false, false, data).as_deref(), Ok(expected));
        let expected = r#"{"type":"message","channel":"c","seq":7,"data":1}"#.to_owned() + "\n";
        assert_eq!(line(true, false, "1").as_deref(), Ok(&*expected));
    }

    #[test]
    fn what_is_not_one_json_value_is_no_line() {
        for data in [
            "",
            " ",
            "nonsense",
            "1 2",
            "1}",
            "\"\x1b[2J\"",
            "{\"a\":1",
            "1,\"x\":2",
        ] {
            assert!(line(false, false, data).is_err(), "{data:?}");
            assert!(line(true, false, data).is_err(), "{data:?}");
        }
    }

    #[test]
    fn a_terminal_gets_escapes_that_mean_the_same() {
        let data = "[\t\"\u{9b}31m\u{7f}\u{202e}\u{e0041}ä\"]";
        let expected = "[\t\"\\u009b31m\\u007f\\u202e\\udb40\\udc41ä\"]\n";
        assert_eq!(line(false, true, data).as_deref(), Ok(expected));
    }
}
