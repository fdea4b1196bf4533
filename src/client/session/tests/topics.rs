//! Patterns, and payloads that are no JSON.

use super::*;

const FEATURES: &str = r#"["patterns","encoding","key"]"#;

fn connected() -> Test {
    let mut test = Test::connected();
    test.session.lost(None);
    test.welcome_with(FEATURES);
    test
}

fn pattern_message(seq: u64, channel: &str, channel_seq: u64) -> String {
    format!(
        r#"{{"type":"message","pattern":"p.*","seq":{seq},"channel":"{channel}","channel_seq":{channel_seq},"data":1}}"#
    )
}

#[test]
fn a_pattern_is_followed_by_its_own_numbers() {
    let mut test = connected();
    assert_eq!(
        test.subscribe(Topic::pattern("p.*"), Start::Last(2)),
        r#"{"type":"subscribe","id":0,"pattern":"p.*","last":2}"#
    );
    test.hear(r#"{"type":"subscribed","id":0,"pattern":"p.*","epoch":"e","seq":41}"#);
    test.hear(&pattern_message(41, "p.oak", 7));
    test.hear(&pattern_message(42, "p.ash", 900));
    test.hear(r#"{"type":"gap","pattern":"p.*","epoch":"e","from":43,"to":44,"reason":"slow"}"#);
    assert_eq!(
        test.told(),
        [
            "p.* subscribed e:41 None",
            "p.* 41 is p.oak 7 1",
            "p.* 42 is p.ash 900 1",
            "p.* gap e 43-44 slow",
        ]
    );
    let position = test.session.position(Topic::pattern("p.*"));
    assert_eq!(position.expect("it was made").to_string(), "e:44");
    test.session.lost(None);
    test.welcome_with(FEATURES);
    test.session.ask(&mut test.texts, Instant::now());
    assert_eq!(
        test.sent(),
        [r#"{"type":"subscribe","id":1,"pattern":"p.*","since":{"epoch":"e","seq":44}}"#]
    );
}

#[test]
fn a_pattern_ends_as_a_channel_does() {
    let mut test = connected();
    for (id, said) in [
        (0, r#"{"type":"unsubscribed","id":1,"pattern":"p.*"}"#),
        (
            2,
            r#"{"type":"unsubscribed","pattern":"p.*","reason":"forbidden"}"#,
        ),
        (
            4,
            r#"{"type":"error","id":4,"pattern":"p.*","code":"bad_pattern","message":"no"}"#,
        ),
    ] {
        let topic = Topic::pattern("p.*");
        test.subscribe(topic, Start::Live);
        if id != 4 {
            test.hear(&format!(
                r#"{{"type":"subscribed","id":{id},"pattern":"p.*","epoch":"e","seq":1}}"#
            ));
        }
        if id == 0 {
            test.session.unsubscribe(topic, &mut test.texts).unwrap();
            assert_eq!(
                test.sent(),
                [r#"{"type":"unsubscribe","id":1,"pattern":"p.*"}"#]
            );
        } else {
            // A publication takes the id between.
            test.publish(9);
        }
        test.hear(said);
        test.sent();
    }
    let told = test.told();
    let ends = ["unsubscribed", r#"ended: Some("forbidden")"#];
    let refused = "p.* refused bad_pattern: no";
    assert_eq!(told[1], format!("p.* {}", ends[0]));
    assert_eq!(told[3], format!("p.* {}", ends[1]));
    assert!(told.contains(&refused.to_owned()), "{told:?}");
}

#[test]
fn a_channel_and_a_pattern_of_one_text_are_two_subscriptions() {
    let mut test = connected();
    test.subscribe("c", Start::Live);
    test.subscribe(Topic::pattern("c"), Start::Live);
    test.hear(r#"{"type":"subscribed","id":1,"pattern":"c","epoch":"f","seq":9}"#);
    test.hear(r#"{"type":"subscribed","id":0,"channel":"c","epoch":"e","seq":4}"#);
    test.hear(
        r#"{"type":"message","pattern":"c","seq":10,"channel":"c","channel_seq":5,"data":1}"#,
    );
    test.hear(r#"{"type":"message","channel":"c","seq":5,"data":1}"#);
    let position = |topic: Topic<'_>| test.session.position(topic).expect("one").to_string();
    assert_eq!(position("c".into()), "e:5");
    assert_eq!(position(Topic::pattern("c")), "f:10");
    assert_eq!(test.told()[2..], ["c 10 is c 5 1", "c 5 1"]);
}

#[test]
fn what_is_no_pattern_of_parts_is_not_asked_for() {
    let mut test = connected();
    for topic in [
        Topic::pattern("p.*x"),
        Topic::pattern(""),
        Topic::Pattern(Matcher::Prefix, "p"),
    ] {
        let refused = test.session.subscribe(topic, Start::Live);
        assert!(matches!(refused, Err(Invalid::Pattern(_))), "{topic:?}");
    }
    assert!(!test.session.has_unasked());
}

#[test]
fn a_server_without_patterns_is_not_asked_for_one() {
    let mut test = Test::connected();
    let topic = Topic::pattern("p.*");
    let refused = test.session.subscribe(topic, Start::Live);
    assert_eq!(refused, Err(Invalid::Unsupported(Feature::Patterns)));

    let mut test = connected();
    test.subscribe(topic, Start::Live);
    test.subscribe("c", Start::Live);
    assert_eq!(
        test.come_back(),
        [r#"{"type":"subscribe","id":2,"channel":"c"}"#],
        "an older server came back"
    );
    let told = test.told();
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("p.* refused unsupported: "), "{told:?}");
    assert_eq!(test.come_back().len(), 1, "it is gone");
}

#[test]
fn a_server_without_encodings_and_keys_is_not_sent_any() {
    let mut test = Test::connected();
    let has = |test: &Test| {
        [Feature::Encoding, Feature::Key, Feature::Patterns]
            .map(|feature| test.session.features().has(feature))
    };
    assert_eq!(has(&test), [false; 3]);
    test.session.lost(None);
    test.welcome_with(r#"["key","new"]"#);
    assert_eq!(has(&test), [false, true, false]);
}

#[test]
fn payloads_are_told_as_what_they_are() {
    use crate::client::payload::Payload;
    let mut test = connected();
    test.subscribe("c", Start::Live);
    test.hear(r#"{"type":"subscribed","id":0,"channel":"c","epoch":"e","seq":0}"#);
    test.told();
    for (seq, said, payload) in [
        (1, r#""data":"a""#, Payload::Json("\"a\"".into())),
        (
            2,
            r#""encoding":"text","data":"a\n""#,
            Payload::Text("a\n".into()),
        ),
        (
            3,
            r#""encoding":"base64","data":"AAE=""#,
            Payload::Bytes(vec![0, 1]),
        ),
        (
            4,
            r#""encoding":"text","data":"""#,
            Payload::Text("".into()),
        ),
    ] {
        test.hear(&format!(
            r#"{{"type":"message","channel":"c","seq":{seq},{said}}}"#
        ));
        match test.session.next_told() {
            Some(Told::Event(Event::Message { data, .. })) => assert_eq!(data, payload),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_payload_that_is_not_what_its_encoding_wants_ends_the_connection() {
    for data in [r#""A""#, r#""AAE""#, r#""AA E=""#, r#""\u0041\n==""#] {
        let mut test = connected();
        test.subscribe("c", Start::Live);
        test.hear(r#"{"type":"subscribed","id":0,"channel":"c","epoch":"e","seq":0}"#);
        let said = format!(
            r#"{{"type":"message","channel":"c","seq":1,"encoding":"base64","data":{data}}}"#
        );
        let cause = test.try_hear(&said).expect_err(data);
        assert!(!cause.comes_back());
        assert_eq!(
            cause.to_string(),
            "the server sent a message without a good `data`"
        );
    }
}

#[test]
fn a_message_that_its_pattern_does_not_match_ends_the_connection() {
    for channel in ["q.oak", "p", "p.oak.x", "p.\u{7}", "p.o/k"] {
        let mut test = connected();
        test.subscribe(Topic::pattern("p.*"), Start::Live);
        test.hear(r#"{"type":"subscribed","id":0,"pattern":"p.*","epoch":"e","seq":0}"#);
        let cause = test.try_hear(&pattern_message(1, channel, 1));
        assert!(matches!(cause, Err(Cause::Protocol(_))), "{channel:?}");
    }
}
