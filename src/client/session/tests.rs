//! The session by itself: what the server says goes in as text, what the program hears comes out.

mod odd_servers;
mod repeats;
mod topics;

use std::time::Duration;

use super::*;
use crate::client::error::Cause;
use crate::dialect::json::EventDecoder;

/// A session and what it would have sent.
struct Test {
    session: Session,
    texts: Texts,
    decoder: EventDecoder,
}

impl Test {
    /// On a connection whose welcome has come.
    fn connected() -> Self {
        let mut test = Self {
            session: Session::default(),
            texts: Texts::default(),
            decoder: EventDecoder::new(),
        };
        test.welcome();
        test
    }

    fn welcome(&mut self) {
        self.welcome_with("[]");
    }

    /// By a server that has these features.
    fn welcome_with(&mut self, features: &str) {
        self.welcome_to(features, 200);
    }

    /// By one that takes requests of so many bytes.
    fn welcome_to(&mut self, features: &str, max_message: usize) {
        self.hear(&format!(
            r#"{{"type":"welcome","protocol":"json.fanfare.v1","server":"t","session":"s","max_message":{max_message},"features":{features}}}"#
        ));
    }

    fn try_hear(&mut self, text: &str) -> Result<(), Cause> {
        let mut bytes = text.as_bytes().to_vec();
        let event = self.decoder.decode(&mut bytes).expect("an event");
        self.session.take(event)
    }

    fn hear(&mut self, text: &str) {
        self.try_hear(text)
            .expect("nothing to end the connection for");
    }

    /// What was to be sent since the last look.
    fn sent(&mut self) -> Vec<String> {
        let texts = std::mem::take(&mut self.texts);
        let starts = std::iter::once(0).chain(texts.ends.iter().copied());
        starts
            .zip(&texts.ends)
            .map(|(start, &end)| String::from_utf8(texts.bytes[start..end].to_vec()).unwrap())
            .collect()
    }

    /// What was told since the last look, a line each.
    fn told(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.session.next_told())
            .map(|told| match told {
                Told::Event(event) => show(&event),
                Told::Answer(call, answer) => format!("call {call}: {answer:?}"),
            })
            .collect()
    }

    fn subscribe<'t>(&mut self, topic: impl Into<Topic<'t>>, start: Start<'_>) -> String {
        self.session
            .subscribe(topic.into(), start)
            .expect("a topic");
        self.session.ask(&mut self.texts, Instant::now());
        self.sent().concat()
    }

    /// Subscribes to `c000` and so on: more than are asked for at once.
    fn ask_for_many(&mut self, count: usize) {
        for number in 0..count {
            let channel = format!("c{number:03}");
            self.session
                .subscribe((&channel).into(), Start::Live)
                .expect("a channel");
        }
        assert!(!self.session.ask(&mut self.texts, Instant::now()));
    }

    /// The answers to those, each of which makes room for another request.
    fn hear_of_many(&mut self, count: usize) {
        for id in 0..count {
            self.hear(&format!(
                r#"{{"type":"subscribed","id":{id},"channel":"c{id:03}","epoch":"e","seq":0}}"#
            ));
            self.session.ask(&mut self.texts, Instant::now());
        }
    }

    fn publish(&mut self, tag: u64) -> u64 {
        let tag = Tag::Event(tag);
        self.session
            .publish("c", Data::json(b"1"), None, tag, &mut self.texts)
            .expect("it fits")
    }

    /// A lost connection and a new one; what is asked of it.
    fn come_back(&mut self) -> Vec<String> {
        self.session.lost(None);
        self.welcome();
        self.session.ask(&mut self.texts, Instant::now());
        self.sent()
    }
}

