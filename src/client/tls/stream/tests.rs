//! The stream over real sockets, against a server that does what a test wants it to.

use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection};

use super::*;

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(20);

const MOMENT: Duration = Duration::from_millis(20);

struct Server {
    tls: ServerConnection,
    socket: TcpStream,
}

impl Server {
    /// Encrypts it, without sending it.
    fn record(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.tls.writer().write_all(bytes).expect("it has room");
        let mut wire = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut wire).expect("memory");
        }
        wire
    }

    fn send(&mut self, bytes: &[u8]) {
        let wire = self.record(bytes);
        self.socket.write_all(&wire).expect("it goes out");
    }

    /// The next bytes from the client.
    fn hear(&mut self, bytes: &mut [u8]) {
        let mut stream = rustls::Stream::new(&mut self.tls, &mut self.socket);
        stream.read_exact(bytes).expect("the client speaks");
    }
}

/// A stream whose server does `script` after the handshake.
fn stream(script: impl FnOnce(&mut Server) + Send + 'static) -> (TlsStream, JoinHandle<()>) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate");
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("they go together");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let server = thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("a connection");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut tls = ServerConnection::new(Arc::new(config)).expect("a connection");
        while tls.is_handshaking() {
            tls.complete_io(&mut socket).expect("a handshake");
        }
        script(&mut Server { tls, socket });
    });
    let socket = Socket::from(TcpStream::connect(address).expect("it listens"));
    let options = Options::default().with_anybody();
    let deadline = Instant::now() + PATIENCE;
    let config = options.config().expect("no files");
    let name = server_name("localhost").expect("a name");
    let stream = TlsStream::open(socket, config, name, deadline).expect("it opens");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    (stream, server)
}

/// Waits for a test to say that it may go on.
fn gate() -> (Sender<()>, impl Fn() + Send) {
    let (open, opened) = channel();
    (open, move || {
        opened.recv_timeout(PATIENCE).expect("it goes on")
    })
}

fn read(stream: &TlsStream, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let mut filled = 0;
    while filled < len {
        match stream.read(&mut bytes[filled..]).expect("it comes") {
            0 => panic!("an end after {filled} bytes"),
            read => filled += read,
        }
    }
    bytes
}

#[test]
fn one_side_waits_for_nothing_that_the_other_one_does() {
    const BYTES: usize = 8 << 20;
    // It reads nothing before all was read from it, which more than fills what the system keeps.
    let (stream, server) = stream(|server| {
        for _ in 0..BYTES / 4096 {
            server.send(&[7; 4096]);
        }
        let mut bytes = vec![0; BYTES];
        server.hear(&mut bytes);
        assert!(bytes.iter().all(|&byte| byte == 9));
    });
    thread::scope(|scope| {
        let writing = scope.spawn(|| stream.write_all(&vec![9; BYTES]));
        assert!(read(&stream, BYTES).iter().all(|&byte| byte == 7));
        writing.join().expect("no panic").expect("it goes out");
    });
    server.join().expect("no panic");
}

#[test]
fn a_record_that_comes_in_pieces_is_waited_for_no_longer_than_the_timeout() {
    let (go_on, wait) = gate();
    let (stream, server) = stream(move |server| {
        let wire = server.record(b"whole");
        let (first, rest) = wire.split_at(wire.len() - 3);
        server.socket.write_all(first).expect("it goes out");
        wait();
        server.socket.write_all(rest).expect("it goes out");
        wait();
    });
    stream.set_read_timeout(Some(MOMENT)).expect("a timeout");
    for _ in 0..3 {
        let error = stream.read(&mut [0; 10]).expect_err("it is not whole");
        assert!(is_timeout(&error), "{error}");
    }
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    go_on.send(()).expect("it waits");
    assert_eq!(read(&stream, 5), b"whole");
    go_on.send(()).expect("it waits");
    server.join().expect("no panic");
}

