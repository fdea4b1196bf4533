//! The limits over all channels.

use fanfare::hub::{NotSubscribed, SubscribeError};
use fanfare::limit::Limit;

use super::*;

/// Four messages of 5,000 bytes with what they cost beside, and not five.
const FOUR: HubConfig = HubConfig {
    retain_total: Limit::of(21_000),
    ..UNLIMITED
};

#[test]
fn a_message_that_is_too_big_by_itself_is_refused_and_leaves_everything_as_it_was() {
    let mut hub = hub(FOUR, ENDLESS);
    join(&mut hub, id(0), "a");
    for channel in ["a", "b", "c", "d"] {
        try_publish(&mut hub, channel, 5000).expect("there is room");
    }
    sweep(&mut hub);
    trim(&mut hub, 0);
    let before = hub.stats();
    for channel in ["a", "new"] {
        assert_eq!(
            try_publish(&mut hub, channel, 21_000),
            Err(PublishError::RetainTotal)
        );
    }
    // The refused message has made no channel, either.
    assert_eq!(hub.stats(), before);
    assert!(!hub.has_work() && !hub.is_behind(id(0)));
    assert_eq!(held(&mut hub, "a"), "a1");
    // No seq was given out, nobody is told to wait, and what fits goes in.
    let published = try_publish(&mut hub, "a", 20_000).expect("all else can go for it");
    assert_eq!((published.seq, published.congested), (2, false));
    assert_eq!(sweep(&mut hub), [(0, "a2".to_owned())]);
    trim(&mut hub, 0);
    assert_eq!(hub.stats().messages, 1);
    assert_eq!(held(&mut hub, "a"), "a2");
}

/// Publishes to each channel in turn under [`FOUR`], a millisecond apart, and returns what each of `a` to `e` holds after it.
fn holdings(hub: &mut Hub, channels: &[&str]) -> Vec<String> {
    let holds = |hub: &Hub, name: &str| {
        let held = hub.held(name).into_iter().flatten();
        held.map(|seq| format!("{name}{seq} ")).collect::<String>()
    };
    let mut holdings = Vec::new();
    for (now, channel) in (0..).zip(channels) {
        let word = Word { channel, len: 5000 };
        hub.publish(channel, &word, &mut (), now)
            .expect("nobody is refused while something older can go");
        sweep(hub);
        trim(hub, now);
        assert!(FOUR.retain_total.admits_size(hub.stats().allocated));
        let all = ["a", "b", "c", "d", "e"].map(|name| holds(hub, name));
        holdings.push(all.concat().trim().to_owned());
    }
    holdings
}

#[test]
fn over_the_total_what_nobody_subscribes_to_goes_oldest_first_the_newest_message_included() {
    let mut hub = hub(FOUR, ENDLESS);
    assert_eq!(
        holdings(&mut hub, &["b", "a", "a", "b", "a", "c", "d", "e"])[3..],
        [
            "a1 a2 b1 b2",
            "a1 a2 a3 b2",
            "a2 a3 b2 c1",
            "a3 b2 c1 d1",
            "a3 c1 d1 e1",
        ]
    );
}

#[test]
fn what_nobody_subscribes_to_goes_before_anything_else_though_it_is_newer() {
    let mut hub = hub(FOUR, ENDLESS);
    join(&mut hub, id(0), "a");
    assert_eq!(
        holdings(&mut hub, &["a", "a", "b", "c", "c", "d", "a"])[3..],
        ["a1 a2 b1 c1", "a1 a2 c1 c2", "a1 a2 c2 d1", "a1 a2 a3 d1"]
    );
}

#[test]
fn with_subscribers_everywhere_the_oldest_goes_and_of_the_newest_messages_the_oldest_last() {
    let mut hub = hub(FOUR, ENDLESS);
    hub.attach(id(0), Slot::BASE);
    for channel in ["a", "b", "c", "d", "e"] {
        subscribe(&mut hub, id(0), channel);
    }
    assert_eq!(
        holdings(&mut hub, &["a", "b", "b", "b", "c", "d", "e", "a", "b"])[3..],
        [
            "a1 b1 b2 b3",
            // b1 is newer than a1, but not its channel's newest.
            "a1 b2 b3 c1",
            "a1 b3 c1 d1",
            "b3 c1 d1 e1",
            "a2 c1 d1 e1",
            "a2 b4 d1 e1",
        ]
    );
}

