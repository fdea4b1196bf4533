//! Where the daemon listens: unix sockets and what lies at their path, and addresses that overlap.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use common::{Daemon, PATIENCE, read_to_end};

const HEALTHZ: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// A folder of a test's own, removed with all that is in it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("fanfare-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).expect("a folder can be made");
        Folder(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The path of a socket that nobody listens on any more.
    fn stale(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        drop(UnixListener::bind(&path).expect("the path is free"));
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn unix(path: &Path) -> String {
    format!("unix:{}", path.display())
}

/// A daemon that is expected to end, or of which it is not known whether it will. It is killed when the test ends.
struct Started(Child);

impl Started {
    fn new(listen: &[&str]) -> Started {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
        command.arg("serve");
        command.arg("--open-to-everyone");
        for address in listen {
            command.args(["--listen", address]);
        }
        command.env_remove("RUST_LOG");
        command.env("FANFARE_ADMIN", "off");
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        Started(command.spawn().expect("the daemon starts"))
    }

    /// Its log up to the line that says that it listens, or to its end.
    fn beginning(&mut self) -> Vec<String> {
        let stderr = self.0.stderr.as_mut().expect("stderr is piped");
        let mut log = Vec::new();
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let listens = line.contains("listening on");
            log.push(line);
            if listens {
                break;
            }
        }
        log
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a daemon that cannot listen there says, and that its exit code is 1.
fn refused(listen: &[&str]) -> String {
    let mut daemon = Started::new(listen);
    let log = daemon.beginning();
    let last = log.last().expect("it says something").clone();
    assert!(!last.contains("listening on"), "it listens: {last}");
    let until = Instant::now() + PATIENCE;
    let code = loop {
        if let Some(status) = daemon.0.try_wait().expect("it can be waited for") {
            break status.code();
        }
        assert!(Instant::now() < until, "it did not end");
        std::thread::yield_now();
    };
    assert_eq!(code, Some(1), "{log:?}");
    last
}

fn healthz_at(path: &Path) -> String {
    let mut stream = UnixStream::connect(path).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.write_all(HEALTHZ).expect("the request goes out");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it is answered");
    answer
}

fn healthz(mut stream: TcpStream) -> String {
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.write_all(HEALTHZ).expect("the request goes out");
    read_to_end(&mut stream)
}

#[test]
fn at_its_end_a_listener_leaves_the_socket_of_its_successor_alone() {
    let folder = Folder::new("successor");
    let path = folder.path("f.sock");
    let mut first = Daemon::start(&["--listen", &unix(&path)]);
    fs::remove_file(&path).expect("an operator removes it");
    let mut second = Daemon::start(&["--listen", &unix(&path)]);
    first.signal("TERM");
    assert_eq!(first.wait(), Some(0));
    assert!(healthz_at(&path).starts_with("HTTP/1.1 200 "));
    second.signal("TERM");
    assert_eq!(second.wait(), Some(0));
    assert!(!path.exists(), "its own it removes");
}

#[test]
fn what_is_no_socket_stays_at_its_path_and_the_error_says_what_it_is() {
    let folder = Folder::new("no-socket");
    let file = folder.path("file");
    fs::write(&file, "precious").expect("a file");
    let inner = folder.path("folder");
    fs::create_dir(&inner).expect("a folder");
    let link = folder.path("link");
    symlink(folder.stale("stale"), &link).expect("a link");
    let dangling = folder.path("dangling");
    symlink("nowhere", &dangling).expect("a link");
    for (path, what) in [
        (&file, "a file that is no socket is there"),
        (&inner, "a folder is there"),
        (&link, "a symbolic link is there"),
        (&dangling, "a symbolic link is there"),
    ] {
        let before = fs::symlink_metadata(path).expect("it is there");
        let why = refused(&[&unix(path)]);
        assert!(why.contains(what) && why.contains(&unix(path)), "{why}");
        let after = fs::symlink_metadata(path).expect("it still is");
        assert_eq!(before.ino(), after.ino());
    }
    assert_eq!(fs::read(&file).expect("the file"), b"precious");
}

#[test]
fn a_path_where_no_socket_can_be_is_told_with_the_reason() {
    let folder = Folder::new("no-path");
    let why = refused(&[&unix(&folder.path("missing/f.sock"))]);
    assert!(why.contains("its folder does not exist"), "{why}");
    let why = refused(&[&unix(&folder.path(&"x".repeat(200)))]);
    assert!(why.contains("107 bytes at most"), "{why}");
}

#[test]
fn a_socket_that_somebody_listens_on_is_taken() {
    let folder = Folder::new("taken");
    let path = folder.path("f.sock");
    let daemon = Daemon::start(&["--listen", &unix(&path)]);
    let why = refused(&[&unix(&path)]);
    assert!(why.contains("is taken: another program"), "{why}");
    assert!(healthz_at(&path).starts_with("HTTP/1.1 200 "));
    drop(daemon);

    // One whose queue is full answers no connect, and is there all the same.
    let path = folder.path("full.sock");
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None);
    let socket = socket.expect("a socket");
    let address = socket2::SockAddr::unix(&path).expect("an address");
    socket.bind(&address).expect("the path is free");
    socket.listen(0).expect("it listens");
    let waiting: Vec<_> = (0..10)
        .map_while(|_| {
            let client = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None);
            let client = client.expect("a socket");
            client.set_nonblocking(true).expect("it need not wait");
            client.connect(&address).is_ok().then_some(client)
        })
        .collect();
    assert!(waiting.len() < 10, "the queue is full");
    let why = refused(&[&unix(&path)]);
    assert!(why.contains("is taken: another program"), "{why}");
    assert!(path.exists());
}

#[test]
fn a_socket_that_is_only_just_being_made_is_not_taken_for_a_stale_one() {
    let folder = Folder::new("being-made");
    let path = folder.path("f.sock");
    // What a daemon does between its bind and its listen.
    let lock = fs::File::open(&folder.0).expect("the folder can be read");
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).expect("it is free");
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None);
    let socket = socket.expect("a socket");
    let address = socket2::SockAddr::unix(&path).expect("an address");
    socket.bind(&address).expect("the path is free");

    let mut second = Started::new(&[&unix(&path)]);
    let real = fs::canonicalize(&folder.0).expect("it is there");
    let files = format!("/proc/{}/fd", second.0.id());
    let has_opened = |path: &Path| {
        let files = fs::read_dir(&files).into_iter().flatten().flatten();
        files
            .filter_map(|file| fs::read_link(file.path()).ok())
            .any(|file| file == path)
    };
    let until = Instant::now() + PATIENCE;
    while !has_opened(&real) {
        assert!(Instant::now() < until, "it does not wait for the folder");
        std::thread::yield_now();
    }
    socket.listen(1).expect("it listens");
    drop(lock);
    let log = second.beginning();
    let last = log.last().expect("it says something");
    assert!(last.contains("is taken: another program"), "{log:?}");
}

