//! Names with passwords: requests wait for checks, which the tests make by hand.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::access::{handshake_request, rule};
use super::client::{Client, Said, Tongue, post, publish, subscribe};
use super::*;
use crate::auth::forwarded::{Network, TrustedHeader, TrustedProxies};
use crate::auth::passwords::Passwords;
use crate::auth::rules::Rules;
use crate::auth::token::{KeySet, Terms, Verifier};

/// The entries of these names, with the password "x".
fn passwords(names: &[&str]) -> Option<Arc<Passwords>> {
    let hash = bcrypt::hash("x", 4).expect("a hash");
    let lines: Vec<String> = names.iter().map(|name| format!("{name}:{hash}")).collect();
    let read = Passwords::read(lines.join("\n").as_bytes());
    Some(Arc::new(read.expect("it is a file")))
}

/// A server that knows Ada and Bob, who may do everything in "a", and that has so many helpers.
fn guarded(helpers: usize) -> Simulation {
    let config = Config {
        rules: Rules {
            rules: vec![rule("basic:*", &["a"], &["a"])],
            ..Rules::default()
        },
        // A proxy, so that clients have addresses.
        trusted_proxies: TrustedProxies {
            networks: vec![Network::Unix],
            header: Some(TrustedHeader::XForwardedFor),
        },
        ping_interval_ms: Limit::NONE,
        ..Config::default()
    };
    let mut simulation = Simulation::new(config);
    let service = simulation.service();
    service.checks.be_driven_by_hand(helpers);
    service.open_gate(Verifier::default());
    service.take_passwords(passwords(&["ada", "bob"]));
    simulation
}

/// Makes one check. Says of which name.
fn check(simulation: &mut Simulation) -> Option<Box<str>> {
    simulation.settle();
    let now = simulation.now;
    let name = simulation.service().checks.check_by_hand(now);
    simulation.settle();
    name
}

/// Makes all checks. Says how many there were.
fn check_all(simulation: &mut Simulation) -> usize {
    std::iter::from_fn(|| check(simulation)).count()
}

fn basic(pair: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(pair))
}

/// A POST to "a" by whom this pair names.
fn post_as(pair: &str, data: &str) -> String {
    post("a", data, false).replace("Host: ", &format!("{}Host: ", basic(pair)))
}

/// The same, from a client at an address.
fn post_from(address: &str, pair: &str) -> String {
    let forwarded = format!("X-Forwarded-For: {address}\r\nHost: ");
    post_as(pair, "1").replace("Host: ", &forwarded)
}

fn connect_and_send(simulation: &mut Simulation, request: &str) -> PeerId {
    let peer = simulation.connect();
    simulation.send(peer, request.as_bytes());
    simulation.settle();
    peer
}

/// The status of the answer that came, or 0 if none did.
fn status(simulation: &mut Simulation, peer: PeerId) -> u16 {
    let text = simulation.receive_text(peer);
    let code = text.get(9..12).and_then(|code| code.parse().ok());
    code.unwrap_or(0)
}

#[test]
fn a_request_waits_for_the_check_of_its_password_and_the_next_ones_are_answered_in_their_order() {
    let mut simulation = guarded(1);
    let requests = format!(
        "{}{}GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n{}",
        post_as("ada:x", "1"),
        post_as("ada:y", "2"),
        post("a", "3", false),
    );
    let peer = connect_and_send(&mut simulation, &requests);
    assert_eq!(simulation.receive_text(peer), "");
    assert_eq!(simulation.published("a"), 0);
    assert_eq!(check(&mut simulation).as_deref(), Some("ada"));
    let answer = simulation.receive_text(peer);
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    // What comes while it waits comes after it.
    simulation.send(peer, post_as("ada:x", "4").as_bytes());
    check(&mut simulation);
    let answer = simulation.receive_text(peer);
    let codes: Vec<&str> = answer
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|rest| &rest[..3])
        .collect();
    assert_eq!(codes, ["401", "200", "401", "201"]);
    assert_eq!(simulation.published("a"), 2);
    assert_eq!(check(&mut simulation), None);
}

#[test]
fn requests_that_come_byte_by_byte_or_in_chunks_are_published_once() {
    let mut simulation = guarded(1);
    let chunked = format!(
        "POST /channels/a HTTP/1.1\r\n{}Host: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[1\r\n2\r\n2]\r\n0\r\n\r\n",
        basic("bob:x")
    );
    for (request, seq) in [(post_as("ada:x", "[12]"), 1), (chunked, 2)] {
        let peer = simulation.connect();
        for byte in request.bytes() {
            simulation.send(peer, &[byte]);
            simulation.settle();
        }
        assert_eq!(check_all(&mut simulation), 1);
        assert_eq!(status(&mut simulation, peer), 201);
        assert_eq!(simulation.published("a"), seq);
    }
}

