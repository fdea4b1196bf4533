//! Connections that are lost: what a client does then, and what it tells.

use std::io::Read;
use std::thread;
use std::time::Duration;

use fanfare::client::{
    Cause, ClientError, ConnectError, Connector, Error, Event, GapReason, Reconnect, Start,
};
use fanfare::ws::close::CloseCode;

use crate::common::Daemon;
use crate::common::fake::{Fake, impatient, listen, serve_in_turn};
use crate::{message, next, url};

#[test]
fn a_client_comes_back_to_a_daemon_that_was_killed_and_announces_the_new_epoch() {
    let daemon = Daemon::start(&[]);
    let listen = daemon.address.to_string();
    let mut client = impatient(&url(&daemon)).client().unwrap();
    let first = client.subscribe("c", Start::Live).unwrap();
    client.publish("c", "1").unwrap();
    assert_eq!(message(&mut client).0, 1);
    drop(daemon);
    let Event::Reconnecting {
        attempt: 1, cause, ..
    } = next(&mut client)
    else {
        panic!("it does not come back");
    };
    assert!(matches!(*cause, Cause::Lost(_)), "{cause}");
    let _daemon = Daemon::start_at(&listen, &[]);
    // Waits for the connection.
    let published = client.publish("c", "2").unwrap();
    assert_ne!(published.epoch, first.epoch);
    let mut gaps = 0;
    loop {
        match next(&mut client) {
            Event::Message { seq, data, .. } => {
                assert_eq!((seq, data.as_json()), (1, Some("2")));
                break;
            }
            Event::Gap {
                from: 0,
                to: 0 | 1,
                reason: GapReason::Epoch,
                ..
            } => gaps += 1,
            Event::Reconnecting { .. } | Event::Reconnected => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(gaps, 1);
}

#[test]
fn a_publish_without_an_answer_is_unknown_and_not_sent_again() {
    let url = serve_in_turn(vec![
        |fake| {
            fake.welcome();
            fake.hear();
        },
        |fake| {
            fake.welcome();
            // If anything came, it would be the publish again.
            fake.0
                .set_read_timeout(Some(Duration::from_millis(200)))
                .unwrap();
            assert!(fake.0.read(&mut [0; 100]).is_err(), "silence");
            fake.text(r#"{"type":"goodbye","reason":"quiet","reconnect_after_ms":0}"#);
        },
    ]);
    let mut client = impatient(&url).client().unwrap();
    assert!(matches!(
        client.publish("c", "1"),
        Err(ClientError::Unknown)
    ));
    assert!(matches!(next(&mut client), Event::Reconnecting { .. }));
    assert!(matches!(next(&mut client), Event::Reconnected));
    let Event::Reconnecting { cause, .. } = next(&mut client) else {
        panic!("the goodbye comes next");
    };
    assert!(matches!(*cause, Cause::Goodbye(_)), "{cause}");
}

#[test]
fn what_waits_to_be_sent_and_is_too_long_for_a_new_server_is_refused_and_the_rest_goes_out() {
    let url = serve_in_turn(vec![
        |fake| {
            fake.welcome();
            fake.text(r#"{"type":"goodbye","reason":"restart","reconnect_after_ms":0}"#);
        },
        |fake| {
            fake.accept();
            fake.text(r#"{"type":"welcome","protocol":"json.fanfare.v1","server":"t","session":"s","max_message":100,"features":[]}"#);
            for request in [
                r#"{"type":"publish","channel":"c","data":1}"#,
                r#"{"type":"ping","id":0}"#,
                r#"{"type":"publish","id":2,"channel":"c","data":4}"#,
            ] {
                assert_eq!(fake.hear(), request);
            }
            fake.text(r#"{"type":"pong","id":0}"#);
            fake.text(r#"{"type":"published","id":2,"channel":"c","epoch":"e","seq":2}"#);
            fake.outlast();
        },
    ]);
    let (mut requests, mut events) = impatient(&url).client().unwrap().split();
    let long = format!("{:0<100}", "1");
    requests.publish_in_batch("c", "1", 1).unwrap();
    requests.publish_in_batch("c", &long, 2).unwrap();
    requests.publish("c", &long, 3).unwrap();
    requests.publish("c", "4", 4).unwrap();
    assert!(matches!(next(&mut events), Event::Reconnecting { .. }));
    assert!(matches!(next(&mut events), Event::Reconnected));
    requests.flush().unwrap();
    for refused in [None, Some(3)] {
        let told = next(&mut events);
        let Event::Refused { tag, refusal } = told else {
            panic!("{told:?}");
        };
        assert_eq!((tag, &*refusal.code), (refused, "unsupported"));
        assert!(refusal.message.contains("takes 100"), "{refusal}");
    }
    let told = next(&mut events);
    assert!(
        matches!(&told, Event::BatchDone { tags, count: 2 } if *tags == (1..=2)),
        "{told:?}"
    );
    let told = next(&mut events);
    assert!(matches!(told, Event::Published { tag: 4, .. }), "{told:?}");
}

#[test]
fn a_retry_after_is_waited_for() {
    let url = serve_in_turn(vec![
        Fake::welcome,
        |fake| {
            fake.request();
            fake.answer("HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 4\r\n\r\nbusy");
        },
        Fake::welcome,
    ]);
    let mut client = impatient(&url).client().unwrap();
    let mut waits = Vec::new();
    loop {
        match next(&mut client) {
            Event::Reconnecting { wait, .. } => waits.push(wait),
            Event::Reconnected => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(waits.len(), 2);
    assert!(
        waits[0] < Duration::from_millis(2) && waits[1] >= Duration::from_secs(1),
        "{waits:?}"
    );
}

#[test]
fn the_close_code_says_whether_a_client_comes_back() {
    let url = serve_in_turn(vec![
        |fake| {
            fake.welcome();
            fake.close(4508, "");
        },
        |fake| {
            fake.welcome();
            fake.close(4403, "");
        },
    ]);
    let mut client = impatient(&url).client().unwrap();
    assert!(matches!(next(&mut client), Event::Reconnecting { .. }));
    assert!(matches!(next(&mut client), Event::Reconnected));
    let Some(Err(ClientError::Over(cause))) = client.next() else {
        panic!("4403 is the end");
    };
    assert!(
        matches!(&*cause, Cause::Lost(Error::Closed { code, .. }) if *code == CloseCode::FORBIDDEN)
    );
    assert!(client.next().is_none());
    assert!(matches!(
        client.publish("c", "1"),
        Err(ClientError::Over(_))
    ));
}

#[test]
fn a_refusal_that_will_not_change_ends_a_client() {
    let url = serve_in_turn(vec![Fake::welcome, |fake| {
        fake.request();
        fake.answer("HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n");
    }]);
    let mut client = impatient(&url).client().unwrap();
    assert!(matches!(next(&mut client), Event::Reconnecting { .. }));
    let Some(Err(ClientError::Over(cause))) = client.next() else {
        panic!("401 is the end");
    };
    assert!(cause.to_string().contains("401"), "{cause}");
}

#[test]
fn a_client_gives_up_when_it_was_told_to() {
    let daemon = Daemon::start(&[]);
    let connector = Connector::new(&url(&daemon)).unwrap().reconnect(Reconnect {
        first: Duration::from_millis(1),
        give_up_after: Some(Duration::from_millis(50)),
        ..Reconnect::default()
    });
    let mut client = connector.client().unwrap();
    drop(daemon);
    let error = client.find_map(Result::err).expect("it gives up");
    let ClientError::Over(cause) = error else {
        panic!("{error}");
    };
    assert!(
        matches!(*cause, Cause::Connect(ConnectError::Tcp { .. })),
        "{cause}"
    );
}

#[test]
fn a_server_that_falls_silent_is_pinged_and_then_left() {
    let url = serve_in_turn(vec![
        |fake| {
            fake.welcome();
            fake.hear();
            // Neither a pong nor an end, until the client goes.
            fake.outlast();
        },
        Fake::welcome,
    ]);
    let connector = impatient(&url).ping_after(Duration::from_millis(50));
    let mut client = connector.client().unwrap();
    let Event::Reconnecting { cause, .. } = next(&mut client) else {
        panic!("it is lost");
    };
    assert!(matches!(*cause, Cause::Silent), "{cause}");
}

#[test]
fn who_closes_during_a_reconnect_says_so_on_the_new_connection() {
    let (listener, url) = listen();
    let connecting = thread::spawn(move || impatient(&url).client().unwrap());
    Fake::next(&listener).welcome();
    let client = connecting.join().unwrap();
    let closer = client.closer();
    let events = thread::spawn(move || client.for_each(drop));
    let mut fake = Fake::next(&listener);
    closer.close();
    fake.welcome();
    let mut head = [0; 2];
    fake.0.read_exact(&mut head).unwrap();
    assert_eq!(head[0], 0x88, "a close");
    drop(fake);
    events.join().unwrap();
}
