//! Large channels go around when they are told to, and everything else goes on meanwhile.

use super::*;

/// Channels of two subscribers are large.
const TWO_ARE_LARGE: HubConfig = HubConfig {
    large: 2,
    ..UNLIMITED
};

/// A channel that holds only its newest message.
const NEWEST: Policy = Policy {
    retain_messages: Limit::of(1),
    ..ENDLESS
};

/// A hub with three in the large channel `a` and one in the small channel `b`.
fn large_and_small(policy: Policy) -> Hub {
    let mut hub = hub(TWO_ARE_LARGE, policy);
    for i in 0..3 {
        join(&mut hub, id(i), "a");
    }
    join(&mut hub, id(3), "b");
    hub
}

#[test]
fn a_large_channel_waits_until_it_is_told_and_a_small_one_does_not() {
    let mut hub = large_and_small(ENDLESS);
    publish(&mut hub, "a", 1);
    publish(&mut hub, "b", 1);
    assert_eq!(sweep(&mut hub), said(&[(3, "b1")]));
    assert!(hub.has_waiting() && !hub.is_in_circle());
    publish(&mut hub, "a", 1);
    hub.begin_circles();
    assert!(!hub.has_waiting() && hub.is_in_circle());
    assert_eq!(
        sweep(&mut hub),
        said(&[(0, "a1 a2"), (1, "a1 a2"), (2, "a1 a2")])
    );
    assert!(!hub.has_waiting() && !hub.is_in_circle());
    assert_eq!(hub.large_published(), 2);
}

#[test]
fn what_is_published_during_a_circle_goes_to_those_still_to_come_and_waits_for_the_others() {
    let mut hub = large_and_small(ENDLESS);
    publish(&mut hub, "a", 1);
    hub.begin_circles();
    assert_eq!(hub.next_behind(), Some(id(0)));
    assert_eq!(visit(&mut hub, id(0)), "a1");
    publish(&mut hub, "a", 1);
    assert_eq!(sweep(&mut hub), said(&[(1, "a1 a2"), (2, "a1 a2")]));
    assert!(hub.has_waiting() && !hub.is_in_circle() && hub.is_behind(id(0)));
    hub.begin_circles();
    assert_eq!(sweep(&mut hub), said(&[(0, "a2")]));
    assert!(!hub.has_waiting());
}

#[test]
fn a_visit_for_another_reason_brings_what_waits() {
    let mut hub = large_and_small(ENDLESS);
    subscribe(&mut hub, id(0), "c");
    publish(&mut hub, "a", 1);
    publish(&mut hub, "c", 1);
    assert_eq!(sweep(&mut hub), said(&[(0, "a1 c1")]));
    hub.begin_circles();
    assert_eq!(sweep(&mut hub), said(&[(1, "a1"), (2, "a1")]));
}

#[test]
fn a_channel_whose_publishers_wait_does_not_wait_itself() {
    let mut hub = large_and_small(NEWEST);
    publish(&mut hub, "a", 1);
    assert!(hub.has_waiting());
    let second = try_publish(&mut hub, "a", 8).expect("there is room");
    assert!(second.congested);
    assert!(!hub.has_waiting() && hub.is_in_circle());
    assert_eq!(sweep(&mut hub).len(), 3);
    assert_eq!(trim(&mut hub, 0), 1);
}

#[test]
fn a_channel_whose_publishers_wait_goes_around_until_they_need_not() {
    let mut hub = large_and_small(NEWEST);
    publish(&mut hub, "a", 1);
    hub.begin_circles();
    assert_eq!(hub.next_behind(), Some(id(0)));
    visit(&mut hub, id(0));
    publish(&mut hub, "a", 2);
    // The first is behind again, and gets another visit without being told.
    assert_eq!(sweep(&mut hub).len(), 3);
    assert!(!hub.has_waiting() && !hub.is_in_circle());
    assert_eq!(trim(&mut hub, 0), 1);
}

#[test]
fn what_waits_is_not_trimmed() {
    let mut hub = large_and_small(ENDLESS);
    publish(&mut hub, "a", 3);
    trim(&mut hub, 0);
    assert_eq!(hub.stats().messages, 3);
    let mut hub = large_and_small(NEWEST);
    publish(&mut hub, "a", 1);
    trim(&mut hub, 0);
    hub.begin_circles();
    assert_eq!(sweep(&mut hub)[2], (2, "a1".to_owned()));
}

#[test]
fn a_channel_that_becomes_small_while_it_waits_is_served_and_waits_no_more() {
    let mut hub = large_and_small(ENDLESS);
    publish(&mut hub, "a", 1);
    hub.unsubscribe(id(0), "a").expect("it is subscribed");
    hub.unsubscribe(id(1), "a").expect("it is subscribed");
    assert!(hub.has_waiting());
    hub.begin_circles();
    assert_eq!(sweep(&mut hub), said(&[(2, "a1")]));
    assert!(!hub.is_in_circle());
    publish(&mut hub, "a", 1);
    assert_eq!(sweep(&mut hub), said(&[(2, "a2")]));
}

#[test]
fn a_deserted_channel_that_waits_leaves_nothing_behind() {
    let mut hub = large_and_small(ENDLESS);
    publish(&mut hub, "a", 1);
    for i in 0..3 {
        hub.detach(id(i));
    }
    hub.begin_circles();
    assert_eq!(sweep(&mut hub), []);
    assert!(!hub.has_waiting() && !hub.is_in_circle());
}
