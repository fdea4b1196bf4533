//! What is in the files for TLS, and whom a certificate is for. No bytes make the loader panic, and a name that is found
//! can be one.

#![no_main]

use fanfare::transport::tls::fuzzed;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (identity, _) = fuzzed::names(data);
    if let Some(name) = identity {
        assert!(!name.is_empty() && !name.chars().any(char::is_control));
    }
    // Four files, each up to a byte of zero.
    let mut files = data.split_inclusive(|byte| *byte == 0);
    let mut next = || files.next().unwrap_or_default();
    fuzzed::load([next(), next(), next(), next()]);
});
