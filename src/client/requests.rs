//! The half of a client that asks.

use std::sync::Arc;
use std::time::Instant;

use super::error::{Cause, ClientError, Invalid};
use super::feature::{Feature, Features};
use super::link::{Shared, State};
use super::publication::Publication;
use super::session::{Session, Tag};
use super::websocket::{Sender, Texts};
use crate::channel::topic::Topic;
use crate::dialect::json::{Data, DecodeError, Encoding, Start, ValueDecoder};

/// From this many bytes of requests on they are sent without being asked to.
const FLUSH_BYTES: usize = 64 << 10;

/// The half of a [`Client`](super::Client) that asks: for one thread, while [`Events`](super::Events) brings the answers to
/// another.
///
/// Publishes are gathered and sent many at once, at 64 KiB or on [`flush`](Self::flush), and do not wait for their answers.
/// How many may be without an answer is [bounded](super::Connector::window), and so is the memory they take: who
/// publishes faster than the server takes it waits. While there is no connection, everything here waits for the next one.
///
/// ```no_run
/// use fanfare::client::{Client, Event};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (mut requests, events) = Client::connect("ws://127.0.0.1:8040")?.split();
/// let reader = std::thread::spawn(move || {
///     for event in events {
///         match event {
///             Ok(Event::Published { tag: 999, .. }) => break,
///             Ok(Event::Refused { tag, refusal }) => eprintln!("{tag:?}: {refusal}"),
///             Ok(Event::Unknown { tags, .. }) => eprintln!("{tags:?}: who knows?"),
///             Ok(_) => {}
///             Err(error) => return eprintln!("{error}"),
///         }
///     }
/// });
/// for n in 0..1000 {
///     requests.publish("numbers", n.to_string(), n)?;
/// }
/// requests.flush()?;
/// reader.join().expect("the reader does not panic");
/// # Ok(())
/// # }
/// ```
pub struct Requests {
    shared: Arc<Shared>,
    /// Encoded and not sent.
    texts: Texts,
    /// Those of them that publish.
    publishes: Vec<Publish>,
    values: ValueDecoder,
}

/// A text that publishes.
struct Publish {
    /// Which one it is.
    at: usize,
    /// Its id, or that of its batch.
    id: u64,
    /// What the server must have for it.
    needs: Features,
}

/// Why a request was not taken at once.
pub(super) enum Later {
    /// There is no connection at the moment.
    Down,
    /// Too many wait for their answers.
    Full,
    /// It never will be.
    Never(ClientError),
}

impl<E: Into<ClientError>> From<E> for Later {
    fn from(error: E) -> Self {
        Self::Never(error.into())
    }
}

