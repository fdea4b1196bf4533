//! Which clients may come in, as the configuration says it.

use super::mistakes::expect_problems;
use super::{Told, config};
use crate::auth::origin::Own;
use crate::auth::rules::{Grant, Rule, TokenClaims, Who};
use crate::config::Listen;
use crate::limit::Limit;

fn grants(texts: &[&str]) -> Vec<Grant> {
    let grants = texts.iter().map(|text| Grant::parse(text));
    grants.collect::<Result<_, _>>().expect("grants")
}

#[test]
fn a_file_without_blocks_leaves_the_daemon_open() {
    assert!(config("echo = true", &[]).rules.are_open());
}

#[test]
fn each_allow_block_is_a_rule_that_knows_its_line() {
    let file = "token_claims = 'narrow'\n\
                [[allow]]\nwho = 'anonymous'\nsubscribe = ['news.>', 'inbox.{subject}']\n\
                [[allow]]\nwho = 'listener:127.0.0.1:8040'\npublish = '>'\nadmin = true\n\
                [[channel]]\nmatch = 'news.>'\n\
                [[allow]]\nwho = 'jwt:robot-*'\npublish = ['$sys.log']\nsubscribe = []\n";
    let rules = config(file, &[]).rules;
    assert_eq!(rules.token_claims, TokenClaims::Narrow);
    let mut all = rules.rules;
    for (rule, line) in all.iter_mut().zip([2, 5, 11]) {
        let place = std::mem::take(&mut rule.place);
        let end = format!(".toml:{line}");
        assert!(place.ends_with(&end), "{place}");
    }
    let who = |text| Who::parse(text, |_| Err(String::new())).expect("somebody");
    let listener = "127.0.0.1:8040".parse().expect("an address");
    let rule = |who, subscribe: &[&str], publish: &[&str], admin| Rule {
        who,
        subscribe: grants(subscribe),
        publish: grants(publish),
        admin,
        place: "".into(),
    };
    let expected = [
        rule(who("anonymous"), &["news.>", "inbox.{subject}"], &[], false),
        rule(Who::Listener(Listen::Tcp(listener)), &[], &[">"], true),
        rule(who("jwt:robot-*"), &[], &["$sys.log"], false),
    ];
    assert_eq!(all, expected);
}

#[test]
fn each_mistake_in_an_allow_block_is_told_with_its_place_and_what_is_allowed() {
    let cases: &[(&str, &str)] = &[
        (
            "[[allow]]\nsubscribe = '>'",
            "f.toml:1:1: this [[allow]] has no who: say whom it is for",
        ),
        (
            "[[allow]]\nwho = 'anonymous'",
            "f.toml:1:1: this [[allow]] grants nothing: give it subscribe or publish",
        ),
        (
            "[[allow]]\nwho = 'anonymous'\nsubscribe = []\npublish = []\nadmin = false",
            "f.toml:1:1: this [[allow]] grants nothing",
        ),
        (
            "[[allow]]\nwho = 'ada'\nadmin = true",
            "f.toml:2:7: who: \"ada\" is nobody: allowed are \"anonymous\", \"authenticated\"",
        ),
        (
            "[[allow]]\nwho = 'jwt:'\nadmin = true",
            "f.toml:2:7: who: \"jwt:\" names nobody",
        ),
        (
            "[[allow]]\nwho = ['anonymous']\nadmin = true",
            "f.toml:2:7: who: an array stands where a string is wanted",
        ),
        (
            "[[allow]]\nwho = 'listener:nowhere'\nadmin = true",
            "f.toml:2:7: who: \"nowhere\" is not an address: give HOST:PORT",
        ),
        (
            "[[allow]]\nwho = 'listener:127.0.0.1:8042'\nadmin = true",
            "f.toml:2:7: who: nothing listens on 127.0.0.1:8042, so this rule is for nobody: the daemon \
             listens on 127.0.0.1:8040, 127.0.0.1:8041",
        ),
        (
            "[[allow]]\nwho = 'anonymous'\nadmin = 'yes'",
            "f.toml:3:9: admin: a string stands where true or false is wanted",
        ),
        (
            "[[allow]]\nwho = 'anonymous'\nsubscribe = ['a', 'a.{subject}x']",
            "f.toml:3:19: subscribe: \"a.{subject}x\" is no grant",
        ),
        (
            "[[allow]]\nwho = 'anonymous'\npublish = [5]",
            "f.toml:3:12: publish: an integer stands where a pattern is wanted",
        ),
        (
            "[[allow]]\nwho = 'anonymous'\nsubscribe = 'a..b'",
            "f.toml:3:13: subscribe: \"a..b\" is no grant: a pattern has no empty part",
        ),
        (
            "[[allow]]\nwho = 'anonymous'\nadmin = true\nmatch = 'a'",
            "f.toml:4:1: unknown key \"match\"; allowed here: who, subscribe, publish, admin",
        ),
        (
            "[allow]\nwho = 'anonymous'",
            "f.toml:1:1: allow: a rule's block begins with [[allow]], in two brackets",
        ),
        (
            "allow = [1]",
            "f.toml:1:10: allow: an integer stands where a table is wanted",
        ),
        ("[[allow]]\nwho = 'anonymous'\nadmin = yes", "f.toml:3:9: "),
        ("[[allow]]\nwho =\nadmin = true", "f.toml:2:6: "),
        (
            "token_claims = 'replace'",
            "f.toml:1:16: token_claims: \"replace\" is not known here: give one of instead, add, narrow",
        ),
        (
            "origin = 'example.com'",
            "f.toml:1:10: origin: \"example.com\" is not a pattern of origins: it has no scheme",
        ),
        (
            "trusted_proxy = ['10.0.0.0/8', 'nginx']\ntrusted_proxy_header = 'forwarded'",
            "f.toml:1:32: trusted_proxy: \"nginx\" is not a network: give an address",
        ),
        (
            "trusted_proxy = '10.0.0.0/8'\ntrusted_proxy_header = 'via'",
            "f.toml:2:24: trusted_proxy_header: \"via\" is not known here: give one of forwarded, \
             x-forwarded-for, proxy",
        ),
        (
            "trusted_proxy = '10.0.0.0/8'",
            "f.toml:1:17: trusted_proxy: a trusted proxy needs --trusted-proxy-header too: forwarded,",
        ),
        (
            "trusted_proxy_header = 'proxy'",
            "f.toml:1:24: trusted_proxy_header: it needs --trusted-proxy too: the network of the proxy",
        ),
        ("origin = []", "f.toml:1:10: origin: the list is empty"),
        (
            "host = ['a.example', 'http://b.example']",
            "f.toml:1:22: host: \"http://b.example\" is not the name of a host",
        ),
    ];
    for (file, beginning) in cases {
        expect_problems(file, &[beginning]);
    }
}

