//! Patterns' logs.

use fanfare::channel::matcher::Matcher;
use fanfare::hub::{OnLag, Reason, SubscribeError};

use super::*;

const ALL: Topic<'_> = Topic::Pattern(Matcher::Parts, ">");

/// Attaches `subscriber` and subscribes it to a pattern of parts, from the next message on.
fn follow(hub: &mut Hub, subscriber: SubscriberId, pattern: &str) {
    hub.attach(subscriber, Slot::BASE);
    hub.subscribe(subscriber, Topic::pattern(pattern), Start::Live, 0)
        .expect("nothing forbids it");
}

/// The gaps that a visit tells first.
fn gaps(hub: &mut Hub, subscriber: SubscriberId) -> Vec<(String, u64, u64, Reason)> {
    let mut gaps = Vec::new();
    hub.settle(subscriber, |gap| {
        let text = gap.topic.text().to_owned();
        gaps.push((text, gap.from, gap.to, gap.reason));
    })
    .expect("it is not closed");
    gaps
}

#[test]
fn a_pattern_has_the_messages_of_its_channels_in_the_order_in_which_they_were_published() {
    let mut hub = hub(UNLIMITED, ENDLESS);
    follow(&mut hub, id(0), "*");
    for channel in ["b", "a", "a.x", "b", "$a"] {
        publish(&mut hub, channel, 1);
    }
    assert_eq!(sweep(&mut hub), said(&[(0, "*1=b1 *2=a1 *3=b2")]));
}

#[test]
fn who_subscribes_to_a_channel_and_to_patterns_gets_a_message_from_each_of_them() {
    let mut hub = hub(UNLIMITED, ENDLESS);
    follow(&mut hub, id(0), "*");
    subscribe(&mut hub, id(0), "a");
    let prefix = Topic::Pattern(Matcher::Prefix, "a");
    hub.subscribe(id(0), prefix, Start::Live, 0)
        .expect("it is another one");
    assert!(hub.is_subscribed(id(0), prefix) && !hub.is_subscribed(id(0), ALL));
    publish(&mut hub, "a", 1);
    let (_, got) = sweep(&mut hub).remove(0);
    let mut words: Vec<_> = got.split(' ').collect();
    words.sort_unstable();
    assert_eq!(words, ["*1=a1", "a1", "a1=a1"]);
    hub.unsubscribe(id(0), prefix).expect("it is subscribed");
    publish(&mut hub, "a", 1);
    assert_eq!(sweep(&mut hub)[0].1.split(' ').count(), 2);
}

#[test]
fn a_patterns_log_begins_with_its_first_subscriber_and_is_resumed_like_a_channels() {
    let mut hub = hub(UNLIMITED, ENDLESS);
    publish(&mut hub, "a", 3);
    follow(&mut hub, id(0), ">");
    publish(&mut hub, "a", 1);
    publish(&mut hub, "b", 2);
    assert_eq!(sweep(&mut hub), said(&[(0, ">1=a4 >2=b1 >3=b2")]));
    hub.attach(id(1), Slot::BASE);
    let subscribed = hub.subscribe(id(1), ALL, Start::Last(9), 0);
    let subscribed = subscribed.expect("nothing forbids it");
    assert_eq!((subscribed.seq, subscribed.recovered), (3, None));
    let epoch = subscribed.epoch.to_owned();
    assert_eq!(sweep(&mut hub), said(&[(1, ">1=a4 >2=b1 >3=b2")]));
    hub.detach(id(0));
    hub.detach(id(1));
    publish(&mut hub, "a", 1);
    hub.attach(id(0), Slot::BASE);
    let since = Start::Since {
        epoch: &epoch,
        seq: 2,
    };
    let subscribed = hub.subscribe(id(0), ALL, since, 0);
    assert_eq!(subscribed.map(|made| made.recovered), Ok(Some(true)));
    assert_eq!(sweep(&mut hub), said(&[(0, ">3=b2 >4=a5")]));
}

