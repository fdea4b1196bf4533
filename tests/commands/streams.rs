//! Standard streams that are closed, that nobody reads, or that do not block.

use std::io::{PipeWriter, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::common::command::{Running, fanfare, fanfare_at, publish, with_url};
use crate::common::{Daemon, PATIENCE};

/// What becomes of stderr before the command begins.
const REDIRECTIONS: [&str; 2] = ["2>&-", ">&- 2>&-"];

/// The built binary with `redirections` of a shell's.
fn redirected(redirections: &str, url: &str, arguments: &[&str]) -> Command {
    let mut shell = Command::new("sh");
    let script = format!("exec \"$0\" \"$@\" {redirections}");
    shell
        .args(["-c", &script])
        .arg(env!("CARGO_BIN_EXE_fanfare"));
    with_url(shell, url, arguments)
}

/// Whether a write to `stream` would not block.
fn has_room(stream: &impl AsFd) -> bool {
    let mut polled = [PollFd::new(stream, PollFlags::OUT)];
    poll(&mut polled, Some(&Timespec::default())).expect("it can be asked") > 0
}

/// Writes to a pipe that nobody reads until it takes no more.
fn fill(pipe: &mut PipeWriter) {
    let mut pieces = 0;
    while has_room(pipe) {
        pipe.write_all(&[b'x'; 4096]).expect("there is room");
        pieces += 1;
        assert!(pieces < 100_000, "it is never full");
    }
}

/// A pipe that nobody reads and that is full already, and its other end, which has to be kept.
fn full() -> (PipeWriter, std::io::PipeReader) {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    fill(&mut writer);
    (writer, reader)
}

/// One end for a command, which does not block there, and one for the test.
fn non_blocking() -> (OwnedFd, UnixStream) {
    let (theirs, ours) = UnixStream::pair().expect("a pair");
    // This is of the stream, not of the number: as where a neighbour in a pipe does it.
    theirs.set_nonblocking(true).expect("it can be set");
    ours.set_read_timeout(Some(PATIENCE))
        .expect("it can be set");
    (theirs.into(), ours)
}

fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !happened() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn pub_publishes_though_its_stderr_is_closed() {
    let daemon = Daemon::start(&[]);
    let url = format!("ws://{}", daemon.address);
    let reader = Running::sub(&daemon, &["c"], 1);
    for redirections in REDIRECTIONS {
        let mut command = redirected(redirections, &url, &["pub", "c"]);
        let mut child = command.stdin(Stdio::piped()).spawn().expect("it starts");
        let mut stdin = child.stdin.take().expect("stdin is piped");
        stdin.write_all(b"1\nno\n2\n").expect("it reads");
        drop(stdin);
        assert_eq!(child.wait().expect("it ends").code(), Some(1));
        assert_eq!((reader.line(), reader.line()), ("1".into(), "2".into()));
        let mut command = redirected(redirections, &url, &["pub", "c", "3"]);
        assert_eq!(command.status().expect("it runs").code(), Some(0));
        assert_eq!(reader.line(), "3");
    }
}

#[test]
fn notices_that_nobody_can_read_any_more_end_nothing() {
    let daemon = Daemon::start(&[]);
    publish(&daemon, &["c"], "1\n2\n");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = fanfare(&daemon, &["sub", "c", "--last", "2", "--count", "2"]);
    let output = command.stderr(writer).output().expect("it runs");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stdout, b"1\n2\n");
}

#[test]
fn notices_that_nobody_reads_hold_nothing_up() {
    let daemon = Daemon::start(&[]);
    publish(&daemon, &["c"], "1\n2\n");
    let (writer, _reader) = full();
    let mut command = fanfare(&daemon, &["sub", "c", "--last", "2", "--count", "2"]);
    let mut sub = Running::spawn({
        command.stdout(Stdio::piped()).stderr(writer);
        command
    });
    assert_eq!((sub.line(), sub.line()), ("1".into(), "2".into()));
    assert_eq!(sub.wait(), Some(0));
}

#[test]
fn sub_waits_for_an_output_that_does_not_block() {
    let daemon = Daemon::start(&["--retain-bytes", "8MiB"]);
    let text = format!("\"{}\"\n", "x".repeat(3000)).repeat(1000);
    publish(&daemon, &["c"], &text);
    let (theirs, mut ours) = non_blocking();
    let watched = theirs.try_clone().expect("it can be cloned");
    let mut command = fanfare(&daemon, &["sub", "c", "--last", "1000", "--count", "1000"]);
    command.stdout(theirs).stderr(Stdio::piped());
    let mut sub = Running::spawn(command);
    wait_until("it never has to wait", || !has_room(&watched));
    drop(watched);
    let mut printed = Vec::new();
    ours.read_to_end(&mut printed).expect("it prints");
    assert!(printed == text.as_bytes(), "{} bytes", printed.len());
    assert_eq!(sub.wait(), Some(0));
}

