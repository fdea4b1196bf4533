//! A dialect with a slot of its own, beside JSON.

use super::client::{Client, Said, Tongue, publish, subscribe};
use super::*;

/// How much history there is, and how it is read.
struct Case {
    messages: usize,
    /// The bytes of each message's data.
    len: usize,
    /// How many readers ask for it at once.
    readers: usize,
    /// What may be on its way to a reader, and how much it takes at a time.
    room: usize,
    step: usize,
}

/// A channel with subscribers of both JSON encodings, and its publisher.
struct Scene {
    simulation: Simulation,
    publisher: Client,
    plain: Client,
    deflate: Client,
    published: usize,
    len: usize,
}

impl Scene {
    fn begin(len: usize) -> Scene {
        let mut simulation = Simulation::new(with_window(8 << 20));
        let mut open = |tongue| {
            let mut client = Client::open(&mut simulation, tongue);
            client.hear(&mut simulation);
            client
        };
        let (publisher, mut plain) = (open(Tongue::Json), open(Tongue::Json));
        let mut deflate = open(Tongue::Deflate);
        for client in [&mut plain, &mut deflate] {
            client.say(&mut simulation, &subscribe("c"));
            client.hear(&mut simulation);
        }
        Scene {
            simulation,
            publisher,
            plain,
            deflate,
            published: 0,
            len,
        }
    }

    /// The data of a message: compressible, and different from every other's.
    fn data(&self, seq: usize) -> String {
        format!("\"{seq}{}\"", "-x".repeat(self.len / 2))
    }

