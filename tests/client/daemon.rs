//! Against the daemon: calls, events, batches, halves.

use std::thread;

use fanfare::client::{ClientError, Connector, Event, Invalid, Start};

use crate::common::Daemon;
use crate::{connect, message, next, url};

#[test]
fn what_is_published_reaches_a_subscriber_and_is_acknowledged() {
    let daemon = Daemon::start(&[]);
    let (mut publisher, mut subscriber) = (connect(&daemon), connect(&daemon));
    let subscribed = subscriber.subscribe("prices", Start::Live).unwrap();
    assert_eq!((subscribed.seq, subscribed.recovered), (0, None));
    let published = publisher.publish("prices", r#" {"p": 0.10} "#).unwrap();
    assert_eq!((published.seq, &published.epoch), (1, &subscribed.epoch));
    assert_eq!(message(&mut subscriber), (1, r#"{"p": 0.10}"#.to_owned()));
    let position = subscriber.position("prices").unwrap();
    assert_eq!((position.seq, position.epoch), (1, published.epoch));
    publisher.close().unwrap();
}

#[test]
fn what_happens_while_a_call_waits_is_kept_for_the_iterator_in_order() {
    let daemon = Daemon::start(&[]);
    let mut client = connect(&daemon);
    client.subscribe("c", Start::Live).unwrap();
    for n in 1..=3 {
        client.publish("c", n.to_string()).unwrap();
    }
    client.unsubscribe("c").unwrap();
    let seqs: Vec<u64> = (0..3).map(|_| message(&mut client).0).collect();
    assert_eq!(seqs, [1, 2, 3]);
}

#[test]
fn kept_events_move_along_when_the_client_is_split() {
    let daemon = Daemon::start(&[]);
    let mut client = connect(&daemon);
    client.subscribe("c", Start::Live).unwrap();
    for n in 1..=3 {
        client.publish("c", n.to_string()).unwrap();
    }
    let (mut requests, mut events) = client.split();
    requests.publish("c", "4", 4).unwrap();
    requests.flush().unwrap();
    let seqs: Vec<u64> = std::iter::from_fn(|| match next(&mut events) {
        Event::Message { seq: 4, .. } => None,
        Event::Message { seq, .. } => Some(seq),
        _ => Some(0),
    })
    .filter(|&seq| seq > 0)
    .collect();
    assert_eq!(seqs, [1, 2, 3]);
}

#[test]
fn what_the_server_refuses_is_an_error_and_the_connection_goes_on() {
    let daemon = Daemon::start(&[]);
    let mut client = connect(&daemon);
    let refused = client.publish("$internal", "1").unwrap_err();
    assert!(matches!(refused, ClientError::Refused(refusal) if refusal.code == "forbidden"));
    client.publish("c", "1").unwrap();
}

#[test]
fn what_could_be_more_than_a_value_is_not_sent() {
    let daemon = Daemon::start(&["--max-message", "4KiB"]);
    let mut client = connect(&daemon);
    for data in ["", "x", "1,2", r#"1,"channel":"other""#, "{", "\"\u{1}\""] {
        let refused = client.publish("c", data).unwrap_err();
        assert!(
            matches!(refused, ClientError::Invalid(Invalid::Data { .. })),
            "{data}"
        );
    }
    let refused = client
        .publish("c", format!("\"{}\"", "x".repeat(4096)))
        .unwrap_err();
    assert!(matches!(
        refused,
        ClientError::Invalid(Invalid::TooLong { max: 4096, .. })
    ));
    let refused = client.publish("no way", "1").unwrap_err();
    assert!(matches!(refused, ClientError::Invalid(Invalid::Channel(_))));
    assert_eq!(client.publish("c", "1").unwrap().seq, 1);
}

#[test]
fn pipelined_publishes_beyond_the_window_are_all_answered() {
    let daemon = Daemon::start(&[]);
    let connector = Connector::new(&url(&daemon)).unwrap().window(10);
    let (mut requests, events) = connector.client().unwrap().split();
    let answers = thread::spawn(move || {
        let published = events.filter_map(|event| match event.expect("no end") {
            Event::Published { tag, seq, .. } => Some((tag, seq)),
            _ => None,
        });
        published.take(1000).collect::<Vec<_>>()
    });
    for n in 0..1000 {
        requests.publish("c", n.to_string(), n).unwrap();
    }
    requests.flush().unwrap();
    let answers = answers.join().unwrap();
    assert!(
        answers
            .iter()
            .enumerate()
            .all(|(n, &(tag, seq))| { tag == n as u64 && seq == n as u64 + 1 })
    );
}

#[test]
fn one_thread_can_pipeline_too_and_finds_the_answers_among_the_events() {
    let daemon = Daemon::start(&[]);
    let mut client = Connector::new(&url(&daemon))
        .unwrap()
        .window(10)
        .client()
        .unwrap();
    for n in 0..100 {
        client.publish_pipelined("c", n.to_string(), n).unwrap();
    }
    for n in 0..100 {
        let event = next(&mut client);
        assert!(
            matches!(event, Event::Published { tag, .. } if tag == n),
            "{event:?}"
        );
    }
}

#[test]
fn batches_are_answered_as_such_and_refusals_come_before() {
    let daemon = Daemon::start(&[]);
    let (mut requests, mut events) = connect(&daemon).split();
    for n in 1..=5 {
        let channel = if n == 3 { "$forbidden" } else { "c" };
        requests
            .publish_in_batch(channel, n.to_string(), n)
            .unwrap();
    }
    requests.flush().unwrap();
    assert!(matches!(
        next(&mut events),
        Event::Refused { tag: None, .. }
    ));
    match next(&mut events) {
        Event::BatchDone { tags, count } => assert_eq!((tags, count), (1..=5, 5)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn events_kept_for_nobody_are_bounded() {
    let daemon = Daemon::start(&[]);
    let mut client = Connector::new(&url(&daemon))
        .unwrap()
        .backlog(2000)
        .client()
        .unwrap();
    client.subscribe("c", Start::Live).unwrap();
    let error = (0..1000)
        .find_map(|n| client.publish("c", n.to_string()).err())
        .expect("it is too much at last");
    assert!(matches!(error, ClientError::Backlog));
    while matches!(client.next_at_hand(), Some(Ok(_))) {}
    client.publish("c", "1").unwrap();
}

#[test]
fn a_closer_ends_the_iterator_from_another_thread_without_an_error() {
    let daemon = Daemon::start(&[]);
    let client = connect(&daemon);
    let closer = client.closer();
    let events = thread::spawn(move || client.inspect(|event| assert!(event.is_ok())).count());
    closer.close();
    assert_eq!(events.join().unwrap(), 0);
}
