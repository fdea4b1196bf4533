//! Event streams, histories and batches: who may have them, and readers that are slow or gone.

use super::access::{guarded, reload, rule, token};
use super::client::{post, publish};
use super::*;

pub(super) fn get(target: &str, lines: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")
}

pub(super) fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

/// What is answered at once.
pub(super) fn answer(simulation: &mut Simulation, request: &str) -> String {
    let peer = simulation.connect();
    simulation.send(peer, request.as_bytes());
    simulation.receive_text(peer)
}

/// A stream whose opening has come.
pub(super) fn follow(simulation: &mut Simulation, request: &str) -> PeerId {
    let peer = simulation.connect();
    simulation.send(peer, request.as_bytes());
    let text = simulation.receive_text(peer);
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    assert!(text.contains("\r\n\r\nretry: "), "{text}");
    peer
}

#[test]
fn over_http_everybody_gets_what_is_granted_and_nothing_else() {
    let mut simulation = guarded(vec![
        rule("anonymous", &["news"], &[]),
        rule("jwt:ada", &["a.*"], &["a.*"]),
    ]);
    let ada = bearer(&token("ada", 60, ""));
    for (target, lines, status) in [
        ("/channels/news/events", "", 200),
        ("/channels/a.b/events", "", 401),
        ("/patterns/a.*/events", "", 401),
        ("/channels/a.b", "", 401),
        ("/channels/a.b/events", &*ada, 200),
        ("/patterns/a.*/events", &ada, 200),
        ("/patterns/a.>/events", &ada, 403),
        ("/channels/b/events", &ada, 403),
        ("/channels/b", &ada, 403),
        ("/channels/news/events", &ada, 200),
        ("/channels/news/events", "Authorization: Bearer x\r\n", 401),
        ("/channels/news", "Authorization: Bearer x\r\n", 401),
    ] {
        let text = answer(&mut simulation, &get(target, lines));
        let expected = format!("HTTP/1.1 {status} ");
        assert!(text.starts_with(&expected), "{target}: {text}");
        assert_eq!(
            text.contains("\r\nWWW-Authenticate: Bearer "),
            status == 401
        );
        // Whether there is such a channel is not told either.
        assert!(!text.contains("not_found"), "{text}");
    }
    let body = "{\"channel\":\"a.b\",\"data\":1}\n{\"channel\":\"b\",\"data\":2}";
    let len = body.len();
    let batch = |lines: &str| {
        format!(
            "POST /publish HTTP/1.1\r\nHost: localhost\r\n{lines}Content-Length: {len}\r\n\r\n{body}"
        )
    };
    let text = answer(&mut simulation, &batch(&ada));
    assert!(
        text.contains("\"seq\":1}") && text.contains("\"forbidden\""),
        "{text}"
    );
    let text = answer(&mut simulation, &batch(""));
    assert_eq!(text.matches("\"unauthenticated\"").count(), 2, "{text}");
}

#[test]
fn a_stream_ends_with_the_token_that_opened_it() {
    let mut simulation = guarded(vec![rule("jwt:ada", &["a"], &[])]);
    let lines = bearer(&token("ada", 60, ""));
    let peer = follow(&mut simulation, &get("/channels/a/events", &lines));
    simulation.advance(80_000);
    assert_eq!(simulation.receive_text(peer), "");
    simulation.advance(11_000);
    let text = simulation.receive_text(peer);
    assert!(text.ends_with("\n: the token has ended\n\n"), "{text}");
    assert!(simulation.is_at_end(peer));
}

#[test]
fn a_stream_that_is_not_granted_any_more_after_a_reload_ends_and_the_others_stay() {
    let mut simulation = guarded(vec![rule("anonymous", &["a", "b.*"], &[])]);
    let lost = follow(&mut simulation, &get("/channels/a/events", ""));
    let kept = follow(&mut simulation, &get("/patterns/b.*/events", ""));
    reload(&mut simulation, vec![rule("anonymous", &["b.*"], &["b.*"])]);
    let text = simulation.receive_text(lost);
    assert!(text.contains("not granted any more"), "{text}");
    assert!(simulation.is_at_end(lost));
    answer(&mut simulation, &post("b.c", "7", true));
    let text = simulation.receive_text(kept);
    assert!(
        text.ends_with("data: {\"channel\":\"b.c\",\"data\":7}\n\n"),
        "{text}"
    );
}

