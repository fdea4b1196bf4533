//! What few connections have and an idle one does without.

use crate::server::checks::Mark;
use crate::server::timers::{Millis, NEVER};

/// What was read of a connection and not dealt with, because it had to be paused or its visit had cost enough.
#[derive(Debug, Default)]
pub(super) struct Unread {
    /// Frames.
    pub(super) bytes: Vec<u8>,
    /// How many of the bytes have been dealt with.
    pub(super) start: usize,
}

/// What lies beside a connection as long as there is any of it.
#[derive(Debug)]
struct Contents {
    unread: Option<Unread>,
    paused_since: Millis,
    hoards_since: Millis,
    /// What its request waits for.
    awaited: Option<Awaited>,
}

/// What a request waits for before it is known who sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaited {
    /// The check of a password.
    Check(Mark),
    /// The first keys of tokens, until this time.
    Keys(Millis),
}

/// A null pointer for most connections.
#[derive(Debug, Default)]
pub(super) struct Aside(Option<Box<Contents>>);

impl Aside {
    fn contents(&mut self) -> &mut Contents {
        self.0.get_or_insert_with(|| {
            Box::new(Contents {
                unread: None,
                paused_since: NEVER,
                hoards_since: NEVER,
                awaited: None,
            })
        })
    }

    /// Frees what holds nothing.
    fn tidy(&mut self) {
        let is_empty = |contents: &Contents| {
            let Contents {
                unread,
                paused_since,
                hoards_since,
                awaited,
            } = contents;
            unread.is_none()
                && awaited.is_none()
                && *paused_since == NEVER
                && *hoards_since == NEVER
        };
        if self.0.as_deref().is_some_and(is_empty) {
            self.0 = None;
        }
    }

    /// Keeps input for later.
    pub(super) fn keep_unread(&mut self, unread: Unread) {
        self.contents().unread = Some(unread);
    }

    /// Takes the input that was kept.
    pub(super) fn take_unread(&mut self) -> Option<Unread> {
        let unread = self.0.as_mut()?.unread.take();
        self.tidy();
        unread
    }

    /// The input that is kept and was not dealt with.
    pub(super) fn unread(&self) -> &[u8] {
        let contents = self.0.as_ref();
        let unread = contents.and_then(|contents| contents.unread.as_ref());
        unread.map_or(&[], |unread| {
            unread.bytes.get(unread.start..).unwrap_or(&[])
        })
    }

    /// Bytes of memory of the input that is kept.
    pub(super) fn unread_bytes(&self) -> usize {
        let unread = self
            .0
            .as_ref()
            .and_then(|contents| contents.unread.as_ref());
        unread.map_or(0, |unread| unread.bytes.capacity())
    }

    /// Since when the connection has been paused, or [`NEVER`].
    pub(super) fn paused_since(&self) -> Millis {
        self.0
            .as_ref()
            .map_or(NEVER, |contents| contents.paused_since)
    }

    pub(super) fn set_paused_since(&mut self, since: Millis) {
        if since != self.paused_since() {
            self.contents().paused_since = since;
            self.tidy();
        }
    }

    /// Since when the connection has kept more of its input waiting than every connection may, or [`NEVER`].
    pub(super) fn hoards_since(&self) -> Millis {
        self.0
            .as_ref()
            .map_or(NEVER, |contents| contents.hoards_since)
    }

    /// What its request waits for before it is known who sent it.
    pub(super) fn awaited(&self) -> Option<Awaited> {
        self.0.as_ref()?.awaited
    }

    pub(super) fn set_awaited(&mut self, awaited: Option<Awaited>) {
        if awaited != self.awaited() {
            self.contents().awaited = awaited;
            self.tidy();
        }
    }

    pub(super) fn set_hoards_since(&mut self, since: Millis) {
        if since != self.hoards_since() {
            self.contents().hoards_since = since;
            self.tidy();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_memory_only_while_it_holds_something() {
        let mut aside = Aside::default();
        assert_eq!(size_of::<Aside>(), size_of::<usize>());
        aside.set_paused_since(5);
        aside.set_hoards_since(6);
        aside.keep_unread(Unread::default());
        assert_eq!((aside.paused_since(), aside.hoards_since()), (5, 6));
        aside.set_paused_since(NEVER);
        aside.set_hoards_since(NEVER);
        assert!(aside.take_unread().is_some());
        assert!(aside.0.is_none());
        assert_eq!((aside.paused_since(), aside.hoards_since()), (NEVER, NEVER));
    }
}
