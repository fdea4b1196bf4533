//! What a restart is to others: the service manager, a container, unix sockets, and encrypted connections.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;

use super::common::tls::{self, Authority};
use super::common::{PATIENCE, handshake, masked, member, read_head};
use super::{Folder, Line, ask, is_running, wait_until};

#[test]
fn the_service_manager_is_told_the_new_process_before_the_old_one_ends_and_nothing_of_an_end() {
    let folder = Folder::new("manager");
    let path = folder.path("notify");
    let manager = UnixDatagram::bind(&path).expect("the path is free");
    manager.set_read_timeout(Some(PATIENCE)).expect("a time");
    let mut line = Line::start_with(folder, &[], |command| {
        command
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "60000000");
    });
    let heard = || {
        let mut bytes = [0; 4_096];
        let len = manager.recv(&mut bytes).expect("a datagram in time");
        String::from_utf8_lossy(&bytes[..len]).into_owned()
    };
    assert!(heard().starts_with("READY=1\n"));
    let before = line.pid();
    let asking = std::thread::scope(|scope| {
        let asked = scope.spawn(move || ask(before));
        let mut all = Vec::new();
        while !(all
            .iter()
            .any(|text: &String| text.starts_with("BARRIER=1"))
            && all.iter().any(|text| text.starts_with("READY=1")))
        {
            all.push(heard());
        }
        let main = all.iter().position(|text| text.starts_with("MAINPID="));
        let barrier = all.iter().position(|text| text.starts_with("BARRIER=1"));
        assert!(main.is_some() && main < barrier, "{all:?}");
        assert!(!all.iter().any(|text| text.contains("STOPPING")), "{all:?}");
        asked.join().expect("it was asked")
    });
    assert!(asking.status.success(), "{asking:?}");
    let said = String::from_utf8_lossy(&asking.stdout).into_owned();
    let pid = said
        .split("process ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next()?.parse().ok());
    line.pids.push(pid.expect("a process"));
    wait_until("the old process stays", || !is_running(before));
    line.stop();
    assert!(heard().starts_with("STOPPING=1\n"));
}

#[test]
fn a_unix_sockets_file_stays_and_goes_with_the_last_process() {
    let folder = Folder::new("unix");
    let path = folder.path("socket");
    let listen = format!("unix:{path}");
    let mut line = Line::start_with(folder, &["--listen", &listen], |_| {});
    for _ in 0..2 {
        let before = line.pid();
        line.restart();
        wait_until("the old process stays", || !is_running(before));
        UnixStream::connect(&path).expect("somebody listens");
    }
    line.stop();
    assert!(!Path::new(&path).exists());
}

