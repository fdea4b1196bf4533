//! The line that is printed for a message.

use fanfare::dialect::json::{Data, MessageFrame};
use fanfare::hub::Place;
use fanfare::words::is_obeyed;

/// Memory that is kept from line to line.
const KEPT_BYTES: usize = 64 << 10;

/// Makes lines.
pub(super) struct Line {
    /// The whole event is printed, not only its data.
    whole_events: bool,
    /// A person reads it, on a terminal that obeys what it is sent.
    terminal: bool,
    line: Vec<u8>,
}

impl Line {
    pub(super) fn new(whole_events: bool, terminal: bool) -> Self {
        Self {
            whole_events,
            terminal,
            line: Vec::new(),
        }
    }

    /// The line for a message, its line break included. `data` is JSON: the client has checked it.
    pub(super) fn of(&mut self, channel: &str, seq: u64, data: &str) -> &[u8] {
        self.line.clear();
        self.line.shrink_to(KEPT_BYTES);
        if self.whole_events {
            let frame = MessageFrame::new(channel, Data::json(data.as_bytes()));
            frame.write_text(Place::Channel { seq }, &mut self.line);
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
        &self.line
    }
}

/// The same JSON, with what a terminal would obey as escapes. In JSON such characters stand in strings only; white space
/// apart, which is left.
fn escaped(json: &[u8]) -> Vec<u8> {
    let mut out = String::with_capacity(json.len() + 1);
    for char in String::from_utf8_lossy(json).chars() {
        if char != '\t' && is_obeyed(char) {
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

    fn line(whole_events: bool, terminal: bool, data: &str) -> String {
        let mut maker = Line::new(whole_events, terminal);
        let line = maker.of("c", 7, data);
        String::from_utf8(line.to_vec()).expect("it is UTF-8")
    }

    #[test]
    fn data_is_printed_as_it_is_on_one_line() {
        let data = "{\"a\":\r\n [0.10, \"\u{9b}x\"]}";
        let expected = "{\"a\":   [0.10, \"\u{9b}x\"]}\n";
        assert_eq!(line(false, false, data), expected);
        let expected = r#"{"type":"message","channel":"c","seq":7,"data":1}"#.to_owned() + "\n";
        assert_eq!(line(true, false, "1"), expected);
    }

    #[test]
    fn a_terminal_gets_escapes_that_mean_the_same() {
        let data = "[\t\"\u{9b}31m\u{7f}\u{202e}\u{e0041}ä\"]";
        let expected = "[\t\"\\u009b31m\\u007f\\u202e\\udb40\\udc41ä\"]\n";
        assert_eq!(line(false, true, data), expected);
    }
}
