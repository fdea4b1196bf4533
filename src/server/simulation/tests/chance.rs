//! Whatever many peers do, each is told what holds for it, and the sums are right in every turn.

use super::client::{Client, Said, Tongue, post, publish, subscribe, text_frame};
use super::follower::Follower;
use super::*;
use crate::server::broker::Broker;

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % n
    }

    fn chance(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }
}

/// How often it is begun anew, every other time with a broker: 6 times, or as often as `CHANCE_SEEDS` says.
fn seeds() -> u64 {
    let asked = std::env::var("CHANCE_SEEDS").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(6)
}

const CHANNELS: [&str; 3] = ["steps", "latest", "closes"];

/// Somebody on a connection.
struct Somebody {
    client: Client,
    tongue: Tongue,
    follower: Follower,
    /// What it has still to send: a frame may go out in pieces.
    outgoing: Vec<u8>,
    /// How much it takes at a time.
    takes: usize,
    is_gone: bool,
}

impl Somebody {
    /// Somebody comes, whose connection can be handed over if the server `restarts`.
    fn come(simulation: &mut Simulation, dice: &mut Dice, restarts: bool) -> Somebody {
        let tongues = [Tongue::Json, Tongue::Deflate, Tongue::Lines];
        let tongue = tongues[dice.below(3 - usize::from(restarts))];
        let (room, takes) = [(64, 20), (3_000, 900), (100_000, usize::MAX)][dice.below(3)];
        let peer = match dice.chance(3) && !restarts {
            true => simulation.connect_withholding(room),
            false => simulation.connect_with(room),
        };
        let is_sparse = matches!(simulation.service().broker, Broker::Late(_));
        Somebody {
            client: Client::open_on(simulation, peer, tongue),
            tongue,
            follower: Follower::new(is_sparse),
            outgoing: Vec::new(),
            takes,
            is_gone: false,
        }
    }

