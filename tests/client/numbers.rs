//! A server whose messages' numbers grow by more than one, as where a broker numbers many channels together.

use fanfare::client::{Event, GapReason, Start};

use crate::common::fake::{Fake, impatient, serve_in_turn};
use crate::next;

fn subscribed(fake: &mut Fake, since: &str, answer: &str) {
    let request = fake.hear();
    assert!(request.ends_with(since), "{request}");
    let id = request
        .split("\"id\":")
        .nth(1)
        .and_then(|rest| rest.split(',').next());
    let id = id.expect("an id");
    fake.text(&format!(
        r#"{{"type":"subscribed","id":{id},"channel":"c",{answer}}}"#
    ));
}

fn gap(fake: &mut Fake, epoch: &str, from: u64, to: u64, reason: &str) {
    fake.text(&format!(
        r#"{{"type":"gap","channel":"c","epoch":"{epoch}","from":{from},"to":{to},"reason":"{reason}"}}"#
    ));
}

fn messages(fake: &mut Fake, seqs: &[u64]) {
    for seq in seqs {
        fake.text(&format!(
            r#"{{"type":"message","channel":"c","seq":{seq},"data":{seq}}}"#
        ));
    }
}

/// What is told of the next event.
fn told(events: &mut impl Iterator<Item = Result<Event, fanfare::client::ClientError>>) -> String {
    match next(events) {
        Event::Message { seq, data, .. } => {
            assert_eq!(data.as_json(), Some(&*seq.to_string()));
            data.to_string()
        }
        Event::Gap {
            epoch,
            from,
            to,
            reason,
            ..
        } => {
            assert_ne!(reason, GapReason::Unannounced);
            format!("{from}-{to} of {epoch}: {reason}")
        }
        Event::Reconnecting { .. } => "lost".to_owned(),
        Event::Reconnected => "back".to_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_client_tells_the_holes_that_the_server_announces_and_no_others() {
    let url = serve_in_turn(vec![
        |fake| {
            fake.welcome();
            subscribed(fake, r#""channel":"c"}"#, r#""epoch":"e","seq":4"#);
            messages(fake, &[7, 8, 20, 20, 8]);
            gap(fake, "e", 25, 30, "slow");
            messages(fake, &[30, 44]);
        },
        |fake| {
            fake.welcome();
            let since = r#""since":{"epoch":"e","seq":44}}"#;
            subscribed(fake, since, r#""epoch":"e","seq":90,"recovered":true"#);
            messages(fake, &[44, 61, 90]);
        },
        |fake| {
            fake.welcome();
            let since = r#""since":{"epoch":"e","seq":90}}"#;
            subscribed(fake, since, r#""epoch":"f","seq":33,"recovered":false"#);
            gap(fake, "f", 0, 12, "epoch");
            messages(fake, &[12, 15, 33]);
        },
        |fake| {
            fake.welcome();
            let since = r#""since":{"epoch":"f","seq":33}}"#;
            subscribed(fake, since, r#""epoch":"f","seq":99,"recovered":false"#);
            gap(fake, "f", 34, 70, "expired");
            messages(fake, &[80, 99]);
            fake.outlast();
        },
    ]);
    let mut client = impatient(&url).client().unwrap();
    client.subscribe("c", Start::Live).unwrap();
    let wanted = [
        "7",
        "8",
        "20",
        "25-30 of e: slow",
        "44",
        "lost",
        "back",
        "61",
        "90",
        "lost",
        "back",
        "0-12 of f: epoch",
        "15",
        "33",
        "lost",
        "back",
        "34-70 of f: expired",
        "80",
        "99",
    ];
    let all: Vec<String> = wanted.iter().map(|_| told(&mut client)).collect();
    assert_eq!(all, wanted);
    let position = client.position("c").expect("a subscription");
    assert_eq!(position.to_string(), "f:99");
}

#[test]
fn a_client_that_got_none_of_the_newest_asks_for_all_that_is_held() {
    let url = serve_in_turn(vec![
        |fake| {
            fake.welcome();
            subscribed(
                fake,
                r#""channel":"c","last":2}"#,
                r#""epoch":"e","seq":500"#,
            );
        },
        |fake| {
            fake.welcome();
            let since = r#""since":{"epoch":"e","seq":0}}"#;
            subscribed(fake, since, r#""epoch":"e","seq":500,"recovered":false"#);
            gap(fake, "e", 1, 90, "expired");
            messages(fake, &[100, 310, 500]);
            fake.outlast();
        },
    ]);
    let mut client = impatient(&url).client().unwrap();
    client.subscribe("c", Start::Last(2)).unwrap();
    let wanted = ["lost", "back", "1-90 of e: expired", "100", "310", "500"];
    let all: Vec<String> = wanted.iter().map(|_| told(&mut client)).collect();
    assert_eq!(all, wanted);
}
