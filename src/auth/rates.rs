//! How often somebody may do something.
//!
//! A [`Rate`] is an amount in a time. A [`Bucket`] holds so much at most, and fills steadily: whoever did nothing for that time may do
//! all of it at once, and goes on at the steady rate (the generic cell rate algorithm, ITU-T I.371). A [`Table`] has a bucket for each address
//! or name, and a bounded number of them.

mod snapshot;
#[cfg(test)]
mod tests;

use std::hash::BuildHasher;
use std::net::IpAddr;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::forwarded::Client;

/// Nanoseconds of a millisecond.
const NS_OF_MS: u64 = 1_000_000;

/// How much may happen in which time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    amount: u64,
    per_ms: u64,
}

impl Rate {
    /// The largest amount: 1 TiB, or as many things.
    pub const AMOUNT_MAX: u64 = 1 << 40;

    /// So much in so many milliseconds. `None`: it is nothing, no time, more than [`Rate::AMOUNT_MAX`] or longer than a day.
    pub const fn new(amount: u64, per_ms: u64) -> Option<Rate> {
        let is_fine =
            amount > 0 && amount <= Rate::AMOUNT_MAX && per_ms > 0 && per_ms <= 86_400_000;
        match is_fine {
            true => Some(Rate { amount, per_ms }),
            false => None,
        }
    }

    /// How long it takes to fill an empty bucket, in nanoseconds.
    const fn window_ns(self) -> u64 {
        self.per_ms * NS_OF_MS
    }

    /// How long it takes until so much has come together, in nanoseconds.
    fn time_of(self, cost: u64) -> u64 {
        let ns = (u128::from(cost) * u128::from(self.window_ns())).div_ceil(self.amount.into());
        u64::try_from(ns).unwrap_or(u64::MAX)
    }
}

/// So many milliseconds have to go by before it may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAfterMs(pub u64);

/// What somebody may still do at a [`Rate`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// When it is full again, in nanoseconds of the caller's clock.
    full_at: u64,
}

impl Bucket {
    /// Takes `cost`. `now_ms` never goes back. A cost that is more than the rate's whole amount is taken from a full bucket, which then
    /// takes the longer to fill.
    ///
    /// # Errors
    /// There is not so much in it. Nothing is taken.
    pub fn take(&mut self, rate: Rate, cost: u64, now_ms: u64) -> Result<(), RetryAfterMs> {
        self.look(rate, cost, now_ms)?;
        let now = now_ms.saturating_mul(NS_OF_MS);
        self.full_at = self.full_at.max(now).saturating_add(rate.time_of(cost));
        Ok(())
    }

    /// Whether `cost` could be taken.
    ///
    /// # Errors
    /// It could not.
    pub fn look(&self, rate: Rate, cost: u64, now_ms: u64) -> Result<(), RetryAfterMs> {
        let now = now_ms.saturating_mul(NS_OF_MS);
        let missing = self.full_at.saturating_sub(now);
        // More than there ever is has to wait for a full bucket only.
        let most = rate.window_ns().saturating_sub(rate.time_of(cost));
        match missing.saturating_sub(most) {
            0 => Ok(()),
            wait => Err(RetryAfterMs(wait.div_ceil(NS_OF_MS))),
        }
    }

    /// Whether it is as good as a new one.
    fn is_full(&self, now_ms: u64) -> bool {
        self.full_at <= now_ms.saturating_mul(NS_OF_MS)
    }
}

/// The owner of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// An IPv4 address.
    V4(u32),
    /// The first 64 bits of an IPv6 address: what one customer has at least.
    V6(u64),
    /// The hash of a name: [`Table::name`].
    Name(u64),
}

/// An IPv4 address may be written as an IPv6 one.
impl From<IpAddr> for Key {
    fn from(address: IpAddr) -> Key {
        match address.to_canonical() {
            IpAddr::V4(address) => Key::V4(address.to_bits()),
            // The cast keeps the lower bits, which are all that is left.
            IpAddr::V6(address) => Key::V6((address.to_bits() >> 64) as u64),
        }
    }
}