#[test]
fn a_handshake_waits_and_what_the_client_says_at_once_is_heard_after_it() {
    let mut simulation = guarded(1);
    let peer = connect_and_send(&mut simulation, &handshake_request("/ws", &basic("ada:x")));
    simulation.send(peer, &super::client::text_frame(&subscribe("a")));
    simulation.send(
        peer,
        &super::client::text_frame(&publish(Some(1), "b", "1")),
    );
    assert_eq!(simulation.receive_text(peer), "");
    check(&mut simulation);
    simulation.settle();
    let answer = simulation.receive(peer, usize::MAX);
    let answer = String::from_utf8_lossy(&answer);
    for expected in [
        "HTTP/1.1 101 ",
        r#""subject":"ada""#,
        r#""type":"subscribed""#,
        "basic:ada is not allowed to publish in this channel",
    ] {
        assert!(answer.contains(expected), "{expected}: {answer}");
    }
}

#[test]
fn what_is_refused_says_by_which_means_one_may_come_in() {
    let mut simulation = guarded(1);
    let challenge = "WWW-Authenticate: Basic realm=\"fanfare\", charset=\"UTF-8\"\r\n";
    let bearer = "WWW-Authenticate: Bearer realm=\"fanfare\"\r\n";
    for takes_tokens in [false, true] {
        if takes_tokens {
            let keys = KeySet::secret(&[7; 32]).expect("it is long enough");
            let verifier = Verifier::new(keys, Terms::default());
            simulation.service().open_gate(verifier);
        }
        let long = format!("ada:{}", "x".repeat(73));
        for (pair, words) in [
            ("ada:y", "no such name with such a password"),
            ("eve:x", "no such name with such a password"),
            (&long, "72 bytes"),
            (":x", "the name is empty"),
        ] {
            let request = handshake_request("/ws", &basic(pair));
            for request in [post_as(pair, "1"), request] {
                let peer = connect_and_send(&mut simulation, &request);
                check_all(&mut simulation);
                let answer = simulation.receive_text(peer);
                assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
                assert!(answer.contains(words), "{answer}");
                assert!(answer.contains(challenge), "{answer}");
                assert_eq!(answer.contains(bearer), takes_tokens, "{answer}");
            }
        }
        let peer = connect_and_send(&mut simulation, &post("a", "1", false));
        assert!(simulation.receive_text(peer).contains(challenge));
    }
    assert_eq!(simulation.published("a"), 0);
}

#[test]
fn a_password_that_was_right_is_not_checked_again_for_a_minute() {
    let mut simulation = guarded(1);
    let peer = connect_and_send(&mut simulation, &post_as("ada:x", "1"));
    assert_eq!(check_all(&mut simulation), 1);
    assert_eq!(status(&mut simulation, peer), 201);
    simulation.advance(59_000);
    let peer = connect_and_send(&mut simulation, &post_as("ada:x", "1"));
    assert_eq!(status(&mut simulation, peer), 201);
    simulation.advance(1_000);
    let peer = connect_and_send(&mut simulation, &post_as("ada:x", "1"));
    assert_eq!(status(&mut simulation, peer), 0);
    assert_eq!(check_all(&mut simulation), 1);
    assert_eq!(status(&mut simulation, peer), 201);
}

#[test]
fn a_connection_that_goes_away_takes_its_check_with_it() {
    let mut simulation = guarded(1);
    let first = connect_and_send(&mut simulation, &post_as("ada:x", "1"));
    let gone = connect_and_send(&mut simulation, &post_as("ada:y", "1"));
    let finished = connect_and_send(&mut simulation, &post_as("ada:z", "1"));
    simulation.reset(gone);
    // It may still wait for its answer.
    simulation.finish(finished);
    simulation.settle();
    assert!(!simulation.is_open(gone) && simulation.is_open(finished));
    assert_eq!(check_all(&mut simulation), 2);
    assert_eq!(status(&mut simulation, first), 201);
    assert_eq!(status(&mut simulation, finished), 401);
    simulation.settle();
    assert!(!simulation.is_open(finished) && simulation.input_bytes() == 0);
}

#[test]
fn a_connection_that_goes_while_its_check_is_under_way_harms_nobody_who_has_its_place() {
    let mut simulation = guarded(1);
    let gone = connect_and_send(&mut simulation, &post_as("ada:x", "1"));
    simulation.reset(gone);
    simulation.settle();
    let next = connect_and_send(&mut simulation, &post_as("bob:y", "1"));
    assert_eq!(check_all(&mut simulation), 2);
    assert_eq!(status(&mut simulation, next), 401);
    assert_eq!(simulation.published("a"), 0);
}