#[test]
fn what_is_there_is_read_though_the_time_is_up() {
    let (go_on, wait) = gate();
    let (stream, server) = stream(move |server| {
        let wire = server.record(&[1; 16_000]);
        for piece in wire.chunks(4000) {
            server.socket.write_all(piece).expect("it goes out");
        }
        wait();
    });
    stream
        .set_read_timeout(Some(Duration::ZERO))
        .expect("a timeout");
    let mut buffer = vec![0; 20_000];
    let until = Instant::now() + PATIENCE;
    let read = loop {
        match stream.read(&mut buffer) {
            Ok(read) => break read,
            Err(error) => assert!(is_timeout(&error) && Instant::now() < until, "{error}"),
        }
    };
    assert_eq!(read, 16_000);
    go_on.send(()).expect("it waits");
    server.join().expect("no panic");
}

#[test]
fn a_buffer_may_be_smaller_than_what_was_decrypted() {
    let (stream, server) = stream(|server| {
        let bytes: Vec<u8> = (0..100_000_u32).map(|n| n as u8).collect();
        for piece in bytes.chunks(16_000) {
            server.send(piece);
        }
    });
    let mut bytes = Vec::new();
    while bytes.len() < 100_000 {
        bytes.extend(read(&stream, 1000));
    }
    assert!((0..100_000_u32).all(|n| bytes[n as usize] == n as u8));
    server.join().expect("no panic");
}

#[test]
fn keys_are_renewed_when_the_server_asks_for_it() {
    let (stream, server) = stream(|server| {
        for n in 0..5 {
            server.tls.refresh_traffic_keys().expect("TLS 1.3");
            server.send(&[n; 10]);
            let mut bytes = [0; 10];
            server.hear(&mut bytes);
            assert_eq!(bytes, [n; 10]);
        }
    });
    for n in 0..5 {
        assert_eq!(read(&stream, 10), [n; 10]);
        stream.write_all(&[n; 10]).expect("it goes out");
    }
    server.join().expect("no panic");
}

#[test]
fn an_end_is_an_end_with_a_word_and_without_one() {
    for polite in [true, false] {
        let (stream, server) = stream(move |server| {
            server.send(b"last");
            if polite {
                server.tls.send_close_notify();
                server.send(b"");
            }
        });
        assert_eq!(read(&stream, 4), b"last");
        for _ in 0..2 {
            assert_eq!(stream.read(&mut [0; 10]).expect("an end"), 0);
        }
        server.join().expect("no panic");
    }
}

#[test]
fn what_was_changed_on_the_way_is_an_error_and_what_came_before_it_is_not() {
    let (stream, server) = stream(|server| {
        let mut wire = server.record(b"good");
        let mut bad = server.record(b"bad");
        let last = bad.len() - 1;
        bad[last] ^= 1;
        wire.extend(bad);
        server.socket.write_all(&wire).expect("it goes out");
        let mut rest = Vec::new();
        // The client says why it goes.
        let _ = server.socket.read_to_end(&mut rest);
        assert!(!rest.is_empty());
    });
    assert_eq!(read(&stream, 4), b"good");
    let error = stream.read(&mut [0; 10]).expect_err("it was changed");
    let inside = error.get_ref().and_then(|it| it.downcast_ref::<TlsError>());
    assert!(matches!(inside, Some(TlsError::Protocol(_))), "{error}");
    stream.abort();
    server.join().expect("no panic");
}

#[test]
fn a_peer_that_does_not_read_keeps_nobody_waiting_who_does_not_want_to() {
    let (go_on, wait) = gate();
    let (stream, server) = stream(move |_| wait());
    let mut taken = 0;
    loop {
        match stream.write_now(&[0; 10_000]).expect("no error") {
            0 => break,
            written => taken += written,
        }
        assert!(taken < 1 << 30, "it takes without end");
    }
    // One piece at most was taken and not sent.
    assert!(locked(&stream.outgoing).len() < 11_000);
    assert_eq!(stream.write_now(b"x").expect("no error"), 0);
    go_on.send(()).expect("it waits");
    server.join().expect("no panic");
}

#[test]
fn who_waits_to_read_is_woken_by_an_end_from_another_thread() {
    let (go_on, wait) = gate();
    let (stream, server) = stream(move |_| wait());
    stream.set_read_timeout(None).expect("no timeout");
    thread::scope(|scope| {
        let reading = scope.spawn(|| stream.read(&mut [0; 10]));
        stream.abort();
        let read = reading.join().expect("no panic");
        assert!(matches!(read, Ok(0) | Err(_)));
    });
    go_on.send(()).expect("it waits");
    server.join().expect("no panic");
}
