//! A subscription, as its channel has it: a cursor and what is to be known of it at a visit.

use super::slot::Slot;

/// The flags that say in which slot it is served.
const SLOT: u32 = Slot::COUNT as u32 - 1;
/// It is behind through no fault of its socket, and what it has still to get is not trimmed.
pub(super) const LAGGING: u32 = Slot::COUNT as u32;
/// All other flags are the number of messages that were there when it was placed behind by `subscribe` and that it has not
/// passed: as long as there are any, it reads history. It is never lagging then.
pub(super) const HISTORY: u32 = !(SLOT | LAGGING);
/// It needs more than its cursor moved when it gets something.
pub(super) const STRAGGLES: u32 = LAGGING | HISTORY;

/// The flags that say that there are `messages` of history to read; of very many, as many as can be said.
pub(super) fn history(messages: u64) -> u32 {
    const ONE: u32 = LAGGING << 1;
    let most = HISTORY / ONE;
    u32::try_from(messages).map_or(most, |messages| messages.min(most)) * ONE
}

/// A subscription, as its channel has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sub {
    pub(super) subscriber: u32,
    pub(super) flags: u32,
    /// The cursor: the position of the next message it gets.
    pub(super) next: u64,
}

impl Sub {
    /// The slot that it is served in.
    #[inline]
    pub(super) fn slot(self) -> Slot {
        Slot((self.flags & SLOT) as u8)
    }
}

/// The flag that says that a subscription is served in `slot`.
pub(super) fn slot_flag(slot: Slot) -> u32 {
    u32::from(slot.0) & SLOT
}
