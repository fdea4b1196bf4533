//! What `fanfare sub` prints.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::mpsc::channel;

use crate::common::Daemon;
use crate::common::command::{Running, fanfare, publish};

#[test]
fn data_is_printed_one_line_a_message_and_the_whole_event_on_demand() {
    let daemon = Daemon::start(&[]);
    let mut plain = Running::sub(&daemon, &["c", "--count", "2"], 1);
    let mut full = Running::sub(&daemon, &["--full", "c", "--count", "2"], 1);
    for data in ["{\"a\":\r\n [0.10, \"x\\ny\"]}", "2"] {
        assert!(
            fanfare(&daemon, &["pub", "c", data])
                .output()
                .unwrap()
                .status
                .success()
        );
    }
    assert_eq!(plain.line(), r#"{"a":   [0.10, "x\ny"]}"#);
    assert_eq!(plain.line(), "2");
    let event = r#"{"type":"message","channel":"c","seq":1,"data":{"a":   [0.10, "x\ny"]}}"#;
    assert_eq!(full.line(), event);
    assert_eq!((plain.wait(), full.wait()), (Some(0), Some(0)));
}

#[test]
fn with_several_channels_the_event_is_printed() {
    let daemon = Daemon::start(&[]);
    let sub = Running::sub(&daemon, &["a", "b"], 2);
    publish(&daemon, &["b"], "1");
    publish(&daemon, &["a"], "2");
    assert_eq!(
        sub.line(),
        r#"{"type":"message","channel":"b","seq":1,"data":1}"#
    );
    assert_eq!(
        sub.line(),
        r#"{"type":"message","channel":"a","seq":1,"data":2}"#
    );
}

#[test]
fn what_is_held_is_had_by_last_and_by_since() {
    let daemon = Daemon::start(&[]);
    publish(&daemon, &["c"], "1\n2\n3\n4\n");
    let sub = Running::sub(&daemon, &["c", "--last", "2"], 0);
    let notice = sub.notice("subscribed to c, now at ");
    assert_eq!((sub.line(), sub.line()), ("3".to_owned(), "4".to_owned()));
    let place = notice.split("now at ").nth(1).expect("a place");
    let since = format!("{}:1", place.rsplit_once(':').expect("EPOCH:SEQ").0);
    let output = fanfare(&daemon, &["sub", "c", "--since", &since, "--count", "3"]).output();
    assert_eq!(output.unwrap().stdout, b"2\n3\n4\n");
    let sub = Running::sub(&daemon, &["c", "--since", "another:1"], 1);
    sub.notice("gap in c: the numbering began anew, with epoch ");
    assert_eq!(sub.line(), "1");
}

#[test]
fn an_epoch_that_begins_with_a_hyphen_is_no_option() {
    let daemon = Daemon::start(&[]);
    publish(&daemon, &["c"], "1\n");
    let sub = Running::sub(&daemon, &["c", "--since", "-another:1"], 1);
    sub.notice("gap in c: the numbering began anew, with epoch ");
    assert_eq!(sub.line(), "1");
}

#[test]
fn a_reader_that_has_enough_ends_it_quietly_even_when_nothing_more_comes() {
    let daemon = Daemon::start(&[]);
    publish(&daemon, &["c"], "1\n2\n3\n");
    let mut child = fanfare(&daemon, &["sub", "c", "--last", "3"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert_eq!(line, "1\n");
    drop(reader);
    let mut sub = Running {
        child,
        out: channel().1,
        notices: channel().1,
    };
    assert_eq!(sub.wait(), Some(0));
}

#[test]
fn a_gap_says_what_it_means() {
    let daemon = Daemon::start(&["--retain-messages", "2"]);
    publish(&daemon, &["c"], "1\n2\n3\n4\n");
    let anew = Running::sub(&daemon, &["c", "--since", "another:1", "--count", "2"], 1);
    let said = anew.notice("gap in c: ");
    assert!(said.contains("the numbering began anew"), "{said}");
    assert!(said.ends_with("; 1 to 2 will not come"), "{said}");
    let place = anew.notice("messages, the last at ");
    let epoch = place.split("the last at ").nth(1).expect("a place");
    let epoch = epoch.rsplit_once(':').expect("EPOCH:SEQ").0;

    let since = format!("{epoch}:99");
    let beyond = Running::sub(&daemon, &["c", "--since", &since], 1);
    let said = beyond.notice("gap in c: ");
    assert!(said.contains("lies beyond the newest message"), "{said}");

    let since = format!("{epoch}:0");
    let late = Running::sub(&daemon, &["c", "--since", &since], 1);
    let said = late.notice("gap in c: ");
    let expected = format!("gap in c: 1 to 2 of {epoch} will not come (expired)");
    assert!(said.contains(&expected), "{said}");
}

#[test]
fn at_its_end_it_says_how_many_messages_it_printed_and_where_to_go_on() {
    let daemon = Daemon::start(&[]);
    publish(&daemon, &["c"], "1\n2\n3\n");
    let sub = Running::sub(&daemon, &["c", "--last", "2", "--count", "1"], 1);
    let said = sub.notice("1 message, at ");
    let place = said.split("at ").nth(1).expect("a place");
    assert!(place.ends_with(":2"), "{said}");
    let sub = Running::sub(&daemon, &["c", "--since", place, "--count", "1"], 1);
    assert_eq!(sub.line(), "3");
    let several = ["c", "d", "--last", "1", "--count", "1"];
    let sub = Running::sub(&daemon, &several, 0);
    let said = sub.notice("1 message");
    assert!(
        said.ends_with("1 message"),
        "each channel has its own epoch: {said}"
    );
}
