//! What administrators ask: lists, clearing, and the end of connections.

use serde_json::Value;

use super::access::{START, guarded, rule, token};
use super::client::{Client, Said, Tongue, open, publish, subscribe};
use super::events::{answer, bearer, follow, get};
use super::*;
use crate::auth::rules::Rule;

/// The rules of a daemon that everybody may use, and that `root` administers.
fn rules() -> Vec<Rule> {
    vec![
        rule("anonymous", &[">"], &[">"]),
        Rule {
            admin: true,
            ..rule("jwt:root", &[], &[])
        },
    ]
}

fn administered() -> Simulation {
    guarded(rules())
}

fn root() -> String {
    bearer(&token("root", 3_600, r#","subscribe":[">"],"admin":true"#))
}

fn delete(target: &str, lines: &str) -> String {
    format!("DELETE {target} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")
}

/// The status of an answer.
fn status(text: &str) -> &str {
    text.get(9..12).unwrap_or(text)
}

/// The JSON in an answer, with its chunks put together.
fn json(text: &str) -> Value {
    let (head, mut body) = text.split_once("\r\n\r\n").expect("a head");
    let mut whole = String::new();
    if !head.contains("Transfer-Encoding: chunked") {
        whole.push_str(body);
    } else {
        loop {
            let (len, rest) = body.split_once("\r\n").expect("a chunk");
            let len = usize::from_str_radix(len, 16).expect("its length");
            if len == 0 {
                break;
            }
            whole.push_str(&rest[..len]);
            body = &rest[len + 2..];
        }
    }
    serde_json::from_str(&whole).unwrap_or_else(|error| panic!("{error}: {whole}"))
}

/// What is answered to root, bit by bit.
fn ask(simulation: &mut Simulation, request: &str) -> Value {
    let peer = simulation.connect();
    simulation.send(peer, request.as_bytes());
    let text = simulation.receive_all(peer);
    assert_eq!(status(&text), "200", "{text}");
    json(&text)
}

fn fill(simulation: &mut Simulation, channels: usize) {
    let publisher = open(simulation, Tongue::Json);
    for n in 0..channels {
        publisher.say(simulation, &publish(None, &format!("c{n:06}"), "1"));
        if n % 1_000 == 999 {
            simulation.settle();
        }
    }
    simulation.settle();
    publisher.close(simulation);
    simulation.settle();
}

#[test]
fn only_administrators_list_clear_and_end_and_an_open_daemon_has_none() {
    let targets = [
        get("/channels", ""),
        get("/connections", ""),
        delete("/channels/a/messages", ""),
        delete("/connections/0-1", ""),
        delete("/subjects/ada", ""),
    ];
    let as_ada = bearer(&token("ada", 60, ""));
    for request in targets {
        let mut open = Simulation::new(Config::default());
        let text = answer(&mut open, &request);
        assert_eq!(status(&text), "403", "{text}");
        assert!(text.contains("--admin"), "{text}");
        let mut guarded = administered();
        let text = answer(&mut guarded, &request);
        assert_eq!(status(&text), "401", "{text}");
        let request = request.replace("\r\n\r\n", &format!("\r\n{as_ada}\r\n"));
        let text = answer(&mut guarded, &request);
        assert_eq!(status(&text), "403", "{text}");
    }
}

#[test]
fn channels_are_listed_page_by_page_with_what_they_hold() {
    let mut simulation = administered();
    fill(&mut simulation, 250);
    let mut reader = open(&mut simulation, Tongue::Json);
    reader.say(&mut simulation, &subscribe("c000001"));
    reader.hear(&mut simulation);
    let first = ask(&mut simulation, &get("/channels?limit=2", &root()));
    let channels = first["channels"].as_array().expect("channels");
    assert_eq!(channels.len(), 2);
    let second = &channels[1];
    assert_eq!(second["channel"], "c000001");
    assert_eq!(second["subscribers"], 1);
    assert_eq!(second["messages"], 1);
    assert_eq!(second["lag"], 0);
    assert!(second["bytes"].as_u64().expect("a number") > 40);
    assert_eq!(second["rate"].as_f64(), Some(0.1));
    let (mut names, mut after) = (Vec::new(), String::new());
    loop {
        let target = format!("/channels?prefix=c0001&limit=30&after={after}");
        let page = ask(&mut simulation, &get(&target, &root()));
        let channels = page["channels"].as_array().expect("channels");
        names.extend(channels.iter().map(|channel| channel["channel"].clone()));
        match &page["next"] {
            Value::String(next) => after = next.clone(),
            _ => break,
        }
    }
    let expected: Vec<String> = (100..200).map(|n| format!("c{n:06}")).collect();
    assert_eq!(names, expected);
}

#[test]
fn what_a_page_is_asked_wrongly_for_is_said() {
    let mut simulation = administered();
    for (target, word) in [
        ("/channels?limit=0", "from 1 to 1000"),
        ("/channels?limit=1001", "from 1 to 1000"),
        ("/connections?limit=x", "limit"),
        ("/connections?after=x", "after"),
        ("/channels?after=%zz", "after"),
    ] {
        let text = answer(&mut simulation, &get(target, &root()));
        assert_eq!(status(&text), "400", "{text}");
        assert!(text.contains(word), "{text}");
    }
    let text = answer(&mut simulation, &delete("/connections/x", &root()));
    assert_eq!(status(&text), "400", "{text}");
    let head = get("/channels", &root()).replace("GET", "HEAD");
    let text = answer(&mut simulation, &head);
    assert!(
        text.ends_with("\r\n\r\n") && status(&text) == "200",
        "{text}"
    );
}

#[test]
fn a_list_of_a_hundred_thousand_channels_is_made_in_small_parts_and_holds_no_more_than_a_few() {
    let mut simulation = administered();
    fill(&mut simulation, 100_000);
    let (mut after, mut count, mut turns) = (String::new(), 0, 0);
    let peer = simulation.connect_with(32 * 1024);
    for _ in 0..100 {
        let target = format!("/channels?limit=1000&after={after}");
        simulation.send(peer, get(&target, &root()).as_bytes());
        let mut text = Vec::new();
        while !text.ends_with(b"0\r\n\r\n") {
            simulation.turn();
            turns += 1;
            // A part, what waits, and what is on its way.
            let held = simulation.outbox_bytes();
            assert!(held <= 160 * 1024, "{held}");
            text.extend(simulation.receive(peer, usize::MAX));
        }
        let text = String::from_utf8(text).expect("text");
        let page = json(&text);
        count += page["channels"].as_array().expect("channels").len();
        after = page["next"].as_str().unwrap_or_default().to_owned();
    }
    assert_eq!((count, &*after), (100_000, ""));
    // No turn makes a whole page: a visit may cost a quarter of a millisecond, and a page of a thousand costs more.
    assert!(turns >= 200, "{turns}");
}

#[test]
fn a_cleared_channel_keeps_its_numbers_and_whoever_has_still_to_get_what_went_is_told_a_gap() {
    let mut simulation = administered();
    let mut pattern = open(&mut simulation, Tongue::Json);
    pattern.say(&mut simulation, r#"{"type":"subscribe","pattern":"*"}"#);
    pattern.hear(&mut simulation);
    let publisher = open(&mut simulation, Tongue::Json);
    for channel in ["a", "b", "a"] {
        publisher.say(&mut simulation, &publish(None, channel, "1"));
    }
    simulation.settle();
    let epoch = {
        let text = answer(&mut simulation, &get("/channels/a", ""));
        json(&text)["epoch"].clone()
    };
    let cleared = ask(&mut simulation, &delete("/channels/a/messages", &root()));
    assert_eq!((&cleared["epoch"], &cleared["seq"]), (&epoch, &2.into()));
    let held = json(&answer(&mut simulation, &get("/channels/a", "")));
    assert_eq!(held["messages"], Value::Array(Vec::new()));
    assert_eq!((&held["epoch"], &held["seq"]), (&epoch, &2.into()));
    // A late reader of the pattern finds what was published before the channel's last message gone, and b's own log whole.
    let mut late = open(&mut simulation, Tongue::Json);
    late.say(
        &mut simulation,
        r#"{"type":"subscribe","pattern":"*","last":9}"#,
    );
    let texts = late.hear_texts(&mut simulation);
    assert_eq!(texts.len(), 1, "{texts:?}");
    let held = json(&answer(&mut simulation, &get("/channels/b", "")));
    assert_eq!(held["messages"].as_array().map(Vec::len), Some(1));
    let since = format!("/channels/a?since={}:0", epoch.as_str().expect("text"));
    let held = json(&answer(&mut simulation, &get(&since, "")));
    assert_eq!(held["gap"]["to"], 2);
    let text = answer(&mut simulation, &delete("/channels/none/messages", &root()));
    assert_eq!(status(&text), "404", "{text}");
}

/// The only connection in a list whose member has this value.
fn found<'l>(list: &'l Value, member: &str, value: &str) -> &'l Value {
    let mut all = list["connections"].as_array().expect("rows").iter();
    let found = all.find(|row| row[member] == value);
    found.unwrap_or_else(|| panic!("{member} {value}: {list}"))
}

#[test]
fn connections_are_listed_with_who_they_are_and_what_they_do() {
    let mut simulation = administered();
    let mut ada = open(&mut simulation, Tongue::Json);
    let said = ada.hear(&mut simulation);
    assert!(said.is_empty());
    let auth = super::access::auth(&token("ada", 60, ""));
    super::access::says(&mut ada, &mut simulation, &auth);
    ada.say(&mut simulation, &subscribe("a"));
    ada.say(&mut simulation, &subscribe("b"));
    ada.hear(&mut simulation);
    let stream = get("/channels/a/events", "");
    follow(&mut simulation, &stream);
    simulation.advance(1_500);
    let list = ask(&mut simulation, &get("/connections", &root()));
    assert_eq!(list["connections"].as_array().map(Vec::len), Some(3));
    let row = found(&list, "subject", "ada");
    for (member, value) in [
        ("state", "open"),
        ("dialect", "json"),
        ("transport", "memory"),
        ("means", "jwt"),
        ("peer", "(in memory)"),
    ] {
        assert_eq!(row[member], value, "{row}");
    }
    for (member, value) in [
        ("subscriptions", 2),
        ("lag", 0),
        ("outbox", 0),
        ("age_ms", 1_500),
    ] {
        assert_eq!(row[member], value, "{row}");
    }
    assert_eq!(found(&list, "state", "events")["subscriptions"], 1);
    assert_eq!(found(&list, "subject", "root")["state"], "http");
    assert!(list["next"].is_null());
}

#[test]
fn many_connections_are_listed_page_by_page_each_once_whoever_comes_and_goes() {
    let mut simulation = administered();
    let mut clients: Vec<Client> = (0..500)
        .map(|_| Client::open(&mut simulation, Tongue::Json))
        .collect();
    for client in &mut clients {
        client.hear(&mut simulation);
    }
    let (mut ids, mut after) = (Vec::new(), String::new());
    loop {
        let target = format!("/connections?limit=90{after}");
        let page = ask(&mut simulation, &get(&target, &root()));
        let rows = page["connections"].as_array().expect("rows");
        ids.extend(
            rows.iter()
                .map(|row| row["id"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["next"].as_str() else {
            break;
        };
        after = format!("&after={next}");
        // The one that the next page begins after goes.
        let text = answer(
            &mut simulation,
            &delete(&format!("/connections/{next}"), &root()),
        );
        assert_eq!(status(&text), "200", "{text}");
        simulation.advance(10_000);
    }
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count);
    assert!(count >= 500, "{count}");
}

#[test]
fn after_a_crowd_has_gone_whoever_stayed_is_listed_and_empty_places_hold_up_nobody() {
    let mut simulation = administered();
    let crowd: Vec<PeerId> = (0..20_000).map(|_| simulation.connect()).collect();
    let mut last = open(&mut simulation, Tongue::Json);
    for peer in crowd {
        simulation.reset(peer);
    }
    simulation.settle();
    let peer = simulation.connect();
    let turns = simulation.service().metrics.turns;
    simulation.send(peer, get("/connections?limit=2", &root()).as_bytes());
    let list = json(&simulation.receive_text(peer));
    assert_eq!(list["connections"].as_array().map(Vec::len), Some(2));
    assert!(list["next"].is_null(), "{list}");
    // A turn looks at some thousands of places.
    assert!(simulation.service().metrics.turns - turns >= 5);
    assert_eq!(last.hear(&mut simulation), []);
}

#[test]
fn an_ended_connection_is_told_4403_and_its_id_ends_nobody_else() {
    let mut simulation = administered();
    let mut client = open(&mut simulation, Tongue::Json);
    let stream = follow(&mut simulation, &get("/channels/a/events", ""));
    let list = ask(&mut simulation, &get("/connections", &root()));
    for state in ["open", "events"] {
        let id = found(&list, "state", state)["id"].as_str().expect("an id");
        let target = format!("/connections/{id}");
        let ended = ask(&mut simulation, &delete(&target, &root()));
        assert_eq!(ended["disconnected"], 1);
        let text = answer(&mut simulation, &delete(&target, &root()));
        assert_eq!(status(&text), "404", "{text}");
        simulation.advance(10_000);
        // Another has its place.
        let mut other = open(&mut simulation, Tongue::Json);
        let text = answer(&mut simulation, &delete(&target, &root()));
        assert_eq!(status(&text), "404", "{text}");
        assert_eq!(other.hear(&mut simulation), []);
    }
    let said = client.hear(&mut simulation);
    assert_eq!(said.last(), Some(&Said::Close(4403)));
    let text = simulation.receive_text(stream);
    assert!(text.contains("disconnected by an administrator"), "{text}");
    assert!(simulation.is_at_end(stream));
}

/// The number of connections that a subject has.
fn count_of(simulation: &mut Simulation, subject: &str) -> usize {
    let list = ask(simulation, &get("/connections?limit=1000", &root()));
    let rows = list["connections"].as_array().expect("rows").iter();
    rows.filter(|row| row["subject"] == subject && row["state"] == "open")
        .count()
}

#[test]
fn a_disconnected_subject_loses_all_connections_and_comes_back_with_a_new_token_only() {
    let mut simulation = administered();
    let old = token("ada", 3_600, &format!(r#","iat":{START}"#));
    let timeless = token("ada", 3_600, "");
    let bob = token("bob", 3_600, &format!(r#","iat":{START}"#));
    let enter = |simulation: &mut Simulation, token: &str| {
        let mut client = open(simulation, Tongue::Json);
        let said = super::access::says(&mut client, simulation, &super::access::auth(token));
        (client, said)
    };
    let mut clients: Vec<Client> = [&old, &timeless, &old, &bob]
        .map(|token| enter(&mut simulation, token).0)
        .into();
    simulation.advance(2_000);
    assert_eq!(count_of(&mut simulation, "ada"), 3);
    let ended = ask(&mut simulation, &delete("/subjects/ada", &root()));
    assert_eq!(ended["disconnected"], 3);
    for client in &mut clients[..3] {
        assert_eq!(
            client.hear(&mut simulation).last(),
            Some(&Said::Close(4403))
        );
    }
    assert_eq!(count_of(&mut simulation, "bob"), 1);
    for token in [&old, &timeless] {
        let (_, said) = enter(&mut simulation, token);
        assert!(
            said.contains("token_invalid") && said.contains("new one"),
            "{said}"
        );
        let text = answer(&mut simulation, &get("/channels/a/events", &bearer(token)));
        assert_eq!(status(&text), "401", "{text}");
    }
    let now = START + simulation.now() / 1_000;
    let new = token("ada", 3_600, &format!(r#","iat":{}"#, now + 1));
    let (_, said) = enter(&mut simulation, &new);
    assert!(said.contains("authenticated"), "{said}");
    // A reload does not let the older ones in.
    super::access::reload(&mut simulation, rules());
    let (_, said) = enter(&mut simulation, &old);
    assert!(said.contains("token_invalid"), "{said}");
    // Whoever came with the new one stays.
    let ended = ask(&mut simulation, &delete("/subjects/nobody", &root()));
    assert_eq!(ended["disconnected"], 0);
    assert_eq!(count_of(&mut simulation, "ada"), 1);
}

#[test]
fn an_administrator_that_ends_itself_gets_its_answer_first() {
    let mut simulation = administered();
    let peer = simulation.connect();
    simulation.send(peer, get("/connections", &root()).as_bytes());
    let list = json(&simulation.receive_text(peer));
    let id = list["connections"][0]["id"].as_str().expect("an id");
    let target = format!("/connections/{id}");
    simulation.send(peer, delete(&target, &root()).as_bytes());
    let text = simulation.receive_text(peer);
    assert_eq!(status(&text), "200", "{text}");
    assert!(text.contains("Connection: close"), "{text}");
    assert!(simulation.is_at_end(peer));
}

#[test]
fn what_was_asked_for_is_done_though_the_asker_is_gone() {
    let mut simulation = administered();
    let mut clients: Vec<Client> = (0..300)
        .map(|_| {
            let mut client = open(&mut simulation, Tongue::Json);
            let auth = super::access::auth(&token("ada", 3_600, ""));
            super::access::says(&mut client, &mut simulation, &auth);
            client
        })
        .collect();
    let peer = simulation.connect();
    simulation.send(peer, delete("/subjects/ada", &root()).as_bytes());
    simulation.turn();
    // So many do not end in one turn.
    assert!(!simulation.service().errands.is_empty());
    simulation.reset(peer);
    simulation.settle();
    for client in &mut clients {
        assert_eq!(
            client.hear(&mut simulation).last(),
            Some(&Said::Close(4403))
        );
    }
}