#[test]
fn a_patterns_log_goes_so_long_after_its_last_subscriber_whatever_is_published() {
    let config = HubConfig {
        linger_ms: 10,
        ..UNLIMITED
    };
    let mut hub = hub(config, ENDLESS);
    follow(&mut hub, id(0), "*");
    hub.handle_timeout(5);
    hub.detach(id(0));
    publish_at(&mut hub, "a", 14);
    hub.handle_timeout(14);
    assert_eq!(
        (hub.held(Topic::pattern("*")), hub.stats().patterns),
        (Some(1..2), 1)
    );
    hub.handle_timeout(15);
    assert_eq!(
        (hub.held(Topic::pattern("*")), hub.stats().patterns),
        (None, 0)
    );
    assert_eq!(publish_at(&mut hub, "a", 16), 2);
    // Nothing is left of it.
    let only = hub.stats().allocated;
    trim(&mut hub, 16);
    assert_eq!(hub.stats().allocated, only);
}

#[test]
fn a_reader_of_a_pattern_that_is_behind_is_told_a_gap_and_no_publisher_waits() {
    let policy = Policy {
        retain_bytes: Limit::of(40),
        ..ENDLESS
    };
    let mut hub = hub(UNLIMITED, policy);
    follow(&mut hub, id(0), "*");
    for _ in 0..5 {
        let published = try_publish(&mut hub, "a", 8).expect("there is room");
        assert!(!published.congested);
    }
    assert_eq!(trim(&mut hub, 0), 0);
    assert_eq!(hub.next_behind(), Some(id(0)));
    assert!(hub.gather(id(0), &mut Slices::new()).lapped);
    let gap = ("*".to_owned(), 1, 3, Reason::Slow);
    assert_eq!(gaps(&mut hub, id(0)), [gap]);
    assert_eq!(visit(&mut hub, id(0)), "*4=a4 *5=a5");
    // The same of a channel's reader.
    join(&mut hub, id(1), "a");
    publish(&mut hub, "a", 5);
    let published = try_publish(&mut hub, "a", 8).expect("there is room");
    assert!(published.congested);
}

#[test]
fn a_reader_of_a_pattern_that_reads_gets_all_within_retain_bytes_whatever_else_the_policy_says() {
    let policy = Policy {
        retain_messages: Limit::of(1),
        retain_bytes: Limit::of(200),
        on_lag: OnLag::Close,
        ..ENDLESS
    };
    for large in [0, 1] {
        let config = HubConfig { large, ..UNLIMITED };
        let mut hub = hub(config, policy);
        follow(&mut hub, id(0), "*");
        for _ in 0..5 {
            publish(&mut hub, "a", 1);
            trim(&mut hub, 0);
        }
        // A large one need not hurry, either.
        let hurries = (hub.has_work(), hub.has_waiting());
        assert_eq!(hurries, (large == 0, large != 0));
        hub.begin_circles();
        assert_eq!(
            sweep(&mut hub),
            said(&[(0, "*1=a1 *2=a2 *3=a3 *4=a4 *5=a5")])
        );
        trim(&mut hub, 0);
        assert_eq!(hub.held(Topic::pattern("*")), Some(5..6));
    }
}

#[test]
fn a_large_pattern_does_not_wait_once_its_readers_would_be_lapped() {
    let policy = Policy {
        retain_bytes: Limit::of(80),
        ..ENDLESS
    };
    let config = HubConfig {
        large: 1,
        ..UNLIMITED
    };
    let mut hub = hub(config, policy);
    follow(&mut hub, id(0), "*");
    publish(&mut hub, "a", 2);
    assert_eq!(hub.next_behind(), None);
    publish(&mut hub, "a", 1);
    assert_eq!(sweep(&mut hub), said(&[(0, "*1=a1 *2=a2 *3=a3")]));
}

#[test]
fn patterns_logs_are_the_first_to_make_room_since_they_hold_copies() {
    let config = HubConfig {
        retain_total: Limit::of(6_000),
        ..UNLIMITED
    };
    let mut hub = hub(config, ENDLESS);
    publish(&mut hub, "old", 10);
    trim(&mut hub, 0);
    follow(&mut hub, id(0), "new");
    join(&mut hub, id(1), "new");
    for now in 1..60 {
        let word = Word {
            channel: "new",
            len: 40,
        };
        hub.publish("new", &word, &mut Capitals(0), now)
            .expect("there is room");
        sweep(&mut hub);
        trim(&mut hub, now);
    }
    let held = hub
        .held(Topic::pattern("new"))
        .expect("it is subscribed to");
    assert!(held.start > 30, "{held:?}");
    assert_eq!(
        (hub.held("old"), hub.held("new")),
        (Some(1..11), Some(1..60))
    );
}

