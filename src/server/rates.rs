//! How often strangers may do something: by address, by connection and by identity.
//!
//! A client on this machine is exempt, unless a trusted proxy names its address.

use super::timers::Millis;
use crate::auth::rates::{Bucket, Key, Rate, RetryAfterMs, Table};
use crate::config;
use crate::snapshot::{Damaged, Reader, put};

/// So many requests in a row are refused before the connection is closed for going on.
const PATIENCE: u16 = 100;

/// What all addresses and identities have done.
#[derive(Debug)]
pub(super) struct Rates {
    config: config::Rates,
    connections: Option<Table>,
    auth_failures: Option<Table>,
    requests: Option<Table>,
    bytes: Option<Table>,
}

/// What one connection has done.
#[derive(Debug)]
pub(super) struct Doings {
    /// The address that it counts for; `None`: it is exempt.
    key: Option<Key>,
    requests: Bucket,
    bytes: Bucket,
    refused: u16,
}

/// What is to be said to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    Fine,
    /// It is refused, and may come again after so many milliseconds.
    Refused(u64),
    /// It is refused, and so were many before it.
    Abusive,
}

impl Rates {
    pub(super) fn new(config: config::Rates) -> Rates {
        let table = |rate: Option<Rate>| rate.map(|rate| Table::new(rate, Table::CAPACITY));
        Rates {
            config,
            connections: table(config.connections),
            auth_failures: table(config.auth_failures),
            requests: table(config.requests),
            bytes: table(config.bytes),
        }
    }

    /// Other rates hold from now on. Where any of them has changed, what was done before is forgotten.
    pub(super) fn reload(&mut self, config: config::Rates) {
        if config != self.config {
            *self = Rates::new(config);
        }
    }

    /// Whether connections are counted.
    pub(super) fn count_connections(&self) -> bool {
        self.connections.is_some()
    }

    /// Whether what single connections ask for is counted.
    pub(super) fn count_requests(&self) -> bool {
        self.requests.is_some() || self.bytes.is_some()
    }

    /// Somebody at this address has made a connection.
    pub(super) fn connect(&mut self, key: Option<Key>, now: Millis) -> Result<(), RetryAfterMs> {
        match (&mut self.connections, key) {
            (Some(table), Some(key)) => table.take(key, 1, now),
            _ => Ok(()),
        }
    }

    /// Whether somebody at this address may present something: it has not failed too often.
    pub(super) fn may_present(&self, key: Option<Key>, now: Millis) -> Result<(), RetryAfterMs> {
        match (&self.auth_failures, key) {
            (Some(table), Some(key)) => table.look(key, 1, now),
            _ => Ok(()),
        }
    }

    /// What somebody at this address presented does not hold.
    pub(super) fn note_failure(&mut self, key: Option<Key>, now: Millis) {
        if let (Some(table), Some(key)) = (&mut self.auth_failures, key) {
            // It was looked at before.
            let _ = table.take(key, 1, now);
        }
    }

    /// A request of so many bytes, by somebody at this address and of this name; an empty one for nobody.
    ///
    /// # Errors
    /// It comes too soon.
    pub(super) fn request_by(
        &mut self,
        key: Option<Key>,
        name: &str,
        bytes: u64,
        now: Millis,
    ) -> Result<(), RetryAfterMs> {
        let Some(key) = key else {
            return Ok(());
        };
        for (table, cost) in [(&mut self.requests, 1), (&mut self.bytes, bytes)] {
            let Some(table) = table else {
                continue;
            };
            table.take(key, cost, now)?;
            if !name.is_empty() {
                table.take(table.name(name), cost, now)?;
            }
        }
        Ok(())
    }

    /// So many requests of so many bytes together, by a connection and somebody of this name; an empty one for nobody.
    pub(super) fn request(
        &mut self,
        doings: &mut Doings,
        name: &str,
        (requests, bytes): (u64, u64),
        now: Millis,
    ) -> Judged {
        if doings.key.is_none() {
            return Judged::Fine;
        }
        let mut wait = 0;
        let mut take =
            |rate: Option<Rate>, table: &mut Option<Table>, bucket: &mut Bucket, cost| {
                let (Some(rate), Some(table)) = (rate, table) else {
                    return;
                };
                let own = bucket.take(rate, cost, now);
                let shared = match name {
                    "" => Ok(()),
                    name => table.take(table.name(name), cost, now),
                };
                for RetryAfterMs(ms) in [own, shared].into_iter().filter_map(Result::err) {
                    wait = wait.max(ms).max(1);
                }
            };
        let config = &self.config;
        take(
            config.requests,
            &mut self.requests,
            &mut doings.requests,
            requests,
        );
        take(config.bytes, &mut self.bytes, &mut doings.bytes, bytes);
        match wait {
            0 => {
                doings.refused = 0;
                Judged::Fine
            }
            wait => doings.refuse(wait),
        }
    }
}

impl Rates {
    /// Appends what addresses have done, for the process that goes on counting.
    pub(super) fn save(&self, now: Millis, out: &mut Vec<u8>) {
        for table in [
            &self.connections,
            &self.auth_failures,
            &self.requests,
            &self.bytes,
        ] {
            Table::save_any(table.as_ref(), now, out);
        }
    }

    /// Takes what was saved.
    ///
    /// # Errors
    /// The bytes make no sense.
    pub(super) fn restore(&mut self, reader: &mut Reader<'_>) -> Result<(), Damaged> {
        let Rates {
            connections,
            auth_failures,
            requests,
            bytes,
            ..
        } = self;
        for table in [connections, auth_failures, requests, bytes] {
            Table::restore_any(table.as_mut(), reader)?;
        }
        Ok(())
    }
}

impl Doings {
    /// Those of a connection from this address, which has done nothing yet.
    pub(super) fn new(key: Option<Key>) -> Doings {
        Doings {
            key,
            requests: Bucket::default(),
            bytes: Bucket::default(),
            refused: 0,
        }
    }

    /// Refuses something for so many milliseconds.
    pub(super) fn refuse(&mut self, wait_ms: u64) -> Judged {
        self.refused = self.refused.saturating_add(1);
        match self.refused > PATIENCE {
            true => Judged::Abusive,
            false => Judged::Refused(wait_ms),
        }
    }

    /// Appends what has been done, for the process that goes on counting.
    pub(super) fn save(&self, out: &mut Vec<u8>) {
        match self.key {
            Some(key) => key.save(out),
            None => out.push(0),
        }
        self.requests.save(out);
        self.bytes.save(out);
        put(out, self.refused.into());
    }

    /// What was saved.
    ///
    /// # Errors
    /// The bytes make no sense.
    pub(super) fn restore(reader: &mut Reader<'_>) -> Result<Doings, Damaged> {
        Ok(Doings {
            key: Key::restore(reader)?,
            requests: Bucket::restore(reader)?,
            bytes: Bucket::restore(reader)?,
            refused: u16::try_from(reader.number()?).unwrap_or(u16::MAX),
        })
    }

    /// The address that it counts for; `None`: it is exempt.
    pub(super) fn key(&self) -> Option<Key> {
        self.key
    }
}
