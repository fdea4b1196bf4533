use std::path::PathBuf;

use super::*;

fn nowhere() -> Listen {
    Listen::Unix(PathBuf::from("/nowhere"))
}

fn rule(who: &str, subscribe: &[&str], publish: &[&str]) -> Rule {
    let grants = |texts: &[&str]| {
        let grants = texts.iter().map(|text| Grant::parse(text));
        grants.collect::<Result<Vec<_>, _>>().expect("grants")
    };
    Rule {
        who: Who::parse(who, |path| Ok(Listen::Unix(path.into()))).expect("somebody"),
        subscribe: grants(subscribe),
        publish: grants(publish),
        admin: false,
        place: "".into(),
    }
}

fn rules(rules: Vec<Rule>) -> Rules {
    Rules {
        rules,
        ..Rules::default()
    }
}

fn somebody(means: Means, subject: &str) -> Identity {
    Identity::new(means, subject.into(), 0)
}

fn patterns(texts: &[&str]) -> Option<Vec<Pattern>> {
    let patterns = texts.iter().map(|text| Pattern::parse(text));
    Some(patterns.collect::<Result<_, _>>().expect("patterns"))
}

fn reads(rights: &Rights, channel: &str) -> bool {
    rights.subscribe(Topic::Channel(channel)).is_some()
}

#[test]
fn without_rules_and_means_everybody_may_do_everything_but_with_the_daemons_own() {
    let rights = rules(vec![]).rights(None, &nowhere());
    assert!(rights.are_all() && !rights.admin());
    assert_eq!(rights.publish("a"), Some(Source::Open));
    assert_eq!(rights.publish("$a"), None);
    assert_eq!(rights.subscribe(Topic::pattern(">")), Some(Source::Open));
}

#[test]
fn as_soon_as_there_is_any_rule_or_means_what_is_not_allowed_is_denied() {
    let known = Rules {
        knows_people: true,
        ..Rules::default()
    };
    assert!(known.rights(None, &nowhere()).are_none());
    let rules = rules(vec![rule("anonymous", &["a.*"], &[])]);
    let rights = rules.rights(None, &nowhere());
    assert_eq!(
        rights.subscribe(Topic::Channel("a.b")),
        Some(Source::Rule(0))
    );
    assert!(!reads(&rights, "a") && !reads(&rights, "b.c") && !rights.admin());
    assert_eq!(rights.publish("a.b"), None);
}

#[test]
fn a_rule_is_for_those_it_says_and_equal_names_by_different_means_are_different_people() {
    let table = [
        ("anonymous", [true, true, true]),
        ("authenticated", [false, true, true]),
        ("subject:ada", [false, true, true]),
        ("subject:a*", [false, true, true]),
        ("jwt:ada", [false, true, false]),
        ("cert:*", [false, false, true]),
        ("basic:ada", [false, false, false]),
        ("listener:/nowhere", [true, true, true]),
        ("listener:/elsewhere", [false, false, false]),
    ];
    let (token, certificate) = (
        somebody(Means::Token, "ada"),
        somebody(Means::Certificate, "ada"),
    );
    for (who, expected) in table {
        let rules = rules(vec![rule(who, &["a"], &[])]);
        let got = [None, Some(&token), Some(&certificate)]
            .map(|identity| reads(&rules.rights(identity, &nowhere()), "a"));
        assert_eq!(got, expected, "{who}");
    }
}

#[test]
fn whom_a_rule_is_for_is_read_or_refused_with_what_is_allowed() {
    let listen = |text: &str| Ok(Listen::Unix(text.into()));
    for text in [
        "anonymous",
        "authenticated",
        "subject:a*",
        "cert:a:b",
        "basic:x",
        "jwt:*",
    ] {
        let who = Who::parse(text, listen).expect("somebody");
        assert_eq!(who.to_string(), text);
    }
    for text in [
        "",
        "anybody",
        "anonymous:a",
        "authenticated:",
        "listener:",
        "jwt",
    ] {
        // A bare colon says no more than none.
        if text == "authenticated:" {
            continue;
        }
        let why = Who::parse(text, listen).expect_err(text);
        assert!(
            why.contains("anonymous") || why.contains("names nobody"),
            "{why}"
        );
    }
    assert!(Who::parse("jwt:", listen).is_err_and(|why| why.contains("names nobody")));
}

