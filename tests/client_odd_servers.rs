//! The client library against servers that are restarted, that do not answer, or that send what they may not: no call waits for
//! ever, and no memory grows past its bound.

mod common;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use common::fake::{Fake, impatient, serve_all, text_frame};
use common::{Daemon, PATIENCE};
use fanfare::client::{
    Cause, Client, ClientError, ConnectError, Connector, Event, Start, Step, Timeouts,
};

/// The same, which gives a server up that does not answer at once.
fn hasty(url: &str) -> Connector {
    let moment = Duration::from_millis(50);
    impatient(url).timeouts(Timeouts {
        answer: moment,
        close: moment,
        ..Timeouts::default()
    })
}

/// Sends `bytes` again and again, until the client has gone or the test's patience has ended.
fn repeat(fake: &mut Fake, bytes: &[u8], pause: Duration) {
    while fake.0.write_all(bytes).is_ok() {
        thread::sleep(pause);
    }
}

/// An empty ping.
const PING: [u8; 2] = [0x89, 0];

#[test]
fn a_client_publishes_on_after_its_daemon_was_killed_and_started_anew() {
    for subscriptions in [0, 1, 300] {
        let daemon = Daemon::start(&[]);
        let listen = daemon.address.to_string();
        let mut client = impatient(&format!("ws://{listen}")).client().unwrap();
        for number in 0..subscriptions {
            client
                .subscribe(&format!("s{number}"), Start::Live)
                .unwrap();
        }
        client.publish("c", "1").unwrap();
        drop(daemon);
        let lost = client.publish("c", "2");
        assert!(matches!(lost, Err(ClientError::Unknown)), "{lost:?}");
        let _daemon = Daemon::start_at(&listen, &[]);
        assert_eq!(client.publish("c", "3").unwrap().seq, 1);
        assert_eq!(client.publish("c", "4").unwrap().seq, 2);
        client.close().unwrap();
    }
}

#[test]
fn two_halves_publish_on_after_their_daemon_was_killed_and_started_anew() {
    let daemon = Daemon::start(&[]);
    let listen = daemon.address.to_string();
    let client = impatient(&format!("ws://{listen}")).client().unwrap();
    let (mut requests, events) = client.split();
    let told = thread::spawn(move || {
        let mut told = Vec::new();
        for event in events {
            match event.expect("no end") {
                Event::Published { tag, .. } => told.push((tag, true)),
                Event::Unknown { tags, .. } => told.extend(tags.map(|tag| (tag, false))),
                _ => {}
            }
        }
        told
    });
    let mut daemon = Some(daemon);
    for tag in 0..3000 {
        if tag % 1000 == 500 {
            drop(daemon.take());
            daemon = Some(Daemon::start_at(&listen, &[]));
        }
        requests.publish("c", "1", tag).unwrap();
        requests.flush().unwrap();
    }
    requests.close().unwrap();
    let told = told.join().expect("no panic");
    let mut tags: Vec<u64> = told.iter().map(|(tag, _)| *tag).collect();
    tags.sort_unstable();
    assert!(tags.iter().copied().eq(0..3000), "each once");
}

