//! A connection's day.

use super::client::{Client, Said, Tongue, publish, subscribe, text_frame};
use super::follower::Follower;
use super::*;
use crate::ws::encode::write_message;

const HOUR: u64 = 3_600_000;

/// How often clients look at what they were sent.
const STEP: u64 = 8_000;

/// A client, and what it does with what it is sent.
struct Life {
    client: Client,
    follower: Follower,
    /// How many bytes it takes in one step.
    takes: usize,
    /// It does not answer pings.
    is_mute: bool,
    pings: usize,
    closed: Option<u16>,
}

impl Life {
    /// Opens a connection with so much room and subscribes.
    fn begin(simulation: &mut Simulation, tongue: Tongue, room: usize, takes: usize) -> Life {
        let peer = simulation.connect_with(room);
        let client = Client::open_on(simulation, peer, tongue);
        client.say(simulation, &subscribe("prices"));
        Life {
            client,
            follower: Follower::default(),
            takes,
            is_mute: false,
            pings: 0,
            closed: None,
        }
    }

    /// Takes what it takes in a step, and answers it.
    fn step(&mut self, simulation: &mut Simulation) {
        loop {
            for said in self.client.hear_some(simulation, self.takes) {
                self.hear(simulation, said);
            }
            if self.takes < usize::MAX {
                return;
            }
            // A transport that was full has room for more.
            simulation.settle();
            if simulation.peers[self.client.peer.0].far.waiting() == 0 {
                return;
            }
        }
    }

    fn hear(&mut self, simulation: &mut Simulation, said: Said) {
        match said {
            Said::Text(text) => self.follower.json(&text),
            Said::Ping if self.is_mute => {}
            Said::Ping => {
                self.pings += 1;
                self.client.pong(simulation);
            }
            Said::Pong => {}
            Said::Close(code) => {
                self.closed = Some(code);
                self.client.close(simulation);
            }
        }
    }
}

/// A day, and who lives through it.
struct Day {
    simulation: Simulation,
    lives: Vec<Life>,
    published: u64,
}

impl Day {
    /// Lets time pass, with a message now and then.
    fn pass(&mut self, ms: u64) {
        for step in 0..ms / STEP {
            if step % 15 == 0 {
                self.published += 1;
                let message = publish(None, "prices", &format!("\"{}\"", "x".repeat(600)));
                self.lives[0].client.say(&mut self.simulation, &message);
            }
            self.step();
        }
    }

    fn step(&mut self) {
        self.simulation.advance(STEP);
        for life in &mut self.lives {
            life.step(&mut self.simulation);
        }
    }
}

#[test]
fn a_connection_runs_a_simulated_day() {
    let config = Config {
        drain_ms: 10_000,
        ..Config::default()
    };
    let mut simulation = Simulation::new(config);
    let mut begin = |tongue, room, takes| Life::begin(&mut simulation, tongue, room, takes);
    let lives = vec![
        begin(Tongue::Json, 65_536, usize::MAX),
        begin(Tongue::Deflate, 65_536, usize::MAX),
        begin(Tongue::Json, 300, 30),
        begin(Tongue::Json, 65_536, usize::MAX),
    ];
    simulation.settle();
    let mut day = Day {
        simulation,
        lives,
        published: 0,
    };
    day.pass(24 * HOUR);
    assert_eq!(day.simulation.now(), 24 * HOUR);
    for (nth, life) in day.lives.iter().enumerate() {
        let is_slow = nth == 2;
        assert_eq!(life.closed, None);
        assert_eq!(life.follower.gaps > 0, is_slow);
        let all = life.follower.messages as u64 == day.published;
        assert_ne!(all, is_slow, "{}", life.follower.messages);
        assert!(life.pings > 1_000 || nth == 0 || is_slow, "{}", life.pings);
    }

    day.lives[3].is_mute = true;
    day.pass(120_000);
    let closed: Vec<_> = day.lives.iter().map(|life| life.closed).collect();
    assert_eq!(closed, [None, None, None, Some(1011)]);
    assert!(!day.simulation.is_open(day.lives[3].client.peer));

    day.lives.pop();
    day.lives[2].takes = usize::MAX;
    day.simulation.shut_down();
    while !day.simulation.has_ended() {
        day.step();
        assert!(day.simulation.now() < 25 * HOUR);
    }
    for life in &day.lives {
        assert_eq!(life.closed, Some(1001));
        assert_eq!(life.follower.next("prices"), Some(day.published + 1));
    }
}

#[test]
fn limits_end_a_connection_with_their_code_and_their_time() {
    let mut unmasked = Vec::new();
    write_message(&mut unmasked, true, b"{}", None);
    let mut binary = text_frame("{}");
    binary[0] = 0x82;
    let long = text_frame(&"x".repeat(70_000));
    let mut fragment = text_frame(r#"{"type":"ping"}"#);
    fragment[0] = 0x01;
    let cases = [
        ("a frame without a mask", unmasked, 0, 1002),
        ("bytes for a dialect of text", binary, 0, 1003),
        ("a message that is too long", long, 0, 1009),
        ("half a message", fragment, 30_000, 1008),
        ("silence", Vec::new(), 20_000, 1011),
    ];
    for (what, bytes, after, code) in cases {
        let mut simulation = Simulation::new(Config::default());
        let mut client = Client::open(&mut simulation, Tongue::Json);
        client.hear(&mut simulation);
        simulation.send(client.peer, &bytes);
        for _ in 0..after / 5_000 {
            for said in client.hear(&mut simulation) {
                assert_eq!(said, Said::Ping, "{what}");
                if code != 1011 {
                    client.pong(&mut simulation);
                }
            }
            simulation.advance(5_000);
        }
        simulation.advance(15_000);
        let said = client.hear(&mut simulation);
        assert_eq!(said.last(), Some(&Said::Close(code)), "{what}");
        client.close(&mut simulation);
        simulation.advance(5_000);
        assert!(!simulation.is_open(client.peer), "{what}");
        assert_eq!(simulation.input_bytes(), 0, "{what}");
        assert_eq!(simulation.outbox_bytes(), 0, "{what}");
    }
}

#[test]
fn a_subscriber_that_takes_nothing_is_closed_and_holds_nothing_afterwards() {
    let mut simulation = Simulation::new(with_window(100_000));
    let mut publisher = Client::open(&mut simulation, Tongue::Json);
    publisher.hear(&mut simulation);
    let peer = simulation.connect_with(5_000);
    let mut stalled = Client::open_on(&mut simulation, peer, Tongue::Json);
    stalled.say(&mut simulation, &subscribe("a"));
    stalled.hear(&mut simulation);
    for _ in 0..30 {
        let message = publish(None, "a", &format!("\"{}\"", "x".repeat(6_000)));
        publisher.say(&mut simulation, &message);
        simulation.settle();
    }
    assert!(simulation.held_bytes() > 0);
    simulation.advance(59_000);
    assert!(simulation.is_open(stalled.peer));
    // It is closed, and does not take that either.
    simulation.advance(7_000);
    assert!(!simulation.is_open(stalled.peer));
    assert_eq!((simulation.held_bytes(), simulation.outbox_bytes()), (0, 0));
}
