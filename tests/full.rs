//! With as many connections as `--max-connections` allows: who is answered all the same, and who is not.
//!
//! All of these come from this machine. So the lobby, which is for those who do not, is seen once the reserve is taken.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use common::{
    Client, Daemon, PATIENCE, handshake, header, member, read_answer, read_head, read_to_end,
};

/// As many connections as the reserve has places for.
const RESERVE: usize = 16;

/// As many connections as the lobby has places for.
const LOBBY: usize = 32;

const HEALTHZ: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn post(data: &str) -> String {
    let len = data.len();
    format!("POST /channels/c HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len}\r\n\r\n{data}")
}

/// A daemon with as many connections as it may have.
fn full(arguments: &[&str]) -> (Daemon, [Client; 2]) {
    let arguments = [
        &["--max-connections", "2", "--message-timeout", "10m"],
        arguments,
    ]
    .concat();
    let daemon = Daemon::start(&arguments);
    let clients = [daemon.connect(), daemon.connect()];
    (daemon, clients)
}

/// Takes the whole reserve with publications whose bodies do not come.
fn take_reserve(daemon: &Daemon) -> Vec<TcpStream> {
    let half = "POST /channels/c HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n";
    let streams: Vec<_> = (0..RESERVE)
        .map(|_| {
            let mut stream = daemon.raw();
            stream.write_all(half.as_bytes()).expect("it goes out");
            assert_eq!(read_head(&mut stream), "HTTP/1.1 100 Continue\r\n\r\n");
            stream
        })
        .collect();
    assert_eq!(streams.len(), RESERVE);
    streams
}

fn status(answer: &str) -> &str {
    answer.get(9..12).unwrap_or("none")
}

/// The status, and that it says to come back later and then closes.
fn refused(answer: &str) -> bool {
    status(answer) == "503"
        && header(answer, "Retry-After").is_some()
        && header(answer, "Connection") == Some("close")
}