#[test]
fn who_had_not_got_a_newest_message_that_went_hears_a_gap() {
    let mut hub = hub(FOUR, ENDLESS);
    join(&mut hub, id(0), "a");
    hub.set_blocked(id(0), true);
    holdings(&mut hub, &["a"]);
    for (subscriber, channel) in [(1, "b"), (2, "c"), (3, "d"), (4, "e")] {
        join(&mut hub, id(subscriber), channel);
    }
    assert_eq!(
        holdings(&mut hub, &["b", "c", "d", "e"]).pop().as_deref(),
        Some("b1 c1 d1 e1")
    );
    hub.set_blocked(id(0), false);
    assert_eq!(hub.next_behind(), Some(id(0)));
    let mut slices = Slices::new();
    assert!(hub.gather(id(0), &mut slices).lapped);
    let mut gaps = Vec::new();
    hub.settle(id(0), |gap| gaps.push((gap.from, gap.to)))
        .expect("it may skip");
    assert_eq!(gaps, [(1, 1)]);
    assert_eq!(visit(&mut hub, id(0)), "");
    // The numbering goes on.
    publish(&mut hub, "a", 1);
    assert_eq!(sweep(&mut hub), [(0, "a2".to_owned())]);
}

#[test]
fn a_channel_that_the_total_has_emptied_lingers_and_goes_though_its_messages_never_expire() {
    let config = HubConfig {
        linger_ms: 100,
        ..FOUR
    };
    let mut hub = hub(config, ENDLESS);
    holdings(&mut hub, &["a", "b", "c", "d", "e"]);
    assert_eq!((hub.held("a"), hub.next_timeout()), (Some(2..2), Some(104)));
    hub.handle_timeout(104);
    assert_eq!((hub.held("a"), hub.next_timeout()), (None, None));
}

#[test]
fn however_many_messages_are_newer_than_they_were_an_eviction_goes_on_until_there_is_room() {
    const CHANNELS: usize = 20_000;
    let config = HubConfig {
        retain_total: Limit::of(400 * CHANNELS as u64),
        ..UNLIMITED
    };
    let mut hub = hub(config, ENDLESS);
    let names: Vec<String> = (0..CHANNELS).map(|i| format!("c{i}-")).collect();
    for now in [0, 1] {
        for name in &names {
            hub.publish(
                name,
                &Word {
                    channel: name,
                    len: 40,
                },
                &mut (),
                now,
            )
            .expect("there is room");
        }
        trim(&mut hub, now);
    }
    assert_eq!(hub.stats().channels, CHANNELS);
    // Everybody is newer than when it was noted. One call looks at a bounded number of them, and publishers wait meanwhile.
    let total = hub.stats().allocated;
    let room = config.retain_total.left(total);
    let first = Word {
        channel: "x",
        len: room,
    };
    assert!(
        !hub.publish("x", &first, &mut (), 2)
            .expect("there is room")
            .congested
    );
    trim(&mut hub, 2);
    let mut calls = 1;
    assert_eq!(hub.next_timeout(), Some(2));
    assert!(
        hub.publish(
            "x",
            &Word {
                channel: "x",
                len: 40
            },
            &mut (),
            2
        )
        .expect("as before")
        .congested
    );
    while trim(&mut hub, 2) == 0 {
        assert_eq!(hub.next_timeout(), Some(2));
        calls += 1;
        assert!(calls <= CHANNELS / 1000);
    }
    assert!(calls > 2);
    assert!(config.retain_total.admits_size(hub.stats().allocated));
    assert_eq!(hub.next_timeout(), None);
    assert!(hub.held("x").is_some_and(|held| held.end - held.start == 2));
    // The least recent is the one that was published to first in the last round.
    assert_eq!(hub.held("c0-"), Some(3..3));
}

