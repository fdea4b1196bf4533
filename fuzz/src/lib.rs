//! What several fuzz targets need.

/// How an input is cut into the pieces in which it "arrives": up to eight sizes, used again and again.
#[derive(Clone, Copy, Debug)]
pub struct Cuts(pub [u8; 8]);

impl Cuts {
    /// All in one piece.
    pub const NONE: Self = Self([0; 8]);
    /// Byte by byte.
    pub const ALL: Self = Self([1; 8]);

    /// The pieces of `bytes`. A size of 0 takes all the rest, one from 128 on that many times 64.
    pub fn pieces(self, mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
        let mut sizes = self.0.into_iter().cycle();
        std::iter::from_fn(move || {
            let size = match sizes.next()? {
                _ if bytes.is_empty() => return None,
                0 => bytes.len(),
                size @ 1..128 => size.into(),
                size => usize::from(size - 127) * 64,
            };
            let (piece, rest) = bytes.split_at(size.min(bytes.len()));
            bytes = rest;
            Some(piece)
        })
    }
}
