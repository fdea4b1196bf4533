//! A subscriber that looks at each message.

use std::ops::Range;

use anyhow::{Context, Result, bail};

use crate::dialect::{Dialect, Event};
use crate::payload::Origin;
use crate::receive::{Shared, data_or_control, gap};
use crate::wire;

/// Where a subscription of a reader stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Subscription {
    /// Not confirmed, or ended: nothing may arrive.
    #[default]
    Absent,
    /// The next message comes after the one with this sequence number, which need not be the number less one.
    After(u64),
}

/// A subscriber that looks at each message.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    carry: wire::Carry,
    /// How the server speaks to it.
    dialect: Dialect,
    /// The first of the channels that it subscribes to.
    first_channel: usize,
    /// Its subscriptions to that channel and those after it.
    subscriptions: Vec<Subscription>,
    /// How many of the newest messages it asks for with each subscription.
    last: u64,
    /// Until the messages that it asked for are there: how many are missing, and when it began to connect.
    returning: Option<(u64, u64)>,
    /// It comes and goes: its messages are not among those that everybody must get.
    apart: bool,
    /// Subscriptions confirmed so far.
    pub(crate) subscribed: u64,
}

impl Reader {
    /// One that subscribes to some channels.
    pub(crate) fn of(channels: Range<usize>) -> Self {
        Self {
            first_channel: channels.start,
            subscriptions: vec![Subscription::Absent; channels.len()],
            ..Self::default()
        }
    }

    /// One that comes back to a channel and asks for the newest `last` messages.
    ///
    /// What is timed is how long it takes from `began_ns` until it has them.
    pub(crate) fn returning(channel: usize, last: u64, began_ns: u64) -> Self {
        Self {
            last,
            returning: Some((last, began_ns)),
            ..Self::of(channel..channel + 1)
        }
    }

    /// One whose messages are counted apart, because it comes and goes.
    pub(crate) fn apart(channel: usize) -> Self {
        Self {
            apart: true,
            ..Self::of(channel..channel + 1)
        }
    }

    /// One that is spoken to in this way.
    pub(crate) fn spoken_to(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self
    }

    /// Takes what was received; appends to `reply` what must be answered.
    ///
    /// # Errors
    /// A message that was not published, is changed, belongs to a channel that this one has not subscribed to, or comes
    /// out of order; a gap; a close.
    #[inline]
    pub(crate) fn take(
        &mut self,
        received: &[u8],
        now_ns: u64,
        shared: &mut Shared,
        reply: &mut Vec<u8>,
    ) -> Result<()> {
        let mut carry = std::mem::take(&mut self.carry);
        let taken = carry.feed(received, |bytes| {
            self.take_frames(bytes, now_ns, shared, reply)
        });
        self.carry = carry;
        taken
    }

    fn take_frames(
        &mut self,
        bytes: &[u8],
        now_ns: u64,
        shared: &mut Shared,
        reply: &mut Vec<u8>,
    ) -> Result<usize> {
        let mut at = 0;
        while let Some(frame) = self.dialect.parse(&bytes[at..])? {
            let payload = &bytes[at + frame.header..at + frame.len];
            at += frame.len;
            match data_or_control(self.dialect, frame, payload, shared, reply)? {
                Some(Event::Message {
                    channel,
                    seq,
                    origin,
                }) => {
                    match (seq, origin) {
                        (Some(seq), Some(origin)) => {
                            self.check(channel, seq, origin, now_ns, shared)?;
                        }
                        // The bare sender's: there is nothing to check but their bytes.
                        (None, None) => {}
                        _ => bail!("channel {channel}: a message without a sequence number"),
                    }
                    self.count(shared, now_ns);
                }
                Some(Event::Subscribed { channel, seq }) => {
                    self.subscribed += 1;
                    shared.subscriptions_apart += u64::from(self.apart);
                    let before = shared.order.before_newest(channel, seq, self.last);
                    *self.subscription(channel)? = Subscription::After(before);
                }
                Some(Event::Unsubscribed { channel }) => {
                    *self.subscription(channel)? = Subscription::Absent;
                }
                Some(Event::Gap { from, to }) => return Err(gap(from, to)),
                Some(Event::Other) | None => {}
            }
        }
        Ok(at)
    }

