//! A broker's numbers: clients see them, and jumps in them are no holes.

use fanfare::hub::{OnLag, Reason, Subscribed};
use fanfare::limit::Limit;

use super::*;

/// A broker's epoch.
fn epoch(letter: u8) -> Epoch {
    Epoch::from_random([letter; 12])
}

/// A hub whose channels a broker numbers, in the epoch `e` and above 100; all but those that begin with `$`.
fn linked(config: HubConfig, policy: Policy) -> Hub {
    let mut made = 0;
    let numberings = move |topic: Topic<'_>| {
        made += 1;
        if topic.text().starts_with('$') {
            Numbering::Hub(Epoch::from_random([made; 12]))
        } else {
            Numbering::Broker {
                epoch: epoch(b'e'),
                after: 100,
            }
        }
    };
    Hub::new(config, Box::new(move |_| policy), Box::new(numberings))
}

fn try_append(
    hub: &mut Hub,
    letter: u8,
    seq: u64,
    channel: &str,
    len: usize,
) -> Result<u64, PublishError> {
    let word = Word { channel, len };
    let at = Some((&epoch(letter), seq));
    let published = hub.append_at(at, channel, &word, &mut Capitals(0), 0)?;
    assert_eq!(published.epoch, epoch(letter).as_str());
    Ok(published.seq)
}

/// Appends messages with these numbers, of the epoch `e`, to the channel `a`.
fn append(hub: &mut Hub, seqs: &[u64]) {
    for &seq in seqs {
        assert_eq!(try_append(hub, b'e', seq, "a", 8), Ok(seq));
    }
}

/// What `subscriber` is told that it misses.
fn gaps(hub: &mut Hub, subscriber: u32) -> Vec<(u64, u64, Reason)> {
    let mut gaps = Vec::new();
    hub.settle(id(subscriber), |gap| {
        gaps.push((gap.from, gap.to, gap.reason));
    })
    .expect("nobody is closed");
    gaps
}

/// `id(0)` subscribes to `a` after the message `seq` of the epoch with this letter.
fn come_back(hub: &mut Hub, letter: u8, seq: u64, now: u64) -> Subscribed<'_> {
    hub.attach(id(0), Slot::BASE);
    let epoch = epoch(letter);
    let start = Start::Since {
        epoch: epoch.as_str(),
        seq,
    };
    hub.subscribe(id(0), "a", start, now)
        .expect("nothing forbids it")
}

/// What there is to know of a subscription: seq, recovered, and what is missing.
fn told(subscribed: &Subscribed<'_>) -> (u64, Option<bool>, Option<(u64, u64, Reason)>) {
    let gap = subscribed.gap.map(|gap| (gap.from, gap.to, gap.reason));
    (subscribed.seq, subscribed.recovered, gap)
}

/// A channel that holds the newest `messages`.
fn holding(messages: u64) -> Policy {
    Policy {
        retain_messages: Limit::of(messages),
        ..ENDLESS
    }
}

#[test]
fn clients_see_the_brokers_numbers_in_every_slot_and_a_jump_is_no_hole() {
    let mut hub = linked(UNLIMITED, ENDLESS);
    for (i, slot) in [(0, Slot::BASE), (1, CAPITALS), (2, QUOTED)] {
        hub.attach(id(i), slot);
        subscribe(&mut hub, id(i), "a");
    }
    append(&mut hub, &[107, 109, 400]);
    let mut visits = sweep(&mut hub);
    visits.sort_unstable();
    let expected = [
        (0, "a107 a109 a400".into()),
        (1, "A107 A109 A400".into()),
        (2, "<a107> <a109> <a400>".into()),
    ];
    assert_eq!(visits, expected);
    // What is rendered for one reader alone has them, too.
    hub.detach(id(2));
    hub.attach(id(3), QUOTED);
    hub.subscribe(id(3), "a", Start::Last(2), 0)
        .expect("nothing forbids it");
    assert!(hub.gather(id(3), &mut Slices::new()).unrendered);
    hub.render(id(3), &mut Capitals(0));
    assert_eq!(visit(&mut hub, id(3)), "<a109> <a400>");
}

#[test]
fn channels_that_the_hub_numbers_stand_beside_those_of_a_broker() {
    let mut hub = linked(UNLIMITED, ENDLESS);
    hub.attach(id(0), Slot::BASE);
    subscribe(&mut hub, id(0), "a");
    subscribe(&mut hub, id(0), "$b");
    append(&mut hub, &[101]);
    publish(&mut hub, "$b", 1);
    append(&mut hub, &[103]);
    publish(&mut hub, "$b", 1);
    assert_eq!(visit(&mut hub, id(0)), "a101 a103 $b1 $b2");
    assert_eq!(
        (hub.held("a"), hub.held("$b")),
        (Some(101..104), Some(1..3))
    );
}

