//! Names with passwords. The first byte says what the rest is:
//!
//! - `f`: an htpasswd file: what is taken of it is what a plain reading finds in it, and each mistake has a line of the file;
//! - `c`: a name and a password as a client sends them: what is taken can stand in such a file.

#![no_main]

use std::collections::HashSet;

use fanfare::auth::passwords::{Credentials, Passwords};
use libfuzzer_sys::fuzz_target;

/// A hash that is nobody's.
const HASH: &str = "$2y$04$.....................................................";

fuzz_target!(|input: &[u8]| {
    match input.split_first() {
        Some((b'f', rest)) => file(rest),
        Some((b'c', rest)) => credentials(rest),
        _ => {}
    }
});

fn file(bytes: &[u8]) {
    let passwords = match Passwords::read(bytes) {
        Ok(passwords) => passwords,
        Err(mistakes) => {
            let lines = bytes.split(|byte| *byte == b'\n').count();
            assert!(!mistakes.is_empty());
            assert!(mistakes.is_sorted_by_key(|(line, _)| *line));
            assert!(
                mistakes
                    .iter()
                    .all(|(line, why)| (1..=lines).contains(line) && !why.is_empty())
            );
            return;
        }
    };
    let text = str::from_utf8(bytes).expect("each of its lines is UTF-8");
    let lines = text.split('\n').filter(|line| !line.trim().is_empty());
    let entries = lines.filter(|line| !line.starts_with('#'));
    let names: Vec<&str> = entries
        .map(|line| line.split_once(':').expect("a name and a hash").0)
        .collect();
    let different: HashSet<&str> = names.iter().copied().collect();
    assert_eq!(passwords.len(), names.len());
    assert_eq!(different.len(), names.len());
    for name in names {
        assert!(passwords.voucher(name).is_some());
        check_name(name);
    }
}

fn credentials(pair: &[u8]) {
    let Ok(credentials) = Credentials::read(pair) else {
        return;
    };
    let name = &*credentials.name;
    check_name(name);
    assert!(!name.contains(':') && credentials.password.len() <= 72);
    let whole = [name.as_bytes(), b":", &credentials.password].concat();
    assert_eq!(whole, pair);
    if !name.starts_with('#') && !name.trim().is_empty() {
        let line = format!("{name}:{HASH}");
        let passwords = Passwords::read(line.as_bytes()).expect("it is a line");
        assert!(passwords.voucher(name).is_some());
    }
}

fn check_name(name: &str) {
    assert!((1..=256).contains(&name.len()) && !name.chars().any(char::is_control));
}
