//! A new program that is of no use: the daemon goes on.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Command;

use super::{Folder, Line};

/// Whether the daemon still does what it is there for.
fn works(line: &Line) {
    let mut client = line.daemon.connect();
    let answer = client.ask(r#"{"type":"publish","id":1,"channel":"a","data":1}"#);
    assert!(answer.starts_with(r#"{"type":"published""#), "{answer}");
}

/// A daemon with a configuration, and the file that has it.
fn configured(test: &str) -> (Line, String) {
    let folder = Folder::new(test);
    let file = folder.path("fanfare.toml");
    fs::write(&file, "retain_bytes = \"1MiB\"\n").expect("a file");
    let line = Line::start_with(folder, &["--config", &file], |_| {});
    (line, file)
}

#[test]
fn a_new_program_that_crashes_is_missing_or_no_program_changes_nothing() {
    let mut line = Line::start("crash", &[]);
    let mut before = line.daemon.connect();
    for (script, why) in [
        ("exit 3", "exit status: 3"),
        ("kill -9 $$", "signal: 9"),
        ("exit 0", "exit status: 0"),
    ] {
        line.replace(script);
        let said = line.restart_in_vain();
        assert!(said.contains(why), "{said}");
        works(&line);
    }
    fs::remove_file(line.folder.path("fanfare")).expect("it is ours");
    let said = line.restart_in_vain();
    assert!(said.contains("cannot be started"), "{said}");
    works(&line);
    assert_eq!(
        before.ask(r#"{"type":"ping","id":1}"#),
        r#"{"type":"pong","id":1}"#
    );
}

#[test]
fn a_new_program_that_hangs_is_ended_in_time() {
    let mut line = Line::start("hang", &[]);
    line.replace("exec sleep 1000");
    let said = line.restart_in_vain();
    assert!(said.contains("did not answer in time"), "{said}");
    works(&line);
}

/// A restart that the next program lets hang until something else comes in between.
fn hanging(line: &Line) -> std::thread::JoinHandle<String> {
    let started = line.folder.path("started");
    line.replace(&format!("touch {started}; exec sleep 1000"));
    let pid = line.pid();
    let asked = std::thread::spawn(move || {
        let output = super::ask(pid);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    });
    super::wait_until("it does not start", || {
        fs::exists(&started).is_ok_and(|is| is)
    });
    asked
}

#[test]
fn a_reload_during_a_restart_counts_and_the_restart_does_not() {
    let (mut line, file) = configured("reload");
    let asked = hanging(&line);
    fs::write(&file, "retain_bytes = \"2MiB\"\n").expect("a file");
    line.signal("HUP");
    let said = asked.join().expect("it was answered");
    assert!(said.contains("the configuration is read again"), "{said}");
    line.daemon.wait_for_log("retain_bytes");
    works(&line);
}

#[test]
fn a_daemon_that_is_told_to_end_during_a_restart_ends() {
    let line = Line::start("end", &[]);
    let asked = hanging(&line);
    line.stop();
    let said = asked.join().expect("it was answered");
    assert!(said.contains("told to end"), "{said}");
}

#[test]
fn a_configuration_that_is_refused_changes_nothing() {
    let (mut line, file) = configured("configuration");
    fs::write(&file, "retain_bytes = \"many\"\n").expect("a file");
    let said = line.restart_in_vain();
    assert!(said.contains("exit status: 2"), "{said}");
    line.daemon.wait_for_log("many");
    works(&line);
    fs::write(&file, "retain_bytes = \"2MiB\"\n").expect("a file");
    line.restart();
    works(&line);
}

#[test]
fn a_new_process_does_not_serve_if_the_one_that_started_it_has_ended() {
    let (ours, its) = UnixStream::pair().expect("a pair of sockets");
    drop(ours);
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--admin", "off"]);
    // A process that is not its parent, as it is for one whose parent has ended.
    command
        .env("SUCCEEDS_FANFARE", "1")
        .stdin(OwnedFd::from(its));
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("ended before it handed over"), "{said}");
}

#[test]
fn a_process_that_is_no_daemon_is_left_alone() {
    let own = std::process::id().to_string();
    for (pid, why) in [
        (own.as_str(), "is no fanfare"),
        ("4000000", "there is no process"),
        ("0", "is no process number"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
        let output = command
            .args(["restart", "--pid", pid])
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(why), "{said}");
    }
}
