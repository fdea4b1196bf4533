//! Publications with keys, with servers that are lost before they answer.

use std::thread;

use fanfare::client::{ClientError, Event, Publication};

use crate::common::fake::{Fake, impatient, serve_in_turn};
use crate::next;

const REQUEST: &str = r#"{"type":"publish","id":0,"channel":"c","key":"k","data":1}"#;
const AGAIN: &str =
    r#"{"type":"published","id":0,"channel":"c","epoch":"e","seq":9,"duplicate":true}"#;

/// Takes the publication and is lost.
fn forget(fake: &mut Fake) {
    fake.welcome_with_features();
    assert_eq!(fake.hear(), REQUEST);
}

/// Takes it and answers.
fn answer(fake: &mut Fake) {
    forget(fake);
    fake.text(AGAIN);
}

fn publication() -> Publication<'static> {
    Publication::json("1").with_key("k")
}

#[test]
fn a_publish_with_a_key_is_sent_again_until_its_answer_comes() {
    let url = serve_in_turn(vec![forget, forget, |fake| {
        answer(fake);
        fake.outlast();
    }]);
    let mut client = impatient(&url).client().unwrap();
    let published = client.publish("c", publication()).unwrap();
    assert_eq!((&*published.epoch, published.seq), ("e", 9));
    assert!(published.duplicate);
}

#[test]
fn what_is_sent_again_goes_before_what_is_new() {
    let url = serve_in_turn(vec![forget, |fake| {
        answer(fake);
        assert_eq!(
            fake.hear(),
            r#"{"type":"publish","id":1,"channel":"c","data":2}"#
        );
        fake.text(r#"{"type":"published","id":1,"channel":"c","epoch":"e","seq":10}"#);
        fake.outlast();
    }]);
    let mut client = impatient(&url).client().unwrap();
    client.publish_pipelined("c", publication(), 1).unwrap();
    client.flush().unwrap();
    assert!(matches!(next(&mut client), Event::Reconnecting { .. }));
    client.publish_pipelined("c", "2", 2).unwrap();
    client.flush().unwrap();
    let mut told = Vec::new();
    while told.len() < 2 {
        if let Event::Published { tag, duplicate, .. } = next(&mut client) {
            told.push((tag, duplicate));
        }
    }
    assert_eq!(told, [(1, true), (2, false)]);
}

#[test]
fn a_server_that_knows_no_keys_leaves_the_fate_unknown() {
    let url = serve_in_turn(vec![forget, |fake| {
        fake.welcome();
        fake.text(r#"{"type":"goodbye","reason":"quiet","reconnect_after_ms":0}"#);
        fake.outlast();
    }]);
    let mut client = impatient(&url).client().unwrap();
    let unknown = client.publish("c", publication());
    assert!(matches!(unknown, Err(ClientError::Unknown)), "{unknown:?}");
}

#[test]
fn a_client_that_closes_comes_back_for_the_answer() {
    let url = serve_in_turn(vec![forget, |fake| {
        answer(fake);
        fake.close(1000, "");
    }]);
    let (mut requests, events) = impatient(&url).client().unwrap().split();
    let told = thread::spawn(move || {
        let mut published = 0;
        for event in events {
            match event.expect("it ends well") {
                Event::Published { tag: 7, .. } => published += 1,
                Event::Reconnecting { .. } | Event::Reconnected => {}
                other => panic!("{other:?}"),
            }
        }
        published
    });
    requests.publish("c", publication(), 7).unwrap();
    requests.close().unwrap();
    assert!(requests.publish("c", "1", 8).is_err());
    assert_eq!(told.join().unwrap(), 1);
}

#[test]
fn a_whole_client_that_closes_waits_for_the_answer() {
    let (heard, answered) = std::sync::mpsc::channel();
    let (listener, url) = crate::common::fake::listen();
    thread::spawn(move || {
        forget(&mut Fake::next(&listener));
        let mut fake = Fake::next(&listener);
        answer(&mut fake);
        heard.send(()).expect("it is waited for");
        fake.close(1000, "");
    });
    let mut client = impatient(&url).client().unwrap();
    client.publish_pipelined("c", publication(), 7).unwrap();
    client.close().unwrap();
    answered.try_recv().expect("it was answered before");
}

#[test]
fn a_closer_does_not_wait_for_answers() {
    let url = serve_in_turn(vec![|fake| {
        forget(fake);
        fake.close(1000, "");
    }]);
    let mut client = impatient(&url).client().unwrap();
    client.publish_pipelined("c", publication(), 7).unwrap();
    client.flush().unwrap();
    client.closer().close();
    let told = next(&mut client);
    assert!(matches!(told, Event::Unknown { count: 1, .. }), "{told:?}");
    assert!(client.next().is_none());
}
