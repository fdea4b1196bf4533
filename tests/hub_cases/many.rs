//! A connection with many subscriptions gets all that is behind in any of them, in one visit, though the hub does not look
//! at each of them every time.

use super::*;

/// A hub with `id(0)` in `c0` to `c39`.
fn forty(policy: Policy) -> Hub {
    let mut hub = hub(UNLIMITED, policy);
    hub.attach(id(0), Slot::BASE);
    for i in 0..40 {
        subscribe(&mut hub, id(0), &channel(i));
    }
    hub
}

fn channel(i: u32) -> String {
    format!("c{i}-")
}

/// The words of `visits`, sorted: the order of channels within a visit is nobody's business.
fn sorted(visits: Vec<(u32, String)>) -> Vec<String> {
    let mut words: Vec<String> = visits
        .iter()
        .flat_map(|(_, words)| words.split(' '))
        .map(str::to_owned)
        .collect();
    words.sort_unstable();
    words
}

#[test]
fn one_visit_brings_what_was_published_in_several_of_them() {
    let mut hub = forty(ENDLESS);
    for i in [30, 2, 17] {
        publish(&mut hub, &channel(i), 1);
    }
    let visits = sweep(&mut hub);
    assert_eq!(visits.len(), 1);
    assert_eq!(sorted(visits), ["c17-1", "c2-1", "c30-1"]);
}

#[test]
fn what_was_published_while_its_socket_was_full_comes_though_others_have_gone_around_since() {
    let mut hub = forty(ENDLESS);
    join(&mut hub, id(1), &channel(5));
    hub.set_blocked(id(0), true);
    publish(&mut hub, &channel(5), 1);
    assert_eq!(sorted(sweep(&mut hub)), ["c5-1"]);
    hub.set_blocked(id(0), false);
    publish(&mut hub, &channel(6), 1);
    assert_eq!(sorted(sweep(&mut hub)), ["c5-1", "c6-1"]);
    assert!(!hub.is_behind(id(0)));
}

#[test]
fn what_a_new_subscription_asked_for_comes_with_what_is_published_elsewhere() {
    let mut hub = forty(ENDLESS);
    publish(&mut hub, "old-", 2);
    hub.subscribe(id(0), "old-", Start::Last(2), 0)
        .expect("nothing forbids it");
    publish(&mut hub, &channel(39), 1);
    assert_eq!(sorted(sweep(&mut hub)), ["c39-1", "old-1", "old-2"]);
}

/// A channel that holds only its newest message.
const NEWEST: Policy = Policy {
    retain_messages: Limit::of(1),
    ..ENDLESS
};

#[test]
fn what_a_visit_had_no_room_for_is_neither_forgotten_nor_lapped() {
    let mut hub = forty(NEWEST);
    let large = Slices::MOST_BYTES - 8;
    for i in 0..9 {
        try_publish(&mut hub, &channel(i), large).expect("there is room");
    }
    assert_eq!(hub.next_behind(), Some(id(0)));
    let mut words = vec![visit(&mut hub, id(0))];
    // The channels are clean now, and what is published next goes to one that he had not.
    while hub.next_behind().is_some() {
        let seq = try_publish(&mut hub, &channel(8), 8).expect("there is room");
        assert!(seq.seq < 20);
        trim(&mut hub, 0);
        words.push(visit(&mut hub, id(0)));
    }
    assert!(!hub.has_work() && !hub.is_behind(id(0)));
    let all = words.join(" ");
    for i in 0..9 {
        let first = format!("{}1", channel(i));
        assert!(all.split(' ').any(|word| word == first), "{first}: {all}");
    }
}

#[test]
fn once_it_has_caught_up_its_channels_windows_move_on() {
    let mut hub = forty(NEWEST);
    let large = Slices::MOST_BYTES - 8;
    for i in 0..9 {
        try_publish(&mut hub, &channel(i), large).expect("there is room");
    }
    sweep(&mut hub);
    for i in 0..9 {
        publish(&mut hub, &channel(i), 1);
    }
    assert_eq!(sorted(sweep(&mut hub)).len(), 9);
    trim(&mut hub, 0);
    assert_eq!(hub.stats().messages, 9);
}

#[test]
fn who_was_cut_and_blocked_and_cut_again_is_not_lapped_from_there_on() {
    let mut hub = forty(NEWEST);
    let large = Slices::MOST_BYTES - 8;
    for i in 0..9 {
        try_publish(&mut hub, &channel(i), large).expect("there is room");
    }
    for full in [false, true] {
        assert_eq!(hub.next_behind(), Some(id(0)));
        visit(&mut hub, id(0));
        if !full {
            hub.set_blocked(id(0), true);
            assert_eq!(sweep(&mut hub), []);
            hub.set_blocked(id(0), false);
        }
    }
    for i in 0..9 {
        publish(&mut hub, &channel(i), 1);
    }
    trim(&mut hub, 0);
    // Seven that the two visits did not bring, and the new ones; a visit fails where something was lapped.
    assert_eq!(sorted(sweep(&mut hub)).len(), 7 + 9);
}

#[test]
fn what_waits_for_the_next_time_around_comes_with_what_does_not() {
    let config = HubConfig {
        large: 2,
        ..UNLIMITED
    };
    let mut hub = hub(config, ENDLESS);
    join(&mut hub, id(1), &channel(0));
    hub.attach(id(0), Slot::BASE);
    for i in 0..40 {
        subscribe(&mut hub, id(0), &channel(i));
    }
    publish(&mut hub, &channel(0), 1);
    publish(&mut hub, &channel(1), 1);
    assert_eq!(sorted(sweep(&mut hub)), ["c0-1", "c1-1"]);
}
