//! Masking (RFC 6455 §5.3): what a client sends is XORed with a key of four bytes. The same call masks and unmasks.

/// XORs `payload` with `key` in place. `phase` is how many payload bytes of the frame came before these; only its
/// value modulo 4 counts.
pub fn unmask(payload: &mut [u8], mut key: [u8; 4], phase: usize) {
    key.rotate_left(phase % 4);
    let [a, b, c, d] = key;
    // Eight bytes a step and no branch between them: the compiler makes wide vector code of this.
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (chunks, rest) = payload.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.into_iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6455 §5.3, to the letter.
    fn by_the_book(payload: &mut [u8], key: [u8; 4], phase: usize) {
        for (i, byte) in payload.iter_mut().enumerate() {
            *byte ^= key[(phase + i) % 4];
        }
    }

    #[test]
    fn the_example_of_the_rfc_is_unmasked() {
        let mut payload = [0x7f, 0x9f, 0x4d, 0x51, 0x58];
        unmask(&mut payload, [0x37, 0xfa, 0x21, 0x3d], 0);
        assert_eq!(&payload, b"Hello");
    }

    #[test]
    fn every_length_and_phase_agrees_with_the_formula_of_the_rfc() {
        let key = [0x11, 0x52, 0xa3, 0xf4];
        for len in 0..70 {
            for phase in 0..9 {
                let mut ours: Vec<u8> = (0..len).collect();
                let mut theirs = ours.clone();
                unmask(&mut ours, key, phase);
                by_the_book(&mut theirs, key, phase);
                assert_eq!(ours, theirs, "{len} bytes at phase {phase}");
            }
        }
    }
}
