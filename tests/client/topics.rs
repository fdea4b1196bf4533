//! Patterns and payloads, with a server that says what a test wants it to.

use fanfare::client::{
    Client, ClientError, Event, Feature, Invalid, Payload, Publication, Start, Topic,
};

use crate::common::fake::{Fake, impatient, serve, serve_in_turn};
use crate::next;

#[test]
fn a_message_of_a_pattern_has_its_channel_and_both_numbers() {
    let url = serve(|fake| {
        fake.welcome_with_features();
        assert_eq!(
            fake.hear(),
            r#"{"type":"subscribe","id":0,"pattern":"prices.*"}"#
        );
        fake.text(r#"{"type":"subscribed","id":0,"pattern":"prices.*","epoch":"e","seq":41}"#);
        fake.text(
            r#"{"type":"message","pattern":"prices.*","seq":42,"channel":"prices.oak","channel_seq":17,"data":1}"#,
        );
        assert_eq!(
            fake.hear(),
            r#"{"type":"unsubscribe","id":1,"pattern":"prices.*"}"#
        );
        fake.text(r#"{"type":"unsubscribed","id":1,"pattern":"prices.*"}"#);
    });
    let mut client = Client::connect(&url).unwrap();
    let topic = Topic::pattern("prices.*");
    let subscribed = client.subscribe(topic, Start::Live).unwrap();
    assert_eq!(subscribed.seq, 41);
    let Event::Message {
        channel,
        seq,
        data,
        pattern,
        channel_seq,
    } = next(&mut client)
    else {
        panic!("a message comes");
    };
    assert_eq!((&*channel, channel_seq, seq), ("prices.oak", 17, 42));
    assert_eq!(pattern.as_deref(), Some("prices.*"));
    assert_eq!(data.as_json(), Some("1"));
    let position = client.position(topic).unwrap();
    assert_eq!(position.to_string(), "e:42");
    assert!(client.position("prices.*").is_none(), "that is a channel");
    client.unsubscribe(topic).unwrap();
}

#[test]
fn what_a_server_does_not_have_is_not_asked_for() {
    let url = serve(Fake::welcome);
    let mut client = Client::connect(&url).unwrap();
    assert!(!client.has(Feature::Patterns) && !client.has(Feature::Key));
    let refused = client.subscribe(Topic::pattern("a.*"), Start::Live);
    let Err(ClientError::Invalid(why @ Invalid::Unsupported(Feature::Patterns))) = refused else {
        panic!("{refused:?}");
    };
    assert!(why.to_string().contains("feature `patterns`"), "{why}");
    for (publication, feature) in [
        (Publication::text("a"), Feature::Encoding),
        (Publication::bytes([1]), Feature::Encoding),
        (Publication::json("1").with_key("k"), Feature::Key),
    ] {
        let refused = client.publish("c", publication);
        assert!(
            matches!(&refused, Err(ClientError::Invalid(Invalid::Unsupported(missing))) if *missing == feature),
            "{refused:?}"
        );
    }
}

#[test]
fn what_was_encoded_for_another_server_is_refused_and_the_rest_goes_out() {
    let url = serve_in_turn(vec![
        |fake| {
            fake.welcome_with_features();
            fake.close(1001, "");
        },
        |fake| {
            fake.welcome();
            assert_eq!(
                fake.hear(),
                r#"{"type":"publish","id":1,"channel":"c","data":1}"#
            );
            fake.text(r#"{"type":"published","id":1,"channel":"c","epoch":"e","seq":1}"#);
            fake.outlast();
        },
    ]);
    let mut client = impatient(&url).client().unwrap();
    let text = Publication::text("a");
    client.publish_pipelined("c", text, 7).unwrap();
    client.publish_pipelined("c", "1", 8).unwrap();
    let keyed = Publication::json("1").with_key("k");
    client.publish_pipelined("c", keyed, 9).unwrap();
    // Nothing of it was sent before the connection was lost.
    let (mut requests, mut events) = client.split();
    assert!(matches!(next(&mut events), Event::Reconnecting { .. }));
    assert!(matches!(next(&mut events), Event::Reconnected));
    requests.flush().unwrap();
    for _ in 0..2 {
        let Event::Refused { tag, refusal } = next(&mut events) else {
            panic!("both are refused first");
        };
        assert!(matches!(tag, Some(7 | 9)));
        assert_eq!(refusal.code, "unsupported");
    }
    let told = next(&mut events);
    assert!(matches!(told, Event::Published { tag: 8, .. }), "{told:?}");
}

#[test]
fn a_text_and_bytes_are_published_and_told_as_such() {
    let url = serve(|fake| {
        fake.welcome_with_features();
        for (id, said) in [
            (0, r#""encoding":"text","data":"a\"""#),
            (1, r#""encoding":"base64","data":"AP8=""#),
        ] {
            let request = format!(r#"{{"type":"publish","id":{id},"channel":"c",{said}}}"#);
            assert_eq!(fake.hear(), request);
            fake.text(&format!(
                r#"{{"type":"published","id":{id},"channel":"c","epoch":"e","seq":1}}"#
            ));
        }
    });
    let mut client = Client::connect(&url).unwrap();
    client.publish("c", Publication::text("a\"")).unwrap();
    let payload = Payload::Bytes(vec![0, 255]);
    client.publish("c", &payload).unwrap();
}

#[test]
fn base64_that_is_none_ends_a_client() {
    let url = serve(|fake| {
        fake.welcome();
        fake.hear();
        fake.text(r#"{"type":"subscribed","id":0,"channel":"c","epoch":"e","seq":0}"#);
        fake.text(
            r#"{"type":"message","channel":"c","seq":1,"encoding":"base64","data":"nonsense!"}"#,
        );
    });
    let mut client = impatient(&url).client().unwrap();
    client.subscribe("c", Start::Live).unwrap();
    let Some(Err(ClientError::Over(cause))) = client.next() else {
        panic!("it is over");
    };
    assert!(cause.to_string().contains("`data`"), "{cause}");
}
