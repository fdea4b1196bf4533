//! Event streams (HTML standard, §9.2) as the load client needs them: whole events found in a large buffer, and the place and data of
//! a message read without a parser. No I/O.

use anyhow::{Context, Result, bail};
use fanfare::ws::frame::Opcode;

use crate::dialect::{Event, shown};
use crate::payload::{Template, read_digits};
use crate::wire::Frame;

/// The longest event that the load client accepts: 64 MiB.
const MAX_EVENT: usize = 64 << 20;

/// Finds the event at the beginning of `bytes`, with the empty line that ends it; `None` if it is not whole yet.
///
/// # Errors
/// It has no end within 64 MiB.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Frame>> {
    let mut from = 0;
    while let Some(at) = memchr::memchr(b'\n', &bytes[from..]) {
        let next = from + at + 1;
        if bytes.get(next) == Some(&b'\n') {
            return Ok(Some(Frame {
                opcode: Opcode::Text,
                compressed: false,
                header: 0,
                len: next + 1,
            }));
        }
        from = next;
    }
    if bytes.len() > MAX_EVENT {
        bail!("an event of more than {MAX_EVENT} bytes");
    }
    Ok(None)
}

/// Reads one event of the first channel's stream.
///
/// # Errors
/// It is of a type that nobody asked for, or its data is not what was published.
pub(crate) fn read(event: &[u8], template: &Template) -> Result<Event> {
    if let Some(message) = read_message(event, template) {
        return Ok(message);
    }
    let text = std::str::from_utf8(event).context("an event is not UTF-8")?;
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    match (field("event: "), field("data: ")) {
        (None, None) => Ok(Event::Other),
        (Some("gap"), Some(data)) => {
            let gap: serde_json::Value = serde_json::from_str(data)?;
            let number = |member: &str| gap[member].as_u64().unwrap_or(0);
            Ok(Event::Gap {
                from: number("from"),
                to: number("to"),
            })
        }
        _ => bail!("not what was published: {}", shown(event)),
    }
}

/// Reads a message: its `id`, which is `EPOCH:SEQ`, and one line of `data`.
fn read_message(event: &[u8], template: &Template) -> Option<Event> {
    let rest = event.strip_prefix(b"id: ")?;
    let end = memchr::memchr(b'\n', rest)?;
    let (place, rest) = rest.split_at(end);
    let seq = &place[memchr::memrchr(b':', place)? + 1..];
    let data = rest.strip_prefix(b"\ndata: ")?.strip_suffix(b"\n\n")?;
    Some(Event::Message {
        channel: 0,
        seq: Some(read_digits(seq)?),
        origin: Some(template.check(data)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::{Content, Origin};

    #[test]
    fn an_event_is_found_once_its_empty_line_is_there() {
        let event = b"id: e:1\ndata: 1\n\n";
        for cut in 0..event.len() {
            assert_eq!(parse(&event[..cut]).unwrap(), None, "{cut}");
        }
        let two = [&event[..], b":\n\n"].concat();
        assert_eq!(parse(&two).unwrap().unwrap().len, event.len());
    }

    #[test]
    fn a_message_has_its_number_and_what_was_published() {
        let mut template = Template::new(64, Content::default());
        let origin = Origin {
            publisher: 0,
            index: 7,
        };
        let data = String::from_utf8(template.fill(origin).to_vec()).unwrap();
        let event = format!("id: a:b:42\ndata: {data}\n\n");
        let message = Event::Message {
            channel: 0,
            seq: Some(42),
            origin: Some(origin),
        };
        assert_eq!(read(event.as_bytes(), &template).unwrap(), message);
    }

    #[test]
    fn what_begins_a_stream_and_a_comment_need_no_attention_and_the_rest_is_a_gap_or_a_fault() {
        let template = Template::new(64, Content::default());
        let read = |text: &str| read(text.as_bytes(), &template);
        assert_eq!(read("retry: 2000\nid: e:0\n\n").unwrap(), Event::Other);
        assert_eq!(read(":\n\n").unwrap(), Event::Other);
        let gap = "id: e:4\nevent: gap\ndata: {\"epoch\":\"e\",\"from\":2,\"to\":4,\"reason\":\"slow\"}\n\n";
        assert_eq!(read(gap).unwrap(), Event::Gap { from: 2, to: 4 });
        assert!(read("id: e:1\ndata: 1\n\n").is_err());
        assert!(read("id: e:1\nevent: text\ndata: a\n\n").is_err());
    }
}
