//! Reading what a channel holds.

use super::common::{Daemon, header};
use super::{Response, get, publish};

/// The body of the answer to a GET.
fn read(daemon: &Daemon, path: &str) -> String {
    let mut response = Response::to(daemon, &get(path, ""));
    assert_eq!(response.status(), "200", "{path}");
    response.chunked()
}

#[test]
fn a_channel_tells_what_it_holds_or_the_part_that_is_asked_for() {
    let daemon = Daemon::start(&[]);
    let epoch = publish(&daemon, "c", "1");
    for n in 2..=5 {
        publish(&daemon, "c", &n.to_string());
    }
    let of = |seqs: &[u64], more: &str| {
        let messages: Vec<_> = (seqs.iter())
            .map(|n| format!("{{\"seq\":{n},\"data\":{n}}}"))
            .collect();
        let messages = messages.join(",");
        format!(
            "{{\"channel\":\"c\",\"epoch\":\"{epoch}\",\"seq\":5,\"messages\":[{messages}]{more}}}\n"
        )
    };
    let more = ",\"more\":true";
    for (query, seqs, more) in [
        ("", &[1, 2, 3, 4, 5][..], ""),
        ("?last=2", &[4, 5], ""),
        ("?last=9", &[1, 2, 3, 4, 5], ""),
        ("?last=0", &[], ""),
        ("?limit=2", &[1, 2], more),
        ("?limit=5", &[1, 2, 3, 4, 5], ""),
        ("?last=3&limit=2", &[3, 4], more),
        ("?until=2", &[1, 2], ""),
        ("?until=2&limit=2", &[1, 2], ""),
        ("?until=0", &[], ""),
        ("?since=EPOCH:3", &[4, 5], ""),
        ("?since=EPOCH:1&until=4", &[2, 3, 4], ""),
        ("?since=EPOCH:5", &[], ""),
    ] {
        let path = format!("/channels/c{}", query.replace("EPOCH", &epoch));
        assert_eq!(read(&daemon, &path), of(seqs, more), "{query}");
    }
}

#[test]
fn what_is_missing_is_named_before_what_is_held() {
    let daemon = Daemon::start(&["--retain-messages", "2"]);
    let epoch = publish(&daemon, "c", "1");
    for n in 2..=5 {
        publish(&daemon, "c", &n.to_string());
    }
    let told = read(&daemon, &format!("/channels/c?since={epoch}:1&limit=1"));
    let gap = r#""seq":5,"gap":{"from":2,"to":3,"reason":"expired"},"messages":[{"seq":4,"data":4}],"more":true}"#;
    assert!(told.contains(gap), "{told}");
    let told = read(&daemon, "/channels/c?since=elsewhere:1");
    let gap = r#""gap":{"from":0,"to":3,"reason":"epoch"},"messages":[{"seq":4,"data":4},"#;
    assert!(told.contains(gap), "{told}");
}

#[test]
fn texts_and_bytes_say_how_they_are_written() {
    let daemon = Daemon::start(&[]);
    let mut websocket = daemon.connect();
    websocket.ask(r#"{"type":"publish","id":1,"channel":"c","encoding":"text","data":"a\nb"}"#);
    websocket.ask(r#"{"type":"publish","id":2,"channel":"c","encoding":"base64","data":"AAE="}"#);
    let told = read(&daemon, "/channels/c");
    let messages = r#"[{"seq":1,"encoding":"text","data":"a\nb"},{"seq":2,"encoding":"base64","data":"AAE="}]"#;
    assert!(told.contains(messages), "{told}");
}

#[test]
fn a_long_history_comes_whole_and_requests_behind_it_are_answered_in_their_order() {
    use std::io::Write;
    let daemon = Daemon::start(&["--retain-messages", "5000", "--retain-bytes", "8MiB"]);
    let mut websocket = daemon.connect();
    for n in 1..=5_000 {
        let data = format!("\"{n} {}\"", "x".repeat(500));
        websocket.send_text(&format!(
            r#"{{"type":"publish","channel":"c","data":{data}}}"#
        ));
    }
    websocket.ask(r#"{"type":"ping"}"#);
    let mut response = Response::to(&daemon, &get("/channels/c", ""));
    let rest = get("/channels/c?last=1", "") + &get("/healthz", "Connection: close\r\n");
    let socket = response.body.get_mut();
    socket.write_all(rest.as_bytes()).expect("it is taken");
    let told = response.chunked();
    assert_eq!(told.matches("{\"seq\":").count(), 5_000);
    assert!(told.contains("{\"seq\":5000,\"data\":\"5000 xx"), "whole");
    assert!(told.ends_with("]}\n"));
    let mut heads = String::new();
    loop {
        let line = response.line();
        if line.is_empty() {
            break;
        }
        heads.push_str(&line);
    }
    assert_eq!(heads.matches("HTTP/1.1 200 OK").count(), 2, "{heads}");
    assert!(heads.ends_with("ok\n"), "{heads}");
}

#[test]
fn a_client_that_has_the_current_value_is_told_so() {
    let daemon = Daemon::start(&[]);
    publish(&daemon, "c", "1");
    let ask = |tag: &str| {
        let fields = match tag {
            "" => String::new(),
            tag => format!("If-None-Match: {tag}\r\n"),
        };
        let response = Response::to(&daemon, &get("/channels/c?last=1", &fields));
        let tag = header(&response.head, "ETag").expect("a tag").to_owned();
        (response.status().to_owned(), tag)
    };
    let (status, tag) = ask("");
    assert_eq!(status, "200");
    for same in [
        tag.clone(),
        format!("W/{tag}"),
        format!("\"x\", {tag}"),
        "*".to_owned(),
    ] {
        assert_eq!(ask(&same), ("304".to_owned(), tag.clone()), "{same}");
    }
    publish(&daemon, "c", "2");
    let (status, newer) = ask(&tag);
    assert_eq!(status, "200");
    assert_ne!(newer, tag);
}

#[test]
fn a_channel_that_is_not_there_is_not_found_and_none_comes_into_being() {
    let daemon = Daemon::start(&[]);
    for _ in 0..2 {
        let answer = daemon.answer(&get("/channels/c", ""));
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
        assert!(answer.contains("\"code\":\"not_found\""), "{answer}");
    }
}

#[test]
fn http_1_0_gets_a_history_up_to_the_end_of_the_connection() {
    let daemon = Daemon::start(&[]);
    publish(&daemon, "c", "1");
    let answer = daemon.exchange(b"GET /channels/c HTTP/1.0\r\nHost: localhost\r\n\r\n");
    assert!(!answer.contains("chunked"), "{answer}");
    assert!(
        answer.ends_with("\"messages\":[{\"seq\":1,\"data\":1}]}\n"),
        "{answer}"
    );
}
