//! How often strangers may do something. A trusted proxy names them, since whoever is in memory has no address.

use super::client::text_frame;
use super::*;
use crate::auth::forwarded::{Network, TrustedHeader, TrustedProxies};
use crate::auth::rates::Rate;
use crate::auth::token::{KeySet, Terms, Verifier};
use crate::config::Rates;

/// A server that believes everybody who they were called by.
fn simulation(rates: Rates) -> Simulation {
    let config = Config {
        rates,
        trusted_proxies: TrustedProxies {
            networks: vec![Network::Unix],
            header: Some(TrustedHeader::XForwardedFor),
        },
        ping_interval_ms: Limit::NONE,
        ..Config::default()
    };
    Simulation::new(config)
}

const NONE: Rates = Rates {
    connections: None,
    requests: None,
    bytes: None,
    auth_failures: None,
};

fn rate(amount: u64, per_ms: u64) -> Option<Rate> {
    Some(Rate::new(amount, per_ms).expect("a rate"))
}

/// A handshake of somebody at this address, with these lines: the peer and the first line of the answer.
fn handshake(simulation: &mut Simulation, address: &str, lines: &str) -> (PeerId, String) {
    let peer = simulation.connect();
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: {address}\r\n{lines}Upgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    simulation.send(peer, request.as_bytes());
    simulation.settle();
    let bytes = simulation.receive(peer, usize::MAX);
    (peer, String::from_utf8_lossy(&bytes).into_owned())
}

fn status(answer: &str) -> &str {
    answer.get(9..12).unwrap_or_default()
}

