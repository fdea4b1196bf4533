//! Requests that are answered late.

use super::client::{Client, Said, Tongue, open, post, publish, subscribe, text_frame};
use super::*;
use crate::server::broker::Broker;
use crate::server::connection::flow::Flow;
use crate::server::late_broker::LateBroker;
use crate::server::service::TICKETS_MAX;

/// A server whose broker answers when it is told to.
pub(super) fn simulation(config: Config) -> Simulation {
    let mut simulation = Simulation::new(config);
    let config = simulation.service().config.clone();
    *simulation.service() = Service::with_broker(config, Broker::Late(LateBroker::new()));
    simulation
}

/// How many publications the broker has taken and not numbered.
fn taken(simulation: &mut Simulation) -> usize {
    match &simulation.service().broker {
        Broker::Late(late) => late.taken.len(),
        Broker::None => 0,
    }
}

/// The type and the id of each answer.
fn answers(client: &mut Client, simulation: &mut Simulation) -> Vec<(String, Option<u64>)> {
    let texts = client.hear_texts(simulation).into_iter();
    let answers = texts.map(|text| {
        let event: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let kind = event["type"].as_str().expect("a type").to_owned();
        (kind, event["id"].as_u64())
    });
    answers.collect()
}

fn answer(kind: &str, id: u64) -> (String, Option<u64>) {
    (kind.to_owned(), Some(id))
}

