//! What a subscriber does with the bytes it receives: check them, count them, time them.
//!
//! Two ways, one interface. A *follower* subscribes to one channel with many others and is compared with their common
//! [`Stream`]. A [reader](crate::reader) looks at each message, for connections that see several channels, a history, or
//! only a part of what there is.

use anyhow::{Result, anyhow, bail};
use fanfare::ws::deflate::Inflater;
use fanfare::ws::extension::Offer;
use fanfare::ws::frame::Opcode;

use crate::dialect::{Dialect, Event, Role, shown};
use crate::fault::Overloaded;
use crate::latency::{Latencies, Quantiles};
use crate::order::Order;
use crate::pattern::ChannelSeqs;
use crate::payload::{Origin, Template};
use crate::stream::{Position, Stream};
use crate::wire::{self, Frame};

/// When each publication was sent, by its publisher and index.
#[derive(Default)]
pub(crate) struct SentTimes {
    by_publisher: Vec<Vec<u64>>,
}

impl SentTimes {
    /// Room for some publishers.
    pub(crate) fn new(publishers: usize) -> Self {
        Self {
            by_publisher: vec![Vec::new(); publishers],
        }
    }

    /// Notes the next publication of a publisher and returns its index.
    pub(crate) fn note(&mut self, publisher: usize, at_ns: u64) -> u64 {
        self.by_publisher[publisher].push(at_ns);
        self.by_publisher[publisher].len() as u64 - 1
    }

    /// When a publication was sent, if it was.
    #[inline]
    pub(crate) fn get(&self, origin: Origin) -> Option<u64> {
        self.by_publisher
            .get(origin.publisher)?
            .get(usize::try_from(origin.index).ok()?)
            .copied()
    }
}

/// Close codes by which a server says that it, or the way to a subscriber, has too much to do.
const TURNED_AWAY: [u16; 3] = [1013, 4429, 4508];

/// The largest message that is read once inflated: 64 MiB.
const MAX_INFLATED: usize = 64 << 20;

/// What all subscribers share.
pub(crate) struct Shared {
    /// How the server speaks to subscribers.
    pub(crate) dialect: Dialect,
    /// How publishers speak to the server.
    pub(crate) publishing: Dialect,
    /// What a publication looks like.
    pub(crate) template: Template,
    /// When each was sent.
    pub(crate) sent: SentTimes,
    /// Where subscribers ask for compression: what reads it. One for all, as they ask for no context takeover.
    pub(crate) inflater: Option<Inflater>,
    inflated: Vec<u8>,
    /// What followers follow.
    pub(crate) stream: Stream,
    /// Readers' latencies; followers' are the stream's.
    pub(crate) latencies: Latencies,
    /// Which messages each channel has, in which order.
    pub(crate) order: Order,
    /// The same for what a pattern's subscribers receive.
    pub(crate) channel_seqs: ChannelSeqs,
    /// Messages delivered so far to those that must get all of them.
    pub(crate) deliveries: u64,
    /// Messages that a pattern's subscribers were told will not come, because they fell behind.
    pub(crate) lapped: u64,
    /// Messages delivered so far to those that come and go.
    pub(crate) deliveries_apart: u64,
    /// How often those that come and go have subscribed so far.
    pub(crate) subscriptions_apart: u64,
}

impl Shared {
    /// Nothing sent, nothing received.
    pub(crate) fn new(
        dialect: Dialect,
        template: Template,
        publishers: usize,
        followers: usize,
        order: Order,
    ) -> Self {
        Self {
            dialect,
            publishing: dialect,
            template,
            sent: SentTimes::new(publishers),
            inflater: None,
            inflated: Vec::new(),
            stream: Stream::new(followers),
            latencies: Latencies::new(),
            order,
            channel_seqs: ChannelSeqs::new(1),
            deliveries: 0,
            lapped: 0,
            deliveries_apart: 0,
            subscriptions_apart: 0,
        }
    }

    /// How a connection is spoken to.
    pub(crate) fn dialect_of(&self, role: Role) -> Dialect {
        match role {
            Role::Subscriber => self.dialect,
            Role::Publisher => self.publishing,
        }
    }

    /// What a connection offers in its handshake.
    pub(crate) fn offer(&self, role: Role) -> Option<Offer> {
        (role == Role::Subscriber && self.inflater.is_some()).then(Offer::default)
    }

    /// Reads a compressed message.
    fn inflate(&mut self, payload: &[u8]) -> Result<Event> {
        let Some(inflater) = &mut self.inflater else {
            bail!("compressed, which was not agreed on");
        };
        self.inflated.clear();
        inflater.inflate(payload, &mut self.inflated, MAX_INFLATED)?;
        self.dialect.read(&self.inflated, &self.template)
    }

