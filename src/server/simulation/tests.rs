//! The server from outside, without a socket.

mod access;
mod administration;
mod chance;
mod client;
mod day;
mod events;
mod first_keys;
mod follower;
mod http;
mod keys;
mod passwords;
mod patterns;
mod rates;
mod slots;
mod tickets;

use super::super::service::Service;
use super::*;
use crate::hub::Policy;
use crate::limit::Limit;

impl Simulation {
    fn service(&mut self) -> &mut Service {
        &mut self.engine.connections.service
    }

    /// A new peer connects, over a transport that keeps bytes as TLS does.
    fn connect_withholding(&mut self, room: usize) -> PeerId {
        let (near, far) = pipe(room);
        let peer = self.insert(Transport::Memory(near).withholding(), far);
        self.peers[peer.0].is_veiled = true;
        peer
    }

    /// One turn after so many milliseconds, whatever there is to do.
    fn tick(&mut self, ms: u64) {
        self.now += ms;
        self.turn();
    }

    /// A peer sends bytes, and nobody tells the server.
    fn send_unannounced(&mut self, peer: PeerId, bytes: &[u8]) {
        self.peers[peer.0].far.send(bytes);
    }

    /// All that is on its way to a peer once the server is at rest, as text.
    fn receive_text(&mut self, peer: PeerId) -> String {
        self.settle();
        let bytes = self.receive(peer, usize::MAX);
        String::from_utf8(bytes).expect("text")
    }

    /// The same, and what there is room for once that is taken, until nothing more comes.
    fn receive_all(&mut self, peer: PeerId) -> String {
        let mut all = String::new();
        loop {
            let some = self.receive_text(peer);
            if some.is_empty() {
                return all;
            }
            all.push_str(&some);
        }
    }
}

/// A configuration whose channels hold so many bytes.
fn with_window(retain_bytes: u64) -> Config {
    Config {
        policy: Policy {
            retain_bytes: Limit::of(retain_bytes),
            ..Policy::default()
        },
        ..Config::default()
    }
}
