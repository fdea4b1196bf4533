//! The commonest visits, in the hub's own loop.

use fanfare::hub::{Remainder, Run};
use fanfare::limit::Limit;

use super::*;

/// Subscribes `id(0)` to `id(count - 1)` to `a`, and has the sweep past its first turn.
fn crowd(count: u32) -> Hub {
    let mut hub = hub(UNLIMITED, ENDLESS);
    for i in 0..count {
        join(&mut hub, id(i), "a");
    }
    publish(&mut hub, "a", 1);
    assert_eq!(sweep(&mut hub).len(), count as usize);
    hub
}

/// What a run handed out.
#[derive(Default)]
struct Handed {
    words: Vec<(u32, String)>,
    /// Where the bytes were.
    places: Vec<*const u8>,
    delivered: u64,
}

impl Handed {
    /// A run in which all sockets take everything.
    fn run(&mut self, hub: &mut Hub, most: u32) -> Run {
        let Self {
            words,
            places,
            delivered,
        } = self;
        hub.run(most, delivered, |subscriber, bytes| {
            words.push((subscriber.0, sentence(bytes)));
            places.push(bytes.as_ptr());
            Some(bytes.len())
        })
    }
}

#[test]
fn a_run_that_looks_at_very_many_in_vain_pauses_and_goes_on_where_it_stopped() {
    const BLOCKED: u32 = 70_000;
    let mut hub = hub(UNLIMITED, ENDLESS);
    for i in 0..=BLOCKED {
        join(&mut hub, id(i), "a");
        hub.set_blocked(id(i), i != BLOCKED);
    }
    publish(&mut hub, "a", 1);
    let mut handed = Handed::default();
    let mut pauses = 0;
    while handed.run(&mut hub, 100) == Run::Paused {
        pauses += 1;
        assert!(hub.has_work());
    }
    assert_eq!(pauses, 1, "after 65,536 looks or a few fewer");
    visit(&mut hub, id(BLOCKED));
    assert_eq!(handed.run(&mut hub, 100), Run::Done);
    assert!(!hub.has_work() && !hub.is_behind(id(BLOCKED)));
}

#[test]
fn a_run_hands_the_same_bytes_to_everybody() {
    let mut hub = crowd(3);
    publish(&mut hub, "a", 2);
    let mut handed = Handed::default();
    assert_eq!(handed.run(&mut hub, 100), Run::Done);
    assert_eq!(
        handed.words,
        said(&[(0, "a2 a3"), (1, "a2 a3"), (2, "a2 a3")])
    );
    assert!(handed.places.iter().all(|&place| place == handed.places[0]));
    assert_eq!(handed.delivered, 6);
    assert!(!hub.has_work() && !hub.is_behind(id(0)));
}

#[test]
fn a_run_gives_each_what_it_is_behind_and_in_its_encoding() {
    let mut hub = crowd(2);
    hub.attach(id(2), CAPITALS);
    subscribe(&mut hub, id(2), "a");
    publish(&mut hub, "a", 1);
    assert_eq!(visit(&mut hub, id(1)), "a2");
    publish(&mut hub, "a", 1);
    let mut handed = Handed::default();
    assert_eq!(handed.run(&mut hub, 100), Run::Done);
    assert_eq!(handed.words, said(&[(0, "a2 a3"), (1, "a3"), (2, "A2 A3")]));
    assert_eq!(handed.delivered, 5);
}

#[test]
fn a_run_pauses_after_as_many_visits_as_were_wanted_and_the_next_goes_on() {
    let mut hub = crowd(3);
    publish(&mut hub, "a", 1);
    let mut handed = Handed::default();
    assert_eq!(handed.run(&mut hub, 0), Run::Paused);
    assert_eq!(handed.run(&mut hub, 2), Run::Paused);
    assert_eq!(handed.words, said(&[(0, "a2"), (1, "a2")]));
    publish(&mut hub, "a", 1);
    // From the last in the list it is an ordinary visit that goes on to the first.
    assert_eq!(handed.run(&mut hub, 2), Run::Visit(id(0)));
    assert_eq!(visit(&mut hub, id(0)), "a3");
    assert_eq!(handed.run(&mut hub, 2), Run::Done);
    assert_eq!(handed.words[2..], said(&[(2, "a2 a3"), (1, "a3")]));
}

