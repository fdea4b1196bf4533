//! Random bytes from the system, asked for in bulk.

/// Bytes taken from the system at once: one call serves dozens of names.
const POOL_BYTES: usize = 512;

/// A pool of random bytes, none of which is given out twice.
#[derive(Debug)]
pub(crate) struct Random {
    pool: Box<[u8; POOL_BYTES]>,
    left: usize,
}

impl Random {
    pub(crate) fn new() -> Self {
        Random {
            pool: Box::new([0; POOL_BYTES]),
            left: 0,
        }
    }

    /// So many random bytes, at most [`POOL_BYTES`].
    ///
    /// # Panics
    /// If the system has no random bytes to give, which on any supported one means that it is
    /// broken: then no name would be safe to give out.
    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        const { assert!(N <= POOL_BYTES) };
        if self.left < N {
            getrandom::fill(&mut *self.pool).expect("the system gives random bytes");
            self.left = POOL_BYTES;
        }
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.pool[POOL_BYTES - self.left..][..N]);
        self.left -= N;
        bytes
    }
}

#[cfg(all(test, feature = "server"))]
mod tests {
    use super::*;

    #[test]
    fn no_bytes_are_given_out_twice() {
        let mut random = Random::new();
        let all: std::collections::HashSet<[u8; 12]> = (0..1000).map(|_| random.bytes()).collect();
        assert_eq!(all.len(), 1000);
    }
}
