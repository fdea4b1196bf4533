//! The line that is printed for a message.

use fanfare::client::{Payload, Publication};
use fanfare::dialect::json::MessageFrame;
use fanfare::hub::Place;
use fanfare::words::is_obeyed;

/// Memory that is kept from line to line.
const KEPT_BYTES: usize = 64 << 10;

/// What is printed of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Its `data`.
    Data,
    /// The whole event.
    Event,
    /// The payload's bytes.
    Raw,
}

/// Makes lines.
pub(super) struct Line {
    form: Form,
    /// A person reads it, on a terminal that obeys what it is sent.
    terminal: bool,
    line: Vec<u8>,
}

impl Line {
    pub(super) fn new(form: Form, terminal: bool) -> Self {
        Self {
            form,
            terminal,
            line: Vec::new(),
        }
    }

    /// What is printed for a message, the line break included, if there is one: bytes that are printed as they are get none.
    pub(super) fn of(&mut self, channel: &str, place: Place<'_>, payload: &Payload) -> &[u8] {
        self.line.clear();
        self.line.shrink_to(KEPT_BYTES);
        if self.form == Form::Raw {
            self.line.extend_from_slice(payload.as_bytes());
            if payload.as_str().is_some() {
                self.line.push(b'\n');
            }
            return &self.line;
        }
        // As JSON, which the client has checked if it was published as that.
        let publication = Publication::from(payload);
        let data = publication.data();
        if self.form == Form::Event {
            let frame = MessageFrame::new(channel, data);
            frame.write_text(place, &mut self.line);
        } else {
            self.line.extend_from_slice(data.raw);
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

    fn line(form: Form, terminal: bool, payload: &Payload) -> Vec<u8> {
        let mut maker = Line::new(form, terminal);
        maker.of("c", Place::Channel { seq: 7 }, payload).to_vec()
    }

    fn text(form: Form, terminal: bool, json: &str) -> String {
        let line = line(form, terminal, &Payload::Json(json.to_owned()));
        String::from_utf8(line).expect("it is UTF-8")
    }

    #[test]
    fn data_is_printed_as_it_is_on_one_line() {
        let data = "{\"a\":\r\n [0.10, \"\u{9b}x\"]}";
        let expected = "{\"a\":   [0.10, \"\u{9b}x\"]}\n";
        assert_eq!(text(Form::Data, false, data), expected);
        let expected = r#"{"type":"message","channel":"c","seq":7,"data":1}"#.to_owned() + "\n";
        assert_eq!(text(Form::Event, false, "1"), expected);
    }

    #[test]
    fn a_terminal_gets_escapes_that_mean_the_same() {
        let data = "[\t\"\u{9b}31m\u{7f}\u{202e}\u{e0041}ä\"]";
        let expected = "[\t\"\\u009b31m\\u007f\\u202e\\udb40\\udc41ä\"]\n";
        assert_eq!(text(Form::Data, true, data), expected);
    }

    #[test]
    fn a_text_is_printed_as_a_json_string_and_bytes_in_base64() {
        let written = Payload::Text("a\n\"\u{1b}".to_owned());
        let bytes = Payload::Bytes(vec![0, 255]);
        for (payload, data, encoding) in [
            (&written, r#""a\n\"\u001b""#, "text"),
            (&bytes, r#""AP8=""#, "base64"),
        ] {
            for terminal in [false, true] {
                let printed = line(Form::Data, terminal, payload);
                assert_eq!(String::from_utf8_lossy(&printed), format!("{data}\n"));
                let printed = line(Form::Event, terminal, payload);
                let event = format!(
                    r#"{{"type":"message","channel":"c","seq":7,"encoding":"{encoding}","data":{data}}}"#
                );
                assert_eq!(String::from_utf8_lossy(&printed), event + "\n");
            }
        }
    }

    #[test]
    fn raw_payloads_are_not_touched_and_bytes_have_no_line_break() {
        for (payload, printed) in [
            (Payload::Json("[1,\r\n 2]".to_owned()), &b"[1,\r\n 2]\n"[..]),
            (Payload::Text("\u{1b}\n".to_owned()), b"\x1b\n\n"),
            (Payload::Bytes(vec![0, b'\n', 255]), b"\0\n\xff"),
            (Payload::Bytes(Vec::new()), b""),
        ] {
            for terminal in [false, true] {
                assert_eq!(line(Form::Raw, terminal, &payload), printed, "{payload:?}");
            }
        }
    }

    #[test]
    fn a_message_of_a_pattern_is_printed_as_the_server_sent_it() {
        let place = Place::Pattern {
            pattern: "p.*",
            seq: 42,
            channel_seq: 17,
        };
        let payload = Payload::Json("1".to_owned());
        let mut maker = Line::new(Form::Event, false);
        let line = maker.of("p.oak", place, &payload).to_vec();
        assert_eq!(
            String::from_utf8_lossy(&line),
            r#"{"type":"message","pattern":"p.*","seq":42,"channel":"p.oak","channel_seq":17,"data":1}"#
                .to_owned()
                + "\n"
        );
    }
}
