//! The naive model: each channel's messages in a `Vec`, and the limits under which it runs.

use fanfare::hub::{ChannelId, HubConfig, OnLag, Policy, Slot, SlotConfig};

use super::frame::{HALVES, read};
use super::topics::{is_pattern, takes};

/// What a run is made with.
#[derive(Clone, Copy, Debug)]
pub struct Settings(pub [u8; 8]);

impl Settings {
    pub(super) fn policy(self, channel: u8) -> Policy {
        let b = self.0[channel as usize % 4];
        Policy {
            retain_messages: [0, 0, 1, 3, 20][b as usize % 5].into(),
            retain_bytes: [0, 300, 1500, 20_000][b as usize / 5 % 4].into(),
            retain_ms: [0, 0, 40, 500][b as usize / 20 % 4].into(),
            on_lag: [OnLag::Skip, OnLag::Latest, OnLag::Close][b as usize / 80 % 3],
        }
    }

    pub(super) fn config(self) -> HubConfig {
        let mut slots = [SlotConfig::default(); Slot::COUNT];
        slots[usize::from(HALVES.0)].falls_back = true;
        HubConfig {
            retain_total: [0, 0, 4_000, 100_000][self.0[4] as usize % 4].into(),
            max_channels: [0, 3][self.0[5] as usize % 2].into(),
            max_subscriptions: [0, 3][self.0[5] as usize / 2 % 2].into(),
            max_patterns: [0, 2][self.0[5] as usize / 4 % 2].into(),
            max_patterns_each: [0, 2][self.0[5] as usize / 8 % 2].into(),
            linger_ms: [0, 30, u64::MAX][self.0[6] as usize % 3],
            large: [0, 0, 1, 3][self.0[7] as usize / 4 % 4],
            slots,
            read,
        }
    }

    /// Whether a broker numbers some channels.
    pub(super) fn has_broker(self) -> bool {
        self.0[6] / 3 % 2 == 1
    }

    /// Whether a broker numbers the messages of a channel or a pattern.
    pub(super) fn is_linked(self, number: u8) -> bool {
        let is_odd = match is_pattern(number) {
            // The second of the channels is odd.
            true => takes(number, 1) || takes(number, 3),
            false => number % 2 == 1,
        };
        self.has_broker() && is_odd
    }

    /// Whether the server heeds `congested`.
    pub(super) fn heeds(self) -> bool {
        !self.0[7].is_multiple_of(4)
    }
}

/// One message as the model has it.
pub(super) struct Message {
    pub(super) id: u64,
    /// Its number, as clients see it.
    pub(super) seq: u64,
    pub(super) time: u64,
    pub(super) bytes: u64,
    /// In a pattern's log: the channel, and the seq there.
    pub(super) origin: Option<(u8, u64)>,
}

/// A channel as the model has it.
#[derive(Default)]
pub(super) struct Naive {
    pub(super) epoch: String,
    pub(super) former: Vec<String>,
    /// The epoch's messages. The first has the position 1.
    pub(super) messages: Vec<Message>,
    /// The seq after which the epoch began here.
    pub(super) after: u64,
    /// When it last had a subscriber or a message that was not expired: it may vanish only so long after.
    pub(super) needed: u64,
    pub(super) congested: bool,
    /// Its present id; none before it was first met.
    pub(super) id: Option<ChannelId>,
    /// It went for another channel: the next one of its name may have another epoch at once.
    pub(super) vacated: bool,
    /// All before this position was cleared.
    pub(super) cleared: u64,
    /// Nobody but who reads history or is blocked has anything from before this position to get: what is older holds no publisher.
    pub(super) mark: u64,
}

impl Naive {
    pub(super) fn end(&self) -> u64 {
        self.messages.len() as u64 + 1
    }

    /// When the message at `position` was published.
    pub(super) fn time(&self, position: u64) -> u64 {
        self.messages[position as usize - 1].time
    }

    /// The seq of the newest message.
    pub(super) fn newest(&self) -> u64 {
        self.messages
            .last()
            .map_or(self.after, |message| message.seq)
    }

    /// The position of the first message after `seq`.
    pub(super) fn position_after(&self, seq: u64) -> u64 {
        self.messages.partition_point(|message| message.seq <= seq) as u64 + 1
    }

    /// Whether a hole may end with `seq`: a message has that number, or it is the one after which the epoch began.
    pub(super) fn may_end_hole(&self, seq: u64) -> bool {
        let position = self.position_after(seq) as usize;
        seq == self.after || position > 1 && self.messages[position - 2].seq == seq
    }

    /// Whether a hole that begins with the message at `position` may be said to begin with `seq`: every number between that
    /// and the message before is nobody's.
    pub(super) fn may_begin_hole(&self, position: u64, seq: u64) -> bool {
        self.position_after(seq - 1) == position
    }

    /// Another epoch began: nothing is left of the one before.
    pub(super) fn begin_epoch(&mut self, epoch: &str, after: u64) {
        assert!(!self.former.iter().any(|former| former == epoch));
        if self.epoch != epoch && !self.epoch.is_empty() {
            self.former.push(std::mem::take(&mut self.epoch));
        }
        self.epoch = epoch.to_owned();
        self.after = after;
        self.messages.clear();
        self.cleared = 1;
        self.mark = 1;
    }

    /// Whether the messages from `mark` on are more than half of the window.
    pub(super) fn is_crowded(&self, policy: Policy) -> bool {
        let crowd = &self.messages[self.mark.max(1) as usize - 1..];
        let bytes: u64 = crowd.iter().map(|message| message.bytes).sum();
        let count = crowd.len() as u64;
        count > 1
            && (!policy.retain_messages.admits(2 * count) || !policy.retain_bytes.admits(2 * bytes))
    }

    /// The oldest position that the window holds, by counting.
    pub(super) fn tail(&self, policy: Policy, now: u64) -> u64 {
        let mut tail = self.end();
        let mut bytes = 0;
        for (i, message) in self.messages.iter().enumerate().rev() {
            bytes += message.bytes;
            let count = (self.messages.len() - i) as u64;
            let newest = count == 1;
            let old = policy.retain_ms.after(message.time) <= now;
            let many = !policy.retain_messages.admits(count);
            let big = !policy.retain_bytes.admits(bytes);
            let is_cleared = (i as u64) + 1 < self.cleared;
            if old || is_cleared || (!newest && (many || big)) {
                break;
            }
            tail = i as u64 + 1;
        }
        tail
    }
}
