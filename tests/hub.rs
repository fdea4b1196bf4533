//! The hub against a naive model, what it promises case by case, and the hard cases of its sweep.

mod hub_cases;
mod hub_model;

use hub_model::{Run, holding, run};
use proptest::prelude::*;

/// A socket that takes whatever it is given.
const ENDLESS: usize = usize::MAX;

/// How often each property is tried: 200 times, or as often as `PROPTEST_CASES` says.
fn cases() -> u32 {
    let asked = std::env::var("PROPTEST_CASES").ok();
    asked.and_then(|asked| asked.parse().ok()).unwrap_or(200)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_each_stream_is_whole_frames_in_order_with_each_hole_announced(
        settings: [u8; 8],
        steps in proptest::collection::vec(any::<[u8; 4]>(), 0..400),
    ) {
        run(hub_model::Settings(settings), steps);
    }

    #[test]
    fn who_reads_is_never_lapped_however_short_the_sweeps_are(
        window in prop_oneof![Just(1), Just(3), Just(20)],
        steps in proptest::collection::vec((0u8..10, 0u8..6, 1u8..60), 0..400),
    ) {
        let mut run = Run::new(holding(window));
        for client in 0..6 {
            run.subscribe(client, 0, 0, 0);
        }
        for (kind, client, n) in steps {
            match kind {
                0..=4 => run.publish(0, n),
                5 => run.unsubscribe(client, 0),
                6 => run.subscribe(client, 0, 0, 0),
                7 => run.trim(),
                _ => run.sweep(n as usize % 4),
            }
        }
        run.finish();
        prop_assert_eq!(run.gaps, 0);
    }

    #[test]
    fn after_any_order_of_cuts_blocks_and_unsubscribes_everybody_reaches_the_head(
        steps in proptest::collection::vec((0u8..12, 0u8..6, 0u8..4, any::<u8>()), 0..300),
    ) {
        let mut run = Run::new(holding(0));
        for (kind, client, channel, n) in steps {
            match kind {
                0 => run.publish(channel, n),
                1 => run.burst(channel, n),
                2..=3 => run.subscribe(client, channel, n % 3, n),
                4 => run.unsubscribe(client, channel),
                5 => run.give_room(client, usize::from(n) * 16),
                6 => run.give_room(client, ENDLESS),
                7 => run.trim(),
                _ => run.sweep(n as usize % 6),
            }
        }
        // Without another publish.
        run.finish();
        prop_assert_eq!(run.gaps, 0);
    }

    #[test]
    fn however_strangers_ask_for_history_no_publisher_waits_for_them(
        turns in proptest::collection::vec(
            (proptest::collection::vec((0u8..6, 1u8..3, any::<u8>(), 1u8..5), 0..6), 0usize..20),
            1..15,
        ),
    ) {
        let mut run = Run::new(holding(20));
        for (requests, visits) in turns {
            // All are behind, in the channel and among themselves, before anybody publishes.
            for (client, how, n, published) in requests {
                run.unsubscribe(client, 0);
                run.subscribe(client, 0, how, n | 1);
                // No more than half of the window in a turn, or it would have to be swept meanwhile.
                (0..published.min(2)).for_each(|_| run.publish(0, 255));
            }
            run.sweep(visits);
            (0..6).for_each(|client| run.unsubscribe(client, 0));
            run.trim();
        }
        prop_assert_eq!(run.congested, 0);
        run.finish();
    }

    #[test]
    fn whatever_a_broker_numbers_and_however_late_each_hole_and_each_epoch_is_announced(
        windows: [u8; 2],
        total in 0u8..4,
        steps in proptest::collection::vec((0u8..20, 0u8..6, 0u8..4, any::<u8>()), 0..300),
    ) {
        let [hubs, brokers] = windows;
        // The broker numbers every other channel.
        let settings = [hubs % 80, brokers, hubs % 5, brokers % 5, total, 0, 3 + 2, 1];
        let mut run = Run::new(hub_model::Settings(settings));
        for (kind, client, channel, n) in steps {
            match kind {
                0..=3 => run.publish(channel | 1, n),
                4 => run.publish(channel, n),
                5 => run.hear(n % 4, n / 4),
                6..=7 => run.hear(2, n),
                8..=9 => run.subscribe(client, channel, n % 8, n / 8),
                10 => run.unsubscribe(client, channel),
                11 => run.give_room(client, usize::from(n) * 4),
                12 => run.give_room(client, ENDLESS),
                13 => run.visit(client),
                14 => run.reconnect(client, n),
                15 => run.pass(u64::from(n)),
                16 => run.run_sweep(u32::from(n) % 8, n.is_multiple_of(3)),
                _ => run.turn(n as usize % 8, n.is_multiple_of(2)),
            }
        }
        run.finish();
    }

    #[test]
    fn a_pattern_has_each_message_of_its_channels_in_order_and_no_reader_of_it_makes_a_publisher_wait(
        windows: [u8; 4],
        limits in 0u8..16,
        linked in 0u8..2,
        total in 0u8..4,
        steps in proptest::collection::vec((0u8..24, 0u8..6, any::<u8>(), any::<u8>()), 0..300),
    ) {
        let [a, b, c, d] = windows;
        let settings = [a, b, c, d, total, limits, 1 + 3 * linked, 1];
        let mut run = Run::new(hub_model::Settings(settings));
        for (kind, client, b, n) in steps {
            let (channel, pattern) = (b % 4, run.pattern(b));
            match kind {
                0..=4 => run.publish(channel, n),
                5 => run.burst(channel, n),
                6..=7 => run.subscribe(client, pattern, n % 8, n / 8),
                8 => run.subscribe(client, channel, n % 8, n / 8),
                9..=10 => run.unsubscribe(client, pattern),
                11 => run.give_room(client, usize::from(n) * 8),
                12 => run.give_room(client, ENDLESS),
                13 => run.visit(client),
                14 => run.reconnect(client, n),
                15 => run.pass(u64::from(n) % 64),
                16 => run.run_sweep(u32::from(n) % 8, n.is_multiple_of(3)),
                17 => run.clear(channel),
                18 => run.hear(n % 16, n / 16),
                19 => run.trim(),
                _ => run.turn(n as usize % 16, n.is_multiple_of(2)),
            }
        }
        run.finish();
    }

    #[test]
    fn with_many_subscriptions_too_nobody_is_left_behind_in_one_of_them(
        large in 0u8..16,
        window in prop_oneof![Just(0), Just(1), Just(3)],
        steps in proptest::collection::vec((0u8..16, 0u8..6, 0u8..20, any::<u8>()), 0..300),
    ) {
        let mut settings = holding(window);
        settings.0[7] = large * 4 + 1;
        let mut run = Run::new(settings);
        for client in 0..5 {
            run.subscribe_to_all(client);
        }
        for (kind, client, channel, n) in steps {
            match kind {
                0..=3 => run.publish(channel, n),
                4 => run.burst(channel, n),
                5 => run.subscribe(client, channel, n % 3, n),
                6 => run.unsubscribe(client, channel),
                7..=8 => run.give_room(client, usize::from(n) * 16),
                9 => run.give_room(client, ENDLESS),
                10 => run.visit(client),
                11 => run.run_sweep(u32::from(n) % 4, n.is_multiple_of(3)),
                12 => run.turn(n as usize % 32, true),
                _ => run.turn(n as usize % 6, n.is_multiple_of(2)),
            }
        }
        run.finish();
    }
}

