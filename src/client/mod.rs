//! The client: a blocking library on `std::net`, for programs that talk to fanfare and for those that talk WebSocket to
//! anything.
//!
//! # Publish and subscribe
//!
//! A [`Client`] speaks fanfare's sub-protocol, `json.fanfare.v1`. Connect, ask, and take what happens:
//!
//! ```no_run
//! use fanfare::client::{Client, Event, Start};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut client = Client::connect("ws://127.0.0.1:8040")?;
//! client.subscribe("prices", Start::Last(1))?;    // the newest one, and then all that follow
//! client.publish("prices", r#"{"oak":12.50}"#)?;  // JSON, relayed as it is written
//!
//! while let Some(event) = client.next() {
//!     match event? {
//!         Event::Message { channel, seq, data, .. } => println!("{channel} {seq}: {data}"),
//!         Event::Gap { from, to, reason, .. } => println!("{from} to {to} are missing: {reason}"),
//!         Event::Reconnecting { wait, cause, .. } => println!("{cause}; again in {wait:?}"),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Patterns, texts and bytes
//!
//! A subscription is to a channel or to a pattern: `*` stands for any one part of a name, and `>` at the end for one part or more. A
//! pattern has a numbering of its own, by which its gaps and positions go. What was published is a [`Payload`]: JSON, a text or bytes.
//!
//! ```no_run
//! use fanfare::client::{Client, Event, Payload, Publication, Start, Topic};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut client = Client::connect("ws://127.0.0.1:8040")?;
//! client.subscribe(Topic::pattern("prices.*"), Start::Live)?;
//! client.publish("prices.oak", Publication::text("twelve and a half"))?;
//! while let Some(event) = client.next() {
//!     if let Event::Message { channel, channel_seq, data, .. } = event? {
//!         match data {
//!             Payload::Json(json) => println!("{channel} {channel_seq}: {json}"),
//!             Payload::Text(text) => println!("{channel} {channel_seq}: {text:?}"),
//!             Payload::Bytes(bytes) => println!("{channel} {channel_seq}: {} bytes", bytes.len()),
//!         }
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! These are [optional](Feature) parts of the protocol. Where the server does not have one, a request that needs it is not sent:
//! [`Invalid::Unsupported`] says so. The server of a new connection may be an older one, or take shorter requests only. Then what waits to be sent is refused, with the code
//! `unsupported`: [`Event::Refused`], or [`Event::SubscribeRefused`] for a pattern.
//!
//! # Connections that come back
//!
//! A lost connection comes back by itself while the program waits for something: with [exponential backoff and full
//! jitter](Reconnect), not before a server's `Retry-After`, and only where coming back can help. A close with 1001, 1006, 1011,
//! 1012, 1013 or 45xx allows it. So do 408, 425, 429 and 5xx in answer to the handshake, and 2xx, 3xx, 403 and 404, which
//! proxies answer while their server restarts. Where there is a [token callback](Connector::token), a refused token is replaced by another
//! one, once. Anything else ends the client with an
//! error. On the new connection each subscription goes on where it was. Events tell the program: [`Event::Reconnecting`],
//! [`Event::Reconnected`], and an [`Event::Gap`] if something is missing.
//!
//! A publish whose answer was lost with the connection may have been done or not. It is reported as unknown
//! ([`Event::Unknown`], [`ClientError::Unknown`]): never dropped in silence, and never sent again, which could do it twice.
//! What was not sent yet is not lost; it goes out with the next connection.
//!
//! A publication [with a key](Publication#keys) is published once, however often it is sent. So the client sends it again, before anything
//! new, until its answer comes. The client keeps it until then.
//!
//! A subscription that the server ends by itself does not come back: [`Event::SubscriptionEnded`] tells of it. If a connection has ended for
//! good, the iterator's last item is the reason. A program that has nothing to publish learns it from [`Requests::over`].
//!
//! # What a server can cost
//!
//! The client does not trust the server. It checks all that a server sends. A server that breaks the protocol ends the client with a
//! [reason](Cause::Protocol); `docs/protocol.md` lists what is a breach and what is ignored. `data` reaches the program only if it is what its encoding wants: JSON, a string, or base64. A `Display`
//! here has escapes in place of what steers a terminal; the fields themselves, epochs among them, are as they came. These bounds hold for a server:
//!
//! | what | at most |
//! |---|---|
//! | one message | [`Connector::max_message`], 64 MiB; while it arrives and is handed out, three times as much |
//! | events that wait while a call waits | [`Connector::backlog`], 64 MiB, and one event more; all that an event holds counts |
//! | publishes that wait for their answers | [`Connector::window`], 16,384; with an answer left out, 65,536 answered after it or eight windows |
//! | publications with keys, which are kept until they are answered | 16 MiB, and one more |
//! | answers to pings | 600 bytes: only the newest ping is answered (RFC 6455 §5.5.3) |
//! | an epoch | 64 bytes; a longer one is a breach |
//! | a refusal | 64 bytes of its code and 1 KiB of its message are kept |
//! | errors without an `id` | one told for each message of a batch that waits; the others are ignored |
//! | an answer that is owed | [`Timeouts::answer`], 30 s: then the connection is lost, whatever else the server sends |
//! | the closing handshake | [`Timeouts::close`], 5 s after the last answer |
//!
//! A peer that takes what is sent a little at a time can keep a write going for longer than [`Timeouts::write`], which is for each piece of it.
//! Where that matters, use two threads: the half that listens ends the connection when an answer is overdue.
//!
//! # Many messages, two threads
//!
//! [`Client::publish`] waits for each answer. To publish at full speed, [split](Client::split) the client: [`Requests`] gathers and
//! sends, [`Events`] brings the answers to another thread, and a [bound](Connector::window) on what is unanswered keeps memory
//! flat.
//!
//! # Any WebSocket
//!
//! Below that is [`WebSocket`]: text and binary messages, pings, the closing handshake, permessage-deflate. It speaks with any
//! server of RFC 6455 and is as strict as the daemon: it is the same code.
//!
//! ```no_run
//! use fanfare::client::{Message, WebSocket};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut socket = WebSocket::connect("ws://127.0.0.1:9001/echo")?;
//! socket.send_binary(&[1, 2, 3])?;
//! assert_eq!(socket.receive()?, Message::Binary(vec![1, 2, 3]));
//! socket.close()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Before the connection
//!
//! [`Connector`] knows what a connection needs to know first: header lines, sub-protocols, timeouts for [each step](Timeouts),
//! limits. A [`Url`] begins with `ws://`, `wss://` or `unix:`. Encrypted connections want the cargo feature `tls`; without it `wss://` is refused with
//! [an error](UrlError::NoTls) that says so.
//!
//! # Who the client is
//!
//! A user and a password go with the handshake, or a token, for which a callback is asked: before each connection, before the token ends,
//! and when the server refuses it.
//!
//! ```no_run
//! use fanfare::client::{Connector, TokenReason};
//!
//! # fn fetch_token() -> Result<String, std::io::Error> { Ok(String::new()) }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let connector = Connector::new("ws://127.0.0.1:8040")?.token(|reason| {
//!     if reason == TokenReason::Refused {
//!         eprintln!("the token was refused");
//!     }
//!     fetch_token()
//! });
//! let client = connector.client()?;
//! println!("to the server this is {:?}", client.subject());
//! # Ok(())
//! # }
//! ```

