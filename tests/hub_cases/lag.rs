//! A subscriber that falls behind what a channel holds, and what becomes of it.

use fanfare::hub::{Lag, LagWalk, OnLag, Reason, TooSlow};
use fanfare::limit::Limit;

use super::*;

/// A hub in which `id(0)` had `a1`, was blocked until only `a5 a6` were held, and has been named for a visit again.
fn lapped(on_lag: OnLag, retain_ms: u64) -> Hub {
    let policy = Policy {
        retain_messages: Limit::of(2),
        retain_ms: Limit::from(retain_ms),
        on_lag,
        ..ENDLESS
    };
    let mut hub = hub(UNLIMITED, policy);
    join(&mut hub, id(0), "a");
    publish(&mut hub, "a", 1);
    sweep(&mut hub);
    hub.set_blocked(id(0), true);
    publish(&mut hub, "a", 5);
    sweep(&mut hub);
    trim(&mut hub, 0);
    hub.handle_timeout(1000);
    assert_eq!(hub.next_behind(), None);
    hub.set_blocked(id(0), false);
    assert_eq!(hub.next_behind(), Some(id(0)));
    let mut slices = Slices::new();
    let gathered = hub.gather(id(0), &mut slices);
    assert!(gathered.lapped && slices.is_empty());
    hub
}

fn gaps(hub: &mut Hub) -> Result<Vec<(u64, u64)>, TooSlow> {
    let mut gaps = Vec::new();
    hub.settle(id(0), |gap| {
        assert_eq!((gap.topic, gap.reason), (Topic::Channel("a"), Reason::Slow));
        gaps.push((gap.from, gap.to));
    })?;
    Ok(gaps)
}

#[test]
fn who_is_lapped_skips_to_the_oldest_message_held() {
    let mut hub = lapped(OnLag::Skip, 0);
    assert_eq!(gaps(&mut hub), Ok(vec![(2, 4)]));
    assert_eq!(visit(&mut hub, id(0)), "a5 a6");
    assert_eq!(gaps(&mut hub), Ok(vec![]));
}

#[test]
fn who_wants_the_latest_skips_to_the_newest_message() {
    let mut hub = lapped(OnLag::Latest, 0);
    assert_eq!(gaps(&mut hub), Ok(vec![(2, 5)]));
    assert_eq!(visit(&mut hub, id(0)), "a6");
}

#[test]
fn who_finds_that_even_the_newest_has_expired_goes_on_at_the_head() {
    for on_lag in [OnLag::Skip, OnLag::Latest] {
        let mut hub = lapped(on_lag, 500);
        assert_eq!(gaps(&mut hub), Ok(vec![(2, 6)]));
        assert_eq!(visit(&mut hub, id(0)), "");
        publish(&mut hub, "a", 1);
        assert_eq!(sweep(&mut hub), [(0, "a7".to_owned())]);
    }
}

#[test]
fn who_is_blocked_for_a_moment_while_publishers_wait_for_others_is_not_lapped() {
    // Both are cut in each visit, and publishers send whenever they may. So all that the window holds is behind.
    const WINDOW: u64 = 200;
    let policy = Policy {
        retain_messages: Limit::of(WINDOW),
        ..ENDLESS
    };
    let mut hub = hub(UNLIMITED, policy);
    join(&mut hub, id(0), "a");
    join(&mut hub, id(1), "a");
    let turn = |hub: &mut Hub, visits: &[u32]| {
        while !try_publish(hub, "a", 8000)
            .expect("there is room")
            .congested
        {}
        for _ in visits {
            let named = hub.next_behind().expect("somebody is behind");
            assert!(visits.contains(&named.0));
            visit(hub, named);
        }
        trim(hub, 0);
    };
    for _ in 0..20 {
        turn(&mut hub, &[0, 1]);
    }
    // Its client does nothing while the other gets 32 messages.
    hub.set_blocked(id(0), true);
    turn(&mut hub, &[1]);
    turn(&mut hub, &[1]);
    hub.set_blocked(id(0), false);
    assert_eq!(gaps(&mut hub), Ok(vec![]));
}

#[test]
fn who_is_to_be_closed_is_named_with_its_channel_until_it_is_detached() {
    let mut hub = lapped(OnLag::Close, 0);
    let too_slow = TooSlow {
        topic: "a".into(),
        is_pattern: false,
    };
    assert_eq!(gaps(&mut hub), Err(too_slow.clone()));
    assert_eq!(gaps(&mut hub), Err(too_slow));
    hub.detach(id(0));
    assert!(sweep(&mut hub).is_empty());
}