    /// What all subscribers' latencies look like.
    pub(crate) fn latency(&self) -> Quantiles {
        let followers = self.stream.latencies.quantiles();
        if followers.count > 0 {
            followers
        } else {
            self.latencies.quantiles()
        }
    }

    /// From the first subscriber that had a message to the last one, where several get the same.
    pub(crate) fn skew(&self) -> Option<Quantiles> {
        [&self.stream.skew, &self.order.skew]
            .map(Latencies::quantiles)
            .into_iter()
            .find(|skew| skew.count > 0)
    }

    /// Forgets the latencies so far: they were a warm-up's.
    pub(crate) fn forget_latencies(&mut self) {
        self.stream.latencies.clear();
        self.stream.skew.clear();
        self.order.skew.clear();
        self.latencies.clear();
    }

    /// When a publication was sent.
    ///
    /// # Errors
    /// It was not.
    #[inline]
    pub(crate) fn sent_ns(&self, origin: Origin) -> Result<u64> {
        match self.sent.get(origin) {
            Some(sent_ns) => Ok(sent_ns),
            None => bail!("a message that nobody has published: {origin:?}"),
        }
    }

    /// Checks a message that is the first of its kind to arrive, and appends it to the stream.
    fn append(&mut self, frame: &[u8], event: Event, now_ns: u64) -> Result<()> {
        let Event::Message {
            channel,
            seq,
            origin,
        } = event
        else {
            bail!("not a message");
        };
        let before = self.stream.messages();
        // The bare sender's messages are all alike: the n-th to arrive is the n-th sent.
        let origin = origin.unwrap_or(Origin {
            publisher: 0,
            index: before,
        });
        let sent_ns = self.sent_ns(origin)?;
        self.order
            .check_newest(channel, seq.unwrap_or(before + 1), origin, now_ns)?;
        self.stream.append(frame, sent_ns, now_ns)
    }
}

/// A subscriber that must see what all others of its channel see.
#[derive(Default)]
pub(crate) struct Follower {
    position: Position,
    /// The beginning of a message that nobody has seen the end of, from the position on.
    carry: Vec<u8>,
    /// Subscriptions confirmed so far.
    pub(crate) subscribed: u64,
}

impl Follower {
    /// Takes what was received; appends to `reply` what must be answered.
    ///
    /// # Errors
    /// Bytes that differ from what others got, messages out of order, a gap, a close.
    #[inline]
    pub(crate) fn take(
        &mut self,
        received: &[u8],
        now_ns: u64,
        shared: &mut Shared,
        reply: &mut Vec<u8>,
    ) -> Result<()> {
        let result = if self.carry.is_empty() {
            self.take_whole(received, now_ns, shared, reply)
        } else {
            let mut whole = std::mem::take(&mut self.carry);
            whole.extend_from_slice(received);
            self.take_whole(&whole, now_ns, shared, reply)
        };
        shared.deliveries += shared.stream.settle(&mut self.position, now_ns);
        result
    }

    fn take_whole(
        &mut self,
        received: &[u8],
        now_ns: u64,
        shared: &mut Shared,
        reply: &mut Vec<u8>,
    ) -> Result<()> {
        let mut from_boundary;
        let mut rest = received;
        loop {
            rest = &rest[shared.stream.follow(&mut self.position, rest)..];
            if rest.is_empty() {
                return Ok(());
            }
            let is_first = shared.stream.at_end(&self.position);
            if !is_first {
                // A control frame between two messages, or a mistake. It may begin like the message that is due.
                let begun = shared.stream.back_to_boundary(&mut self.position);
                if !begun.is_empty() {
                    from_boundary = [begun, rest].concat();
                    rest = &from_boundary;
                }
            }
            let Some(frame) = shared.dialect.parse(rest)? else {
                self.carry.extend_from_slice(rest);
                return Ok(());
            };
            let (whole, after) = rest.split_at(frame.len);
            let payload = &whole[frame.header..];
            match data_or_control(shared.dialect, frame, payload, shared, reply)? {
                // Left in `rest`: the next turn of the loop goes over it like everybody else.
                Some(event @ Event::Message { .. }) if is_first => {
                    shared.append(whole, event, now_ns)?;
                }
                Some(Event::Message { .. }) => bail!(
                    "differs from what others got: {}",
                    shown(&whole[frame.header..])
                ),
                Some(other) => {
                    self.take_other(other)?;
                    rest = after;
                }
                None => rest = after,
            }
        }
    }

    #[cold]
    fn take_other(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Gap { from, to } => return Err(gap(from, to)),
            Event::Subscribed { .. } => self.subscribed += 1,
            Event::Message { .. } | Event::Unsubscribed { .. } | Event::Other => {}
        }
        Ok(())
    }
}