    fn publish(&mut self, count: usize) {
        for _ in 0..count {
            self.published += 1;
            let message = publish(None, "c", &self.data(self.published));
            self.publisher.say(&mut self.simulation, &message);
        }
        self.simulation.settle();
        let first = self.published + 1 - count;
        let expected: Vec<_> = (first..=self.published)
            .map(|seq| {
                let data = self.data(seq);
                format!(r#"{{"type":"message","channel":"c","seq":{seq},"data":{data}}}"#)
            })
            .collect();
        assert_eq!(self.plain.hear_texts(&mut self.simulation), expected);
        assert_eq!(self.deflate.hear_texts(&mut self.simulation), expected);
    }
}

/// Takes all that comes, `step` bytes at a time.
fn hear_slowly(client: &mut Client, simulation: &mut Simulation, step: usize) -> Vec<Said> {
    let mut said = Vec::new();
    loop {
        simulation.settle();
        if simulation.peers[client.peer.0].far.waiting() == 0 {
            return said;
        }
        said.extend(client.hear_some(simulation, step));
    }
}

#[test]
fn a_reader_of_another_slot_gets_all_messages_in_its_own_encoding_whenever_the_slot_began() {
    let case = |messages, len, readers, room, step| Case {
        messages,
        len,
        readers,
        room,
        step,
    };
    let cases = [
        case(20, 10, 1, 1, 1),
        case(40, 100, 2, 7, 3),
        case(300, 700, 1, 5_000, 1_999),
        case(300, 700, 1, 1 << 20, usize::MAX),
        case(10, 60_000, 2, 10_000, 7_001),
        // All that is made for them takes far longer than one turn may spend on that.
        case(300, 700, 30, 1 << 20, usize::MAX),
    ];
    for case in cases {
        let mut scene = Scene::begin(case.len);
        scene.publish(case.messages);
        let mut readers: Vec<_> = (0..case.readers)
            .map(|_| {
                let peer = scene.simulation.connect_with(case.room);
                let client = Client::open_on(&mut scene.simulation, peer, Tongue::Lines);
                let request = format!("sub c last {}", case.messages);
                client.say(&mut scene.simulation, &request);
                (client, Vec::new())
            })
            .collect();
        scene.simulation.settle();
        for (client, said) in &mut readers {
            said.extend(client.hear_some(&mut scene.simulation, case.step));
        }
        // Some come while the history is read, and some afterwards.
        scene.publish(5);
        for (client, said) in &mut readers {
            said.extend(hear_slowly(client, &mut scene.simulation, case.step));
        }
        scene.publish(5);
        for (client, said) in &mut readers {
            said.extend(hear_slowly(client, &mut scene.simulation, case.step));
            let mut said = said.iter();
            assert_eq!(said.next(), Some(&Said::Text("ok".to_owned())));
            let mut epochs = Vec::new();
            for (seq, said) in (1..).zip(said) {
                let Said::Text(text) = said else {
                    panic!("{said:?}");
                };
                let words: Vec<_> = text.split(' ').collect();
                let (seq, data) = (seq.to_string(), scene.data(seq));
                assert!(
                    matches!(words[..], ["c", _, number, text] if number == seq && text == data)
                );
                epochs.push(words[1].to_owned());
            }
            assert_eq!(epochs.len(), scene.published);
            epochs.dedup();
            assert_eq!(epochs.len(), 1);
        }
    }
}

#[test]
fn a_late_reader_is_told_in_its_own_tongue_what_is_missing() {
    let mut simulation = Simulation::new(with_window(2_000));
    let mut publisher = Client::open(&mut simulation, Tongue::Json);
    publisher.hear(&mut simulation);
    let peer = simulation.connect_with(400);
    let mut reader = Client::open_on(&mut simulation, peer, Tongue::Lines);
    reader.say(&mut simulation, "sub c");
    let mut follower = follower::Follower::default();
    let mut told = 0;
    for n in 0..200 {
        let data = format!("\"{}\"", "x".repeat(n));
        publisher.say(&mut simulation, &publish(None, "c", &data));
        simulation.settle();
        let step = if n < 150 { 50 } else { 5_000 };
        for said in reader.hear_some(&mut simulation, step) {
            let Said::Text(text) = said else {
                panic!("{said:?}");
            };
            follower.line(&text);
            told += usize::from(text.starts_with("gap "));
        }
    }
    for said in hear_slowly(&mut reader, &mut simulation, 5_000) {
        let Said::Text(text) = said else {
            panic!("{said:?}");
        };
        follower.line(&text);
    }
    assert!(told > 1 && follower.messages > 20);
    assert_eq!(follower.next("c"), Some(201));
}

#[test]
fn what_is_made_for_one_reader_is_not_made_again_for_each_part_that_it_takes() {
    const MESSAGES: usize = 10;
    let mut scene = Scene::begin(60_000);
    scene.publish(MESSAGES);
    let peer = scene.simulation.connect_with(1_000);
    let mut reader = Client::open_on(&mut scene.simulation, peer, Tongue::Lines);
    reader.say(&mut scene.simulation, "sub c last 10");
    let said = hear_slowly(&mut reader, &mut scene.simulation, 1_000);
    assert_eq!(said.len(), 1 + MESSAGES);
    // One more is made to see that it is too many.
    let made = scene.simulation.service().encoders.lines;
    assert!(made <= 2 * MESSAGES + 2, "{made}");
}

#[test]
fn a_reader_whose_history_there_is_no_time_to_make_waits_in_one_place_and_gets_all_else_meanwhile()
{
    // So many other channels it has. With many, a visit does not look at each.
    for others in [0, 200] {
        let mut scene = Scene::begin(100);
        scene.publish(20);
        let mut reader = Client::open(&mut scene.simulation, Tongue::Lines);
        reader.say(&mut scene.simulation, "sub d");
        for n in 0..others {
            reader.say(&mut scene.simulation, &format!("sub other.{n}"));
        }
        assert_eq!(reader.hear(&mut scene.simulation).len(), 1 + others);
        let sweep = &mut scene.simulation.engine.sweep;
        let budget = std::mem::take(&mut sweep.render_budget);
        reader.say(&mut scene.simulation, "sub c last 20");
        let mut heard = 0;
        for n in 1..=10 {
            let message = publish(None, "d", &n.to_string());
            scene.publisher.say(&mut scene.simulation, &message);
            for _ in 0..3 {
                scene.simulation.tick(1);
                assert_eq!(scene.simulation.engine.sweep.unrendered.len(), 1);
            }
            heard += reader.hear_some(&mut scene.simulation, usize::MAX).len();
            // The answer to its request, and what was published in the other channel.
            assert_eq!(heard, 1 + n);
        }
        scene.simulation.engine.sweep.render_budget = budget;
        assert_eq!(reader.hear(&mut scene.simulation).len(), 20);
        assert!(!scene.simulation.engine.sweep.has_work());
    }
}

#[test]
fn what_is_published_while_there_is_no_time_to_make_messages_arrives_however_many_channels_have_history()
 {
    for channels in [10, 40, 300] {
        let mut scene = Scene::begin(100);
        for n in 0..channels {
            let message = publish(None, &format!("h.{n}"), "1");
            scene.publisher.say(&mut scene.simulation, &message);
        }
        scene.simulation.settle();
        let mut reader = Client::open(&mut scene.simulation, Tongue::Lines);
        // With so many other channels, a visit does not look at each.
        for n in 0..200 {
            reader.say(&mut scene.simulation, &format!("sub other.{n}"));
        }
        reader.say(&mut scene.simulation, "sub d");
        scene.simulation.settle();
        let message = publish(None, "d", "1");
        scene.publisher.say(&mut scene.simulation, &message);
        assert_eq!(reader.hear(&mut scene.simulation).len(), 202);
        let budget = std::mem::take(&mut scene.simulation.engine.sweep.render_budget);
        for n in 0..channels {
            reader.say(&mut scene.simulation, &format!("sub h.{n} last 1"));
        }
        for _ in 0..10 {
            scene.simulation.tick(1);
        }
        // Once: nothing more will be published there.
        scene.publisher.say(&mut scene.simulation, &message);
        for _ in 0..10 {
            scene.simulation.tick(1);
        }
        scene.simulation.engine.sweep.render_budget = budget;
        let heard = reader.hear(&mut scene.simulation).len();
        assert_eq!(heard, 2 * channels + 1, "{channels}");
    }
}
