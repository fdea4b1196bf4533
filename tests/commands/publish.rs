//! What `fanfare pub` publishes, and what it says of it.

use std::fs::File;

use crate::common::Daemon;
use crate::common::command::{fanfare, publish, stderr};

#[test]
fn one_message_is_published_and_its_place_is_named() {
    let daemon = Daemon::start(&[]);
    let output = fanfare(&daemon, &["pub", "c", r#"{"a":1}"#])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(
        stderr(&output).contains("published as "),
        "{}",
        stderr(&output)
    );
    assert!(stderr(&output).trim_end().ends_with(":1"));
    assert!(output.stdout.is_empty());
}

#[test]
fn each_line_is_published_in_order_and_all_are_counted() {
    let daemon = Daemon::start(&["--retain-messages", "10000", "--retain-bytes", "10MiB"]);
    let text: String = (1..=5000).map(|n| format!("{n}\n")).collect();
    for arguments in [&["c"][..], &["--ack", "d"]] {
        let output = publish(&daemon, arguments, &text);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(stderr(&output).contains("5000 published in "));
        let channel = arguments[arguments.len() - 1];
        let output = fanfare(
            &daemon,
            &["sub", "--last", "5000", "--count", "5000", channel],
        )
        .output()
        .unwrap();
        assert!(output.stdout == text.as_bytes());
    }
}

#[test]
fn lines_that_are_refused_are_named_by_their_numbers_and_the_rest_go() {
    let daemon = Daemon::start(&["--max-message", "4KiB"]);
    let long = "9".repeat(5000);
    let text = format!("1\nnonsense\n[2]\n\n1,2\n\"{long}\"\n3");
    let output = publish(&daemon, &["c"], &text);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for line in ["line 2: ", "line 5: ", "line 6: "] {
        assert!(said.contains(line), "{line}: {said}");
    }
    for line in ["line 1: ", "line 3: ", "line 4: ", "line 7: "] {
        assert!(!said.contains(line), "{line}: {said}");
    }
    assert!(
        said.contains("3 published in ") && said.contains("; 3 refused"),
        "{said}"
    );
    assert!(
        said.contains("line 6: longer than 4096 bytes"),
        "the limit is named: {said}"
    );
}

#[test]
fn a_file_goes_through_as_a_pipe_does() {
    let daemon = Daemon::start(&[]);
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("pub-file.jsonl");
    std::fs::write(&path, "1\n2\n3").unwrap();
    let output = fanfare(&daemon, &["pub", "c"])
        .stdin(File::open(&path).unwrap())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(
        stderr(&output).contains("3 published"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn blank_lines_are_none_but_count_as_lines() {
    let daemon = Daemon::start(&[]);
    for arguments in [&["c"][..], &["--ack", "c"]] {
        let output = publish(&daemon, arguments, "\n1\n \t \n\r\n2\r\n\nno\n \n");
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("2 published in "), "{said}");
        assert!(said.contains("; 1 refused"), "{said}");
        assert!(said.contains("line 7: "), "{said}");
    }
    let output = publish(&daemon, &["c"], "\n\n  \n");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn a_negative_number_is_data_and_no_option() {
    let daemon = Daemon::start(&[]);
    for (n, data) in (1..).zip(["-5", "-0.5", "-1e-5", "-1E+5"]) {
        let output = fanfare(&daemon, &["pub", "c", data]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let said = stderr(&output);
        assert!(said.trim_end().ends_with(&format!(":{n}")), "{said}");
    }
    let output = fanfare(&daemon, &["pub", "c", "-5", "--ack"]).output();
    assert_eq!(output.unwrap().status.code(), Some(0));
    for typo in ["--akc", "-x", "-"] {
        let output = fanfare(&daemon, &["pub", "c", typo]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains("neither an option"));
    }
}