#[test]
fn who_declines_gets_an_ordinary_visit_and_misses_nothing() {
    for who in 0..3 {
        let mut hub = crowd(3);
        publish(&mut hub, "a", 1);
        let mut delivered = 0;
        let ended = hub.run(100, &mut delivered, |subscriber, bytes| {
            (subscriber.0 != who).then_some(bytes.len())
        });
        assert_eq!((ended, delivered), (Run::Visit(id(who)), who.into()));
        assert!(hub.is_behind(id(who)));
        assert_eq!(visit(&mut hub, id(who)), "a2");
        let mut handed = Handed::default();
        assert_eq!(handed.run(&mut hub, 100), Run::Done);
        assert_eq!(handed.words.len() as u32, 2 - who);
    }
}

#[test]
fn a_short_write_ends_a_run_with_the_rest_and_blocks() {
    let mut hub = crowd(3);
    publish(&mut hub, "a", 3);
    let mut delivered = 0;
    let ended = hub.run(100, &mut delivered, |subscriber, bytes| {
        Some(if subscriber == id(1) { 9 } else { bytes.len() })
    });
    let Run::Short(blocked, advanced) = ended else {
        panic!("{ended:?}");
    };
    assert_eq!(blocked, id(1));
    assert_eq!(advanced.rest, Some(Remainder::Copied(b"3      ".to_vec())));
    // Of three each, and the half-sent one counts.
    assert_eq!(
        (advanced.delivered, advanced.more, delivered),
        (2, false, 5)
    );
    assert!(hub.is_blocked(id(1)));
    let mut handed = Handed::default();
    assert_eq!(handed.run(&mut hub, 100), Run::Done);
    assert_eq!(handed.words, said(&[(2, "a2 a3 a4")]));
    hub.set_blocked(id(1), false);
    assert_eq!(handed.run(&mut hub, 100), Run::Visit(id(1)));
    assert_eq!(visit(&mut hub, id(1)), "a4");
}

#[test]
fn a_write_of_nothing_blocks_and_loses_nothing() {
    let mut hub = crowd(1);
    publish(&mut hub, "a", 2);
    let mut delivered = 0;
    let ended = hub.run(100, &mut delivered, |_, _| Some(0));
    assert!(matches!(ended, Run::Short(SubscriberId(0), advanced) if advanced.rest.is_none()));
    assert_eq!(delivered, 0);
    hub.set_blocked(id(0), false);
    assert_eq!(sweep(&mut hub), said(&[(0, "a2 a3")]));
}

#[test]
fn who_has_several_subscriptions_is_left_to_an_ordinary_visit() {
    let mut hub = crowd(3);
    subscribe(&mut hub, id(1), "b");
    publish(&mut hub, "a", 1);
    publish(&mut hub, "b", 1);
    let mut handed = Handed::default();
    assert_eq!(handed.run(&mut hub, 100), Run::Visit(id(1)));
    assert_eq!(handed.words, said(&[(0, "a2")]));
    assert_eq!(visit(&mut hub, id(1)), "a2 b1");
    assert_eq!(handed.run(&mut hub, 100), Run::Done);
    assert_eq!(handed.words[1..], said(&[(2, "a2")]));
}

#[test]
fn what_lies_in_two_segments_is_left_to_an_ordinary_visit() {
    let mut hub = crowd(2);
    publish(&mut hub, "a", 1);
    try_publish(&mut hub, "a", 5000).expect("there is room");
    assert_eq!(visit(&mut hub, id(1)), "a2 a3");
    try_publish(&mut hub, "a", 5000).expect("there is room");
    let mut handed = Handed::default();
    assert_eq!(handed.run(&mut hub, 100), Run::Visit(id(0)));
    assert_eq!(visit(&mut hub, id(0)), "a2 a3 a4");
    assert_eq!(handed.run(&mut hub, 100), Run::Done);
    assert_eq!(handed.words, said(&[(1, "a4")]));
}

