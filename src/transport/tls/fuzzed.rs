//! What the fuzz target `certificates` reaches.

use std::path::Path;

use zeroize::Zeroizing;

use super::names;
use super::terms::Terms;
use crate::config::TlsConfig;

/// Reads the files for TLS where they hold this: a certificate, its key, authorities and revocation lists. Says whether
/// all of them are of use.
pub fn load(files: [&[u8]; 4]) -> bool {
    let config = TlsConfig {
        cert: Some("0".into()),
        key: Some("1".into()),
        client_ca: Some("2".into()),
        crl: vec!["3".into()],
        ..TlsConfig::default()
    };
    let read = |path: &Path| {
        let number = path.to_str().and_then(|name| name.parse::<usize>().ok());
        let bytes = number.and_then(|number| files.get(number));
        bytes
            .map(|bytes| Zeroizing::new(bytes.to_vec()))
            .ok_or_else(|| "no such file".to_owned())
    };
    Terms::load_from(&config, &read).is_ok()
}

/// The holder of a certificate in DER: the name that a client has by it, and the hosts.
pub fn names(der: &[u8]) -> (Option<Box<str>>, Vec<String>) {
    (names::identity(der), names::hosts(der))
}
