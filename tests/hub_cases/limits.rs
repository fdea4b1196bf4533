//! The limits over all channels.

use std::collections::BTreeSet;

use fanfare::hub::{NotSubscribed, SubscribeError};

use super::*;

/// Four messages of 5,000 bytes with what they cost beside, and not five.
const FOUR: HubConfig = HubConfig {
    retain_total: 21_000,
    ..UNLIMITED
};

#[test]
fn a_publish_refused_for_want_of_room_leaves_everything_as_it_was() {
    let mut hub = hub(FOUR, ENDLESS);
    join(&mut hub, id(0), "a");
    for channel in ["a", "b", "c", "d"] {
        try_publish(&mut hub, channel, 5000).expect("there is room");
    }
    sweep(&mut hub);
    trim(&mut hub, 0);
    let before = hub.stats();
    assert_eq!(
        try_publish(&mut hub, "a", 20_000),
        Err(PublishError::RetainTotal)
    );
    assert_eq!(hub.stats(), before);
    assert!(!hub.has_work() && !hub.is_behind(id(0)));
    assert_eq!(held(&mut hub, "a"), "a1");
    // No seq was given out, nobody is told to wait, and what fits goes in.
    let published = try_publish(&mut hub, "a", 5000).expect("a1 can go for it");
    assert_eq!((published.seq, published.congested), (2, false));
    assert_eq!(sweep(&mut hub), [(0, "a2".to_owned())]);
}

#[test]
fn a_channel_that_was_made_for_a_refused_message_goes_when_it_has_lingered() {
    let config = HubConfig {
        linger_ms: 100,
        ..FOUR
    };
    let mut hub = hub(config, ENDLESS);
    assert_eq!(
        try_publish(&mut hub, "a", 30_000),
        Err(PublishError::RetainTotal)
    );
    hub.handle_timeout(99);
    assert_eq!(hub.stats().channels, 1);
    assert_eq!(hub.next_timeout(), Some(100));
    hub.handle_timeout(100);
    assert_eq!(hub.stats(), fanfare::hub::Stats::default());
}

#[test]
fn the_oldest_sealed_segments_of_all_channels_go_first_and_each_keeps_its_newest_message() {
    let mut hub = hub(FOUR, ENDLESS);
    let (mut known, mut holdings) = (BTreeSet::new(), Vec::new());
    for channel in ["b", "a", "a", "b", "a", "c", "d", "b"] {
        try_publish(&mut hub, channel, 5000).expect("there is room");
        trim(&mut hub, 0);
        assert!(hub.stats().allocated <= FOUR.retain_total);
        known.insert(channel);
        let all: Vec<String> = known
            .iter()
            .map(|channel| held(&mut hub, channel))
            .collect();
        holdings.push(all.join(" "));
    }
    assert_eq!(
        holdings,
        [
            "b1",
            "a1 b1",
            "a1 a2 b1",
            "a1 a2 b1 b2",
            // a1 was sealed before b1, though published after it.
            "a2 a3 b1 b2",
            "a2 a3 b2 c1",
            "a3 b2 c1 d1",
            "a3 b3 c1 d1",
        ]
    );
    // Now each has only its newest, and that is not to be had.
    assert_eq!(
        try_publish(&mut hub, "e", 5000),
        Err(PublishError::RetainTotal)
    );
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

#[test]
fn beyond_max_channels_there_is_neither_publishing_nor_subscribing_until_one_goes() {
    let config = HubConfig {
        max_channels: 2,
        linger_ms: 100,
        ..UNLIMITED
    };
    let mut hub = hub(config, ENDLESS);
    publish(&mut hub, "a", 1);
    join(&mut hub, id(0), "b");
    assert_eq!(
        try_publish(&mut hub, "c", 8),
        Err(PublishError::TooManyChannels)
    );
    assert_eq!(
        hub.subscribe(id(0), "c", Start::Live, 0),
        Err(SubscribeError::TooManyChannels)
    );
    assert!(!hub.is_subscribed(id(0), "c"));
    // Those there are go on.
    publish(&mut hub, "a", 1);
    assert_eq!(held(&mut hub, "a"), "a1 a2");
    hub.unsubscribe(id(0), "b").expect("it is subscribed");
    hub.handle_timeout(100);
    publish(&mut hub, "c", 1);
    assert_eq!(hub.stats().channels, 2);
}

#[test]
fn a_subscription_beyond_max_subscriptions_is_refused_and_makes_no_channel() {
    let config = HubConfig {
        max_subscriptions: 2,
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
    hub.attach(id(1), Encoding::Plain);
    subscribe(&mut hub, id(1), "c");
    hub.unsubscribe(id(0), "a").expect("it is subscribed");
    assert_eq!(hub.unsubscribe(id(0), "a"), Err(NotSubscribed));
    subscribe(&mut hub, id(0), "c");
}
