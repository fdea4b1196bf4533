use super::*;
use crate::auth::token::{self, KeySet, Verifier};
use crate::config::Config;
use crate::limit::Limit;
use crate::server::allowance::Allowance;
use crate::server::timers::NEVER;
use crate::ws::encode::write_message;
use crate::ws::endpoint::{Endpoint, Role};

use super::speaker::Speaker;

fn connection() -> Connection {
    let endpoint = Endpoint::new(Role::Server, false, true);
    let open = Open::new(endpoint, Speaker::Echo, None);
    Connection {
        phase: Phase::Open(open),
        ..Connection::new(Token(7), Seat::Regular, nobody(), 0, 0)
    }
}

fn nobody() -> Rc<Access> {
    service(Config::default()).gate.stranger(0)
}

fn service(config: Config) -> Service {
    Service::new(config)
}

fn begin_message(connection: &mut Connection, now: Millis) {
    if let Phase::Open(open) = &mut connection.phase {
        open.message_since = now;
    }
}

/// Blocks it at one time and unblocks it at another.
fn stall(connection: &mut Connection, service: &mut Service, from: Millis, to: Millis) {
    service.now = from;
    connection.block(service);
    service.now = to;
    connection.unblock(service);
}

#[test]
fn a_connection_that_is_never_pinged_has_no_deadline() {
    for token in 0..100 {
        let mut connection = connection();
        connection.token = Token(token);
        let config = Config {
            ping_interval_ms: Limit::NONE,
            ..Config::default()
        };
        assert_eq!(connection.next_deadline(&config), NEVER);
    }
}

#[test]
fn pauses_do_not_count_for_a_message_and_the_time_between_them_does() {
    let config = Config {
        ping_interval_ms: Limit::NONE,
        message_timeout_ms: Limit::of(1_000),
        ..Config::default()
    };
    let mut connection = connection();
    begin_message(&mut connection, 0);
    // Read from for 100 ms, then paused for 10 s, and so on.
    for round in 0..9 {
        let paused = round * 10_100 + 100;
        connection.pause(paused, Flow::OUTBOX_FULL);
        connection.pause(paused + 5_000, Flow::CONGESTED);
        assert_eq!(connection.next_deadline(&config), NEVER);
        connection.resume(paused + 9_000, Flow::OUTBOX_FULL);
        assert_eq!(connection.next_deadline(&config), NEVER);
        connection.resume(paused + 10_000, Flow::CONGESTED);
        let left = 1_000 - 100 * (round + 1);
        assert_eq!(connection.next_deadline(&config), paused + 10_000 + left);
    }
}

#[test]
fn only_what_the_peer_sends_says_that_nothing_waits_before_a_ping() {
    let mut connection = connection();
    stall(&mut connection, &mut service(Config::default()), 5, 10);
    assert!(connection.flow.contains(Flow::BACKLOG));
    connection.pause(20, Flow::OUTBOX_FULL);
    connection.resume(30, Flow::OUTBOX_FULL);
    assert!(connection.flow.contains(Flow::BACKLOG));
    connection.heard_of(40);
    assert!(!connection.flow.contains(Flow::BACKLOG));
}

#[test]
fn a_peer_that_takes_something_gets_no_more_time_for_its_message() {
    let config = Config {
        ping_interval_ms: Limit::NONE,
        message_timeout_ms: Limit::of(1_000),
        ..Config::default()
    };
    let mut connection = connection();
    let mut service = service(config.clone());
    begin_message(&mut connection, 0);
    for now in (100..900).step_by(100) {
        stall(&mut connection, &mut service, now, now + 50);
    }
    assert_eq!(connection.next_deadline(&config), 1_000);
}

#[test]
fn a_connection_that_has_been_answered_gives_way_though_it_goes_on_sending() {
    let mut connection = Connection::new(Token(7), Seat::Lobby, nobody(), 0, 0);
    assert!(connection.gives_way(), "it has sent nothing");
    connection.flow.insert(Flow::IN_READS);
    assert!(!connection.gives_way(), "its request waits to be read");
    connection.phase = Phase::Draining {
        until: 0,
        fin_sent: true,
    };
    assert!(connection.gives_way(), "what it sends now is dropped");
    connection.outbox.private().push(b'x');
    assert!(!connection.gives_way(), "its answer is not out");
}

#[test]
fn a_connection_is_judged_only_after_it_was_asked_for_input() {
    let config = Config::default();
    let mut connection = connection();
    begin_message(&mut connection, 0);
    let late = config.message_timeout_ms.after(0);
    assert!(connection.is_to_be_heard(late, &config));
    assert!(connection.flow.wants_visit_to_read());
    // It is asked, and has nothing.
    connection.flow.remove(Flow::READABLE);
    assert!(!connection.is_to_be_heard(late + 100, &config));
    connection.heard_of(late + 150);
    assert!(connection.is_to_be_heard(late + 200, &config));
}

#[test]
fn an_idle_connection_to_an_open_daemon_takes_little_memory() {
    // 24 bytes of the 256 are the hub's, and the allocator rounds up.
    assert!(
        size_of::<Connection>() <= 200,
        "{}",
        size_of::<Connection>()
    );
}

/// A peer that cannot be told from any other.
struct Anybody;

impl std::fmt::Display for Anybody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("anybody")
    }
}

impl Remote for Anybody {
    fn address(&self) -> Option<IpAddr> {
        None
    }

    fn client_by_proxy(&self) -> Option<Client> {
        None
    }

    fn is_certified_by(&self, _: &Terms) -> bool {
        true
    }
}

#[test]
fn what_came_with_a_credential_or_was_copied_is_wiped_where_it_was_read() {
    let mut service = service(Config::default());
    let keys = KeySet::secret(&[7; 32]).expect("a secret");
    service.open_gate(Verifier::new(keys, token::Terms::default()));
    let handshake = "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let mut auth = Vec::new();
    let message = br#"{"type":"auth","token":"opensesame"}"#;
    write_message(&mut auth, true, message, Some([0; 4]));
    let bearer =
        "POST /channels/a HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer opensesame\r\n";
    let whole = format!("{bearer}Content-Length: 1\r\n\r\n1");
    let by_message = [handshake.as_bytes(), &auth].concat();
    for read in [whole.as_bytes(), bearer.as_bytes(), &by_message] {
        let access = service.gate.stranger(0);
        let mut connection = Connection::new(Token(7), Seat::Regular, access, 0, NEVER);
        let mut buffer = read.to_vec();
        service.allowance = Allowance::light(1 << 20);
        connection.receive(&mut service, &Anybody, &mut buffer, read.len());
        let left = String::from_utf8_lossy(&buffer);
        assert!(!left.contains("opensesame"), "{left}");
        connection.release(&mut service);
    }
}