#[test]
fn a_number_that_is_not_above_the_newest_is_refused_and_changes_nothing() {
    let mut hub = linked(UNLIMITED, ENDLESS);
    // Neither does it make a channel.
    for seq in [0, 1, 100] {
        let refused = try_append(&mut hub, b'e', seq, "a", 8);
        assert_eq!(refused, Err(PublishError::NotNewer));
        assert_eq!(hub.held("a"), None);
    }
    append(&mut hub, &[101, 105]);
    for (letter, seq) in [(b'e', 105), (b'e', 104), (b'e', 1), (b'f', 0)] {
        let refused = try_append(&mut hub, letter, seq, "a", 8);
        assert_eq!(refused, Err(PublishError::NotNewer));
    }
    assert_eq!(hub.held("a"), Some(101..106));
    let word = Word {
        channel: "a",
        len: 8,
    };
    let refused = hub.publish("a", &word, &mut (), 0);
    assert_eq!(refused, Err(PublishError::BrokerNumbers));
    assert_eq!(held(&mut hub, "a"), "a101 a105");
}

#[test]
fn since_goes_on_after_its_number_wherever_that_lies() {
    let mut hub = linked(UNLIMITED, holding(3));
    append(&mut hub, &[103, 107, 111, 120, 130]);
    trim(&mut hub, 0);
    assert_eq!(hub.held("a"), Some(111..131));
    let all = "a111 a120 a130";
    let cases = [
        // Numbers of messages held, between two of them, and the newest.
        (b'e', 111, Some(true), None, "a120 a130"),
        (b'e', 119, Some(true), None, "a120 a130"),
        (b'e', 120, Some(true), None, "a130"),
        (b'e', 130, Some(true), None, ""),
        // After the last that is gone, and that one.
        (b'e', 110, Some(true), None, all),
        (b'e', 107, Some(true), None, all),
        // Some are gone.
        (
            b'e',
            106,
            Some(false),
            Some((107, 107, Reason::Expired)),
            all,
        ),
        (
            b'e',
            101,
            Some(false),
            Some((102, 107, Reason::Expired)),
            all,
        ),
        // Before the channel began, here.
        (b'e', 40, Some(false), Some((41, 107, Reason::Expired)), all),
        // Beyond the newest, and from elsewhere.
        (b'e', 131, Some(false), Some((0, 107, Reason::Epoch)), all),
        (b'f', 111, Some(false), Some((0, 107, Reason::Epoch)), all),
    ];
    for (letter, seq, recovered, gap, words) in cases {
        let subscribed = come_back(&mut hub, letter, seq, 0);
        assert_eq!(told(&subscribed), (130, recovered, gap), "since {seq}");
        assert_eq!(visit(&mut hub, id(0)), words, "since {seq}");
    }
}

#[test]
fn a_channel_that_holds_nothing_says_after_which_number_the_next_comes() {
    let mut hub = linked(UNLIMITED, ENDLESS);
    hub.attach(id(0), Slot::BASE);
    let first = hub
        .subscribe(id(0), "a", Start::Last(9), 0)
        .expect("nothing forbids it");
    assert_eq!(told(&first), (100, None, None));
    assert_eq!(hub.held("a"), Some(101..101));
    hub.detach(id(0));
    append(&mut hub, &[150]);
    let again = come_back(&mut hub, b'e', 100, 0);
    assert_eq!(told(&again), (150, Some(true), None));
    assert_eq!(visit(&mut hub, id(0)), "a150");
}

#[test]
fn a_lapped_subscriber_is_told_the_numbers_that_it_missed() {
    for (on_lag, to, words) in [
        (OnLag::Skip, 120, "a130 a140"),
        (OnLag::Latest, 130, "a140"),
    ] {
        let policy = Policy {
            on_lag,
            ..holding(2)
        };
        let mut hub = linked(UNLIMITED, policy);
        for i in 0..4 {
            join(&mut hub, id(i), "a");
        }
        append(&mut hub, &[101, 105]);
        // The first has had both, the second one of them, the third part of it, and the fourth nothing.
        assert_eq!(visit(&mut hub, id(0)), "a101 a105");
        hub.set_blocked(id(0), true);
        for (i, room) in [(1, 8), (2, 3), (3, 0)] {
            cut_short(&mut hub, id(i), room);
        }
        // The tail passes them one after the other.
        for seq in [110, 120, 130, 140] {
            append(&mut hub, &[seq]);
            sweep(&mut hub);
            trim(&mut hub, 0);
        }
        for (i, from) in [(0, 110), (1, 105), (2, 105), (3, 101)] {
            hub.set_blocked(id(i), false);
            assert_eq!(gaps(&mut hub, i), [(from, to, Reason::Slow)]);
            assert_eq!(visit(&mut hub, id(i)), words);
            assert_eq!(gaps(&mut hub, i), []);
        }
    }
}