#[test]
fn a_reader_that_is_lapped_is_told_what_it_missed_and_gets_the_rest() {
    let mut simulation = Simulation::new(with_window(2_000));
    let peer = simulation.connect_with(1_000);
    simulation.send(peer, get("/channels/a/events", "").as_bytes());
    simulation.settle();
    let mut publisher = client::open(&mut simulation, client::Tongue::Json);
    for n in 1..=500 {
        publisher.say(&mut simulation, &publish(None, "a", &n.to_string()));
        publisher.hear(&mut simulation);
    }
    let text = simulation.receive_all(peer);
    let blocks: Vec<_> = text.split("\n\n").collect();
    let gap = blocks.iter().position(|block| block.contains("event: gap"));
    let gap = gap.expect("it was lapped");
    // The numbers of messages, and of the last that is missing, go up to the newest without a hole.
    let (_, body) = text.split_once("\r\n\r\n").expect("a head");
    let seqs = body.lines().filter_map(|line| {
        let (_, seq) = line.strip_prefix("id: ")?.split_once(':')?;
        seq.parse::<u64>().ok()
    });
    let seqs: Vec<u64> = seqs.collect();
    assert_eq!(seqs.first(), Some(&0), "the place before the first");
    assert_eq!(seqs.last(), Some(&500));
    let jumps = seqs.windows(2).filter(|pair| pair[1] != pair[0] + 1);
    assert_eq!(jumps.count(), 1, "{seqs:?}, the gap is block {gap}");
}

#[test]
fn a_reader_that_takes_nothing_for_too_long_loses_its_stream() {
    let mut simulation = Simulation::new(Config::default());
    let peer = simulation.connect_with(100);
    simulation.send(peer, get("/channels/a/events", "").as_bytes());
    simulation.settle();
    answer(&mut simulation, &post("a", "[1,2,3]", true));
    let stall_ms = Config::default().stall_timeout_ms.after(0);
    simulation.advance(stall_ms - 1_000);
    assert!(simulation.is_open(peer));
    simulation.advance(10_000);
    assert!(!simulation.is_open(peer));
}

#[test]
fn a_reader_of_a_long_history_that_stops_reading_takes_no_more_than_its_share_of_memory() {
    let mut simulation = Simulation::new(with_window(1 << 20));
    fill(&mut simulation, 900);
    let peer = simulation.connect_with(1_000);
    simulation.send(peer, get("/channels/a", "").as_bytes());
    simulation.settle();
    let held = simulation.service().ledger.outbox;
    assert!(held < 200 * 1024, "{held}");
    let text = simulation.receive_all(peer);
    assert_eq!(text.matches("\"seq\":").count(), 901);
    assert!(text.ends_with("\r\n0\r\n\r\n"), "whole");
}

#[test]
fn pages_that_may_use_the_daemon_may_read_what_it_answers() {
    let mut simulation = Simulation::new(Config::default());
    answer(&mut simulation, &post("a", "1", true));
    let ask = |simulation: &mut Simulation, method: &str, target: &str, origin: &str| {
        let lines = format!("Origin: {origin}\r\nAccess-Control-Request-Method: POST\r\n");
        answer(simulation, &get(target, &lines).replacen("GET", method, 1))
    };
    let own = "http://localhost:5173";
    let may_read = format!("\r\nAccess-Control-Allow-Origin: {own}\r\n");
    for (method, target) in [
        ("GET", "/channels/a"),
        ("GET", "/channels/a/events"),
        ("GET", "/channels/b"),
        ("POST", "/channels/a"),
        ("OPTIONS", "/channels/a"),
        ("OPTIONS", "/publish"),
    ] {
        let text = ask(&mut simulation, method, target, own);
        assert!(text.contains(&may_read), "{method} {target}: {text}");
        assert!(text.contains("\r\nVary: Origin\r\n"), "{text}");
        let preflight = text.contains("\r\nAccess-Control-Allow-Headers: Authorization, ");
        assert_eq!(preflight, method == "OPTIONS", "{text}");
        let text = ask(&mut simulation, method, target, "https://elsewhere.example");
        assert!(
            !text.contains("Access-Control"),
            "{method} {target}: {text}"
        );
        assert_eq!(
            text.starts_with("HTTP/1.1 403 "),
            method == "POST",
            "{text}"
        );
    }
}

/// Publishes so many messages of a thousand bytes to `a`.
fn fill(simulation: &mut Simulation, count: usize) {
    let mut publisher = client::open(simulation, client::Tongue::Json);
    let data = format!("\"{}\"", "x".repeat(1_000));
    for _ in 0..count {
        publisher.say(simulation, &publish(None, "a", &data));
        publisher.hear(simulation);
    }
}