mod backoff;
mod connection;
mod connector;
mod credentials;
mod deadline;
mod error;
mod event;
mod events;
mod feature;
mod identity;
#[cfg(test)]
mod in_memory;
mod link;
#[cfg(test)]
mod model;
mod opening;
mod payload;
mod publication;
mod refusal;
mod requests;
mod session;
mod socket;
mod tls;
mod topic_name;
mod transport;
mod url;
mod websocket;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use identity::Identity;
use link::{Dial, Shared};
use requests::Later;
use session::{Answer, Session, Tag, Told};
use websocket::Wait;

use crate::dialect::json::{Event as Said, EventDecoder};

pub use crate::channel::topic::Topic;
pub use crate::dialect::json::Start;
pub use backoff::Reconnect;
pub use connector::{Connector, Timeouts};
pub use credentials::{CredentialsError, Token, TokenReason};
pub use error::{Cause, ClientError, ConnectError, Error, Invalid, Step};
pub use event::{Event, GapReason, Position, Published, Subscribed};
pub use events::Events;
pub use feature::Feature;
pub use payload::Payload;
pub use publication::Publication;
pub use refusal::Refusal;
pub use requests::Requests;
pub use tls::TlsError;
pub use topic_name::TopicName;
pub use url::{Url, UrlError};
pub use websocket::{Message, Receiver, Sender, WebSocket};