#[test]
fn what_somebody_who_reads_has_still_to_get_is_not_evicted_and_publishers_wait_for_it() {
    let mut hub = hub(FOUR, ENDLESS);
    join(&mut hub, id(0), "a");
    for _ in 0..5 {
        try_publish(&mut hub, "a", 5000).expect("what is sealed can go");
    }
    trim(&mut hub, 0);
    assert_eq!(hub.stats().messages, 5);
    assert!(
        try_publish(&mut hub, "a", 5000)
            .expect("as before")
            .congested
    );
    assert_eq!(sweep(&mut hub), [(0, "a1 a2 a3 a4 a5 a6".to_owned())]);
    assert_eq!(trim(&mut hub, 0), 1);
    assert_eq!(held(&mut hub, "a"), "a3 a4 a5 a6");
}

/// At most two channels, for ever.
const TWO: HubConfig = HubConfig {
    max_channels: Limit::of(2),
    ..UNLIMITED
};

#[test]
fn only_while_all_channels_have_subscribers_is_a_new_one_refused() {
    let mut hub = hub(TWO, ENDLESS);
    publish(&mut hub, "a", 1);
    join(&mut hub, id(0), "a");
    subscribe(&mut hub, id(0), "b");
    let before = hub.stats();
    assert_eq!(
        try_publish(&mut hub, "c", 8),
        Err(PublishError::TooManyChannels)
    );
    assert_eq!(
        hub.subscribe(id(0), "c", Start::Live, 0),
        Err(SubscribeError::TooManyChannels)
    );
    assert!(!hub.is_subscribed(id(0), "c"));
    assert_eq!(hub.stats(), before);
    // Those there are go on.
    publish(&mut hub, "a", 1);
    assert_eq!(held(&mut hub, "a"), "a1 a2");
    hub.unsubscribe(id(0), "b").expect("it is subscribed");
    publish(&mut hub, "c", 1);
    assert_eq!((hub.held("b"), hub.held("c")), (None, Some(1..2)));
    assert_eq!(hub.stats().channels, 2);
}

#[test]
fn for_a_new_channel_goes_first_the_one_without_messages_that_is_idle_for_longest() {
    let config = HubConfig {
        max_channels: Limit::of(4),
        ..UNLIMITED
    };
    let mut hub = hub(config, ENDLESS);
    hub.attach(id(0), Slot::BASE);
    for (now, channel) in [(0, "idle"), (1, "idler"), (2, "subscribed")] {
        hub.subscribe(id(0), channel, Start::Live, now)
            .expect("there is room");
    }
    publish_at(&mut hub, "old", 3);
    for (now, channel) in [(4, "idler"), (5, "idle")] {
        hub.handle_timeout(now);
        hub.unsubscribe(id(0), channel).expect("it is subscribed");
    }
    let names = ["idle", "idler", "subscribed", "old", "n1-", "n2-", "n3-"];
    let mut present = Vec::new();
    for (now, channel) in [(6, "n1-"), (7, "n2-"), (8, "n3-")] {
        publish_at(&mut hub, channel, now);
        let there = names.into_iter().filter(|name| hub.held(*name).is_some());
        present.push(there.collect::<Vec<_>>().join(" "));
    }
    assert_eq!(
        present,
        [
            "idle subscribed old n1-",
            "subscribed old n1- n2-",
            "subscribed n1- n2- n3-",
        ]
    );
}

#[test]
fn of_the_channels_with_messages_the_one_goes_whose_newest_is_oldest() {
    let mut hub = hub(TWO, ENDLESS);
    for (now, channel) in [(0, "a"), (1, "b"), (2, "a"), (3, "c")] {
        publish_at(&mut hub, channel, now);
    }
    assert_eq!((hub.held("a"), hub.held("b")), (Some(1..3), None));
    // Also if it was subscribed to meanwhile.
    hub.attach(id(0), Slot::BASE);
    hub.subscribe(id(0), "a", Start::Live, 4)
        .expect("it is there");
    publish_at(&mut hub, "b", 5);
    assert_eq!((hub.held("a"), hub.held("c")), (Some(1..3), None));
    hub.unsubscribe(id(0), "a").expect("it is subscribed");
    publish_at(&mut hub, "c", 6);
    assert_eq!((hub.held("a"), hub.held("b")), (None, Some(1..2)));
}

