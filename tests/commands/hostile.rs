//! Servers that say what they should not, or nothing.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Output, Stdio};

use crate::common::command::{Running, fanfare_at, stderr};
use crate::common::fake::{Fake, serve};
use crate::common::{PATIENCE, member};

/// What a terminal would obey: it clears the screen, and writes backwards.
const ESCAPES: &str = "\u{1b}[2J\u{9b}2J\u{202e}\r";
/// The same in JSON.
const IN_JSON: &str = r"\u001b[2J\u009b2J\u202e\r";

fn run(url: &str, arguments: &[&str]) -> Output {
    let mut command = fanfare_at(url, arguments);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Running::spawn(command).output()
}

/// Checks that nothing was shown that a terminal obeys, though `what` was.
fn assert_harmless(output: &Output, what: &str) {
    let said = stderr(output);
    let obeyed = |char: char| (char.is_control() && char != '\n') || char == '\u{202e}';
    assert!(!said.contains(obeyed), "{said:?}");
    assert!(output.stdout.is_empty());
    assert!(said.contains(what), "{what}: {said}");
    assert!(said.contains(r"\u{1b}[2J"), "{what}: {said}");
}

#[test]
fn what_a_server_says_of_a_subscription_is_escaped() {
    let url = serve(|fake| {
        fake.welcome();
        let request = fake.hear();
        let id = member(&request, "id");
        fake.text(&format!(
            r#"{{"type":"subscribed","id":{id},"channel":"c","epoch":"{IN_JSON}","seq":5}}"#
        ));
        for reason in ["slow", "epoch", IN_JSON] {
            fake.text(&format!(
                r#"{{"type":"gap","channel":"c","epoch":"{IN_JSON}{reason}","from":6,"to":7,"reason":"{reason}"}}"#
            ));
        }
        fake.close(4000, &format!("closing {ESCAPES}"));
    });
    let output = run(&url, &["sub", "c"]);
    assert_harmless(&output, "closing ");
    assert_harmless(&output, "subscribed to c, now at ");
    assert_harmless(&output, "gap in c: ");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn what_a_server_says_of_a_refusal_is_escaped() {
    for arguments in [&["sub", "c"][..], &["pub", "c", "1"]] {
        let url = serve(|fake| {
            fake.welcome();
            let request = fake.hear();
            let id = member(&request, "id");
            fake.text(&format!(
                r#"{{"type":"error","id":{id},"code":"code{IN_JSON}","message":"message {IN_JSON}"}}"#
            ));
            // The client says goodbye, or is gone.
            fake.outlast();
        });
        let output = run(&url, arguments);
        assert_harmless(&output, "code");
        assert_harmless(&output, "message ");
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    }
}

#[test]
fn what_an_http_server_says_is_escaped() {
    let url = serve(|fake| {
        fake.request();
        let body = format!("no, {ESCAPES}");
        let len = body.len();
        fake.send(
            format!("HTTP/1.1 403 Forbidden\r\nContent-Length: {len}\r\n\r\n{body}").as_bytes(),
        );
    });
    let output = run(&url, &["sub", "c"]);
    let said = stderr(&output);
    assert!(
        !said.contains(|char: char| char.is_control() && char != '\n'),
        "{said:?}"
    );
    assert!(said.contains("403"), "{said}");
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn data_that_is_not_json_is_not_printed() {
    for (arguments, bad) in [
        (&["sub", "c"][..], "nonsense"),
        (&["sub", "c"], "\"\x1b[2J\""),
        (&["sub", "c", "--full"], "1 2"),
        (&["sub", "c"], ""),
    ] {
        let url = serve(move |fake| {
            fake.welcome();
            let request = fake.hear();
            let id = member(&request, "id");
            fake.text(&format!(
                r#"{{"type":"subscribed","id":{id},"channel":"c","epoch":"e","seq":0}}"#
            ));
            for (seq, data) in (1..).zip(["1", bad, "3"]) {
                fake.text(&format!(
                    r#"{{"type":"message","channel":"c","seq":{seq},"data":{data}}}"#
                ));
            }
        });
        let output = run(&url, arguments);
        let printed = String::from_utf8_lossy(&output.stdout);
        assert_eq!(printed.lines().count(), 1, "{bad:?}: {printed}");
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(stderr(&output).contains("JSON"), "{}", stderr(&output));
    }
}

#[test]
fn sub_ends_when_the_server_has_ended_its_last_subscription() {
    let url = serve(|fake| {
        fake.welcome();
        for channel in ["c", "d"] {
            let request = fake.hear();
            let id = member(&request, "id");
            fake.text(&format!(
                r#"{{"type":"subscribed","id":{id},"channel":"{channel}","epoch":"e","seq":0}}"#
            ));
        }
        fake.text(r#"{"type":"unsubscribed","channel":"d"}"#);
        fake.text(r#"{"type":"message","channel":"c","seq":1,"data":1}"#);
        fake.text(r#"{"type":"unsubscribed","channel":"c"}"#);
        fake.outlast();
    });
    let output = run(&url, &["sub", "c", "d"]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 1);
    for notice in ["c: the server has ended", "d: the server has ended"] {
        assert!(said.contains(notice), "{said}");
    }
}

#[test]
fn sub_with_a_timeout_gives_up_on_a_server_that_does_not_answer_or_is_gone() {
    let unanswered: fn(&mut Fake) = |fake| {
        fake.welcome();
        fake.outlast();
    };
    // The next connection is refused: nobody listens there any more.
    let gone: fn(&mut Fake) = |fake| {
        fake.welcome();
        fake.close(1001, "going away");
    };
    for (script, notice, code) in [
        (unanswered, "the server has not answered for 1 s", 1),
        (gone, "refused", 3),
    ] {
        let output = run(&serve(script), &["sub", "c", "--timeout", "1"]);
        let said = stderr(&output);
        assert!(said.contains(notice), "{said}");
        assert_eq!(output.status.code(), Some(code), "{said}");
    }
}

#[test]
fn pub_gives_up_on_a_server_that_never_answers() {
    for arguments in [
        &["pub", "c", "1", "--timeout", "1"][..],
        &["pub", "c", "--timeout", "1"],
        &["pub", "c", "--ack", "--timeout", "1"],
    ] {
        let url = serve(Fake::welcome);
        let mut command = fanfare_at(&url, arguments);
        command.stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut publisher = Running::spawn(command);
        let mut stdin = publisher.child.stdin.take().expect("stdin is piped");
        stdin.write_all(b"1\n2\n").expect("it reads");
        publisher.notice("the server has not answered for 1 s");
        publisher.notice(if arguments[2] == "1" {
            "the message has no answer: it may be published or not"
        } else {
            "0 published in "
        });
        assert_eq!(publisher.wait(), Some(1), "{arguments:?}");
    }
}

#[test]
fn pub_gives_up_on_a_server_that_takes_lines_for_ever_and_never_answers() {
    let url = serve(|fake| {
        fake.welcome();
        // Until the client waits for answers, and then until it has gone.
        fake.outlast();
    });
    let mut command = fanfare_at(&url, &["pub", "c", "--ack", "--timeout", "1"]);
    command.stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut publisher = Running::spawn(command);
    let mut stdin = publisher.child.stdin.take().expect("stdin is piped");
    let endless =
        std::thread::spawn(move || while stdin.write_all(&[b'1', b'\n'].repeat(1000)).is_ok() {});
    publisher.notice("the server has not answered for 1 s");
    publisher.notice("; 16384 unknown");
    assert_eq!(publisher.wait(), Some(1));
    endless.join().expect("it does not panic");
}

#[test]
fn pub_notices_that_its_connection_has_ended_though_its_input_is_silent() {
    let url = serve(|fake| {
        fake.welcome();
        let first = fake.hear();
        assert!(first.contains(r#""data":1"#), "{first}");
        fake.close(1008, "go away");
    });
    let (theirs, mut ours) = UnixStream::pair().expect("a pair");
    let mut next_reader = theirs.try_clone().expect("it can be cloned");
    next_reader
        .set_read_timeout(Some(PATIENCE))
        .expect("it can be set");
    let mut command = fanfare_at(&url, &["pub", "c"]);
    command
        .stdin(std::os::fd::OwnedFd::from(theirs))
        .stderr(Stdio::piped());
    let mut publisher = Running::spawn(command);
    ours.write_all(b"1\n").expect("it reads");
    publisher.notice("go away");
    publisher.notice("nothing after line 1 was sent");
    publisher.notice("; 1 unknown");
    assert_eq!(publisher.wait(), Some(1));
    // What comes now is there for whoever reads the same stream afterwards.
    ours.write_all(b"2\n").expect("it is open");
    let mut line = [0; 2];
    next_reader.read_exact(&mut line).expect("a line");
    assert_eq!(&line, b"2\n");
}
