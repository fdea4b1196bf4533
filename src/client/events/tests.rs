//! The end of a client that is closed while there is no connection.

use super::*;
use crate::client::model::in_memory;
use crate::client::publication::Publication;
use crate::client::requests::Requests;

/// Everything told until the end.
fn all(events: &mut Events) -> Vec<Event> {
    // More than there is to tell, and not for ever.
    let told: Vec<_> = events.take(10).collect();
    told.into_iter()
        .map(|event| event.expect("no error"))
        .collect()
}

/// The halves of a client that has published with a key, tag 7, on a connection that vanishes.
fn published_into_the_void() -> (Requests, Events) {
    let (client, wire) = in_memory();
    let (mut requests, events) = client.split();
    wire.vanish();
    requests
        .publish("c", Publication::json("1").with_key("k"), 7)
        .expect("there is a connection");
    (requests, events)
}

#[test]
fn a_client_that_was_closed_ends_once_nothing_is_to_be_sent_again() {
    let (mut requests, mut events) = published_into_the_void();
    requests.close().expect("it goes out");
    let told = events.next();
    assert!(
        matches!(told, Some(Ok(Event::Reconnecting { .. }))),
        "{told:?}"
    );
    let Phase::Waiting { since, .. } = events.phase else {
        panic!("it waits for the next try");
    };
    events.come_back(since, Instant::now() + Duration::from_secs(241));
    let told = all(&mut events);
    assert!(
        matches!(&*told, [Event::Unknown { tags, count: 1 }] if *tags == (7..=7)),
        "{told:?}"
    );
    assert!(events.next().is_none());
}

#[test]
fn a_client_that_was_not_closed_goes_on_to_try_without_anything_to_send_again() {
    let (mut requests, mut events) = published_into_the_void();
    requests.flush().expect("it goes out");
    assert!(events.next().is_some());
    events.come_back(Instant::now(), Instant::now() + Duration::from_secs(241));
    assert!(matches!(events.next(), Some(Ok(Event::Unknown { .. }))));
    assert!(matches!(events.phase, Phase::Waiting { .. }));
}
