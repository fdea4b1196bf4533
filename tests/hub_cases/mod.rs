//! What the hub promises, case by case.
//!
//! Messages are words: the second one of channel `a` is framed as `a2`, in the slot of capitals as `A2`, in that
//! of quoted words as `<a2>`. So what a visit hands out
//! reads as a sentence: `a1 a2 A3`.

mod circles;
mod gather;
mod history;
mod lag;
mod limits;
mod many;
mod numbers;
mod patterns;
mod retention;
mod run;
mod slots;
mod subscribing;
mod sweep;

use fanfare::channel::topic::Topic;
use fanfare::hub::{
    Encode, Epoch, Frame, Hub, HubConfig, Message, Numbering, Parts, Payload, Place, Policy,
    PublishError, Published, Slices, Slot, SlotConfig, Start, SubscriberId,
};
use fanfare::limit::Limit;

/// A hub without any limit.
const UNLIMITED: HubConfig = HubConfig {
    retain_total: Limit::NONE,
    max_channels: Limit::NONE,
    max_subscriptions: Limit::NONE,
    max_patterns: Limit::NONE,
    max_patterns_each: Limit::NONE,
    linger_ms: u64::MAX,
    large: 0,
    slots: SLOTS,
    read: read_word,
};

/// The slot of capitals: its readers may be given small letters.
const CAPITALS: Slot = Slot(1);

/// The slot of quoted words: its readers must not be given anything else.
const QUOTED: Slot = Slot(2);

const SLOTS: [SlotConfig; Slot::COUNT] = {
    let mut slots = [SlotConfig { falls_back: false }; Slot::COUNT];
    slots[CAPITALS.0 as usize].falls_back = true;
    slots
};

/// A channel that holds everything.
const ENDLESS: Policy = Policy {
    retain_messages: Limit::NONE,
    retain_bytes: Limit::NONE,
    retain_ms: Limit::NONE,
    on_lag: fanfare::hub::OnLag::Skip,
};

const fn id(number: u32) -> SubscriberId {
    SubscriberId(number)
}

/// A hub, with epochs that count.
fn hub(config: HubConfig, policy: Policy) -> Hub {
    let mut made = 0u32;
    let numberings = move |_: Topic<'_>| {
        made += 1;
        let mut bits = [0; 12];
        bits[..4].copy_from_slice(&made.to_le_bytes());
        Numbering::Hub(Epoch::from_random(bits))
    };
    Hub::new(config, Box::new(move |_| policy), Box::new(numberings))
}

/// The frame `a2 ` for message 2 of channel `a`, filled up with spaces to `len` bytes; `*7=a2 ` for message 7 of the pattern `*`,
/// 8 bytes longer.
struct Word<'a> {
    channel: &'a str,
    len: usize,
}

impl Frame for Word<'_> {
    fn len(&self, place: Place<'_>) -> usize {
        match place {
            Place::Channel { .. } => self.len,
            Place::Pattern { .. } => self.len + 8,
        }
    }

    fn write(&self, place: Place<'_>, out: &mut Vec<u8>) {
        let word = match place {
            Place::Channel { seq } => format!("{}{seq} ", self.channel),
            Place::Pattern {
                pattern,
                seq,
                channel_seq,
            } => format!("{pattern}{seq}={}{channel_seq} ", self.channel),
        };
        assert!(word.len() <= self.len(place));
        let end = out.len() + self.len(place);
        out.extend_from_slice(word.as_bytes());
        out.resize(end, b' ');
    }
}

/// What the word in a frame says.
fn read_word(frame: &[u8]) -> Option<Parts<'_>> {
    let word = std::str::from_utf8(frame).ok()?.trim_end();
    let word = word.rsplit_once('=').map_or(word, |(_, word)| word);
    let channel = word.trim_end_matches(|c: char| c.is_ascii_digit());
    Some(Parts {
        channel: channel.into(),
        seq: word[channel.len()..].parse().ok()?,
        payload: Payload::Json(frame),
    })
}

/// Encodes as capitals or as quoted words, and counts how often.
#[derive(Default)]
struct Capitals(usize);

