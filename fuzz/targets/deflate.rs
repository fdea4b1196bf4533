//! Deflate: what is compressed comes back, within its window; rubbish is refused, or is what a second inflater says;
//! the limit holds.

#![no_main]

// The slow inflater that the tests hold the real one against.
#[path = "../../src/ws/deflate/reference.rs"]
mod reference;

use fanfare::ws::close::CloseCode;
use fanfare::ws::deflate::{Deflater, Inflater, WindowBits};
use fanfare_fuzz::Cuts;
use libfuzzer_sys::fuzz_target;

const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

fn roundtrip(level: u32, window: WindowBits, messages: &[&[u8]]) {
    let mut deflater = Deflater::new(level, window);
    let mut inflater = Inflater::new();
    let mut takeover = Inflater::with_context_takeover(window);
    for plain in messages {
        let mut compressed = Vec::new();
        deflater.deflate(plain, &mut compressed);
        for inflater in [&mut inflater, &mut takeover] {
            let mut out = Vec::new();
            assert_eq!(inflater.inflate(&compressed, &mut out, plain.len()), Ok(()));
            assert_eq!(&out, plain);
        }
        if let Some(less) = plain.len().checked_sub(1) {
            let mut out = Vec::new();
            let inflated = Inflater::new().inflate(&compressed, &mut out, less);
            assert_eq!(
                inflated.map_err(|violation| violation.code),
                Err(CloseCode::TOO_BIG)
            );
            assert!(out.is_empty() && out.capacity() <= plain.len());
        }
        compressed.extend_from_slice(&TAIL);
        let found = reference::inflate(&compressed).expect("it is deflate data");
        assert_eq!(&found.plain, plain);
        assert!(found.distance_max <= window.bytes());
    }
}

fn rubbish(max: usize, bytes: &[u8]) {
    let mut out = b"before".to_vec();
    let inflated = Inflater::new().inflate(bytes, &mut out, max);
    assert!(out.starts_with(b"before") && out.capacity() <= (max + 1).max(8));
    if inflated.is_err() {
        return assert_eq!(out, b"before");
    }
    assert!(out.len() <= max);
    let limited =
        Inflater::with_context_takeover(WindowBits::MIN).inflate(bytes, &mut Vec::new(), max);
    assert_eq!(
        limited,
        Ok(()),
        "takeover changes nothing for a first message"
    );
    let with_tail = [bytes, &TAIL].concat();
    // A final block may be the last thing there is, without the empty block that should follow it.
    let reference = reference::inflate(&with_tail)
        .filter(|found| found.ends_with_empty_stored)
        .or_else(|| reference::inflate(bytes).filter(|found| bytes.is_empty() || found.saw_final));
    assert_eq!(&out[6..], reference.expect("it is deflate data").plain);
}

fuzz_target!(|data: &[u8]| {
    let Some(([settings, level, bits, cuts @ ..], bytes)) = data.split_first_chunk::<11>() else {
        return;
    };
    if settings % 2 == 0 {
        let window = WindowBits::new(9 + bits % 7).expect("9 to 15");
        let messages: Vec<_> = Cuts(*cuts).pieces(bytes).take(50).collect();
        roundtrip(u32::from(level % 10), window, &messages);
    } else {
        let max = 6 + usize::from(*level) * usize::from(*bits) * 16;
        rubbish(max, bytes);
    }
});
