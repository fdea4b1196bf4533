//! The client library against the daemon, and against servers that misbehave on purpose.

mod common;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use common::{Daemon, PATIENCE};
use fanfare::client::{
    Cause, Client, ClientError, ConnectError, Connector, Error, Event, GapReason, Invalid, Message,
    Reconnect, Start, Step, Timeouts, WebSocket,
};
use fanfare::ws::close::CloseCode;
use fanfare::ws::handshake::accept_key;
use fanfare::ws::handshake::client::HandshakeError;

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
        Event::Message { seq, data, .. } => (seq, data),
        other => panic!("no message: {other:?}"),
    }
}

/// A server on a free port that does `script` with each connection in turn; its URL.
fn server(scripts: Vec<fn(&mut TcpStream)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("ws://{}", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        for script in scripts {
            let (mut stream, _) = listener.accept().expect("a connection");
            stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            script(&mut stream);
        }
        // Whoever comes now waits in the backlog.
        thread::sleep(PATIENCE);
    });
    url
}

/// Reads the request and returns its accept key.
fn read_request(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a request");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("text");
    let key = head
        .lines()
        .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))
        .expect("a key");
    String::from_utf8(accept_key(key.as_bytes()).to_vec()).expect("text")
}

fn answer(stream: &mut TcpStream, answer: &str) {
    stream.write_all(answer.as_bytes()).expect("it goes out");
}

fn accept(stream: &mut TcpStream) {
    let key = read_request(stream);
    answer(
        stream,
        &format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {key}\r\nSec-WebSocket-Protocol: json.fanfare.v1\r\n\r\n"
        ),
    );
}

fn text(stream: &mut TcpStream, text: &str) {
    let mut frame = vec![0x81];
    match u8::try_from(text.len()) {
        Ok(len @ 0..126) => frame.push(len),
        _ => {
            frame.push(126);
            frame.extend_from_slice(&(text.len() as u16).to_be_bytes());
        }
    }
    frame.extend_from_slice(text.as_bytes());
    stream.write_all(&frame).expect("it goes out");
}

/// Does the handshake as fanfare does, and says welcome.
fn welcome(stream: &mut TcpStream) {
    accept(stream);
    text(
        stream,
        r#"{"type":"welcome","protocol":"json.fanfare.v1","server":"t","session":"s","max_message":65536,"features":[]}"#,
    );
}

/// Waits for the client to send something.
fn hear(stream: &mut TcpStream) {
    let mut buffer = [0; 1000];
    let heard = stream.read(&mut buffer).expect("the client speaks");
    assert!(heard > 0);
}

/// Says nothing until the client has gone.
fn outlast(stream: &mut TcpStream) {
    // However the client goes, by an end or a reset.
    let _ = stream.read_to_end(&mut Vec::new());
}

fn close(stream: &mut TcpStream, code: u16) {
    let [high, low] = code.to_be_bytes();
    stream
        .write_all(&[0x88, 2, high, low])
        .expect("it goes out");
    outlast(stream);
}

/// A client that comes back without much waiting.
fn impatient(url: &str) -> Connector {
    Connector::new(url)
        .expect("a good URL")
        .reconnect(Reconnect {
            first: Duration::from_millis(1),
            ..Reconnect::default()
        })
}