    /// Checks that a message is the next one of its channel, and the one that others get.
    #[inline]
    fn check(
        &mut self,
        channel: usize,
        seq: u64,
        origin: Origin,
        now_ns: u64,
        shared: &mut Shared,
    ) -> Result<()> {
        let subscription = self.subscription(channel)?;
        let after = match *subscription {
            Subscription::After(after) if after < seq => after,
            Subscription::After(after) => {
                bail!("channel {channel}: seq {seq} arrived after {after}")
            }
            Subscription::Absent => {
                bail!("channel {channel}: seq {seq} arrived without a subscription")
            }
        };
        *subscription = Subscription::After(seq);
        let sent_ns = shared.sent_ns(origin)?;
        if self.apart {
            return shared.order.compare(channel, after, seq, origin);
        }
        let checked = shared.order.check(channel, after, seq, origin, now_ns);
        if self.has_nothing_yet() {
            checked.with_context(|| {
                format!(
                    "of the newest {} messages the first to come was seq {seq}; the server may have to retain more",
                    self.last
                )
            })?;
        } else {
            checked?;
        }
        if self.returning.is_none() {
            shared.latencies.record(now_ns.saturating_sub(sent_ns), 1);
        }
        Ok(())
    }

    /// Whether it has come back for messages and got none.
    fn has_nothing_yet(&self) -> bool {
        self.returning
            .is_some_and(|(missing, _)| missing == self.last)
    }

    /// Whether it has subscribed so often, and has everything up to the message with the sequence number `newest`.
    pub(crate) fn has_settled(&self, subscriptions: u64, newest: u64) -> bool {
        self.subscribed == subscriptions && self.subscriptions == [Subscription::After(newest)]
    }

    fn count(&mut self, shared: &mut Shared, now_ns: u64) {
        if self.apart {
            shared.deliveries_apart += 1;
            return;
        }
        shared.deliveries += 1;
        if let Some((missing, began_ns)) = &mut self.returning {
            *missing = missing.saturating_sub(1);
            if *missing == 0 {
                let took_ns = now_ns.saturating_sub(*began_ns);
                shared.latencies.record(took_ns, 1);
                self.returning = None;
            }
        }
    }