impl Key {
    /// The key of a client's address. `None`: it is exempt, since it is on this machine and no trusted proxy named the address.
    pub fn of(client: &Client) -> Option<Key> {
        let address = client.address?;
        let is_exempt = address.to_canonical().is_loopback() && !client.is_named_by_proxy;
        (!is_exempt).then(|| address.into())
    }
}

/// The place of a bucket in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Place {
    /// Its own.
    Own(Key),
    /// That of all who came when there was no room: of an IPv4 /16, of an IPv6 /48, of a 256th of the names.
    Shared(Key),
    /// That of all who came when there was no room for that either.
    Rest,
}

impl Place {
    fn shared(key: Key) -> Place {
        Place::Shared(match key {
            Key::V4(address) => Key::V4(address >> 16),
            Key::V6(prefix) => Key::V6(prefix >> 16),
            Key::Name(hash) => Key::Name(hash & 0xff),
        })
    }
}

/// Buckets by address or by name. Its memory is bounded: some 32 bytes for each of `capacity`, and a quarter of that for shared ones.
#[derive(Debug)]
pub struct Table {
    rate: Rate,
    /// How many have their own.
    capacity: usize,
    buckets: HashMap<Place, Bucket, RandomState>,
    /// How many of these are their own.
    own: usize,
    /// No full buckets are looked for before.
    swept_until_ms: u64,
    names: RandomState,
}

/// Full buckets are looked for this often at most, in milliseconds: that takes time in proportion to the capacity.
const SWEEP_EVERY_MS: u64 = 1_000;

impl Table {
    /// The capacity of a table for strangers.
    pub const CAPACITY: usize = 1 << 16;

    /// An empty table. Nothing is allocated before somebody comes.
    pub fn new(rate: Rate, capacity: usize) -> Table {
        Table {
            rate,
            capacity,
            buckets: HashMap::default(),
            own: 0,
            swept_until_ms: 0,
            names: RandomState::default(),
        }
    }

    /// The key of a name.
    pub fn name(&self, name: &str) -> Key {
        Key::Name(self.names.hash_one(name))
    }

    /// Takes `cost` from the bucket of `key`. When there is no room for a new bucket, it shares one.
    ///
    /// # Errors
    /// There is not so much in it. Nothing is taken.
    pub fn take(&mut self, key: Key, cost: u64, now_ms: u64) -> Result<(), RetryAfterMs> {
        let place = self.place(key, now_ms);
        let (rate, before) = (self.rate, self.buckets.len());
        let taken = self
            .buckets
            .entry(place)
            .or_default()
            .take(rate, cost, now_ms);
        if self.buckets.len() > before && matches!(place, Place::Own(_)) {
            self.own += 1;
        }
        taken
    }

    /// Whether `cost` could be taken.
    ///
    /// # Errors
    /// It could not.
    pub fn look(&self, key: Key, cost: u64, now_ms: u64) -> Result<(), RetryAfterMs> {
        let place = self.place_now(key);
        let bucket = self.buckets.get(&place).copied().unwrap_or_default();
        bucket.look(self.rate, cost, now_ms)
    }

    /// Where the bucket of `key` is or comes, after full ones have made room.
    fn place(&mut self, key: Key, now_ms: u64) -> Place {
        let place = self.place_now(key);
        if matches!(place, Place::Own(_)) || now_ms < self.swept_until_ms {
            return place;
        }
        self.swept_until_ms = now_ms.saturating_add(SWEEP_EVERY_MS);
        self.buckets.retain(|_, bucket| !bucket.is_full(now_ms));
        let is_own = |place: &&Place| matches!(place, Place::Own(_));
        self.own = self.buckets.keys().filter(is_own).count();
        self.place_now(key)
    }

    fn place_now(&self, key: Key) -> Place {
        let own = Place::Own(key);
        if self.own < self.capacity || self.buckets.contains_key(&own) {
            return own;
        }
        let shared = Place::shared(key);
        let shared_count = self.buckets.len() - self.own;
        match shared_count < self.capacity / 4 || self.buckets.contains_key(&shared) {
            true => shared,
            false => Place::Rest,
        }
    }
}