#[test]
fn a_client_that_is_slow_with_its_last_answer_gets_it_whole() {
    let mut simulation = Simulation::new(with_window(1 << 20));
    fill(&mut simulation, 40);
    let peer = simulation.connect_with(1_000);
    simulation.send(peer, get("/channels/a", "Connection: close\r\n").as_bytes());
    let mut text = String::new();
    while !simulation.is_at_end(peer) {
        text.push_str(&simulation.receive_text(peer));
        simulation.advance(2_500);
    }
    assert!(text.ends_with("]}\n\r\n0\r\n\r\n"), "{} bytes", text.len());
}

#[test]
fn what_is_published_while_a_history_is_read_is_no_part_of_it() {
    let mut simulation = Simulation::new(with_window(1 << 20));
    fill(&mut simulation, 100);
    let peer = simulation.connect_with(1_000);
    simulation.send(peer, get("/channels/a", "").as_bytes());
    let mut text = String::new();
    for _ in 0..2_000 {
        let some = simulation.receive_text(peer);
        if some.is_empty() {
            break;
        }
        text.push_str(&some);
        answer(&mut simulation, &post("a", "1", true));
    }
    assert!(text.ends_with("]}\n\r\n0\r\n\r\n"), "it has no end");
    assert_eq!(text.matches("{\"seq\":").count(), 100);
}

#[test]
fn a_batch_under_way_loses_what_a_reload_or_the_end_of_its_token_takes_away() {
    for ends in [false, true] {
        let mut simulation = guarded(vec![rule("jwt:ada", &[], &["a"])]);
        let lines = bearer(&token("ada", 60, ""));
        let body = "{\"channel\":\"a\",\"data\":1}\n".repeat(20_000);
        let len = body.len();
        let peer = simulation.connect_with(2_000);
        let head = format!(
            "POST /publish HTTP/1.1\r\nHost: localhost\r\n{lines}Content-Length: {len}\r\n\r\n"
        );
        simulation.send(peer, head.as_bytes());
        simulation.send(peer, body.as_bytes());
        let mut text = simulation.receive_text(peer);
        if ends {
            for _ in 0..4 {
                simulation.advance(25_000);
                text.push_str(&simulation.receive_text(peer));
            }
        } else {
            reload(&mut simulation, vec![rule("anonymous", &["b"], &[])]);
        }
        text.push_str(&simulation.receive_all(peer));
        let (made, refused) = (
            text.matches("\"seq\":").count(),
            text.matches("\"code\":").count(),
        );
        assert_eq!(made + refused, 20_000, "{ends}");
        assert!(made > 0 && refused > 10_000, "{made} {refused} {ends}");
    }
}

#[test]
fn a_history_under_way_ends_unfinished_once_it_is_not_granted_any_more() {
    let mut simulation = guarded(vec![rule("anonymous", &["a"], &["a"])]);
    simulation.service().config.policy.retain_bytes = Limit::of(1 << 20);
    fill(&mut simulation, 400);
    let peer = simulation.connect_with(2_000);
    simulation.send(peer, get("/channels/a", "").as_bytes());
    let mut text = simulation.receive_text(peer);
    reload(&mut simulation, vec![rule("anonymous", &["b"], &[])]);
    text.push_str(&simulation.receive_all(peer));
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    assert!(!text.ends_with("\r\n0\r\n\r\n"), "it looks whole");
    assert!(simulation.is_at_end(peer));
}

/// The `n`th number below `most` of a sequence that is the same in every run.
fn dice(n: &mut u64, most: usize) -> usize {
    *n ^= *n << 13;
    *n ^= *n >> 7;
    *n ^= *n << 17;
    (*n >> 16) as usize % most
}

/// A reader of the channel `a`: what it has of a block that is not whole, and the last number that it was told of.
struct Reader {
    peer: PeerId,
    takes: usize,
    bytes: Vec<u8>,
    /// Whether the head of the response has come.
    has_head: bool,
    last: Option<u64>,
    /// Whether it was told that its stream ends.
    has_ended: bool,
}

impl Reader {
    /// One that had the message `last` of `epoch` before, if it is given.
    fn come(
        simulation: &mut Simulation,
        random: &mut u64,
        epoch: Option<&str>,
        last: Option<u64>,
    ) -> Reader {
        let (room, takes) = [(64, 20), (3_000, 900), (100_000, usize::MAX)][dice(random, 3)];
        let peer = match dice(random, 3) {
            0 => simulation.connect_withholding(room),
            _ => simulation.connect_with(room),
        };
        let last = epoch.and(last);
        let lines = match (epoch, last) {
            (Some(epoch), Some(last)) => format!("Last-Event-ID: {epoch}:{last}\r\n"),
            _ => String::new(),
        };
        simulation.send(peer, get("/channels/a/events", &lines).as_bytes());
        Reader {
            peer,
            takes,
            bytes: Vec::new(),
            has_head: false,
            last,
            has_ended: false,
        }
    }