impl Requests {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            texts: Texts::default(),
            publishes: Vec::new(),
            values: ValueDecoder::new(),
        }
    }

    /// Publishes a [publication](Publication), such as a JSON value, to `channel`. The answer comes as
    /// [`Event::Published`](super::Event::Published), [`Refused`](super::Event::Refused) or [`Unknown`](super::Event::Unknown)
    /// with this `tag`, whatever that means to the program.
    ///
    /// # Errors
    /// [`ClientError::Invalid`] and nothing is sent, or [`ClientError::Over`].
    pub fn publish<'p>(
        &mut self,
        channel: &str,
        publication: impl Into<Publication<'p>>,
        tag: u64,
    ) -> Result<(), ClientError> {
        let publication = publication.into();
        self.wait_for(|this| this.try_publish(channel, &publication, Tag::Event(tag)))
    }

    /// The same, with one answer for each batch of messages, which costs the server and this side less: the answer is
    /// [`Event::BatchDone`](super::Event::BatchDone), after an event for each message of it that was refused. What is sent at once
    /// is a batch, and so is what is sent before a message that is answered by itself. Tags should grow. What has a key or is no JSON is
    /// in no batch: it is answered by itself.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub fn publish_in_batch<'p>(
        &mut self,
        channel: &str,
        publication: impl Into<Publication<'p>>,
        tag: u64,
    ) -> Result<(), ClientError> {
        let publication = publication.into();
        self.wait_for(|this| match publication.needs().are_none() {
            true => this.try_publish_in_batch(channel, &publication, tag),
            false => this.try_publish(channel, &publication, Tag::Event(tag)),
        })
    }

    /// Sends what was gathered.
    ///
    /// # Errors
    /// [`ClientError::Over`].
    pub fn flush(&mut self) -> Result<(), ClientError> {
        self.wait_for(Self::try_flush)
    }

    /// Subscribes to a channel, given by its name, or to a [pattern](Topic::pattern). The answer comes as
    /// [`Event::Subscribed`](super::Event::Subscribed) or [`SubscribeRefused`](super::Event::SubscribeRefused).
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub fn subscribe<'t>(
        &mut self,
        topic: impl Into<Topic<'t>>,
        start: Start<'_>,
    ) -> Result<(), ClientError> {
        self.flush()?;
        self.note_subscription(topic.into(), start)
    }

    /// Unsubscribes from it. After [`Event::Unsubscribed`](super::Event::Unsubscribed) nothing of it comes any more.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub fn unsubscribe<'t>(&mut self, topic: impl Into<Topic<'t>>) -> Result<(), ClientError> {
        let topic = topic.into();
        self.wait_for(|this| this.try_unsubscribe(topic))
    }

    /// Whether the server has an optional part of the protocol; where there is no connection at the moment, whether the last one had it.
    pub fn has(&self, feature: Feature) -> bool {
        self.shared.lock().session.features().has(feature)
    }

    /// What the server knows this client as, as far as that says so: the subject of a token or a certificate, or a user. At most 1 KiB.
    pub fn subject(&self) -> Option<Arc<str>> {
        self.shared.lock().session.subject()
    }

    /// The longest request that the server takes, in bytes; the data, the channel's name and some 60 bytes more make one.
    pub fn max_message(&self) -> usize {
        self.shared.lock().session.max_request()
    }

    /// Why there is no connection any more, and none comes back by itself; `None` while there is one, or another try to come. It waits for
    /// nothing. The other half learns of the end as soon as it comes: its iterator ends with the same cause.
    pub fn over(&self) -> Option<Arc<Cause>> {
        match self.shared.lock().sender() {
            Err(ClientError::Over(cause)) => Some(cause),
            _ => None,
        }
    }

    /// Sends what was gathered and closes. The other half goes on to what the server has answered to until then, and ends. Where
    /// [publications with keys](Publication#keys) have no answer yet, it closes once they have, and
    /// comes back for that if it must. After four minutes without a connection their fate is unknown, and it ends.
    ///
    /// # Errors
    /// [`ClientError::Over`] where there was something to send and it could not be.
    pub fn close(&mut self) -> Result<(), ClientError> {
        let flushed = self.flush();
        self.shared.finish();
        flushed
    }

    /// Checks a publication, and encodes it if there is room.
    pub(super) fn try_publish(
        &mut self,
        channel: &str,
        publication: &Publication<'_>,
        tag: Tag,
    ) -> Result<(), Later> {
        let (key, needs) = (publication.key(), publication.needs());
        publication.check_key()?;
        self.encode(channel, publication, |state, data, texts| {
            if let Some(missing) = needs.missing_in(state.session.features()) {
                return Err(Invalid::Unsupported(missing));
            }
            state.session.publish(channel, data, key, tag, texts)
        })
    }

    fn try_publish_in_batch(
        &mut self,
        channel: &str,
        publication: &Publication<'_>,
        tag: u64,
    ) -> Result<(), Later> {
        self.encode(channel, publication, |state, data, texts| {
            state
                .session
                .publish_in_batch(channel, data.raw, tag, texts)
        })
    }

    fn encode(
        &mut self,
        channel: &str,
        publication: &Publication<'_>,
        publish: impl FnOnce(&mut State, Data<'_>, &mut Texts) -> Result<u64, Invalid>,
    ) -> Result<(), Later> {
        crate::channel::name::check(channel).map_err(Invalid::Channel)?;
        if self.texts.bytes.len() >= FLUSH_BYTES {
            self.try_flush()?;
        }
        let data = publication.data();
        let data = match data.encoding {
            Encoding::Json => Data::json(check_value(&mut self.values, data.raw)?),
            // They were encoded here.
            Encoding::Text | Encoding::Base64 => data,
        };
        let mut state = self.shared.lock();
        state.sender()?;
        if !state.session.has_room(self.shared.connector.window) {
            drop(state);
            // What is not sent is never answered.
            self.try_flush()?;
            return Err(Later::Full);
        }
        let id = publish(&mut state, data, &mut self.texts)?;
        state.note_unsent(id);
        drop(state);
        let at = self.texts.ends.len() - 1;
        let needs = publication.needs();
        self.publishes.push(Publish { at, id, needs });
        Ok(())
    }

    /// Sends what was gathered, if there is a connection. If there never will be one, it is dropped: the other half tells of it.
    pub(super) fn try_flush(&mut self) -> Result<(), Later> {
        if self.texts.ends.is_empty() {
            return Ok(());
        }
        let sender = {
            let mut state = self.shared.lock();
            let sender = match state.sender() {
                Ok(sender) => sender.ok_or(Later::Down)?,
                Err(error) => {
                    self.texts = Texts::default();
                    self.publishes.clear();
                    return Err(error.into());
                }
            };
            refuse_untaken(&mut state.session, &mut self.texts, &self.publishes);
            self.publishes.clear();
            state.sending(self.texts.bytes.len());
            state.session.end_batch(&mut self.texts);
            sender
        };
        send(&sender, &mut self.texts);
        self.shared.lock().sent();
        Ok(())
    }

    /// Notes a subscription, and asks for it if there is a connection and room.
    pub(super) fn note_subscription(
        &mut self,
        topic: Topic<'_>,
        start: Start<'_>,
    ) -> Result<(), ClientError> {
        let mut texts = Texts::default();
        let mut state = self.shared.lock();
        let sender = state.sender()?;
        state.session.subscribe(topic, start)?;
        if let Some(sender) = sender {
            // What does not fit now is asked for when answers have come.
            state.asking(|session| session.ask(&mut texts, Instant::now()));
            drop(state);
            send(&sender, &mut texts);
        }
        Ok(())
    }

    pub(super) fn try_unsubscribe(&mut self, topic: Topic<'_>) -> Result<(), Later> {
        self.try_flush()?;
        let mut texts = Texts::default();
        let mut state = self.shared.lock();
        let sender = state.sender()?.ok_or(Later::Down)?;
        state.asking(|session| session.unsubscribe(topic, &mut texts))?;
        drop(state);
        send(&sender, &mut texts);
        Ok(())
    }

    /// Does it, as soon as there is a connection and room.
    fn wait_for(
        &mut self,
        mut attempt: impl FnMut(&mut Self) -> Result<(), Later>,
    ) -> Result<(), ClientError> {
        loop {
            match attempt(self) {
                Ok(()) => return Ok(()),
                Err(Later::Never(error)) => return Err(error),
                Err(Later::Down) => self.wait_while(|state| matches!(state.sender(), Ok(None))),
                Err(Later::Full) => {
                    let window = self.shared.connector.window;
                    self.wait_while(|state| {
                        !state.session.has_room(window) && state.sender().is_ok()
                    });
                }
            }
        }
    }

    fn wait_while(&self, condition: impl Fn(&State) -> bool) {
        let mut state = self.shared.lock();
        while condition(&state) {
            state = self.shared.wait(state);
        }
    }
}

