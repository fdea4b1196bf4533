//! The keys under which something was published: each publishes once.
//!
//! A key belongs to a subject and a channel. Only a hash of the three is kept, which a secret makes different in every run of the
//! daemon, so that nobody can find a key that stands for somebody else's.

use std::collections::{HashMap, VecDeque};
use std::hash::Hasher;

use foldhash::fast::RandomState;
use siphasher::sip128::{Hasher128, SipHasher13};

use super::tickets::Ticket;
use super::timers::Millis;
use crate::hub::Epoch;
use crate::limit::Limit;
use crate::snapshot::{Damaged, Reader, put, put_bytes, put_len};

/// How long a key is remembered after its publication, in milliseconds.
pub(super) const REMEMBERED_MS: Millis = 300_000;

/// How many publications may wait for the first one with their key.
pub(super) const WAITING_MAX: usize = 1_024;

/// A key, with whose it is and in which channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key(u128);

/// What is known of a key.
#[derive(Debug)]
enum Known {
    /// The publication is pending, and these repeats of it wait.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "the only broker that answers late is the tests'")
    )]
    Pending(Vec<Ticket>),
    /// It was published under this number.
    Published { epoch: Epoch, seq: u64 },
}

/// What becomes of a publication with a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It is the first with this key.
    First,
    /// The first is pending; this one is answered with it.
    Waits,
    /// The first is pending, and too many wait for it already.
    TooMany,
    /// The first has this epoch and number.
    Published(Epoch, u64),
}

/// The keys that are remembered.
#[derive(Debug)]
pub(super) struct Keys {
    secret: [u8; 16],
    known: HashMap<Key, Known, RandomState>,
    /// Those that were published, the oldest first, and when.
    published: VecDeque<(Millis, Key)>,
    most: Limit,
}

impl Keys {
    /// None yet, and no more than `most`. `secret` is random.
    pub(super) fn new(most: Limit, secret: [u8; 16]) -> Self {
        Keys {
            secret,
            known: HashMap::default(),
            published: VecDeque::new(),
            most,
        }
    }

    /// How many are remembered, or wait for their outcome.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// The key that `subject` calls so in a channel.
    pub(super) fn key(&self, subject: &str, channel: &str, name: &str) -> Key {
        let mut hasher = SipHasher13::new_with_key(&self.secret);
        for part in [subject, channel, name] {
            hasher.write_usize(part.len());
            hasher.write(part.as_bytes());
        }
        Key(hasher.finish128().as_u128())
    }

    /// Whether anything was published under `key`. `ticket` is whose answer comes later if the first is pending.
    pub(super) fn look_up(&mut self, key: Key, ticket: Ticket, now: Millis) -> Seen {
        self.expire(now, EXPIRED_AT_ONCE);
        match self.known.get_mut(&key) {
            None => Seen::First,
            Some(Known::Published { epoch, seq }) => Seen::Published(epoch.clone(), *seq),
            Some(Known::Pending(waiting)) if waiting.len() >= WAITING_MAX => Seen::TooMany,
            Some(Known::Pending(waiting)) => {
                waiting.push(ticket);
                Seen::Waits
            }
        }
    }

    /// The first publication under `key` is pending.
    #[cfg(test)]
    pub(super) fn begin(&mut self, key: Key) {
        self.known.insert(key, Known::Pending(Vec::new()));
    }

    /// The first publication under `key` has this place, or none if it was refused: that is not remembered. Gives back the
    /// repeats that waited for it.
    pub(super) fn finish(
        &mut self,
        key: Key,
        published: Option<(Epoch, u64)>,
        now: Millis,
    ) -> Vec<Ticket> {
        let before = match published {
            None => self.known.remove(&key),
            Some((epoch, seq)) => {
                self.published.push_back((now, key));
                self.known.insert(key, Known::Published { epoch, seq })
            }
        };
        while !self.most.admits_size(self.published.len()) {
            self.forget_oldest();
        }
        match before {
            Some(Known::Pending(waiting)) => waiting,
            _ => Vec::new(),
        }
    }

    /// When the oldest key is to be forgotten; it may be over.
    pub(super) fn next_timeout(&self) -> Option<Millis> {
        let (at, _) = self.published.front()?;
        Some(at + REMEMBERED_MS)
    }

    /// Forgets keys whose time is over, a bounded number of them. If there are more, [`Keys::next_timeout`] says so.
    pub(super) fn handle_timeout(&mut self, now: Millis) {
        self.expire(now, EXPIRED_IN_A_TURN);
    }

    /// Forgets up to `most` keys whose time is over, and gives memory back that they took.
    fn expire(&mut self, now: Millis, most: usize) {
        for _ in 0..most {
            match self.next_timeout() {
                Some(at) if at <= now => self.forget_oldest(),
                _ => break,
            }
        }
        if self.published.capacity() > SPARE && self.published.len() < self.published.capacity() / 8
        {
            self.published.shrink_to(self.published.len() * 2);
            self.known.shrink_to(self.known.len() * 2);
        }
    }