#[test]
fn the_subject_in_a_grant_is_one_literal_part_or_the_rule_does_not_hold() {
    let rules = rules(vec![rule(
        "authenticated",
        &["inbox.{subject}", "news"],
        &["{subject}.>"],
    )]);
    let rights = rules.rights(Some(&somebody(Means::Token, "ada")), &nowhere());
    assert!(reads(&rights, "inbox.ada") && reads(&rights, "news") && !reads(&rights, "inbox.bob"));
    assert!(rights.publish("ada.x").is_some() && rights.publish("bob.x").is_none());
    for subject in [
        "",
        "*",
        ">",
        "a.b",
        "a b",
        "$a",
        "a/b",
        "a+",
        "#",
        "\n",
        &"x".repeat(256),
    ] {
        let identity = somebody(Means::Certificate, subject);
        let rights = rules.rights(Some(&identity), &nowhere());
        assert!(rights.are_none(), "{subject:?}");
    }
}

#[test]
fn a_grant_that_is_no_pattern_is_refused() {
    for text in ["", "a..b", "a.{subject}x", "x{subject}", ">.a", "a b", "a*"] {
        assert!(Grant::parse(text).is_err(), "{text}");
    }
    for text in ["a", "a.*", ">", "{subject}", "a.{subject}.>", "$presence.a"] {
        assert!(Grant::parse(text).is_ok(), "{text}");
    }
    let why = Grant::parse("a.{subject}x").expect_err("no part");
    assert!(why.contains("whole part"), "{why}");
}

#[test]
fn a_grant_covers_the_daemons_own_only_if_it_begins_so() {
    let rules = rules(vec![rule("anonymous", &[">", "$presence.*"], &[">"])]);
    let rights = rules.rights(None, &nowhere());
    assert!(reads(&rights, "$presence.a") && !reads(&rights, "$other"));
    assert_eq!(rights.publish("$presence.a"), None);
}

#[test]
fn a_pattern_has_to_be_granted_as_a_whole() {
    let rules = rules(vec![rule("anonymous", &["a.*", "b.>", "c"], &[])]);
    let rights = rules.rights(None, &nowhere());
    for (text, expected) in [
        ("a.*", true),
        ("a.b", true),
        ("a.>", false),
        ("*.a", false),
        (">", false),
        ("b.*", true),
        ("b.*.c", true),
        ("b.>", true),
        ("*", false),
    ] {
        let found = rights.subscribe(Topic::pattern(text)).is_some();
        assert_eq!(found, expected, "{text}");
    }
    let parent = |text| rights.subscribe(Topic::Pattern(Matcher::PartsAndParent, text));
    assert!(parent("b.x.>").is_some());
    assert_eq!(parent("b.>"), None, "it stands for b, too");
    assert_eq!(
        rights.subscribe(Topic::Pattern(Matcher::Prefix, "b.")),
        None
    );
}

#[test]
fn what_a_token_names_takes_the_place_of_the_rules_or_is_added_or_narrows_them() {
    let mut rules = rules(vec![
        rule("anonymous", &["news"], &[]),
        rule("jwt:ada", &["a.>"], &["a.>"]),
    ]);
    rules.rules[1].admin = true;
    let mut ada = somebody(Means::Token, "ada");
    ada.claims.subscribe = patterns(&["a.x", "b"]);
    for (claims, subscribes, publishes, admin) in [
        // news, a.x, a.y, b
        (
            TokenClaims::Instead,
            [true, true, false, true],
            false,
            false,
        ),
        (TokenClaims::Add, [true, true, true, true], true, true),
        (
            TokenClaims::Narrow,
            [true, true, false, false],
            false,
            false,
        ),
    ] {
        rules.token_claims = claims;
        let rights = rules.rights(Some(&ada), &nowhere());
        let got = ["news", "a.x", "a.y", "b"].map(|channel| reads(&rights, channel));
        assert_eq!(got, subscribes, "{claims:?}");
        assert_eq!(rights.publish("a.x").is_some(), publishes, "{claims:?}");
        assert_eq!(rights.admin(), admin, "{claims:?}");
    }
    // Without claims it has what the rules say.
    ada.claims = Claims::default();
    let rights = rules.rights(Some(&ada), &nowhere());
    assert!(reads(&rights, "a.y") && rights.publish("a.y").is_some() && rights.admin());
    // A token that is no administrator's, by what it says or by the rules, is none.
    rules.token_claims = TokenClaims::Narrow;
    for (by_rules, by_token, expected) in [
        (true, None, true),
        (true, Some(true), true),
        (true, Some(false), false),
        (false, Some(true), false),
    ] {
        rules.rules[1].admin = by_rules;
        ada.claims.admin = by_token;
        let rights = rules.rights(Some(&ada), &nowhere());
        assert_eq!(rights.admin(), expected, "{by_rules} {by_token:?}");
    }
    ada.claims.admin = None;
    // An empty list grants nothing.
    ada.claims.subscribe = patterns(&[]);
    rules.token_claims = TokenClaims::Instead;
    let rights = rules.rights(Some(&ada), &nowhere());
    assert!(reads(&rights, "news") && !reads(&rights, "a.x") && rights.publish("a.x").is_none());
}