#[test]
fn a_lapped_subscription_keeps_nothing_from_the_others() {
    let mut hub = lapped(OnLag::Skip, 0);
    subscribe(&mut hub, id(0), "b");
    publish(&mut hub, "b", 1);
    let mut slices = Slices::new();
    let gathered = hub.gather(id(0), &mut slices);
    assert!(gathered.lapped && gathered.more);
    assert_eq!(words(&slices), "b1");
    let bytes = slices.bytes();
    assert!(hub.advance(id(0), bytes).more);
    assert_eq!(hub.next_behind(), Some(id(0)));
    assert_eq!(gaps(&mut hub), Ok(vec![(2, 4)]));
    assert_eq!(visit(&mut hub, id(0)), "a5 a6");
}

#[test]
fn a_visit_tells_of_64_gaps_at_most_and_the_rest_follows() {
    let newest = Policy {
        retain_messages: Limit::of(1),
        ..ENDLESS
    };
    let mut hub = hub(UNLIMITED, newest);
    hub.attach(id(0), Slot::BASE);
    hub.set_blocked(id(0), true);
    for i in 0..65 {
        let name = format!("c{i}-");
        subscribe(&mut hub, id(0), &name);
        publish(&mut hub, &name, 2);
    }
    sweep(&mut hub);
    trim(&mut hub, 0);
    hub.set_blocked(id(0), false);
    let mut told = Vec::new();
    for _ in 0..2 {
        assert_eq!(hub.next_behind(), Some(id(0)));
        let mut gaps = 0;
        hub.settle(id(0), |_| gaps += 1).expect("it may skip");
        told.push(gaps);
        let mut slices = Slices::new();
        hub.gather(id(0), &mut slices);
        let bytes = slices.bytes();
        hub.advance(id(0), bytes);
    }
    assert_eq!(told, [64, 1]);
    assert_eq!(hub.next_behind(), None);
}

#[test]
fn who_is_to_be_closed_for_one_channel_hears_of_no_gap_in_another_and_stays_where_it_was() {
    let policies = |topic: Topic<'_>| Policy {
        retain_messages: Limit::of(1),
        on_lag: if topic.text() == "close" {
            OnLag::Close
        } else {
            OnLag::Skip
        },
        ..ENDLESS
    };
    let mut made = 0;
    let numberings = move |_: Topic<'_>| {
        made += 1;
        Numbering::Hub(Epoch::from_random([made; 12]))
    };
    let mut hub = Hub::new(UNLIMITED, Box::new(policies), Box::new(numberings));
    hub.attach(id(0), Slot::BASE);
    // More than a visit reports come before it.
    let names: Vec<String> = (0..70).map(|i| format!("c{i}-")).collect();
    for name in names.iter().map(String::as_str).chain(["close"]) {
        subscribe(&mut hub, id(0), name);
    }
    hub.set_blocked(id(0), true);
    for name in names.iter().map(String::as_str).chain(["close"]) {
        publish(&mut hub, name, 2);
    }
    sweep(&mut hub);
    trim(&mut hub, 0);
    hub.set_blocked(id(0), false);
    let mut told = 0;
    for _ in 0..2 {
        let settled = hub.settle(id(0), |_| told += 1);
        assert_eq!(settled.map_err(|why| why.topic), Err("close".into()));
    }
    assert_eq!(told, 0);
    hub.unsubscribe(id(0), "close").expect("it is subscribed");
    hub.settle(id(0), |gap| {
        assert_eq!((gap.from, gap.to), (1, 1));
        told += 1;
    })
    .expect("the others may skip");
    assert_eq!(told, 64);
}

#[test]
fn a_walk_over_all_subscriptions_finds_each_with_what_it_has_still_to_get_and_for_how_long() {
    let mut hub = hub(UNLIMITED, ENDLESS);
    for subscriber in 0..3 {
        join(&mut hub, id(subscriber), "a");
    }
    join(&mut hub, id(3), "b");
    hub.set_blocked(id(1), true);
    publish_at(&mut hub, "a", 100);
    publish_at(&mut hub, "a", 150);
    sweep(&mut hub);
    let mut walk = LagWalk::default();
    let (mut found, mut calls) = (Vec::new(), 1);
    // Each of the four subscriptions takes a look beside that at its channel, and then there is the end.
    while !hub.walk_lags(&mut walk, 2, 400, |lag| found.push(lag)) {
        calls += 1;
    }
    assert_eq!(calls, 5);
    let lag = |messages, age_ms| Lag { messages, age_ms };
    assert_eq!(found, [lag(0, 0), lag(2, 300), lag(0, 0), lag(0, 0)]);
    // The next begins anew.
    found.clear();
    assert!(hub.walk_lags(&mut walk, 100, 500, |lag| found.push(lag)));
    assert_eq!(found.iter().map(|lag| lag.age_ms).max(), Some(400));
    assert_eq!(hub.sizes().channels, 2);
}
