//! Tokens that come before the keys that they are checked with.

use super::access::{SECRET, START, auth, handshake_request, rule, says, token};
use super::client::{Tongue, open, post};
use super::*;
use crate::auth::rules::Rules;
use crate::auth::token::{KeySet, Terms, Verifier};

/// A server whose keys come from a URL, and have not come yet.
fn keyless() -> Simulation {
    let config = Config {
        rules: Rules {
            rules: vec![
                rule("anonymous", &["b"], &[]),
                rule("jwt:ada", &["a"], &["a"]),
            ],
            ..Rules::default()
        },
        ping_interval_ms: Limit::NONE,
        ..Config::default()
    };
    let mut simulation = Simulation::new(config);
    let mut verifier = Verifier::new(KeySet::default(), Terms::default());
    verifier.expect_fetched();
    let service = simulation.service();
    service.gate.set_wall(START);
    service.open_gate(verifier);
    simulation
}

/// The keys come.
fn bring_keys(simulation: &mut Simulation) {
    let keys = KeySet::secret(SECRET).expect("a secret");
    let connections = &mut simulation.engine.connections;
    connections.service.gate.take_keys(keys);
    connections.begin_to_readmit();
    simulation.settle();
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

fn send(simulation: &mut Simulation, request: &str) -> PeerId {
    let peer = simulation.connect();
    simulation.send(peer, request.as_bytes());
    simulation.settle();
    peer
}

fn answer(simulation: &mut Simulation, peer: PeerId) -> String {
    simulation.settle();
    let bytes = simulation.receive(peer, usize::MAX);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn requests_with_tokens_wait_for_the_first_keys_and_others_do_not() {
    let mut simulation = keyless();
    let lines = bearer(&token("ada", 60, ""));
    let post = post("a", "1", false).replace("Host: ", &format!("{lines}Host: "));
    let bad = handshake_request("/ws", &bearer(&token("ada", 60, "")[1..]));
    let peers = [handshake_request("/ws", &lines), post, bad]
        .map(|request| send(&mut simulation, &request));
    assert!(
        says(
            &mut open(&mut simulation, Tongue::Json),
            &mut simulation,
            r#"{"type":"ping"}"#
        )
        .contains("pong")
    );
    for peer in &peers[..2] {
        assert_eq!(answer(&mut simulation, *peer), "");
    }
    bring_keys(&mut simulation);
    for (peer, status) in peers.into_iter().zip(["101", "201", "401"]) {
        let answer = answer(&mut simulation, peer);
        assert_eq!(answer.get(9..12), Some(status), "{answer}");
    }
    assert!(simulation.service().awaiting_keys.is_empty());
}

#[test]
fn where_no_keys_come_in_time_the_answer_is_503_and_the_token_does_not_count_as_a_bad_one() {
    let mut simulation = keyless();
    let request = handshake_request("/ws", &bearer(&token("ada", 60, "")));
    for _ in 0..20 {
        let peer = send(&mut simulation, &request);
        assert_eq!(answer(&mut simulation, peer), "");
        simulation.advance(5_000);
        let answer = answer(&mut simulation, peer);
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        for expected in ["Retry-After: 1\r\n", r#""code":"unavailable""#] {
            assert!(answer.contains(expected), "{answer}");
        }
        assert!(simulation.service().awaiting_keys.is_empty());
    }
}

#[test]
fn who_does_not_wait_for_keys_any_more_takes_no_place() {
    let mut simulation = keyless();
    let request = handshake_request("/ws", &bearer(&token("ada", 60, "")));
    let peers: Vec<PeerId> = (0..1_024)
        .map(|_| send(&mut simulation, &request))
        .collect();
    let late = send(&mut simulation, &request);
    assert!(answer(&mut simulation, late).starts_with("HTTP/1.1 503 "));
    simulation.reset(peers[7]);
    simulation.settle();
    let late = send(&mut simulation, &request);
    assert_eq!(answer(&mut simulation, late), "");
    bring_keys(&mut simulation);
    assert!(answer(&mut simulation, late).starts_with("HTTP/1.1 101 "));
    assert!(answer(&mut simulation, peers[0]).starts_with("HTTP/1.1 101 "));
}

#[test]
fn auth_is_unavailable_until_the_first_keys_have_come() {
    let mut simulation = keyless();
    let mut client = open(&mut simulation, Tongue::Json);
    let auth = auth(&token("ada", 60, ""));
    let early = says(&mut client, &mut simulation, &auth);
    assert!(early.contains(r#""code":"unavailable""#), "{early}");
    bring_keys(&mut simulation);
    assert!(says(&mut client, &mut simulation, &auth).contains("authenticated"));
}
