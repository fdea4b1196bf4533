//! Keys that are fetched: from where, when, and what becomes of them.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::Sender;

use super::*;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A set with one key, of this name.
fn set(kid: &str) -> Vec<u8> {
    let point = [
        "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    ];
    let [x, y] = point;
    format!(r#"{{"keys":[{{"kty":"EC","crv":"P-256","kid":"{kid}","x":"{x}","y":"{y}"}}]}}"#)
        .into_bytes()
}

fn ids(keys: &KeySet) -> Vec<Option<&str>> {
    keys.iter().map(super::super::Key::id).collect()
}

#[test]
fn keys_come_over_https_or_from_this_machine() {
    let good = [
        "https://id.example.com/jwks.json",
        "https://id.example.com",
        "https://id.example.com:8443/a?b=c",
        "HTTPS://id.example.com/",
        "http://localhost:8080/keys",
        "http://127.0.0.1/keys",
        "http://127.9.9.9/keys",
        "http://[::1]:80/keys",
    ];
    for url in good {
        assert_eq!(check_url(url), Ok(()), "{url}");
    }
    let bad = [
        "",
        "id.example.com",
        "/jwks.json",
        "file:///etc/passwd",
        "ftp://id.example.com/",
        "http://id.example.com/",
        "http://10.0.0.1/",
        "http://localhost.example.com/",
        "http://127.0.0.1.example.com/",
        "http://127.0.0.1@id.example.com/",
        "https://user:password@id.example.com/",
        "https://id.example.com/#x",
        "https://id.example.com/a b",
        "https://",
        "https:///keys",
    ];
    for url in bad {
        let why = check_url(url).expect_err(url);
        assert!(!why.contains("password@"), "{why}");
    }
}

#[test]
fn keys_are_fetched_every_hour_and_once_a_minute_if_asked_for_or_away() {
    let began = Instant::now();
    let mut schedule = Schedule::after(began, true);
    assert_eq!(schedule.next, began + Duration::from_secs(3600));
    schedule.ask();
    assert_eq!(schedule.next, began + Duration::from_secs(60));
    schedule.ask();
    assert_eq!(schedule.next, began + Duration::from_secs(60));
    assert_eq!(
        Schedule::after(began, false).next,
        began + Duration::from_secs(60)
    );
}

#[test]
fn only_keys_that_changed_are_given_and_the_last_good_ones_are_kept() {
    let mut following = Following::new("https://id.example.com/".into());
    let first = following.take(Ok(set("a"))).expect("a good set");
    assert_eq!(ids(&first.expect("keys")), [Some("a")]);
    assert!(
        following
            .take(Ok(set("a")))
            .is_ok_and(|same| same.is_none())
    );
    for bad in [
        Err("refused".to_owned()),
        Ok(Vec::new()),
        Ok(br#"{"keys":[]}"#.to_vec()),
    ] {
        assert!(following.take(bad).is_err());
        assert!(following.is_away);
    }
    assert!(
        following
            .take(Ok(set("a")))
            .is_ok_and(|same| same.is_none())
    );
    assert!(!following.is_away);
    let second = following.take(Ok(set("b"))).expect("a good set");
    assert_eq!(ids(&second.expect("keys")), [Some("b")]);
}

/// A server for one fetch at a time, that gives these answers, one a connection.
fn server(answers: Vec<Vec<u8>>) -> (String, Receiver<String>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let url = format!(
        "http://{}/keys?secret=1",
        listener.local_addr().expect("an address")
    );
    let (heads, seen) = mpsc::channel();
    thread::spawn(move || {
        for answer in answers {
            let Ok((stream, _)) = listener.accept() else {
                return;
            };
            serve(stream, &answer, &heads);
        }
    });
    (url, seen)
}

fn serve(mut stream: TcpStream, answer: &[u8], heads: &Sender<String>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => break,
        }
    }
    let _ = heads.send(String::from_utf8_lossy(&head).into_owned());
    // A reader that has enough goes away.
    let _ = stream.write_all(answer);
}

fn ok(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

#[test]
fn the_first_keys_come_by_themselves_and_wake_whoever_waits() {
    let (url, seen) = server(vec![ok(&set("a"))]);
    let (woken, wakes) = mpsc::channel();
    let source = KeySource::start(&url, move || {
        let _ = woken.send(());
    })
    .expect("a source");
    wakes.recv_timeout(PATIENCE).expect("a wake");
    let keys = source.poll().expect("keys");
    assert_eq!(ids(&keys), [Some("a")]);
    assert!(source.poll().is_none());
    let head = seen.recv_timeout(PATIENCE).expect("a request");
    assert!(
        head.starts_with("GET /keys?secret=1 HTTP/1.1\r\n"),
        "{head}"
    );
}

#[test]
fn who_waits_for_keys_gets_them_when_they_come() {
    let (url, _seen) = server(vec![ok(&set("a"))]);
    let source = KeySource::start(&url, || {}).expect("a source");
    let keys = source.wait(PATIENCE).expect("keys");
    assert_eq!(ids(&keys), [Some("a")]);
}

#[test]
fn a_url_that_is_not_taken_starts_nothing() {
    assert!(KeySource::start("http://id.example.com/", || {}).is_err());
}

#[test]
fn an_answer_that_is_none_is_an_error() {
    let long = ok(&vec![b' '; (1 << 20) + 1]);
    let endless = [b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &vec![b' '; 3 << 20]].concat();
    let bad = [
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
        b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n".to_vec(),
        // Another address is not this machine.
        b"HTTP/1.1 302 Found\r\nLocation: http://id.example.com/\r\nContent-Length: 0\r\n\r\n"
            .to_vec(),
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".to_vec(),
        b"SSH-2.0-x\r\n".to_vec(),
        Vec::new(),
        long,
        endless,
    ];
    for answer in bad {
        let shown = String::from_utf8_lossy(&answer[..answer.len().min(30)]).into_owned();
        let (url, _seen) = server(vec![answer]);
        let fetched = fetch::fetch(&url);
        let is_read = fetched.is_ok_and(|body| jwks::read(&body, jwks::From::Url).is_ok());
        assert!(!is_read, "{shown}");
    }
    let (url, _seen) = server(vec![ok(&vec![b' '; 1 << 20])]);
    assert!(fetch::fetch(&url).is_ok_and(|body| body.len() == 1 << 20));
}

#[test]
fn an_error_on_the_way_is_no_end_and_the_thread_ends_with_its_owner() {
    let (ended, end) = mpsc::channel();
    let guard = OnDrop(ended);
    let mut answers = vec![Ok(set("a"))].into_iter();
    let fetch = move || {
        let _ = &guard;
        answers.next().unwrap_or_else(|| Err("away".into()))
    };
    let source = KeySource::start_with("test".into(), fetch, || {}).expect("a thread");
    assert!(source.wait(PATIENCE).is_some());
    source.wanted();
    source.wanted();
    drop(source);
    assert!(end.recv_timeout(PATIENCE).is_ok());
}

struct OnDrop(Sender<()>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}