#[test]
fn an_encrypted_client_is_sent_away_for_a_moment_and_comes_back_without_a_gap() {
    let authority = Authority::new();
    authority.certify("server", &["localhost"], 1);
    let (cert, key) = (authority.path("server.pem"), authority.path("server.key"));
    let tls = [
        "--listen-tls",
        "127.0.0.1:0",
        "--tls-cert",
        &cert,
        "--tls-key",
        &key,
    ];
    let mut line = Line::start("tls", &tls);
    let address = line.daemon.tls_address();
    let connect = || {
        let mut stream = tls::connect(address, "localhost", authority.client(None));
        say_all(&mut stream, handshake("/", "").as_bytes());
        read_head(&mut stream);
        assert!(frame(&mut stream).1.starts_with(r#"{"type":"welcome""#));
        stream
    };
    let mut subscriber = connect();
    let mut encrypted = connect();
    say(&mut subscriber, r#"{"type":"subscribe","channel":"a"}"#);
    let epoch = member(&frame(&mut subscriber).1, "epoch").to_owned();
    let mut publisher = line.daemon.connect();
    publisher.ask(r#"{"type":"publish","id":1,"channel":"a","data":1}"#);
    let before = line.pid();
    line.restart();
    // The old process still has this connection, and no channels any more.
    say(
        &mut encrypted,
        r#"{"type":"publish","id":9,"channel":"a","data":9}"#,
    );
    let published = publisher.ask(r#"{"type":"publish","id":1,"channel":"a","data":2}"#);
    assert_eq!(member(&published, "seq"), "2", "{published}");
    loop {
        let (first, said) = frame(&mut encrypted);
        assert!(!said.contains("published"), "{said}");
        if first == 0x88 {
            break;
        }
    }
    assert!(frame(&mut subscriber).1.contains(r#""seq":1"#));
    let (_, goodbye) = frame(&mut subscriber);
    assert!(
        goodbye.starts_with(r#"{"type":"goodbye","reason":"restart""#),
        "{goodbye}"
    );
    let after: u64 = member(&goodbye, "reconnect_after_ms")
        .parse()
        .expect("a number");
    assert!(after <= 2_000, "{after}");
    let (first, close) = frame(&mut subscriber);
    assert_eq!(first, 0x88);
    // 1012.
    assert!(close.starts_with("\u{03}\u{F4}"), "{close:?}");
    drop(subscriber);
    let mut subscriber = connect();
    say(
        &mut subscriber,
        &format!(r#"{{"type":"subscribe","channel":"a","since":{{"epoch":{epoch},"seq":1}}}}"#),
    );
    assert_eq!(member(&frame(&mut subscriber).1, "recovered"), "true");
    assert!(frame(&mut subscriber).1.contains(r#""seq":2"#));
    wait_until("the old process stays", || !is_running(before));
}

#[test]
fn whoever_came_by_a_public_address_is_no_administrator_when_that_becomes_the_administrators() {
    let folder = Folder::new("roles");
    let file = folder.path("fanfare.toml");
    let (one, two) = (folder.path("one"), folder.path("two"));
    let configure = |public: &str, admin: &str| {
        let text =
            format!("listen = [\"127.0.0.1:0\", \"unix:{public}\"]\nadmin = \"unix:{admin}\"\n");
        fs::write(&file, text).expect("a file");
    };
    configure(&one, &two);
    let open_to_all = ["--config", &file, "--socket-mode", "0666"];
    let mut line = Line::start_at(folder, &open_to_all, |command| {
        command.env_remove("FANFARE_ADMIN");
    });
    let mode = |path: &str| fs::symlink_metadata(path).expect("it is there").mode() & 0o777;
    assert_eq!((mode(&one), mode(&two)), (0o666, 0o660));
    let connect = |path: &str| {
        let mut stream = UnixStream::connect(path).expect("it accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time");
        say_all(&mut stream, handshake("/", "").as_bytes());
        read_head(&mut stream);
        assert!(frame(&mut stream).1.starts_with(r#"{"type":"welcome""#));
        stream
    };
    let (mut public, mut admin) = (connect(&one), connect(&two));
    let mut other = line.daemon.connect();
    configure(&two, &one);
    line.restart();
    for stream in [&mut public, &mut admin] {
        let (first, close) = frame(stream);
        assert_eq!(first, 0x88, "{close:?}");
        assert!(close.starts_with("\u{03}\u{F4}"), "{close:?}");
    }
    assert_eq!(
        other.ask(r#"{"type":"ping","id":1}"#),
        r#"{"type":"pong","id":1}"#
    );
    // The sockets are what the configuration says now.
    assert_eq!(mode(&one), 0o660);
    let status = |path: &str| {
        let mut stream = UnixStream::connect(path).expect("it accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time");
        say_all(
            &mut stream,
            b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
        );
        read_head(&mut stream)
    };
    assert!(status(&one).starts_with("HTTP/1.1 200 "));
    assert!(status(&two).starts_with("HTTP/1.1 404 "));
}

fn say_all(stream: &mut impl Write, bytes: &[u8]) {
    stream.write_all(bytes).expect("it goes out");
}

fn say(stream: &mut impl Write, message: &str) {
    say_all(stream, &masked(0x81, message.as_bytes()));
}

/// The next frame, with its first byte. It may hold what is not text.
fn frame(stream: &mut impl Read) -> (u8, String) {
    let mut head = [0; 2];
    stream.read_exact(&mut head).expect("a frame");
    let len = match head[1] {
        126 => {
            let mut len = [0; 2];
            stream.read_exact(&mut len).expect("a length");
            usize::from(u16::from_be_bytes(len))
        }
        len => usize::from(len),
    };
    let mut payload = vec![0; len];
    stream.read_exact(&mut payload).expect("a payload");
    // The code of a close is no text: each byte becomes a character.
    let text = payload
        .iter()
        .map(|byte| char::from(*byte))
        .collect::<String>();
    (head[0], text)
}
