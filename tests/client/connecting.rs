//! The first connection.

use std::time::Duration;

use fanfare::client::{Client, ConnectError, Connector, Step, Timeouts, WebSocket};
use fanfare::ws::handshake::client::HandshakeError;

use crate::common::Daemon;
use crate::common::fake::{listen, serve_in_turn};
use crate::url;

#[test]
fn each_step_of_connecting_has_its_timeout() {
    let timeouts = Timeouts {
        handshake: Duration::from_millis(50),
        ..Timeouts::default()
    };
    let mute = serve_in_turn(vec![|fake| {
        fake.request();
        fake.outlast();
    }]);
    let no_welcome = serve_in_turn(vec![|fake| {
        fake.accept();
        fake.outlast();
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
    let url = serve_in_turn(vec![
        |fake| {
            fake.request();
            fake.answer("SSH-2.0-OpenSSH_9.7\r\n\r\n");
        },
        |fake| {
            fake.request();
            fake.answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe");
            fake.answer("llo");
        },
        |fake| {
            fake.request();
            fake.answer(
                "HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: AAAA\r\n\r\n",
            );
        },
        |fake| {
            fake.request();
            let line = format!("X: {}\r\n", "x".repeat(1000));
            fake.answer(&format!("HTTP/1.1 101 OK\r\n{}", line.repeat(20)));
        },
        |fake| drop(fake.request()),
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
    let (_, url) = listen();
    let error = Client::connect(&url).err().unwrap();
    assert!(
        matches!(error, ConnectError::Tcp { .. }) && error.comes_back(),
        "{error}"
    );
    let error = Client::connect("http://127.0.0.1").err().unwrap();
    assert!(
        matches!(error, ConnectError::Url(_)) && !error.comes_back(),
        "{error}"
    );
}
