//! What outlives the daemon in a file.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::common::member;
use super::{Folder, Line};

const PUBLICATION: &str = r#"{"type":"publish","id":1,"channel":"a","data":1,"key":"k"}"#;

/// A daemon with the state that the one before has left.
fn start(folder: Folder) -> Line {
    let file = folder.path("state");
    Line::start_with(folder, &["--state", &file], |_| {})
}

/// Ends a daemon in order; its folder stays.
fn end(mut line: Line) -> Folder {
    line.stop();
    std::mem::replace(
        &mut line.folder,
        Folder(Path::new("/nowhere/at/all").into()),
    )
}

#[test]
fn epochs_numbers_history_and_keys_outlive_a_stop() {
    let line = start(Folder::new("state"));
    let first = line.daemon.connect().ask(PUBLICATION);
    line.daemon
        .connect()
        .ask(r#"{"type":"publish","id":1,"channel":"a","data":"two"}"#);
    let folder = end(line);
    let file = folder.path("state");
    let mode = fs::metadata(&file)
        .expect("it was written")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let line = start(folder);
    assert!(!Path::new(&file).exists(), "it is used once");
    let again = line.daemon.connect().ask(PUBLICATION);
    assert_eq!(member(&again, "epoch"), member(&first, "epoch"));
    assert_eq!(member(&again, "duplicate"), "true");
    let mut subscriber = line.daemon.connect();
    let epoch = member(&first, "epoch");
    let answer = subscriber.ask(&format!(
        r#"{{"type":"subscribe","channel":"a","since":{{"epoch":{epoch},"seq":1}}}}"#
    ));
    assert_eq!(member(&answer, "recovered"), "true", "{answer}");
    let message = subscriber.text();
    assert!(message.contains(r#""seq":2,"data":"two""#), "{message}");
    let next = line
        .daemon
        .connect()
        .ask(r#"{"type":"publish","id":1,"channel":"a","data":3}"#);
    assert_eq!(member(&next, "seq"), "3");
}

#[test]
fn a_restart_leaves_no_state_and_the_last_process_does() {
    let mut line = start(Folder::new("state-restart"));
    let first = line.daemon.connect().ask(PUBLICATION);
    line.restart();
    let file = line.folder.path("state");
    assert!(!Path::new(&file).exists());
    let line = start(end(line));
    let again = line.daemon.connect().ask(PUBLICATION);
    assert_eq!(member(&again, "epoch"), member(&first, "epoch"));
}

#[test]
fn a_state_that_is_damaged_is_moved_aside_and_the_daemon_starts_with_nothing() {
    let line = start(Folder::new("state-damaged"));
    let first = line.daemon.connect().ask(PUBLICATION);
    let folder = end(line);
    let file = folder.path("state");
    let good = fs::read(&file).expect("it was written");
    let mut unknown = good.clone();
    unknown[16] = 99;
    let mut changed = good.clone();
    changed[good.len() / 2] ^= 1;
    let mut folder = folder;
    for (bytes, why) in [
        (&unknown[..], "it has version 99"),
        (&changed[..], "its sum is wrong"),
        (&good[..good.len() - 1], "its sum is wrong"),
        (b"something else", "it does not begin as one"),
        (b"", "it does not begin as one"),
    ] {
        fs::write(&file, bytes).expect("it is ours");
        let mut line = start(folder);
        line.daemon.wait_for_log(why);
        assert_eq!(
            fs::read(format!("{file}.damaged")).expect("it lies there"),
            bytes
        );
        let answer = line.daemon.connect().ask(PUBLICATION);
        assert_ne!(member(&answer, "epoch"), member(&first, "epoch"));
        folder = end(line);
    }
}

#[test]
fn a_daemon_that_is_killed_leaves_no_state() {
    let line = start(Folder::new("state-killed"));
    line.daemon.connect().ask(PUBLICATION);
    line.signal("KILL");
    super::wait_until("it lives", || !super::is_running(line.pid()));
    assert!(!Path::new(&line.folder.path("state")).exists());
}
