//! How each kind of server is spoken to: the handshake's path, how a channel is subscribed, what a publication looks
//! like on the way in and on the way out.

use std::io::Write as _;
use std::sync::atomic::{AtomicU8, Ordering};

use anyhow::{Result, bail};
use clap::ValueEnum;
use fanfare::ws::extension::Offer;
use fanfare::ws::handshake::client::{self, Key, Request};
use fanfare::ws::handshake::{Header, ResponseHead};

use crate::payload::{Origin, Template, read_digits};
use crate::wire::{self, Frame};
use crate::{events, post};

/// The protocol of the server under test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Dialect {
    /// `json.fanfare.v1`, or the part of it that the peers speak.
    #[default]
    Json,
    /// nginx with nchan: a channel is a path, a publication is a message on another path.
    Nchan,
    /// A web server: a request that is answered, after which the connection stays open.
    Http,
    /// The bare sender of `limit`: one byte asks for one ready-made message.
    Bare,
    /// As `Json`, and each publication is answered with its number.
    #[value(skip)]
    Answered,
    /// An event stream of the first channel, to subscribe.
    #[value(skip)]
    Events,
    /// A request of HTTP for each publication.
    #[value(skip)]
    Post,
    /// A request of HTTP for many publications.
    #[value(skip)]
    Batch,
}

/// What one event of a server means to the load client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A publication arrived.
    Message {
        /// The channel's number.
        channel: usize,
        /// The channel's sequence number, where the server has one.
        seq: Option<u64>,
        /// Its publisher; `None` from the bare sender.
        origin: Option<Origin>,
    },
    /// A subscription is in place; `seq` of the newest message.
    Subscribed {
        /// The channel's number.
        channel: usize,
        /// Its newest message's sequence number.
        seq: u64,
    },
    /// A subscription has ended.
    Unsubscribed {
        /// The channel's number.
        channel: usize,
    },
    /// Messages were skipped.
    Gap {
        /// The first one missing.
        from: u64,
        /// The last one missing.
        to: u64,
    },
    /// Something that needs no attention: a welcome, an acknowledgement, a pong.
    Other,
}

const MESSAGE_HEAD: &[u8] = br#"{"type":"message","channel":""#;
/// A channel's name is a letter and six digits.
static LETTER: AtomicU8 = AtomicU8::new(b'c');
const CHANNEL_DIGITS: usize = 6;
const SEQ_HEAD: &[u8] = br#"","seq":"#;
const DATA_HEAD: &[u8] = br#","data":"#;

impl Dialect {
    /// Appends the request that opens a connection. `channel` is what it will subscribe or publish to, where the path
    /// says so; `deflate` offers compression.
    ///
    /// # Errors
    /// The host or the path can't stand in a request.
    pub(crate) fn handshake(
        self,
        out: &mut Vec<u8>,
        host: &str,
        path: &str,
        role: Role,
        channel: usize,
        deflate: Option<Offer>,
    ) -> Result<()> {
        let target = match (self, role) {
            (Self::Json | Self::Answered, _) => path.to_owned(),
            (Self::Events, _) => {
                let channel = name(channel);
                write!(
                    out,
                    "GET /channels/{channel}/events HTTP/1.1\r\nHost: {host}\r\n\r\n"
                )?;
                return Ok(());
            }
            // What is answered says that the server is there. Publications come after it.
            (Self::Post | Self::Batch, _) => {
                write!(out, "HEAD / HTTP/1.1\r\nHost: {host}\r\n\r\n")?;
                return Ok(());
            }
            (Self::Http, _) => {
                write!(out, "GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")?;
                return Ok(());
            }
            (Self::Nchan, Role::Subscriber) => format!("/sub/{}", name(channel)),
            (Self::Nchan, Role::Publisher) => format!("/pub/{}", name(channel)),
            (Self::Bare, Role::Subscriber) => "/sub".to_owned(),
            (Self::Bare, Role::Publisher) => "/pub".to_owned(),
        };
        client::write_request(out, &request(host, &target, deflate), &key())?;
        Ok(())
    }

