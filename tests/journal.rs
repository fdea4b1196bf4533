//! What the log says of single connections, and of limits that do not hold as they were set.

mod common;

use std::io::Write;
use std::time::Instant;

use common::{Daemon, member};

#[test]
fn at_debug_the_log_says_who_connected_subscribed_was_refused_and_why() {
    let mut daemon = Daemon::start(&[
        "--log",
        "debug",
        "--origin",
        "https://example.org",
        "--trusted-proxy",
        "127.0.0.1",
        "--trusted-proxy-header",
        "x-forwarded-for",
    ]);
    let mut client = daemon.open(
        "/",
        "Origin: https://example.org\r\nX-Forwarded-For: 203.0.113.9\r\n",
    );
    let welcome = client.text();
    let session = member(&welcome, "session").trim_matches('"').to_owned();
    let address = client.stream.local_addr().expect("an address");
    let who = format!("{session} {address}: ");
    client.ask(r#"{"type":"subscribe","channel":"prices"}"#);
    client.ask(r#"{"type":"subscribe","channel":"prices"}"#);
    client.ask(r#"{"type":"unsubscribe","channel":"prices"}"#);
    client.ask("rubbish");
    client.send_text("{}");
    client.send(&common::masked(0x82, b"binary"));
    client.close();
    for what in [
        "connected",
        "opened a WebSocket (Json), Origin \"https://example.org\", X-Forwarded-For \"203.0.113.9\"",
        "subscribed to \"prices\"",
        "refused with already_subscribed: this connection is subscribed to it already, channel \"prices\"",
        "unsubscribed from \"prices\"",
        "refused with bad_json: ",
        "refused with bad_request: ",
        "closed with 1003: json.fanfare.v1 has text messages only",
    ] {
        daemon.wait_for_log(&format!("{who}{what}"));
    }
    let answer =
        daemon.exchange(b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    daemon.wait_for_log(": answered 404, ");
}

#[test]
fn a_connection_that_is_turned_away_is_named_with_the_reason() {
    let mut daemon = Daemon::start(&["--log", "debug", "--max-connections", "1"]);
    let _first = daemon.connect();
    let mut second = daemon.raw();
    let address = second.local_addr().expect("an address");
    let asks = common::handshake("/", "");
    second.write_all(asks.as_bytes()).expect("it goes out");
    let answer = common::read_answer(&mut second);
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    daemon.wait_for_log(&format!("{address}: answered 503, "));
}

#[test]
fn strangers_cannot_make_the_log_long() {
    const REFUSALS: u64 = 1_500;
    let began = Instant::now();
    let mut daemon = Daemon::start(&["--log", "debug"]);
    let mut client = daemon.connect();
    for _ in 0..REFUSALS {
        client.ask(r#"{"type":"nonsense"}"#);
    }
    daemon.signal("TERM");
    let (mut written, mut left_out) = (0, 0);
    loop {
        let line = daemon.next_log("");
        if line.contains("ended after") {
            break;
        }
        written += u64::from(line.contains("refused with unknown_type"));
        if let Some((before, _)) = line.split_once(" lines like these were left out") {
            let number = before
                .rsplit(' ')
                .next()
                .and_then(|n| n.parse::<u64>().ok());
            left_out += number.expect("a number");
        }
    }
    let most = 200 + 20 * (began.elapsed().as_secs() + 1);
    assert!(written <= most, "{written} lines");
    assert!(written + left_out >= REFUSALS, "{written} + {left_out}");
}

#[test]
fn at_info_the_log_says_nothing_of_single_clients() {
    let mut daemon = Daemon::start(&[]);
    let mut client = daemon.connect();
    client.ask("rubbish");
    daemon.signal("TERM");
    let mut line = String::new();
    while !line.contains("ended after") {
        line = daemon.next_log("");
        assert!(
            !line.contains("127.0.0.1") || line.contains("listening"),
            "{line}"
        );
    }
}

#[test]
fn a_limit_that_is_lowered_is_warned_about_with_both_numbers() {
    let mut daemon = Daemon::start(&["--max-connections", "1000000000", "--outbox-total", "2000"]);
    let files = daemon.wait_for_log("files: at most ");
    let allowed = files.rsplit(' ').next().expect("a number").to_owned();
    let warning = daemon.wait_for_log("--max-connections is lowered from 1000000000 to ");
    assert!(warning.contains(&format!(" to {allowed}: ")), "{warning}");
    daemon.wait_for_log("--outbox is lowered from 65536 B to 2000 B");
}
