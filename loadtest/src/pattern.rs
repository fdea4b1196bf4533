//! A subscriber of a pattern, or of the one channel that it is measured beside: it looks at each message.
//!
//! Both get everything that is published, from the first publication on, and one publisher numbers its publications. So the
//! message with the number N in the log is publication N, unless the daemon has said that it left some out. A pattern's
//! subscribers may be lapped, which the daemon has to tell them by a `gap`; a channel's subscribers that read may not.

use anyhow::{Result, bail};
use fanfare::ws::frame::Opcode;

use crate::dialect::{self, Event, shown};
use crate::payload::{Origin, Template, read_digits};
use crate::receive::{Shared, data_or_control, gap};
use crate::wire;

/// The pattern that stands for all channels of a run: their names have one part each.
const PATTERN: &str = "*";

/// What a subscriber is subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    /// The first channel.
    Channel,
    /// The pattern that stands for all channels.
    Pattern,
}

impl Topic {
    /// Appends the request for a subscription.
    pub(crate) fn subscribe(self, out: &mut Vec<u8>) {
        let member = self.member();
        let text = self.text();
        let request = format!(r#"{{"type":"subscribe","id":1,"{member}":"{text}"}}"#);
        wire::write_text(out, request.as_bytes());
    }

    /// The member that says what a request or an event is about.
    fn member(self) -> &'static str {
        match self {
            Self::Channel => "channel",
            Self::Pattern => "pattern",
        }
    }

    fn text(self) -> String {
        match self {
            Self::Channel => dialect::name(0),
            Self::Pattern => PATTERN.to_owned(),
        }
    }
}

/// A publication as it arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Message {
    /// Its number in the log that is subscribed to.
    seq: u64,
    /// The channel's number.
    channel: u64,
    /// Its number in its channel; `None` where that is the log.
    channel_seq: Option<u64>,
    origin: Origin,
}

/// What arrived that is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arrival {
    /// The subscription is in place; the number of the newest message.
    Subscribed(u64),
    /// Messages that were left out: the first one and the last one.
    Gap(u64, u64),
    /// A welcome, an answer: nothing that needs attention.
    Other,
}

/// Splits a number and what stands behind it off the beginning of `text`.
#[inline]
fn number<'t>(text: &'t [u8], behind: &[u8]) -> Option<(u64, &'t [u8])> {
    let digits = text.iter().position(|byte| !byte.is_ascii_digit())?;
    let (digits, rest) = text.split_at(digits);
    Some((read_digits(digits)?, rest.strip_prefix(behind)?))
}