#[test]
fn an_allow_block_is_checked_to_its_end_whatever_is_wrong_with_it() {
    let file = "[[allow]]\nwho = 'x'\nsubscribe = ['a..b', '']\nzzz = 1\nadmin = 1\n\
                [[allow]]\n";
    let beginnings = [
        "f.toml:2:7: who: ",
        "f.toml:3:14: subscribe: \"a..b\"",
        "f.toml:3:22: subscribe: \"\"",
        "f.toml:4:1: unknown key \"zzz\"",
        "f.toml:5:9: admin: an integer",
        "f.toml:6:1: this [[allow]] has no who",
    ];
    expect_problems(file, &beginnings);
}

#[test]
fn a_rule_for_a_listener_is_held_against_the_addresses_that_hold_in_the_end() {
    let file = "listen = ['127.0.0.1:9000', 'unix:/run/f.sock']\n\
                [[allow]]\nwho = 'listener:unix:/run/f.sock'\npublish = ['>']\n";
    assert_eq!(config(file, &[]).rules.rules.len(), 1);
    let told = Told {
        file,
        flags: &["--listen", "127.0.0.1:9000"],
        ..Told::default()
    };
    let problems = told.problems();
    assert!(
        problems[0].contains("nothing listens on unix:/run/f.sock"),
        "{problems:?}"
    );
}

#[test]
fn a_rule_may_name_any_port_where_the_system_chooses_it() {
    for address in ["127.0.0.1:0", "127.0.0.1:4711"] {
        let file = format!("[[allow]]\nwho = 'listener:{address}'\npublish = ['>']\n");
        let rules = config(&file, &["--listen", "127.0.0.1:0"]).rules;
        assert_eq!(rules.rules.len(), 1, "{address}");
    }
}

#[test]
fn origins_and_hosts_of_all_values_reach_the_configuration() {
    let flags = [
        "--origin",
        "https://a.example",
        "--origin",
        "null",
        "--host",
        "a.example",
        "--auth-timeout",
        "0",
        "--open-to-everyone",
    ];
    let config = config("", &flags);
    let own = Own {
        scheme: "http",
        host_header: None,
        is_loopback: true,
    };
    assert!(config.origins.allows(b"https://a.example", own));
    assert!(config.origins.allows(b"null", own));
    assert!(!config.origins.allows(b"http://localhost", own));
    assert!(config.hosts.allow(Some("a.example"), true));
    assert!(!config.hosts.allow(Some("b.example"), true));
    assert_eq!(config.auth_timeout_ms, Limit::NONE);
    assert!(config.is_open_to_everyone);
}

#[test]
fn commas_separate_origins_in_the_environment() {
    let environment = [("FANFARE_ORIGIN", "https://a.example, https://b.example")];
    let by_environment = Told {
        environment: &environment,
        ..Told::default()
    };
    let by_file = config("origin = ['https://a.example', 'https://b.example']", &[]);
    assert_eq!(by_environment.config(), by_file);
}
