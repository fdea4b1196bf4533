//! A subscriber that asks for history gets what is held, and nobody waits for it.

use fanfare::hub::{Gap, Reason};
use fanfare::limit::Limit;

use super::*;

/// The window of these channels, in messages.
const WINDOW: u64 = 200;

fn windowed() -> Hub {
    let policy = Policy {
        retain_messages: Limit::of(WINDOW),
        ..ENDLESS
    };
    hub(UNLIMITED, policy)
}

/// What came of strangers who ask for history again and again.
#[derive(Debug, Default, PartialEq)]
struct Counts {
    published: u64,
    congested: u64,
    visits: u64,
    lost_live: u64,
}

/// Turns in which `strangers` ask anew for all that channel `a` holds, one publisher has 64 messages ready, and a sweep makes
/// `visits` visits. Beside them somebody listens from the beginning.
fn pump(strangers: u32, turns: u64, visits: u64, len: usize) -> Counts {
    let mut hub = windowed();
    let mut counts = Counts::default();
    join(&mut hub, id(0), "a");
    for _ in 0..WINDOW {
        try_publish(&mut hub, "a", len).expect("there is room");
        sweep(&mut hub);
        trim(&mut hub, 0);
    }
    let (mut heard, mut waits) = (0, false);
    for stranger in 1..=strangers {
        hub.attach(id(stranger), Slot::BASE);
    }
    for _ in 0..turns {
        for stranger in 1..=strangers {
            hub.unsubscribe(id(stranger), "a").ok();
            hub.subscribe(id(stranger), "a", Start::Last(u64::MAX), 0)
                .expect("it is not subscribed");
        }
        for _ in 0..64 {
            if waits {
                break;
            }
            waits = try_publish(&mut hub, "a", len)
                .expect("there is room")
                .congested;
            counts.published += 1;
            counts.congested += u64::from(waits);
        }
        for _ in 0..visits {
            let Some(named) = hub.next_behind() else {
                break;
            };
            counts.visits += 1;
            let mut slices = Slices::new();
            if hub.gather(named, &mut slices).lapped {
                hub.settle(named, |_| counts.lost_live += u64::from(named == id(0)))
                    .expect("it may skip");
                slices = Slices::new();
                hub.gather(named, &mut slices);
            }
            let bytes = slices.bytes();
            let advanced = hub.advance(named, bytes);
            if named == id(0) {
                heard += advanced.delivered;
            }
        }
        waits &= trim(&mut hub, 0) == 0;
    }
    assert!(heard >= counts.published.saturating_sub(64));
    counts
}

#[test]
fn strangers_who_ask_for_history_again_and_again_make_no_publisher_wait() {
    // Visits are cut by their 256 KiB: each stranger would need two for what it asked for.
    for len in [40, 4000] {
        let counts = pump(16, 500, 40, len);
        assert_eq!(counts.congested, 0, "{counts:?}");
        assert_eq!((counts.published, counts.lost_live), (500 * 64, 0));
        assert!(counts.visits <= 500 * 40);
    }
}

#[test]
fn even_where_the_sweep_never_comes_to_all_strangers_no_publisher_waits() {
    for len in [40, 4000] {
        let counts = pump(200, 100, 40, len);
        assert_eq!(counts.congested, 0, "{counts:?}");
        assert_eq!((counts.published, counts.lost_live), (100 * 64, 0));
        assert_eq!(counts.visits, 100 * 40);
    }
}

#[test]
fn who_asked_for_history_gets_it_in_the_same_turn_though_the_window_has_moved_on() {
    let mut hub = windowed();
    publish(&mut hub, "a", WINDOW);
    trim(&mut hub, 0);
    hub.attach(id(0), Slot::BASE);
    hub.subscribe(id(0), "a", Start::Last(u64::MAX), 0)
        .expect("nothing forbids it");
    publish(&mut hub, "a", WINDOW);
    let visits = sweep(&mut hub);
    assert_eq!(visits.len(), 1);
    assert!(visits[0].1.starts_with("a1 a2 ") && visits[0].1.ends_with(" a400"));
    trim(&mut hub, 0);
    // From now on it is one who reads, and publishers wait for it.
    for _ in 0..WINDOW / 2 {
        assert!(
            !try_publish(&mut hub, "a", 8)
                .expect("there is room")
                .congested
        );
    }
    assert!(
        try_publish(&mut hub, "a", 8)
            .expect("there is room")
            .congested
    );
}

#[test]
fn history_that_goes_before_its_reader_is_visited_is_a_gap() {
    let mut hub = windowed();
    publish(&mut hub, "a", WINDOW);
    trim(&mut hub, 0);
    let epoch = {
        hub.attach(id(0), Slot::BASE);
        let since = hub.subscribe(id(0), "a", Start::Last(3), 0);
        since.expect("nothing forbids it").epoch.to_owned()
    };
    publish(&mut hub, "a", WINDOW);
    trim(&mut hub, 0);
    assert_eq!(hub.next_behind(), Some(id(0)));
    let mut slices = Slices::new();
    assert!(hub.gather(id(0), &mut slices).lapped);
    let mut gaps = 0;
    hub.settle(id(0), |gap| {
        let expected = Gap {
            topic: Topic::Channel("a"),
            epoch: &epoch,
            from: 198,
            to: 200,
            reason: Reason::Slow,
        };
        assert_eq!(gap, expected);
        gaps += 1;
    })
    .expect("it may skip");
    assert_eq!(gaps, 1);
    assert!(visit(&mut hub, id(0)).starts_with("a201 "));
}