#[test]
fn a_pattern_is_closed_for_or_goes_on_with_the_latest_as_its_own_policy_says() {
    let policy = |topic: Topic<'_>| Policy {
        retain_bytes: Limit::of(1),
        on_lag: match topic {
            Topic::Channel(_) => OnLag::Skip,
            Topic::Pattern(..) => OnLag::Close,
        },
        ..ENDLESS
    };
    let numbering = |_: Topic<'_>| Numbering::Hub(Epoch::from_random([1; 12]));
    let mut hub = Hub::new(UNLIMITED, Box::new(policy), Box::new(numbering));
    follow(&mut hub, id(0), "*");
    publish(&mut hub, "a", 2);
    trim(&mut hub, 0);
    let refused = hub.settle(id(0), |_| panic!("no gap"));
    let why = refused.map_err(|why| why.to_string());
    let expected = "the subscriber fell behind what pattern * holds";
    assert_eq!(why, Err(expected.to_owned()));
}

#[test]
fn one_pattern_without_subscribers_goes_for_a_new_one_and_that_which_was_left_first() {
    let config = HubConfig {
        max_patterns: Limit::of(2),
        ..UNLIMITED
    };
    let mut hub = hub(config, ENDLESS);
    follow(&mut hub, id(0), "a.*");
    follow(&mut hub, id(1), "b.*");
    hub.attach(id(2), Slot::BASE);
    let third = |hub: &mut Hub| {
        let subscribed = hub.subscribe(id(2), Topic::pattern("c.*"), Start::Live, 0);
        subscribed.map(|_| ())
    };
    assert_eq!(third(&mut hub), Err(SubscribeError::TooManyPatterns));
    hub.handle_timeout(1);
    hub.detach(id(1));
    hub.handle_timeout(2);
    hub.detach(id(0));
    assert_eq!(third(&mut hub), Ok(()));
    let there = |text| hub.held(Topic::pattern(text)).is_some();
    assert_eq!(["a.*", "b.*", "c.*"].map(there), [true, false, true]);
    // A channel that fed the one that went feeds it no more.
    publish(&mut hub, "b.x", 1);
    publish(&mut hub, "c.x", 1);
    assert_eq!(sweep(&mut hub), said(&[(2, "c.*1=c.x1")]));
}

#[test]
fn a_subscriber_has_so_many_patterns_and_no_more_until_it_gives_one_up() {
    let config = HubConfig {
        max_patterns_each: Limit::of(2),
        ..UNLIMITED
    };
    let mut hub = hub(config, ENDLESS);
    follow(&mut hub, id(0), "a.*");
    let next = |hub: &mut Hub, text: &str| {
        let subscribed = hub.subscribe(id(0), Topic::pattern(text), Start::Live, 0);
        subscribed.map(|_| ())
    };
    assert_eq!(next(&mut hub, "b.*"), Ok(()));
    assert_eq!(
        next(&mut hub, "c.*"),
        Err(SubscribeError::TooManyPatternsEach)
    );
    assert_eq!(
        next(&mut hub, "a.*"),
        Err(SubscribeError::AlreadySubscribed)
    );
    subscribe(&mut hub, id(0), "a");
    hub.unsubscribe(id(0), Topic::pattern("a.*"))
        .expect("it is subscribed");
    assert_eq!(next(&mut hub, "c.*"), Ok(()));
    hub.attach(id(0), Slot::BASE);
    assert_eq!(next(&mut hub, "d.*"), Ok(()));
    assert_eq!(next(&mut hub, "e.*"), Ok(()));
}

#[test]
fn a_pattern_is_served_in_base_frames_where_the_slot_falls_back_and_in_its_own_where_not() {
    let mut hub = hub(UNLIMITED, ENDLESS);
    for (subscriber, slot) in [(0, Slot::BASE), (1, CAPITALS), (2, QUOTED)] {
        hub.attach(id(subscriber), slot);
        hub.subscribe(id(subscriber), Topic::pattern("*"), Start::Live, 0)
            .expect("nothing forbids it");
    }
    let mut encoder = Capitals(0);
    let word = Word {
        channel: "a",
        len: 8,
    };
    hub.publish("a", &word, &mut encoder, 0)
        .expect("there is room");
    assert_eq!(encoder.0, 1);
    assert_eq!(
        sweep(&mut hub),
        said(&[(0, "*1=a1"), (1, "*1=a1"), (2, "<*1>")])
    );
}

