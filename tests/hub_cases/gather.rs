//! Visits: how much goes into one, and what a short write leaves.

use std::rc::Rc;

use fanfare::hub::Remainder;
use fanfare::limit::Limit;

use super::*;

/// Gathers for `id(0)` behind `private` bytes: slices and bytes of the log, and whether there is more.
fn gather(hub: &mut Hub, private: &[u8]) -> (usize, usize, bool) {
    let mut slices = Slices::new();
    slices.push(private);
    let own = slices.len();
    let gathered = hub.gather(id(0), &mut slices);
    assert!(!gathered.lapped);
    let found = (
        slices.len() - own,
        slices.bytes() - private.len(),
        gathered.more,
    );
    let advanced = hub.advance(id(0), found.1);
    assert_eq!(advanced.more, found.2);
    found
}

#[test]
fn a_visit_takes_64_slices_and_the_next_begins_where_it_ended() {
    let mut hub = hub(UNLIMITED, ENDLESS);
    hub.attach(id(0), Slot::BASE);
    let names: Vec<String> = (0..65).map(|i| format!("c{i}-")).collect();
    for name in &names {
        subscribe(&mut hub, id(0), name);
    }
    for name in &names[..64] {
        publish(&mut hub, name, 1);
    }
    assert_eq!(gather(&mut hub, b""), (64, 64 * 8, false));
    for name in &names {
        publish(&mut hub, name, 1);
    }
    assert_eq!(gather(&mut hub, b""), (64, 64 * 8, true));
    for name in &names {
        publish(&mut hub, name, 1);
    }
    // The one that was left out comes first, with both of its messages.
    assert!(visit(&mut hub, id(0)).starts_with("c64-1 c64-2 c0-3 c1-3"));
    sweep(&mut hub);
    assert!(!hub.is_behind(id(0)));
}

#[test]
fn what_a_connection_sends_of_its_own_takes_a_slice_too() {
    let mut hub = hub(UNLIMITED, ENDLESS);
    hub.attach(id(0), Slot::BASE);
    for i in 0..64 {
        let name = format!("c{i}-");
        subscribe(&mut hub, id(0), &name);
        publish(&mut hub, &name, 1);
    }
    assert_eq!(gather(&mut hub, b"private"), (63, 63 * 8, true));
    assert_eq!(gather(&mut hub, b""), (1, 8, false));
}

#[test]
fn a_visit_takes_256_kib_and_not_a_byte_more() {
    for (last, expected) in [
        (4096, (256 * 1024, false)),
        (4097, (256 * 1024 - 4096, true)),
    ] {
        let mut hub = hub(UNLIMITED, ENDLESS);
        join(&mut hub, id(0), "a");
        for _ in 0..63 {
            try_publish(&mut hub, "a", 4096).expect("there is room");
        }
        try_publish(&mut hub, "a", last).expect("there is room");
        let (_, bytes, more) = gather(&mut hub, b"");
        assert_eq!((bytes, more), expected);
        // All the same it reaches the head.
        sweep(&mut hub);
        assert!(!hub.is_behind(id(0)));
    }
}

#[test]
fn a_message_longer_than_a_visit_takes_goes_out_alone() {
    let mut hub = hub(UNLIMITED, ENDLESS);
    join(&mut hub, id(0), "a");
    publish(&mut hub, "a", 1);
    try_publish(&mut hub, "a", 300_000).expect("there is room");
    publish(&mut hub, "a", 1);
    assert_eq!(gather(&mut hub, b""), (1, 8, true));
    assert_eq!(gather(&mut hub, b"private"), (0, 0, true));
    assert_eq!(gather(&mut hub, b""), (1, 300_000, true));
    assert_eq!(gather(&mut hub, b""), (1, 8, false));
}

#[test]
fn who_gets_its_history_in_many_visits_is_named_until_it_has_it() {
    let mut hub = hub(UNLIMITED, ENDLESS);
    for _ in 0..200 {
        try_publish(&mut hub, "a", 4000).expect("there is room");
    }
    hub.attach(id(0), Slot::BASE);
    hub.subscribe(id(0), "a", Start::Last(200), 0)
        .expect("nothing forbids it");
    // 65 of them make 260,000 bytes.
    let visits = sweep(&mut hub);
    let counts: Vec<usize> = visits
        .iter()
        .map(|(_, words)| words.split(' ').count())
        .collect();
    assert_eq!(counts, [65, 65, 65, 5]);
}

#[test]
fn the_rest_of_a_frame_of_up_to_4_kib_is_copied() {
    let mut hub = hub(UNLIMITED, ENDLESS);
    join(&mut hub, id(0), "a");
    publish(&mut hub, "a", 1);
    try_publish(&mut hub, "a", 4096).expect("there is room");
    let advanced = cut_short(&mut hub, id(0), 8 + 4000);
    assert_eq!(advanced.delivered, 2);
    assert_eq!(advanced.rest, Some(Remainder::Copied(vec![b' '; 96])));
    assert!(hub.is_blocked(id(0)) && !hub.is_behind(id(0)));
}

#[test]
fn the_rest_of_a_frame_over_4_kib_is_held_and_outlives_the_log() {
    let newest = Policy {
        retain_messages: Limit::of(1),
        ..ENDLESS
    };
    let mut hub = hub(UNLIMITED, newest);
    join(&mut hub, id(0), "a");
    try_publish(&mut hub, "a", 4097).expect("there is room");
    let advanced = cut_short(&mut hub, id(0), 1);
    let Some(Remainder::Held { segment, range }) = &advanced.rest else {
        panic!("{:?}", advanced.rest);
    };
    assert_eq!((segment.len(), range.clone()), (4097, 1..4097));
    assert_eq!(Rc::strong_count(segment), 2);
    publish(&mut hub, "a", 1);
    assert!(sweep(&mut hub).is_empty());
    trim(&mut hub, 0);
    assert_eq!(Rc::strong_count(segment), 1);
    assert_eq!(
        advanced.rest.as_ref().map(|rest| sentence(rest.as_slice())),
        Some("1".to_owned())
    );
}

#[test]
fn a_write_that_stops_between_two_messages_leaves_no_rest() {
    let mut hub = hub(UNLIMITED, ENDLESS);
    for room in [0, 8, 16] {
        join(&mut hub, id(0), "a");
        publish(&mut hub, "a", 3);
        let advanced = cut_short(&mut hub, id(0), room);
        assert_eq!((advanced.rest, advanced.delivered), (None, room as u64 / 8));
        assert!(hub.is_blocked(id(0)));
        assert_eq!(hub.next_behind(), None);
        // It goes on where it stopped, once its socket has room.
        hub.set_blocked(id(0), false);
        let visits = sweep(&mut hub);
        assert_eq!(visits.len(), 1);
        assert_eq!(visits[0].1.split(' ').count(), 3 - room / 8);
        hub.detach(id(0));
    }
}

#[test]
fn a_broadcast_to_many_does_not_keep_a_small_channel_waiting() {
    let mut hub = hub(UNLIMITED, ENDLESS);
    for i in 0..500 {
        join(&mut hub, id(i), "large");
    }
    join(&mut hub, id(500), "small");
    publish(&mut hub, "large", 1);
    assert_eq!(sweep(&mut hub).len(), 500);
    publish(&mut hub, "large", 1);
    publish(&mut hub, "small", 1);
    let visits = sweep(&mut hub);
    assert_eq!(visits.len(), 501);
    let at = visits.iter().position(|(subscriber, _)| *subscriber == 500);
    assert_eq!(at, Some(64));
}
