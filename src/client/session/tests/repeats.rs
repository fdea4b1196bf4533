//! Publications with keys: they are sent again, until their fate is known.

use super::*;

fn connected() -> Test {
    let mut test = Test::connected();
    test.come_back_with_keys();
    test
}

impl Test {
    /// A lost connection and a new one to a server that has keys; what is asked of it.
    fn come_back_with_keys(&mut self) -> Vec<String> {
        self.session.lost(None);
        self.welcome_with(r#"["key"]"#);
        self.session.ask(&mut self.texts, Instant::now());
        self.sent()
    }

    /// Publishes with a key; the request.
    fn publish_once(&mut self, tag: u64, data: &str) -> String {
        self.publish_data_once(tag, Data::json(data.as_bytes()))
    }

    fn publish_data_once(&mut self, tag: u64, data: Data<'_>) -> String {
        let key = format!("k{tag}");
        let tag = Tag::Event(tag);
        self.session
            .publish("c", data, Some(&key), tag, &mut self.texts)
            .expect("it fits");
        self.sent().concat()
    }

    fn hear_published(&mut self, id: u64, more: &str) {
        self.hear(&format!(
            r#"{{"type":"published","id":{id},"channel":"c","epoch":"e","seq":1{more}}}"#
        ));
    }
}

#[test]
fn what_has_a_key_is_sent_again_in_order_and_answered_once() {
    let mut test = connected();
    let first = test.publish_once(1, "1");
    assert_eq!(
        first,
        r#"{"type":"publish","id":0,"channel":"c","key":"k1","data":1}"#
    );
    test.publish(2);
    test.sent();
    let third = test.publish_once(3, "3");
    assert_eq!(test.come_back_with_keys(), [first.clone(), third.clone()]);
    assert_eq!(test.told(), ["2..=2 unknown, 1"]);
    test.hear_published(0, r#","duplicate":true"#);
    assert_eq!(test.come_back_with_keys(), [third]);
    test.hear_published(0, "");
    test.hear_published(2, "");
    test.hear_published(2, "");
    assert_eq!(test.told(), ["1 published e:1 before", "3 published e:1"]);
    assert!(test.come_back_with_keys().is_empty());
    assert!(!test.session.has_kept());
}

#[test]
fn what_was_not_sent_yet_is_not_sent_twice() {
    let mut test = connected();
    let first = test.publish_once(1, "1");
    test.publish_once(2, "2");
    // The second is still in the other half's hands.
    test.session.lost(Some(1));
    test.welcome_with(r#"["key"]"#);
    test.session.ask(&mut test.texts, Instant::now());
    assert_eq!(test.sent(), [first]);
    test.hear_published(0, "");
    test.hear_published(1, "");
    assert_eq!(test.told().len(), 2);
}

#[test]
fn a_server_that_knows_no_keys_is_sent_nothing_again() {
    let mut test = connected();
    test.publish_once(1, "1");
    test.publish_once(2, "2");
    assert!(test.come_back().is_empty());
    assert_eq!(test.told(), ["1..=2 unknown, 2"]);
    assert!(!test.session.has_kept() && !test.session.has_unasked());
}

#[test]
fn what_a_new_server_does_not_take_is_not_sent_again_and_the_rest_is() {
    use crate::dialect::json::Encoding::{Base64, Json, Text};
    let mut test = connected();
    let long = format!(r#""{}""#, "x".repeat(100));
    let mut sent = Vec::new();
    for (tag, (encoding, raw)) in (1..).zip([
        (Json, "1"),
        (Text, r#""two""#),
        (Json, &*long),
        (Base64, r#""AAAA""#),
        (Json, "5"),
    ]) {
        let raw = raw.as_bytes();
        sent.push(test.publish_data_once(tag, Data { encoding, raw }));
    }
    test.session.lost(None);
    test.welcome_to(r#"["key"]"#, 120);
    test.session.ask(&mut test.texts, Instant::now());
    assert_eq!(test.sent(), [sent.remove(0), sent.remove(3)]);
    assert_eq!(test.told(), ["2..=4 unknown, 3"]);
    test.hear_published(0, "");
    test.hear_published(4, "");
    assert!(!test.session.has_kept() && !test.session.has_unasked());
}

#[test]
fn what_is_as_long_as_a_new_server_takes_is_sent_again() {
    let mut test = connected();
    let request = test.publish_once(1, "1");
    test.session.lost(None);
    test.welcome_to(r#"["key"]"#, request.len());
    test.session.ask(&mut test.texts, Instant::now());
    assert_eq!(test.sent(), [request]);
}

#[test]
fn what_nobody_remembers_any_more_is_unknown_before_there_is_a_connection() {
    let mut test = connected();
    test.publish_once(1, "1");
    let now = Instant::now();
    test.session.note_sent(0, now);
    test.session.lost(None);
    test.session.forget_old(now + Duration::from_secs(241));
    assert_eq!(test.told(), ["1..=1 unknown, 1"]);
    assert!(test.come_back_with_keys().is_empty());
}

#[test]
fn what_its_server_may_have_forgotten_is_not_sent_again_while_the_rest_is() {
    let mut test = connected();
    let began = Instant::now();
    let after = |seconds| began + Duration::from_secs(seconds);
    let mut last = String::new();
    for (tag, seconds) in [(1, 0), (2, 60), (3, 120)] {
        last = test.publish_once(tag, "1");
        test.session.note_sent(tag - 1, after(seconds));
    }
    test.session.lost(None);
    test.welcome_with(r#"["key"]"#);
    test.session.ask(&mut test.texts, after(301));
    assert_eq!(test.sent(), [last]);
    assert_eq!(test.told(), ["1..=2 unknown, 2"]);
    assert!(test.session.has_kept());
}

#[test]
fn what_becomes_too_old_while_others_are_sent_again_is_not_sent_either() {
    let mut test = connected();
    let data = "1".repeat(100);
    const COUNT: u64 = 1000;
    for tag in 0..COUNT {
        test.publish_once(tag, &data);
    }
    let began = Instant::now();
    test.session.note_sent(0, began);
    test.session.lost(None);
    test.welcome_with(r#"["key"]"#);
    test.session
        .ask(&mut test.texts, began + Duration::from_secs(239));
    let sent = test.sent().len() as u64;
    assert!(test.told().is_empty() && sent < COUNT);
    // The server takes its time to answer.
    test.hear_published(0, "");
    test.session
        .ask(&mut test.texts, began + Duration::from_secs(241));
    assert!(test.sent().is_empty());
    let rest = format!("{sent}..={} unknown, {}", COUNT - 1, COUNT - sent);
    assert_eq!(test.told(), ["0 published e:1".to_owned(), rest]);
    assert!(!test.session.has_unasked(), "no more is to be sent again");
    assert!(test.session.has_kept(), "what was sent again waits");
}

#[test]
fn at_the_end_what_has_a_key_is_unknown_too() {
    let mut test = connected();
    test.publish_once(1, "1");
    test.session.end();
    assert_eq!(test.told(), ["1..=1 unknown, 1"]);
    assert_eq!(test.session.waiting(), 0);
}

#[test]
fn a_little_is_sent_again_at_once_and_more_with_each_answer() {
    let mut test = connected();
    let data = "1".repeat(100);
    const COUNT: usize = 1000;
    for tag in 0..COUNT {
        test.publish_once(tag as u64, &data);
    }
    let mut sent = test.come_back_with_keys().len();
    assert!((2..COUNT / 2).contains(&sent), "{sent} at once");
    let before = sent;
    test.session.ask(&mut test.texts, Instant::now());
    assert!(test.sent().is_empty(), "none was answered");
    for id in 0..COUNT {
        assert_eq!(test.session.has_unasked(), sent < COUNT);
        test.hear_published(id as u64, "");
        test.session.ask(&mut test.texts, Instant::now());
        sent += test.sent().len();
        assert!(sent - id <= before + 1, "{sent} after {id} answers");
    }
    assert_eq!((sent, test.session.has_kept()), (COUNT, false));
}

#[test]
fn the_bytes_that_are_kept_are_bounded() {
    let mut test = connected();
    let data = "1".repeat(100);
    let mut kept = 0;
    while test.session.has_room(usize::MAX / 8) {
        test.publish_once(kept, &data);
        kept += 1;
    }
    assert!(kept as usize * data.len() <= MAX_KEPT);
    assert!(kept as usize * 300 > MAX_KEPT, "{kept} are few");
    for id in 0..2 {
        test.hear_published(id, "");
    }
    assert!(test.session.has_room(usize::MAX / 8));
}

#[test]
fn a_refusal_ends_the_repeating() {
    let mut test = connected();
    test.publish_once(1, "1");
    test.come_back_with_keys();
    test.hear(r#"{"type":"error","id":0,"channel":"c","code":"unavailable","message":"no"}"#);
    assert_eq!(test.told(), ["Some(1) refused unavailable: no"]);
    assert!(test.come_back_with_keys().is_empty());
}

#[test]
fn what_a_new_server_does_not_take_is_refused_before_it_is_sent() {
    let mut test = connected();
    test.publish_once(5, "1");
    test.session.refuse(0, Feature::Key.refusal());
    let told = test.told();
    assert!(
        told[0].starts_with("Some(5) refused unsupported: "),
        "{told:?}"
    );
    assert!(!test.session.has_kept());
}