#[test]
fn an_address_with_many_checks_delays_others_by_one_and_is_refused_beyond_its_places() {
    let mut simulation = guarded(1);
    let mut busy = Vec::new();
    for at in 0..12 {
        let request = post_from("192.0.2.1", &format!("eve:{at}"));
        busy.push(connect_and_send(&mut simulation, &request));
    }
    // One is under way, and eight wait.
    for peer in &busy[9..] {
        let answer = simulation.receive_text(*peer);
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("Retry-After: 1\r\n"));
    }
    let other = connect_and_send(&mut simulation, &post_from("192.0.2.2", "ada:x"));
    assert_eq!(status(&mut simulation, other), 0);
    let names: Vec<_> = (0..3).map(|_| check(&mut simulation)).collect();
    assert!(names.contains(&Some("ada".into())), "{names:?}");
    assert_eq!(status(&mut simulation, other), 201);
    // A connection that was refused may go on.
    simulation.send(busy[9], post_from("192.0.2.1", "ada:x").as_bytes());
    simulation.settle();
    assert_eq!(status(&mut simulation, busy[9]), 201);
    assert_eq!(check_all(&mut simulation), 7);
    for peer in &busy[..9] {
        assert_eq!(status(&mut simulation, *peer), 401);
    }
}

#[test]
fn where_the_queue_is_full_who_has_most_in_it_gives_way() {
    let mut simulation = guarded(1);
    let mut busy = Vec::new();
    for at in 0..65 {
        let address = format!("2001:db8:0:{}::{at}", at % 8);
        let request = post_from(&address, &format!("eve:{at}"));
        busy.push(connect_and_send(&mut simulation, &request));
    }
    let before = busy
        .iter()
        .filter(|peer| status(&mut simulation, **peer) == 503);
    assert_eq!(before.count(), 0);
    let other = connect_and_send(&mut simulation, &post_from("192.0.2.2", "ada:x"));
    let refused = busy
        .iter()
        .filter(|peer| status(&mut simulation, **peer) == 503);
    assert_eq!(refused.count(), 1);
    assert_eq!(check_all(&mut simulation), 65);
    assert_eq!(status(&mut simulation, other), 201);
}

#[test]
fn after_a_reload_passwords_are_checked_anew_and_who_has_another_entry_is_closed() {
    let mut simulation = guarded(1);
    let mut clients: Vec<Client> = ["ada:x", "bob:x"]
        .into_iter()
        .map(|pair| {
            let peer = connect_and_send(&mut simulation, &handshake_request("/ws", &basic(pair)));
            check_all(&mut simulation);
            let mut client = Client::expect_open(peer, Tongue::Json);
            client.hear(&mut simulation);
            client
        })
        .collect();
    let waits = connect_and_send(&mut simulation, &post_as("bob:y", "1"));
    let kept = connect_and_send(&mut simulation, &post_as("ada:x", "1"));
    assert_eq!(status(&mut simulation, kept), 201);
    // Both have other entries, though the passwords are the same.
    simulation
        .service()
        .take_passwords(passwords(&["ada", "eve"]));
    simulation.engine.connections.begin_to_readmit();
    for client in &mut clients {
        let said = client.hear(&mut simulation);
        assert!(said.contains(&Said::Close(4401)), "{said:?}");
    }
    simulation.send(kept, post_as("ada:x", "1").as_bytes());
    simulation.settle();
    assert_eq!(status(&mut simulation, kept), 0);
    // The one that was under way was of the old file, so it is made again.
    assert_eq!(check_all(&mut simulation), 3);
    assert_eq!(status(&mut simulation, kept), 201);
    assert_eq!(status(&mut simulation, waits), 401);
}

#[test]
fn the_same_file_read_again_closes_nobody() {
    let mut simulation = guarded(1);
    let entries = passwords(&["ada"]);
    simulation.service().take_passwords(entries.clone());
    let peer = connect_and_send(&mut simulation, &handshake_request("/ws", &basic("ada:x")));
    check_all(&mut simulation);
    let mut client = Client::expect_open(peer, Tongue::Json);
    client.hear(&mut simulation);
    simulation.service().take_passwords(entries);
    simulation.engine.connections.begin_to_readmit();
    simulation.settle();
    client.say(&mut simulation, &subscribe("a"));
    let said = client.hear_texts(&mut simulation).join("");
    assert!(said.contains(r#""type":"subscribed""#), "{said}");
}

#[test]
fn requests_that_wait_for_checks_make_room_where_there_is_too_much_input() {
    let mut simulation = guarded(1);
    simulation.service().config.input_total = Limit::of(64 << 10);
    let long = format!("\"{}\"", "x".repeat(20_000));
    let peers: Vec<PeerId> = (0..6)
        .map(|at| connect_and_send(&mut simulation, &post_as(&format!("eve:{at}"), &long)))
        .collect();
    assert!(simulation.input_bytes() <= 64 << 10);
    assert_eq!(status(&mut simulation, peers[0]), 503);
    assert!(check_all(&mut simulation) < 6);
    assert_eq!(status(&mut simulation, peers[5]), 401);
}

#[test]
fn a_handshake_that_makes_no_sense_costs_no_check() {
    let mut simulation = guarded(1);
    let request = handshake_request("/ws", &basic("ada:x")).replace("Version: 13", "Version: 12");
    let peer = connect_and_send(&mut simulation, &request);
    assert_eq!(status(&mut simulation, peer), 426);
    assert_eq!(check_all(&mut simulation), 0);
}