#[test]
fn what_is_published_reaches_a_subscriber_and_is_acknowledged() {
    let daemon = Daemon::start(&[]);
    let (mut publisher, mut subscriber) = (connect(&daemon), connect(&daemon));
    let subscribed = subscriber.subscribe("prices", Start::Live).unwrap();
    assert_eq!((subscribed.seq, subscribed.recovered), (0, None));
    let published = publisher.publish("prices", r#" {"p": 0.10} "#).unwrap();
    assert_eq!((published.seq, &published.epoch), (1, &subscribed.epoch));
    assert_eq!(message(&mut subscriber), (1, r#"{"p": 0.10}"#.to_owned()));
    let position = subscriber.position("prices").unwrap();
    assert_eq!((position.seq, position.epoch), (1, published.epoch));
    publisher.close().unwrap();
}

#[test]
fn what_happens_while_a_call_waits_is_kept_for_the_iterator_in_order() {
    let daemon = Daemon::start(&[]);
    let mut client = connect(&daemon);
    client.subscribe("c", Start::Live).unwrap();
    for n in 1..=3 {
        client.publish("c", n.to_string()).unwrap();
    }
    client.unsubscribe("c").unwrap();
    let seqs: Vec<u64> = (0..3).map(|_| message(&mut client).0).collect();
    assert_eq!(seqs, [1, 2, 3]);
}

#[test]
fn kept_events_move_along_when_the_client_is_split() {
    let daemon = Daemon::start(&[]);
    let mut client = connect(&daemon);
    client.subscribe("c", Start::Live).unwrap();
    for n in 1..=3 {
        client.publish("c", n.to_string()).unwrap();
    }
    let (mut requests, mut events) = client.split();
    requests.publish("c", "4", 4).unwrap();
    requests.flush().unwrap();
    let seqs: Vec<u64> = std::iter::from_fn(|| match next(&mut events) {
        Event::Message { seq: 4, .. } => None,
        Event::Message { seq, .. } => Some(seq),
        _ => Some(0),
    })
    .filter(|&seq| seq > 0)
    .collect();
    assert_eq!(seqs, [1, 2, 3]);
}

#[test]
fn what_the_server_refuses_is_an_error_and_the_connection_goes_on() {
    let daemon = Daemon::start(&[]);
    let mut client = connect(&daemon);
    let refused = client.publish("$internal", "1").unwrap_err();
    assert!(matches!(refused, ClientError::Refused(refusal) if refusal.code == "forbidden"));
    client.publish("c", "1").unwrap();
}

#[test]
fn what_could_be_more_than_a_value_is_not_sent() {
    let daemon = Daemon::start(&["--max-message", "4KiB"]);
    let mut client = connect(&daemon);
    for data in ["", "x", "1,2", r#"1,"channel":"other""#, "{", "\"\u{1}\""] {
        let refused = client.publish("c", data).unwrap_err();
        assert!(
            matches!(refused, ClientError::Invalid(Invalid::Data { .. })),
            "{data}"
        );
    }
    let refused = client
        .publish("c", format!("\"{}\"", "x".repeat(4096)))
        .unwrap_err();
    assert!(matches!(
        refused,
        ClientError::Invalid(Invalid::TooLong { max: 4096, .. })
    ));
    let refused = client.publish("no way", "1").unwrap_err();
    assert!(matches!(refused, ClientError::Invalid(Invalid::Channel(_))));
    assert_eq!(client.publish("c", "1").unwrap().seq, 1);
}

#[test]
fn pipelined_publishes_beyond_the_window_are_all_answered() {
    let daemon = Daemon::start(&[]);
    let connector = Connector::new(&url(&daemon)).unwrap().window(10);
    let (mut requests, events) = connector.client().unwrap().split();
    let answers = thread::spawn(move || {
        let published = events.filter_map(|event| match event.expect("no end") {
            Event::Published { tag, seq, .. } => Some((tag, seq)),
            _ => None,
        });
        published.take(1000).collect::<Vec<_>>()
    });
    for n in 0..1000 {
        requests.publish("c", n.to_string(), n).unwrap();
    }
    requests.flush().unwrap();
    let answers = answers.join().unwrap();
    assert!(
        answers
            .iter()
            .enumerate()
            .all(|(n, &(tag, seq))| { tag == n as u64 && seq == n as u64 + 1 })
    );
}

#[test]
fn one_thread_can_pipeline_too_and_finds_the_answers_among_the_events() {
    let daemon = Daemon::start(&[]);
    let mut client = Connector::new(&url(&daemon))
        .unwrap()
        .window(10)
        .client()
        .unwrap();
    for n in 0..100 {
        client.publish_pipelined("c", n.to_string(), n).unwrap();
    }
    for n in 0..100 {
        let event = next(&mut client);
        assert!(
            matches!(event, Event::Published { tag, .. } if tag == n),
            "{event:?}"
        );
    }
}

#[test]
fn batches_are_answered_as_such_and_refusals_come_before() {
    let daemon = Daemon::start(&[]);
    let (mut requests, mut events) = connect(&daemon).split();
    for n in 1..=5 {
        let channel = if n == 3 { "$forbidden" } else { "c" };
        requests
            .publish_in_batch(channel, n.to_string(), n)
            .unwrap();
    }
    requests.flush().unwrap();
    assert!(matches!(
        next(&mut events),
        Event::Refused { tag: None, .. }
    ));
    match next(&mut events) {
        Event::BatchDone { tags, count } => assert_eq!((tags, count), (1..=5, 5)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn events_kept_for_nobody_are_bounded() {
    let daemon = Daemon::start(&[]);
    let mut client = Connector::new(&url(&daemon))
        .unwrap()
        .backlog(2000)
        .client()
        .unwrap();
    client.subscribe("c", Start::Live).unwrap();
    let error = (0..1000)
        .find_map(|n| client.publish("c", n.to_string()).err())
        .expect("it is too much at last");
    assert!(matches!(error, ClientError::Backlog));
    while matches!(client.next_at_hand(), Some(Ok(_))) {}
    client.publish("c", "1").unwrap();
}

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
                assert_eq!((seq, data.as_str()), (1, "2"));
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
    let url = server(vec![
        |stream| {
            welcome(stream);
            hear(stream);
        },
        |stream| {
            welcome(stream);
            // If anything came, it would be the publish again.
            stream
                .set_read_timeout(Some(Duration::from_millis(200)))
                .unwrap();
            assert!(stream.read(&mut [0; 100]).is_err(), "silence");
            text(
                stream,
                r#"{"type":"goodbye","reason":"quiet","reconnect_after_ms":0}"#,
            );
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
fn a_retry_after_is_waited_for() {
    let url = server(vec![
        welcome,
        |stream| {
            read_request(stream);
            answer(
                stream,
                "HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 4\r\n\r\nbusy",
            );
        },
        welcome,
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
    let url = server(vec![
        |stream| {
            welcome(stream);
            close(stream, 4508);
        },
        |stream| {
            welcome(stream);
            close(stream, 4403);
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
    let url = server(vec![welcome, |stream| {
        read_request(stream);
        answer(stream, "HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n");
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
    let url = server(vec![
        |stream| {
            welcome(stream);
            hear(stream);
            // Neither a pong nor an end, until the client goes.
            outlast(stream);
        },
        welcome,
    ]);
    let connector = impatient(&url).ping_after(Duration::from_millis(50));
    let mut client = connector.client().unwrap();
    let Event::Reconnecting { cause, .. } = next(&mut client) else {
        panic!("it is lost");
    };
    assert!(matches!(*cause, Cause::Silent), "{cause}");
}

#[test]
fn a_closer_ends_the_iterator_from_another_thread_without_an_error() {
    let daemon = Daemon::start(&[]);
    let client = connect(&daemon);
    let closer = client.closer();
    let events = thread::spawn(move || client.inspect(|event| assert!(event.is_ok())).count());
    closer.close();
    assert_eq!(events.join().unwrap(), 0);
}

#[test]
fn who_closes_during_a_reconnect_says_so_on_the_new_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let accept = || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    let connecting = thread::spawn(move || impatient(&url).client().unwrap());
    welcome(&mut accept());
    let client = connecting.join().unwrap();
    let closer = client.closer();
    let events = thread::spawn(move || client.for_each(drop));
    let mut stream = accept();
    closer.close();
    welcome(&mut stream);
    let mut head = [0; 2];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(head[0], 0x88, "a close");
    drop(stream);
    events.join().unwrap();
}

#[test]
fn each_step_of_connecting_has_its_timeout() {
    let timeouts = Timeouts {
        handshake: Duration::from_millis(50),
        ..Timeouts::default()
    };
    let mute = server(vec![|stream| {
        read_request(stream);
        outlast(stream);
    }]);
    let no_welcome = server(vec![|stream| {
        accept(stream);
        outlast(stream);
    }]);
    for url in [mute, no_welcome] {
        let error = Connector::new(&url)
            .unwrap()
            .timeouts(timeouts)
            .client()
            .err();
        let late = matches!(error, Some(ConnectError::TimedOut(Step::Handshake)));
        assert!(late, "{error:?}");
    }
}

#[test]
fn an_answer_that_opens_no_websocket_is_refused_by_what_is_wrong_with_it() {
    let url = server(vec![
        |stream| {
            read_request(stream);
            answer(stream, "SSH-2.0-OpenSSH_9.7\r\n\r\n");
        },
        |stream| {
            read_request(stream);
            answer(stream, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe");
            answer(stream, "llo");
        },
        |stream| {
            read_request(stream);
            answer(
                stream,
                "HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: AAAA\r\n\r\n",
            );
        },
        |stream| {
            read_request(stream);
            let line = format!("X: {}\r\n", "x".repeat(1000));
            answer(stream, &format!("HTTP/1.1 101 OK\r\n{}", line.repeat(20)));
        },
        |stream| drop(read_request(stream)),
    ]);
    let mut errors = (0..5).map(|_| WebSocket::connect(&url).expect_err("no WebSocket"));
    let mut error = || errors.next().expect("five");
    assert!(matches!(error(), ConnectError::NotHttp(_)));
    let refused = error();
    assert!(
        matches!(&refused, ConnectError::Handshake(HandshakeError::Status { status: 200, body, .. })
            if body == "hello"),
        "{refused}"
    );
    assert!(matches!(
        error(),
        ConnectError::Handshake(HandshakeError::Accept)
    ));
    assert!(matches!(error(), ConnectError::HeadTooLong));
    assert!(matches!(
        error(),
        ConnectError::NoAnswer | ConnectError::Broken(_)
    ));
}

#[test]
fn a_server_that_does_not_speak_the_sub_protocol_is_no_fanfare() {
    let daemon = Daemon::start(&["--echo"]);
    let error = Client::connect(&format!("{}/echo", url(&daemon))).err();
    assert!(error.is_some(), "the echo is no place for channels");
}

#[test]
fn nobody_there_is_told_from_a_bad_url() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let error = Client::connect(&format!("ws://127.0.0.1:{port}"))
        .err()
        .unwrap();
    assert!(
        matches!(error, ConnectError::Tcp { .. }) && error.comes_back(),
        "{error}"
    );
    let error = Client::connect("wss://127.0.0.1").err().unwrap();
    assert!(
        matches!(error, ConnectError::Url(_)) && !error.comes_back(),
        "{error}"
    );
}

#[test]
fn the_plain_layer_and_the_daemons_echo_understand_each_other() {
    let daemon = Daemon::start(&["--echo", "--max-message", "16MiB"]);
    let mut socket = WebSocket::connect(&format!("{}/echo", url(&daemon))).unwrap();
    socket.set_timeout(Some(PATIENCE)).unwrap();
    for len in [0, 1, 125, 126, 65_535, 65_536, 1 << 20] {
        let text = "ä€𝄞x".chars().cycle().take(len).collect::<String>();
        socket.send_text(&text).unwrap();
        assert!(socket.receive().unwrap() == Message::Text(text));
        let bytes: Vec<u8> = (0..len).map(|n| (n * 7) as u8).collect();
        socket.send_binary(&bytes).unwrap();
        assert!(socket.receive().unwrap() == Message::Binary(bytes));
    }
    socket.ping(b"p").unwrap();
    assert_eq!(socket.receive().unwrap(), Message::Pong(b"p".to_vec()));
    socket.close().unwrap();
}

#[test]
fn halves_on_two_threads_carry_more_than_the_system_buffers() {
    let daemon = Daemon::start(&["--echo", "--max-message", "16MiB"]);
    let socket = WebSocket::connect(&format!("{}/echo", url(&daemon))).unwrap();
    let (mut sender, mut receiver) = socket.split();
    let echoes = thread::spawn(move || {
        for n in 0..100_u8 {
            match receiver.receive() {
                Ok(Message::Binary(bytes)) => assert!(bytes == vec![n; 200_000]),
                other => panic!("{other:?}"),
            }
        }
        receiver.receive()
    });
    for n in 0..100_u8 {
        sender.send_binary(&vec![n; 200_000]).unwrap();
    }
    sender.close(CloseCode::NORMAL, "enough").unwrap();
    assert!(matches!(echoes.join().unwrap(), Err(Error::Closed { .. })));
}