/// A thread that waits on the other half for its end need not wait for ever.
impl Drop for Requests {
    fn drop(&mut self) {
        // Nobody could be told if it cannot be sent; it is not waited for either.
        let _ = self.try_flush();
    }
}

/// Sends `texts` and empties them. That it failed the other half finds out, and does what must be done.
fn send(sender: &Sender, texts: &mut Texts) {
    if texts.ends.is_empty() {
        return;
    }
    if sender.send_texts(texts).is_err() {
        sender.abort();
    }
    texts.ends.clear();
    texts.bytes.clear();
    // One large message need not be paid for ever after.
    texts.bytes.shrink_to(2 * FLUSH_BYTES);
}

/// Takes out of `texts` what the server does not take: one that came after these were encoded may be older, or take shorter ones only.
fn refuse_untaken(session: &mut Session, texts: &mut Texts, publishes: &[Publish]) {
    let mut untaken = Vec::new();
    for &Publish { at, id, needs } in publishes {
        let start = at.checked_sub(1).map_or(0, |before| texts.ends[before]);
        let len = texts.ends[at] - start;
        untaken.extend(session.why_untaken(needs, len).map(|why| (at, id, why)));
    }
    if untaken.is_empty() {
        return;
    }
    let mut untaken = untaken.into_iter().peekable();
    let all = std::mem::take(texts);
    let mut start = 0;
    for (at, &end) in all.ends.iter().enumerate() {
        match untaken.next_if(|(untaken, ..)| *untaken == at) {
            Some((_, id, why)) => session.refuse(id, why),
            None => {
                texts.bytes.extend_from_slice(&all.bytes[start..end]);
                texts.ends.push(texts.bytes.len());
            }
        }
        start = end;
    }
}

/// The JSON value in `data`, without white space around it. Checked, since in a request it could be more than a value.
fn check_value<'v>(values: &mut ValueDecoder, data: &'v [u8]) -> Result<&'v [u8], Invalid> {
    values.decode(data).map_err(|error| match error {
        DecodeError::NotUtf8 => Invalid::Data {
            message: "the data is not UTF-8".to_owned(),
            offset: None,
        },
        DecodeError::Refused(reply) => Invalid::Data {
            message: reply.message.into_owned(),
            offset: reply.offset,
        },
    })
}
