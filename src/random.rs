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

    /// Sixteen hexadecimal digits that stand for 64 random bits.
    #[cfg(feature = "server")]
    pub(crate) fn name(&mut self) -> [u8; 16] {
        let mut name = [0; 16];
        for (digits, byte) in name.chunks_exact_mut(2).zip(self.bytes::<8>()) {
            digits[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
            digits[1] = b"0123456789abcdef"[usize::from(byte & 15)];
        }
        name
    }
}

#[cfg(all(test, feature = "server"))]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_given_out_twice() {
        let mut random = Random::new();
        let names: std::collections::HashSet<_> = (0..1000).map(|_| random.name()).collect();
        assert_eq!(names.len(), 1000);
        assert!(names.iter().flatten().all(u8::is_ascii_hexdigit));
    }
}
