//! How many connections there are of each kind, without a look at each.

use crate::transport::Transport;

/// What carries a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::server) enum Carrier {
    #[default]
    Tcp,
    Unix,
    Tls,
}

impl Carrier {
    /// Whether what goes over it can be read by its two ends alone.
    pub(in crate::server) fn is_encrypted(self) -> bool {
        self == Carrier::Tls
    }

    /// That of a connection's transport.
    pub(in crate::server) fn of(transport: &Transport) -> Carrier {
        match (transport.is_encrypted(), transport.is_unix()) {
            (true, _) => Carrier::Tls,
            (false, true) => Carrier::Unix,
            (false, false) => Carrier::Tcp,
        }
    }
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Doing {
    /// The TLS handshake.
    Handshake,
    Http,
    Json,
    Echo,
    Events,
    Closing,
    Draining,
}

const CARRIERS: [(Carrier, &str); 3] = [
    (Carrier::Tcp, "tcp"),
    (Carrier::Unix, "unix"),
    (Carrier::Tls, "tls"),
];

/// Each with its state, and the dialect that is spoken in it.
const DOINGS: [(Doing, &str, &str); 7] = [
    (Doing::Handshake, "handshake", ""),
    (Doing::Http, "http", ""),
    (Doing::Json, "open", "json"),
    (Doing::Echo, "open", "echo"),
    (Doing::Events, "open", "sse"),
    (Doing::Closing, "closing", ""),
    (Doing::Draining, "draining", ""),
];

/// Where a connection is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::server) struct Counted(u8);

impl Counted {
    /// Nowhere.
    pub(in crate::server) const NOT: Counted = Counted(0);

    #[inline]
    pub(in crate::server) fn of(carrier: Carrier, doing: Doing) -> Counted {
        Counted(1 + carrier as u8 * DOINGS.len() as u8 + doing as u8)
    }
}

/// The number of connections of each kind.
#[derive(Debug, Default)]
pub(in crate::server) struct Kinds {
    /// The first is of those that are not counted.
    counts: [u64; 1 + CARRIERS.len() * DOINGS.len()],
}

impl Kinds {
    /// A connection is of another kind now.
    #[inline]
    pub(in crate::server) fn change(&mut self, from: &mut Counted, to: Counted) {
        if *from != to {
            let was = &mut self.counts[usize::from(from.0)];
            *was = was.wrapping_sub(1);
            let is = &mut self.counts[usize::from(to.0)];
            *is = is.wrapping_add(1);
            *from = to;
        }
    }

    /// All kinds, by state, transport and dialect, and how many there are of each.
    pub(in crate::server) fn all(&self) -> impl Iterator<Item = ([&'static str; 3], u64)> {
        CARRIERS.iter().flat_map(|(carrier, transport)| {
            DOINGS.iter().map(|(doing, state, dialect)| {
                let place = Counted::of(*carrier, *doing).0;
                (
                    [*state, *transport, *dialect],
                    self.counts[usize::from(place)],
                )
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_counts_in_one_kind_at_a_time() {
        let mut kinds = Kinds::default();
        let mut counted = Counted::default();
        kinds.change(&mut counted, Counted::of(Carrier::Unix, Doing::Http));
        kinds.change(&mut counted, Counted::of(Carrier::Unix, Doing::Events));
        let found: Vec<_> = kinds.all().filter(|(_, count)| *count != 0).collect();
        assert_eq!(found, [(["open", "unix", "sse"], 1)]);
        kinds.change(&mut counted, Counted::NOT);
        assert!(kinds.all().all(|(_, count)| count == 0));
    }
}