    /// Judges the answer to the handshake at the beginning of `bytes`; how long its head is, or `None` if it is not
    /// whole yet.
    ///
    /// # Errors
    /// It is no agreement (RFC 6455 §4.1), or not to the compression that was offered.
    pub(crate) fn agreed(self, bytes: &[u8], deflate: Option<Offer>) -> Result<Option<usize>> {
        let mut headers = [Header {
            name: "",
            value: b"",
        }; 32];
        let mut response = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(len) = response.parse(bytes)? else {
            return Ok(None);
        };
        // The one path that a web server is asked for has an answer without a body.
        let wanted = match self {
            Self::Http => Some(204),
            Self::Events | Self::Post | Self::Batch => Some(200),
            Self::Json | Self::Answered | Self::Nchan | Self::Bare => None,
        };
        if wanted.is_some() {
            return match response.code {
                code if code == wanted => Ok(Some(len)),
                code => bail!("the server answers with status {code:?}"),
            };
        }
        let head = ResponseHead {
            status: response.code.unwrap_or(0),
            version_minor: response.version.unwrap_or(0),
            headers: response.headers,
        };
        let offered = request("", "", deflate);
        let agreed = client::check_response(&head, &bytes[len..], &offered, &key())?;
        if deflate.is_some() && agreed.deflate.is_none() {
            bail!("the server does not agree to permessage-deflate");
        }
        Ok(Some(len))
    }