impl Encode for Capitals {
    fn encode(&mut self, slot: Slot, message: &Message<'_>, out: &mut Vec<u8>) {
        self.0 += 1;
        if slot == QUOTED {
            let word = format!("<{}{}>", message.topic.text(), message.seq);
            let end = out.len() + message.frame.len() + 2;
            out.extend_from_slice(word.as_bytes());
            out.resize(end, b' ');
        } else {
            out.extend(message.frame.iter().map(u8::to_ascii_uppercase));
        }
    }
}

/// Publishes a message of `len` bytes at time 0.
fn try_publish<'h>(
    hub: &'h mut Hub,
    channel: &str,
    len: usize,
) -> Result<Published<'h>, PublishError> {
    hub.publish(channel, &Word { channel, len }, &mut Capitals(0), 0)
}

/// Publishes a small message at `now`, and returns its seq.
fn publish_at(hub: &mut Hub, channel: &str, now: u64) -> u64 {
    let word = Word { channel, len: 8 };
    hub.publish(channel, &word, &mut Capitals(0), now)
        .expect("there is room")
        .seq
}

/// Publishes `count` small messages at time 0.
fn publish(hub: &mut Hub, channel: &str, count: u64) {
    for _ in 0..count {
        publish_at(hub, channel, 0);
    }
}

/// Subscribes someone who has attached, from the next message on.
fn subscribe(hub: &mut Hub, subscriber: SubscriberId, channel: &str) {
    hub.subscribe(subscriber, channel, Start::Live, 0)
        .expect("nothing forbids it");
}

/// Attaches `subscriber` and subscribes it to `channel`, from the next message on.
fn join(hub: &mut Hub, subscriber: SubscriberId, channel: &str) {
    hub.attach(subscriber, Slot::BASE);
    subscribe(hub, subscriber, channel);
}

/// Trims at `now`, and returns how many channels were decongested.
fn trim(hub: &mut Hub, now: u64) -> usize {
    let mut decongested = Vec::new();
    hub.trim(now, &mut decongested);
    decongested.len()
}

/// The words of some slices.
fn words(slices: &Slices<'_>) -> String {
    let bytes: Vec<&[u8]> = slices.as_slice().iter().map(|slice| &**slice).collect();
    sentence(&bytes.concat())
}

/// The words of a frame or several.
fn sentence(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// An ordinary visit to a socket that takes everything: what went out.
fn visit(hub: &mut Hub, subscriber: SubscriberId) -> String {
    let mut slices = Slices::new();
    let gathered = hub.gather(subscriber, &mut slices);
    assert!(!gathered.lapped);
    let (bytes, words) = (slices.bytes(), words(&slices));
    let advanced = hub.advance(subscriber, bytes);
    assert_eq!((advanced.rest, advanced.more), (None, gathered.more));
    words
}

/// A visit to a socket that takes only `room` bytes.
fn cut_short(hub: &mut Hub, subscriber: SubscriberId, room: usize) -> fanfare::hub::Advanced {
    let mut slices = Slices::new();
    hub.gather(subscriber, &mut slices);
    assert!(room < slices.bytes());
    hub.advance(subscriber, room)
}

/// Visits everybody whom the hub names, once each time it does: whom, and what they got.
fn sweep(hub: &mut Hub) -> Vec<(u32, String)> {
    let mut visits = Vec::new();
    while let Some(subscriber) = hub.next_behind() {
        visits.push((subscriber.0, visit(hub, subscriber)));
    }
    assert!(!hub.has_work());
    visits
}

/// What [`sweep`] says, written shortly.
fn said(words: &[(u32, &str)]) -> Vec<(u32, String)> {
    words
        .iter()
        .map(|&(i, word)| (i, word.to_owned()))
        .collect()
}

/// All that `channel` holds, as somebody gets it who asks for it.
fn held(hub: &mut Hub, channel: &str) -> String {
    let curious = id(999);
    hub.attach(curious, Slot::BASE);
    hub.subscribe(curious, channel, Start::Last(u64::MAX), 0)
        .expect("nothing forbids it");
    let words = visit(hub, curious);
    hub.detach(curious);
    words
}
