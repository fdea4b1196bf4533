//! Limits that another limit lowers. Nobody's number is changed without a word in the log.

use super::Config;
use crate::limit::Limit;

impl Config {
    /// One sentence for each limit that does not hold as it was set, where the process may have `file_limit` files open.
    /// Each sentence has both numbers.
    pub fn lowered_limits(&self, file_limit: u64) -> Vec<String> {
        let mut all = Vec::new();
        let connections = self.connection_limit(file_limit);
        if let Some(wanted) = self.max_connections
            && wanted > connections
        {
            all.push(format!(
                "--max-connections is lowered from {wanted} to {connections}: the limit on open \
                 files is {file_limit}, and {} of them are kept free",
                Config::FILES_RESERVED
            ));
        }
        all.extend(self.lowered_outbox());
        if !self.input_total.admits_size(self.max_message) {
            all.push(format!(
                "--max-message is {} B, but --input-total is {} B: a longer message that comes in \
                 pieces is refused",
                self.max_message, self.input_total
            ));
        }
        if !self.retain_total.admits_size(self.max_message) {
            all.push(format!(
                "--max-message is {} B, but --retain-total is {} B: a longer message cannot be \
                 published",
                self.max_message, self.retain_total
            ));
        }
        all.extend(self.lowered_windows());
        all
    }

    fn lowered_outbox(&self) -> Option<String> {
        let (outbox, total) = (self.outbox, self.outbox_total);
        let least = Config::OUTBOX_BYTES_MIN;
        if !total.admits_size(least) {
            Some(format!(
                "--outbox-total is {total} B, but each connection may have {least} B queued in any \
                 case; --outbox is lowered from {outbox} B to that"
            ))
        } else if !total.admits_size(outbox) {
            Some(format!(
                "--outbox is lowered from {outbox} B to {total} B, which is --outbox-total"
            ))
        } else {
            None
        }
    }

    /// The windows that are larger than what all channels together may hold.
    fn lowered_windows(&self) -> impl Iterator<Item = String> {
        let total = self.retain_total;
        // Where a channel has no limit, the total is the only one that was asked for.
        let is_lowered = move |bytes: Limit| !bytes.is_none() && bytes > total;
        let own = Some(self.policy.retain_bytes).filter(|bytes| is_lowered(*bytes));
        let own = own.map(|bytes| {
            format!(
                "--retain-bytes is lowered from {bytes} B to {total} B, which is --retain-total for \
                 all channels together"
            )
        });
        let rules = self.channels.iter();
        // What a block does not set is the daemon's own, which has been told.
        let rules = rules.filter(move |rule| {
            rule.policy.retain_bytes != self.policy.retain_bytes
                && is_lowered(rule.policy.retain_bytes)
        });
        let rules = rules.map(move |rule| {
            format!(
                "retain_bytes of the channels {} is lowered from {} B to {total} B, which is \
                 --retain-total for all channels together",
                rule.pattern, rule.policy.retain_bytes
            )
        });
        own.into_iter().chain(rules)
    }
}
