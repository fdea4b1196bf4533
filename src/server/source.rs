//! Where a connection comes from, for what is shared out by address.

use std::net::{IpAddr, Ipv6Addr};

/// An IPv4 address, or the first half of an IPv6 address: whoever has one of those has all addresses that begin with it. The
/// clients of unix sockets have no address, and are one source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Source(u64);

/// What stands before the four bytes of an IPv4 address: `0:ffff::/32`, which is nobody's.
const V4: u64 = 0xFFFF << 32;

impl Source {
    /// Of a peer's address.
    pub(super) fn of(address: Option<IpAddr>) -> Source {
        match address.map(|address| address.to_canonical()) {
            None => Source(u64::MAX),
            Some(IpAddr::V4(address)) => Source(V4 | u64::from(address.to_bits())),
            Some(IpAddr::V6(address)) => Source(first_half(address)),
        }
    }
}

fn first_half(address: Ipv6Addr) -> u64 {
    // No loss: it is the upper half.
    (address.to_bits() >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_addresses_of_one_network_are_one_source() {
        let source = |text: &str| Source::of(Some(text.parse().expect("an address")));
        assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:1"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
        assert_ne!(source("::1"), source("127.0.0.1"));
        assert_ne!(source("::1"), Source::of(None));
    }
}
