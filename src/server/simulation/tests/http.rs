//! Requests and messages that come late, and bytes that nobody announces.

use super::client::{Client, Tongue, post, text_frame};
use super::*;

#[test]
fn a_long_body_that_drips_in_is_answered_408_however_many_are_heavy_and_light_meanwhile() {
    const HEAVY: usize = 40;
    const LIGHT: usize = 70;
    let config = Config {
        max_message: 20 * 1024,
        ..Config::default()
    };
    let timeout = config.message_timeout_ms;
    let mut simulation = Simulation::new(config);
    let pong = client::pong_frame();
    let flood = pong.repeat(20_000);
    let clients: Vec<Client> = (0..HEAVY + LIGHT)
        .map(|_| Client::open(&mut simulation, Tongue::Json))
        .collect();
    simulation.settle();
    let poster = simulation.connect();
    let request = post("a", &"1".repeat(20_000), false);
    simulation.send(poster, &request.as_bytes()[..18_000]);
    simulation.settle();
    simulation.now = timeout.after(0);
    let mut answer = Vec::new();
    for _ in 0..100_000 {
        for (nth, client) in clients.iter().enumerate() {
            if nth >= HEAVY {
                simulation.send(client.peer, &pong);
            } else if simulation.unread(client.peer) < flood.len() {
                simulation.send(client.peer, &flood);
            }
        }
        // There is always something to read.
        if simulation.unread(poster) == 0 {
            simulation.send(poster, b"1");
        }
        simulation.tick(1);
        answer.extend(simulation.receive(poster, usize::MAX));
        if !answer.is_empty() {
            break;
        }
    }
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[test]
fn a_connection_is_not_judged_before_what_nobody_announced_is_read() {
    let ping = text_frame(r#"{"type":"ping"}"#);
    let health = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".as_bytes();
    let body = post("a", "[1,2,3]", false).into_bytes();
    // What is sent, after how many bytes of it nothing is announced any more, and what answers it.
    let cases = [
        (Some(Tongue::Json), &ping[..], 0, "pong"),
        (Some(Tongue::Json), &ping[..], 9, "pong"),
        (None, health, 9, "HTTP/1.1 200 "),
        (None, &body[..], body.len() - 3, "HTTP/1.1 201 "),
    ];
    for (tongue, bytes, cut, answer) in cases {
        let mut simulation = Simulation::new(Config::default());
        let peer = match tongue {
            Some(tongue) => {
                let mut client = Client::open(&mut simulation, tongue);
                client.hear(&mut simulation);
                client.peer
            }
            None => simulation.connect(),
        };
        simulation.send(peer, &bytes[..cut]);
        simulation.settle();
        simulation.send_unannounced(peer, &bytes[cut..]);
        // Before the first deadline nobody looks, and after it the bytes are dealt with.
        simulation.advance(36_000);
        assert!(simulation.is_open(peer), "{answer}");
        assert_eq!(simulation.unread(peer), 0, "{answer}");
        let said = simulation.receive(peer, usize::MAX);
        let said = String::from_utf8_lossy(&said);
        assert!(said.contains(answer), "{said}");
    }
}

#[test]
fn a_client_that_has_finished_gets_its_whole_answer_though_the_transport_holds_it() {
    let health = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut whole = Simulation::new(Config::default());
    let peer = whole.connect();
    whole.send(peer, health.as_bytes());
    let answer = whole.receive_text(peer);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    for room in [1, 10, answer.len() - 1] {
        let mut simulation = Simulation::new(Config::default());
        let peer = simulation.connect_withholding(room);
        simulation.send(peer, health.as_bytes());
        simulation.settle();
        simulation.finish(peer);
        let received = simulation.receive_all(peer);
        assert_eq!(received, answer, "{room}");
        assert!(simulation.is_at_end(peer), "{room}");
    }
}

#[test]
fn a_client_that_pipelines_and_finishes_gets_every_answer_however_slowly_it_takes_them() {
    const REQUESTS: usize = 300;
    let health = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned();
    let sent: String = (0..REQUESTS)
        .map(|n| match n % 3 {
            0 => post("a", &format!("[{n}]"), false),
            _ => health.clone(),
        })
        .collect();
    for withholds in [false, true] {
        for (room, takes, piece) in [(40, 30, 7), (500, 499, 1_000), (90_000, 1, 90_000)] {
            let mut simulation = Simulation::new(Config {
                outbox: 2_000,
                ..with_window(1_000)
            });
            let peer = match withholds {
                true => simulation.connect_withholding(room),
                false => simulation.connect_with(room),
            };
            for piece in sent.as_bytes().chunks(piece) {
                simulation.send(peer, piece);
                simulation.turn();
            }
            simulation.finish(peer);
            let mut received = Vec::new();
            loop {
                simulation.settle();
                let some = simulation.receive(peer, takes);
                if some.is_empty() {
                    break;
                }
                received.extend(some);
            }
            let received = String::from_utf8(received).expect("text");
            let (created, ok) = ("HTTP/1.1 201 ", "HTTP/1.1 200 ");
            let heads = received.lines().filter(|line| line.starts_with("HTTP"));
            let expected = (0..REQUESTS).map(|n| if n % 3 == 0 { created } else { ok });
            assert_eq!(heads.clone().count(), REQUESTS, "{room} {withholds}");
            assert!(
                heads
                    .zip(expected)
                    .all(|(head, begin)| head.starts_with(begin))
            );
            assert!(simulation.is_at_end(peer));
        }
    }
}

#[test]
fn a_post_to_a_channel_of_the_daemons_own_is_forbidden_whatever_its_body_is() {
    for body in ["1", "{", ""] {
        let mut simulation = Simulation::new(Config::default());
        let peer = simulation.connect();
        simulation.send(peer, post("%24a", body, false).as_bytes());
        simulation.settle();
        let answer = simulation.receive(peer, usize::MAX);
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 403 "), "{body}: {answer}");
    }
}