fn show(event: &Event) -> String {
    match event {
        Event::Message {
            channel,
            seq,
            data,
            pattern: None,
            ..
        } => format!("{channel} {seq} {data}"),
        Event::Message {
            channel,
            seq,
            data,
            pattern: Some(pattern),
            channel_seq,
        } => format!("{pattern} {seq} is {channel} {channel_seq} {data}"),
        Event::Gap {
            topic,
            epoch,
            from,
            to,
            reason,
        } => {
            format!("{topic} gap {epoch} {from}-{to} {reason}")
        }
        Event::Subscribed {
            topic,
            epoch,
            seq,
            recovered,
        } => {
            format!("{topic} subscribed {epoch}:{seq} {recovered:?}")
        }
        Event::SubscribeRefused { topic, refusal } => format!("{topic} refused {refusal}"),
        Event::SubscriptionEnded { topic, reason } => format!("{topic} ended: {reason:?}"),
        Event::Unsubscribed { topic } => format!("{topic} unsubscribed"),
        Event::Published {
            tag,
            epoch,
            seq,
            duplicate,
        } => {
            let again = if *duplicate { " before" } else { "" };
            format!("{tag} published {epoch}:{seq}{again}")
        }
        Event::BatchDone { tags, count } => format!("{tags:?} done, {count}"),
        Event::Refused { tag, refusal } => format!("{tag:?} refused {refusal}"),
        Event::Unknown { tags, count } => format!("{tags:?} unknown, {count}"),
        other => format!("{other:?}"),
    }
}

