//! Where a subscription begins.

use fanfare::hub::Reason;
use fanfare::limit::Limit;

use super::*;

/// A hub with `a3 a4 a5` in channel `a`, and that channel's epoch.
fn from_3_to_5() -> (Hub, String) {
    let three = Policy {
        retain_messages: Limit::of(3),
        ..ENDLESS
    };
    let mut hub = hub(UNLIMITED, three);
    publish(&mut hub, "a", 5);
    trim(&mut hub, 0);
    hub.attach(id(0), Slot::BASE);
    let subscribed = hub.subscribe(id(0), "a", Start::Live, 0);
    let epoch = subscribed.expect("nothing forbids it").epoch.to_owned();
    hub.unsubscribe(id(0), "a").expect("it is subscribed");
    (hub, epoch)
}

/// What a subscription brings: `recovered`, the gap, and what comes first.
type Outcome = (Option<bool>, Option<(u64, u64, Reason)>, String);

fn outcome(hub: &mut Hub, start: Start<'_>) -> Outcome {
    let subscribed = hub
        .subscribe(id(0), "a", start, 0)
        .expect("nothing forbids it");
    assert_eq!(subscribed.seq, 5);
    let recovered = subscribed.recovered;
    let gap = subscribed.gap.map(|gap| {
        assert_eq!(
            (gap.topic, gap.epoch),
            (Topic::Channel("a"), subscribed.epoch)
        );
        (gap.from, gap.to, gap.reason)
    });
    let behind = subscribed.behind;
    let named = hub.next_behind();
    assert_eq!(named.is_some(), behind);
    let words = visit(hub, id(0));
    assert_eq!(words.is_empty(), !behind);
    hub.unsubscribe(id(0), "a").expect("it is subscribed");
    (recovered, gap, words)
}

#[track_caller]
fn since(seq: u64, expected: (bool, Option<(u64, u64, Reason)>, &str)) {
    let (mut hub, epoch) = from_3_to_5();
    let outcome = outcome(&mut hub, Start::Since { epoch: &epoch, seq });
    let (recovered, gap, words) = expected;
    assert_eq!(outcome, (Some(recovered), gap, words.to_owned()));
}

#[test]
fn who_comes_back_while_everything_since_is_held_misses_nothing() {
    since(2, (true, None, "a3 a4 a5"));
    since(4, (true, None, "a5"));
    since(5, (true, None, ""));
}

#[test]
fn who_comes_back_too_late_is_told_what_has_expired() {
    since(1, (false, Some((2, 2, Reason::Expired)), "a3 a4 a5"));
    since(0, (false, Some((1, 2, Reason::Expired)), "a3 a4 a5"));
}

#[test]
fn who_asks_for_what_lies_beyond_the_newest_is_told_of_a_new_numbering() {
    for seq in [6, u64::MAX - 1, u64::MAX] {
        since(seq, (false, Some((0, 2, Reason::Epoch)), "a3 a4 a5"));
    }
}

#[test]
fn who_comes_back_with_another_epoch_is_told_of_a_new_numbering() {
    let (mut hub, epoch) = from_3_to_5();
    for epoch in ["", "another", &epoch[1..]] {
        assert_eq!(
            outcome(&mut hub, Start::Since { epoch, seq: 4 }),
            (
                Some(false),
                Some((0, 2, Reason::Epoch)),
                "a3 a4 a5".to_owned()
            )
        );
    }
}

#[test]
fn the_last_so_many_are_never_more_than_what_is_held() {
    let (mut hub, _) = from_3_to_5();
    for (count, words) in [
        (0, ""),
        (1, "a5"),
        (3, "a3 a4 a5"),
        (4, "a3 a4 a5"),
        (u64::MAX, "a3 a4 a5"),
    ] {
        assert_eq!(
            outcome(&mut hub, Start::Last(count)),
            (None, None, words.to_owned())
        );
    }
}

#[test]
fn a_live_subscription_begins_with_the_next_message() {
    let (mut hub, _) = from_3_to_5();
    assert_eq!(outcome(&mut hub, Start::Live), (None, None, String::new()));
    subscribe(&mut hub, id(0), "a");
    publish(&mut hub, "a", 1);
    assert_eq!(sweep(&mut hub), [(0, "a6".to_owned())]);
}

#[test]
fn who_is_detached_leaves_nothing_to_whoever_gets_its_id() {
    let (mut hub, _) = from_3_to_5();
    hub.subscribe(id(0), "a", Start::Last(3), 0)
        .expect("nothing forbids it");
    hub.set_blocked(id(0), true);
    hub.detach(id(0));
    join(&mut hub, id(0), "b");
    assert!(!hub.is_blocked(id(0)) && !hub.is_subscribed(id(0), "a"));
    publish(&mut hub, "a", 1);
    publish(&mut hub, "b", 1);
    let got: String = sweep(&mut hub)
        .into_iter()
        .map(|(_, words)| words)
        .collect();
    assert_eq!(got, "b1");
}

#[test]
fn an_id_that_was_blocked_and_never_attached_is_not_blocked_once_it_is_detached_or_attached() {
    let mut hub = hub(UNLIMITED, ENDLESS);
    for detach in [true, false] {
        hub.set_blocked(id(70), true);
        if detach {
            hub.detach(id(70));
        } else {
            hub.attach(id(70), Slot::BASE);
        }
        assert!(!hub.is_blocked(id(70)));
    }
    subscribe(&mut hub, id(70), "a");
    publish(&mut hub, "a", 1);
    assert_eq!(sweep(&mut hub), [(70, "a1".to_owned())]);
}
