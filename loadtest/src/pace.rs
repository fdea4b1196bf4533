//! When the next message is due. Pure arithmetic: time is an argument.

/// How publications are paced.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pace {
    /// Closed loop: up to `window` messages are under way; once half of them are delivered, it is filled up again.
    Window(u64),
    /// Open loop: messages per second, whether the server keeps up or not.
    Rate(f64),
}

/// Messages of one open loop whose intended times lie this close together count as sent at one time, the first one's:
/// their latencies are overstated by no more than this.
const MOMENT_NS: u64 = 50_000;
/// The most messages handed out at once, so that a long pause does not become one giant write.
const BURST_MAX: u64 = 4_096;

impl Pace {
    /// How many messages are to be sent now.
    ///
    /// `published` and `delivered` count from the start of the run; `delivered` is the average over subscribers.
    pub(crate) fn due(self, elapsed_ns: u64, published: u64, delivered: u64) -> u64 {
        match self {
            Self::Window(window) => {
                let under_way = published.saturating_sub(delivered);
                if under_way <= window / 2 {
                    window - under_way
                } else {
                    0
                }
            }
            Self::Rate(rate) => {
                let intended = (elapsed_ns as f64 * rate / 1e9) as u64 + 1;
                intended.saturating_sub(published).min(BURST_MAX)
            }
        }
    }

    /// When the message numbered `index` was meant to be sent, counted like `elapsed_ns`; `elapsed_ns` in a closed loop.
    pub(crate) fn intended_ns(self, index: u64, elapsed_ns: u64) -> u64 {
        match self {
            Self::Window(_) => elapsed_ns,
            Self::Rate(rate) => {
                let exact = (index as f64 * 1e9 / rate) as u64;
                exact - exact % MOMENT_NS
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_of_one_waits_for_its_message() {
        let pace = Pace::Window(1);
        assert_eq!(pace.due(0, 0, 0), 1);
        assert_eq!(pace.due(0, 1, 0), 0);
        assert_eq!(pace.due(0, 1, 1), 1);
    }

    #[test]
    fn a_window_is_filled_up_when_half_of_it_is_delivered() {
        let pace = Pace::Window(64);
        assert_eq!(pace.due(0, 64, 31), 0);
        assert_eq!(pace.due(0, 64, 32), 32);
        assert_eq!(pace.due(0, 64, 64), 64);
    }

    #[test]
    fn a_rate_is_kept_after_a_pause_with_the_intended_times() {
        let pace = Pace::Rate(1_000.0);
        assert_eq!(pace.due(0, 0, 0), 1);
        assert_eq!(pace.due(999_999, 1, 0), 0);
        assert_eq!(pace.due(10_000_000, 1, 0), 10);
        assert_eq!(pace.intended_ns(5, 10_000_000), 5_000_000);
    }
}
