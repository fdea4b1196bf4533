//! The derived logs of a channel: kept while somebody reads them.

use fanfare::hub::Remainder;

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