    /// Appends the request for a subscription, with the newest `last` messages if there are to be any; returns whether
    /// an answer will come.
    pub(crate) fn subscribe(self, out: &mut Vec<u8>, channel: usize, last: Option<u64>) -> bool {
        if self != Self::Json {
            return false;
        }
        let last = last.map_or(String::new(), |last| format!(r#","last":{last}"#));
        let request = format!(
            r#"{{"type":"subscribe","id":1,"channel":"{}"{last}}}"#,
            name(channel)
        );
        wire::write_text(out, request.as_bytes());
        true
    }

    /// Appends the request that ends a subscription.
    pub(crate) fn unsubscribe(self, out: &mut Vec<u8>, channel: usize) {
        let request = format!(
            r#"{{"type":"unsubscribe","id":2,"channel":"{}"}}"#,
            name(channel)
        );
        wire::write_text(out, request.as_bytes());
    }

    /// Appends one publication; `scratch` is a buffer to keep between calls.
    pub(crate) fn publish(
        self,
        out: &mut Vec<u8>,
        channel: usize,
        data: &[u8],
        scratch: &mut Vec<u8>,
    ) {
        match self {
            Self::Json | Self::Answered => {
                scratch.clear();
                scratch.extend_from_slice(br#"{"type":"publish","#);
                if self == Self::Answered {
                    scratch.extend_from_slice(br#""id":1,"#);
                }
                scratch.extend_from_slice(br#""channel":"#);
                scratch.push(b'"');
                write_name(scratch, channel);
                scratch.extend_from_slice(br#"","data":"#);
                scratch.extend_from_slice(data);
                scratch.push(b'}');
                wire::write_text(out, scratch);
            }
            Self::Nchan => wire::write_text(out, data),
            Self::Bare => out.push(b'.'),
            Self::Post => post::write_publication(out, channel, data),
            // A batch is written when it is whole.
            Self::Batch => post::write_line(scratch, channel, data),
            // They have no publications.
            Self::Http | Self::Events => {}
        }
    }

    /// Finds the message at the beginning of what a subscriber received; `None` if it is not whole yet.
    ///
    /// # Errors
    /// What is no message of this kind.
    #[inline]
    pub(crate) fn parse(self, bytes: &[u8]) -> Result<Option<Frame>> {
        match self {
            Self::Events => events::parse(bytes),
            _ => wire::parse(bytes),
        }
    }

    /// Appends what a server sends for one publication, as the bare sender has it ready.
    pub(crate) fn message(out: &mut Vec<u8>, channel: usize, seq: u64, data: &[u8]) {
        let mut payload = Vec::with_capacity(data.len() + 64);
        payload.extend_from_slice(br#"{"type":"message","channel":"#);
        payload.push(b'"');
        write_name(&mut payload, channel);
        payload.extend_from_slice(SEQ_HEAD);
        payload.extend_from_slice(seq.to_string().as_bytes());
        payload.extend_from_slice(DATA_HEAD);
        payload.extend_from_slice(data);
        payload.push(b'}');
        wire::write_server_text(out, &payload);
    }

    /// Reads one message of a server.
    ///
    /// # Errors
    /// It is an `error` event, or data that is not what was published.
    #[inline]
    pub(crate) fn read(self, payload: &[u8], template: &Template) -> Result<Event> {
        match self {
            Self::Json | Self::Bare => match read_message(payload, template) {
                Some(event) if self == Self::Json => Ok(event),
                Some(Event::Message { channel, .. }) => Ok(Event::Message {
                    channel,
                    seq: None,
                    origin: None,
                }),
                _ => read_other(payload),
            },
            Self::Nchan => match template.check(payload) {
                Some(origin) => Ok(Event::Message {
                    channel: 0,
                    seq: None,
                    origin: Some(origin),
                }),
                // nchan tells a publisher how its channel is doing after each message.
                None if payload.starts_with(b"queued messages: ") => Ok(Event::Other),
                None => bail!("not what was published: {}", shown(payload)),
            },
            Self::Events => events::read(payload, template),
            Self::Answered => read_other(payload),
            Self::Http | Self::Post | Self::Batch => {
                bail!("nobody asked for this: {}", shown(payload))
            }
        }
    }
}

fn request<'r>(host: &'r str, target: &'r str, deflate: Option<Offer>) -> Request<'r> {
    Request {
        host,
        target,
        deflate,
        ..Request::default()
    }
}

/// The same key for every connection, so that the bare sender's canned answer fits: that of RFC 6455 §1.3.
fn key() -> Key {
    Key::new(*b"the sample nonce")
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It subscribes and receives.
    Subscriber,
    /// It publishes.
    Publisher,
}

/// Has channels' names begin with this letter, so that two load testers may load one server.
pub(crate) fn begin_names_with(letter: u8) {
    LETTER.store(letter, Ordering::Relaxed);
}

#[inline]
fn letter() -> u8 {
    LETTER.load(Ordering::Relaxed)
}

/// The name of a channel.
pub(crate) fn name(channel: usize) -> String {
    format!("{}{channel:06}", char::from(letter()))
}

/// Appends the name of a channel.
pub(crate) fn write_name(out: &mut Vec<u8>, channel: usize) {
    let mut digits = [b'0'; CHANNEL_DIGITS];
    let mut rest = channel;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.push(letter());
    out.extend_from_slice(&digits);
}

/// Reads a `message` whose members stand in the order that all servers under test write them in.
#[inline]
fn read_message(payload: &[u8], template: &Template) -> Option<Event> {
    let rest = payload.strip_prefix(MESSAGE_HEAD)?;
    let rest = rest.strip_prefix(&[letter()])?;
    let (channel, rest) = rest.split_at_checked(CHANNEL_DIGITS)?;
    let rest = rest.strip_prefix(SEQ_HEAD)?;
    let digits = rest.iter().position(|byte| *byte == b',')?;
    let (seq, rest) = rest.split_at(digits);
    let data = rest.strip_prefix(DATA_HEAD)?.strip_suffix(b"}")?;
    Some(Event::Message {
        channel: read_digits(channel)? as usize,
        seq: Some(read_digits(seq)?),
        origin: Some(template.check(data)?),
    })
}

#[cold]
fn read_other(payload: &[u8]) -> Result<Event> {
    let Ok(event) = serde_json::from_slice::<serde_json::Value>(payload) else {
        bail!("not JSON: {}", shown(payload));
    };
    let number = |member: &str| event[member].as_u64().unwrap_or(0);
    let channel = || {
        let name = event["channel"].as_str();
        let digits = name.and_then(|name| name.strip_prefix(char::from(letter())));
        match digits.and_then(|digits| read_digits(digits.as_bytes())) {
            Some(channel) => Ok(channel as usize),
            None => bail!("a channel that nobody asked for: {}", shown(payload)),
        }
    };
    Ok(match event["type"].as_str().unwrap_or("") {
        "subscribed" => Event::Subscribed {
            channel: channel()?,
            seq: number("seq"),
        },
        "unsubscribed" => Event::Unsubscribed {
            channel: channel()?,
        },
        "gap" => Event::Gap {
            from: number("from"),
            to: number("to"),
        },
        "error" => bail!("the server says: {}", shown(payload)),
        "message" => bail!("not what was published: {}", shown(payload)),
        _ => Event::Other,
    })
}

/// The beginning of a message, for people.
pub(crate) fn shown(payload: &[u8]) -> String {
    let text = String::from_utf8_lossy(&payload[..payload.len().min(300)]).into_owned();
    if payload.len() > 300 {
        text + "…"
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::Content;

    #[test]
    fn a_message_is_read_without_a_parser() {
        let mut template = Template::new(128, Content::Words);
        let origin = Origin {
            publisher: 1,
            index: 41,
        };
        let mut frame = Vec::new();
        Dialect::message(&mut frame, 17, 42, template.fill(origin));
        let found = wire::parse(&frame).unwrap().unwrap();
        let event = Dialect::Json
            .read(&frame[found.header..], &template)
            .unwrap();
        assert_eq!(
            event,
            Event::Message {
                channel: 17,
                seq: Some(42),
                origin: Some(origin)
            }
        );
    }

    #[test]
    fn the_bare_senders_canned_answer_is_an_agreement() {
        let len = Dialect::Bare.agreed(crate::bare::ACCEPT, None).unwrap();
        assert_eq!(len, Some(crate::bare::ACCEPT.len()));
        assert!(
            Dialect::Json
                .agreed(b"HTTP/1.1 404 Not Found\r\n\r\n", None)
                .is_err()
        );
    }

    #[test]
    fn other_events_are_read_in_any_order_of_members() {
        let template = Template::new(128, Content::Words);
        let read = |text: &str| Dialect::Json.read(text.as_bytes(), &template);
        let subscribed = r#"{"seq":9,"type":"subscribed","id":1,"channel":"c000003","epoch":"x"}"#;
        assert_eq!(
            read(subscribed).unwrap(),
            Event::Subscribed { channel: 3, seq: 9 }
        );
        let unsubscribed = r#"{"type":"unsubscribed","id":2,"channel":"c000003"}"#;
        assert_eq!(
            read(unsubscribed).unwrap(),
            Event::Unsubscribed { channel: 3 }
        );
        let gap =
            r#"{"type":"gap","channel":"c000003","epoch":"x","from":2,"to":5,"reason":"slow"}"#;
        assert_eq!(read(gap).unwrap(), Event::Gap { from: 2, to: 5 });
        assert_eq!(read(r#"{"type":"welcome"}"#).unwrap(), Event::Other);
    }

    #[test]
    fn an_error_and_a_changed_message_are_faults() {
        let template = Template::new(128, Content::Words);
        assert!(
            Dialect::Json
                .read(br#"{"type":"error","code":"limit"}"#, &template)
                .is_err()
        );
        let message = br#"{"type":"message","channel":"c000001","seq":1,"data":1}"#;
        assert!(Dialect::Json.read(message, &template).is_err());
    }
}