fn say(simulation: &mut Simulation, peer: PeerId, text: &str) -> String {
    simulation.send(peer, &text_frame(text));
    simulation.settle();
    let bytes = simulation.receive(peer, usize::MAX);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn an_address_makes_so_many_connections_and_others_go_on() {
    let mut simulation = simulation(Rates {
        connections: rate(3, 60_000),
        ..NONE
    });
    for _ in 0..3 {
        assert_eq!(
            status(&handshake(&mut simulation, "192.0.2.1", "").1),
            "101"
        );
    }
    let (_, answer) = handshake(&mut simulation, "192.0.2.1", "");
    assert_eq!(status(&answer), "429", "{answer}");
    assert!(
        answer.contains("Retry-After: 20\r\n") && answer.contains("rate_limited"),
        "{answer}"
    );
    assert_eq!(
        status(&handshake(&mut simulation, "192.0.2.2", "").1),
        "101"
    );
    simulation.advance(20_000);
    assert_eq!(
        status(&handshake(&mut simulation, "192.0.2.1", "").1),
        "101"
    );
}

#[test]
fn requests_over_the_rate_are_refused_and_who_goes_on_is_closed_with_4429() {
    let mut simulation = simulation(Rates {
        requests: rate(2, 1_000),
        ..NONE
    });
    let (peer, _) = handshake(&mut simulation, "192.0.2.1", "");
    let ping = r#"{"type":"ping","id":7}"#;
    for _ in 0..2 {
        assert!(say(&mut simulation, peer, ping).contains("pong"));
    }
    let answer = say(&mut simulation, peer, ping);
    let expected = r#""id":7,"code":"rate_limited""#;
    assert!(
        answer.contains(expected) && answer.contains(r#""retry_after_ms":500"#),
        "{answer}"
    );
    simulation.advance(500);
    assert!(say(&mut simulation, peer, ping).contains("pong"));
    let mut heard = String::new();
    for _ in 0..110 {
        heard += &say(&mut simulation, peer, ping);
    }
    assert!(
        heard.contains("goes on although it was told to wait"),
        "{heard}"
    );
    // One who was not told to wait notices nothing.
    let (other, _) = handshake(&mut simulation, "192.0.2.1", "");
    assert!(say(&mut simulation, other, ping).contains("pong"));
}

#[test]
fn what_makes_no_sense_counts_as_much_as_what_does() {
    let mut simulation = simulation(Rates {
        requests: rate(2, 1_000),
        ..NONE
    });
    let (peer, _) = handshake(&mut simulation, "192.0.2.1", "");
    for _ in 0..2 {
        assert!(say(&mut simulation, peer, "{").contains("bad_json"));
    }
    assert!(say(&mut simulation, peer, "{").contains("rate_limited"));
    let odd = say(&mut simulation, peer, r#"{"type":"odd","id":7}"#);
    assert!(odd.contains(r#""id":7,"code":"rate_limited""#), "{odd}");
    let heard: String = (0..100).map(|_| say(&mut simulation, peer, "{")).collect();
    assert!(
        heard.contains("goes on although it was told to wait"),
        "{heard}"
    );
}

#[test]
fn rates_that_a_reload_sets_hold_for_those_who_were_there_before() {
    let mut simulation = simulation(NONE);
    let (peer, _) = handshake(&mut simulation, "192.0.2.1", "");
    let ping = r#"{"type":"ping","id":7}"#;
    assert!(say(&mut simulation, peer, ping).contains("pong"));
    let service = simulation.service();
    service.config.rates.requests = rate(2, 60_000);
    service.open_gate(Verifier::default());
    simulation.engine.connections.begin_to_readmit();
    for _ in 0..2 {
        assert!(say(&mut simulation, peer, ping).contains("pong"));
    }
    assert!(say(&mut simulation, peer, ping).contains("rate_limited"));
}

/// A control frame with this opcode and so many bytes.
fn control(opcode: u8, len: u8) -> Vec<u8> {
    let head = [0x80 | opcode, 0x80 | len, 0, 0, 0, 0];
    [&head[..], &vec![b'x'; len.into()]].concat()
}

#[test]
fn a_flood_of_pings_counts_and_answers_to_the_daemons_own_pings_do_not() {
    let mut simulation = simulation(Rates {
        requests: rate(10, 60_000),
        bytes: rate(10_000, 60_000),
        ..NONE
    });
    let (honest, _) = handshake(&mut simulation, "192.0.2.1", "");
    simulation.send(honest, &control(10, 0).repeat(1_000));
    assert!(say(&mut simulation, honest, r#"{"type":"ping","id":7}"#).contains("pong"));
    // Pings, and pongs that nobody asked for.
    for frame in [control(9, 0), control(10, 125)] {
        let (peer, _) = handshake(&mut simulation, "192.0.2.1", "");
        simulation.send(peer, &frame.repeat(1_000));
        simulation.settle();
        let heard = simulation.receive(peer, usize::MAX);
        let heard = String::from_utf8_lossy(&heard);
        assert!(
            heard.contains("goes on although it was told to wait"),
            "{heard}"
        );
    }
}

#[test]
fn requests_for_the_page_count_and_health_checks_do_not() {
    let mut simulation = simulation(Rates {
        requests: rate(2, 60_000),
        ..NONE
    });
    let peer = simulation.connect();
    let mut get = |path: &str| {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n");
        simulation.send(peer, request.as_bytes());
        let answer = simulation.receive_text(peer);
        status(&answer).to_owned()
    };
    for (path, expected) in [
        ("/", "200"),
        ("/healthz", "200"),
        ("/nowhere", "404"),
        ("/", "429"),
        ("/healthz", "200"),
    ] {
        assert_eq!(get(path), expected, "{path}");
    }
}

#[test]
fn bytes_count_too() {
    let mut simulation = simulation(Rates {
        bytes: rate(1_000, 1_000),
        ..NONE
    });
    let (peer, _) = handshake(&mut simulation, "192.0.2.1", "");
    let long = format!(r#"{{"type":"ping","id":1,"x":"{}"}}"#, "x".repeat(900));
    assert!(say(&mut simulation, peer, &long).contains("pong"));
    assert!(say(&mut simulation, peer, &long).contains("rate_limited"));
    simulation.advance(1_000);
    assert!(say(&mut simulation, peer, &long).contains("pong"));
}

#[test]
fn an_address_that_fails_to_show_who_it_is_too_often_has_to_wait_whatever_it_presents() {
    let mut simulation = simulation(Rates {
        auth_failures: rate(3, 60_000),
        ..NONE
    });
    let keys = KeySet::secret(b"a secret of the tests, of more than 32 bytes").expect("a secret");
    simulation
        .service()
        .open_gate(Verifier::new(keys, Terms::default()));
    for _ in 0..2 {
        let (_, answer) = handshake(&mut simulation, "192.0.2.1", "Authorization: Bearer x\r\n");
        assert_eq!(status(&answer), "401", "{answer}");
    }
    let (peer, _) = handshake(&mut simulation, "192.0.2.1", "");
    let auth = r#"{"type":"auth","id":1,"token":"x"}"#;
    assert!(say(&mut simulation, peer, auth).contains("token_invalid"));
    assert!(say(&mut simulation, peer, auth).contains("rate_limited"));
    let (_, answer) = handshake(&mut simulation, "192.0.2.1", "Authorization: Bearer x\r\n");
    assert_eq!(status(&answer), "429", "{answer}");
    // Others are not its, and neither is one of the same address that presents nothing.
    let (_, answer) = handshake(&mut simulation, "192.0.2.2", "Authorization: Bearer x\r\n");
    assert_eq!(status(&answer), "401");
    assert_eq!(
        status(&handshake(&mut simulation, "192.0.2.1", "").1),
        "101"
    );
    simulation.advance(20_000);
    let (peer, _) = handshake(&mut simulation, "192.0.2.1", "");
    assert!(say(&mut simulation, peer, auth).contains("token_invalid"));
}

#[test]
fn those_who_share_a_proxys_connection_share_no_bucket() {
    let mut simulation = simulation(Rates {
        requests: rate(2, 60_000),
        ..NONE
    });
    let peer = simulation.connect();
    let mut post = |address: &str| {
        let request = format!(
            "POST /channels/a HTTP/1.1\r\nHost: localhost\r\n{address}Content-Length: 1\r\n\r\n1"
        );
        simulation.send(peer, request.as_bytes());
        let answer = simulation.receive_text(peer);
        status(&answer).to_owned()
    };
    let (one, other) = (
        "X-Forwarded-For: 192.0.2.1\r\n",
        "X-Forwarded-For: 192.0.2.2\r\n",
    );
    // The proxy itself is exempt.
    assert_eq!(post(""), "201");
    for address in [one, other, one, other] {
        assert_eq!(post(address), "201");
    }
    for address in [one, other] {
        assert_eq!(post(address), "429");
    }
    assert_eq!(post(""), "201");
}

#[test]
fn each_publication_of_a_batch_counts_as_the_request_that_it_would_be_by_itself() {
    let mut simulation = simulation(Rates {
        requests: rate(10, 60_000),
        ..NONE
    });
    let body = "{\"channel\":\"a\",\"data\":1}\n".repeat(30);
    let len = body.len();
    let request = format!(
        "POST /publish HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 192.0.2.1\r\nContent-Length: {len}\r\n\r\n{body}"
    );
    let peer = simulation.connect();
    simulation.send(peer, request.as_bytes());
    let text = simulation.receive_text(peer);
    assert_eq!(text.matches("\"seq\":").count(), 10, "{text}");
    assert_eq!(
        text.matches("\"code\":\"rate_limited\"").count(),
        20,
        "{text}"
    );
}