/// A connection to fanfare that comes back by itself; see [the guide](self).
///
/// Calls wait for their answers, and for the connection where there is none at the moment: as long as it takes, unless
/// [`Reconnect::give_up_after`] says otherwise. A server that is there and does not answer is given up after [`Timeouts::answer`]. Events that
/// arrive meanwhile are kept, up to a [bound](Connector::backlog), for the iterator that the client is.
///
/// ```no_run
/// use fanfare::client::{Client, ClientError};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut client = Client::connect("ws://127.0.0.1:8040")?;
/// match client.publish("prices", "[1, 2, 3]") {
///     Ok(published) => println!("number {} of {}", published.seq, published.epoch),
///     Err(ClientError::Refused(refusal)) => println!("refused: {refusal}"),
///     Err(ClientError::Unknown) => println!("perhaps: look before publishing it again"),
///     Err(error) => return Err(error.into()),
/// }
/// client.close();
/// # Ok(())
/// # }
/// ```
pub struct Client {
    requests: Requests,
    events: Events,
    shared: Arc<Shared>,
    /// What happened while a call waited for its answer.
    kept: VecDeque<Event>,
    /// What `kept` costs, roughly.
    kept_bytes: usize,
    /// Calls so far, so that the answer to one that gave up is not taken for the next one's.
    calls: u64,
}

impl Client {
    /// Connects with the defaults of a [`Connector`], which is there for everything else. There is one try: a first connection that
    /// fails is no lost one.
    ///
    /// # Errors
    /// A [`ConnectError`] that says which step failed and how.
    pub fn connect(url: &str) -> Result<Self, ConnectError> {
        Connector::new(url)?.client()
    }