#[test]
fn who_is_blocked_or_at_the_head_is_passed_over() {
    let mut hub = crowd(4);
    hub.set_blocked(id(1), true);
    publish(&mut hub, "a", 1);
    assert_eq!(visit(&mut hub, id(2)), "a2");
    let mut visited = Vec::new();
    let mut delivered = 0;
    loop {
        let ended = hub.run(100, &mut delivered, |subscriber, bytes| {
            visited.push(subscriber.0);
            Some(bytes.len())
        });
        match ended {
            Run::Visit(subscriber) => {
                visited.push(subscriber.0);
                assert_eq!(visit(&mut hub, subscriber), "a2");
            }
            ended => {
                assert_eq!(ended, Run::Done);
                break;
            }
        }
    }
    assert_eq!(visited, [0, 3]);
}

#[test]
fn who_has_been_lapped_is_left_to_an_ordinary_visit() {
    let newest = Policy {
        retain_messages: Limit::of(1),
        ..ENDLESS
    };
    let mut hub = hub(UNLIMITED, newest);
    for i in 0..2 {
        join(&mut hub, id(i), "a");
    }
    publish(&mut hub, "a", 1);
    hub.set_blocked(id(0), true);
    sweep(&mut hub);
    publish(&mut hub, "a", 1);
    sweep(&mut hub);
    trim(&mut hub, 0);
    publish(&mut hub, "a", 1);
    hub.set_blocked(id(0), false);
    let mut handed = Handed::default();
    assert_eq!(handed.run(&mut hub, 100), Run::Visit(id(0)));
    hub.settle(id(0), |gap| assert_eq!((gap.from, gap.to), (1, 1)))
        .expect("it may skip");
    assert_eq!(visit(&mut hub, id(0)), "a2 a3");
    assert_eq!(handed.run(&mut hub, 100), Run::Done);
    assert_eq!(handed.words, said(&[(1, "a3")]));
}

#[test]
fn who_was_placed_behind_is_left_to_an_ordinary_visit() {
    let mut hub = crowd(1);
    hub.attach(id(1), Slot::BASE);
    hub.subscribe(id(1), "a", Start::Last(1), 0)
        .expect("nothing forbids it");
    publish(&mut hub, "a", 1);
    let mut handed = Handed::default();
    assert_eq!(handed.run(&mut hub, 100), Run::Visit(id(1)));
    assert_eq!(handed.words, said(&[(0, "a2")]));
    assert_eq!(visit(&mut hub, id(1)), "a1 a2");
    assert_eq!(handed.run(&mut hub, 100), Run::Done);
}

#[test]
fn a_run_leaves_a_large_channel_after_its_turn() {
    let mut hub = crowd(200);
    join(&mut hub, id(200), "b");
    publish(&mut hub, "a", 1);
    publish(&mut hub, "b", 1);
    let mut handed = Handed::default();
    assert_eq!(handed.run(&mut hub, 1000), Run::Visit(id(200)));
    assert_eq!(handed.words.len(), 64);
    assert_eq!(visit(&mut hub, id(200)), "b1");
    let mut ended = handed.run(&mut hub, 1000);
    while let Run::Visit(subscriber) = ended {
        handed
            .words
            .push((subscriber.0, visit(&mut hub, subscriber)));
        ended = handed.run(&mut hub, 1000);
    }
    assert_eq!(ended, Run::Done);
    let mut visited: Vec<u32> = handed
        .words
        .iter()
        .map(|(subscriber, _)| *subscriber)
        .collect();
    visited.sort_unstable();
    assert!(visited.into_iter().eq(0..200));
}
