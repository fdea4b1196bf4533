//! What strangers do to channels is not felt by others: neither the memory of all logs nor the names run out for them.

mod common;

use common::{Client, Daemon, member};

#[track_caller]
fn ask(client: &mut Client, request: &str, kind: &str) -> String {
    let reply = client.ask(request);
    assert_eq!(member(&reply, "type"), format!(r#""{kind}""#), "{reply}");
    reply
}

fn publish(client: &mut Client, channel: &str, data: &str) -> String {
    let request = format!(r#"{{"type":"publish","id":1,"channel":"{channel}","data":{data}}}"#);
    ask(client, &request, "published")
}

fn subscriber_to_prices(daemon: &Daemon) -> Client {
    let mut client = daemon.connect();
    let request = r#"{"type":"subscribe","id":1,"channel":"prices"}"#;
    ask(&mut client, request, "subscribed");
    client
}

#[test]
fn a_stranger_that_fills_retain_total_with_newest_messages_keeps_nobody_from_publishing() {
    let daemon = Daemon::start(&["--retain-total", "1MiB"]);
    let (mut stranger, mut publisher) = (daemon.connect(), daemon.connect());
    let mut subscriber = subscriber_to_prices(&daemon);
    publish(&mut publisher, "prices", "1");
    assert_eq!(member(&subscriber.text(), "seq"), "1");
    let large = format!(r#""{}""#, "x".repeat(60_000));
    for n in 0..60 {
        publish(&mut stranger, &format!("waste.{n}"), &large);
    }
    // What somebody subscribes to is still there, also for who comes now.
    let mut late = daemon.connect();
    late.send_text(r#"{"type":"subscribe","channel":"prices","last":1}"#);
    assert_eq!(member(&late.text(), "type"), r#""subscribed""#);
    let message = late.text();
    assert_eq!(
        (member(&message, "type"), member(&message, "data")),
        (r#""message""#, "1")
    );
    // And what is published now is delivered and held.
    let reply = publish(&mut publisher, "prices", &large);
    assert_eq!(member(&reply, "seq"), "2");
    assert_eq!(member(&subscriber.text(), "seq"), "2");
    publish(&mut publisher, "new", "3");
    let mut later = daemon.connect();
    later.send_text(r#"{"type":"subscribe","channel":"new","last":1}"#);
    assert_eq!(member(&later.text(), "type"), r#""subscribed""#);
    assert_eq!(member(&later.text(), "data"), "3");
}

#[test]
fn a_stranger_that_subscribes_to_names_and_leaves_them_takes_none_from_others() {
    let daemon = Daemon::start(&["--max-channels", "50"]);
    let (mut stranger, mut publisher) = (daemon.connect(), daemon.connect());
    let mut subscriber = subscriber_to_prices(&daemon);
    let epoch = |reply: &str| member(reply, "epoch").to_owned();
    let history = epoch(&publish(&mut publisher, "history", "1"));
    for n in 0..200 {
        for kind in ["subscribe", "unsubscribe"] {
            let request = format!(r#"{{"type":"{kind}","id":1,"channel":"waste.{n}"}}"#);
            ask(&mut stranger, &request, &format!("{kind}d"));
        }
    }
    // Names without messages went first.
    assert_eq!(epoch(&publish(&mut publisher, "history", "2")), history);
    for n in 0..200 {
        publish(&mut stranger, &format!("dust.{n}"), "0");
    }
    // Names with messages are not taken for ever, either. What has a subscriber stays.
    let reply = publish(&mut publisher, "history", "3");
    assert_ne!(epoch(&reply), history);
    assert_eq!(member(&reply, "seq"), "1");
    publish(&mut publisher, "prices", "4");
    assert_eq!(member(&subscriber.text(), "data"), "4");
}
