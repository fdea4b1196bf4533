//! Publishing many messages in one request.

use super::common::{Daemon, member};
use super::{Response, body_of, get, post};

/// The lines that answer a batch.
fn publish(daemon: &Daemon, body: &str) -> Vec<String> {
    let mut response = Response::to(daemon, &post("/publish", "", body));
    assert_eq!(response.status(), "200", "{}", response.head);
    assert!(
        response
            .head
            .contains("\r\nContent-Type: application/x-ndjson\r\n")
    );
    let lines = response.chunked();
    assert!(lines.is_empty() || lines.ends_with('\n'), "{lines}");
    lines.lines().map(str::to_owned).collect()
}

#[test]
fn an_array_and_lines_are_published_in_order_and_each_publication_has_its_line() {
    let daemon = Daemon::start(&[]);
    let mut reader = daemon.connect();
    reader.ask(r#"{"type":"subscribe","id":1,"channel":"a"}"#);
    reader.ask(r#"{"type":"subscribe","id":2,"channel":"b"}"#);
    let first = publish(
        &daemon,
        r#"[{"channel":"a","data":1},{"channel":"b","data":{"x":[2]}},{"channel":"a","data":"AAE=","encoding":"base64"}]"#,
    );
    let second = publish(
        &daemon,
        "{\"channel\":\"a\",\"data\":3}\r\n\n{\"channel\":\"a\",\"data\":4}",
    );
    let seqs: Vec<_> = (first.iter().chain(&second))
        .map(|line| member(line, "seq"))
        .collect();
    assert_eq!(seqs, ["1", "1", "2", "3", "4"]);
    let expected = [
        r#""channel":"a","seq":1,"data":1}"#,
        r#""channel":"b","seq":1,"data":{"x":[2]}}"#,
        r#""channel":"a","seq":2,"encoding":"base64","data":"AAE="}"#,
        r#""channel":"a","seq":3,"data":3}"#,
        r#""channel":"a","seq":4,"data":4}"#,
    ];
    let mut got: Vec<_> = expected.iter().map(|_| reader.text()).collect();
    got.sort();
    let mut expected = expected.map(|rest| format!(r#"{{"type":"message",{rest}"#));
    expected.sort();
    assert_eq!(got, expected);
    assert_eq!(publish(&daemon, "[]"), [""; 0]);
    assert_eq!(publish(&daemon, ""), [""; 0]);
}

#[test]
fn a_publication_that_is_refused_leaves_the_others_as_they_are() {
    let daemon = Daemon::start(&[]);
    let lines = publish(
        &daemon,
        r#"[{"channel":"a","data":1},{"channel":"a b","data":1},{"data":1},{"channel":"$x","data":1},{"channel":"a","data":nul},7,{"channel":"a","data":2}]"#,
    );
    let codes: Vec<_> = (lines.iter())
        .map(|line| match line.contains("\"code\"") {
            true => member(line, "code"),
            false => member(line, "seq"),
        })
        .collect();
    assert_eq!(
        codes,
        [
            "1",
            "\"bad_channel\"",
            "\"bad_request\"",
            "\"forbidden\"",
            "\"bad_json\"",
            "\"bad_request\"",
            "2"
        ],
        "{lines:?}"
    );
}

#[test]
fn what_breaks_an_array_is_said_after_the_lines_of_what_came_before() {
    let daemon = Daemon::start(&[]);
    let lines = publish(&daemon, r#"[{"channel":"a","data":1},{"channel":"#);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(member(&lines[0], "seq"), "1");
    assert_eq!(member(&lines[1], "code"), "\"bad_json\"");
    assert!(lines[1].contains("the array does not end"), "{lines:?}");
}

#[test]
fn a_key_is_published_once_whoever_repeats_it_and_however() {
    let daemon = Daemon::start(&[]);
    let line = r#"{"channel":"a","data":1,"key":"k"}"#;
    let lines = publish(&daemon, &format!("{line}\n{line}"));
    assert_eq!(lines[0], lines[1]);
    for key in ["k", "\"k\""] {
        let fields = format!("Idempotency-Key: {key}\r\n");
        let answer = daemon.answer(&post("/channels/a", &fields, "1"));
        assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
        assert_eq!(body_of(&answer).trim_end(), lines[0]);
    }
    let other = daemon.answer(&post("/channels/a", "Idempotency-Key: other\r\n", "1"));
    assert_eq!(member(body_of(&other), "seq"), "2");
    let long = "k".repeat(65);
    for fields in [
        format!("Idempotency-Key: {long}\r\n"),
        "Idempotency-Key: \r\n".to_owned(),
        "Idempotency-Key: a\r\nIdempotency-Key: b\r\n".to_owned(),
    ] {
        let answer = daemon.answer(&post("/channels/a", &fields, "1"));
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    let answer = daemon.answer(&post("/publish", "Idempotency-Key: k\r\n", line));
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[test]
fn a_batch_may_be_longer_than_a_message_and_has_a_limit_of_its_own() {
    let daemon = Daemon::start(&["--max-message", "1KiB", "--max-batch", "100KiB"]);
    let line = r#"{"channel":"a","data":1}"#;
    let count = 100 * 1024 / (line.len() + 1);
    let body = format!("{line}\n").repeat(count);
    assert_eq!(publish(&daemon, &body).len(), count);
    let longer = daemon.answer(&post("/publish", "", &format!("{body}{body}")));
    assert!(longer.starts_with("HTTP/1.1 413 "), "{longer}");
    let long = daemon.answer(&post("/channels/a", "", &"1".repeat(2_000)));
    assert!(long.starts_with("HTTP/1.1 413 "), "{long}");
    // One publication is no longer than any other that is published.
    let one = format!("{{\"channel\":\"a\",\"data\":\"{}\"}}", "x".repeat(2_000));
    let lines = publish(&daemon, &one);
    assert_eq!(member(&lines[0], "code"), "\"limit\"", "{lines:?}");
}

#[test]
fn a_batch_waits_for_slow_readers_and_is_whole_all_the_same() {
    let daemon = Daemon::start(&["--retain-messages", "100"]);
    let mut reader = daemon.connect();
    reader.ask(r#"{"type":"subscribe","id":1,"channel":"a"}"#);
    let body = "{\"channel\":\"a\",\"data\":1}\n".repeat(20_000);
    let publisher = std::thread::spawn({
        let lines = Response::to(&daemon, &post("/publish", "", &body));
        move || {
            let mut lines = lines;
            lines.chunked()
        }
    });
    for n in 1..=20_000 {
        assert_eq!(member(&reader.text(), "seq"), n.to_string());
    }
    let lines = publisher.join().expect("the batch is answered");
    assert_eq!(lines.lines().count(), 20_000);
}

#[test]
fn a_request_behind_a_batch_is_answered_after_it() {
    let daemon = Daemon::start(&[]);
    let body = "{\"channel\":\"a\",\"data\":1}\n".repeat(1_000);
    let requests = post("/publish", "", &body)
        + &get("/channels/a?last=1", "")
        + &get("/healthz", "Connection: close\r\n");
    let answers = daemon.exchange(requests.as_bytes());
    assert!(answers.contains("\"messages\":[{\"seq\":1000,\"data\":1}]"));
    assert!(answers.ends_with("ok\n"));
}
