//! Which clients may come in, and what they may do: by tokens, rules, pages and names.

use jsonwebtoken::{EncodingKey, Header};

use super::client::{Client, Said, Tongue, open, post, publish, subscribe};
use super::*;
use crate::auth::rules::{Grant, Rule, Rules, Who};
use crate::auth::token::{KeySet, Terms, Verifier};
use crate::config::TlsConfig;

pub(super) const SECRET: &[u8] = b"a secret of the tests, of more than 32 bytes";
/// The seconds since 1970 when the simulation begins.
pub(super) const START: u64 = 1_800_000_000;

pub(super) fn rule(who: &str, subscribe: &[&str], publish: &[&str]) -> Rule {
    let grants = |texts: &[&str]| {
        let grants = texts
            .iter()
            .map(|text| Grant::parse(text).expect("a grant"));
        grants.collect()
    };
    Rule {
        who: Who::parse(who, |_| Err("no listener".to_owned())).expect("somebody"),
        subscribe: grants(subscribe),
        publish: grants(publish),
        admin: false,
        place: "test".into(),
    }
}

/// A server with these rules that takes tokens.
pub(super) fn guarded(rules: Vec<Rule>) -> Simulation {
    let rules = Rules {
        rules,
        ..Rules::default()
    };
    let config = Config {
        rules,
        // What ends is what this is about.
        ping_interval_ms: Limit::NONE,
        ..Config::default()
    };
    let mut simulation = Simulation::new(config);
    let service = simulation.service();
    service.gate.set_wall(START);
    service.open_gate(verifier());
    simulation
}

fn verifier() -> Verifier {
    let keys = KeySet::secret(SECRET).expect("it is long enough");
    Verifier::new(keys, Terms::default())
}

/// Other rules hold from now on.
pub(super) fn reload(simulation: &mut Simulation, rules: Vec<Rule>) {
    simulation.service().config.rules.rules = rules;
    simulation.service().open_gate(verifier());
    simulation.engine.connections.begin_to_readmit();
    simulation.settle();
}