#[test]
fn requests_from_this_machine_are_served_one_to_a_connection_and_publish_to_who_is_there() {
    let (daemon, [mut one, _two]) = full(&[]);
    one.ask(r#"{"type":"subscribe","id":1,"channel":"c"}"#);
    for (request, expected) in [
        (HEALTHZ.to_owned(), "200"),
        (post("1"), "201"),
        (
            "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
            "200",
        ),
        (post("{"), "400"),
        (
            "GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
            "404",
        ),
    ] {
        // To the end of the stream: the place is for the next.
        let answer = daemon.exchange(request.as_bytes());
        assert_eq!(status(&answer), expected, "{answer}");
        assert_eq!(header(&answer, "Connection"), Some("close"));
    }
    assert_eq!(
        one.text(),
        r#"{"type":"message","channel":"c","seq":1,"data":1}"#
    );
}

#[test]
fn by_a_unix_socket_publications_get_through_as_well() {
    let path = std::env::temp_dir().join(format!("fanfare-full-{}.sock", std::process::id()));
    let listen = format!("unix:{}", path.display());
    let (_daemon, _clients) = full(&["--listen", &listen]);
    let mut stream = UnixStream::connect(&path).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.write_all(post("1").as_bytes()).expect("it goes out");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it is answered");
    assert_eq!(status(&answer), "201", "{answer}");
}

#[test]
fn a_websocket_is_told_to_come_back_later() {
    let (daemon, _clients) = full(&["--echo"]);
    for path in ["/", "/ws", "/echo"] {
        let answer = daemon.exchange(handshake(path, "").as_bytes());
        assert!(refused(&answer), "{path}: {answer}");
    }
}

#[test]
fn an_event_stream_is_told_to_come_back_later_since_it_would_keep_a_publisher_out() {
    let (daemon, _clients) = full(&[]);
    for path in ["/channels/c/events", "/patterns/c.*/events"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let answer = daemon.exchange(request.as_bytes());
        assert!(refused(&answer), "{path}: {answer}");
    }
}

#[test]
fn hundreds_of_silent_connections_keep_no_publisher_out() {
    let (daemon, _clients) = full(&[]);
    let silent: Vec<_> = (0..300).map(|_| daemon.raw()).collect();
    let answer = daemon.exchange(post("1").as_bytes());
    assert_eq!(status(&answer), "201", "{answer}");
    drop(silent);
}

#[test]
fn in_the_lobby_healthz_is_answered_and_all_else_refused() {
    let (daemon, _clients) = full(&[]);
    let _reserve = take_reserve(&daemon);
    assert_eq!(status(&daemon.exchange(HEALTHZ.as_bytes())), "200");
    let head = daemon.exchange(b"HEAD /healthz?from=lb HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(status(&head), "200");
    assert!(head.ends_with("\r\n\r\n"), "{head}");
    for request in [
        post("1"),
        handshake("/", ""),
        "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
        "POST /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
        "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
        // Their bodies are not waited for.
        "POST /channels/c HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n".to_owned(),
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
        "PUT /channels/c HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"
            .to_owned(),
    ] {
        let answer = daemon.exchange(request.as_bytes());
        assert!(refused(&answer), "{request}: {answer}");
    }
    let head = daemon.exchange(b"HEAD / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n");
    assert!(refused(&head) && head.ends_with("\r\n\r\n"), "{head}");
}

#[test]
fn nobody_keeps_the_lobby_to_itself() {
    let (daemon, _clients) = full(&[]);
    let _reserve = take_reserve(&daemon);
    // Silent ones and ones that have sent half a request, all in one moment: none of them has the time to time out.
    daemon.stop();
    let mut waiting: Vec<TcpStream> = Vec::new();
    for n in 0..4 * LOBBY {
        let mut stream = daemon.raw();
        if n % 2 == 0 {
            stream.write_all(b"GET /healthz HT").expect("it goes out");
        }
        waiting.push(stream);
    }
    daemon.signal("CONT");
    for mut first in waiting.drain(..LOBBY) {
        let mut answer = Vec::new();
        // The end of the stream, or a reset for who has sent what was not read.
        let _ = first.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        assert_eq!(answer, "", "it gives way without a word");
    }
    let until = Instant::now() + PATIENCE;
    loop {
        let mut stream = daemon.raw();
        let mut answer = Vec::new();
        let sent = stream.write_all(HEALTHZ.as_bytes());
        if sent.is_ok() && stream.read_to_end(&mut answer).is_ok() && !answer.is_empty() {
            assert!(answer.starts_with(b"HTTP/1.1 200 "));
            break;
        }
        assert!(Instant::now() < until, "the lobby is occupied");
    }
}

#[test]
fn of_a_burst_of_requests_beyond_the_limit_each_is_answered() {
    let (daemon, _clients) = full(&[]);
    let _reserve = take_reserve(&daemon);
    daemon.stop();
    let asked: Vec<TcpStream> = (0..4 * LOBBY)
        .map(|n| {
            let mut stream = daemon.raw();
            let handshake = handshake("/", "");
            let request = if n % 4 == 3 { HEALTHZ } else { &handshake };
            stream.write_all(request.as_bytes()).expect("it goes out");
            stream
        })
        .collect();
    daemon.signal("CONT");
    for (n, mut stream) in asked.into_iter().enumerate() {
        let answer = read_to_end(&mut stream);
        let expected = if n % 4 == 3 { "200" } else { "503" };
        assert_eq!(status(&answer), expected, "number {n}: {answer}");
    }
}

#[test]
fn a_client_that_says_nothing_in_the_lobby_is_closed_however_long_a_handshake_may_take() {
    let (daemon, _clients) = full(&["--handshake-timeout", "10m"]);
    let _reserve = take_reserve(&daemon);
    let (mut silent, mut slow) = (daemon.raw(), daemon.raw());
    slow.write_all(b"GET /healthz HT").expect("it goes out");
    assert_eq!(read_to_end(&mut silent), "");
    assert_eq!(status(&read_to_end(&mut slow)), "408");
}

#[test]
fn a_client_that_came_beyond_the_limit_may_do_everything_once_a_place_is_free() {
    let (mut daemon, clients) = full(&[]);
    // They sit in the reserve before the places become free.
    let [mut one, mut two] = <[TcpStream; RESERVE]>::try_from(take_reserve(&daemon))
        .map(|[one, two, ..]| [one, two])
        .expect("the reserve");
    drop(clients);
    // The others of the reserve have gone as well.
    daemon.wait_for_sum("connections", |open| open == 2);
    one.write_all(b"1").expect("it goes out");
    let answer = read_answer(&mut one);
    assert_eq!(status(&answer), "201", "{answer}");
    assert_eq!(header(&answer, "Connection"), Some("keep-alive"));
    one.write_all(handshake("/", "").as_bytes())
        .expect("it goes out");
    let head = read_head(&mut one);
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let mut one = Client { stream: one, head };
    assert_eq!(member(&one.text(), "type"), r#""welcome""#);
    // And it counts: one more place is free, and then none.
    let _other = daemon.connect();
    assert!(refused(&daemon.exchange(handshake("/", "").as_bytes())));
    two.write_all(b"1").expect("it goes out");
    let answer = read_to_end(&mut two);
    assert_eq!(status(&answer), "201", "{answer}");
    assert_eq!(header(&answer, "Connection"), Some("close"));
}

#[test]
fn those_turned_away_are_counted_and_those_served_are_not() {
    let (mut daemon, _clients) = full(&[]);
    for _ in 0..3 {
        daemon.exchange(HEALTHZ.as_bytes());
        daemon.exchange(handshake("/", "").as_bytes());
    }
    assert_eq!(daemon.sum("refused"), 3);
}
