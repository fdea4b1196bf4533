//! The derived logs of a channel: kept while somebody reads them.

use fanfare::hub::{Advanced, Remainder};
use fanfare::limit::Limit;

use super::*;

/// Attaches `subscriber` for capitals and subscribes it to `a`, with all that is held.
fn join_capitals(hub: &mut Hub, subscriber: u32) {
    hub.attach(id(subscriber), CAPITALS);
    hub.subscribe(id(subscriber), "a", Start::Last(u64::MAX), 0)
        .expect("nothing forbids it");
}

#[test]
fn where_a_slot_falls_back_messages_from_before_its_first_user_come_from_the_base_log() {
    let mut hub = hub(UNLIMITED, ENDLESS);
    join(&mut hub, id(0), "a");
    publish(&mut hub, "a", 2);
    join_capitals(&mut hub, 1);
    publish(&mut hub, "a", 2);
    assert_eq!(visit(&mut hub, id(1)), "a1 a2 A3 A4");
    assert_eq!(visit(&mut hub, id(0)), "a1 a2 a3 a4");
    // The log is there, so who comes now gets more from it; the switch is where the log begins.
    join_capitals(&mut hub, 2);
    assert_eq!(visit(&mut hub, id(2)), "a1 a2 A3 A4");
}

#[test]
fn a_short_write_leaves_the_rest_of_the_log_that_was_sent() {
    let mut hub = hub(UNLIMITED, ENDLESS);
    publish(&mut hub, "a", 1);
    join_capitals(&mut hub, 0);
    publish(&mut hub, "a", 2);
    // At the boundary of the two logs, in the derived, and in the base one.
    assert_eq!(cut_short(&mut hub, id(0), 8).rest, None);
    hub.set_blocked(id(0), false);
    let advanced = cut_short(&mut hub, id(0), 1);
    assert_eq!(advanced.rest, Some(Remainder::Copied(b"2      ".to_vec())));
    hub.set_blocked(id(0), false);
    assert_eq!(visit(&mut hub, id(0)), "A3");
    join_capitals(&mut hub, 1);
    let advanced = cut_short(&mut hub, id(1), 8 + 8 + 1);
    assert_eq!(advanced.delivered, 3);
    assert_eq!(advanced.rest, Some(Remainder::Copied(b"3      ".to_vec())));
    join_capitals(&mut hub, 1);
    let advanced = cut_short(&mut hub, id(1), 0);
    assert_eq!((advanced.rest, advanced.delivered), (None, 0));
}

#[test]
fn a_derived_log_goes_when_its_last_user_leaves() {
    let mut hub = hub(UNLIMITED, ENDLESS);
    let mut capitals = Capitals::default();
    let word = Word {
        channel: "a",
        len: 8,
    };
    let mut publish = |hub: &mut Hub| {
        hub.publish("a", &word, &mut capitals, 0)
            .expect("there is room");
        capitals.0
    };
    assert_eq!(publish(&mut hub), 0);
    let base = hub.stats().allocated;
    join_capitals(&mut hub, 0);
    join_capitals(&mut hub, 1);
    assert_eq!(publish(&mut hub), 1);
    assert!(hub.stats().allocated > base);
    // One of them leaves, the other stays.
    hub.unsubscribe(id(0), "a").expect("it is subscribed");
    assert_eq!(publish(&mut hub), 2);
    hub.detach(id(1));
    assert_eq!(hub.stats().allocated, base);
    assert_eq!(publish(&mut hub), 2);
    // A new one begins where it is wanted again.
    join_capitals(&mut hub, 0);
    assert_eq!(publish(&mut hub), 3);
    assert_eq!(visit(&mut hub, id(0)), "a1 a2 a3 a4 A5");
}

/// Attaches `subscriber` for quoted words and subscribes it to `a`, with all that is held.
fn join_quoted(hub: &mut Hub, subscriber: u32) {
    hub.attach(id(subscriber), QUOTED);
    hub.subscribe(id(subscriber), "a", Start::Last(u64::MAX), 0)
        .expect("nothing forbids it");
}

/// A visit to a socket that takes `room` bytes, by somebody who may not get base frames: what was offered, how much of it was
/// rendered for this visit, and what the write came to.
fn visit_rendered(hub: &mut Hub, subscriber: u32, room: usize) -> (String, usize, Advanced) {
    let subscriber = id(subscriber);
    assert_eq!(hub.contiguous(subscriber), None);
    let mut slices = Slices::new();
    assert!(hub.gather(subscriber, &mut slices).unrendered);
    let before = slices.bytes();
    let mut capitals = Capitals::default();
    hub.render(subscriber, &mut capitals);
    let mut slices = Slices::new();
    hub.gather(subscriber, &mut slices);
    assert!(slices.bytes() > before);
    let words = words(&slices);
    let room = room.min(slices.bytes());
    (words, capitals.0, hub.advance(subscriber, room))
}