#[test]
fn pub_waits_for_an_input_that_does_not_block() {
    let daemon = Daemon::start(&[]);
    let reader = Running::sub(&daemon, &["c"], 1);
    let (theirs, mut ours) = non_blocking();
    let mut command = fanfare(&daemon, &["pub", "c"]);
    command.stdin(theirs).stderr(Stdio::piped());
    let mut publisher = Running::spawn(command);
    publisher.notice("connected to");
    for n in 1..=20 {
        // In two pieces, and each line only after the one before has arrived: in between there is nothing to read.
        write!(ours, "[{n}").expect("it reads");
        writeln!(ours, "]").expect("it reads");
        assert_eq!(reader.line(), format!("[{n}]"));
    }
    drop(ours);
    publisher.notice("20 published in ");
    assert_eq!(publisher.wait(), Some(0));
}

#[test]
fn every_notice_arrives_on_a_stderr_that_does_not_block() {
    let daemon = Daemon::start(&[]);
    let (theirs, ours) = non_blocking();
    let mut command = fanfare(&daemon, &["pub", "c"]);
    command.stdin(Stdio::piped()).stderr(theirs);
    let mut publisher = Running::spawn(command);
    let notices = crate::common::command::lines(ours);
    let mut stdin = publisher.child.stdin.take().expect("stdin is piped");
    let lines = 20_000;
    stdin
        .write_all("no\n".repeat(lines).as_bytes())
        .expect("it reads");
    drop(stdin);
    let mut named = 0;
    loop {
        let notice = notices.recv_timeout(PATIENCE).expect("a notice");
        if notice.contains(" published in ") {
            assert!(notice.contains("; 20000 refused"), "{notice}");
            break;
        }
        named += usize::from(notice.contains(": line "));
    }
    assert_eq!(named, lines);
    assert_eq!(publisher.wait(), Some(1));
}

#[test]
fn help_is_whole_on_an_output_that_does_not_block() {
    let (theirs, mut ours) = non_blocking();
    let mut command = fanfare_at("", &["serve", "--help"]);
    let mut child = command.stdout(theirs).spawn().expect("it starts");
    drop(command);
    let mut help = String::new();
    ours.read_to_string(&mut help).expect("it is text");
    assert!(help.contains("SIGUSR1"), "{help}");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn a_daemon_without_standard_streams_gives_their_numbers_to_nothing_else() {
    let path = std::env::temp_dir().join(format!("fanfare-streams-{}.sock", std::process::id()));
    let listen = format!("unix:{}", path.display());
    let mut command = redirected("<&- >&- 2>&-", "", &["serve", "--listen", &listen]);
    let daemon = Running::spawn({
        command.stdout(Stdio::null());
        command
    });
    let mut stream = None;
    wait_until("it does not listen", || {
        stream = UnixStream::connect(&path).ok();
        stream.is_some()
    });
    let mut stream = stream.expect("a connection");
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        .expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    for number in 0..=2 {
        let link = format!("/proc/{}/fd/{number}", daemon.child.id());
        let to = std::fs::read_link(link).expect("it is open");
        assert_eq!(to.to_str(), Some("/dev/null"));
    }
    drop(daemon);
    let _ = std::fs::remove_file(path);
}

#[test]
fn a_daemon_whose_log_nobody_reads_goes_on_and_says_later_how_much_is_missing() {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let mut command = fanfare_at("", &["serve", "--listen", "127.0.0.1:0"]);
    command.stderr(writer.try_clone().expect("it can be cloned"));
    let mut daemon = Running::spawn(command);
    let mut reader = reader;
    let mut log = Vec::new();
    // The line that says where it listens is the last of the start.
    while !log.ends_with(b"\n") || !String::from_utf8_lossy(&log).contains("listening on ws://") {
        let mut piece = [0; 1000];
        let read = reader.read(&mut piece).expect("it logs");
        log.extend_from_slice(&piece[..read]);
    }
    let log = String::from_utf8(log).expect("it is text");
    let address = log.split("ws://").nth(1).expect("an address");
    let address: String = address.split(' ').next().expect("an address").into();
    fill(&mut writer);
    let url = format!("ws://{address}");
    for n in 1..=3 {
        // Each of these is a line, as soon as the daemon has come to it: it can't be told when.
        daemon.signal("USR1");
        let output = fanfare_at(&url, &["pub", "c", "1"]).output();
        let output = output.expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{n}: {said}");
    }
    let lines = crate::common::command::lines(reader);
    wait_until("nobody reads the log", || has_room(&writer));
    drop(writer);
    let mut said = false;
    // There is room now, for the next line and what goes before it.
    daemon.signal("TERM");
    while let Ok(line) = lines.recv_timeout(PATIENCE) {
        said |= line.contains("lines were dropped here");
    }
    assert!(said, "it does not say that lines are missing");
    assert_eq!(daemon.wait(), Some(0));
}

#[test]
fn a_signal_ends_a_sub_whose_output_nobody_takes() {
    let daemon = Daemon::start(&[]);
    publish(&daemon, &["c"], "1\n");
    let (writer, _reader) = full();
    let mut command = fanfare(&daemon, &["sub", "c", "--last", "1"]);
    command.stdout(writer).stderr(Stdio::piped());
    let mut sub = Running::spawn(command);
    sub.notice("subscribed to");
    sub.signal("TERM");
    // What is still in its memory was not printed.
    sub.notice("0 messages");
    assert_eq!(sub.wait_for_death(), Some(15));
}