#[test]
fn what_was_not_sent_goes_out_before_a_close_even_if_the_connection_has_to_come_back_for_that() {
    let daemon = Daemon::start(&[]);
    let listen = daemon.address.to_string();
    let mut client = impatient(&format!("ws://{listen}")).client().unwrap();
    drop(daemon);
    while !matches!(client.next(), Some(Ok(Event::Reconnecting { .. }))) {}
    client.publish_pipelined("c", "1", 1).unwrap();
    let daemon = Daemon::start_at(&listen, &[]);
    client.close().unwrap();
    let mut reader = daemon.connect();
    let subscribed = reader.ask(r#"{"type":"subscribe","id":1,"channel":"c"}"#);
    assert!(subscribed.contains(r#""seq":1"#), "{subscribed}");
}

#[test]
fn the_end_for_good_is_told_once_and_after_the_fates_of_what_was_not_sent() {
    let connections = Arc::new(AtomicUsize::new(0));
    let url = serve_all(move |fake| match connections.fetch_add(1, Relaxed) {
        0 => fake.welcome(),
        _ => {
            fake.request();
            let no = b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n";
            fake.send(no);
        }
    });
    let mut client = impatient(&url).client().unwrap();
    let lost = client.next().expect("an event").expect("no end");
    assert!(matches!(lost, Event::Reconnecting { .. }), "{lost:?}");
    for tag in 1..=3 {
        client.publish_pipelined("c", "1", tag).unwrap();
    }
    let unknown = client.next().expect("an event").expect("no end");
    assert!(
        matches!(&unknown, Event::Unknown { tags, .. } if *tags == (1..=3)),
        "{unknown:?}"
    );
    let end = client.next().expect("the reason");
    assert!(matches!(end, Err(ClientError::Over(_))), "{end:?}");
    assert!(client.next().is_none());
}

#[test]
fn a_server_that_pings_and_never_answers_keeps_no_call_waiting() {
    let url = serve_all(|fake| {
        fake.welcome();
        repeat(fake, &PING, Duration::from_millis(1));
    });
    let mut client = hasty(&url).client().unwrap();
    let error = client.publish("c", "1").unwrap_err();
    assert!(matches!(error, ClientError::Unknown), "{error}");
    let error = client.subscribe("c", Start::Live).unwrap_err();
    assert!(matches!(error, ClientError::TimedOut), "{error}");
    let unanswered = std::iter::from_fn(|| client.next())
        .find_map(|event| match event.expect("no end") {
            Event::Reconnecting { cause, .. } => Some(cause),
            _ => None,
        })
        .expect("it comes back");
    assert!(matches!(*unanswered, Cause::Unanswered), "{unanswered}");
    client.close().unwrap();
}

#[test]
fn answers_that_lay_unread_while_the_program_was_busy_came_in_time() {
    let (answered, is_answered) = channel();
    let url = serve_all(move |fake| {
        fake.welcome();
        fake.hear();
        let published = r#"{"type":"published","id":0,"channel":"c","epoch":"e","seq":1}"#;
        fake.text(published);
        answered.send(()).expect("the test waits");
        fake.outlast();
    });
    let moment = Duration::from_millis(50);
    let connector = hasty(&url).ping_after(moment);
    let mut client = connector.client().unwrap();
    client.publish_pipelined("c", "1", 7).unwrap();
    client.flush().unwrap();
    is_answered.recv_timeout(PATIENCE).expect("an answer");
    // Whatever is due is overdue after this.
    thread::sleep(4 * moment);
    let told = client.next().expect("an event").expect("no end");
    assert!(matches!(told, Event::Published { tag: 7, .. }), "{told:?}");
}

#[test]
fn a_server_that_drips_a_message_for_ever_keeps_no_call_waiting() {
    let url = serve_all(|fake| {
        fake.welcome();
        // The head of a text message of 4 GiB, of which a byte comes now and then.
        let head = [0x81, 127, 0, 0, 0, 1, 0, 0, 0, 0];
        let _ = fake.0.write_all(&head[..9]);
        repeat(fake, b" ", Duration::from_millis(1));
    });
    let connector = hasty(&url).max_message(usize::MAX);
    let mut client = connector.client().unwrap();
    let error = client.publish("c", "1").unwrap_err();
    assert!(matches!(error, ClientError::Unknown), "{error}");
}

#[test]
fn a_server_that_pings_instead_of_a_welcome_is_given_up() {
    let url = serve_all(|fake| {
        fake.accept();
        repeat(fake, &PING, Duration::from_millis(1));
    });
    let connector = impatient(&url).timeouts(Timeouts {
        handshake: Duration::from_millis(100),
        ..Timeouts::default()
    });
    let error = connector.client().err().expect("there is no welcome");
    assert!(
        matches!(error, ConnectError::TimedOut(Step::Handshake)),
        "{error}"
    );
}

#[test]
fn a_server_that_floods_before_its_welcome_is_given_up_at_once() {
    let url = serve_all(|fake| {
        fake.accept();
        let error = text_frame(r#"{"type":"error","code":"limit","message":"no"}"#);
        repeat(fake, &error.repeat(1000), Duration::ZERO);
    });
    let error = impatient(&url).client().err().expect("there is no welcome");
    let ConnectError::Welcome(cause) = &error else {
        panic!("{error}");
    };
    assert!(matches!(**cause, Cause::Protocol(_)), "{cause}");
}

#[test]
fn events_without_data_count_for_the_backlog_too() {
    const BACKLOG: usize = 1 << 20;
    let url = serve_all(|fake| {
        fake.welcome();
        fake.hear();
        let subscribed = r#"{"type":"subscribed","id":0,"channel":"c","epoch":"e","seq":0}"#;
        fake.text(subscribed);
        fake.hear();
        let gap = |epoch: &str| {
            text_frame(&format!(
                r#"{{"type":"gap","channel":"c","epoch":"{epoch}","from":0,"to":0,"reason":"epoch"}}"#
            ))
        };
        let gaps = [gap(&"e".repeat(64)), gap(&"f".repeat(64))].concat();
        repeat(fake, &gaps.repeat(100), Duration::ZERO);
    });
    let mut client = impatient(&url).backlog(BACKLOG).client().unwrap();
    client.subscribe("c", Start::Live).unwrap();
    let error = client.publish("c", "1").unwrap_err();
    assert!(matches!(error, ClientError::Backlog), "{error}");
    let mut kept = 0;
    while matches!(client.next_at_hand(), Some(Ok(Event::Gap { .. }))) && kept <= BACKLOG {
        kept += 64 + size_of::<Event>();
    }
    // What is in the read buffer is at hand as well: 128 KiB, of messages of more than 120 bytes.
    assert!(kept <= BACKLOG + 1100 * (64 + size_of::<Event>()), "{kept}");
}

#[test]
fn a_flood_of_errors_that_answer_nothing_takes_no_memory_and_keeps_no_call_waiting() {
    let url = serve_all(|fake| {
        fake.welcome();
        fake.hear();
        let error = text_frame(r#"{"type":"error","code":"limit","message":"no"}"#);
        repeat(fake, &error.repeat(1000), Duration::ZERO);
    });
    let mut client = hasty(&url).backlog(10_000).client().unwrap();
    let error = client.publish("c", "1").unwrap_err();
    assert!(matches!(error, ClientError::Unknown), "{error}");
}

/// What ends a client that is subscribed to `c` after the server has said this.
fn end_after(said: &'static str) -> Arc<Cause> {
    let url = serve_all(move |fake| {
        fake.welcome();
        fake.hear();
        let subscribed = r#"{"type":"subscribed","id":0,"channel":"c","epoch":"e","seq":4}"#;
        fake.send(&[text_frame(subscribed), text_frame(said)].concat());
        fake.outlast();
    });
    let (mut requests, mut events) = impatient(&url).client().unwrap().split();
    requests.subscribe("c", Start::Live).unwrap();
    assert!(requests.over().is_none());
    let told = events.next().expect("an event").expect("no end");
    assert!(matches!(told, Event::Subscribed { .. }), "{told:?}");
    let Some(Err(ClientError::Over(cause))) = events.next() else {
        panic!("it goes on after {said}");
    };
    let over = requests.over().expect("the other half knows as well");
    assert_eq!(over.to_string(), cause.to_string());
    assert!(events.next().is_none());
    cause
}

#[test]
fn data_that_is_no_json_never_reaches_the_program() {
    for said in [
        r#"{"type":"message","channel":"c","seq":5,"data":no json}"#,
        r#"{"type":"message","channel":"c","seq":5,"data":}"#,
        r#"{"type":"message","channel":"c","seq":5,"data":1}}"#,
        "{\"type\":\"message\",\"channel\":\"c\",\"seq\":5,\"data\":\"\u{1b}[2J\"}",
    ] {
        let cause = end_after(said);
        assert!(matches!(*cause, Cause::Message(_)), "{cause}");
    }
}

#[test]
fn a_gap_that_ends_before_it_begins_ends_the_client_with_a_reason() {
    let said = r#"{"type":"gap","channel":"c","epoch":"e","from":9,"to":5,"reason":"slow"}"#;
    assert_eq!(
        end_after(said).to_string(),
        "the server broke the protocol: it sent a `gap` that ends before it begins"
    );
}

#[test]
fn a_subscription_that_the_server_ends_is_told_and_the_client_goes_on() {
    let url = serve_all(|fake| {
        fake.welcome();
        fake.hear();
        for said in [
            r#"{"type":"subscribed","id":0,"channel":"c","epoch":"e","seq":4}"#,
            r#"{"type":"unsubscribed","channel":"c","reason":"forbidden"}"#,
        ] {
            fake.text(said);
        }
        fake.outlast();
    });
    let mut client = Client::connect(&url).unwrap();
    client.subscribe("c", Start::Live).unwrap();
    let told = client.next().expect("an event").expect("no end");
    assert!(
        matches!(&told, Event::SubscriptionEnded { topic, reason: Some(reason) }
            if topic.text() == "c" && reason == "forbidden"),
        "{told:?}"
    );
}

#[test]
fn a_server_that_answers_no_close_is_left_in_time() {
    let url = serve_all(|fake| {
        fake.welcome();
        repeat(fake, &PING, Duration::from_millis(1));
    });
    let client = hasty(&url).client().unwrap();
    client.close().unwrap();
    let silent = serve_all(|fake| {
        fake.welcome();
        fake.outlast();
        thread::sleep(2 * PATIENCE);
    });
    let timeouts = Timeouts {
        close: Duration::from_millis(50),
        answer: Duration::MAX,
        ..Timeouts::default()
    };
    let connector = impatient(&silent)
        .timeouts(timeouts)
        .ping_after(Duration::MAX);
    let mut client = connector.client().unwrap();
    client.publish_pipelined("c", "1", 1).unwrap();
    let (done, is_done) = channel();
    thread::spawn(move || done.send(client.close()));
    is_done.recv_timeout(PATIENCE).expect("it ends").unwrap();
    let (mut requests, events) = hasty(&url).client().unwrap().split();
    let rest = thread::spawn(move || events.count());
    requests.close().unwrap();
    assert_eq!(rest.join().expect("no panic"), 0);
}