#[test]
fn of_daemons_that_start_at_one_path_in_the_same_moment_exactly_one_listens() {
    let folder = Folder::new("race");
    let path = folder.stale("f.sock");
    let mut daemons: Vec<Started> = (0..8).map(|_| Started::new(&[&unix(&path)])).collect();
    let mut listening = 0;
    for daemon in &mut daemons {
        let log = daemon.beginning();
        let last = log.last().expect("it says something");
        if last.contains("listening on unix:") {
            listening += 1;
        } else {
            assert!(last.contains("is taken: another program"), "{log:?}");
        }
    }
    assert_eq!(listening, 1);
    assert!(healthz_at(&path).starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_unix_socket_has_the_permissions_and_the_group_that_were_asked_for() {
    let folder = Folder::new("mode");
    let own = fs::metadata(&folder.0).expect("the folder");
    // A process that is not root's may only give it to a group of its own.
    let group = if own.uid() == 0 { 4711 } else { own.gid() };
    let path = folder.stale("f.sock");
    let group_text = group.to_string();
    for (mode, expected) in [("0660", 0o660), ("666", 0o666), ("0600", 0o600)] {
        let listen = unix(&path);
        let mut daemon = Daemon::start(&[
            "--listen",
            &listen,
            "--socket-mode",
            mode,
            "--socket-group",
            &group_text,
        ]);
        let socket = fs::symlink_metadata(&path).expect("it is there");
        assert!(socket.file_type().is_socket());
        assert_eq!(socket.mode() & 0o7777, expected, "{mode}");
        assert_eq!(socket.gid(), group);
        assert!(healthz_at(&path).starts_with("HTTP/1.1 200 "));
        daemon.signal("TERM");
        assert_eq!(daemon.wait(), Some(0));
    }
}

#[test]
fn the_administrators_socket_is_never_open_to_others() {
    let folder = Folder::new("admin-mode");
    let (public, admin) = (folder.path("public.sock"), folder.path("admin.sock"));
    let (at_public, at_admin) = (unix(&public), unix(&admin));
    let arguments = ["--listen", &at_public, "--admin", &at_admin];
    let _daemon = Daemon::start(&[&arguments[..], &["--socket-mode", "0666"]].concat());
    let mode = |path| fs::symlink_metadata(path).expect("it is there").mode() & 0o777;
    assert_eq!((mode(&public), mode(&admin)), (0o666, 0o660));
}

#[test]
fn two_names_of_one_path_are_told_apart_from_another_program() {
    let folder = Folder::new("twice");
    symlink(&folder.0, folder.path("again")).expect("a link");
    let (one, two) = (folder.path("f.sock"), folder.path("again/f.sock"));
    let why = refused(&[&unix(&one), &unix(&two)]);
    assert!(why.contains("the two are the same path"), "{why}");
    assert!(!one.exists(), "what was bound is removed again");
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it has an address").port()
}

fn has_ipv6() -> bool {
    TcpListener::bind("[::1]:0").is_ok()
}

#[test]
fn any_ipv4_and_any_ipv6_address_can_share_a_port_in_either_order() {
    if !has_ipv6() {
        return;
    }
    for reversed in [false, true] {
        // Another test may take the port in between.
        let daemon = (0..20).find_map(|_| {
            let port = free_port();
            let (v4, v6) = (format!("0.0.0.0:{port}"), format!("[::]:{port}"));
            let listen = if reversed { [&v6, &v4] } else { [&v4, &v6] };
            let mut daemon = Started::new(&[listen[0], listen[1]]);
            let log = daemon.beginning();
            let last = log.last().expect("it says something");
            assert!(!last.contains("overlap"), "{last}");
            last.contains("listening on").then_some((daemon, port))
        });
        let (_daemon, port) = daemon.expect("one port of twenty is free");
        for host in ["127.0.0.1", "::1"] {
            let stream = TcpStream::connect((host, port)).expect("it listens there");
            assert!(healthz(stream).starts_with("HTTP/1.1 200 "), "{host}");
        }
    }
}

#[test]
fn any_ipv6_address_alone_takes_ipv4_as_well() {
    if !has_ipv6() {
        return;
    }
    let daemon = Daemon::start_at("[::]:0", &["--open-to-everyone"]);
    let port = daemon.address.port();
    for host in ["127.0.0.1", "::1"] {
        let stream = TcpStream::connect((host, port)).expect("it listens there");
        assert!(healthz(stream).starts_with("HTTP/1.1 200 "), "{host}");
    }
}

#[test]
fn addresses_of_one_list_that_overlap_are_told_so_and_nobody_else_is_blamed() {
    let port = free_port();
    let (any, loopback) = (format!("0.0.0.0:{port}"), format!("127.0.0.1:{port}"));
    let why = refused(&[&any, &loopback]);
    let expected = format!("cannot listen on {loopback} beside {any}: the two overlap");
    assert!(why.contains(&expected), "{why}");
}
