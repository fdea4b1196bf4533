//! Patterns, payloads and keys, with the daemon.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::thread;

use fanfare::client::{Event, Feature, Payload, Publication, Start, Topic};
use proptest::prelude::*;

use crate::common::Daemon;
use crate::common::fake::impatient;
use crate::common::relay::relay;
use crate::{connect, next};

#[test]
fn the_daemon_has_all_features() {
    let daemon = Daemon::start(&[]);
    let client = connect(&daemon);
    for feature in [Feature::Patterns, Feature::Encoding, Feature::Key] {
        assert!(client.has(feature), "{feature}");
    }
}

#[test]
fn a_pattern_brings_the_messages_of_its_channels_in_order_and_can_be_resumed() {
    let daemon = Daemon::start(&[]);
    let mut client = connect(&daemon);
    let topic = Topic::pattern("prices.*");
    client.subscribe(topic, Start::Live).unwrap();
    client.subscribe("prices.oak", Start::Live).unwrap();
    let names = ["prices.oak", "prices.ash", "prices.oak", "other.oak"];
    for (name, data) in names.iter().zip(["1", "2", "3", "4"]) {
        client.publish(name, data).unwrap();
    }
    let mut of_pattern = Vec::new();
    let mut of_channel = Vec::new();
    while of_pattern.len() + of_channel.len() < 5 {
        let Event::Message {
            channel,
            seq,
            data,
            pattern,
            channel_seq,
        } = next(&mut client)
        else {
            panic!("messages come");
        };
        match pattern {
            Some(_) => of_pattern.push((channel.to_string(), channel_seq, data.to_string())),
            None => of_channel.push((seq, data.to_string())),
        }
    }
    let message = |name: &str, seq, data: &str| (name.to_owned(), seq, data.to_owned());
    assert_eq!(
        of_pattern,
        [
            message("prices.oak", 1, "1"),
            message("prices.ash", 1, "2"),
            message("prices.oak", 2, "3")
        ]
    );
    assert_eq!(of_channel, [(1, "1".to_owned()), (2, "3".to_owned())]);

    let place = client.position(topic).unwrap();
    let mut later = connect(&daemon);
    client.publish("prices.elm", "5").unwrap();
    let since = Start::Since {
        epoch: &place.epoch,
        seq: place.seq,
    };
    let subscribed = later.subscribe(topic, since).unwrap();
    assert_eq!(subscribed.recovered, Some(true));
    let told = next(&mut later);
    assert!(
        matches!(&told, Event::Message { channel, .. } if **channel == *"prices.elm"),
        "{told:?}"
    );
    later.unsubscribe(topic).unwrap();
}

#[test]
fn a_key_publishes_once_on_its_channel() {
    let daemon = Daemon::start(&[]);
    let mut client = connect(&daemon);
    let keyed = |data: &'static str| Publication::json(data).with_key("k");
    let first = client.publish("c", keyed("1")).unwrap();
    let again = connect(&daemon).publish("c", keyed("2")).unwrap();
    assert!(!first.duplicate && again.duplicate);
    assert_eq!((&again.epoch, again.seq), (&first.epoch, first.seq));
    assert!(!client.publish("d", keyed("3")).unwrap().duplicate);
    assert_eq!(client.publish("c", "4").unwrap().seq, 2);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4, ..ProptestConfig::default() })]

    #[test]
    fn every_payload_comes_out_as_it_went_in(
        texts in proptest::collection::vec(any::<String>(), 0..30),
        all_bytes in proptest::collection::vec(any::<Vec<u8>>(), 0..30),
    ) {
        let daemon = Daemon::start(&[]);
        let mut client = connect(&daemon);
        client.subscribe("c", Start::Live).unwrap();
        client.subscribe(Topic::pattern(">"), Start::Live).unwrap();
        let texts = texts.into_iter().map(Payload::Text);
        let every_byte = Payload::Bytes((0..=255).collect());
        let every_character = Payload::Text((0..=0x11_000).filter_map(char::from_u32).step_by(7).collect());
        let empty = [Payload::Text(String::new()), Payload::Bytes(Vec::new())];
        let payloads = texts
            .chain(all_bytes.into_iter().map(Payload::Bytes))
            .chain([every_byte, every_character])
            .chain(empty);
        for payload in payloads {
            client.publish("c", &payload).unwrap();
            for _ in 0..2 {
                let Event::Message { data, .. } = next(&mut client) else {
                    panic!("a message comes");
                };
                prop_assert_eq!(&data, &payload);
            }
        }
    }
}

#[test]
fn white_space_around_json_is_all_that_does_not_come_out() {
    let daemon = Daemon::start(&[]);
    let mut client = connect(&daemon);
    client.subscribe("c", Start::Live).unwrap();
    for (published, data) in [(" [ 1,\n2 ]\t\n", "[ 1,\n2 ]"), ("0.10", "0.10")] {
        client.publish("c", published).unwrap();
        let told = next(&mut client);
        assert!(
            matches!(&told, Event::Message { data: told, .. } if told.as_json() == Some(data)),
            "{told:?}"
        );
    }
}

#[test]
fn a_connection_that_is_cut_ten_times_costs_no_publication_and_doubles_none() {
    const COUNT: u64 = 60_000;
    const CUTS: [u64; 10] = [
        90_001, 5, 412_345, 70_000, 1_000, 333_333, 260_017, 64, 500_000, 123_457,
    ];
    let daemon = Daemon::start(&["--retain-messages", "0", "--retain-bytes", "64MiB"]);
    let (url, cut) = relay(&daemon, &CUTS);
    let (mut requests, events) = impatient(&url).client().unwrap().split();
    let answers = thread::spawn(move || {
        let mut published = HashMap::new();
        for event in events {
            match event.expect("it ends well") {
                Event::Published { tag, seq, .. } => {
                    assert_eq!(published.insert(tag, seq), None, "{tag} is answered twice");
                }
                Event::Reconnecting { .. } | Event::Reconnected => {}
                other => panic!("{other:?}"),
            }
        }
        published
    });
    for n in 1..=COUNT {
        let publication = Publication::from(n.to_string()).with_key(format!("key {n}"));
        requests.publish("n", publication, n).unwrap();
    }
    requests.close().unwrap();
    let published = answers.join().unwrap();
    assert_eq!(cut.load(Ordering::Relaxed), CUTS.len() as u64);
    assert_eq!(published.len() as u64, COUNT);
    for (tag, seq) in published {
        assert_eq!(tag, seq, "each is there once, in order");
    }
    assert_eq!(connect(&daemon).publish("n", "0").unwrap().seq, COUNT + 1);
}
