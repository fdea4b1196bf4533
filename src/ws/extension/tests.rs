use proptest::prelude::*;

use super::*;

/// The answer to these lines of `Sec-WebSocket-Extensions`.
fn answer(lines: &[&str]) -> Option<String> {
    negotiate(lines.iter().map(|line| line.as_bytes())).map(|agreed| agreed.to_string())
}

const PLAIN: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

fn with_limit(bits: u8) -> String {
    format!("{PLAIN}; server_max_window_bits={bits}")
}

#[test]
fn without_an_acceptable_offer_there_is_no_answer() {
    assert_eq!(answer(&[]), None);
    for line in [
        "",
        " ",
        ",",
        "x-webkit-deflate-frame",
        "permessage-bzip2; a=b",
        "Permessage-Deflate",
    ] {
        assert_eq!(answer(&[line]), None, "{line}");
    }
}

#[test]
fn every_offer_is_answered_with_both_no_context_takeovers_and_its_own_limit() {
    // Each parameter left out or given each way that it can be; the order does not matter.
    let flags = |name: &'static str| ["", name];
    let server_bits = [
        None,
        Some("9"),
        Some("10"),
        Some("11"),
        Some("12"),
        Some("13"),
        Some("14"),
        Some("15"),
    ];
    let client_bits = [
        "",
        "client_max_window_bits",
        "client_max_window_bits=8",
        "client_max_window_bits=9",
        "client_max_window_bits=12",
        "client_max_window_bits=15",
        "client_max_window_bits=\"10\"",
    ];
    for server_flag in flags("server_no_context_takeover") {
        for client_flag in flags("client_no_context_takeover") {
            for limit in server_bits {
                for client_bits in client_bits {
                    let limited = limit.map(|bits| format!("server_max_window_bits={bits}"));
                    let mut params = [
                        server_flag,
                        client_flag,
                        limited.as_deref().unwrap_or(""),
                        client_bits,
                    ];
                    let expected = match limit {
                        Some(bits) => with_limit(bits.parse().unwrap()),
                        None => PLAIN.to_owned(),
                    };
                    for _ in 0..params.len() {
                        params.rotate_left(1);
                        let mut offer = "permessage-deflate".to_owned();
                        for param in params.iter().filter(|param| !param.is_empty()) {
                            offer.push_str("; ");
                            offer.push_str(param);
                        }
                        assert_eq!(answer(&[&offer]).as_ref(), Some(&expected), "{offer}");
                    }
                }
            }
        }
    }
}

#[test]
fn what_browsers_and_libraries_offer_is_accepted() {
    let offers = [
        (
            "permessage-deflate; client_max_window_bits",
            PLAIN.to_owned(),
        ),
        ("permessage-deflate", PLAIN.to_owned()),
        (
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
            with_limit(12),
        ),
        (
            "x-webkit-deflate-frame, permessage-deflate;client_max_window_bits",
            PLAIN.to_owned(),
        ),
    ];
    for (offer, expected) in offers {
        assert_eq!(answer(&[offer]), Some(expected), "{offer}");
    }
}

/// Parameters of which one is enough to lose an offer.
const BAD_PARAMS: [&str; 33] = [
    "unknown",
    "unknown=1",
    "Server_no_context_takeover",
    "server_no_context_takeover=1",
    "server_no_context_takeover=true",
    "server_no_context_takeover=",
    "server_no_context_takeover=\"\"",
    "client_no_context_takeover=10",
    "server_no_context_takeover; server_no_context_takeover",
    "client_no_context_takeover; client_no_context_takeover",
    "server_max_window_bits",
    "server_max_window_bits=",
    "server_max_window_bits=\"\"",
    "server_max_window_bits=0",
    "server_max_window_bits=7",
    "server_max_window_bits=8",
    "server_max_window_bits=\"8\"",
    "server_max_window_bits=08",
    "server_max_window_bits=010",
    "server_max_window_bits=+10",
    "server_max_window_bits=-9",
    "server_max_window_bits=16",
    "server_max_window_bits=100",
    "server_max_window_bits=1e1",
    "server_max_window_bits=\" 10\"",
    "server_max_window_bits=4294967306",
    "server_max_window_bits=10; server_max_window_bits=10",
    "client_max_window_bits=",
    "client_max_window_bits=7",
    "client_max_window_bits=16",
    "client_max_window_bits=09",
    "client_max_window_bits; client_max_window_bits",
    "client_max_window_bits=10; client_max_window_bits",
];