    /// Thinks of something to ask.
    fn ask(&mut self, dice: &mut Dice) {
        let channel = CHANNELS[dice.below(3)];
        let data = format!("\"{}\"", "x".repeat([5, 400, 9_000][dice.below(3)]));
        let last = dice.below(30);
        let request = match (self.tongue, dice.below(8)) {
            (Tongue::Lines, 0) => format!("sub {channel}"),
            (Tongue::Lines, 1) => format!("sub {channel} last {last}"),
            (Tongue::Lines, _) => format!("pub {channel} {data}"),
            (_, 0) => subscribe(channel),
            (_, 1) => {
                format!(r#"{{"type":"subscribe","id":1,"channel":"{channel}","last":{last}}}"#)
            }
            (_, 2) => format!(r#"{{"type":"unsubscribe","channel":"{channel}"}}"#),
            (_, 3) => r#"{"type":"ping"}"#.to_owned(),
            (_, 4) => "nonsense".to_owned(),
            _ => publish(None, channel, &data),
        };
        self.outgoing.extend(text_frame(&request));
    }

    /// Sends some of what it has to send.
    fn send_some(&mut self, simulation: &mut Simulation, dice: &mut Dice) {
        let most = [1, 30, 100_000][dice.below(3)];
        let rest = self.outgoing.split_off(self.outgoing.len().min(most));
        let sent = std::mem::replace(&mut self.outgoing, rest);
        simulation.send(self.client.peer, &sent);
    }

    /// Takes up to `most` bytes of what it was sent.
    fn take(&mut self, simulation: &mut Simulation, most: usize) {
        for said in self.client.hear_some(simulation, most) {
            match said {
                Said::Text(text) if self.tongue == Tongue::Lines => self.follower.line(&text),
                Said::Text(text) => self.follower.json(&text),
                Said::Ping => self.outgoing.extend(client::pong_frame()),
                Said::Pong => {}
                Said::Close(_) => {
                    self.client.close(simulation);
                    self.is_gone = true;
                }
            }
        }
    }
}

fn config() -> Config {
    let policy = Policy {
        retain_bytes: Limit::of(20_000),
        ..Policy::default()
    };
    let rule = |channel: &str, on_lag| crate::config::ChannelRule {
        pattern: crate::config::Pattern::parse(channel).expect("a pattern"),
        policy: Policy { on_lag, ..policy },
    };
    Config {
        policy,
        channels: vec![
            rule("latest", crate::hub::OnLag::Latest),
            rule("closes", crate::hub::OnLag::Close),
        ],
        outbox: 2_000,
        max_message: 16 * 1024,
        input_total: Limit::of(40_000),
        held_total: Limit::of(60_000),
        retain_total: Limit::of(100_000),
        ..Config::default()
    }
}

/// One step of everybody's, and then of the server.
fn step(simulation: &mut Simulation, all: &mut Vec<Somebody>, dice: &mut Dice, restarts: bool) {
    if all.len() < 12 && dice.chance(6) {
        all.push(Somebody::come(simulation, dice, restarts));
    }
    for somebody in &mut *all {
        if dice.chance(3) {
            somebody.ask(dice);
        }
        somebody.send_some(simulation, dice);
        if dice.chance(2) {
            somebody.take(simulation, somebody.takes);
        }
        let peer = somebody.client.peer;
        match dice.below(400) {
            0 => simulation.reset(peer),
            1 => simulation.finish(peer),
            2 => somebody.client.close(simulation),
            _ => continue,
        }
        somebody.is_gone = true;
    }
    all.retain(|somebody| !somebody.is_gone);
    if dice.chance(10) {
        let request = post(CHANNELS[dice.below(3)], "[1]", dice.chance(2));
        let peer = simulation.connect();
        simulation.send(peer, request.as_bytes());
    }
    simulation.service().deliver(dice.below(8));
    if let Broker::Late(late) = &simulation.service().broker
        && dice.chance(100)
    {
        late.numbers.borrow_mut().begin_epoch();
    }
    match dice.below(12) {
        0 => simulation.advance(dice.below(20_000) as u64),
        1..=4 => simulation.settle(),
        _ => simulation.tick(dice.below(50) as u64),
    }
}

#[test]
fn whatever_peers_do_their_messages_come_in_order_and_only_a_gap_makes_a_hole() {
    let (mut messages, mut gaps) = (0, 0);
    for seed in 1..=seeds() {
        let mut dice = Dice(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
        let mut simulation = match seed % 2 {
            0 => super::tickets::simulation(config()),
            _ => Simulation::new(config()),
        };
        let mut all: Vec<Somebody> = Vec::new();
        for _ in 0..400 {
            step(&mut simulation, &mut all, &mut dice, false);
        }
        simulation.service().deliver(usize::MAX);
        finish(&mut simulation, &mut all);
        messages += all.iter().map(|who| who.follower.messages).sum::<usize>();
        gaps += all.iter().map(|who| who.follower.gaps).sum::<usize>();
    }
    assert!(messages > 100 && gaps > 10, "{messages} {gaps}");
}

#[test]
fn whatever_peers_do_a_restart_in_the_middle_is_nothing_that_they_notice() {
    let (mut messages, mut restarts) = (0, 0);
    for seed in 1..=seeds() {
        let mut dice = Dice(0xD1B5_4A32_D192_ED03_u64.wrapping_mul(seed));
        let mut simulation = Simulation::new(config());
        let mut all: Vec<Somebody> = Vec::new();
        for _ in 0..400 {
            step(&mut simulation, &mut all, &mut dice, true);
            if dice.chance(20) {
                simulation
                    .hand_over(config(), |_| {})
                    .expect("it makes sense");
                restarts += 1;
            }
        }
        finish(&mut simulation, &mut all);
        messages += all.iter().map(|who| who.follower.messages).sum::<usize>();
    }
    assert!(messages > 100 && restarts > 50, "{messages} {restarts}");
}

#[test]
fn a_snapshot_of_which_bytes_are_missing_or_changed_is_refused_or_makes_a_server_that_works() {
    let mut dice = Dice(0x2545_F491_4F6C_DD1D);
    let (mut refused, mut taken) = (0, 0);
    for _ in 0..seeds() * 4 {
        let mut simulation = Simulation::new(config());
        let mut all: Vec<Somebody> = Vec::new();
        for _ in 0..60 {
            step(&mut simulation, &mut all, &mut dice, true);
        }
        for _ in 0..20 {
            let handed = simulation.hand_over(config(), |bytes| {
                if dice.chance(2) || bytes.is_empty() {
                    return;
                }
                let at = dice.below(bytes.len());
                match dice.chance(4) {
                    true => bytes.truncate(at),
                    false => bytes[at] = dice.below(256) as u8,
                }
            });
            match handed {
                Ok(()) => taken += 1,
                Err(_) => refused += 1,
            }
            if handed.is_ok() {
                break;
            }
        }
        simulation.settle();
        simulation.shut_down();
        simulation.advance(100_000);
    }
    assert!(refused > 10 && taken > 10, "{refused} {taken}");
}

/// All that was sent arrives, then the server ends and holds nothing.
fn finish(simulation: &mut Simulation, all: &mut [Somebody]) {
    for _ in 0..20_000 {
        simulation.settle();
        let mut is_quiet = true;
        for somebody in &mut *all {
            simulation.send(
                somebody.client.peer,
                &std::mem::take(&mut somebody.outgoing),
            );
            is_quiet &= simulation.peers[somebody.client.peer.0].far.waiting() == 0;
            somebody.take(simulation, usize::MAX);
        }
        if is_quiet {
            break;
        }
    }
    // Nobody is left behind: the next message is the next for everybody.
    for somebody in &*all {
        if somebody.is_gone || !simulation.is_open(somebody.client.peer) {
            continue;
        }
        for channel in CHANNELS {
            if let Some(next) = somebody.follower.next(channel) {
                let held = simulation.service().hub.held(channel);
                assert_eq!(held.map(|held| held.end), Some(next), "{channel}");
            }
        }
    }
    simulation.shut_down();
    simulation.advance(20_000);
    assert!(simulation.has_ended());
}