#[test]
fn where_a_slot_does_not_fall_back_older_messages_are_rendered_until_its_log_begins() {
    let mut hub = hub(UNLIMITED, ENDLESS);
    publish(&mut hub, "a", 2);
    join_quoted(&mut hub, 0);
    publish(&mut hub, "a", 2);
    let (words, rendered, advanced) = visit_rendered(&mut hub, 0, usize::MAX);
    assert_eq!((&*words, rendered), ("<a1> <a2> <a3> <a4>", 2));
    assert_eq!((advanced.delivered, advanced.more), (4, false));
    publish(&mut hub, "a", 1);
    assert_eq!(visit(&mut hub, id(0)), "<a5>");
    // The log is there, and begins where it did.
    join_quoted(&mut hub, 1);
    let (words, rendered, _) = visit_rendered(&mut hub, 1, usize::MAX);
    assert_eq!((&*words, rendered), ("<a1> <a2> <a3> <a4> <a5>", 2));
}

#[test]
fn a_visit_renders_64_kib_and_goes_on_at_the_message_where_it_stopped() {
    let mut hub = hub(UNLIMITED, ENDLESS);
    for _ in 0..40 {
        try_publish(&mut hub, "a", 4000).expect("there is room");
    }
    join_quoted(&mut hub, 0);
    let word = |seq: u64| format!("<a{seq}>");
    let mut next = 1;
    let mut visits = 0;
    while hub.next_behind().is_some() {
        let (words, rendered, advanced) = visit_rendered(&mut hub, 0, usize::MAX);
        assert!(advanced.delivered <= 16 && rendered <= 17);
        let expected: Vec<String> = (next..next + advanced.delivered).map(word).collect();
        assert_eq!(words, expected.join(" "));
        next += advanced.delivered;
        visits += 1;
    }
    assert_eq!((next, visits), (41, 3));
}

#[test]
fn a_message_longer_than_64_kib_is_rendered_alone() {
    let mut hub = hub(UNLIMITED, ENDLESS);
    publish(&mut hub, "a", 1);
    try_publish(&mut hub, "a", 100_000).expect("there is room");
    join_quoted(&mut hub, 0);
    let (words, ..) = visit_rendered(&mut hub, 0, usize::MAX);
    assert_eq!(words, "<a1>");
    let (words, ..) = visit_rendered(&mut hub, 0, usize::MAX);
    assert_eq!(words, "<a2>");
    assert!(!hub.is_behind(id(0)));
}

#[test]
fn a_short_write_inside_what_was_rendered_leaves_the_rest_of_that_message() {
    let mut hub = hub(UNLIMITED, ENDLESS);
    publish(&mut hub, "a", 2);
    try_publish(&mut hub, "a", 5000).expect("there is room");
    join_quoted(&mut hub, 0);
    // In the second message.
    let (.., advanced) = visit_rendered(&mut hub, 0, 10 + 1);
    assert_eq!(
        advanced.rest,
        Some(Remainder::Copied(b"a2>      ".to_vec()))
    );
    assert_eq!(advanced.delivered, 2);
    hub.set_blocked(id(0), false);
    // Between two.
    join_quoted(&mut hub, 0);
    let (.., advanced) = visit_rendered(&mut hub, 0, 10);
    assert_eq!((advanced.rest, advanced.delivered), (None, 1));
    hub.set_blocked(id(0), false);
    // In a large one.
    let (.., advanced) = visit_rendered(&mut hub, 0, 10 + 5001);
    assert_eq!(advanced.delivered, 2);
    let rest = advanced.rest.expect("the last byte");
    assert!(matches!(rest, Remainder::Held { .. }));
    assert_eq!(rest.as_slice(), b" ");
}

#[test]
fn what_was_rendered_for_a_subscription_that_ended_goes_to_nobody() {
    let mut hub = hub(UNLIMITED, ENDLESS);
    publish(&mut hub, "a", 2);
    join_quoted(&mut hub, 0);
    let mut slices = Slices::new();
    assert!(hub.gather(id(0), &mut slices).unrendered);
    hub.render(id(0), &mut Capitals(0));
    hub.unsubscribe(id(0), "a").expect("it is subscribed");
    hub.subscribe(id(0), "a", Start::Last(u64::MAX), 0)
        .expect("nothing forbids it");
    let mut slices = Slices::new();
    assert!(hub.gather(id(0), &mut slices).unrendered);
    assert!(slices.is_empty());
}