#[test]
fn a_bad_parameter_loses_its_offer_and_the_next_one_wins() {
    for param in BAD_PARAMS {
        let bad = format!("permessage-deflate; {param}");
        assert_eq!(answer(&[&bad]), None, "{bad}");
        let around = format!(
            "permessage-deflate; client_max_window_bits=10; {param}; server_max_window_bits=11"
        );
        assert_eq!(answer(&[&around]), None, "{around}");
        let next = "permessage-deflate; server_max_window_bits=13";
        assert_eq!(
            answer(&[&format!("{bad}, {next}")]),
            Some(with_limit(13)),
            "{bad}"
        );
        assert_eq!(answer(&[&bad, next]), Some(with_limit(13)), "{bad}");
    }
}

#[test]
fn the_first_acceptable_offer_wins_wherever_it_stands() {
    let (ten, twelve) = (
        "permessage-deflate; server_max_window_bits=10",
        "permessage-deflate; server_max_window_bits=12",
    );
    assert_eq!(answer(&[&format!("{ten}, {twelve}")]), Some(with_limit(10)));
    assert_eq!(answer(&[twelve, ten]), Some(with_limit(12)));
    assert_eq!(
        answer(&["foo, bar;baz=1", &format!("qux,{twelve}"), ten]),
        Some(with_limit(12))
    );
}

#[test]
fn white_space_empty_elements_and_quotes_are_read_as_the_grammar_has_them() {
    let same = [
        "permessage-deflate;server_max_window_bits=10",
        "permessage-deflate ; server_max_window_bits = 10",
        "\tpermessage-deflate\t;\tserver_max_window_bits\t=\t10\t",
        ",, permessage-deflate; server_max_window_bits=10 ,,",
        r#"permessage-deflate; server_max_window_bits="10""#,
        r#"permessage-deflate; server_max_window_bits="\10""#,
        r#"permessage-deflate; server_max_window_bits="1\0""#,
        r#"permessage-deflate; server_max_window_bits="\1\0""#,
        r#"other; a="x, permessage-deflate; \" y", permessage-deflate; server_max_window_bits=10"#,
    ];
    for line in same {
        assert_eq!(answer(&[line]), Some(with_limit(10)), "{line}");
    }
}

#[test]
fn a_line_that_is_not_well_formed_declines_all_offers() {
    let malformed = [
        ";",
        "=",
        "permessage-deflate;",
        "permessage-deflate; ;",
        "permessage-deflate; =10",
        "permessage-deflate server_no_context_takeover",
        "permessage-deflate; a b",
        "permessage-deflate; a=\"",
        "permessage-deflate; a=\"x",
        "permessage-deflate; a=\"x\\",
        "permessage-deflate; a=\"x\"y",
        "permessage-deflate; a=x\"y\"",
        "permessage-deflate; a==b",
        "permessage-deflate/1",
        "\"permessage-deflate\"",
        "permessage-deflate; a=\"\u{1}\"",
        "permessage-deflate\u{e4}",
        "permessage-deflate: a",
        "permessage-deflate, @",
    ];
    for line in malformed {
        assert_eq!(answer(&[line]), None, "{line}");
        assert_eq!(answer(&["permessage-deflate", line]), None, "{line}");
        assert_eq!(answer(&[line, "permessage-deflate"]), None, "{line}");
        let judged = Offer::default().check_answer([line.as_bytes()]);
        assert_eq!(judged, Err(BadAnswer::Malformed), "{line}");
    }
}

#[test]
fn the_agreed_window_is_the_one_that_the_answer_names() {
    for bits in 9..=15 {
        let offer = format!("permessage-deflate; server_max_window_bits={bits}");
        let agreed = negotiate([offer.as_bytes()]).unwrap();
        assert_eq!(agreed.window().bits(), bits);
    }
    let agreed = negotiate([&b"permessage-deflate"[..]]).unwrap();
    assert_eq!(agreed.window(), WindowBits::MAX);
}

fn bits(bits: u8) -> WindowBits {
    WindowBits::new(bits).unwrap()
}

/// Every offer that an [`Offer`] can be.
fn offers() -> Vec<Offer> {
    let mut offers = Vec::new();
    let windows = || (9..=15).map(bits);
    let client_windows = || {
        [ClientWindow::Fixed, ClientWindow::Negotiable]
            .into_iter()
            .chain(windows().map(ClientWindow::UpTo))
    };
    for server_no_context_takeover in [false, true] {
        for client_no_context_takeover in [false, true] {
            for server_window in [None].into_iter().chain(windows().map(Some)) {
                offers.extend(client_windows().map(|client_window| Offer {
                    server_no_context_takeover,
                    client_no_context_takeover,
                    server_window,
                    client_window,
                }));
            }
        }
    }
    offers
}

