//! The names in addresses to listen on: looked up when the daemon starts, and remembered for when its configuration is read again.
//!
//! A resolver may take as long as it likes. The daemon reads its configuration again in its loop, where nothing may wait: what was
//! not looked up at the start is not looked up then.

use std::collections::HashMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What names stand for. A clone shares what is remembered.
#[derive(Clone, Default)]
pub(super) struct Names(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    addresses: HashMap<String, SocketAddr>,
    /// No more names are looked up.
    is_complete: bool,
}

impl Names {
    /// The address that `NAME:PORT` stands for. Of several the first IPv4 one is taken, since a name such as `localhost` has an IPv6
    /// address also on machines where nothing can bind it.
    ///
    /// # Errors
    /// The name has no address, or it was not looked up before [`Names::complete`].
    pub(super) fn address(&self, text: &str) -> Result<SocketAddr, String> {
        let mut known = self.known();
        if let Some(address) = known.addresses.get(text) {
            return Ok(*address);
        }
        if known.is_complete {
            return Err(format!(
                "{text:?} was not looked up when the daemon started, and names are looked up only then: restart the daemon, or give \
                 an address"
            ));
        }
        let found: Vec<SocketAddr> = text
            .to_socket_addrs()
            .map_err(|error| format!("{text:?} could not be looked up: {error}"))?
            .collect();
        let address = found.iter().find(|address| address.is_ipv4());
        let address = address.or(found.first()).copied();
        let address =
            address.ok_or_else(|| format!("{text:?} could not be looked up: it has no address"))?;
        known.addresses.insert(text.to_owned(), address);
        Ok(address)
    }

    /// Looks no more names up from now on.
    pub(super) fn complete(&self) {
        self.known().is_complete = true;
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_up_once_and_no_more_once_the_names_are_complete() {
        let names = Names::default();
        let localhost = names.address("localhost:80");
        assert_eq!(localhost, Ok(SocketAddr::from(([127, 0, 0, 1], 80))));
        assert!(names.address("no-such-name.invalid:80").is_err());
        let later = names.clone();
        later.complete();
        assert_eq!(names.address("localhost:80"), localhost);
        let why = names.address("localhost:81").expect_err("it is new");
        assert!(why.contains("restart the daemon"), "{why}");
    }
}