    fn subscription(&mut self, channel: usize) -> Result<&mut Subscription> {
        let at = channel.checked_sub(self.first_channel);
        match at.and_then(|at| self.subscriptions.get_mut(at)) {
            Some(subscription) => Ok(subscription),
            None => bail!("channel {channel}, which this connection has not asked for"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::name;
    use crate::order::{Keep, Order};
    use crate::payload::{Content, Template};

    /// A reader of some channels, and what it shares; publications go to two channels in turn.
    struct Bench {
        shared: Shared,
        template: Template,
    }

    impl Bench {
        fn new(keep: Keep, published: u64) -> Self {
            let template = || Template::new(64, Content::default());
            let order = Order::new(1, 2, keep);
            let mut shared = Shared::new(Dialect::Json, template(), 1, 0, order);
            for at in 0..published {
                shared.sent.note(0, at);
            }
            let template = template();
            Self { shared, template }
        }

        fn message(&mut self, channel: usize, seq: u64, index: u64) -> Vec<u8> {
            let mut frame = Vec::new();
            let origin = Origin {
                publisher: 0,
                index,
            };
            Dialect::message(&mut frame, channel, seq, self.template.fill(origin));
            frame
        }

        fn take(&mut self, reader: &mut Reader, bytes: &[u8]) -> Result<()> {
            reader.take(bytes, 100, &mut self.shared, &mut Vec::new())
        }
    }

    fn event(kind: &str, channel: usize, seq: u64) -> Vec<u8> {
        let mut frame = Vec::new();
        let text = format!(
            r#"{{"type":"{kind}","channel":"{}","seq":{seq}}}"#,
            name(channel)
        );
        wire::write_server_text(&mut frame, text.as_bytes());
        frame
    }

    #[test]
    fn messages_that_follow_the_confirmation_count() {
        let mut bench = Bench::new(Keep::Until(1), 4);
        let mut reader = Reader::of(0..2);
        for bytes in [
            event("subscribed", 0, 0),
            event("subscribed", 1, 0),
            bench.message(0, 1, 0),
            bench.message(1, 5, 1),
            bench.message(0, 7, 2),
        ] {
            bench.take(&mut reader, &bytes).unwrap();
        }
        assert_eq!(bench.shared.deliveries, 3);
        assert_eq!(bench.shared.latency().count, 3);
    }

    #[test]
    fn a_message_without_a_subscription_is_a_fault() {
        let mut bench = Bench::new(Keep::All, 4);
        let message = bench.message(0, 1, 0);
        assert!(bench.take(&mut Reader::of(0..1), &message).is_err());
        assert!(bench.take(&mut Reader::of(1..2), &message).is_err());
    }

    #[test]
    fn a_message_after_the_end_of_the_subscription_is_a_fault() {
        let mut bench = Bench::new(Keep::All, 4);
        let mut reader = Reader::apart(0);
        for bytes in [
            event("subscribed", 0, 0),
            bench.message(0, 1, 0),
            event("unsubscribed", 0, 0),
            event("subscribed", 0, 1),
            bench.message(0, 2, 2),
            event("unsubscribed", 0, 0),
        ] {
            bench.take(&mut reader, &bytes).unwrap();
        }
        assert_eq!(
            (
                bench.shared.deliveries,
                bench.shared.deliveries_apart,
                bench.shared.subscriptions_apart
            ),
            (0, 2, 2)
        );
        assert!(!reader.has_settled(2, 2), "the subscription has ended");
        let late = bench.message(0, 2, 2);
        assert!(bench.take(&mut reader, &late).is_err());
    }

    #[test]
    fn the_first_message_comes_after_the_newest_of_the_confirmation() {
        let mut bench = Bench::new(Keep::All, 4);
        let mut reader = Reader::of(0..1);
        bench.take(&mut reader, &event("subscribed", 0, 1)).unwrap();
        let old = bench.message(0, 1, 0);
        assert!(bench.take(&mut reader, &old).is_err());
    }

    #[test]
    fn a_publication_that_arrives_twice_is_a_fault_whatever_its_number() {
        let mut bench = Bench::new(Keep::All, 4);
        let mut reader = Reader::of(0..1);
        bench.take(&mut reader, &event("subscribed", 0, 0)).unwrap();
        let (once, again) = (bench.message(0, 1, 0), bench.message(0, 2, 0));
        bench.take(&mut reader, &once).unwrap();
        assert!(bench.take(&mut reader, &again).is_err());
    }

    #[test]
    fn a_message_that_nobody_published_is_a_fault() {
        let mut bench = Bench::new(Keep::All, 1);
        let mut reader = Reader::of(0..1);
        bench.take(&mut reader, &event("subscribed", 0, 0)).unwrap();
        let (sent, unsent) = (bench.message(0, 1, 0), bench.message(0, 2, 2));
        bench.take(&mut reader, &sent).unwrap();
        assert!(bench.take(&mut reader, &unsent).is_err());
    }

    #[test]
    fn who_comes_back_gets_just_what_was_asked_for_and_is_timed_once() {
        let mut bench = Bench::new(Keep::All, 8);
        let mut first = Reader::of(0..1);
        let mut all = event("subscribed", 0, 0);
        for (index, seq) in [2, 3, 7, 20].into_iter().enumerate() {
            all.extend(bench.message(0, seq, 2 * index as u64));
        }
        bench.take(&mut first, &all).unwrap();
        bench.shared.forget_latencies();
        let mut back = Reader::returning(0, 2, 40);
        let mut newest = event("subscribed", 0, 20);
        newest.extend(bench.message(0, 7, 4));
        newest.extend(bench.message(0, 20, 6));
        bench.take(&mut back, &newest).unwrap();
        assert_eq!(bench.shared.latency().count, 1);
        let one_more = bench.message(0, 21, 8);
        assert!(bench.take(&mut back, &one_more).is_err());
        for (seq, index) in [(3, 2), (20, 6)] {
            let mut wrong = Reader::returning(0, 2, 40);
            let mut first = event("subscribed", 0, 20);
            first.extend(bench.message(0, seq, index));
            assert!(bench.take(&mut wrong, &first).is_err(), "{seq} came first");
        }
    }
}