#[test]
fn an_offer_says_what_it_asks_for() {
    assert_eq!(
        Offer::default().to_string(),
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits"
    );
    let bare = Offer {
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        server_window: None,
        client_window: ClientWindow::Fixed,
    };
    assert_eq!(bare.to_string(), "permessage-deflate");
    let limits = Offer {
        server_window: Some(bits(10)),
        client_window: ClientWindow::UpTo(bits(9)),
        ..bare
    };
    assert_eq!(
        limits.to_string(),
        "permessage-deflate; server_max_window_bits=10; client_max_window_bits=9"
    );
}

#[test]
fn both_sides_of_this_project_agree_on_every_offer() {
    for offer in offers() {
        let agreed = negotiate([offer.to_string().as_bytes()]).unwrap();
        assert_eq!(
            agreed.window(),
            offer.server_window.unwrap_or(WindowBits::MAX)
        );
        let answer = offer
            .check_answer([agreed.to_string().as_bytes()])
            .unwrap()
            .unwrap();
        let own_limit = match offer.client_window {
            ClientWindow::UpTo(limit) => limit,
            _ => WindowBits::MAX,
        };
        assert_eq!(answer.window, Some(own_limit));
        assert_eq!(answer.server_takeover, None);
    }
}

/// What RFC 7692 makes of an answer with these parameters to `offer`, put together from its sentences.
fn expected(
    offer: &Offer,
    server_flag: bool,
    server_bits: Option<u8>,
    client_bits: Option<u8>,
) -> Option<Answer> {
    let server_window = match server_bits {
        _ if offer.server_no_context_takeover && !server_flag => return None,
        None if offer.server_window.is_some() => return None,
        None => 15,
        Some(bits) if offer.server_window.is_some_and(|asked| bits > asked.bits()) => return None,
        Some(bits) => bits.max(9),
    };
    let window = match (offer.client_window, client_bits) {
        (ClientWindow::Fixed, Some(_)) => return None,
        (ClientWindow::UpTo(limit), Some(answered)) if answered > limit.bits() => return None,
        (ClientWindow::UpTo(limit), None) => Some(limit),
        (_, None) => Some(WindowBits::MAX),
        (_, Some(8)) => None,
        (_, Some(answered)) => Some(bits(answered)),
    };
    Some(Answer {
        window,
        server_takeover: (!server_flag).then(|| bits(server_window)),
    })
}

#[test]
fn every_answer_is_judged_by_the_offer_that_it_answers() {
    let limits = || [None].into_iter().chain((8..=15).map(Some));
    for offer in offers() {
        for (server_flag, client_flag) in
            [(false, false), (false, true), (true, false), (true, true)]
        {
            for server_bits in limits() {
                for client_bits in limits() {
                    let mut answer = "permessage-deflate".to_owned();
                    for (flag, name) in [(server_flag, "server"), (client_flag, "client")] {
                        if flag {
                            answer.push_str(&format!("; {name}_no_context_takeover"));
                        }
                    }
                    for (bits, name) in [(server_bits, "server"), (client_bits, "client")] {
                        if let Some(bits) = bits {
                            answer.push_str(&format!("; {name}_max_window_bits={bits}"));
                        }
                    }
                    let judged = offer.check_answer([answer.as_bytes()]);
                    assert_eq!(
                        judged.clone().ok().map(Option::unwrap),
                        expected(&offer, server_flag, server_bits, client_bits),
                        "{offer} answered with {answer}: {judged:?}"
                    );
                }
            }
        }
    }
}

/// What is wrong with `answer` to an offer of everything without limits.
fn fault(answer: &str) -> BadAnswer {
    let offer = Offer {
        server_no_context_takeover: false,
        ..Offer::default()
    };
    offer.check_answer([answer.as_bytes()]).unwrap_err()
}

#[test]
fn an_answer_that_is_refused_names_what_is_wrong_with_it() {
    let not_offered = |name: &str| BadAnswer::NotOffered(name.to_owned());
    let repeated = |name: &str| BadAnswer::Repeated(name.to_owned());
    assert_eq!(fault("foo"), not_offered("foo"));
    assert_eq!(fault("permessage-deflate, foo"), not_offered("foo"));
    assert_eq!(
        fault("permessage-deflate, permessage-deflate"),
        repeated("permessage-deflate")
    );
    for name in [SERVER_NO_CONTEXT_TAKEOVER, CLIENT_NO_CONTEXT_TAKEOVER] {
        assert_eq!(
            fault(&format!("permessage-deflate; {name}; {name}")),
            repeated(name)
        );
        assert_eq!(
            fault(&format!("permessage-deflate; {name}=1")),
            BadAnswer::Value(name)
        );
    }
    for name in [SERVER_MAX_WINDOW_BITS, CLIENT_MAX_WINDOW_BITS] {
        assert_eq!(
            fault(&format!("permessage-deflate; {name}=9; {name}=9")),
            repeated(name)
        );
        for value in ["", "=", "=7", "=16", "=09", "=x"] {
            let answer = format!("permessage-deflate; {name}{value}");
            assert_eq!(fault(&answer), BadAnswer::Value(name), "{answer}");
        }
    }
    let unknown = fault("permessage-deflate; window=10");
    assert_eq!(unknown, BadAnswer::Unknown("window".to_owned()));
    assert_eq!(
        unknown.to_string(),
        r#"permessage-deflate has no parameter "window""#
    );
}