#[test]
fn a_subscription_is_asked_for_and_its_messages_are_told() {
    let mut test = Test::connected();
    assert_eq!(
        test.subscribe("c", Start::Live),
        r#"{"type":"subscribe","id":0,"channel":"c"}"#
    );
    test.hear(r#"{"type":"subscribed","id":0,"channel":"c","epoch":"e","seq":4}"#);
    test.hear(r#"{"type":"message","channel":"c","seq":5,"data":[1, 2]}"#);
    assert_eq!(test.told(), ["c subscribed e:4 None", "c 5 [1, 2]"]);
    let position = test.session.position("c".into()).unwrap();
    assert_eq!(position.to_string(), "e:5");
}

#[test]
fn after_a_loss_each_subscription_is_asked_for_from_where_it_is() {
    let mut test = Test::connected();
    test.subscribe("a", Start::Live);
    test.subscribe("b", Start::Last(2));
    test.hear(r#"{"type":"subscribed","id":0,"channel":"a","epoch":"e","seq":4}"#);
    test.hear(r#"{"type":"subscribed","id":1,"channel":"b","epoch":"f","seq":9}"#);
    test.hear(r#"{"type":"message","channel":"b","seq":8,"data":1}"#);
    test.told();
    assert_eq!(
        test.come_back(),
        [
            r#"{"type":"subscribe","id":2,"channel":"a","since":{"epoch":"e","seq":4}}"#,
            r#"{"type":"subscribe","id":3,"channel":"b","since":{"epoch":"f","seq":8}}"#,
        ]
    );
    test.hear(r#"{"type":"subscribed","id":2,"channel":"a","epoch":"e","seq":5,"recovered":true}"#);
    test.hear(r#"{"type":"message","channel":"a","seq":5,"data":1}"#);
    assert_eq!(
        test.told(),
        ["a 5 1"],
        "that it was resumed is not told again"
    );
}

#[test]
fn a_subscription_that_was_never_answered_is_asked_for_as_it_was() {
    let mut test = Test::connected();
    let since = Start::Since {
        epoch: "old",
        seq: 7,
    };
    test.subscribe("a", Start::Last(3));
    test.subscribe("b", since);
    assert_eq!(
        test.come_back(),
        [
            r#"{"type":"subscribe","id":2,"channel":"a","last":3}"#,
            r#"{"type":"subscribe","id":3,"channel":"b","since":{"epoch":"old","seq":7}}"#,
        ]
    );
}

#[test]
fn a_subscription_to_the_newest_that_got_none_goes_on_from_the_epochs_beginning() {
    let mut test = Test::connected();
    test.subscribe("c", Start::Last(3));
    test.hear(r#"{"type":"subscribed","id":0,"channel":"c","epoch":"e","seq":41}"#);
    let asked = test.come_back().concat();
    assert!(
        asked.contains(r#""since":{"epoch":"e","seq":0}"#),
        "{asked}"
    );
    test.hear(
        r#"{"type":"subscribed","id":1,"channel":"c","epoch":"e","seq":41,"recovered":true}"#,
    );
    test.hear(r#"{"type":"message","channel":"c","seq":39,"data":1}"#);
    assert_eq!(test.told(), ["c subscribed e:41 None", "c 39 1"]);
}

#[test]
fn fewer_of_the_newest_than_asked_for_are_no_gap() {
    let mut test = Test::connected();
    test.subscribe("c", Start::Last(10));
    test.hear(r#"{"type":"subscribed","id":0,"channel":"c","epoch":"e","seq":41}"#);
    test.hear(r#"{"type":"message","channel":"c","seq":40,"data":1}"#);
    test.hear(r#"{"type":"message","channel":"c","seq":41,"data":2}"#);
    assert_eq!(test.told()[1..], ["c 40 1", "c 41 2"]);
}

#[test]
fn a_gap_is_told_and_the_place_after_it_is_where_it_goes_on() {
    let mut test = Test::connected();
    test.subscribe("c", Start::Live);
    test.hear(r#"{"type":"subscribed","id":0,"channel":"c","epoch":"e","seq":4}"#);
    test.hear(r#"{"type":"gap","channel":"c","epoch":"e","from":5,"to":90,"reason":"slow"}"#);
    test.hear(r#"{"type":"message","channel":"c","seq":91,"data":1}"#);
    assert_eq!(test.told()[1..], ["c gap e 5-90 slow", "c 91 1"]);
}

#[test]
fn a_new_epoch_is_told_by_its_gap_and_resumed_in() {
    let mut test = Test::connected();
    test.subscribe("c", Start::Live);
    test.hear(r#"{"type":"subscribed","id":0,"channel":"c","epoch":"e","seq":4}"#);
    test.come_back();
    test.hear(
        r#"{"type":"subscribed","id":1,"channel":"c","epoch":"f","seq":3,"recovered":false}"#,
    );
    test.told();
    let asked = test.come_back().concat();
    assert!(
        asked.contains(r#""since":{"epoch":"e","seq":4}"#),
        "no gap was seen yet: {asked}"
    );
    test.hear(
        r#"{"type":"subscribed","id":2,"channel":"c","epoch":"f","seq":3,"recovered":false}"#,
    );
    test.hear(r#"{"type":"gap","channel":"c","epoch":"f","from":0,"to":1,"reason":"epoch"}"#);
    test.hear(r#"{"type":"message","channel":"c","seq":2,"data":1}"#);
    assert_eq!(test.told(), ["c gap f 0-1 epoch", "c 2 1"]);
    let asked = test.come_back().concat();
    assert!(
        asked.contains(r#""since":{"epoch":"f","seq":2}"#),
        "{asked}"
    );
}

#[test]
fn numbers_that_do_not_come_are_no_hole_and_a_repeat_is_not_told() {
    let mut test = Test::connected();
    test.subscribe("c", Start::Live);
    test.hear(r#"{"type":"subscribed","id":0,"channel":"c","epoch":"e","seq":4}"#);
    for seq in [5, 5, 4, 8] {
        test.hear(&format!(
            r#"{{"type":"message","channel":"c","seq":{seq},"data":{seq}}}"#
        ));
    }
    assert_eq!(test.told()[1..], ["c 5 5", "c 8 8"]);
}

#[test]
fn publishes_are_answered_by_their_tags_in_any_order() {
    let mut test = Test::connected();
    assert_eq!(
        (test.publish(70), test.publish(80), test.publish(90)),
        (0, 1, 2)
    );
    assert_eq!(test.session.waiting(), 3);
    test.hear(r#"{"type":"published","id":1,"channel":"c","epoch":"e","seq":1}"#);
    test.hear(r#"{"type":"error","id":0,"channel":"c","code":"forbidden","message":"no"}"#);
    test.hear(r#"{"type":"published","id":2,"channel":"c","epoch":"e","seq":2}"#);
    test.hear(r#"{"type":"published","id":2,"channel":"c","epoch":"e","seq":2}"#);
    test.hear(r#"{"type":"published","id":77,"channel":"c","epoch":"e","seq":2}"#);
    assert_eq!(
        test.told(),
        [
            "80 published e:1",
            "Some(70) refused forbidden: no",
            "90 published e:2"
        ]
    );
    assert_eq!(test.session.waiting(), 0);
}

#[test]
fn after_a_loss_what_was_sent_is_unknown_and_what_was_not_still_waits() {
    let mut test = Test::connected();
    for tag in 1..=3 {
        test.publish(tag);
    }
    test.session
        .publish("c", Data::json(b"1"), None, Tag::Call(9), &mut test.texts)
        .unwrap();
    let unsent = test.publish(4);
    test.hear(r#"{"type":"published","id":1,"channel":"c","epoch":"e","seq":1}"#);
    test.session.lost(Some(unsent));
    assert_eq!(
        test.told(),
        [
            "2 published e:1",
            "1..=1 unknown, 1",
            "3..=3 unknown, 1",
            "call 9: Unknown"
        ]
    );
    test.welcome();
    test.hear(&format!(
        r#"{{"type":"published","id":{unsent},"channel":"c","epoch":"e","seq":1}}"#
    ));
    assert_eq!(test.told(), ["4 published e:1"]);
}

#[test]
fn unknown_messages_in_a_row_are_told_as_one() {
    let mut test = Test::connected();
    for tag in [1, 2, 3, 7] {
        test.publish(tag);
    }
    test.session.lost(None);
    assert_eq!(test.told(), ["1..=3 unknown, 3", "7..=7 unknown, 1"]);
}

#[test]
fn a_batch_is_answered_as_one_and_lost_as_one() {
    let mut test = Test::connected();
    for round in 0..2 {
        for tag in 1..=3 {
            let texts = &mut test.texts;
            test.session
                .publish_in_batch("c", b"1", round * 10 + tag, texts)
                .unwrap();
        }
        test.session.end_batch(&mut test.texts);
    }
    let sent = test.sent();
    assert_eq!(sent[0], r#"{"type":"publish","channel":"c","data":1}"#);
    assert_eq!(sent[3], r#"{"type":"ping","id":0}"#);
    assert_eq!((sent.len(), test.session.waiting()), (8, 6));
    test.hear(r#"{"type":"error","channel":"c","code":"rate_limited","message":"slowly","retry_after_ms":5}"#);
    test.hear(r#"{"type":"pong","id":0}"#);
    test.session.lost(None);
    assert_eq!(
        test.told(),
        [
            "None refused rate_limited: slowly",
            "1..=3 done, 3",
            "11..=13 unknown, 3"
        ]
    );
}

#[test]
fn a_batch_that_was_not_sent_goes_on_after_a_loss() {
    let mut test = Test::connected();
    let unsent = test
        .session
        .publish_in_batch("c", b"1", 1, &mut test.texts)
        .unwrap();
    test.session.lost(Some(unsent));
    test.welcome();
    test.session
        .publish_in_batch("c", b"2", 2, &mut test.texts)
        .unwrap();
    test.session.end_batch(&mut test.texts);
    test.hear(r#"{"type":"pong","id":0}"#);
    assert_eq!(test.told(), ["1..=2 done, 2"]);
}

#[test]
fn what_is_published_by_itself_is_in_the_tags_of_no_batch() {
    let mut test = Test::connected();
    let in_batch = |test: &mut Test, tag| {
        let texts = &mut test.texts;
        let id = test.session.publish_in_batch("c", b"1", tag, texts);
        id.expect("it fits");
    };
    in_batch(&mut test, 1);
    test.publish(2);
    in_batch(&mut test, 3);
    test.session.end_batch(&mut test.texts);
    let sent = test.sent();
    assert_eq!(sent[1], r#"{"type":"ping","id":0}"#);
    assert_eq!(
        sent[2],
        r#"{"type":"publish","id":1,"channel":"c","data":1}"#
    );
    assert_eq!(sent[4], r#"{"type":"ping","id":2}"#);
    test.hear(r#"{"type":"pong","id":0}"#);
    test.hear(r#"{"type":"published","id":1,"channel":"c","epoch":"e","seq":2}"#);
    test.session.lost(None);
    assert_eq!(
        test.told(),
        ["1..=1 done, 1", "2 published e:2", "3..=3 unknown, 1"]
    );
}

#[test]
fn a_request_over_what_the_server_takes_is_not_made() {
    let mut test = Test::connected();
    let data = vec![b'1'; 200];
    let texts = &mut test.texts;
    let refused = test
        .session
        .publish("c", Data::json(&data), None, Tag::Event(1), texts);
    assert_eq!(refused, Err(Invalid::TooLong { len: 247, max: 200 }));
    assert!(test.sent().is_empty());
    assert_eq!(test.session.waiting(), 0);
}

#[test]
fn what_is_ended_is_not_asked_for_again() {
    let mut test = Test::connected();
    for channel in ["a", "b", "c"] {
        test.subscribe(channel, Start::Live);
    }
    test.session
        .unsubscribe("a".into(), &mut test.texts)
        .unwrap();
    test.session
        .unsubscribe("b".into(), &mut test.texts)
        .unwrap();
    test.sent();
    test.hear(r#"{"type":"unsubscribed","id":3,"channel":"a"}"#);
    assert_eq!(
        test.come_back(),
        [r#"{"type":"subscribe","id":5,"channel":"c"}"#],
        "the loss ended b"
    );
    assert_eq!(test.told(), ["a unsubscribed", "b unsubscribed"]);
}

#[test]
fn a_refused_subscription_is_gone() {
    let mut test = Test::connected();
    test.subscribe("c", Start::Live);
    test.hear(r#"{"type":"error","id":0,"channel":"c","code":"forbidden","message":"no"}"#);
    assert_eq!(test.told(), ["c refused forbidden: no"]);
    assert!(test.come_back().is_empty());
}

#[test]
fn a_subscription_that_the_server_has_no_time_to_resume_is_tried_again_later() {
    let mut test = Test::connected();
    test.subscribe("c", Start::Live);
    test.hear(r#"{"type":"subscribed","id":0,"channel":"c","epoch":"e","seq":4}"#);
    test.come_back();
    let cause = test
        .try_hear(
            r#"{"type":"error","id":1,"code":"rate_limited","message":"","retry_after_ms":70}"#,
        )
        .unwrap_err();
    assert!(cause.comes_back());
    let wait = cause.retry_after(std::time::SystemTime::UNIX_EPOCH);
    assert_eq!(wait, Some(Duration::from_millis(70)));
    assert_eq!(test.come_back().len(), 1);
}

#[test]
fn many_subscriptions_are_asked_for_a_few_at_a_time() {
    let mut test = Test::connected();
    test.ask_for_many(300);
    assert_eq!(test.sent().len(), ASKED_AT_ONCE);
    test.session.ask(&mut test.texts, Instant::now());
    assert!(test.sent().is_empty(), "none was answered");
    test.hear_of_many(300);
    assert_eq!(test.sent().len(), 300 - ASKED_AT_ONCE);
    assert!(!test.session.has_unasked());
}

#[test]
fn who_unsubscribes_before_the_server_was_asked_never_asks_it() {
    let mut test = Test::connected();
    test.ask_for_many(200);
    test.sent();
    test.session
        .unsubscribe("c199".into(), &mut test.texts)
        .expect("the name is good");
    assert!(test.sent().is_empty());
    assert_eq!(test.told(), ["c199 unsubscribed"]);
    test.hear_of_many(199);
    assert_eq!(test.sent().len(), 199 - ASKED_AT_ONCE);
    assert!(!test.session.has_unasked());
}

#[test]
fn a_channel_is_subscribed_to_once() {
    let mut test = Test::connected();
    test.subscribe("c", Start::Live);
    let again = test.session.subscribe("c".into(), Start::Last(1));
    assert_eq!(again, Err(Invalid::AlreadySubscribed));
    let bad = test.session.subscribe("no way".into(), Start::Live);
    assert!(matches!(bad, Err(Invalid::Channel(_))));
}

#[test]
fn a_goodbye_ends_the_connection_and_says_when_to_come_back() {
    let mut test = Test::connected();
    let cause = test
        .try_hear(r#"{"type":"goodbye","reason":"restart","reconnect_after_ms":1700}"#)
        .unwrap_err();
    assert!(cause.comes_back());
    let wait = cause.retry_after(std::time::SystemTime::UNIX_EPOCH);
    assert_eq!(wait, Some(Duration::from_millis(1700)));
}

#[test]
fn what_a_younger_server_says_is_passed_over() {
    let mut test = Test::connected();
    test.hear(r#"{"type":"fireworks","channel":"c"}"#);
    test.hear(r#"{"type":"message","channel":"never asked for","seq":1,"data":1}"#);
    assert!(test.told().is_empty());
}
