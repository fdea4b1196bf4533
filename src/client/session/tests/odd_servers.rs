//! Servers that say what the protocol does not allow, or what a later one does.

use super::*;

/// What a connection is ended for.
fn broken(result: Result<(), Cause>) -> &'static str {
    match result {
        Err(Cause::Protocol(what)) => what,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_subscription_that_the_server_ends_is_told_with_its_reason_and_not_asked_for_again() {
    let mut test = Test::connected();
    test.subscribe("c", Start::Live);
    test.hear(r#"{"type":"subscribed","id":0,"channel":"c","epoch":"e","seq":4}"#);
    test.hear(r#"{"type":"unsubscribed","channel":"other","reason":"forbidden"}"#);
    test.hear(r#"{"type":"unsubscribed","channel":"c","reason":"forbidden"}"#);
    test.hear(r#"{"type":"unsubscribed","channel":"c","reason":"forbidden"}"#);
    test.hear(r#"{"type":"message","channel":"c","seq":5,"data":1}"#);
    assert_eq!(test.told()[1..], [r#"c ended: Some("forbidden")"#]);
    assert!(test.come_back().is_empty());
    test.subscribe("c", Start::Live);
}

#[test]
fn of_a_subscription_that_both_sides_end_only_what_was_asked_for_is_told() {
    let mut test = Test::connected();
    test.subscribe("c", Start::Live);
    test.hear(r#"{"type":"subscribed","id":0,"channel":"c","epoch":"e","seq":4}"#);
    test.session
        .unsubscribe("c".into(), &mut test.texts)
        .unwrap();
    test.session
        .unsubscribe("c".into(), &mut test.texts)
        .unwrap();
    assert_eq!(test.sent().len(), 1, "it is asked to end once");
    test.hear(r#"{"type":"unsubscribed","channel":"c"}"#);
    test.hear(r#"{"type":"error","id":1,"channel":"c","code":"not_subscribed","message":""}"#);
    assert_eq!(test.told()[1..], ["c unsubscribed"]);
}

#[test]
fn a_late_answer_about_an_earlier_subscription_does_not_touch_the_next_one() {
    let mut test = Test::connected();
    test.subscribe("c", Start::Live);
    test.session
        .unsubscribe("c".into(), &mut test.texts)
        .unwrap();
    test.hear(r#"{"type":"unsubscribed","id":1,"channel":"c"}"#);
    test.subscribe("c", Start::Live);
    test.hear(r#"{"type":"subscribed","id":0,"channel":"c","epoch":"e","seq":4}"#);
    test.hear(r#"{"type":"message","channel":"c","seq":5,"data":1}"#);
    assert_eq!(test.told(), ["c unsubscribed"]);
    test.hear(r#"{"type":"subscribed","id":2,"channel":"c","epoch":"e","seq":6}"#);
    test.hear(r#"{"type":"message","channel":"c","seq":7,"data":1}"#);
    assert_eq!(test.told(), ["c subscribed e:6 None", "c 7 1"]);
}

#[test]
fn a_subscribed_that_nobody_asked_for_moves_nothing() {
    let mut test = Test::connected();
    test.subscribe("c", Start::Live);
    test.hear(r#"{"type":"subscribed","id":0,"channel":"c","epoch":"e","seq":4}"#);
    test.hear(r#"{"type":"subscribed","id":0,"channel":"c","epoch":"e","seq":9}"#);
    test.hear(r#"{"type":"subscribed","channel":"c","epoch":"e","seq":9}"#);
    test.hear(r#"{"type":"message","channel":"c","seq":5,"data":1}"#);
    assert_eq!(test.told()[1..], ["c 5 1"]);
}

#[test]
fn what_the_protocol_does_not_allow_ends_the_connection() {
    let subscribed = r#"{"type":"subscribed","id":0,"channel":"c","epoch":"e","seq":4}"#;
    let epoch = "e".repeat(65);
    let long_epoch =
        format!(r#"{{"type":"published","id":9,"channel":"c","epoch":"{epoch}","seq":4}}"#);
    for (said, what) in [
        (
            r#"{"type":"gap","channel":"c","epoch":"e","from":9,"to":8,"reason":"slow"}"#,
            "a `gap` that ends before it begins",
        ),
        (
            r#"{"type":"gap","channel":"never asked for","epoch":"e","from":9,"to":8,"reason":"slow"}"#,
            "a `gap` that ends before it begins",
        ),
        (
            r#"{"type":"subscribed","id":1,"channel":"other","epoch":"e","seq":4}"#,
            "an answer that does not fit its request",
        ),
        (
            r#"{"type":"published","id":1,"channel":"d","epoch":"e","seq":4}"#,
            "an answer that does not fit its request",
        ),
        (
            r#"{"type":"unsubscribed","id":1,"channel":"d"}"#,
            "an answer that does not fit its request",
        ),
        (
            r#"{"type":"pong","id":1}"#,
            "an answer that does not fit its request",
        ),
        (
            r#"{"type":"subscribed","id":1,"channel":"d","epoch":"e","seq":4}"#,
            "a `subscribed` without `recovered`",
        ),
        (
            r#"{"type":"subscribed","id":1,"channel":"d","epoch":"e","seq":4,"recovered":true}"#,
            "a recovery of messages that it does not have",
        ),
        (&long_epoch, "an epoch of over 64 bytes"),
        (
            r#"{"type":"welcome","protocol":"json.fanfare.v1","server":"t","session":"s","max_message":200,"features":[]}"#,
            "a second `welcome`",
        ),
    ] {
        let mut test = Test::connected();
        test.subscribe("c", Start::Live);
        test.hear(subscribed);
        let since = Start::Since {
            epoch: "e",
            seq: 17,
        };
        test.subscribe("d", since);
        assert_eq!(broken(test.try_hear(said)), what, "{said}");
        // A request whose answer did not fit still waits, so its fate is told.
        assert_eq!(test.come_back().len(), 2, "{said}");
    }
}

#[test]
fn an_answer_of_the_wrong_kind_leaves_the_fate_of_a_publish_to_be_told() {
    let mut test = Test::connected();
    test.publish(7);
    let wrong = test.try_hear(r#"{"type":"pong","id":0}"#);
    broken(wrong);
    test.session.lost(None);
    assert_eq!(test.told(), ["7..=7 unknown, 1"]);
}

#[test]
fn nothing_but_a_welcome_to_this_protocol_begins_a_connection() {
    let mut test = Test::connected();
    test.session.lost(None);
    test.hear(r#"{"type":"fireworks"}"#);
    let error = r#"{"type":"error","code":"limit","message":"no"}"#;
    assert_eq!(
        broken(test.try_hear(error)),
        "something before its `welcome`"
    );
    let other = r#"{"type":"welcome","protocol":"json.other.v1","server":"t","session":"s","max_message":200,"features":[]}"#;
    assert_eq!(
        broken(test.try_hear(other)),
        "a `welcome` to another protocol"
    );
    assert!(test.told().is_empty());
}

#[test]
fn errors_that_answer_nothing_are_passed_over_and_long_ones_are_cut() {
    let mut test = Test::connected();
    let error = |id: &str| {
        let long = "é".repeat(2000);
        format!(r#"{{"type":"error"{id},"code":"{long}","message":"{long}"}}"#)
    };
    for id in ["", r#","id":7"#, r#","id":"x""#] {
        test.hear(&error(id));
    }
    assert!(test.told().is_empty());
    let texts = &mut test.texts;
    test.session
        .publish_in_batch("c", b"1", 1, texts)
        .expect("it fits");
    for _ in 0..3 {
        test.hear(&error(""));
    }
    let told = test.session.next_told();
    let Some(Told::Event(Event::Refused { refusal, .. })) = told else {
        panic!("{told:?}");
    };
    assert_eq!((refusal.code.len(), refusal.message.len()), (64, 1024));
    assert!(test.told().is_empty(), "one message has one refusal");
}

#[test]
fn a_gap_over_what_was_had_tells_only_what_was_not() {
    let mut test = Test::connected();
    test.subscribe("c", Start::Live);
    test.hear(r#"{"type":"subscribed","id":0,"channel":"c","epoch":"e","seq":4}"#);
    for (from, to) in [(1, 4), (3, 6), (9, 9)] {
        test.hear(&format!(
            r#"{{"type":"gap","channel":"c","epoch":"e","from":{from},"to":{to},"reason":"slow"}}"#
        ));
    }
    assert_eq!(test.told()[1..], ["c gap e 5-6 slow", "c gap e 9-9 slow"]);
}

#[test]
fn a_gap_that_should_have_come_first_is_told_without_the_server() {
    for (epoch, gap) in [
        ("e", "c gap e 5-7 unannounced"),
        ("f", "c gap f 0-7 unannounced"),
    ] {
        let mut test = Test::connected();
        test.subscribe("c", Start::Last(9));
        test.hear(r#"{"type":"subscribed","id":0,"channel":"c","epoch":"e","seq":4}"#);
        test.hear(r#"{"type":"message","channel":"c","seq":4,"data":1}"#);
        test.come_back();
        test.told();
        test.hear(&format!(
            r#"{{"type":"subscribed","id":1,"channel":"c","epoch":"{epoch}","seq":8,"recovered":false}}"#
        ));
        test.hear(r#"{"type":"message","channel":"c","seq":8,"data":1}"#);
        assert_eq!(test.told(), [gap, "c 8 1"]);
    }
}

#[test]
fn an_answer_that_is_left_out_does_not_let_requests_pile_up() {
    let mut test = Test::connected();
    test.publish(0);
    let mut published = 0;
    while test.session.has_room(10) {
        let id = test.publish(1);
        test.texts = Texts::default();
        test.hear(&format!(
            r#"{{"type":"published","id":{id},"channel":"c","epoch":"e","seq":1}}"#
        ));
        test.told();
        published += 1;
    }
    assert_eq!(published, SPAN - 1);
    assert!(test.session.is_owed_an_answer(None));
}