#[test]
fn a_refused_limit_or_promise_is_named() {
    let judge = |offer: Offer, answer: &str| offer.check_answer([answer.as_bytes()]).unwrap_err();
    let fixed = Offer {
        client_window: ClientWindow::Fixed,
        server_window: Some(bits(10)),
        ..Offer::default()
    };
    let flag = "permessage-deflate; server_no_context_takeover";
    assert_eq!(
        judge(fixed, "permessage-deflate"),
        BadAnswer::Missing(SERVER_NO_CONTEXT_TAKEOVER)
    );
    assert_eq!(
        judge(fixed, flag),
        BadAnswer::Missing(SERVER_MAX_WINDOW_BITS)
    );
    assert_eq!(
        judge(fixed, &format!("{flag}; server_max_window_bits=11")),
        BadAnswer::OverLimit(SERVER_MAX_WINDOW_BITS)
    );
    assert_eq!(
        judge(
            fixed,
            &format!("{flag}; server_max_window_bits=10; client_max_window_bits=9")
        ),
        BadAnswer::NotOffered(CLIENT_MAX_WINDOW_BITS.to_owned())
    );
    let limited = Offer {
        client_window: ClientWindow::UpTo(bits(11)),
        ..Offer::default()
    };
    assert_eq!(
        judge(limited, &format!("{flag}; client_max_window_bits=12")),
        BadAnswer::OverLimit(CLIENT_MAX_WINDOW_BITS)
    );
}

#[test]
fn a_server_may_decline_and_may_quote() {
    let offer = Offer::default();
    assert_eq!(offer.check_answer([]), Ok(None));
    let quoted = r#"permessage-deflate; server_no_context_takeover; client_max_window_bits="12""#;
    let answer = offer.check_answer([quoted.as_bytes()]).unwrap().unwrap();
    assert_eq!(answer.window, Some(bits(12)));
}

#[test]
fn a_client_limited_to_256_bytes_sends_uncompressed() {
    let answer = "permessage-deflate; server_no_context_takeover; client_max_window_bits=8";
    let answer = Offer::default().check_answer([answer.as_bytes()]);
    assert_eq!(answer.unwrap().unwrap().window, None);
}

/// Words and marks of the header in any order.
fn line() -> impl Strategy<Value = String> {
    let pieces = [
        NAME,
        SERVER_NO_CONTEXT_TAKEOVER,
        SERVER_MAX_WINDOW_BITS,
        CLIENT_MAX_WINDOW_BITS,
        "; server_max_window_bits=9",
        "; client_max_window_bits",
        ";",
        ",",
        "=",
        "\"",
        "\\",
        " ",
        "8",
        "10",
        "\u{7f}",
    ];
    proptest::collection::vec(
        prop::sample::select(pieces.to_vec()).prop_map(str::to_owned),
        0..12,
    )
    .prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_header_panics_and_what_is_answered_was_offered(
        lines in proptest::collection::vec(line(), 0..4),
    ) {
        let values = || lines.iter().map(|line| line.as_bytes());
        if let Some(agreed) = negotiate(values()) {
            let limit = agreed.to_string().split_once("_bits=").map(|(_, bits)| bits.to_owned());
            let offers = |what: &str| lines.iter().any(|line| line.contains(what));
            prop_assert!(offers(NAME) && limit.is_none_or(|bits| offers(&bits)));
        }
        let answer = Offer::default().check_answer(values());
        prop_assert!(!matches!(answer, Ok(Some(answer)) if answer.server_takeover.is_some()));
    }

    #[test]
    fn any_quoting_of_a_value_reads_the_same(escapes in proptest::collection::vec(any::<bool>(), 2), limit in 10..=15u8) {
        let mut quoted = String::new();
        for (digit, escape) in limit.to_string().chars().zip(escapes) {
            quoted.extend(escape.then_some('\\'));
            quoted.push(digit);
        }
        let line = format!("permessage-deflate; server_max_window_bits=\"{quoted}\"");
        prop_assert_eq!(answer(&[&line]), Some(with_limit(limit)));
    }
}