#[test]
fn a_message_that_is_too_long_for_a_patterns_log_is_published_and_is_a_gap_there() {
    let config = HubConfig {
        retain_total: Limit::of(5_100),
        ..UNLIMITED
    };
    let mut hub = hub(config, ENDLESS);
    follow(&mut hub, id(0), "*");
    publish(&mut hub, "a", 1);
    let longest = (4_097..5_100)
        .rev()
        .find(|&len| try_publish(&mut hub, "a", len).is_ok());
    assert!(longest.is_some());
    assert_eq!(hub.next_behind(), Some(id(0)));
    assert!(hub.gather(id(0), &mut Slices::new()).lapped);
    let gap = ("*".to_owned(), 1, 2, Reason::Slow);
    assert_eq!(gaps(&mut hub, id(0)), [gap]);
    assert_eq!(visit(&mut hub, id(0)), "");
    publish(&mut hub, "a", 1);
    assert_eq!(sweep(&mut hub), said(&[(0, "*3=a3")]));
}

#[test]
fn clearing_a_channel_takes_its_messages_from_the_patterns_logs_too() {
    let mut hub = hub(UNLIMITED, ENDLESS);
    follow(&mut hub, id(0), "*");
    hub.set_blocked(id(0), true);
    for channel in ["a", "b", "a", "b"] {
        publish(&mut hub, channel, 1);
    }
    assert!(hub.clear("a", 0) && !hub.clear("c", 0));
    assert_eq!(
        (held(&mut hub, "a"), held(&mut hub, "b")),
        (String::new(), "b1 b2".to_owned())
    );
    hub.set_blocked(id(0), false);
    assert!(hub.gather(id(0), &mut Slices::new()).lapped);
    let gap = ("*".to_owned(), 1, 3, Reason::Slow);
    assert_eq!(gaps(&mut hub, id(0)), [gap]);
    assert_eq!(visit(&mut hub, id(0)), "*4=b2");
    publish(&mut hub, "a", 1);
    assert_eq!(sweep(&mut hub), said(&[(0, "*5=a3")]));
}

#[test]
fn a_channel_is_cleared_from_patterns_logs_bit_by_bit_and_what_is_published_meanwhile_stays() {
    let mut hub = hub(UNLIMITED, ENDLESS);
    follow(&mut hub, id(0), "*");
    hub.set_blocked(id(0), true);
    for channel in ["a", "b", "b", "b"] {
        publish(&mut hub, channel, 1);
    }
    assert!(hub.begin_to_clear("c", 0).is_none());
    let mut clearing = hub.begin_to_clear("a", 0).expect("it is there");
    assert_eq!(held(&mut hub, "a"), "");
    publish(&mut hub, "a", 1);
    let mut calls = 1;
    while !hub.go_on_clearing(&mut clearing, &mut 1) {
        calls += 1;
    }
    // One for each message back to the one that is looked for.
    assert_eq!(calls, 4);
    hub.set_blocked(id(0), false);
    assert!(hub.gather(id(0), &mut Slices::new()).lapped);
    let gap = ("*".to_owned(), 1, 1, Reason::Slow);
    assert_eq!(gaps(&mut hub, id(0)), [gap]);
    assert_eq!(visit(&mut hub, id(0)), "*2=b1 *3=b2 *4=b3 *5=a2");
}

#[test]
fn a_pattern_keeps_no_channel_alive() {
    let config = HubConfig {
        max_channels: Limit::of(1),
        ..UNLIMITED
    };
    let mut hub = hub(config, ENDLESS);
    follow(&mut hub, id(0), "*");
    publish(&mut hub, "a", 1);
    publish(&mut hub, "b", 1);
    assert_eq!((hub.held("a"), hub.stats().channels), (None, 1));
    assert_eq!(sweep(&mut hub), said(&[(0, "*1=a1 *2=b1")]));
}
