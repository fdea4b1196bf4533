//! What a subscriber was told, held against what was published.

use std::collections::BTreeMap;

use super::world::{self, World};
use crate::client::event::{Event, Subscribed};
use crate::client::payload::Payload;

/// The subscriptions of one client, and whether it was told that its connection is lost.
#[derive(Default)]
pub(super) struct Followed {
    by_channel: BTreeMap<String, Follow>,
    reconnecting: bool,
}

/// What a subscriber was told of one channel, or of the pattern.
struct Follow {
    epoch: String,
    /// Everything that was published after this number comes, or is in a gap.
    after: u64,
    /// Nothing came yet of the newest messages that were asked for: the first one may be one of before `after`, too.
    begins: bool,
}

impl Followed {
    pub(super) fn has(&self, channel: &str) -> bool {
        self.by_channel.contains_key(channel)
    }

    pub(super) fn channels(&self) -> impl Iterator<Item = &String> {
        self.by_channel.keys()
    }

    /// A subscription was made, with the newest `last` messages that are held.
    pub(super) fn begin(
        &mut self,
        channel: &str,
        subscribed: &Subscribed,
        last: u64,
        world: &World,
    ) {
        let epoch = subscribed.epoch.to_string();
        let after = world.before_newest(&epoch, subscribed.seq, last);
        let follow = Follow {
            epoch,
            after,
            begins: last > 0,
        };
        let before = self.by_channel.insert(channel.to_owned(), follow);
        assert!(before.is_none(), "{channel} was made twice");
    }

    pub(super) fn end(&mut self, channel: &str) {
        self.by_channel.remove(channel);
    }

    /// Takes what was told of subscriptions and of the connection; gives back anything else.
    pub(super) fn take(&mut self, event: Event, world: &World) -> Option<Event> {
        match event {
            Event::Message {
                channel,
                seq,
                data,
                pattern,
                channel_seq,
            } => {
                let topic = pattern.as_ref().unwrap_or(&channel);
                let epoch = self.follow(topic).message(seq, world);
                let data = shown(&data);
                assert_eq!(world.history.get(&(epoch, seq)), Some(&data));
                assert!(world.has(channel_seq, &data), "{channel} has another");
            }
            Event::Gap {
                topic,
                epoch,
                from,
                to,
                ..
            } => self.follow(topic.text()).gap(&epoch, from, to, world),
            Event::SubscriptionEnded { topic, reason } => {
                assert_eq!(reason.as_deref(), Some("forbidden"));
                self.by_channel.remove(topic.text()).expect("told once");
            }
            // An older server came.
            Event::SubscribeRefused { topic, refusal } if refusal.code == "unsupported" => {
                assert!(world.was_older);
                self.by_channel.remove(topic.text());
            }
            Event::Reconnecting { .. } => self.reconnecting = true,
            Event::Reconnected => {
                assert!(std::mem::take(&mut self.reconnecting), "told twice");
            }
            other => return Some(other),
        }
        None
    }

    fn follow(&mut self, channel: &str) -> &mut Follow {
        self.by_channel.get_mut(channel).expect("a subscription")
    }

    /// Whether each subscription has all that was published.
    pub(super) fn is_up_to_date(&self, world: &mut World) -> bool {
        self.by_channel.iter().all(|(name, follow)| {
            let (epoch, newest) = world.newest(name);
            !follow.begins && follow.epoch == epoch && follow.after == newest
        })
    }
}

/// A payload as the world writes it down.
fn shown(payload: &Payload) -> String {
    match payload {
        Payload::Json(json) => json.clone(),
        Payload::Text(text) => world::text(text),
        Payload::Bytes(_) => panic!("nobody publishes bytes"),
    }
}

impl Follow {
    /// A message came; its epoch.
    fn message(&mut self, seq: u64, world: &World) -> String {
        assert!(seq > self.after || self.begins, "{seq} came before");
        self.go_to(seq, seq, world);
        self.epoch.clone()
    }

    fn gap(&mut self, epoch: &str, from: u64, to: u64, world: &World) {
        if from == 0 {
            assert_ne!(self.epoch, epoch, "the numbering did not begin anew");
            epoch.clone_into(&mut self.epoch);
            self.after = to;
            self.begins = false;
            return;
        }
        assert_eq!(self.epoch, epoch);
        assert!(from <= to);
        assert!(from > self.after || self.begins, "{from} was known before");
        self.go_to(from, to, world);
    }

    /// Goes on after `to`. Nothing may have been published between the place until now and `from`.
    fn go_to(&mut self, from: u64, to: u64, world: &World) {
        let left_out = world.between(&self.epoch, self.after, from);
        assert!(left_out.is_empty(), "{left_out:?} were left out");
        self.after = to;
        self.begins = false;
    }
}