#[test]
fn a_message_is_encoded_once_for_each_slot_in_use_however_many_read_it() {
    let mut hub = hub(UNLIMITED, ENDLESS);
    let mut capitals = Capitals::default();
    let word = Word {
        channel: "a",
        len: 8,
    };
    for i in 0..9 {
        hub.attach(id(i), [Slot::BASE, CAPITALS, QUOTED][i as usize % 3]);
        subscribe(&mut hub, id(i), "a");
    }
    hub.publish("a", &word, &mut capitals, 0)
        .expect("there is room");
    assert_eq!(capitals.0, 2);
    let mut visits = sweep(&mut hub);
    visits.sort_unstable();
    for (i, words) in visits {
        assert_eq!(words, ["a1", "A1", "<a1>"][i as usize % 3]);
    }
    assert_eq!(capitals.0, 2);
}

#[test]
fn for_want_of_room_the_derived_logs_go_before_any_message_and_their_readers_get_everything() {
    let config = HubConfig {
        retain_total: Limit::of(60_000),
        ..UNLIMITED
    };
    let mut hub = hub(config, ENDLESS);
    for (i, slot) in [(0, Slot::BASE), (1, CAPITALS), (2, QUOTED)] {
        hub.attach(id(i), slot);
        subscribe(&mut hub, id(i), "a");
        hub.set_blocked(id(i), true);
    }
    // Nobody subscribes to this one, but what it holds is worth more than a copy.
    publish(&mut hub, "b", 1);
    for _ in 0..40 {
        try_publish(&mut hub, "a", 1000).expect("there is room");
    }
    assert!(hub.stats().allocated > 60_000);
    trim(&mut hub, 0);
    assert!(hub.stats().allocated <= 60_000);
    assert_eq!((hub.held("a"), hub.held("b")), (Some(1..41), Some(1..2)));
    (0..3).for_each(|i| hub.set_blocked(id(i), false));
    let all = |word: fn(u64) -> String| (1..41).map(word).collect::<Vec<_>>().join(" ");
    assert_eq!(visit(&mut hub, id(0)), all(|seq| format!("a{seq}")));
    let capitals = visit(&mut hub, id(1));
    assert_eq!(capitals.to_lowercase(), all(|seq| format!("a{seq}")));
    assert!(capitals.starts_with('a'), "{capitals}");
    let (quoted, ..) = visit_rendered(&mut hub, 2, usize::MAX);
    assert_eq!(quoted, all(|seq| format!("<a{seq}>")));
}

#[test]
fn a_message_that_has_room_in_the_base_log_alone_is_not_refused_for_its_copies() {
    let config = HubConfig {
        retain_total: Limit::of(20_000),
        ..UNLIMITED
    };
    let mut hub = hub(config, ENDLESS);
    for (i, slot) in [(0, CAPITALS), (1, QUOTED)] {
        hub.attach(id(i), slot);
        subscribe(&mut hub, id(i), "a");
    }
    try_publish(&mut hub, "a", 15_000).expect("there is room");
    assert_eq!(sweep(&mut hub), [(0, "A1".into()), (1, "<a1>".into())]);
    trim(&mut hub, 0);
    assert_eq!(hub.held("a"), Some(1..2));
    assert!(hub.stats().allocated <= 20_000);
}

#[test]
fn what_has_to_be_rendered_keeps_no_other_subscription_waiting_and_a_visit_can_be_put_off() {
    let mut hub = hub(UNLIMITED, ENDLESS);
    publish(&mut hub, "a", 2);
    join_quoted(&mut hub, 0);
    hub.subscribe(id(0), "b", Start::Live, 0)
        .expect("nothing forbids it");
    publish(&mut hub, "b", 1);
    let gather = |hub: &mut Hub| {
        let mut slices = Slices::new();
        let gathered = hub.gather(id(0), &mut slices);
        assert!(gathered.unrendered && gathered.more);
        (words(&slices), slices.bytes())
    };
    let (found, bytes) = gather(&mut hub);
    assert_eq!(found, "<b1>");
    assert!(hub.advance(id(0), bytes).more);
    assert_eq!(hub.next_behind(), Some(id(0)));
    assert_eq!(gather(&mut hub), (String::new(), 0));
    hub.postpone(id(0));
    assert_eq!(hub.next_behind(), None);
    assert!(hub.is_behind(id(0)));
    let (found, rendered, advanced) = visit_rendered(&mut hub, 0, usize::MAX);
    assert_eq!((&*found, rendered, advanced.more), ("<a1> <a2>", 2, false));
}