/// A token that lasts so many seconds, with these members beside.
pub(super) fn token(subject: &str, lasts_s: u64, more: &str) -> String {
    let expires = START + lasts_s;
    let claims = format!(r#"{{"sub":"{subject}","exp":{expires}{more}}}"#);
    let claims: serde_json::Value = serde_json::from_str(&claims).expect("JSON");
    let key = EncodingKey::from_secret(SECRET);
    jsonwebtoken::encode(&Header::default(), &claims, &key).expect("it is signed")
}

pub(super) fn auth(token: &str) -> String {
    format!(r#"{{"type":"auth","id":1,"token":"{token}"}}"#)
}

pub(super) fn says(client: &mut Client, simulation: &mut Simulation, text: &str) -> String {
    client.say(simulation, text);
    client.hear_texts(simulation).join("\n")
}

fn closes(client: &mut Client, simulation: &mut Simulation) -> Option<u16> {
    client
        .hear(simulation)
        .into_iter()
        .find_map(|said| match said {
            Said::Close(code) => Some(code),
            _ => None,
        })
}

/// A handshake with these lines and this target.
pub(super) fn handshake_request(target: &str, lines: &str) -> String {
    let lines = if lines.contains("Host: ") {
        lines.to_owned()
    } else {
        format!("Host: localhost\r\n{lines}")
    };
    format!(
        "GET {target} HTTP/1.1\r\n{lines}Upgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// The first line of the answer to a handshake with these lines and this target.
fn handshake(simulation: &mut Simulation, target: &str, lines: &str) -> String {
    let peer = simulation.connect();
    let request = handshake_request(target, lines);
    simulation.send(peer, request.as_bytes());
    simulation.settle();
    let bytes = simulation.receive(peer, usize::MAX);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn who_has_not_shown_who_it_is_may_do_what_anonymous_may_and_is_asked_for_the_rest() {
    let mut simulation = guarded(vec![
        rule("anonymous", &["news"], &[]),
        rule("jwt:ada", &["a.*"], &["a.*"]),
    ]);
    let mut client = open(&mut simulation, Tongue::Json);
    let answer = says(&mut client, &mut simulation, &subscribe("news"));
    assert!(answer.contains(r#""type":"subscribed""#), "{answer}");
    for request in [
        subscribe("a.b"),
        publish(Some(1), "a.b", "1"),
        subscribe("$x"),
    ] {
        let answer = says(&mut client, &mut simulation, &request);
        let expected = if request.contains('$') {
            "bad_channel"
        } else {
            "unauthenticated"
        };
        assert!(answer.contains(expected), "{answer}");
    }
    let answer = says(&mut client, &mut simulation, &auth(&token("ada", 60, "")));
    assert_eq!(
        answer,
        format!(
            r#"{{"type":"authenticated","id":1,"subject":"ada","expires":{}}}"#,
            START + 60
        )
    );
    assert!(says(&mut client, &mut simulation, &subscribe("a.b")).contains("subscribed"));
    assert!(says(&mut client, &mut simulation, &publish(Some(1), "b", "1")).contains("forbidden"));
    let pattern = r#"{"type":"subscribe","pattern":"a.>"}"#;
    assert!(says(&mut client, &mut simulation, pattern).contains("forbidden"));
    assert!(
        says(&mut client, &mut simulation, &publish(Some(1), "a.b", "1")).contains("published")
    );
}

#[test]
fn the_welcome_says_who_came_in_by_the_handshake_and_auth_is_a_feature_where_tokens_are_taken() {
    let mut simulation = guarded(vec![]);
    let bearer = format!(
        "Authorization: Bearer {}\r\n",
        token("ada", 60, r#","subscribe":["a"]"#)
    );
    let answer = handshake(&mut simulation, "/ws", &bearer);
    let expected = format!(r#""auth"],"subject":"ada","expires":{}}}"#, START + 60);
    assert!(
        answer.starts_with("HTTP/1.1 101 ") && answer.contains(&expected),
        "{answer}"
    );
    let mut open_to_all = Simulation::new(Config::default());
    let answer = handshake(&mut open_to_all, "/ws", "");
    assert!(answer.contains(r#""key","goodbye"]}"#), "{answer}");
    // Nobody is asked there, so what is presented is of no interest.
    let answer = handshake(&mut open_to_all, "/ws", "Authorization: Bearer x\r\n");
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    let mut client = open(&mut open_to_all, Tongue::Json);
    assert!(says(&mut client, &mut open_to_all, &auth("x")).contains("unknown_type"));
}

#[test]
fn what_is_presented_and_does_not_hold_refuses_and_falls_back_to_nobody() {
    let mut simulation = guarded(vec![rule("anonymous", &[">"], &[">"])]);
    simulation.now = 100_000;
    let (good, old) = (token("ada", 1_000, ""), token("ada", 1, ""));
    for (target, lines, status) in [
        (
            "/ws".to_owned(),
            format!("Authorization: Bearer {good}\r\n"),
            101,
        ),
        (
            "/ws".to_owned(),
            format!("Authorization: Bearer {old}\r\n"),
            401,
        ),
        (
            "/ws".to_owned(),
            format!("Authorization: Bearer {good}x\r\n"),
            401,
        ),
        (
            "/ws".to_owned(),
            "Authorization: Basic YTpi\r\n".to_owned(),
            401,
        ),
        (
            "/ws".to_owned(),
            "Authorization: Negotiate x\r\n".to_owned(),
            401,
        ),
        (format!("/ws?token={good}"), String::new(), 101),
        (format!("/ws?token={old}"), String::new(), 401),
        ("/ws?token=".to_owned(), String::new(), 401),
        // A header comes first, and what it says counts.
        (
            format!("/ws?token={good}"),
            "Authorization: Bearer x\r\n".to_owned(),
            401,
        ),
    ] {
        let answer = handshake(&mut simulation, &target, &lines);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{lines}{answer}"
        );
        if status == 401 {
            assert!(answer.contains("WWW-Authenticate: Bearer"), "{answer}");
        }
        assert!(
            !answer.contains(&good) && !answer.contains(&old),
            "{answer}"
        );
    }
}

#[test]
fn a_page_is_let_in_and_then_told_by_a_close_why_its_token_does_not_hold() {
    let mut simulation = guarded(vec![rule("authenticated", &["a"], &[])]);
    simulation.now = 100_000;
    for (bad, code) in [(token("ada", 1, ""), 4510_u16), ("x".to_owned(), 4401)] {
        let answer = handshake(
            &mut simulation,
            &format!("/ws?token={bad}"),
            "Origin: http://localhost:3000\r\n",
        );
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        let told = String::from_utf8_lossy(&code.to_be_bytes()).into_owned();
        assert!(answer.contains(&told), "{answer:?}");
    }
}

#[test]
fn who_may_do_nothing_has_to_show_who_it_is_in_time() {
    let mut simulation = guarded(vec![rule("authenticated", &["a"], &[])]);
    let mut late = open(&mut simulation, Tongue::Json);
    let mut early = open(&mut simulation, Tongue::Json);
    simulation.advance(9_000);
    assert!(
        says(&mut early, &mut simulation, &auth(&token("ada", 60, ""))).contains("authenticated")
    );
    simulation.advance(2_000);
    assert_eq!(closes(&mut late, &mut simulation), Some(4401));
    assert!(says(&mut early, &mut simulation, &subscribe("a")).contains("subscribed"));
}

#[test]
fn a_token_is_renewed_without_a_hole_and_one_that_ends_closes_with_4510() {
    let mut simulation = guarded(vec![rule("authenticated", &["a"], &["a"])]);
    let mut client = open(&mut simulation, Tongue::Json);
    let first = auth(&token("ada", 60, ""));
    assert!(says(&mut client, &mut simulation, &first).contains("authenticated"));
    assert!(says(&mut client, &mut simulation, &subscribe("a")).contains("subscribed"));
    simulation.advance(50_000);
    assert!(
        says(&mut client, &mut simulation, &auth(&token("bob", 90, ""))).contains("token_invalid")
    );
    assert!(says(&mut client, &mut simulation, &auth("nonsense")).contains("token_invalid"));
    assert!(
        says(&mut client, &mut simulation, &auth(&token("ada", 25, ""))).contains("authenticated")
    );
    assert!(
        says(&mut client, &mut simulation, &auth(&token("ada", 110, ""))).contains("authenticated")
    );
    simulation.advance(81_000);
    // 131 s: beyond the first token's end, and within 30 s of the second's.
    assert!(says(&mut client, &mut simulation, &publish(Some(2), "a", "1")).contains("published"));
    simulation.advance(9_000);
    assert_eq!(closes(&mut client, &mut simulation), Some(4510));
}

#[test]
fn a_token_that_allows_less_ends_what_it_does_not_allow() {
    let mut simulation = guarded(vec![rule("authenticated", &["a", "b", "p.*"], &[])]);
    let mut client = open(&mut simulation, Tongue::Json);
    let first = auth(&token("ada", 60, ""));
    assert!(says(&mut client, &mut simulation, &first).contains("authenticated"));
    for request in [
        subscribe("a"),
        subscribe("b"),
        r#"{"type":"subscribe","pattern":"p.*"}"#.to_owned(),
    ] {
        assert!(says(&mut client, &mut simulation, &request).contains("subscribed"));
    }
    let narrow = token("ada", 90, r#","subscribe":["a"]"#);
    let answer = says(&mut client, &mut simulation, &auth(&narrow));
    for ended in [
        r#"{"type":"unsubscribed","channel":"b","reason":"forbidden"}"#,
        r#"{"type":"unsubscribed","pattern":"p.*","reason":"forbidden"}"#,
    ] {
        assert!(answer.contains(ended), "{answer}");
    }
    assert!(
        !answer.contains(r#""unsubscribed","channel":"a""#),
        "{answer}"
    );
    let nothing = token("ada", 90, r#","subscribe":[]"#);
    client.say(&mut simulation, &auth(&nothing));
    assert_eq!(closes(&mut client, &mut simulation), Some(4403));
}

#[test]
fn after_a_reload_it_is_decided_anew_for_everybody_who_is_there() {
    let mut simulation = guarded(vec![rule("anonymous", &["a", "b"], &["a"])]);
    let mut clients: Vec<Client> = (0..600)
        .map(|_| open(&mut simulation, Tongue::Json))
        .collect();
    for client in &mut clients {
        for channel in ["a", "b"] {
            assert!(says(client, &mut simulation, &subscribe(channel)).contains("subscribed"));
        }
    }
    assert!(
        says(
            &mut clients[0],
            &mut simulation,
            &publish(Some(1), "a", "1")
        )
        .contains("published")
    );
    reload(&mut simulation, vec![rule("anonymous", &["a"], &["b"])]);
    for client in &mut clients {
        let heard = client.hear_texts(&mut simulation).join("");
        assert!(
            heard.ends_with(r#"{"type":"unsubscribed","channel":"b","reason":"forbidden"}"#),
            "{heard}"
        );
    }
    assert!(
        says(
            &mut clients[0],
            &mut simulation,
            &publish(Some(1), "a", "1")
        )
        .contains("unauthenticated")
    );
    assert!(
        says(
            &mut clients[0],
            &mut simulation,
            &publish(Some(1), "b", "1")
        )
        .contains("published")
    );
}

#[test]
fn posts_are_answered_401_403_and_201_by_the_same_rules() {
    let mut simulation = guarded(vec![rule("jwt:ada", &[], &["a"])]);
    let peer = simulation.connect();
    let mut answer = |request: String| {
        simulation.send(peer, request.as_bytes());
        simulation.receive_text(peer)
    };
    let with = |request: String, token: &str| {
        request.replace(
            "\r\nHost",
            &format!("\r\nAuthorization: Bearer {token}\r\nHost"),
        )
    };
    let nobody = answer(post("a", "1", false));
    assert!(
        nobody.starts_with("HTTP/1.1 401 ") && nobody.contains("unauthenticated"),
        "{nobody}"
    );
    assert!(
        answer(with(post("a", "1", false), &token("ada", 60, ""))).starts_with("HTTP/1.1 201 ")
    );
    // Each request stands for itself.
    assert!(answer(post("a", "1", false)).starts_with("HTTP/1.1 401 "));
    let other = answer(with(post("b", "1", false), &token("ada", 60, "")));
    assert!(
        other.starts_with("HTTP/1.1 403 ") && other.contains("jwt:ada"),
        "{other}"
    );
    assert!(answer(with(post("a", "1", false), "x")).starts_with("HTTP/1.1 401 "));
}

#[test]
fn where_certificates_alone_are_taken_the_answer_is_403_since_401_needs_a_challenge() {
    let config = Config {
        rules: Rules {
            rules: vec![rule("cert:ada", &["a"], &["a"])],
            ..Rules::default()
        },
        tls: TlsConfig {
            client_ca: Some("ca.pem".into()),
            ..TlsConfig::default()
        },
        ..Config::default()
    };
    let mut simulation = Simulation::new(config);
    let requests = [
        handshake_request("/ws", ""),
        handshake_request("/ws", "Authorization: Bearer x\r\n"),
        handshake_request("/ws?token=x", ""),
        post("a", "1", false),
    ];
    for request in requests {
        let peer = simulation.connect();
        simulation.send(peer, request.as_bytes());
        let answer = simulation.receive_text(peer);
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
        assert!(!answer.contains("WWW-Authenticate"), "{answer}");
    }
}

#[test]
fn pages_of_other_origins_other_hosts_and_proxies_that_nobody_named_are_refused() {
    let mut simulation = Simulation::new(Config::default());
    for (lines, status) in [
        ("Origin: http://localhost:3000\r\n", 101),
        ("Origin: https://evil.example\r\n", 403),
        ("Origin: null\r\n", 403),
        (
            "Origin: http://localhost\r\nOrigin: http://localhost\r\n",
            403,
        ),
        ("Host: evil.example\r\n", 421),
        ("X-Forwarded-For: 192.0.2.1\r\n", 403),
        ("Forwarded: for=192.0.2.1\r\n", 403),
        ("Host: 127.0.0.1:8040\r\n", 101),
    ] {
        let answer = handshake(&mut simulation, "/ws", lines);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{lines}{answer}"
        );
    }
    let peer = simulation.connect();
    let request =
        post("a", "1", false).replace("\r\nHost", "\r\nOrigin: https://evil.example\r\nHost");
    simulation.send(peer, request.as_bytes());
    assert!(simulation.receive_text(peer).starts_with("HTTP/1.1 403 "));
    assert_eq!(simulation.published("a"), 0);
}

#[test]
fn a_cookie_counts_only_from_pages_that_may_use_the_daemon() {
    let mut simulation = guarded(vec![rule("authenticated", &["a"], &[])]);
    simulation.service().config.token_cookie = Some("session".into());
    simulation.service().open_gate(verifier());
    let cookie = format!("Cookie: x=1; session={}\r\n", token("ada", 60, ""));
    let named = r#""subject":"ada""#;
    for (lines, status, is_named) in [
        (
            format!("{cookie}Origin: http://localhost:3000\r\n"),
            101,
            true,
        ),
        (
            format!("{cookie}Sec-Fetch-Site: same-origin\r\n"),
            101,
            true,
        ),
        (
            format!("{cookie}Sec-Fetch-Site: cross-site\r\n"),
            101,
            false,
        ),
        (
            format!("{cookie}Sec-Fetch-Site: same-origin\r\nSec-Fetch-Site: cross-site\r\n"),
            101,
            false,
        ),
        (cookie.clone(), 101, false),
        (
            format!("{cookie}Origin: https://evil.example\r\n"),
            403,
            false,
        ),
    ] {
        let answer = handshake(&mut simulation, "/ws", &lines);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{lines}{answer}"
        );
        assert_eq!(answer.contains(named), is_named, "{lines}{answer}");
    }
}

#[test]
fn equal_names_by_different_means_share_no_keys_and_neither_do_different_people() {
    let mut simulation = guarded(vec![rule("authenticated", &["a"], &["a"])]);
    let keyed = r#"{"type":"publish","id":1,"channel":"a","key":"k","data":1}"#;
    for (subject, is_repeat) in [("ada", false), ("bob", false), ("ada", true)] {
        let mut client = open(&mut simulation, Tongue::Json);
        assert!(
            says(&mut client, &mut simulation, &auth(&token(subject, 60, "")))
                .contains("authenticated")
        );
        let answer = says(&mut client, &mut simulation, keyed);
        assert_eq!(answer.contains("duplicate"), is_repeat, "{answer}");
    }
}

#[test]
fn a_client_that_floods_keeps_no_token_beyond_its_end() {
    let mut simulation = guarded(vec![rule("authenticated", &["a"], &["a"])]);
    let mut client = open(&mut simulation, Tongue::Json);
    let first = auth(&token("ada", 2, ""));
    assert!(says(&mut client, &mut simulation, &first).contains("authenticated"));
    let pings = super::client::text_frame(r#"{"type":"ping"}"#).repeat(2_000);
    let mut code = None;
    for _ in 0..50 {
        // There is always something unread.
        simulation.send(client.peer, &pings);
        simulation.send(client.peer, &pings);
        simulation.tick(1_000);
        let said = client.hear_some(&mut simulation, usize::MAX);
        code = code.or(said.into_iter().find_map(|said| match said {
            Said::Close(code) => Some(code),
            _ => None,
        }));
        if code.is_some() {
            break;
        }
    }
    assert_eq!(code, Some(4510));
}

#[test]
fn what_a_reload_decides_anew_takes_a_bounded_time_of_each_turn() {
    let mut simulation = guarded(vec![rule("anonymous", &["c.>"], &[])]);
    let mut clients: Vec<Client> = (0..40)
        .map(|_| open(&mut simulation, Tongue::Json))
        .collect();
    for client in &mut clients {
        for channel in 0..200 {
            client.say(&mut simulation, &subscribe(&format!("c.{channel}")));
        }
        client.hear(&mut simulation);
    }
    simulation.service().config.rules.rules = vec![rule("anonymous", &["d"], &[])];
    simulation.service().open_gate(verifier());
    simulation.engine.connections.begin_to_readmit();
    assert!(simulation.engine.connections.readmits());
    simulation.settle();
    assert!(!simulation.engine.connections.readmits());
    for client in &mut clients {
        let ended = client.hear_texts(&mut simulation).len();
        assert_eq!(ended, 200);
    }
}
