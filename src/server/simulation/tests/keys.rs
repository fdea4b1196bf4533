//! Publications that have a key.

use super::client::{Client, Tongue, open, subscribe};
use super::tickets::simulation as simulation_with_broker;
use super::*;

fn keyed(id: usize, channel: &str, key: &str, data: &str) -> String {
    format!(r#"{{"type":"publish","id":{id},"channel":"{channel}","key":"{key}","data":{data}}}"#)
}

/// The `type`, the `seq` and whether it was a duplicate, of each answer.
fn answers(client: &mut Client, simulation: &mut Simulation) -> Vec<(String, Option<u64>, bool)> {
    let texts = client.hear_texts(simulation).into_iter();
    let answers = texts.map(|text| {
        let event: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let kind = event["type"].as_str().expect("a type").to_owned();
        let duplicate = event.get("duplicate").is_some_and(|it| *it == true);
        (kind, event["seq"].as_u64(), duplicate)
    });
    answers.collect()
}

fn published(seq: u64, duplicate: bool) -> (String, Option<u64>, bool) {
    ("published".to_owned(), Some(seq), duplicate)
}

#[test]
fn the_same_key_publishes_once_and_gets_the_first_answer_whoever_repeats_it() {
    let mut simulation = Simulation::new(Config::default());
    let (mut one, mut other) = (
        open(&mut simulation, Tongue::Json),
        open(&mut simulation, Tongue::Json),
    );
    let mut reader = open(&mut simulation, Tongue::Json);
    reader.say(&mut simulation, &subscribe("a"));
    reader.hear(&mut simulation);
    one.say(&mut simulation, &keyed(1, "a", "k", "1"));
    assert_eq!(answers(&mut one, &mut simulation), [published(1, false)]);
    one.say(&mut simulation, &keyed(2, "a", "l", "2"));
    assert_eq!(answers(&mut one, &mut simulation), [published(2, false)]);
    one.close(&mut simulation);
    other.say(&mut simulation, &keyed(3, "a", "k", "\"another\""));
    assert_eq!(answers(&mut other, &mut simulation), [published(1, true)]);
    // The same key in another channel is another one.
    other.say(&mut simulation, &keyed(4, "b", "k", "3"));
    assert_eq!(answers(&mut other, &mut simulation), [published(1, false)]);
    let heard = reader.hear_texts(&mut simulation);
    let expected = [(1, 1), (2, 2)].map(|(seq, data)| {
        format!(r#"{{"type":"message","channel":"a","seq":{seq},"data":{data}}}"#)
    });
    assert_eq!(heard, expected);
}

#[test]
fn what_was_refused_is_tried_again_under_the_same_key() {
    let mut simulation = Simulation::new(Config {
        max_channels: Limit::of(1),
        ..Config::default()
    });
    let mut reader = open(&mut simulation, Tongue::Json);
    reader.say(&mut simulation, &subscribe("b"));
    reader.hear(&mut simulation);
    let mut client = open(&mut simulation, Tongue::Json);
    client.say(&mut simulation, &keyed(1, "a", "k", "1"));
    assert_eq!(answers(&mut client, &mut simulation)[0].0, "error");
    reader.close(&mut simulation);
    reader.hear(&mut simulation);
    client.say(&mut simulation, &keyed(2, "a", "k", "1"));
    assert_eq!(answers(&mut client, &mut simulation), [published(1, false)]);
}

#[test]
fn a_repeat_waits_for_the_first_while_that_is_pending_and_shares_its_outcome() {
    for is_lost in [false, true] {
        let mut simulation = simulation_with_broker(Config::default());
        let (mut one, mut other) = (
            open(&mut simulation, Tongue::Json),
            open(&mut simulation, Tongue::Json),
        );
        one.say(&mut simulation, &keyed(1, "a", "k", "1"));
        other.say(&mut simulation, &keyed(2, "a", "k", "1"));
        simulation.settle();
        assert_eq!(answers(&mut one, &mut simulation), []);
        assert_eq!(answers(&mut other, &mut simulation), []);
        if is_lost {
            simulation.service().lose_broker();
            for client in [&mut one, &mut other] {
                assert_eq!(answers(client, &mut simulation)[0].0, "error");
            }
            // Nothing is remembered of it.
            one.say(&mut simulation, &keyed(3, "a", "k", "1"));
            assert_eq!(answers(&mut one, &mut simulation)[0].0, "error");
        } else {
            simulation.service().deliver(1);
            assert_eq!(answers(&mut one, &mut simulation), [published(1, false)]);
            assert_eq!(answers(&mut other, &mut simulation), [published(1, true)]);
            one.say(&mut simulation, &keyed(3, "a", "k", "1"));
            assert_eq!(answers(&mut one, &mut simulation), [published(1, true)]);
        }
    }
}
