//! What holds for every kind of transport.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream as Socket;

use super::*;

/// The other end of a transport's socket. It never waits.
enum Peer {
    Bare(Socket),
    Veiled(Socket),
    #[cfg(feature = "tls")]
    Tls(Box<tls::tests::Client>),
}

impl io::Read for Peer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Peer::Bare(socket) => socket.read(buffer),
            Peer::Veiled(socket) => {
                let len = socket.read(buffer)?;
                withholding::veil(&mut buffer[..len]);
                Ok(len)
            }
            #[cfg(feature = "tls")]
            Peer::Tls(client) => client.read(buffer),
        }
    }
}

impl io::Write for Peer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Peer::Bare(socket) => socket.write(bytes),
            Peer::Veiled(socket) => {
                let mut bytes = bytes.to_vec();
                withholding::veil(&mut bytes);
                socket.write_all(&bytes)?;
                Ok(bytes.len())
            }
            #[cfg(feature = "tls")]
            Peer::Tls(client) => client.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Peer::Bare(_) | Peer::Veiled(_) => Ok(()),
            #[cfg(feature = "tls")]
            Peer::Tls(client) => client.flush(),
        }
    }
}

/// A transport over one of two sockets that are connected, with the other.
pub(super) fn pair() -> (Transport, Socket) {
    let (ours, peer) = Socket::pair().expect("a pair of sockets");
    for socket in [&ours, &peer] {
        socket.set_nonblocking(true).expect("non-blocking");
    }
    (Transport::Unix(UnixStream::from_std(ours)), peer)
}

/// A transport of each kind, with the other end of its socket.
fn all() -> Vec<(Transport, Peer)> {
    let (bare, bare_peer) = pair();
    let (under, withholding_peer) = pair();
    let (proxied, mut proxied_peer) = pair();
    let header = b"PROXY UNKNOWN\r\n";
    proxied_peer.write_all(header).expect("it has room");
    vec![
        (bare, Peer::Bare(bare_peer)),
        (proxied.proxied(), Peer::Bare(proxied_peer)),
        (under.withholding(), Peer::Veiled(withholding_peer)),
        #[cfg(feature = "tls")]
        {
            let (transport, client) = tls::tests::connected();
            (transport, Peer::Tls(Box::new(client)))
        },
    ]
}

/// Whether it takes more than its socket does.
fn keeps_bytes(transport: &Transport) -> bool {
    transport.is_encrypted() || matches!(transport, Transport::Withholding(_))
}

#[test]
fn a_transport_that_took_everything_may_be_full_and_a_flush_frees_it_once_all_is_out() {
    for (mut transport, mut peer) in all() {
        let sent: Vec<u8> = (0..4_000_000_u32).map(|n| (n % 251) as u8).collect();
        let (mut taken, mut received, mut held) = (0, Vec::new(), false);
        let mut buffer = vec![0; 300_000];
        while received.len() < sent.len() {
            if taken < sent.len() {
                let offered = &sent[taken..(taken + 40_000).min(sent.len())];
                let written = transport.write(offered).expect("the peer is there");
                assert!(
                    written.full || written.taken == offered.len(),
                    "short means full"
                );
                held |= written.full && written.taken == offered.len();
                taken += written.taken;
                if !written.full {
                    continue;
                }
                let idle = transport.write(offered).expect("the peer is there");
                assert_eq!((idle.taken, idle.full), (0, true));
            }
            match peer.read(&mut buffer) {
                Ok(len) => received.extend_from_slice(&buffer[..len]),
                // What came is not enough to make anything of it.
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
            transport.flush().expect("the peer is there");
        }
        assert_eq!(received, sent);
        assert_eq!(
            held,
            keeps_bytes(&transport),
            "only some take more than they send"
        );
    }
}

#[test]
fn more_is_there_until_a_read_says_that_the_socket_will_announce_the_rest() {
    for (mut transport, mut peer) in all() {
        let sent: Vec<u8> = (0..5_000_u32).map(|n| (n % 251) as u8).collect();
        let (mut received, mut buffer) = (Vec::new(), [0; 700]);
        // Some of it comes after the socket was emptied, and is announced while kept bytes are still handed out.
        let (early, late) = sent.split_at(4_000);
        peer.write_all(early).expect("it has room");
        let first = transport.read(&mut buffer).expect("there is something");
        received.extend_from_slice(&buffer[..first.len]);
        peer.write_all(late).expect("it has room");
        loop {
            match transport.read(&mut buffer) {
                Ok(read) => {
                    received.extend_from_slice(&buffer[..read.len]);
                    if !read.more {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        assert_eq!(received, sent);
        let nothing = transport.read(&mut buffer).expect_err("all was read");
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        drop(peer);
        let end = transport.read(&mut buffer).expect("the end is no error");
        assert_eq!(end.len, 0);
    }
}

#[test]
fn many_small_slices_arrive_in_order_as_few_large_ones_do() {
    for size in [3, 3_000] {
        for (mut transport, mut peer) in all() {
            let parts: Vec<Vec<u8>> = (0..20_u8).map(|n| vec![n; size]).collect();
            let slices: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
            let len = 20 * size;
            let written = transport.write_slices(&slices, len, &mut Vec::new());
            let written = written.expect("the peer is there");
            assert_eq!((written.taken, written.full), (len, false));
            let mut received = vec![0; len];
            peer.read_exact(&mut received).expect("all of it");
            assert_eq!(received, parts.concat());
        }
    }
}

#[test]
fn the_end_that_one_side_says_is_an_end_for_the_other_which_may_still_speak() {
    for (mut transport, mut peer) in all() {
        transport.finish_writing();
        let mut buffer = [0; 100];
        assert_eq!(peer.read(&mut buffer).expect("the end is no error"), 0);
        peer.write_all(b"still here").expect("it has room");
        let read = transport.read(&mut buffer).expect("there is something");
        assert_eq!(&buffer[..read.len], b"still here");
    }
}
