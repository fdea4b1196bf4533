use proptest::prelude::*;

use super::super::{Frame, Gathered, HubConfig, Numbering, Place, Policy, Slices, Start};
use super::*;
use crate::limit::Limit;

/// A message of these bytes.
struct Bytes<'b>(&'b [u8]);

impl Frame for Bytes<'_> {
    fn len(&self, _: Place<'_>) -> usize {
        self.0.len()
    }

    fn write(&self, _: Place<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0);
    }
}

fn hub() -> Hub {
    let policies = Box::new(|_: Topic<'_>| Policy {
        retain_bytes: Limit::of(4_000),
        ..Policy::default()
    });
    let mut next = 0;
    let numbering = move |_: Topic<'_>| {
        next += 1;
        Numbering::Hub(Epoch::from_random([next; 12]))
    };
    Hub::new(HubConfig::default(), policies, Box::new(numbering))
}

fn publish(hub: &mut Hub, name: &str, bytes: &[u8]) {
    hub.publish(name, &Bytes(bytes), &mut (), 5)
        .expect("there is room");
}

/// All that a subscriber gets.
fn read(hub: &mut Hub, id: SubscriberId) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        hub.settle(id, |gap| {
            all.extend_from_slice(format!("[{}-{}]", gap.from, gap.to).as_bytes())
        })
        .expect("nobody is closed");
        let mut slices = Slices::new();
        let Gathered { .. } = hub.gather(id, &mut slices);
        let len = slices.bytes();
        if len == 0 {
            return all;
        }
        slices
            .as_slice()
            .iter()
            .for_each(|slice| all.extend_from_slice(slice));
        hub.advance(id, len);
    }
}

/// What one hub hands to another: while it is published to, in pieces of so many bytes, and then the rest.
struct Handing {
    copied: Copied,
    to: Hub,
    restored: Restored,
}

impl Handing {
    fn new() -> Self {
        let mut to = hub();
        to.handle_timeout(100);
        Handing {
            copied: Copied::default(),
            to,
            restored: Restored::default(),
        }
    }

    fn step(&mut self, from: &Hub, most: usize) -> bool {
        let mut out = Vec::new();
        let is_done = from.copy(&mut self.copied, most, &mut out);
        self.to
            .restore(&out, &mut self.restored)
            .expect("it is whole");
        is_done
    }

    fn finish(mut self, from: &Hub, ids: &[SubscriberId]) -> Hub {
        self.copied.begin_pass();
        while !self.step(from, 1_000) {}
        let mut out = Vec::new();
        from.conclude_copy(&self.copied, &mut out);
        self.to
            .restore(&out, &mut self.restored)
            .expect("it is whole");
        for &id in ids {
            let mut out = Vec::new();
            from.save_subscriptions(id, &mut out);
            let mut reader = Reader::new(&out);
            self.to
                .restore_subscriptions(id, Slot::BASE, &mut reader, &self.restored)
                .expect("they are whole");
            reader.end().expect("nothing is left");
        }
        self.to
    }
}

const READER: SubscriberId = SubscriberId(3);

#[test]
fn channels_go_over_with_epoch_numbers_messages_and_cursors() {
    let mut from = hub();
    from.attach(READER, Slot::BASE);
    from.subscribe(READER, "a", Start::Live, 5)
        .expect("there is room");
    from.subscribe(READER, Topic::pattern("*"), Start::Live, 5)
        .expect("there is room");
    publish(&mut from, "a", b"one");
    publish(&mut from, "b", b"two");
    let mut handing = Handing::new();
    while !handing.step(&from, 1) {}
    publish(&mut from, "a", b"three");
    publish(&mut from, "c", &[b'x'; 5_000]);
    let mut to = handing.finish(&from, &[READER]);
    for name in ["a", "b", "c"] {
        assert_eq!(to.held(name), from.held(name));
        let epoch = |hub: &Hub| {
            let index = hub.find(name.into()).expect("it is there");
            hub.epoch(hub.directory.id(index)).map(str::to_owned)
        };
        assert_eq!(epoch(&to), epoch(&from));
    }
    let got = read(&mut to, READER);
    assert_eq!(got.len(), read(&mut from, READER).len());
    publish(&mut to, "b", b"four");
    publish(&mut from, "b", b"four");
    assert_eq!(to.held("b"), from.held("b"));
    assert_eq!(read(&mut to, READER), b"four");
}

#[test]
fn what_a_subscriber_that_reads_has_still_to_get_is_held_for_it() {
    let mut from = hub();
    from.attach(READER, Slot::BASE);
    from.subscribe(READER, "a", Start::Live, 5)
        .expect("there is room");
    publish(&mut from, "a", &[b'a'; 3_000]);
    let mut to = Handing::new().finish(&from, &[READER]);
    for _ in 0..10 {
        publish(&mut to, "a", &[b'b'; 3_000]);
        to.trim(5, &mut Vec::new());
    }
    assert_eq!(to.next_behind(), Some(READER));
    assert_eq!(read(&mut to, READER).len(), 33_000);
}