#[test]
fn nobody_is_missed_when_the_sweep_has_passed_who_unsubscribes() {
    let mut run = Run::new(holding(0));
    for client in 0..4 {
        run.subscribe(client, 0, 0, 0);
    }
    run.publish(0, 10);
    run.sweep(2);
    run.publish(0, 10);
    run.sweep(3);
    run.unsubscribe(0, 0);
    run.finish();
    assert_eq!(run.delivered, 2 + 3 + 1 + 1 + 1);
}

#[test]
fn a_second_circle_does_not_give_up_those_whom_the_first_left_behind_the_head() {
    let mut run = Run::new(holding(1));
    for client in 0..6 {
        run.subscribe(client, 0, 0, 0);
    }
    run.publish(0, 10);
    run.sweep(5);
    run.publish(0, 10);
    // Once around: all have the first message, and only the last of them both.
    run.sweep(2);
    run.trim();
    run.finish();
    assert_eq!((run.gaps, run.delivered), (0, 12));
}

#[test]
fn a_visit_that_was_cut_is_gone_on_with_and_not_lapped_meanwhile() {
    // More than 64 slices and 256 KiB, by publishers that do not heed congestion: it takes several visits each.
    let mut flood = Run::new(hub_model::Settings([4, 4, 4, 4, 0, 0, 2, 0]));
    for client in 0..3 {
        flood.subscribe(client, 0, 0, 0);
    }
    flood.burst(0, 99);
    flood.sweep(2);
    assert!(flood.cuts >= 1);
    flood.trim();
    flood.publish(0, 1);
    flood.trim();
    flood.finish();
    assert_eq!((flood.gaps, flood.delivered), (0, 300));
}

#[test]
fn who_asks_for_history_gets_all_of_it_though_it_takes_many_visits_if_it_is_quicker_than_the_window()
 {
    let mut run = Run::new(hub_model::Settings([4, 4, 4, 4, 0, 0, 2, 0]));
    for _ in 0..20 {
        run.publish(0, 255);
    }
    run.trim();
    run.subscribe(3, 0, 2, 0);
    // Each visit takes nine of the twenty.
    for _ in 0..20 {
        run.publish(0, 255);
        run.sweep(1);
        run.trim();
    }
    run.finish();
    assert_eq!((run.gaps, run.delivered), (0, 40));
    assert!(run.cuts >= 2);
}

#[test]
fn who_asks_for_history_and_is_slower_than_the_window_is_told_exactly_what_it_missed() {
    let mut run = Run::new(hub_model::Settings([4, 4, 4, 4, 0, 0, 2, 0]));
    for _ in 0..20 {
        run.publish(0, 255);
    }
    run.trim();
    run.subscribe(3, 0, 2, 0);
    run.sweep(1);
    // Nobody waits for it while it has the rest to get.
    for _ in 0..20 {
        run.publish(0, 255);
        run.trim();
    }
    run.finish();
    assert_eq!((run.gaps, run.delivered), (1, 9 + 20));
}

#[test]
fn who_stops_reading_is_told_exactly_what_it_missed() {
    let mut run = Run::new(holding(3));
    run.subscribe(0, 0, 0, 0);
    run.give_room(0, 5);
    for _ in 0..50 {
        run.publish(0, 10);
        run.sweep(4);
        run.trim();
    }
    run.finish();
    // The half-sent first, and the three that are held.
    assert_eq!((run.gaps, run.delivered), (1, 4));
}
