//! What somebody is known as, and what it may do.

use std::cell::RefCell;

use crate::auth::identity::Identity;
use crate::auth::rules::Rights;
use crate::channel::topic::Topic;

/// The longest channel's name that is remembered as one where somebody may publish.
const REMEMBERED_BYTES: usize = 64;

/// How many of them are remembered: a publisher may alternate between a few.
const REMEMBERED: usize = 4;

/// A client: its identity, and what it may do.
#[derive(Debug)]
pub(in crate::server) struct Access {
    /// By which listener it came: its place in the configuration.
    pub(in crate::server) door: usize,
    /// `None`: it has not shown who it is.
    pub(in crate::server) identity: Option<Identity>,
    rights: Rights,
    /// How many reloads there had been when this was decided.
    pub(super) reloads: u32,
    /// `None` for who has not published, or may publish everywhere.
    recent: RefCell<Option<Box<Recent>>>,
    /// How often the rights were asked.
    #[cfg(test)]
    asked: std::cell::Cell<usize>,
}

/// The channels in which it was found last that somebody may publish.
#[derive(Debug, Default)]
struct Recent {
    channels: Vec<String>,
    /// The one that makes room next.
    next: usize,
}

impl Recent {
    fn has(&self, channel: &str) -> bool {
        self.channels.iter().any(|recent| recent == channel)
    }

    fn add(&mut self, channel: &str) {
        if self.channels.len() < REMEMBERED {
            return self.channels.push(channel.to_owned());
        }
        let oldest = &mut self.channels[self.next];
        oldest.clear();
        oldest.push_str(channel);
        self.next = (self.next + 1) % REMEMBERED;
    }
}

impl Access {
    /// That of whoever came by this listener and is this, with these rights, after so many reloads.
    pub(super) fn new(
        door: usize,
        identity: Option<Identity>,
        rights: Rights,
        reloads: u32,
    ) -> Access {
        Access {
            door,
            identity,
            rights,
            reloads,
            recent: RefCell::default(),
            #[cfg(test)]
            asked: std::cell::Cell::default(),
        }
    }

    /// Whether it may publish in a channel.
    #[inline]
    pub(in crate::server) fn may_publish(&self, channel: &str) -> bool {
        if self.rights.are_all() {
            return true;
        }
        let recent = self.recent.borrow();
        if recent.as_ref().is_some_and(|recent| recent.has(channel)) {
            return true;
        }
        drop(recent);
        self.is_granted(channel)
    }

    /// Asks the rights, and remembers the channel if it may publish there.
    fn is_granted(&self, channel: &str) -> bool {
        #[cfg(test)]
        self.asked.set(self.asked.get() + 1);
        let may = self.rights.publish(channel).is_some();
        if may && channel.len() <= REMEMBERED_BYTES {
            let mut recent = self.recent.borrow_mut();
            recent.get_or_insert_default().add(channel);
        }
        may
    }

    /// Whether it may subscribe to a channel, or to the whole of a pattern.
    pub(in crate::server) fn may_subscribe(&self, topic: Topic<'_>) -> bool {
        self.rights.are_all() || self.rights.subscribe(topic).is_some()
    }

    /// Whether it may do what an administrator does.
    pub(in crate::server) fn may_administer(&self) -> bool {
        self.rights.admin()
    }

    /// Whether it may do nothing at all.
    pub(in crate::server) fn is_barred(&self) -> bool {
        self.rights.are_none()
    }

    /// Whether it may do everything, since the daemon is open.
    #[inline]
    pub(in crate::server) fn is_open(&self) -> bool {
        self.rights.are_all()
    }

    /// Its name, in the log and for what it publishes once: equal names by different means are different people.
    pub(in crate::server) fn name(&self) -> String {
        match &self.identity {
            Some(identity) => identity.to_string(),
            None => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::rules::{Grant, Rule, Rules, Who};
    use crate::config::Listen;

    /// One who may publish in the channels of this pattern.
    fn access(pattern: &str) -> Access {
        let rules = Rules {
            rules: vec![Rule {
                who: Who::Anonymous,
                subscribe: Vec::new(),
                publish: vec![Grant::parse(pattern).expect("a grant")],
                admin: false,
                place: "test".into(),
            }],
            ..Rules::default()
        };
        let listener = Listen::Unix(Default::default());
        Access::new(0, None, rules.rights(None, &listener), 0)
    }

    #[test]
    fn who_publishes_in_a_few_channels_by_turns_is_asked_about_once_for_each() {
        let access = access("a.>");
        for _ in 0..100 {
            for channel in ["a.1", "a.2", "a.3", "a.4"] {
                assert!(access.may_publish(channel));
            }
        }
        assert_eq!(access.asked.get(), 4);
        // One more takes the place of the first.
        for channel in ["a.5", "a.2", "a.3", "a.4", "a.5"] {
            assert!(access.may_publish(channel));
        }
        assert_eq!(access.asked.get(), 5);
        assert!(access.may_publish("a.1"));
        assert_eq!(access.asked.get(), 6);
    }

    #[test]
    fn what_is_not_granted_and_what_is_long_is_asked_about_each_time() {
        let access = access("a.>");
        let long = format!("a.{}", "x".repeat(REMEMBERED_BYTES));
        for _ in 0..3 {
            assert!(!access.may_publish("b") && !access.may_publish(""));
            assert!(access.may_publish(&long));
        }
        assert_eq!(access.asked.get(), 9);
        assert!(access.recent.borrow().is_none());
    }
}
