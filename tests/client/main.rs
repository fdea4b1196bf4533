//! The client library against the daemon, and against servers that misbehave on purpose.

#[path = "../common/mod.rs"]
mod common;
mod connecting;
mod daemon;
mod features;
mod identity;
mod keys;
mod losses;
mod numbers;
mod plain;
mod tls;
mod topics;

use common::Daemon;
use fanfare::client::{Client, ClientError, Event};

fn url(daemon: &Daemon) -> String {
    format!("ws://{}", daemon.address)
}

fn connect(daemon: &Daemon) -> Client {
    Client::connect(&url(daemon)).expect("the daemon takes the connection")
}

/// The next event, and the test fails if there is none.
fn next(events: &mut impl Iterator<Item = Result<Event, ClientError>>) -> Event {
    events.next().expect("an event").expect("no end")
}

/// The number and the data of the next message; anything else fails the test.
fn message(events: &mut impl Iterator<Item = Result<Event, ClientError>>) -> (u64, String) {
    match next(events) {
        Event::Message { seq, data, .. } => (seq, data.to_string()),
        other => panic!("no message: {other:?}"),
    }
}
