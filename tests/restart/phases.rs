//! A successor that ends in the middle, wherever that is: the daemon goes on.

use std::io::{Read as _, Write as _};

use super::Line;

/// Where the pretended successor stops.
const VARIABLE: &str = "FANFARE_TEST_STOPS";

/// The kinds of messages: see `src/server/handover/wire.rs`.
const KINDS: [(&str, u8); 6] = [
    ("hello", 1),
    ("channels", 3),
    ("shared", 4),
    ("connections", 5),
    ("end", 6),
    ("go", 8),
];
const READY: [u8; 6] = [2, 0, 0, 0, 0, 0];
const ARRIVED: [u8; 6] = [7, 0, 0, 0, 0, 0];

/// It is no test but the successor of one: it speaks as one does, and ends after a certain message.
#[test]
fn pretended_successor() {
    let Ok(stops) = std::env::var(VARIABLE) else {
        return;
    };
    let stdin = std::io::stdin();
    let socket = std::os::fd::AsFd::as_fd(&stdin);
    let socket = socket.try_clone_to_owned().expect("a file");
    let mut socket = std::os::unix::net::UnixStream::from(socket);
    socket.set_nonblocking(false).expect("it waits");
    loop {
        let mut head = [0; 6];
        socket.read_exact(&mut head).expect("a message");
        let [kind, _, len @ ..] = head;
        let mut body = vec![0; u32::from_le_bytes(len) as usize];
        socket.read_exact(&mut body).expect("its body");
        if KINDS.contains(&(stops.as_str(), kind)) {
            // As `kill -9` would end it.
            std::process::exit(9);
        }
        if stops == "hangs" && kind == 6 {
            // It is ended before that.
            std::thread::sleep(super::PATIENCE);
        }
        let answer: &[u8] = match kind {
            1 => &READY,
            6 => &ARRIVED,
            _ => &[],
        };
        socket.write_all(answer).expect("it is taken");
        match stops.as_str() {
            "ready" if kind == 1 => std::process::exit(9),
            "arrived" if kind == 6 => std::process::exit(9),
            "nonsense" => socket.write_all(&[99; 6]).expect("it is taken"),
            _ => {}
        }
    }
}

#[test]
fn a_successor_that_ends_in_any_phase_leaves_the_daemon_with_everybody_on_it() {
    let mut line = Line::start("phases", &[]);
    let mut subscriber = line.daemon.connect();
    subscriber.ask(r#"{"type":"subscribe","channel":"a"}"#);
    let mut publisher = line.daemon.connect();
    let own = std::env::current_exe().expect("it has a path");
    let others = ["ready", "arrived", "nonsense", "hangs"];
    let all = KINDS.iter().map(|(name, _)| *name).chain(others);
    for (round, stops) in all.enumerate() {
        line.replace(&format!(
            "{VARIABLE}={stops} exec {} --exact phases::pretended_successor >/dev/null 2>&1",
            own.display()
        ));
        let said = line.restart_in_vain();
        assert!(said.contains("goes on with everybody"), "{stops}: {said}");
        let answer = publisher.ask(r#"{"type":"publish","id":1,"channel":"a","data":1}"#);
        assert!(
            answer.contains(&format!(r#""seq":{}"#, round + 1)),
            "{stops}: {answer}"
        );
        let message = subscriber.text();
        assert!(
            message.contains(&format!(r#""seq":{}"#, round + 1)),
            "{stops}: {message}"
        );
    }
    super::install(&line.folder, env!("CARGO_BIN_EXE_fanfare"));
    line.restart();
    publisher.ask(r#"{"type":"publish","id":1,"channel":"a","data":1}"#);
    assert!(subscriber.text().starts_with(r#"{"type":"message""#));
}
