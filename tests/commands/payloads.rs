//! `--text`, `--raw`, `--key-prefix` and patterns, with a server that says what a test wants it to.

use std::io::Write;
use std::process::{Output, Stdio};

use crate::common::command::{fanfare_at, stderr};
use crate::common::fake::{Fake, serve_all, serve_in_turn};

/// Runs `fanfare pub` with this input.
fn publish_at(url: &str, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = fanfare_at(url, &[&["pub"], arguments].concat())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    // A command that refuses its options reads nothing.
    let _ = stdin.write_all(input);
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

/// A subscription to whatever was asked for, to which these are said.
fn say_to_subscriber(member: &'static str, said: &'static [&'static str]) -> String {
    serve_all(move |fake| {
        fake.welcome_with_features();
        fake.hear();
        fake.text(&format!(
            r#"{{"type":"subscribed","id":0,{member},"epoch":"e","seq":0}}"#
        ));
        for text in said {
            fake.text(text);
        }
        fake.outlast();
    })
}

const PAYLOADS: &[&str] = &[
    "{\"type\":\"message\",\"channel\":\"c\",\"seq\":1,\"data\":[1,\n2]}",
    r#"{"type":"message","channel":"c","seq":2,"encoding":"text","data":"a\n\u00e9"}"#,
    r#"{"type":"message","channel":"c","seq":3,"encoding":"base64","data":"AP8="}"#,
];

#[test]
fn raw_prints_the_payload_alone_and_lines_print_it_as_json() {
    let url = say_to_subscriber(r#""channel":"c""#, PAYLOADS);
    let print = |arguments: &[&str]| {
        let arguments = [&["sub", "c", "--count", "3"], arguments].concat();
        let output = fanfare_at(&url, &arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        output.stdout
    };
    assert_eq!(print(&["--raw"]), b"[1,\n2]\na\n\xc3\xa9\n\0\xff");
    let lines = String::from_utf8(print(&[])).unwrap();
    assert_eq!(lines, "[1, 2]\n\"a\\né\"\n\"AP8=\"\n");
    let events = String::from_utf8(print(&["--full"])).unwrap();
    let event = r#"{"type":"message","channel":"c","seq":3,"encoding":"base64","data":"AP8="}"#;
    assert_eq!(events.lines().last(), Some(event));
}

#[test]
fn a_pattern_prints_its_events_as_they_came() {
    const EVENT: &str = r#"{"type":"message","pattern":"p.>","seq":42,"channel":"p.a.b","channel_seq":17,"data":1}"#;
    let url = say_to_subscriber(r#""pattern":"p.>""#, &[EVENT]);
    let output = fanfare_at(&url, &["sub", "p.>", "--count", "1"]).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        format!("{EVENT}\n")
    );
    assert!(stderr(&output).contains("subscribed to p.>, now at e:0"));
    assert!(stderr(&output).contains("1 message, at e:42"));
}

#[test]
fn what_the_server_does_not_have_is_said_at_once() {
    let url = serve_all(|fake| {
        fake.welcome();
        fake.outlast();
    });
    for (arguments, feature, hint) in [
        (&["--text", "c"][..], "encoding", "publish without --text"),
        (&["--raw", "c"], "encoding", "publish without --raw"),
        (
            &["--key-prefix", "a", "c"],
            "key",
            "publish without --key-prefix",
        ),
    ] {
        let output = publish_at(&url, arguments, b"1\n");
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        let feature = format!("`{feature}`");
        assert!(said.contains(&feature) && said.contains(hint), "{said}");
    }
    let output = fanfare_at(&url, &["sub", "p.*"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("p.*: the server has no patterns"), "{said}");
}

/// Expects publishes with ids from 0 on, of what follows the channel, and answers them; then the close.
fn expect_publishes(fake: &mut Fake, expected: &[&str]) {
    for (id, expected) in expected.iter().enumerate() {
        let request = fake.hear();
        let start = format!(r#"{{"type":"publish","id":{id},"channel":"c","#);
        assert_eq!(request.strip_prefix(&start), Some(*expected), "{request}");
        fake.text(&format!(
            r#"{{"type":"published","id":{id},"channel":"c","epoch":"e","seq":{}}}"#,
            id + 1
        ));
    }
    fake.close(1000, "");
}

#[test]
fn each_line_is_a_text_blank_ones_too() {
    let url = serve_in_turn(vec![|fake| {
        fake.welcome_with_features();
        expect_publishes(
            fake,
            &[
                r#""encoding":"text","data":"a \"b\""}"#,
                r#""encoding":"text","data":""}"#,
                r#""encoding":"text","data":" [1]\r"}"#,
            ],
        );
    }]);
    let output = publish_at(&url, &["--text", "c"], b"a \"b\"\n\n [1]\r\nno \xff text\n");
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("line 4: it is no text: it is not UTF-8, at byte 3"),
        "{said}"
    );
    assert!(said.contains("3 published"), "{said}");
}

#[test]
fn the_help_says_first_what_a_message_can_be() {
    let help = fanfare_at("", &["pub", "--help"]).output().unwrap().stdout;
    let help = String::from_utf8(help).unwrap();
    let (first, _) = help.split_once("\n\n").unwrap();
    for word in ["JSON", "--text", "--raw"] {
        assert!(first.contains(word), "{first}");
    }
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains("DATA or the one message of --raw the key P-1"));
}

#[test]
fn all_of_stdin_is_one_message_of_bytes() {
    let url = serve_in_turn(vec![|fake| {
        fake.welcome_with_features();
        expect_publishes(
            fake,
            &[r#""key":"p-1","encoding":"base64","data":"YQoAYv8="}"#],
        );
    }]);
    let arguments = ["--raw", "--key-prefix", "p", "c"];
    let output = publish_at(&url, &arguments, b"a\n\0b\xff");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("published as e:1"));
}

#[test]
fn bytes_that_no_message_holds_are_refused() {
    let url = serve_all(|fake| {
        fake.welcome_with_features();
        // A close before the input was read would be the end of it.
        fake.outlast();
    });
    let output = publish_at(&url, &["--raw", "c"], &[0; 50_000]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("more than 49152 bytes"), "{said}");
}

#[test]
fn an_argument_is_published_as_a_text_or_as_bytes() {
    let url = serve_in_turn(vec![
        |fake| {
            fake.welcome_with_features();
            expect_publishes(fake, &[r#""encoding":"text","data":"two words"}"#]);
        },
        |fake| {
            fake.welcome_with_features();
            expect_publishes(fake, &[r#""encoding":"base64","data":"dHdvIHdvcmRz"}"#]);
        },
    ]);
    for option in ["--text", "--raw"] {
        let output = fanfare_at(&url, &["pub", option, "c", "two words"]).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
    let output = fanfare_at(&url, &["pub", "--text", "c", "--oops"]).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("give it on stdin"));
}

#[test]
fn with_keys_a_lost_connection_leaves_nothing_unknown() {
    const LINES: [&str; 3] = [
        r#""key":"a-1","data":1}"#,
        r#""key":"a-2","data":2}"#,
        r#""key":"a-4","data":4}"#,
    ];
    let url = serve_in_turn(vec![
        |fake| {
            fake.welcome_with_features();
            for _ in LINES {
                fake.hear();
            }
        },
        |fake| {
            fake.welcome_with_features();
            expect_publishes(fake, &LINES);
        },
    ]);
    let output = publish_at(&url, &["--key-prefix", "a", "c"], b"1\n2\n\n4\n");
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        said.contains("3 published") && !said.contains("unknown"),
        "{said}"
    );
}

#[test]
fn keys_that_nobody_answers_for_say_how_to_find_out() {
    let url = serve_in_turn(vec![
        |fake| {
            fake.welcome_with_features();
            fake.hear();
        },
        |fake| {
            fake.welcome_with_features();
            fake.close(4403, "no");
        },
    ]);
    let output = publish_at(&url, &["--key-prefix", "a", "c"], b"1\n");
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("1 unknown"), "{said}");
    assert!(
        said.contains("the same command, if it begins within five minutes"),
        "{said}"
    );
}
