//! What a channel holds, for how long, and how long the channel itself stays.

use fanfare::hub::{Gap, HubConfig, PolicyWalk, Reason};
use fanfare::limit::Limit;

use super::*;

#[test]
fn a_channel_holds_the_newest_messages_that_its_window_allows() {
    let three = Policy {
        retain_messages: Limit::of(3),
        ..ENDLESS
    };
    let mut by_number = hub(UNLIMITED, three);
    publish(&mut by_number, "a", 5);
    trim(&mut by_number, 0);
    assert_eq!(held(&mut by_number, "a"), "a3 a4 a5");

    // Each frame has eight bytes.
    let two = Policy {
        retain_bytes: Limit::of(23),
        ..three
    };
    let mut by_size = hub(UNLIMITED, two);
    publish(&mut by_size, "a", 5);
    trim(&mut by_size, 0);
    assert_eq!(held(&mut by_size, "a"), "a4 a5");
}

#[test]
fn the_newest_message_is_held_though_it_is_larger_than_the_window() {
    let tiny = Policy {
        retain_bytes: Limit::of(10),
        ..ENDLESS
    };
    let mut hub = hub(UNLIMITED, tiny);
    for _ in 0..2 {
        try_publish(&mut hub, "a", 500).expect("there is room");
        trim(&mut hub, 0);
    }
    assert_eq!(held(&mut hub, "a"), "a2");
}

const HUNDRED_MS: Policy = Policy {
    retain_ms: Limit::of(100),
    ..ENDLESS
};

#[test]
fn messages_expire_though_nobody_publishes_the_newest_too() {
    let mut hub = hub(UNLIMITED, HUNDRED_MS);
    publish_at(&mut hub, "a", 0);
    publish_at(&mut hub, "a", 30);
    trim(&mut hub, 30);
    assert_eq!(hub.next_timeout(), Some(100));
    hub.handle_timeout(99);
    assert_eq!(held(&mut hub, "a"), "a1 a2");
    hub.handle_timeout(100);
    assert_eq!(held(&mut hub, "a"), "a2");
    assert_eq!(hub.next_timeout(), Some(130));
    hub.handle_timeout(130);
    let stats = hub.stats();
    assert_eq!((stats.channels, stats.messages, stats.allocated), (1, 0, 0));
    // The numbering goes on.
    assert_eq!(publish_at(&mut hub, "a", 140), 3);
    assert_eq!(hub.next_timeout(), Some(240));
}

#[test]
fn other_policies_hold_for_the_channels_that_there_are_once_the_walk_has_come_to_them() {
    let mut hub = hub(UNLIMITED, HUNDRED_MS);
    for channel in ["a", "b", "c"] {
        publish(&mut hub, channel, 5);
    }
    let two = Policy {
        retain_messages: Limit::of(2),
        ..ENDLESS
    };
    let limits = HubConfig {
        max_channels: Limit::of(3),
        ..UNLIMITED
    };
    hub.reconfigure(&limits, Box::new(move |_| two));
    let mut walk = PolicyWalk::default();
    assert!(!hub.walk_policies(&mut walk, 2));
    trim(&mut hub, 0);
    assert_eq!(hub.stats().messages, 2 + 2 + 5);
    assert!(hub.walk_policies(&mut walk, 2));
    trim(&mut hub, 0);
    assert_eq!(hub.stats().messages, 2 + 2 + 2);
    // None expires any more, and one makes room for another where there was no limit before.
    hub.handle_timeout(1_000);
    assert_eq!(hub.stats().messages, 6);
    publish(&mut hub, "d", 1);
    assert_eq!(hub.stats().channels, 3);
}

#[test]
fn what_has_expired_waits_for_those_who_read_and_have_still_to_get_it() {
    let mut hub = hub(UNLIMITED, HUNDRED_MS);
    join(&mut hub, id(0), "a");
    join(&mut hub, id(1), "a");
    hub.set_blocked(id(1), true);
    publish_at(&mut hub, "a", 0);
    hub.handle_timeout(200);
    trim(&mut hub, 200);
    assert_eq!(hub.stats().messages, 1);
    assert_eq!(sweep(&mut hub), [(0, "a1".to_owned())]);
    trim(&mut hub, 200);
    hub.handle_timeout(200);
    // Not for who is blocked.
    assert_eq!(hub.stats().messages, 0);
}

const LINGERS: HubConfig = HubConfig {
    linger_ms: 1000,
    ..UNLIMITED
};

/// A channel whose one message expired at 100, and whose one subscriber left at `left`.
fn deserted(left: u64) -> (Hub, String) {
    let mut hub = hub(LINGERS, HUNDRED_MS);
    hub.attach(id(0), Slot::BASE);
    let subscribed = hub.subscribe(id(0), "a", Start::Live, 0);
    let epoch = subscribed.expect("nothing forbids it").epoch.to_owned();
    publish_at(&mut hub, "a", 0);
    sweep(&mut hub);
    trim(&mut hub, 0);
    for now in [left.min(100), left.max(100)] {
        hub.handle_timeout(now);
        if now == left {
            hub.unsubscribe(id(0), "a").expect("it is subscribed");
        }
    }
    (hub, epoch)
}

#[test]
fn name_epoch_and_seq_outlive_the_last_subscriber_and_the_last_message_by_linger() {
    for (left, gone) in [(50, 1100), (300, 1300)] {
        let (mut hub, epoch) = deserted(left);
        hub.handle_timeout(gone - 1);
        let since = Start::Since {
            epoch: &epoch,
            seq: 1,
        };
        let subscribed = hub
            .subscribe(id(0), "a", since, gone - 1)
            .expect("nothing forbids it");
        assert_eq!(
            (subscribed.epoch, subscribed.seq, subscribed.recovered),
            (&*epoch, 1, Some(true))
        );
        // And as long as there is a subscriber.
        hub.handle_timeout(gone + 5000);
        assert_eq!(publish_at(&mut hub, "a", gone + 5000), 2);
    }
}

#[test]
fn after_linger_a_channel_comes_back_with_a_new_epoch_and_counts_from_1() {
    for (left, gone) in [(50, 1100), (300, 1300)] {
        let (mut hub, epoch) = deserted(left);
        assert_eq!(hub.next_timeout(), Some(gone));
        hub.handle_timeout(gone);
        assert_eq!((hub.stats().channels, hub.next_timeout()), (0, None));
        let since = Start::Since {
            epoch: &epoch,
            seq: 1,
        };
        let subscribed = hub
            .subscribe(id(0), "a", since, gone)
            .expect("nothing forbids it");
        let new = subscribed.epoch.to_owned();
        assert_ne!(new, epoch);
        assert_eq!((subscribed.seq, subscribed.recovered), (0, Some(false)));
        let gap = Gap {
            topic: Topic::Channel("a"),
            epoch: &new,
            from: 0,
            to: 0,
            reason: Reason::Epoch,
        };
        assert_eq!(subscribed.gap, Some(gap));
        assert_eq!(publish_at(&mut hub, "a", gone), 1);
    }
}

#[test]
fn an_id_of_a_channel_that_is_gone_names_no_other() {
    let mut hub = hub(LINGERS, ENDLESS);
    hub.attach(id(0), Slot::BASE);
    let gone = hub
        .subscribe(id(0), "a", Start::Live, 0)
        .expect("nothing forbids it")
        .channel;
    assert_eq!(hub.topic(gone), Some(Topic::Channel("a")));
    hub.detach(id(0));
    hub.handle_timeout(1000);
    publish_at(&mut hub, "b", 1000);
    assert_eq!(hub.topic(gone), None);
}