#[test]
fn a_live_channel_is_not_lapped_though_its_reader_has_history_to_get_in_another() {
    let mut hub = windowed();
    for _ in 0..WINDOW {
        try_publish(&mut hub, "long", 8000).expect("there is room");
    }
    trim(&mut hub, 0);
    join(&mut hub, id(0), "live");
    hub.subscribe(id(0), "long", Start::Last(u64::MAX), 0)
        .expect("nothing forbids it");
    let (mut live, mut waits) = (0, false);
    for _ in 0..100 {
        for _ in 0..WINDOW {
            if !waits {
                waits = try_publish(&mut hub, "live", 4000)
                    .expect("there is room")
                    .congested;
                live += 1;
            }
        }
        // One visit a turn, and each is cut.
        if let Some(named) = hub.next_behind() {
            visit(&mut hub, named);
        }
        waits &= trim(&mut hub, 0) == 0;
    }
    assert!(live > WINDOW);
    sweep(&mut hub);
    assert!(!hub.is_behind(id(0)));
}

#[test]
fn who_has_very_many_subscriptions_and_asks_for_history_costs_no_look_at_each() {
    const CHANNELS: usize = 30_000;
    let mut hub = hub(UNLIMITED, ENDLESS);
    hub.attach(id(0), Slot::BASE);
    let names: Vec<String> = (0..CHANNELS).map(|i| format!("{i}-")).collect();
    for name in &names {
        publish(&mut hub, name, 1);
        subscribe(&mut hub, id(0), name);
    }
    trim(&mut hub, 0);
    // With a look at each of them this would be 3 × 30,000 × 30,000 looks.
    for name in &names {
        hub.unsubscribe(id(0), name).expect("it is subscribed");
        hub.subscribe(id(0), name, Start::Last(1), 0)
            .expect("it is not subscribed");
        assert_eq!(sweep(&mut hub), [(0, format!("{name}1"))]);
    }
    assert!(!hub.is_behind(id(0)));
}

#[test]
fn who_has_had_its_history_is_waited_for_though_it_never_comes_to_the_head() {
    let mut hub = windowed();
    try_publish(&mut hub, "a", 40).expect("there is room");
    hub.attach(id(0), Slot::BASE);
    hub.subscribe(id(0), "a", Start::Last(1), 0)
        .expect("nothing forbids it");
    // More is published in each turn than a visit takes: its first visit gets all its history, and is cut.
    let (mut published, mut waits, mut waited) = (1, false, 0);
    for _ in 0..200 {
        for _ in 0..WINDOW {
            if !waits {
                waits = try_publish(&mut hub, "a", 8000)
                    .expect("there is room")
                    .congested;
                waited += u64::from(waits);
                published += 1;
            }
        }
        // Each of these visits would find out if it was lapped.
        if let Some(named) = hub.next_behind() {
            visit(&mut hub, named);
        }
        waits &= trim(&mut hub, 0) == 0;
    }
    assert!(
        waited > 10 && published > 10 * WINDOW,
        "{waited} {published}"
    );
}

#[test]
fn who_has_had_its_history_and_was_cut_is_not_lapped_though_its_channel_was_clean() {
    let mut hub = windowed();
    join(&mut hub, id(1), "a");
    let publish = |hub: &mut Hub| {
        try_publish(hub, "a", 8000)
            .expect("there is room")
            .congested
    };
    (0..60).for_each(|_| assert!(!publish(&mut hub)));
    sweep(&mut hub);
    hub.attach(id(0), Slot::BASE);
    hub.subscribe(id(0), "a", Start::Last(60), 0)
        .expect("nothing forbids it");
    (0..30).for_each(|_| assert!(!publish(&mut hub)));
    // A visit takes 32: the second gets past the history, and is cut.
    let mut visits = 0;
    while visits < 2 {
        let named = hub.next_behind().expect("both are behind");
        visit(&mut hub, named);
        visits += u32::from(named == id(0));
    }
    trim(&mut hub, 0);
    // Publishers that do not heed congestion.
    for _ in 0..WINDOW {
        publish(&mut hub);
    }
    trim(&mut hub, 0);
    assert!(hub.held("a").is_some_and(|held| held.start == 65));
    sweep(&mut hub);
    assert!(!hub.is_behind(id(0)));
}

#[test]
fn a_subscriber_blocked_or_at_the_head_by_the_write_that_ends_its_history_holds_no_publisher() {
    let policy = Policy {
        retain_messages: Limit::of(4),
        ..ENDLESS
    };
    // A part of what is there, and all of it: it lies in two logs, so it is two pieces.
    for room in [8 + 1, 8 + 8 + 8 + 1, usize::MAX] {
        let mut hub = hub(UNLIMITED, policy);
        join(&mut hub, id(0), "a");
        publish(&mut hub, "a", 2);
        assert_eq!(visit(&mut hub, id(0)), "a1 a2");
        hub.attach(id(1), CAPITALS);
        hub.subscribe(id(1), "a", Start::Last(2), 0)
            .expect("nothing forbids it");
        hub.set_blocked(id(1), true);
        assert_eq!(hub.next_behind(), None);
        publish(&mut hub, "a", 1);
        assert_eq!(sweep(&mut hub), [(0, "a3".into())]);
        publish(&mut hub, "a", 1);
        hub.set_blocked(id(1), false);
        let mut slices = Slices::new();
        hub.gather(id(1), &mut slices);
        assert_eq!(words(&slices), "a1 a2 A3 A4");
        let written = slices.bytes().min(room);
        hub.advance(id(1), written);
        let published = try_publish(&mut hub, "a", 8).expect("there is room");
        assert!(!published.congested, "{written} bytes");
    }
}