/// Reads a message, or answers a control frame (`None`).
pub(crate) fn data_or_control(
    dialect: Dialect,
    frame: Frame,
    payload: &[u8],
    shared: &mut Shared,
    reply: &mut Vec<u8>,
) -> Result<Option<Event>> {
    match frame.opcode {
        _ if frame.compressed => shared.inflate(payload).map(Some),
        Opcode::Text => Ok(Some(dialect.read(payload, &shared.template)?)),
        Opcode::Binary | Opcode::Continuation => bail!("not a text frame: {}", shown(payload)),
        Opcode::Ping => {
            wire::write_pong(reply, payload);
            Ok(None)
        }
        Opcode::Pong => Ok(None),
        Opcode::Close => {
            let code = payload
                .first_chunk()
                .map_or(1005, |code| u16::from_be_bytes(*code));
            let reason = shown(payload.get(2..).unwrap_or_default());
            let what = format!("closed by the server: {code} {reason}");
            Err(match TURNED_AWAY.contains(&code) {
                true => Overloaded::because(what),
                false => anyhow!(what),
            })
        }
    }
}

/// That a subscriber was told of missing messages.
pub(crate) fn gap(from: u64, to: u64) -> anyhow::Error {
    Overloaded::because(format!(
        "a gap from {from} to {to} for a subscriber that reads all it can"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::Keep;
    use crate::payload::Content;

    /// Two followers of one channel.
    struct Bench {
        shared: Shared,
        template: Template,
        followers: [Follower; 2],
    }

    impl Bench {
        fn new() -> Self {
            let template = || Template::new(64, Content::default());
            let order = Order::new(1, 1, Keep::Until(1));
            let mut shared = Shared::new(Dialect::Json, template(), 1, 2, order);
            for at in 0..4 {
                shared.sent.note(0, at);
            }
            let (template, followers) = (template(), Default::default());
            Self {
                shared,
                template,
                followers,
            }
        }

        fn message(&mut self, seq: u64, index: u64) -> Vec<u8> {
            let origin = Origin {
                publisher: 0,
                index,
            };
            let mut frame = Vec::new();
            Dialect::message(&mut frame, 0, seq, self.template.fill(origin));
            frame
        }

        /// What is answered.
        fn take(&mut self, follower: usize, bytes: &[u8]) -> Result<Vec<u8>> {
            let mut reply = Vec::new();
            self.followers[follower].take(bytes, 9, &mut self.shared, &mut reply)?;
            Ok(reply)
        }
    }

    #[test]
    fn followers_that_get_the_same_have_it_counted_however_it_is_cut() {
        let mut bench = Bench::new();
        let both = [bench.message(1, 0), bench.message(6, 1)].concat();
        bench.take(0, &both).unwrap();
        for byte in &both {
            bench.take(1, std::slice::from_ref(byte)).unwrap();
        }
        assert_eq!(bench.shared.deliveries, 4);
    }

    #[test]
    fn a_ping_between_messages_is_answered_whoever_gets_it() {
        let mut bench = Bench::new();
        let (one, two) = (bench.message(1, 0), bench.message(2, 1));
        let ping = [0x89, 1, b'x'].as_slice();
        for follower in [0, 1] {
            let bytes = [&one, ping, ping, &two].concat();
            // A pong has a header of 2 bytes, a mask of 4 and what the ping had.
            assert_eq!(bench.take(follower, &bytes).unwrap().len(), 2 * 7);
        }
        assert_eq!(bench.shared.deliveries, 4);
    }

    #[test]
    fn what_is_changed_repeated_or_left_out_is_a_fault_for_the_first_and_for_the_others() {
        for follower in [0, 1] {
            let mut bench = Bench::new();
            let one = bench.message(1, 0);
            let two = bench.message(2, 1);
            let mut changed = two.clone();
            *changed.last_mut().unwrap() = b'x';
            let wrong = [
                changed,
                one.clone(),
                bench.message(3, 2),
                bench.message(2, 2),
            ];
            for bytes in wrong {
                let mut bench = Bench::new();
                if follower == 1 {
                    bench.take(0, &[&one[..], &two].concat()).unwrap();
                }
                bench.take(follower, &one).unwrap();
                assert!(bench.take(follower, &bytes).is_err());
            }
        }
    }

    #[test]
    fn a_gap_and_a_close_for_being_slow_are_overload_and_another_close_is_not() {
        let close = |code: u16| [&[0x88, 2][..], &code.to_be_bytes()].concat();
        let mut gap = Vec::new();
        wire::write_server_text(
            &mut gap,
            br#"{"type":"gap","channel":"c000000","from":1,"to":2}"#,
        );
        for (bytes, overload) in [(gap, true), (close(4508), true), (close(1002), false)] {
            let error = Bench::new().take(0, &bytes).unwrap_err().context("there");
            assert_eq!(
                Overloaded::cause(&error),
                overload.then_some(false),
                "{error:#}"
            );
        }
    }
}
