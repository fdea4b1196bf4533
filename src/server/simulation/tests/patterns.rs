//! Subscriptions to patterns, and payloads that are not JSON.

use super::client::{Client, Said, Tongue, open, publish, subscribe};
use super::tickets::simulation as simulation_with_broker;
use super::*;

fn follow(pattern: &str) -> String {
    format!(r#"{{"type":"subscribe","id":1,"pattern":"{pattern}"}}"#)
}

/// Sends a message and says the texts that come back.
fn ask(client: &mut Client, simulation: &mut Simulation, text: &str) -> Vec<String> {
    client.say(simulation, text);
    client.hear_texts(simulation)
}

/// The members of the only answer.
fn answer(client: &mut Client, simulation: &mut Simulation, text: &str) -> serde_json::Value {
    let answers = ask(client, simulation, text);
    assert_eq!(answers.len(), 1, "{answers:?}");
    serde_json::from_str(&answers[0]).expect("JSON")
}

#[test]
fn a_pattern_is_subscribed_to_and_left_like_a_channel_compressed_or_not() {
    for tongue in [Tongue::Json, Tongue::Deflate] {
        let mut simulation = Simulation::new(Config::default());
        let publisher = open(&mut simulation, Tongue::Json);
        let mut reader = open(&mut simulation, tongue);
        let subscribed = answer(&mut reader, &mut simulation, &follow("prices.*"));
        assert_eq!(subscribed["type"], "subscribed");
        assert_eq!(
            (&subscribed["pattern"], &subscribed["seq"]),
            (&"prices.*".into(), &0.into())
        );
        assert!(subscribed.get("channel").is_none());
        for (channel, data) in [("prices.oak", "1"), ("news", "2"), ("prices.elm", "[3]")] {
            publisher.say(&mut simulation, &publish(None, channel, data));
        }
        let expected = [
            r#"{"type":"message","pattern":"prices.*","seq":1,"channel":"prices.oak","channel_seq":1,"data":1}"#,
            r#"{"type":"message","pattern":"prices.*","seq":2,"channel":"prices.elm","channel_seq":1,"data":[3]}"#,
        ];
        assert_eq!(reader.hear_texts(&mut simulation), expected);
        let again = answer(&mut reader, &mut simulation, &follow("prices.*"));
        assert_eq!(
            (&again["code"], &again["pattern"]),
            (&"already_subscribed".into(), &"prices.*".into())
        );
        let leave = r#"{"type":"unsubscribe","id":2,"pattern":"prices.*"}"#;
        let left = r#"{"type":"unsubscribed","id":2,"pattern":"prices.*"}"#;
        assert_eq!(ask(&mut reader, &mut simulation, leave), [left]);
        publisher.say(&mut simulation, &publish(None, "prices.oak", "4"));
        assert_eq!(reader.hear(&mut simulation), []);
        let not_there = answer(&mut reader, &mut simulation, leave);
        assert_eq!(
            (&not_there["code"], &not_there["pattern"]),
            (&"not_subscribed".into(), &"prices.*".into())
        );
        // What lingers is resumed.
        let epoch = &subscribed["epoch"];
        let resume = format!(
            r#"{{"type":"subscribe","pattern":"prices.*","since":{{"epoch":{epoch},"seq":2}}}}"#
        );
        let resumed = ask(&mut reader, &mut simulation, &resume);
        assert!(resumed[0].contains(r#""recovered":true"#), "{resumed:?}");
        assert!(
            resumed[1].contains(r#""channel_seq":2,"data":4}"#),
            "{resumed:?}"
        );
    }
}

#[test]
fn a_seventeenth_pattern_of_one_connection_is_refused_and_so_is_one_over_max_patterns() {
    let mut simulation = Simulation::new(Config {
        max_patterns: Limit::of(17),
        ..Config::default()
    });
    let mut greedy = open(&mut simulation, Tongue::Json);
    for i in 0..16 {
        let subscribed = answer(&mut greedy, &mut simulation, &follow(&format!("{i}.>")));
        assert_eq!(subscribed["type"], "subscribed");
    }
    let refused = answer(&mut greedy, &mut simulation, &follow("x.>"));
    assert_eq!(
        (&refused["code"], &refused["pattern"]),
        (&"limit".into(), &"x.>".into())
    );
    assert!(
        refused["message"]
            .as_str()
            .expect("text")
            .contains("16 patterns"),
        "{refused}"
    );
    let mut other = open(&mut simulation, Tongue::Json);
    // One that is there already is no new one.
    assert_eq!(
        answer(&mut other, &mut simulation, &follow("3.>"))["type"],
        "subscribed"
    );
    assert_eq!(
        answer(&mut other, &mut simulation, &follow("x.>"))["type"],
        "subscribed"
    );
    let refused = answer(&mut other, &mut simulation, &follow("y.>"));
    assert!(
        refused["message"]
            .as_str()
            .expect("text")
            .contains("--max-patterns allows, 17"),
        "{refused}"
    );
    // Those of a client that is gone make room.
    greedy.close(&mut simulation);
    greedy.hear(&mut simulation);
    assert_eq!(
        answer(&mut other, &mut simulation, &follow("y.>"))["type"],
        "subscribed"
    );
}

#[test]
fn a_pattern_that_is_none_or_is_the_daemons_own_is_refused_with_bad_pattern() {
    let mut simulation = Simulation::new(Config::default());
    let mut client = open(&mut simulation, Tongue::Json);
    for bad in ["", "a.>.b", "a*", "a..b", "$sys.>", "$"] {
        let refused = answer(&mut client, &mut simulation, &follow(bad));
        assert_eq!(refused["code"], "bad_pattern", "{bad}");
        assert!(refused.get("pattern").is_none());
    }
}

#[test]
fn a_dialect_with_a_slot_of_its_own_gets_a_patterns_messages_in_its_own_words() {
    let mut simulation = Simulation::new(Config::default());
    let publisher = open(&mut simulation, Tongue::Json);
    let mut lines = open(&mut simulation, Tongue::Lines);
    assert_eq!(ask(&mut lines, &mut simulation, "prefix pri"), ["ok"]);
    publisher.say(&mut simulation, &publish(None, "prices", "[1]"));
    let heard = lines.hear_texts(&mut simulation);
    let words: Vec<_> = heard[0].split(' ').collect();
    assert_eq!(
        [words[0], words[2], words[3], words[4], words[5]],
        ["pri", "1", "prices", "1", "[1]"]
    );
}

#[test]
fn with_a_broker_a_patterns_messages_have_the_brokers_numbers() {
    let mut simulation = simulation_with_broker(Config::default());
    let mut client = open(&mut simulation, Tongue::Json);
    ask(&mut client, &mut simulation, &follow("*"));
    for channel in ["a", "b.c", "b"] {
        client.say(&mut simulation, &publish(None, channel, "0"));
    }
    simulation.settle();
    simulation.service().deliver(3);
    let expected = [("a", 1), ("b", 3)].map(|(channel, seq)| {
        format!(
            r#"{{"type":"message","pattern":"*","seq":{seq},"channel":"{channel}","channel_seq":{seq},"data":0}}"#
        )
    });
    assert_eq!(client.hear_texts(&mut simulation), expected);
}

#[test]
fn what_is_published_as_text_or_base64_arrives_so_in_channels_and_in_patterns() {
    for tongue in [Tongue::Json, Tongue::Deflate] {
        let mut simulation = Simulation::new(Config::default());
        let mut client = open(&mut simulation, tongue);
        ask(&mut client, &mut simulation, &subscribe("a"));
        ask(&mut client, &mut simulation, &follow("*"));
        for (encoding, data) in [("text", r#""x\n""#), ("base64", r#""AP8=""#)] {
            let request = format!(
                r#"{{"type":"publish","channel":"a","encoding":"{encoding}","data":{data}}}"#
            );
            client.say(&mut simulation, &request);
            let heard: Vec<_> = client.hear(&mut simulation);
            let end = format!(r#","encoding":"{encoding}","data":{data}}}"#);
            assert_eq!(heard.len(), 2);
            for said in heard {
                let Said::Text(text) = said else {
                    panic!("{said:?}");
                };
                assert!(text.ends_with(&end), "{text}");
            }
        }
    }
}

#[test]
fn a_lagging_reader_of_a_pattern_is_told_a_gap_with_the_pattern_and_its_publisher_never_waits() {
    let mut simulation = Simulation::new(with_window(2_000));
    let publisher = open(&mut simulation, Tongue::Json);
    let peer = simulation.connect_with(1_000);
    let mut reader = Client::open_on(&mut simulation, peer, Tongue::Json);
    reader.hear(&mut simulation);
    ask(&mut reader, &mut simulation, &follow("*"));
    // Much more than the pattern's log holds and the way to the reader has room for.
    let message = publish(None, "a", &format!("\"{}\"", "x".repeat(500)));
    for _ in 0..20 {
        publisher.say(&mut simulation, &message);
        simulation.settle();
    }
    assert!(simulation.service().congested.is_empty());
    let heard = reader.hear_texts(&mut simulation);
    let gap = heard.iter().find(|text| text.contains(r#""type":"gap""#));
    let gap = gap.expect("something is missing");
    assert!(
        gap.contains(r#""pattern":"*""#) && gap.contains(r#""reason":"slow""#),
        "{gap}"
    );
    let last = heard.last().expect("the newest");
    assert!(
        last.contains(r#""seq":20,"channel":"a","channel_seq":20"#),
        "{last}"
    );
}