#[test]
fn a_subscriber_lapped_twice_is_told_each_time_and_after_it_came_back_nothing_of_before() {
    let mut hub = linked(UNLIMITED, holding(1));
    join(&mut hub, id(0), "a");
    let mut seq = 100;
    let mut lap = |hub: &mut Hub| {
        hub.set_blocked(id(0), true);
        for _ in 0..3 {
            seq += 5;
            append(hub, &[seq]);
        }
        sweep(hub);
        trim(hub, 0);
        hub.set_blocked(id(0), false);
        seq
    };
    assert_eq!(lap(&mut hub), 115);
    assert_eq!(gaps(&mut hub, 0), [(105, 110, Reason::Slow)]);
    // It did not get to the head in between.
    assert_eq!(lap(&mut hub), 130);
    assert_eq!(gaps(&mut hub, 0), [(115, 125, Reason::Slow)]);
    assert_eq!(visit(&mut hub, id(0)), "a130");
    lap(&mut hub);
    hub.unsubscribe(id(0), "a").expect("it is subscribed");
    subscribe(&mut hub, id(0), "a");
    lap(&mut hub);
    assert_eq!(gaps(&mut hub, 0), [(150, 155, Reason::Slow)]);
}

#[test]
fn another_epoch_takes_the_messages_with_it_and_everybody_is_told() {
    for on_lag in [OnLag::Skip, OnLag::Latest, OnLag::Close] {
        let policy = Policy { on_lag, ..ENDLESS };
        let mut hub = linked(UNLIMITED, policy);
        // At the head, behind, blocked, and with history to read.
        for (i, slot) in [(0, Slot::BASE), (1, CAPITALS), (2, QUOTED), (3, Slot::BASE)] {
            hub.attach(id(i), slot);
        }
        (0..3).for_each(|i| subscribe(&mut hub, id(i), "a"));
        append(&mut hub, &[101, 102]);
        visit(&mut hub, id(0));
        hub.set_blocked(id(2), true);
        hub.subscribe(id(3), "a", Start::Last(2), 0)
            .expect("nothing forbids it");
        assert_eq!(try_append(&mut hub, b'f', 7, "a", 8), Ok(7));
        assert_eq!(hub.held("a"), Some(7..8));
        let mut named = Vec::new();
        while let Some(subscriber) = hub.next_behind() {
            named.push(subscriber.0);
            let mut slices = Slices::new();
            assert!(hub.gather(subscriber, &mut slices).lapped && slices.is_empty());
            assert_eq!(gaps(&mut hub, subscriber.0), [(0, 6, Reason::Epoch)]);
            assert_eq!(visit(&mut hub, subscriber).to_lowercase(), "a7");
        }
        named.sort_unstable();
        assert_eq!(named, [0, 1, 3]);
        hub.set_blocked(id(2), false);
        assert_eq!(gaps(&mut hub, 2), [(0, 6, Reason::Epoch)]);
        assert_eq!(visit(&mut hub, id(2)), "<a7>");
        // From there on everything goes as before.
        trim(&mut hub, 0);
        assert_eq!(try_append(&mut hub, b'f', 9, "a", 8), Ok(9));
        assert_eq!(sweep(&mut hub).len(), 4);
    }
}

#[test]
fn a_channel_that_the_hub_numbered_goes_over_to_a_broker_with_a_gap() {
    let mut hub = hub(UNLIMITED, ENDLESS);
    join(&mut hub, id(0), "a");
    publish(&mut hub, "a", 2);
    assert_eq!(visit(&mut hub, id(0)), "a1 a2");
    assert_eq!(try_append(&mut hub, b'e', 1, "a", 8), Ok(1));
    assert_eq!(gaps(&mut hub, 0), [(0, 0, Reason::Epoch)]);
    assert_eq!(visit(&mut hub, id(0)), "a1");
}