    /// Appends all that were published under, with the secret that tells them from those of other daemons. Pending ones are not among them.
    pub(super) fn save(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.secret);
        put_len(out, self.published.len());
        for (at, key) in &self.published {
            out.extend_from_slice(&key.0.to_le_bytes());
            let (epoch, seq) = match self.known.get(key) {
                Some(Known::Published { epoch, seq }) => (epoch.as_str(), *seq),
                _ => ("", 0),
            };
            put(out, *at);
            put_bytes(out, epoch.as_bytes());
            put(out, seq);
        }
    }

    /// Takes the place of what there is.
    ///
    /// # Errors
    /// The bytes are not those of keys.
    pub(super) fn restore(&mut self, reader: &mut Reader<'_>) -> Result<(), Damaged> {
        *self = Keys::new(self.most, reader.array()?);
        for _ in 0..reader.number()? {
            let key = Key(u128::from_le_bytes(reader.array()?));
            let at = reader.number()?;
            let epoch = reader.text()?;
            let seq = reader.number()?;
            if epoch.is_empty() {
                continue;
            }
            let epoch = Epoch::as_written(epoch).ok_or(Damaged("a key's epoch is none"))?;
            self.finish(key, Some((epoch, seq)), at);
        }
        Ok(())
    }

    fn forget_oldest(&mut self) {
        if let Some((_, key)) = self.published.pop_front() {
            self.known.remove(&key);
        }
    }
}

/// So many keys are forgotten in a turn of the loop at most, and before one is looked up.
const EXPIRED_IN_A_TURN: usize = 1_024;
const EXPIRED_AT_ONCE: usize = 16;

/// Room for so many keys is kept though there are none.
const SPARE: usize = 1_024;

#[cfg(test)]
mod tests {
    use mio::Token;

    use super::*;
    use crate::server::tickets::RequestKey;

    fn ticket(request: u32) -> Ticket {
        Ticket {
            connection: Token(1),
            request: RequestKey(request),
        }
    }

    fn keys(most: u64) -> Keys {
        Keys::new(Limit::from(most), [7; 16])
    }

    fn epoch() -> Epoch {
        Epoch::from_random([1; 12])
    }

    /// Publishes under `name` at `now`, as the first or not.
    fn publish(keys: &mut Keys, name: &str, seq: u64, now: Millis) -> Seen {
        let key = keys.key("", "a", name);
        let seen = keys.look_up(key, ticket(0), now);
        if seen == Seen::First {
            keys.finish(key, Some((epoch(), seq)), now);
        }
        seen
    }

    #[test]
    fn a_key_belongs_to_its_subject_and_its_channel_and_to_one_run_of_the_daemon() {
        let here = keys(0);
        let all = [
            here.key("", "a", "k"),
            here.key("", "ak", ""),
            here.key("a", "", "k"),
            here.key("", "a", "k2"),
            here.key("", "b", "k"),
            Keys::new(Limit::NONE, [8; 16]).key("", "a", "k"),
        ];
        for (i, key) in all.iter().enumerate() {
            assert!(!all[..i].contains(key), "{i}");
        }
        assert_eq!(here.key("", "a", "k"), all[0]);
    }

    #[test]
    fn a_repeat_gets_the_first_ones_place_for_five_minutes() {
        let mut keys = keys(0);
        assert_eq!(publish(&mut keys, "k", 1, 10), Seen::First);
        let before = Seen::Published(epoch(), 1);
        assert_eq!(publish(&mut keys, "k", 2, 10 + REMEMBERED_MS - 1), before);
        assert_eq!(publish(&mut keys, "k", 3, 10 + REMEMBERED_MS), Seen::First);
        assert_eq!(keys.len(), 1);
    }

    #[test]
    fn the_oldest_key_is_forgotten_first() {
        let mut keys = keys(2);
        for (seq, name) in ["a", "b", "c"].into_iter().enumerate() {
            assert_eq!(publish(&mut keys, name, seq as u64, 0), Seen::First);
        }
        assert_eq!(keys.len(), 2);
        assert_eq!(publish(&mut keys, "c", 9, 0), Seen::Published(epoch(), 2));
        assert_eq!(publish(&mut keys, "b", 9, 0), Seen::Published(epoch(), 1));
        assert_eq!(publish(&mut keys, "a", 9, 0), Seen::First);
    }

    #[test]
    fn repeats_wait_for_the_first_and_what_was_refused_is_not_remembered() {
        let mut keys = keys(0);
        let key = keys.key("", "a", "k");
        for published in [None, Some((epoch(), 5))] {
            assert_eq!(keys.look_up(key, ticket(1), 0), Seen::First);
            keys.begin(key);
            let waiting = (0..WAITING_MAX as u32).map(ticket).collect::<Vec<_>>();
            for ticket in &waiting {
                assert_eq!(keys.look_up(key, *ticket, 0), Seen::Waits);
            }
            assert_eq!(keys.look_up(key, ticket(0), 0), Seen::TooMany);
            assert_eq!(keys.finish(key, published, 0), waiting);
        }
        assert_eq!(keys.look_up(key, ticket(1), 0), Seen::Published(epoch(), 5));
    }

    #[test]
    fn memory_is_given_back_once_the_keys_are_forgotten() {
        let mut keys = keys(0);
        for name in 0..10_000 {
            publish(&mut keys, &name.to_string(), 1, 7);
        }
        let mut turns = 0;
        while keys.next_timeout() == Some(7 + REMEMBERED_MS) {
            keys.handle_timeout(7 + REMEMBERED_MS - 1);
            keys.handle_timeout(7 + REMEMBERED_MS);
            turns += 1;
        }
        assert_eq!(
            (turns, keys.next_timeout()),
            (10_000_usize.div_ceil(EXPIRED_IN_A_TURN), None)
        );
        assert!(keys.known.capacity() < 100 && keys.published.capacity() < 100);
    }
}