    /// Subscribes to a channel, given by its name, or to a [pattern](Topic::pattern), beginning with `start`, and waits until that is
    /// done. From then on its messages are among the client's events.
    ///
    /// # Errors
    /// [`ClientError::Invalid`], [`ClientError::Refused`], [`ClientError::Backlog`] or [`ClientError::TimedOut`] (the subscription is on its
    /// way nevertheless), or [`ClientError::Over`].
    pub fn subscribe<'t>(
        &mut self,
        topic: impl Into<Topic<'t>>,
        start: Start<'_>,
    ) -> Result<Subscribed, ClientError> {
        let (topic, since) = (topic.into(), Instant::now());
        self.flush()?;
        self.requests.note_subscription(topic, start)?;
        loop {
            match self.told()? {
                Told::Event(Event::Subscribed {
                    topic: name,
                    epoch,
                    seq,
                    recovered,
                }) if name == topic => {
                    return Ok(Subscribed {
                        epoch,
                        seq,
                        recovered,
                    });
                }
                Told::Event(Event::SubscribeRefused {
                    topic: name,
                    refusal,
                }) if name == topic => {
                    return Err(ClientError::Refused(refusal));
                }
                told => self.keep(told, since)?,
            }
        }
    }

    /// Ends the subscription to a channel or a pattern and waits until that is done. Messages that came before stay among the events.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe). A subscription that was not there is none.
    pub fn unsubscribe<'t>(&mut self, topic: impl Into<Topic<'t>>) -> Result<(), ClientError> {
        let (topic, since) = (topic.into(), Instant::now());
        self.attempt(|requests| requests.try_unsubscribe(topic))?;
        loop {
            match self.told()? {
                Told::Event(Event::Unsubscribed { topic: name }) if name == topic => {
                    return Ok(());
                }
                told => self.keep(told, since)?,
            }
        }
    }

    /// Publishes a [publication](Publication), such as one JSON value of at most 63 levels, to `channel`, and waits for the answer.
    ///
    /// # Errors
    /// [`ClientError::Invalid`], and nothing was sent; [`ClientError::Refused`]; [`ClientError::Unknown`], and it may have been published or
    /// not, which with a [key](Publication#keys) seldom comes; [`ClientError::Backlog`] or [`ClientError::TimedOut`], and it may have been or
    /// may still be; [`ClientError::Over`].
    pub fn publish<'p>(
        &mut self,
        channel: &str,
        publication: impl Into<Publication<'p>>,
    ) -> Result<Published, ClientError> {
        let since = Instant::now();
        self.calls += 1;
        let (call, publication) = (self.calls, publication.into());
        self.attempt(|requests| requests.try_publish(channel, &publication, Tag::Call(call)))?;
        self.flush()?;
        loop {
            match self.told()? {
                Told::Answer(answered, answer) if answered == call => {
                    return match answer {
                        Answer::Published(published) => Ok(published),
                        Answer::Refused(refusal) => Err(ClientError::Refused(refusal)),
                        Answer::Unknown => Err(ClientError::Unknown),
                    };
                }
                told => self.keep(told, since)?,
            }
        }
    }

    /// Publishes without waiting for the answer, which comes as an event with this `tag`; see [`Requests::publish`]. What is
    /// gathered goes out at 64 KiB, with [`flush`](Self::flush), and before anything else that this client does.
    ///
    /// # Errors
    /// As there, and [`ClientError::Backlog`] or [`ClientError::TimedOut`].
    pub fn publish_pipelined<'p>(
        &mut self,
        channel: &str,
        publication: impl Into<Publication<'p>>,
        tag: u64,
    ) -> Result<(), ClientError> {
        let publication = publication.into();
        self.attempt(|requests| requests.try_publish(channel, &publication, Tag::Event(tag)))
    }

    /// Sends what was published without waiting for answers.
    ///
    /// # Errors
    /// [`ClientError::Backlog`], [`ClientError::TimedOut`] or [`ClientError::Over`].
    pub fn flush(&mut self) -> Result<(), ClientError> {
        self.attempt(Requests::try_flush)
    }

    /// The next event that is at hand already, without waiting; see [`Events::next_at_hand`].
    pub fn next_at_hand(&mut self) -> Option<Result<Event, ClientError>> {
        self.next_kept()
            .map(Ok)
            .or_else(|| self.events.next_at_hand())
    }

    /// Where the subscription to a channel or a pattern is; see [`Events::position`].
    pub fn position<'t>(&self, topic: impl Into<Topic<'t>>) -> Option<Position> {
        self.events.position(topic)
    }

    /// Whether the server has an optional part of the protocol; see [`Requests::has`].
    pub fn has(&self, feature: Feature) -> bool {
        self.requests.has(feature)
    }

    /// What the server knows this client as; see [`Requests::subject`].
    pub fn subject(&self) -> Option<Arc<str>> {
        self.requests.subject()
    }

    /// A handle with which another thread can end this client.
    pub fn closer(&self) -> Closer {
        Closer(self.shared.clone())
    }

    /// Sends what was gathered and closes with a handshake, for which the server has as long as [`Timeouts::close`] says. While something
    /// was not sent and there is no connection, it waits for one, and so it does for the answers to [publications with
    /// keys](Publication#keys). Events that were not taken are dropped.
    ///
    /// # Errors
    /// [`ClientError::Over`] where there was something to send and it could not be.
    pub fn close(mut self) -> Result<(), ClientError> {
        let flushed = loop {
            match self.requests.try_flush() {
                Ok(()) => break Ok(()),
                Err(Later::Never(error)) => break Err(error),
                Err(Later::Down | Later::Full) => {
                    if let Some(Err(error)) = self.events.step() {
                        break Err(error);
                    }
                }
            }
        };
        let mut flushed = flushed;
        self.shared.finish();
        while self.shared.lock().session.has_kept() {
            if let Some(Err(error)) = self.events.step() {
                flushed = flushed.and(Err(error));
            }
        }
        self.shared.close();
        self.events.run_out(self.shared.connector.timeouts.close);
        flushed
    }

    /// Two halves for two threads. Events that were kept while a call waited come first.
    pub fn split(self) -> (Requests, Events) {
        let mut state = self.shared.lock();
        state.session.untell(self.kept);
        drop(state);
        (self.requests, self.events)
    }

    /// A client with the settings of `connector`, whose connections `dial` opens.
    fn open(connector: Connector, dial: Box<dyn Dial>) -> Result<Self, ConnectError> {
        let mut session = Session::default();
        let mut decoder = EventDecoder::new();
        let mut identity = Identity::new(connector.credentials.clone());
        let take = |event: Said<'_>| {
            session.take(event)?;
            Ok(session.is_welcomed())
        };
        let (sender, receiver) =
            connection::open(&connector, &*dial, &mut identity, &mut decoder, take)?;
        let shared = Arc::new(Shared::new(connector, dial, session, sender.clone()));
        Ok(Self {
            requests: Requests::new(shared.clone()),
            events: Events::new(shared.clone(), sender, receiver, identity),
            shared,
            kept: VecDeque::new(),
            kept_bytes: 0,
            calls: 0,
        })
    }

    /// Does it, as soon as there is a connection and room, for which events are taken.
    fn attempt(
        &mut self,
        mut attempt: impl FnMut(&mut Requests) -> Result<(), Later>,
    ) -> Result<(), ClientError> {
        let since = Instant::now();
        loop {
            match attempt(&mut self.requests) {
                Ok(()) => return Ok(()),
                Err(Later::Never(error)) => return Err(error),
                // Looked at again after each step: not everything that makes way for it is told.
                Err(Later::Down | Later::Full) => {
                    if let Some(told) = self.events.step() {
                        self.keep(told?, since)?;
                    }
                }
            }
        }
    }

    /// Waits for the next thing told.
    fn told(&mut self) -> Result<Told, ClientError> {
        match self.events.next_told(Wait::Yes) {
            Some(told) => told,
            None => Err(ClientError::Over(Arc::new(Cause::Closed))),
        }
    }

    fn push(&mut self, event: Event) {
        // While there is no connection, only the newest of these says anything. They must not fill the backlog.
        if let (Some(Event::Reconnecting { .. }), Event::Reconnecting { .. }) =
            (self.kept.back(), &event)
            && let Some(before) = self.kept.pop_back()
        {
            self.kept_bytes -= before.weight();
        }
        self.kept_bytes += event.weight();
        self.kept.push_back(event);
    }

    fn next_kept(&mut self) -> Option<Event> {
        let event = self.kept.pop_front()?;
        self.kept_bytes -= event.weight();
        Some(event)
    }

    /// Keeps what a call that waits `since` then came across and did not wait for.
    fn keep(&mut self, told: Told, since: Instant) -> Result<(), ClientError> {
        if let Told::Event(event) = told {
            // Another call's time was up where this one has not waited for as long.
            let timed_out = matches!(&event, Event::Reconnecting { cause, .. } if matches!(**cause, Cause::Unanswered))
                && since.elapsed() >= self.shared.connector.timeouts.answer;
            self.push(event);
            if timed_out {
                return Err(ClientError::TimedOut);
            }
        }
        if self.kept_bytes > self.shared.connector.backlog {
            return Err(ClientError::Backlog);
        }
        Ok(())
    }
}

