//! What was counted as bytes, for the process that goes on with counting, and back. What there is at the moment counts where it arrives, and
//! the closes, whose reasons are the program's own words, begin anew.

use super::Metrics;
use crate::snapshot::{Damaged, Reader, put, put_len};

impl Metrics {
    /// Appends what was counted.
    pub(in crate::server) fn save(&self, out: &mut Vec<u8>) {
        let counts = [
            self.accepted,
            self.refused,
            self.upgraded,
            self.streams,
            self.requests,
            self.published,
            self.delivered,
            self.writes,
            self.bytes_sent,
            self.bytes_received,
            self.messages_received,
        ];
        let counts = counts.iter().chain(&self.gaps).chain(&self.responses);
        counts.for_each(|count| put(out, *count));
        self.read_us.save(out);
        self.sweep_us.save(out);
        self.turn_us.save(out);
        self.lags.visits.save(out);
        self.lags.ages_ms.save(out);
        put_len(out, self.handshakes_refused.len());
        for (status, count) in &self.handshakes_refused {
            put(out, u64::from(*status));
            put(out, *count);
        }
    }

    /// Adds what another process has counted, which was [saved](Metrics::save).
    ///
    /// # Errors
    /// The bytes make no sense.
    pub(in crate::server) fn restore(&mut self, reader: &mut Reader<'_>) -> Result<(), Damaged> {
        let counts = [
            &mut self.accepted,
            &mut self.refused,
            &mut self.upgraded,
            &mut self.streams,
            &mut self.requests,
            &mut self.published,
            &mut self.delivered,
            &mut self.writes,
            &mut self.bytes_sent,
            &mut self.bytes_received,
            &mut self.messages_received,
        ];
        for count in counts
            .into_iter()
            .chain(&mut self.gaps)
            .chain(&mut self.responses)
        {
            *count = count.wrapping_add(reader.number()?);
        }
        self.read_us.restore(reader)?;
        self.sweep_us.restore(reader)?;
        self.turn_us.restore(reader)?;
        self.lags.visits.restore(reader)?;
        self.lags.ages_ms.restore(reader)?;
        for _ in 0..reader.number()? {
            let status = u16::try_from(reader.number()?);
            let status = status.map_err(|_| Damaged("a status has too many digits"))?;
            *self.handshakes_refused.entry(status).or_default() += reader.number()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::hub::Reason;

    #[test]
    fn what_was_counted_is_the_same_afterwards_and_no_cut_of_it_panics() {
        let mut before = Metrics {
            accepted: 1,
            refused: 2,
            upgraded: 3,
            streams: 4,
            requests: 5,
            published: 6,
            delivered: 7,
            writes: 8,
            bytes_sent: 9,
            bytes_received: 10,
            messages_received: 11,
            ..Metrics::default()
        };
        before.gap(Reason::Epoch);
        before.respond(426, true);
        before.tls_failed();
        let ms = Duration::from_millis;
        before.time_turn(ms(1), ms(2));
        before.lags.visited(2, 8);
        let mut bytes = Vec::new();
        before.save(&mut bytes);
        let mut after = Metrics::default();
        let mut reader = Reader::new(&bytes);
        after.restore(&mut reader).expect("it was saved");
        assert!(reader.is_at_end());
        assert_eq!(format!("{after:?}"), format!("{before:?}"));
        for cut in 0..bytes.len() {
            let mut reader = Reader::new(&bytes[..cut]);
            assert!(Metrics::default().restore(&mut reader).is_err(), "{cut}");
        }
    }
}