#[test]
fn answers_come_in_the_order_of_publications_and_other_requests_do_not_wait_for_them() {
    for tongue in [Tongue::Json, Tongue::Deflate] {
        let mut simulation = simulation(Config::default());
        let mut client = open(&mut simulation, tongue);
        for id in 1..=5 {
            client.say(&mut simulation, &publish(Some(id), "a", "[1]"));
            let ping = format!(r#"{{"type":"ping","id":{}}}"#, 10 + id);
            client.say(&mut simulation, &ping);
        }
        client.say(&mut simulation, &subscribe("b"));
        let mut expected: Vec<_> = (11..=15).map(|id| answer("pong", id)).collect();
        expected.push(("subscribed".to_owned(), None));
        assert_eq!(answers(&mut client, &mut simulation), expected);
        for ids in [vec![1, 2], vec![], vec![3, 4, 5]] {
            simulation.service().deliver(ids.len());
            let expected: Vec<_> = ids.iter().map(|id| answer("published", *id)).collect();
            assert_eq!(answers(&mut client, &mut simulation), expected);
        }
    }
}

#[test]
fn each_connection_gets_the_answers_to_its_own_requests_whatever_it_speaks() {
    let mut simulation = simulation(Config::default());
    let mut json = open(&mut simulation, Tongue::Json);
    let mut lines = open(&mut simulation, Tongue::Lines);
    let poster = simulation.connect();
    for id in 1..=2 {
        json.say(&mut simulation, &publish(Some(id), "a", "1"));
        lines.say(&mut simulation, "pub a 2");
        simulation.send(poster, post("a", "3", false).as_bytes());
        simulation.settle();
    }
    // The second POST waits for the first one's answer.
    assert_eq!(taken(&mut simulation), 5);
    for (step, expected) in [
        (2, (1, 1, 0)),
        (2, (1, 0, 1)),
        (1, (0, 1, 0)),
        (1, (0, 0, 1)),
    ] {
        simulation.service().deliver(step);
        let heard = (
            answers(&mut json, &mut simulation).len(),
            lines.hear(&mut simulation).len(),
            simulation.receive_text(poster).matches(" 201 ").count(),
        );
        assert_eq!(heard, expected);
    }
    assert_eq!(taken(&mut simulation), 0);
}

#[test]
fn a_post_waits_for_its_answer_and_what_is_pipelined_behind_it_waits_too() {
    let health = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for closes in [false, true] {
        let sent = [&post("a", "1", false), &post("a", "22", closes), health].concat();
        for cut in 0..sent.len() {
            let mut simulation = simulation(Config {
                http_idle_timeout_ms: Limit::NONE,
                ..Config::default()
            });
            let peer = simulation.connect();
            for part in [&sent[..cut], &sent[cut..]] {
                simulation.send(peer, part.as_bytes());
                simulation.settle();
            }
            assert_eq!(simulation.receive_text(peer), "");
            let mut heads = Vec::new();
            for _ in 0..3 {
                assert!(taken(&mut simulation) <= 1);
                // However long the broker takes, the connection waits.
                simulation.advance(100_000);
                simulation.service().deliver(1);
                let text = simulation.receive_text(peer);
                heads.extend(
                    text.lines()
                        .filter(|l| l.starts_with("HTTP"))
                        .map(str::to_owned),
                );
            }
            let (created, ok) = ("HTTP/1.1 201 Created", "HTTP/1.1 200 OK");
            match closes {
                false => assert_eq!(heads, [created, created, ok]),
                true => assert_eq!(heads, [created, created]),
            }
            assert_eq!(simulation.is_at_end(peer), closes);
        }
    }
}

#[test]
fn a_publication_is_unavailable_where_the_broker_is_lost_before_it_or_after() {
    for lost_before in [false, true] {
        let mut simulation = simulation(Config::default());
        let mut json = open(&mut simulation, Tongue::Json);
        let mut lines = open(&mut simulation, Tongue::Lines);
        let poster = simulation.connect();
        if lost_before {
            simulation.service().lose_broker();
        }
        json.say(&mut simulation, &publish(Some(7), "a", "1"));
        json.say(&mut simulation, &publish(None, "a", "1"));
        lines.say(&mut simulation, "pub a 2");
        simulation.send(poster, post("a", "3", false).as_bytes());
        simulation.settle();
        simulation.service().lose_broker();
        let texts = json.hear_texts(&mut simulation);
        assert_eq!(texts.len(), 2);
        for text in &texts {
            assert!(text.contains(r#""code":"unavailable""#), "{text}");
        }
        assert!(texts[0].contains(r#""id":7"#));
        assert_eq!(lines.hear(&mut simulation), [Said::Text("no".to_owned())]);
        let text = simulation.receive_text(poster);
        assert!(text.starts_with("HTTP/1.1 503 "), "{text}");
        assert!(text.contains(r#","code":"unavailable","#), "{text}");
    }
}

#[test]
fn a_connection_that_goes_takes_its_tickets_with_it_and_its_successor_gets_none_of_the_answers() {
    let ways: [fn(&mut Simulation, &Client); 3] = [
        |simulation, client| simulation.reset(client.peer),
        |simulation, client| client.close(simulation),
        |simulation, client| simulation.finish(client.peer),
    ];
    for go in ways {
        for tongue in [Tongue::Json, Tongue::Lines] {
            let mut simulation = simulation(Config::default());
            let client = open(&mut simulation, tongue);
            let poster = simulation.connect();
            for id in 1..=3 {
                let request = match tongue {
                    Tongue::Lines => "pub a 1".to_owned(),
                    _ => publish(Some(id), "a", "1"),
                };
                client.say(&mut simulation, &request);
            }
            simulation.send(poster, post("a", "1", false).as_bytes());
            simulation.settle();
            go(&mut simulation, &client);
            simulation.reset(poster);
            simulation.settle();
            simulation.receive(client.peer, usize::MAX);
            simulation.finish(client.peer);
            simulation.settle();
            assert!(!simulation.is_open(client.peer));
            let mut successors = [Tongue::Json, Tongue::Lines, Tongue::Json]
                .map(|tongue| open(&mut simulation, tongue));
            assert_eq!(taken(&mut simulation), 4);
            simulation.service().deliver(4);
            for successor in &mut successors {
                assert_eq!(successor.hear(&mut simulation), []);
            }
            // The poster cannot be seen to go while its answer is awaited.
            assert!(!simulation.is_open(poster));
            assert_eq!(simulation.outbox_bytes(), 0);
        }
    }
}

#[test]
fn a_connection_with_as_many_pending_requests_as_may_be_is_not_read_from_until_one_is_answered() {
    for tongue in [Tongue::Json, Tongue::Lines] {
        let mut simulation = simulation(Config::default());
        let mut client = open(&mut simulation, tongue);
        let request = match tongue {
            Tongue::Lines => "pub a 1".to_owned(),
            _ => publish(Some(1), "a", "1"),
        };
        let more = 50;
        for _ in 0..TICKETS_MAX + more {
            client.say(&mut simulation, &request);
            simulation.settle();
        }
        assert_eq!(taken(&mut simulation), TICKETS_MAX);
        let unread = simulation.unread(client.peer);
        assert_eq!(unread, more * text_frame(&request).len());
        // It is neither pinged nor closed while it waits for the broker.
        simulation.advance(3_600_000);
        assert_eq!(client.hear(&mut simulation), []);
        for answered in 1..=2 * more {
            simulation.service().deliver(1);
            assert_eq!(client.hear(&mut simulation).len(), 1);
            let left = TICKETS_MAX + more - answered;
            assert_eq!(taken(&mut simulation), left.min(TICKETS_MAX));
        }
        assert_eq!(simulation.unread(client.peer), 0);
        simulation.service().deliver(usize::MAX);
        assert_eq!(client.hear(&mut simulation).len(), TICKETS_MAX - more);
    }
}

#[test]
fn a_publisher_whose_late_message_fills_its_channel_is_not_read_from_until_the_sweep_has_caught_up()
{
    let mut simulation = simulation(with_window(1_000));
    let mut subscriber = open(&mut simulation, Tongue::Json);
    subscriber.say(&mut simulation, &subscribe("a"));
    subscriber.hear(&mut simulation);
    let mut json = open(&mut simulation, Tongue::Json);
    let poster = simulation.connect();
    let data = format!("\"{}\"", "x".repeat(700));
    for id in 1..=3 {
        json.say(&mut simulation, &publish(Some(id), "a", &data));
    }
    simulation.send(poster, post("a", &data, false).as_bytes());
    simulation.settle();
    simulation.service().deliver(4);
    simulation.engine.connections.answer_tickets();
    for peer in [json.peer, poster] {
        let token = simulation.peers[peer.0].token;
        let connection = simulation.engine.connections.find(token);
        let flow = connection.expect("it is there").flow;
        assert!(flow.contains(Flow::CONGESTED), "{flow:?}");
    }
    json.say(&mut simulation, r#"{"type":"ping","id":9}"#);
    let mut expected: Vec<_> = (1..=3).map(|id| answer("published", id)).collect();
    expected.push(answer("pong", 9));
    assert_eq!(answers(&mut json, &mut simulation), expected);
    assert_eq!(subscriber.hear(&mut simulation).len(), 4);
    let text = simulation.receive_text(poster);
    assert!(text.starts_with("HTTP/1.1 201 "), "{text}");
    assert!(simulation.service().congested.is_empty());
}

#[test]
fn a_brokers_numbers_and_its_epochs_reach_publishers_and_subscribers_of_every_dialect() {
    let mut simulation = simulation(Config::default());
    let mut publisher = open(&mut simulation, Tongue::Json);
    let mut subscribers = [Tongue::Json, Tongue::Deflate, Tongue::Lines].map(|tongue| {
        let mut client = open(&mut simulation, tongue);
        let request = match tongue {
            Tongue::Lines => "sub a".to_owned(),
            _ => subscribe("a"),
        };
        client.say(&mut simulation, &request);
        client.hear(&mut simulation);
        client
    });
    let message = |seq| format!(r#"{{"type":"message","channel":"a","seq":{seq},"data":0}}"#);
    // In a second epoch the numbers begin anew.
    for epochs in 1..=2 {
        for (id, channel) in [(1, "a"), (2, "b"), (3, "a")] {
            publisher.say(&mut simulation, &publish(Some(id), channel, "0"));
        }
        simulation.settle();
        simulation.service().deliver(3);
        let answers = publisher.hear_texts(&mut simulation);
        for (seq, answer) in (1..).zip(&answers) {
            assert!(answer.contains(&format!(r#""seq":{seq}"#)), "{answer}");
        }
        assert_eq!(answers.len(), 3);
        for (nth, subscriber) in subscribers.iter_mut().enumerate() {
            let mut texts = subscriber.hear_texts(&mut simulation);
            if epochs == 2 {
                let gap = texts.remove(0);
                let is_gap = gap.contains(r#""type":"gap""#) && gap.contains(r#""reason":"epoch""#);
                assert!(is_gap || gap == "gap a 0 0", "{gap}");
            }
            if nth == 2 {
                let seqs = texts.iter().map(|text| text.split(' ').nth(2));
                assert!(seqs.eq([Some("1"), Some("3")]), "{texts:?}");
            } else {
                assert_eq!(texts, [message(1), message(3)]);
            }
        }
        if let Broker::Late(late) = &simulation.service().broker {
            late.numbers.borrow_mut().begin_epoch();
        }
    }
}
