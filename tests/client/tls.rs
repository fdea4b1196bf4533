//! Encrypted connections: whose certificates are accepted, which are not and what is said of it, and that all else is the same.

use std::net::TcpListener;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fanfare::client::{
    Client, ConnectError, Connector, Event, Message, Start, Step, Timeouts, TlsError, WebSocket,
};

use crate::common::fake::{impatient, listen, serve, serve_in_turn};
use crate::common::tls::{Authority, Front};
use crate::common::{Daemon, PATIENCE};
use crate::{message, next, url};

/// A daemon behind TLS, with a certificate for these names.
fn behind_tls(authority: &Authority, names: &[&str]) -> (Daemon, Front) {
    let daemon = Daemon::start(&["--echo"]);
    let config = Authority::server(&authority.sign(names), None);
    let front = Front::start(&url(&daemon), config);
    (daemon, front)
}

fn connector(url: &str, authority: &Authority) -> Connector {
    let connector = Connector::new(url).expect("a good URL");
    connector.ca_file(authority.file())
}

/// Why there is no connection.
fn refused(connector: &Connector) -> TlsError {
    match connector.client().err() {
        Some(ConnectError::Tls(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_certificate_of_a_trusted_authority_is_accepted_for_its_names_and_addresses() {
    let authority = Authority::new();
    let (_daemon, front) = behind_tls(&authority, &["localhost", "127.0.0.1"]);
    for host in ["localhost", "127.0.0.1"] {
        let mut client = connector(&front.url(host), &authority).client().unwrap();
        client.subscribe("c", Start::Live).unwrap();
        let published = client.publish("c", "1").unwrap();
        assert_eq!(message(&mut client), (published.seq, "1".to_owned()));
        client.close().unwrap();
    }
}

#[test]
fn https_is_taken_for_wss() {
    let authority = Authority::new();
    let (_daemon, front) = behind_tls(&authority, &["localhost"]);
    let url = front.url("localhost").replace("wss", "https");
    assert!(connector(&url, &authority).client().is_ok());
}

#[test]
fn an_authority_that_is_not_trusted_is_told_with_the_way_out() {
    let authority = Authority::new();
    let (_daemon, front) = behind_tls(&authority, &["localhost"]);
    let stranger = Authority::new();
    let url = front.url("localhost");
    for connector in [Connector::new(&url).unwrap(), connector(&url, &stranger)] {
        // A machine without any authorities trusts this one as little.
        match refused(&connector) {
            TlsError::Certificate(why) => assert!(why.contains("--ca FILE"), "{why}"),
            TlsError::NoAuthorities(_) => {}
            other => panic!("{other}"),
        }
        let error = connector.client().err().unwrap();
        assert!(!error.comes_back() && error.comes_back_once_open());
    }
}

#[test]
fn a_certificate_for_another_name_is_told_with_the_names_that_it_has() {
    let authority = Authority::new();
    let (_daemon, front) = behind_tls(&authority, &["example.org", "10.9.8.7"]);
    for host in ["localhost", "127.0.0.1"] {
        let error = refused(&connector(&front.url(host), &authority)).to_string();
        for part in [host, "example.org", "10.9.8.7"] {
            assert!(error.contains(part), "{error}");
        }
    }
}

#[test]
fn a_certificate_that_has_expired_is_told_with_its_date() {
    let authority = Authority::new();
    let daemon = Daemon::start(&[]);
    let expired = authority.sign_expired(&["localhost"]);
    let front = Front::start(&url(&daemon), Authority::server(&expired, None));
    let error = refused(&connector(&front.url("localhost"), &authority)).to_string();
    assert!(error.contains("expired, at Fri, 01 Jan 2021"), "{error}");
}

#[test]
fn a_certificate_that_stands_in_the_file_itself_is_accepted_for_its_names_only() {
    let authority = Authority::new();
    let daemon = Daemon::start(&[]);
    let own = authority.own(&["localhost"]);
    let front = Front::start(&url(&daemon), Authority::server(&own, None));
    let to = |host| {
        let connector = Connector::new(&front.url(host)).unwrap();
        connector.ca_file(&own.certificate)
    };
    assert!(to("localhost").client().is_ok());
    let error = refused(&to("127.0.0.1")).to_string();
    assert!(error.contains("it is for localhost"), "{error}");
}

#[test]
fn who_asks_for_no_check_gets_none() {
    let authority = Authority::new();
    let daemon = Daemon::start(&[]);
    let expired = authority.sign_expired(&["example.org"]);
    let front = Front::start(&url(&daemon), Authority::server(&expired, None));
    let connector = Connector::new(&front.url("127.0.0.1")).unwrap().insecure();
    assert!(connector.client().is_ok());
}

#[test]
fn a_server_that_wants_a_certificate_gets_it_or_the_error_says_so() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let daemon = Daemon::start(&[]);
    let server = authority.sign(&["localhost"]);
    let config = Authority::server(&server, Some(&clients));
    let front = Front::start(&url(&daemon), config);
    let bare = connector(&front.url("localhost"), &authority);
    let own = clients.sign(&["a client"]);
    let with = bare.clone().client_certificate(&own.certificate, &own.key);
    with.client().unwrap().publish("c", "1").unwrap();

    let error = refused(&bare);
    assert!(
        matches!(&error, TlsError::ClientCertificate(why) if why.contains("--cert FILE")),
        "{error}"
    );
    let other = authority.sign(&["a client"]);
    let stranger = bare.client_certificate(&other.certificate, &other.key);
    let error = refused(&stranger);
    assert!(matches!(&error, TlsError::ClientCertificate(_)), "{error}");
}

#[test]
fn a_file_that_cannot_be_used_is_named() {
    let authority = Authority::new();
    let url = "wss://localhost:1";
    let own = authority.sign(&["a client"]);
    let other = authority.sign(&["another"]);
    let empty = authority.write("empty", "");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = url.replace(":1", &format!(":{}", listener.local_addr().unwrap().port()));
    let to = || connector(&url, &authority);
    for (connector, file) in [
        (to().ca_file("/nowhere/ca.pem"), "/nowhere/ca.pem"),
        (to().ca_file(&empty), "empty"),
        (to().ca_file(&own.key), ".key"),
        (to().client_certificate(&own.certificate, &empty), "empty"),
        (to().client_certificate(&empty, &own.key), "empty"),
        (
            to().client_certificate(&own.certificate, &other.key),
            ".key",
        ),
    ] {
        let error = refused(&connector);
        assert!(matches!(error, TlsError::File { .. }), "{error}");
        assert!(error.to_string().contains(file), "{error}");
        assert!(!ConnectError::Tls(error).comes_back_once_open());
    }
}

#[test]
fn a_server_that_does_not_speak_tls_is_told_from_one_that_does() {
    let daemon = Daemon::start(&[]);
    let plain = url(&daemon).replace("ws://", "wss://");
    let error = refused(&Connector::new(&plain).unwrap().insecure());
    assert!(matches!(error, TlsError::NotTls), "{error}");
}

#[test]
fn a_server_that_says_nothing_has_as_long_as_the_handshake_may_take() {
    let (listener, plain) = listen();
    let timeouts = Timeouts {
        handshake: Duration::from_millis(50),
        ..Timeouts::default()
    };
    let connector = Connector::new(&plain.replace("ws://", "wss://")).unwrap();
    let error = connector.insecure().timeouts(timeouts).client().err();
    assert!(
        matches!(error, Some(ConnectError::TimedOut(Step::Handshake))),
        "{error:?}"
    );
    drop(listener);
}

#[test]
fn a_lost_connection_comes_back_encrypted_and_resumes_its_session() {
    let authority = Authority::new();
    let plain = serve_in_turn(vec![
        |fake| {
            fake.welcome();
            fake.hear();
            fake.text(r#"{"type":"subscribed","id":0,"channel":"c","epoch":"e","seq":4}"#);
            fake.close(1012, "restart");
        },
        |fake| {
            fake.welcome();
            let asked = fake.hear();
            assert!(
                asked.contains(r#""since":{"epoch":"e","seq":4}"#),
                "{asked}"
            );
            fake.text(
                r#"{"type":"subscribed","id":1,"channel":"c","epoch":"e","seq":4,"recovered":true}"#,
            );
            fake.text(r#"{"type":"message","channel":"c","seq":5,"data":"back"}"#);
            fake.outlast();
        },
    ]);
    let config = Authority::server(&authority.sign(&["localhost"]), None);
    let front = Front::start(&plain, config);
    let connector = impatient(&front.url("localhost")).ca_file(authority.file());
    let mut client = connector.client().unwrap();
    client.subscribe("c", Start::Live).unwrap();
    loop {
        match next(&mut client) {
            Event::Reconnecting { .. } | Event::Reconnected => {}
            Event::Message { seq, data, .. } => {
                assert_eq!((seq, data.to_string().as_str()), (5, "\"back\""));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(front.resumed.load(Ordering::Relaxed), 1);
}

#[test]
fn a_certificate_that_was_renewed_in_its_file_is_used_when_the_client_comes_back() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let daemon = Daemon::start(&[]);
    let server = authority.sign(&["localhost"]);
    let front = Front::start(&url(&daemon), Authority::server(&server, Some(&clients)));
    let good = clients.sign(&["a client"]);
    let first = authority.sign(&["a client"]);
    let connector = connector(&front.url("localhost"), &authority)
        .client_certificate(&first.certificate, &first.key);
    assert!(connector.client().is_err());
    std::fs::copy(&good.certificate, &first.certificate).unwrap();
    std::fs::copy(&good.key, &first.key).unwrap();
    assert!(connector.client().is_ok());
    // What it said before holds while it is being written.
    std::fs::write(&first.certificate, "").unwrap();
    assert!(connector.client().is_ok());
}

#[test]
fn large_messages_go_both_ways_at_once() {
    let authority = Authority::new();
    let (_daemon, front) = behind_tls(&authority, &["localhost"]);
    let url = format!("{}/echo", front.url("localhost"));
    let socket = connector(&url, &authority).websocket().unwrap();
    let (mut sender, mut receiver) = socket.split();
    let large: Vec<u8> = (0..60_000_u32).map(|n| ((n * n) >> 3) as u8).collect();
    let sent = large.clone();
    let sending = std::thread::spawn(move || {
        for _ in 0..200 {
            sender.send_binary(&sent).expect("it goes out");
        }
        sender
    });
    receiver.set_timeout(Some(PATIENCE)).unwrap();
    for n in 0..200 {
        let received = receiver.receive().unwrap();
        assert!(received == Message::Binary(large.clone()), "{n}");
    }
    drop(sending.join().unwrap());
}

#[test]
fn a_connection_that_ends_without_a_close_counts_as_lost() {
    let authority = Authority::new();
    let plain = serve(|fake| {
        fake.accept();
        let _ = fake.0.shutdown(std::net::Shutdown::Both);
    });
    let config = Authority::server(&authority.sign(&["localhost"]), None);
    let front = Front::start(&plain, config);
    let connector = connector(&front.url("localhost"), &authority);
    let mut socket = connector.protocol("json.fanfare.v1").websocket().unwrap();
    let error = socket.receive().unwrap_err();
    assert!(error.comes_back(), "{error}");
}

#[test]
fn the_defaults_trust_the_system_only() {
    let authority = Authority::new();
    let (_daemon, front) = behind_tls(&authority, &["localhost"]);
    assert!(Client::connect(&front.url("localhost")).is_err());
    assert!(WebSocket::connect(&front.url("localhost")).is_err());
}
