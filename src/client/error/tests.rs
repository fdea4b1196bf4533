//! What is a reason to try again, and that errors are sentences however they are shown.

use super::*;
use crate::client::Connector;

fn status(status: u16, body: &str) -> ConnectError {
    ConnectError::Handshake(HandshakeError::Status {
        status,
        retry_after: None,
        location: None,
        body: body.to_owned(),
    })
}

fn io_error() -> io::Error {
    io::Error::from(io::ErrorKind::ConnectionRefused)
}

/// The rows of docs/client.md: an answer, whether a first connection can succeed later, and whether one that worked comes
/// back.
#[test]
fn each_row_of_the_table_of_answers_holds() {
    for (statuses, first, once_open) in [
        (
            &[408, 425, 429, 500, 501, 502, 503, 504, 521, 599][..],
            true,
            true,
        ),
        (
            &[200, 201, 204, 206, 301, 302, 303, 304, 307, 308],
            false,
            true,
        ),
        (&[403, 404], false, true),
        (
            &[400, 401, 402, 405, 406, 407, 410, 421, 426, 451, 499],
            false,
            false,
        ),
        (&[600, 999, 0], false, false),
    ] {
        for &answered in statuses {
            let error = status(answered, "");
            assert_eq!(error.comes_back(), first, "{answered}");
            assert_eq!(error.comes_back_once_open(), once_open, "{answered}");
        }
    }
}

#[test]
fn each_row_of_the_table_of_other_failures_holds() {
    let lost = |cause| ConnectError::Welcome(Arc::new(cause));
    let tcp = ConnectError::Tcp {
        address: SocketAddr::from(([127, 0, 0, 1], 1)),
        source: io_error(),
    };
    let unix = ConnectError::Unix {
        path: "/run/f.sock".into(),
        source: io_error(),
    };
    for (error, comes_back) in [
        (ConnectError::Resolve(io_error()), true),
        (tcp, true),
        (unix, true),
        (ConnectError::TimedOut(Step::Resolve), true),
        (ConnectError::TimedOut(Step::Connect), true),
        (ConnectError::TimedOut(Step::Handshake), true),
        (ConnectError::Broken(io_error()), true),
        (ConnectError::NoAnswer, true),
        (lost(Cause::Lost(Error::Io(io_error()))), true),
        (ConnectError::Url(UrlError::Fragment), false),
        (ConnectError::Request(RequestError::Header), false),
        (ConnectError::NotHttp(httparse::Error::Token), false),
        (ConnectError::HeadTooLong, false),
        (ConnectError::Handshake(HandshakeError::Version), false),
        (ConnectError::Handshake(HandshakeError::Upgrade), false),
        (ConnectError::Handshake(HandshakeError::Connection), false),
        (ConnectError::Handshake(HandshakeError::Accept), false),
        (ConnectError::NotFanfare, false),
        (lost(Cause::Binary), false),
    ] {
        assert_eq!(error.comes_back(), comes_back, "{error}");
        assert_eq!(error.comes_back_once_open(), comes_back, "{error}");
        assert_eq!(Cause::Connect(error).comes_back(), comes_back);
    }
    let restart = Cause::Connect(status(404, ""));
    assert!(restart.comes_back(), "there was a connection before");
}

#[test]
fn the_body_of_a_refusal_is_shown_once_and_another_one_again() {
    let mut last = String::new();
    let mut shown = |error: ConnectError| error.without_repeated_body(&mut last).to_string();
    let refused = "the server answered with status 502 instead of 101";
    let page = format!("{refused}: a page");
    assert_eq!(shown(status(502, "a page")), page);
    assert_eq!(shown(status(502, "a page")), refused);
    assert_eq!(
        shown(ConnectError::NoAnswer),
        ConnectError::NoAnswer.to_string()
    );
    assert_eq!(shown(status(502, "a page")), refused);
    assert_eq!(shown(status(502, "another")), format!("{refused}: another"));
    assert_eq!(shown(status(502, "a page")), page);
}

/// What the standard library prints for it.
fn main_prints(main: impl FnOnce() -> Result<(), Box<dyn error::Error>>) -> String {
    format!("Error: {:?}", main().expect_err("an error"))
}

#[test]
fn an_error_that_main_returns_is_a_sentence() {
    let url = main_prints(|| {
        Connector::new("ws://h/#top")?;
        Ok(())
    });
    assert_eq!(url, "Error: a WebSocket's URL has no fragment (#)");
    let lost = || Cause::Connect(status(502, "\u{1b}[2J"));
    let page = "the server answered with status 502 instead of 101: \\u{1b}[2J";
    for (error, sentence) in [
        (
            ConnectError::from(UrlError::Fragment).into(),
            "a WebSocket's URL has no fragment (#)",
        ),
        (lost().into(), page),
        (ClientError::Over(Arc::new(lost())).into(), page),
        (
            Invalid::AlreadySubscribed.into(),
            "there is a subscription to it already",
        ),
        (Error::TimedOut.into(), "nothing came in time"),
        (
            Violation::too_big("a message over the limit").into(),
            "a message over the limit (close code 1009)",
        ),
        (
            RequestError::Protocol.into(),
            "a sub-protocol's name is no token, or stands twice",
        ),
    ] {
        let error: Box<dyn error::Error> = error;
        assert_eq!(error.to_string(), sentence);
        assert_eq!(main_prints(|| Err(error)), format!("Error: {sentence}"));
    }
}

#[test]
fn every_other_error_of_the_library_is_the_same_sentence_however_it_is_shown() {
    use crate::{hub, ws};

    let refusal = Refusal {
        code: "forbidden".to_owned(),
        message: "not you".to_owned(),
        retry_after: None,
    };
    let why = crate::channel::name::check("").unwrap_err();
    let errors: [Box<dyn error::Error>; 8] = [
        refusal.into(),
        why.into(),
        EventError::Member("seq").into(),
        hub::PublishError::TooManyChannels.into(),
        hub::SubscribeError::AlreadySubscribed.into(),
        hub::NotSubscribed.into(),
        ws::utf8::Invalid.into(),
        ws::extension::BadAnswer::Malformed.into(),
    ];
    for error in errors {
        assert_eq!(format!("{error:?}"), error.to_string());
    }
}