    /// Takes some of what it was sent, and holds it against what was published.
    fn take(&mut self, simulation: &mut Simulation, most: usize, published: &[String]) {
        self.bytes.extend(simulation.receive(self.peer, most));
        if !self.has_head {
            let head = self.bytes.windows(4).position(|four| four == b"\r\n\r\n");
            let Some(head) = head else { return };
            self.bytes.drain(..head + 4);
            self.has_head = true;
        }
        while let Some(end) = self.bytes.windows(2).position(|two| two == b"\n\n") {
            let block: Vec<u8> = self.bytes.drain(..end + 2).collect();
            self.block(std::str::from_utf8(&block).expect("UTF-8"), published);
        }
    }

    fn block(&mut self, block: &str, published: &[String]) {
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
        let Some(id) = field("id: ") else {
            self.has_ended |= block.contains("took nothing for too long");
            let is_known = block == ":\n\n" || block.starts_with("retry: ");
            return assert!(is_known, "{block}");
        };
        let seq: u64 = (id.rsplit_once(':').expect("a place").1)
            .parse()
            .expect("a number");
        let data: Vec<_> = (block.lines())
            .filter_map(|line| line.strip_prefix("data: "))
            .collect();
        let data = data.join("\n");
        if field("retry: ").is_some() {
            assert_eq!(data, "");
        } else if field("event: ") == Some("gap") {
            let first = self.last.map_or(0, |last| last + 1);
            assert!(
                data.contains(&format!("\"from\":{first},\"to\":{seq},")),
                "{block}"
            );
        } else {
            assert_eq!(Some(seq), self.last.map(|last| last + 1), "{block}");
            assert_eq!(data, published[seq as usize - 1]);
        }
        self.last = Some(seq);
    }
}

#[test]
fn however_readers_read_and_whenever_they_come_and_go_each_message_comes_once_or_is_named_as_missing()
 {
    for seed in 1..=6 {
        let mut random = 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed);
        let mut simulation = Simulation::new(with_window(30_000));
        let mut publisher = client::open(&mut simulation, client::Tongue::Json);
        let mut published = Vec::new();
        let mut epoch = None;
        let mut readers: Vec<Reader> = Vec::new();
        for _ in 0..700 {
            match dice(&mut random, 8) {
                0 if readers.len() < 8 => {
                    readers.push(Reader::come(&mut simulation, &mut random, None, None))
                }
                1 if !readers.is_empty() => {
                    let gone = readers.swap_remove(dice(&mut random, readers.len()));
                    simulation.reset(gone.peer);
                    let epoch = epoch.as_deref();
                    readers.push(Reader::come(&mut simulation, &mut random, epoch, gone.last));
                }
                2 => simulation.tick(dice(&mut random, 4_000) as u64),
                3 | 4 => {
                    let data = format!(
                        "[\n\"{}\"]",
                        "x".repeat([3, 300, 9_000][dice(&mut random, 3)])
                    );
                    publisher.say(&mut simulation, &publish(Some(1), "a", &data));
                    published.push(data);
                }
                _ if readers.is_empty() => {}
                _ => {
                    let nth = dice(&mut random, readers.len());
                    let most = readers[nth].takes;
                    readers[nth].take(&mut simulation, most, &published);
                }
            }
            for said in publisher.hear(&mut simulation) {
                match said {
                    client::Said::Text(text) => {
                        let rest = text.split_once("\"epoch\":\"").map(|(_, rest)| rest);
                        let found = rest.and_then(|rest| rest.split_once('"'));
                        epoch = found.map(|(found, _)| found.to_owned()).or(epoch);
                    }
                    _ => simulation.send(publisher.peer, &client::pong_frame()),
                }
            }
        }
        for reader in &mut readers {
            if simulation.is_open(reader.peer) {
                for _ in 0..20_000 {
                    let before = reader.bytes.len();
                    reader.take(&mut simulation, usize::MAX, &published);
                    simulation.settle();
                    if reader.bytes.len() == before && reader.last == Some(published.len() as u64) {
                        break;
                    }
                }
                let newest = Some(published.len() as u64);
                assert!(reader.last == newest || reader.has_ended, "seed {seed}");
            }
        }
    }
}
