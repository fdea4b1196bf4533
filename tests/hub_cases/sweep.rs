//! The round and the circle: nobody is missed, and nobody who reads is lapped, whatever comes between two visits.

use fanfare::hub::Run;
use fanfare::limit::Limit;

use super::*;

/// A channel that holds only its newest message.
const NEWEST: Policy = Policy {
    retain_messages: Limit::of(1),
    ..ENDLESS
};

/// A hub with `id(0)` to `id(count - 1)` in `a`.
fn crowd(count: u32, policy: Policy) -> Hub {
    let mut hub = hub(UNLIMITED, policy);
    for i in 0..count {
        join(&mut hub, id(i), "a");
    }
    hub
}

/// So many visits as the hub wants them.
fn visits(hub: &mut Hub, count: usize) -> Vec<(u32, String)> {
    (0..count)
        .map(|_| {
            let subscriber = hub.next_behind().expect("somebody is behind");
            (subscriber.0, visit(hub, subscriber))
        })
        .collect()
}

#[test]
fn those_who_leave_before_the_sweep_has_come_around_hide_nobody_behind_it() {
    let mut hub = crowd(8, NEWEST);
    publish(&mut hub, "a", 1);
    visits(&mut hub, 4);
    for i in 0..2 {
        hub.unsubscribe(id(i), "a").expect("it is subscribed");
    }
    publish(&mut hub, "a", 1);
    // The four others, and with the next the second circle begins.
    let mut seen = visits(&mut hub, 5);
    trim(&mut hub, 0);
    assert_eq!(hub.stats().messages, 1);
    seen.extend(sweep(&mut hub));
    seen.sort_unstable();
    let words: Vec<&str> = seen.iter().map(|(_, words)| &**words).collect();
    assert_eq!(words, ["a2", "a2", "a1 a2", "a1 a2", "a1 a2", "a1 a2"]);
}

#[test]
fn what_was_published_after_the_circle_began_is_kept_for_those_at_its_beginning() {
    let mut hub = crowd(6, NEWEST);
    publish(&mut hub, "a", 1);
    visits(&mut hub, 5);
    publish(&mut hub, "a", 1);
    assert_eq!(
        visits(&mut hub, 2),
        [(5, "a1 a2".to_owned()), (0, "a2".to_owned())]
    );
    publish(&mut hub, "a", 1);
    trim(&mut hub, 0);
    let rest = sweep(&mut hub);
    assert_eq!(rest[0], (1, "a2 a3".to_owned()));
    assert_eq!(rest.len(), 6);
}

#[test]
fn a_circle_that_begins_in_a_run_lets_the_window_move_on_when_it_is_over() {
    let mut hub = crowd(3, NEWEST);
    publish(&mut hub, "a", 1);
    sweep(&mut hub);
    trim(&mut hub, 0);
    publish(&mut hub, "a", 1);
    let all = |_, bytes: &[u8]| Some(bytes.len());
    assert_eq!(hub.run(2, &mut 0, all), Run::Paused);
    publish(&mut hub, "a", 1);
    assert_eq!(hub.run(2, &mut 0, all), Run::Visit(id(0)));
    visit(&mut hub, id(0));
    // id(1) has still to get a3, and nobody a2.
    trim(&mut hub, 0);
    assert_eq!(hub.stats().messages, 1);
    assert_eq!(sweep(&mut hub), [(1, "a3".to_owned())]);
}

#[test]
fn who_was_cut_is_not_lapped_though_the_round_is_over() {
    let mut hub = crowd(2, NEWEST);
    for _ in 0..200 {
        try_publish(&mut hub, "a", 4000).expect("there is room");
    }
    // One each, which ends the round, and one for the first who is owed another.
    let mut seen = visits(&mut hub, 3);
    trim(&mut hub, 0);
    seen.extend(sweep(&mut hub));
    let messages: usize = seen.iter().map(|(_, words)| words.split(' ').count()).sum();
    assert_eq!(messages, 2 * 200);
}

#[test]
fn who_was_blocked_and_then_cut_is_not_lapped_from_there_on() {
    let hundred = Policy {
        retain_messages: Limit::of(100),
        ..ENDLESS
    };
    let mut hub = crowd(1, hundred);
    hub.set_blocked(id(0), true);
    let publish_100 = |hub: &mut Hub| {
        for _ in 0..100 {
            try_publish(hub, "a", 4000).expect("there is room");
        }
    };
    publish_100(&mut hub);
    assert!(sweep(&mut hub).is_empty());
    trim(&mut hub, 0);
    hub.set_blocked(id(0), false);
    assert!(visits(&mut hub, 1)[0].1.ends_with(" a65"));
    publish_100(&mut hub);
    trim(&mut hub, 0);
    let rest = sweep(&mut hub);
    assert!(rest[0].1.starts_with("a66 "));
}

#[test]
fn who_is_placed_behind_those_at_the_head_gets_in_the_same_turn_what_it_was_promised() {
    let mut hub = crowd(1, NEWEST);
    publish(&mut hub, "a", 1);
    sweep(&mut hub);
    trim(&mut hub, 0);
    hub.attach(id(1), Slot::BASE);
    hub.subscribe(id(1), "a", Start::Last(1), 0)
        .expect("nothing forbids it");
    publish(&mut hub, "a", 1);
    let mut seen = sweep(&mut hub);
    trim(&mut hub, 0);
    seen.sort_unstable();
    assert_eq!(seen, [(0, "a2".to_owned()), (1, "a1 a2".to_owned())]);
}

#[test]
fn who_is_owed_a_visit_and_blocked_meanwhile_is_not_named_before_there_is_room() {
    let mut hub = hub(UNLIMITED, ENDLESS);
    publish(&mut hub, "a", 1);
    hub.attach(id(0), Slot::BASE);
    hub.subscribe(id(0), "a", Start::Last(1), 0)
        .expect("nothing forbids it");
    hub.set_blocked(id(0), true);
    assert_eq!(hub.next_behind(), None);
    hub.set_blocked(id(0), false);
    assert_eq!(sweep(&mut hub), [(0, "a1".to_owned())]);
}