#[test]
fn nobody_is_lapped_in_an_epoch_that_began_before_the_visit_was_over() {
    let mut hub = linked(UNLIMITED, holding(1));
    for i in 0..3 {
        join(&mut hub, id(i), "a");
    }
    append(&mut hub, &[101]);
    assert_eq!(hub.next_behind(), Some(id(0)));
    assert_eq!(visit(&mut hub, id(0)), "a101");
    for seq in [5, 6, 7] {
        try_append(&mut hub, b'f', seq, "a", 8).expect("there is room");
        trim(&mut hub, 0);
    }
    for _ in 0..3 {
        let subscriber = hub.next_behind().expect("all are behind");
        assert_eq!(gaps(&mut hub, subscriber.0), [(0, 4, Reason::Epoch)]);
        assert_eq!(visit(&mut hub, subscriber), "a5 a6 a7");
    }
    assert_eq!(hub.next_behind(), None);
    assert_eq!(trim(&mut hub, 0), 1);
    assert_eq!(hub.held("a"), Some(7..8));
}

#[test]
fn a_message_that_is_refused_begins_no_epoch() {
    let config = HubConfig {
        retain_total: Limit::of(10_000),
        ..UNLIMITED
    };
    let mut hub = linked(config, ENDLESS);
    append(&mut hub, &[101]);
    let refused = try_append(&mut hub, b'f', 1, "a", 20_000);
    assert_eq!(refused, Err(PublishError::RetainTotal));
    assert_eq!(held(&mut hub, "a"), "a101");
}

#[test]
fn the_numbers_count_in_what_the_logs_take_and_go_with_their_messages() {
    let config = HubConfig {
        retain_total: Limit::of(20_000),
        ..UNLIMITED
    };
    let mut hub = linked(config, ENDLESS);
    join(&mut hub, id(0), "a");
    for seq in 0..5_000 {
        append(&mut hub, &[seq * 3 + 101]);
        if seq % 100 == 0 {
            sweep(&mut hub);
            trim(&mut hub, 0);
            assert!(hub.stats().allocated <= 20_000);
        }
    }
    sweep(&mut hub);
    trim(&mut hub, 0);
    let stats = hub.stats();
    // Each has 8 bytes of frame, 8 of index and 8 of number.
    assert!(
        stats.messages > 300 && stats.messages * 24 <= stats.allocated as u64,
        "{stats:?}"
    );
}

#[test]
fn a_channel_that_was_forgotten_begins_after_what_the_broker_has_come_to() {
    let config = HubConfig {
        linger_ms: 0,
        ..UNLIMITED
    };
    let policy = Policy {
        retain_ms: Limit::of(10),
        ..ENDLESS
    };
    let mut hub = linked(config, policy);
    append(&mut hub, &[90 + 11, 102]);
    hub.handle_timeout(10);
    assert_eq!(hub.held("a"), None);
    let again = come_back(&mut hub, b'e', 90, 10);
    assert_eq!(
        told(&again),
        (100, Some(false), Some((91, 100, Reason::Expired)))
    );
}

#[test]
fn a_visit_cut_before_the_word_of_another_epoch_loses_nothing_of_that_epoch() {
    let mut hub = linked(UNLIMITED, holding(1));
    publish(&mut hub, "$b", 1);
    hub.attach(id(0), QUOTED);
    subscribe(&mut hub, id(0), "a");
    append(&mut hub, &[101]);
    assert_eq!(sweep(&mut hub), [(0, "<a101>".into())]);
    trim(&mut hub, 0);
    assert_eq!(try_append(&mut hub, b'f', 5, "a", 8), Ok(5));
    hub.attach(id(1), Slot::BASE);
    for i in [1, 0] {
        hub.subscribe(id(i), "$b", Start::Last(1), 0)
            .expect("nothing forbids it");
    }
    // The walk over channel `a` names it, before those who are owed a visit.
    assert_eq!(hub.next_behind(), Some(id(0)));
    // What it reads of the one channel has to be rendered, and the visit ends before it comes to the other.
    let mut slices = Slices::new();
    assert!(hub.gather(id(0), &mut slices).unrendered);
    assert!(hub.advance(id(0), 0).more);
    // That channel's circle ends.
    assert_eq!(hub.next_behind(), Some(id(1)));
    for seq in [6, 7] {
        try_append(&mut hub, b'f', seq, "a", 8).expect("there is room");
        trim(&mut hub, 0);
    }
    assert_eq!(gaps(&mut hub, 0), [(0, 4, Reason::Epoch)]);
    hub.unsubscribe(id(0), "$b").expect("it is subscribed");
    assert_eq!(visit(&mut hub, id(0)), "<a5> <a6> <a7>");
}