#[test]
fn a_name_that_went_for_another_comes_back_with_a_new_epoch() {
    let mut hub = hub(TWO, ENDLESS);
    let first = try_publish(&mut hub, "a", 8).expect("there is room");
    let (channel, epoch) = (first.channel, first.epoch.to_owned());
    // In one turn: nothing has been trimmed yet.
    publish(&mut hub, "b", 1);
    publish(&mut hub, "c", 1);
    assert_eq!(hub.topic(channel), None);
    let again = try_publish(&mut hub, "a", 8).expect("b goes for it");
    assert_eq!(again.seq, 1);
    assert_ne!(again.epoch, epoch);
    trim(&mut hub, 0);
    let stats = hub.stats();
    assert_eq!((stats.channels, stats.messages), (2, 2));
    assert_eq!(
        (held(&mut hub, "a"), held(&mut hub, "c")),
        ("a1".to_owned(), "c1".to_owned())
    );
}

#[test]
fn a_congested_channel_that_goes_for_another_lets_its_publishers_go_on() {
    let newest = Policy {
        retain_messages: Limit::of(1),
        ..ENDLESS
    };
    let mut hub = hub(TWO, newest);
    join(&mut hub, id(0), "a");
    publish(&mut hub, "a", 1);
    let published = try_publish(&mut hub, "a", 8).expect("there is room");
    assert!(published.congested);
    let congested = published.channel;
    hub.detach(id(0));
    publish(&mut hub, "b", 1);
    publish(&mut hub, "c", 1);
    assert_eq!((hub.held("a"), hub.topic(congested)), (None, None));
    let mut decongested = Vec::new();
    hub.trim(0, &mut decongested);
    assert_eq!(decongested, [congested]);
    assert!(sweep(&mut hub).is_empty());
    assert_eq!((hub.stats().channels, hub.stats().messages), (2, 2));
}

#[test]
fn a_new_channel_looks_at_a_bounded_number_of_others_and_takes_none_that_has_subscribers() {
    let config = HubConfig {
        max_channels: Limit::of(2000),
        ..UNLIMITED
    };
    let mut hub = hub(config, ENDLESS);
    hub.attach(id(0), Slot::BASE);
    for i in 0..2000 {
        publish_at(&mut hub, &format!("c{i}-"), 0);
    }
    for i in 0..1999 {
        publish_at(&mut hub, &format!("c{i}-"), 1);
        if i < 1000 {
            subscribe(&mut hub, id(0), &format!("c{i}-"));
        }
    }
    for i in 0..1000 {
        publish_at(&mut hub, &format!("n{i}-"), 2);
        subscribe(&mut hub, id(0), &format!("n{i}-"));
    }
    assert_eq!(
        try_publish(&mut hub, "another", 8),
        Err(PublishError::TooManyChannels)
    );
    assert!((0..1000).all(|i| hub.held(&format!("c{i}-")) == Some(1..3)));
    assert_eq!(hub.stats().channels, 2000);
}

#[test]
fn a_subscription_beyond_max_subscriptions_is_refused_and_makes_no_channel() {
    let config = HubConfig {
        max_subscriptions: Limit::of(2),
        ..UNLIMITED
    };
    let mut hub = hub(config, ENDLESS);
    join(&mut hub, id(0), "a");
    subscribe(&mut hub, id(0), "b");
    assert_eq!(
        hub.subscribe(id(0), "c", Start::Live, 0),
        Err(SubscribeError::TooManySubscriptions)
    );
    assert_eq!(hub.stats().channels, 2);
    assert_eq!(
        hub.subscribe(id(0), "a", Start::Last(1), 0),
        Err(SubscribeError::AlreadySubscribed)
    );
    // The limit is each subscriber's own, and what is given up counts no more.
    hub.attach(id(1), Slot::BASE);
    subscribe(&mut hub, id(1), "c");
    hub.unsubscribe(id(0), "a").expect("it is subscribed");
    assert_eq!(hub.unsubscribe(id(0), "a"), Err(NotSubscribed));
    subscribe(&mut hub, id(0), "c");
}