/// Reads a `message` whose members stand in the order that the daemon writes them in.
#[inline]
fn read_message(topic: Topic, payload: &[u8], template: &Template) -> Option<Message> {
    let (seq, channel, channel_seq, rest);
    match topic {
        Topic::Channel => {
            let text = payload.strip_prefix(br#"{"type":"message","channel":"c"#)?;
            let (in_name, text) = number(text, br#"","seq":"#)?;
            (channel, channel_seq) = (in_name, None);
            (seq, rest) = number(text, br#","data":"#)?;
        }
        Topic::Pattern => {
            let text = payload.strip_prefix(br#"{"type":"message","pattern":"*","seq":"#)?;
            let (in_log, text) = number(text, br#","channel":"c"#)?;
            let (in_name, text) = number(text, br#"","channel_seq":"#)?;
            let (in_channel, text) = number(text, br#","data":"#)?;
            (seq, channel, channel_seq, rest) = (in_log, in_name, Some(in_channel), text);
        }
    }
    let origin = template.check(rest.strip_suffix(b"}")?)?;
    Some(Message {
        seq,
        channel,
        channel_seq,
        origin,
    })
}

/// Reads what is no publication.
#[cold]
fn read_other(topic: Topic, payload: &[u8]) -> Result<Arrival> {
    let Ok(event) = serde_json::from_slice::<serde_json::Value>(payload) else {
        bail!("not JSON: {}", shown(payload));
    };
    let kind = event["type"].as_str().unwrap_or("");
    match kind {
        "subscribed" | "gap" => {}
        "error" => bail!("the server says: {}", shown(payload)),
        "message" => bail!("not what was published: {}", shown(payload)),
        _ => return Ok(Arrival::Other),
    }
    let member = topic.member();
    if event[member].as_str() != Some(&topic.text()) {
        bail!("a {member} that nobody asked for: {}", shown(payload));
    }
    let number = |member: &str| event[member].as_u64();
    match (kind, number("seq"), number("from"), number("to")) {
        ("subscribed", Some(seq), ..) => Ok(Arrival::Subscribed(seq)),
        ("gap", _, Some(from), Some(to)) if event["reason"] == "slow" => Ok(Arrival::Gap(from, to)),
        _ => bail!("nothing that can come here: {}", shown(payload)),
    }
}

/// Each message's number in its channel, by the number of the publication, as the first subscriber to receive it saw it.
#[derive(Debug)]
pub(crate) struct ChannelSeqs {
    channels: usize,
    /// 0 for what nobody has received.
    seqs: Vec<u64>,
}

impl ChannelSeqs {
    /// Nothing received yet. Publications go to so many channels in turn.
    pub(crate) fn new(channels: usize) -> Self {
        Self {
            channels: channels.max(1),
            seqs: Vec::new(),
        }
    }

    /// Checks the channel of a publication that was made, and its number there.
    ///
    /// # Errors
    /// It was published to another channel, others got another number, or the channel's numbers do not grow.
    fn check(&mut self, publication: u64, channel: u64, seq: Option<u64>) -> Result<()> {
        let at = usize::try_from(publication)?;
        if at as u64 % self.channels as u64 != channel {
            bail!("publication {at} was not made to channel {channel}");
        }
        let Some(seq) = seq else {
            return Ok(());
        };
        if at >= self.seqs.len() {
            self.seqs.resize(at + 1, 0);
        }
        if self.seqs[at] == 0 {
            let known = |seq: &&u64| **seq != 0;
            let mut older = self.seqs[..at].iter().rev();
            let older = (older.by_ref().skip(self.channels - 1))
                .step_by(self.channels)
                .find(known);
            let newer = self.seqs[at..].iter().skip(self.channels);
            let newer = newer.step_by(self.channels).find(known);
            if older.is_some_and(|older| *older >= seq) || newer.is_some_and(|newer| *newer <= seq)
            {
                bail!(
                    "channel {channel}: channel_seq {seq} of publication {at} stands between {older:?} and {newer:?}"
                );
            }
            self.seqs[at] = seq;
        }
        if self.seqs[at] != seq {
            bail!(
                "channel {channel}: publication {at} has the channel_seq {seq}, and others got {}",
                self.seqs[at]
            );
        }
        Ok(())
    }
}

/// Where a subscription stands.
#[derive(Clone, Copy, Debug)]
struct Position {
    /// The number of the newest message before the subscription.
    begin: u64,
    /// That of the newest message that arrived or was said to be left out.
    newest: u64,
}

/// Messages that were sent at one moment mostly arrive together: their latencies are recorded together.
struct Together {
    sent_ns: u64,
    count: u64,
}

impl Together {
    fn record(&mut self, now_ns: u64, shared: &mut Shared) {
        let count = std::mem::take(&mut self.count);
        if count > 0 {
            let latency_ns = now_ns.saturating_sub(self.sent_ns);
            shared.latencies.record(latency_ns, count);
        }
    }
}

/// A subscriber that looks at each message.
#[derive(Debug)]
pub(crate) struct Listener {
    topic: Topic,
    carry: wire::Carry,
    position: Option<Position>,
}

impl Listener {
    /// One that has nothing yet.
    pub(crate) fn new(topic: Topic) -> Self {
        Self {
            topic,
            carry: wire::Carry::default(),
            position: None,
        }
    }

    /// Subscriptions confirmed so far.
    pub(crate) fn subscribed(&self) -> u64 {
        u64::from(self.position.is_some())
    }

    /// Takes what was received; appends to `reply` what must be answered.
    ///
    /// # Errors
    /// A message that was not published, is changed, comes out of order, or after others that are missing without a word;
    /// a gap in a channel; a close.
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
        let mut together = Together {
            sent_ns: 0,
            count: 0,
        };
        while let Some(frame) = wire::parse(&bytes[at..])? {
            let payload = &bytes[at + frame.header..at + frame.len];
            at += frame.len;
            if frame.opcode != Opcode::Text || frame.compressed {
                match data_or_control(shared.dialect, frame, payload, shared, reply)? {
                    Some(Event::Other) | None => continue,
                    Some(_) => bail!("compressed, which was not agreed on"),
                }
            }
            match read_message(self.topic, payload, &shared.template) {
                Some(message) => {
                    let sent_ns = self.check(&message, shared)?;
                    if sent_ns != together.sent_ns {
                        together.record(now_ns, shared);
                        together.sent_ns = sent_ns;
                    }
                    together.count += 1;
                    shared.deliveries += 1;
                }
                None => match read_other(self.topic, payload)? {
                    Arrival::Subscribed(seq) => {
                        self.position = Some(Position {
                            begin: seq,
                            newest: seq,
                        });
                    }
                    Arrival::Gap(from, to) => self.skip(from, to, shared)?,
                    Arrival::Other => {}
                },
            }
        }
        together.record(now_ns, shared);
        Ok(at)
    }

    fn position(&mut self) -> Result<&mut Position> {
        match &mut self.position {
            Some(position) => Ok(position),
            None => bail!("a message arrived without a subscription"),
        }
    }

    /// Checks that a message is the next one, and says when it was sent.
    #[inline]
    fn check(&mut self, message: &Message, shared: &mut Shared) -> Result<u64> {
        let member = self.topic.member();
        let position = self.position()?;
        let Message { seq, origin, .. } = *message;
        if seq != position.newest + 1 {
            bail!(
                "seq {seq} of the {member} arrived after {}, and no gap was announced",
                position.newest
            );
        }
        let due = seq - position.begin - 1;
        let sent_ns = shared.sent_ns(origin)?;
        if origin.index != due {
            bail!(
                "seq {seq} of the {member} is publication {}, where publication {due} was due",
                origin.index
            );
        }
        position.newest = seq;
        let channel_seqs = &mut shared.channel_seqs;
        channel_seqs.check(due, message.channel, message.channel_seq)?;
        Ok(sent_ns)
    }

    /// Goes past messages that the daemon said it left out.
    fn skip(&mut self, from: u64, to: u64, shared: &mut Shared) -> Result<()> {
        if self.topic == Topic::Channel {
            return Err(gap(from, to));
        }
        let position = self.position()?;
        if from != position.newest + 1 || to < from {
            bail!("a gap from {from} to {to} after seq {}", position.newest);
        }
        // What nobody has published can't be left out.
        shared.sent_ns(Origin {
            publisher: 0,
            index: to - position.begin - 1,
        })?;
        position.newest = to;
        shared.lapped += to - from + 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Dialect;
    use crate::order::{Keep, Order};
    use crate::payload::Content;

    /// When everything arrives.
    const NOW_NS: u64 = 1_000_000_000;

    /// Four publications to two channels in turn, and what their subscribers share.
    struct Bench {
        shared: Shared,
        template: Template,
    }

    impl Bench {
        fn new() -> Self {
            let template = || Template::new(64, Content::default());
            let order = Order::new(1, 2, Keep::All);
            let mut shared = Shared::new(Dialect::Json, template(), 1, 0, order);
            shared.channel_seqs = ChannelSeqs::new(2);
            for at in 0..4 {
                shared.sent.note(0, NOW_NS - at);
            }
            let template = template();
            Self { shared, template }
        }

        /// Publication `index` as the message `seq` of the pattern.
        fn message(&mut self, seq: u64, index: u64, channel: u64, channel_seq: u64) -> Vec<u8> {
            let publisher = 0;
            let data = self.template.fill(Origin { publisher, index });
            let data = String::from_utf8(data.to_vec()).unwrap();
            frame(&format!(
                r#"{{"type":"message","pattern":"*","seq":{seq},"channel":"c00000{channel}","channel_seq":{channel_seq},"data":{data}}}"#
            ))
        }

        fn take(&mut self, listener: &mut Listener, bytes: &[u8]) -> Result<()> {
            listener.take(bytes, NOW_NS, &mut self.shared, &mut Vec::new())
        }

        /// A subscriber of the pattern whose subscription is confirmed.
        fn subscribed(&mut self) -> Listener {
            let mut listener = Listener::new(Topic::Pattern);
            let confirmed =
                frame(r#"{"type":"subscribed","id":1,"pattern":"*","epoch":"x","seq":0}"#);
            self.take(&mut listener, &confirmed).unwrap();
            listener
        }
    }

    fn frame(text: &str) -> Vec<u8> {
        let mut frame = Vec::new();
        wire::write_server_text(&mut frame, text.as_bytes());
        frame
    }

    fn gap_event(from: u64, to: u64) -> Vec<u8> {
        frame(&format!(
            r#"{{"type":"gap","pattern":"*","epoch":"x","from":{from},"to":{to},"reason":"slow"}}"#
        ))
    }

    #[test]
    fn messages_in_the_order_of_publication_count_however_they_are_cut() {
        let mut bench = Bench::new();
        let all = [
            bench.message(1, 0, 0, 7),
            bench.message(2, 1, 1, 1),
            bench.message(3, 2, 0, 9),
        ]
        .concat();
        let (mut whole, mut cut) = (bench.subscribed(), bench.subscribed());
        bench.take(&mut whole, &all).unwrap();
        for byte in &all {
            bench.take(&mut cut, &[*byte]).unwrap();
        }
        assert_eq!(bench.shared.deliveries, 6);
        let latency = bench.shared.latency();
        assert_eq!(latency.count, 6);
        assert!(
            latency.max_ms < 0.01,
            "they were sent just now: {latency:?}"
        );
    }

    #[test]
    fn a_channels_messages_are_read_too() {
        let mut bench = Bench::new();
        bench.shared.channel_seqs = ChannelSeqs::new(1);
        let mut listener = Listener::new(Topic::Channel);
        let confirmed =
            frame(r#"{"type":"subscribed","id":1,"channel":"c000000","epoch":"x","seq":5}"#);
        bench.take(&mut listener, &confirmed).unwrap();
        for index in 0..2 {
            let mut bytes = Vec::new();
            let publisher = 0;
            let data = bench.template.fill(Origin { publisher, index });
            Dialect::message(&mut bytes, 0, 6 + index, data);
            bench.take(&mut listener, &bytes).unwrap();
        }
        assert_eq!(bench.shared.deliveries, 2);
        let gap =
            r#"{"type":"gap","channel":"c000000","epoch":"x","from":8,"to":8,"reason":"slow"}"#;
        assert!(bench.take(&mut listener, &frame(gap)).is_err());
    }

    #[test]
    fn a_message_without_a_subscription_is_a_fault() {
        let mut bench = Bench::new();
        let message = bench.message(1, 0, 0, 1);
        let mut listener = Listener::new(Topic::Pattern);
        assert!(bench.take(&mut listener, &message).is_err());
    }

    #[test]
    fn a_number_that_does_not_grow_by_one_is_a_fault_unless_a_gap_was_announced() {
        for (gaps, is_good) in [
            (vec![], false),
            (vec![(2, 2)], false),
            (vec![(2, 3)], true),
            (vec![(2, 2), (3, 3)], true),
            (vec![(1, 3)], false),
            (vec![(3, 3)], false),
            (vec![(3, 2)], false),
            (vec![(2, 9)], false),
        ] {
            let mut bench = Bench::new();
            let mut listener = bench.subscribed();
            let first = bench.message(1, 0, 0, 1);
            bench.take(&mut listener, &first).unwrap();
            let skipped = gaps
                .iter()
                .try_for_each(|(from, to)| bench.take(&mut listener, &gap_event(*from, *to)));
            let last = bench.message(4, 3, 1, 2);
            let result = skipped.and_then(|()| bench.take(&mut listener, &last));
            assert_eq!(result.is_ok(), is_good, "{gaps:?}: {result:?}");
            if is_good {
                assert_eq!((bench.shared.deliveries, bench.shared.lapped), (2, 2));
            }
        }
    }

    #[test]
    fn a_message_that_comes_twice_or_in_anothers_place_is_a_fault() {
        for (seq, index, channel) in [(1, 0, 0), (2, 0, 0), (2, 2, 0), (2, 1, 0), (2, 9, 1)] {
            let mut bench = Bench::new();
            let mut listener = bench.subscribed();
            let first = bench.message(1, 0, 0, 1);
            bench.take(&mut listener, &first).unwrap();
            let second = bench.message(seq, index, channel, 2);
            assert!(
                bench.take(&mut listener, &second).is_err(),
                "{seq} {index} {channel}"
            );
        }
    }

    #[test]
    fn a_channels_numbers_grow_and_are_the_same_for_everybody() {
        let mut seqs = ChannelSeqs::new(2);
        seqs.check(2, 0, Some(5)).unwrap();
        seqs.check(3, 1, Some(5)).unwrap();
        assert!(seqs.check(2, 0, Some(6)).is_err(), "others got 5");
        assert!(seqs.check(4, 0, Some(5)).is_err(), "as the one before");
        assert!(seqs.check(0, 0, Some(5)).is_err(), "as the one after");
        seqs.check(0, 0, Some(4)).unwrap();
        assert!(seqs.check(6, 0, Some(3)).is_err(), "4 is not known yet");
        seqs.check(6, 0, Some(8)).unwrap();
        assert!(seqs.check(5, 0, Some(9)).is_err(), "another channel");
    }

    #[test]
    fn what_cannot_be_read_or_was_not_asked_for_is_a_fault() {
        for text in [
            r#"{"type":"error","code":"limit"}"#,
            r#"{"type":"message","pattern":"*","seq":1,"channel":"c000000","channel_seq":1,"data":1}"#,
            r#"{"type":"subscribed","id":1,"pattern":">","epoch":"x","seq":0}"#,
            r#"{"type":"subscribed","id":1,"pattern":"*","epoch":"x"}"#,
            r#"{"type":"gap","pattern":"*","epoch":"x","from":0,"to":0,"reason":"epoch"}"#,
            r#"{"type":"#,
        ] {
            let mut bench = Bench::new();
            let mut listener = bench.subscribed();
            assert!(bench.take(&mut listener, &frame(text)).is_err(), "{text}");
        }
        let mut bench = Bench::new();
        let mut listener = bench.subscribed();
        let welcome = frame(r#"{"type":"welcome","features":["patterns"]}"#);
        bench.take(&mut listener, &welcome).unwrap();
    }
}
