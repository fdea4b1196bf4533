//! Sockets that the service manager gives.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;

use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};

use super::common::Daemon;
use super::common::tls::Authority;
use super::{Folder, fanfare, said};

/// Begins the daemon as a service manager does: the files are 3, 4, …, and `LISTEN_PID` is its process. The files that are returned
/// have to live until it has begun.
fn activated(files: &[&dyn AsFd], names: &str, arguments: &[&str]) -> (Command, Vec<OwnedFd>) {
    // Out of the way of 3, 4, …, and inherited.
    let inherited = files.iter().map(|file| {
        let file = fcntl_dupfd_cloexec(file, 100).expect("a number is free");
        fcntl_setfd(&file, FdFlags::empty()).expect("it is open");
        file
    });
    let inherited: Vec<OwnedFd> = inherited.collect();
    let moves = inherited.iter().enumerate();
    let moves: String = moves
        .map(|(nth, file)| format!(" {}<&{}", nth + 3, file.as_raw_fd()))
        .collect();
    let script = format!("export LISTEN_PID=$$; exec \"$@\"{moves}");
    let daemon = fanfare(arguments);
    let mut command = Command::new("bash");
    command
        .args(["-c", &script, "bash"])
        .arg(daemon.get_program());
    command.args(daemon.get_args());
    for (name, _) in daemon.get_envs() {
        command.env_remove(name);
    }
    command.env("LISTEN_FDS", files.len().to_string());
    command.env("LISTEN_FDNAMES", names);
    (command, inherited)
}

/// What it says where it does not start.
fn refused(files: &[&dyn AsFd], names: &str, arguments: &[&str]) -> String {
    let (mut command, _files) = activated(files, names, arguments);
    let (code, _, errors) = said(command.output().expect("it runs"));
    assert_eq!(code, Some(1), "{errors}");
    errors
}

fn is_healthy(mut stream: impl Read + Write) -> bool {
    let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).expect("it is written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it is answered");
    answer.starts_with("HTTP/1.1 200 ")
}

#[test]
fn sockets_that_are_given_take_the_place_of_the_addresses_by_their_name_or_their_address() {
    let folder = Folder::new("given");
    let path = folder.path("publish.sock");
    let authority = Authority::new();
    let certificate = authority.sign(&["localhost"]);
    let plain = TcpListener::bind("127.0.0.1:0").expect("a port");
    let tls = TcpListener::bind("127.0.0.1:0").expect("a port");
    let unix = UnixListener::bind(&path).expect("the path is free");
    let address = plain.local_addr().expect("an address");
    let unix_address = format!("unix:{path}");
    let arguments = [
        "serve",
        "--listen",
        "127.0.0.1:1",
        "--listen",
        &unix_address,
        "--tls-cert",
        certificate.certificate.to_str().expect("UTF-8"),
        "--tls-key",
        certificate.key.to_str().expect("UTF-8"),
    ];
    let files: [&dyn AsFd; 3] = [&tls, &unix, &plain];
    let (command, files) = activated(&files, "tls:fanfare.socket:plain", &arguments);
    let mut daemon = Daemon::spawn(command);
    drop(files);
    assert_eq!(daemon.address, address);
    let tls = tls.local_addr().expect("an address");
    daemon.wait_for_log(&format!("listening on wss://{tls} "));
    daemon.wait_for_log(&format!("listening on {unix_address} "));
    daemon
        .wait_for_log("nobody listens on 127.0.0.1:1: the service manager gives no socket for it");
    assert!(is_healthy(TcpStream::connect(address).expect("it listens")));
    assert!(is_healthy(UnixStream::connect(&path).expect("it listens")));
    // A reload knows where the daemon listens.
    daemon.signal("HUP");
    daemon.next_log("SIGHUP: access: ");
}

#[test]
fn connections_wait_in_a_socket_that_is_given_until_the_daemon_is_there_again() {
    let folder = Folder::new("given-again");
    let path = folder.path("f.sock");
    let unix = UnixListener::bind(&path).expect("the path is free");
    let plain = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = plain.local_addr().expect("an address");
    let start = || {
        let files: [&dyn AsFd; 2] = [&plain, &unix];
        let (command, _files) = activated(&files, "plain:plain", &["serve"]);
        Daemon::spawn(command)
    };
    let mut first = start();
    first.signal("TERM");
    first.wait_for_log("ended after");
    drop(first);
    let (by_tcp, by_unix) = (TcpStream::connect(address), UnixStream::connect(&path));
    let _second = start();
    assert!(is_healthy(by_tcp.expect("the socket is there")));
    assert!(is_healthy(by_unix.expect("the file is there")));
}

#[test]
fn sockets_of_another_process_are_left_alone() {
    let mut command = fanfare(&["serve", "--listen", "127.0.0.1:0"]);
    command.envs([("LISTEN_FDS", "1"), ("LISTEN_PID", "1")]);
    Daemon::spawn(command);
}

#[test]
fn what_is_no_listening_stream_socket_is_refused_with_what_to_do() {
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let connected = TcpStream::connect(listener.local_addr().expect("an address"));
    let connected = connected.expect("it connects");
    let file = std::fs::File::open("/dev/null").expect("it is there");
    let files: [(&dyn AsFd, &str); 3] = [
        (&udp, "is not a valid stream socket of TCP or unix"),
        (&connected, "it is a socket that does not listen"),
        (&file, "is not a socket"),
    ];
    for (file, why) in files {
        let errors = refused(&[file], "plain", &["serve"]);
        for part in ["LISTEN_FDS: file 3 \"plain\": ", why, "ListenStream="] {
            assert!(errors.contains(part), "{part} in {errors}");
        }
    }
    let errors = refused(&[&listener], "fanfare.socket", &["serve"]);
    assert!(errors.contains("FileDescriptorName=plain or"), "{errors}");
    let errors = refused(&[&listener], "tls", &["serve"]);
    assert!(errors.contains("TLS needs a certificate"), "{errors}");
}

#[test]
fn a_number_of_sockets_that_is_none_is_refused() {
    for number in ["x", "-1", "65", "99999999999999999999"] {
        let (mut command, _) = activated(&[], "", &["serve"]);
        command.env("LISTEN_FDS", number);
        let (code, _, errors) = said(command.output().expect("it runs"));
        assert_eq!(code, Some(1));
        assert!(
            errors.contains("is not a number of sockets: it has to be 0 to 64"),
            "{errors}"
        );
    }
}

#[test]
fn a_socket_that_is_open_beyond_this_machine_needs_permissions_like_any_other() {
    let listener = TcpListener::bind("0.0.0.0:0").expect("a port");
    let errors = refused(&[&listener], "plain", &["serve"]);
    assert!(
        errors.contains("is reached from other machines"),
        "{errors}"
    );
}