/// What happens, in order; it waits for it. See [`Events`].
impl Iterator for Client {
    type Item = Result<Event, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(event) = self.next_kept() {
            return Some(Ok(event));
        }
        // What can never be sent is told of, and so is the reason.
        let _ = self.requests.try_flush();
        self.events.next()
    }
}

impl Connector {
    /// Connects to fanfare. There is one try: a first connection that fails is no lost one.
    ///
    /// # Errors
    /// A [`ConnectError`] that says which step failed and how.
    pub fn client(&self) -> Result<Client, ConnectError> {
        Client::open(self.clone(), Box::new(self.clone()))
    }
}

/// Ends a client from another thread: a signal handler's, for one.
///
/// ```no_run
/// use fanfare::client::Client;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::connect("ws://127.0.0.1:8040")?;
/// let closer = client.closer();
/// std::thread::spawn(move || {
///     std::thread::sleep(std::time::Duration::from_secs(60));
///     closer.close();
/// });
/// let events = client.map_while(Result::ok).count(); // a minute's worth of them
/// println!("{events} events");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Closer(Arc<Shared>);

impl Closer {
    /// Says goodbye to the server without waiting for anything, and lets the iterator of events end when the server
    /// has answered. Nothing can be asked any more.
    pub fn close(&self) {
        self.0.close();
    }
}
