//! A relay between a client and a daemon that cuts connections.

use std::io::Read;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::Daemon;

/// Bytes that a client sends before its first request, about.
const HANDSHAKE: u64 = 500;

/// Relays connections to `daemon`. It cuts the first of them after so many bytes from the client, beside the handshake, one for each of
/// `cuts`. Its URL, and how many it has cut.
pub fn relay(daemon: &Daemon, cuts: &[u64]) -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("ws://{}", listener.local_addr().expect("an address"));
    let to = daemon.address;
    let cut = Arc::new(AtomicU64::new(0));
    let (counted, cuts) = (cut.clone(), cuts.to_vec());
    thread::spawn(move || {
        let cuts = cuts.into_iter().map(Some).chain(std::iter::repeat(None));
        for after in cuts {
            let (near, _) = listener.accept().expect("a connection");
            let far = TcpStream::connect(to).expect("the daemon is there");
            let answers = far.try_clone().expect("another handle");
            let back = near.try_clone().expect("another handle");
            thread::spawn(move || copy(answers, back, None));
            copy(near, far, after.map(|after| after + HANDSHAKE));
            counted.fetch_add(u64::from(after.is_some()), Ordering::Relaxed);
        }
    });
    (url, cut)
}

/// Copies until an end, or so many bytes; then both connections are over.
fn copy(mut from: TcpStream, mut to: TcpStream, max: Option<u64>) {
    let _ = std::io::copy(&mut (&mut from).take(max.unwrap_or(u64::MAX)), &mut to);
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