#[test]
fn a_subscriber_that_was_lapped_before_is_told_so_after() {
    let mut from = hub();
    from.attach(READER, Slot::BASE);
    from.subscribe(READER, "a", Start::Live, 5)
        .expect("there is room");
    from.set_blocked(READER, true);
    for _ in 0..5 {
        publish(&mut from, "a", &[b'a'; 3_000]);
        assert_eq!(from.next_behind(), None);
        from.trim(5, &mut Vec::new());
    }
    let mut to = Handing::new().finish(&from, &[READER]);
    let got = read(&mut to, READER);
    assert!(got.starts_with(b"[1-4]aaa"), "{} bytes", got.len());
}

#[test]
fn channels_that_went_or_came_again_meanwhile_are_as_they_are_at_the_end() {
    let mut from = hub();
    publish(&mut from, "a", b"one");
    publish(&mut from, "b", b"two");
    let mut handing = Handing::new();
    while !handing.step(&from, 10) {}
    for name in ["a", "b"] {
        let index = from.directory.find(name).expect("it is there");
        from.forget(index);
        from.trim(5, &mut Vec::new());
    }
    publish(&mut from, "b", b"three");
    let to = handing.finish(&from, &[]);
    assert_eq!(to.held("a"), None);
    assert_eq!(to.held("b"), Some(1..2));
    assert_eq!(to.stats().channels, 1);
}

/// Something that happens to a hub.
#[derive(Clone, Debug)]
enum Deed {
    Publish(u8, usize),
    Read(u8),
    Subscribe(u8, u8),
    Trim,
    Copy(usize),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => (0u8..4, 1usize..3_000).prop_map(|(channel, len)| Deed::Publish(channel, len)),
        2 => (0u8..3).prop_map(Deed::Read),
        1 => (0u8..3, 0u8..4).prop_map(|(who, channel)| Deed::Subscribe(who, channel)),
        2 => Just(Deed::Trim),
        3 => (1usize..4_000).prop_map(Deed::Copy),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_while_channels_are_copied_everybody_gets_the_same(deeds in prop::collection::vec(deed(), 0..60)) {
        let mut from = hub();
        let ids: Vec<_> = (0..3).map(SubscriberId).collect();
        ids.iter().for_each(|id| from.attach(*id, Slot::BASE));
        let mut handing = Handing::new();
        for (n, deed) in deeds.into_iter().enumerate() {
            match deed {
                Deed::Publish(channel, len) => publish(&mut from, &format!("c{channel}"), &vec![n as u8; len]),
                Deed::Read(who) => drop(read(&mut from, ids[usize::from(who)])),
                Deed::Subscribe(who, channel) => {
                    let start = Start::Last(u64::from(channel));
                    let _ = from.subscribe(ids[usize::from(who)], &format!("c{channel}"), start, 5).is_ok();
                }
                Deed::Trim => {
                    while from.next_behind().is_some_and(|id| { read(&mut from, id); true }) {}
                    from.trim(5, &mut Vec::new());
                }
                Deed::Copy(most) => if handing.step(&from, most) { handing.copied.begin_pass() },
            }
        }
        let mut to = handing.finish(&from, &ids);
        for channel in 0..4 {
            prop_assert_eq!(to.held(&format!("c{channel}")), from.held(&format!("c{channel}")));
        }
        for id in ids {
            prop_assert_eq!(read(&mut to, id), read(&mut from, id));
        }
    }

    #[test]
    fn a_snapshot_that_is_cut_or_changed_never_panics(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut from = hub();
        from.attach(READER, Slot::BASE);
        from.subscribe(READER, "a", Start::Live, 5).expect("there is room");
        from.subscribe(READER, Topic::pattern("*"), Start::Live, 5).expect("there is room");
        for name in ["a", "b", "c"] {
            publish(&mut from, name, name.as_bytes());
        }
        let mut bytes = Vec::new();
        let mut copied = Copied::default();
        prop_assert!(from.copy(&mut copied, usize::MAX, &mut bytes));
        from.conclude_copy(&copied, &mut bytes);
        let logs = bytes.len();
        from.save_subscriptions(READER, &mut bytes);
        for (at, to) in changes {
            let at = at.index(bytes.len());
            bytes[at] = to;
        }
        bytes.truncate(bytes.len() - cut.index(bytes.len()) / 8);
        let (mut to, mut restored) = (hub(), Restored::default());
        let (logs, subscriptions) = bytes.split_at(logs.min(bytes.len()));
        let _ = to.restore(logs, &mut restored).is_ok();
        let mut reader = Reader::new(subscriptions);
        let _ = to.restore_subscriptions(READER, Slot::BASE, &mut reader, &restored).is_ok();
        // Whatever it is now, it works.
        publish(&mut to, "a", b"more");
        read(&mut to, READER);
        to.trim(200, &mut Vec::new());
    }
}
