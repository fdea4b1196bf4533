//! When the large channels begin their circles.
//!
//! A circle of a large channel costs a system call for each of its subscribers. A call costs the
//! same whether it carries one message or fifty. Under a steady stream the loop could begin one circle after the other
//! without a pause and be on the CPU all the time, for a latency that nobody notices. So after a
//! circle it rests, and the next circle carries the messages that came meanwhile in the same writes. A message reaches each
//! subscriber within one period, which is a circle and a rest.
//!
//! - **It rests three quarters as long as the circle took**, so that large channels take four sevenths of the CPU. It never
//!   rests longer than until [`Pace::new`]'s `most` after the circle began. That bounds what a rest adds to the latency, and a
//!   loop that is busier than that does not rest at all.
//! - **It rests only if it would have no time to walk around for each message.** Where messages are fewer, there is nothing that they could
//!   share.
//! - **It rests only while that pays.** A rest only slows down a publisher that waits for its message
//!   to arrive before it sends the next. So now and then a rest is a *trial*, which is longer: one in whose second half
//!   nothing was published is a miss, and after each miss in a row twice as many circles go by without a rest. After a trial
//!   that paid come [`TRUSTED`] ordinary rests, or fewer if nothing more is published in them.
//!
//! Small channels, replies and pongs never wait for any of this.

use std::time::{Duration, Instant};

/// A circle that is shorter than this is not worth a rest, nor is a rest that is shorter than half of it worth its timer.
const WORTHWHILE: Duration = Duration::from_micros(500);

/// After so many misses in a row the number of circles without a rest no longer doubles.
const MISSES_MAX: u32 = 8;

/// So many rests follow a trial that paid before the next trial: it is longer than they are, and should not show in one of a
/// hundred latencies.
const TRUSTED: u32 = 256;

/// After so many rests in a row in whose second halves nothing was published the next is a trial.
const EMPTY_MAX: u32 = 8;

/// What the hub says at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Circles {
    /// A large channel has begun a circle that is not over.
    pub(super) under_way: bool,
    /// A large channel waits to begin its next.
    pub(super) waiting: bool,
    /// Messages published to large channels, ever.
    pub(super) published: u64,
}

/// Decides when large channels may begin a circle. Knows no clock: the time is an argument.
#[derive(Debug)]
pub(super) struct Pace {
    most: Duration,
    /// When the circles under way began.
    began: Option<Instant>,
    traffic: Traffic,
    rest: Option<Rest>,
    /// How many trials in a row did not pay, and how many circles still go by without a rest.
    misses: u32,
    skip: u32,
    /// How many rests are left before the next trial, and in how many in a row nothing was published in the second half.
    trusted: u32,
    empty: u32,
}

/// How much is published, as seen at the ends of circles. What is older counts for less.
#[derive(Debug, Default)]
struct Traffic {
    messages: f64,
    seconds: f64,
    /// The end of the last circle, and how many messages had been published then.
    seen: Option<(Instant, u64)>,
}

/// What a circle's part of the traffic counts for at the end of the next.
const FADES: f64 = 7.0 / 8.0;

impl Traffic {
    /// A circle has ended. Whether circles that take as long, one for each message, would leave no time between them.
    fn fills(&mut self, took: Duration, now: Instant, published: u64) -> bool {
        let (last, before) = self
            .seen
            .replace((now, published))
            .unwrap_or((now - took, 0));
        self.messages = self.messages * FADES + published.saturating_sub(before) as f64;
        self.seconds = self.seconds * FADES + (now - last).as_secs_f64();
        self.messages * took.as_secs_f64() > self.seconds
    }
}

#[derive(Debug)]
struct Rest {
    is_trial: bool,
    half: Instant,
    until: Instant,
    /// Messages published, as last seen before `half`.
    published: u64,
}

impl Pace {
    /// `most` is the time from the beginning of a circle after which the next may begin in any case;
    /// zero means that there are no rests.
    pub(super) fn new(most: Duration) -> Pace {
        Pace {
            most,
            began: None,
            traffic: Traffic::default(),
            rest: None,
            misses: 0,
            skip: 0,
            trusted: 0,
            empty: 0,
        }
    }

    /// Whether the large channels that wait are to begin a circle now.
    pub(super) fn begins(&mut self, now: Instant, circles: Circles) -> bool {
        if circles.under_way {
            // The hub began it by itself if there was a rest: a channel was full.
            self.rest = None;
            let began = *self.began.get_or_insert(now);
            return circles.waiting && now - began >= self.most;
        }
        if let Some(began) = self.began.take() {
            let took = now - began;
            let is_full = self.traffic.fills(took, now, circles.published);
            self.rest = if is_full {
                self.rest_after(took, now, circles.published)
            } else {
                None
            };
        }
        if let Some(rest) = &mut self.rest {
            if now < rest.until {
                if now < rest.half {
                    rest.published = circles.published;
                }
                return false;
            }
            let (paid, is_trial) = (circles.published != rest.published, rest.is_trial);
            self.rest = None;
            // If nobody waited, the rest has done neither good nor harm.
            match circles.waiting {
                true if is_trial => self.judge(paid),
                true => self.doubt(paid),
                false => {}
            }
        }
        if circles.waiting {
            self.began = Some(now);
        }
        circles.waiting
    }

    /// Until when those that wait still have to, if they do.
    pub(super) fn rests_until(&self) -> Option<Instant> {
        self.rest.as_ref().map(|rest| rest.until)
    }

    fn rest_after(&mut self, took: Duration, now: Instant, published: u64) -> Option<Rest> {
        let is_trial = self.trusted == 0;
        let length = match is_trial {
            true => took + took / 2,
            false => took * 3 / 4,
        };
        let length = length.min(self.most.saturating_sub(took));
        // A circle of no account is followed by none.
        if took < WORTHWHILE || length < WORTHWHILE / 2 {
            return None;
        }
        if self.skip != 0 {
            self.skip -= 1;
            return None;
        }
        Some(Rest {
            is_trial,
            half: now + length / 2,
            until: now + length,
            published,
        })
    }

    /// A trial is over.
    fn judge(&mut self, paid: bool) {
        if paid {
            self.misses = 0;
            self.trusted = TRUSTED;
            self.empty = 0;
        } else {
            self.misses = (self.misses + 1).min(MISSES_MAX);
            self.skip = 1 << self.misses;
        }
    }

    /// An ordinary rest is over. It is too short to say much by itself.
    fn doubt(&mut self, paid: bool) {
        self.empty = if paid { 0 } else { self.empty + 1 };
        self.trusted = match self.empty {
            EMPTY_MAX.. => 0,
            _ => self.trusted - 1,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A daemon with one large channel: a circle takes as long as it is told to.
    struct Loop {
        pace: Pace,
        now: Instant,
        published: u64,
        waiting: bool,
    }

    impl Loop {
        fn new(most: Duration) -> Loop {
            Loop {
                pace: Pace::new(most),
                now: Instant::now(),
                published: 0,
                waiting: false,
            }
        }

        fn publish(&mut self) {
            self.published += 1;
            self.waiting = true;
        }

        fn asks(&mut self, under_way: bool) -> bool {
            let circles = Circles {
                under_way,
                waiting: self.waiting,
                published: self.published,
            };
            self.pace.begins(self.now, circles)
        }

        /// Begins a circle, which takes `took`, and asks at its end.
        fn circle(&mut self, took: Duration) {
            assert!(self.asks(false));
            self.waiting = false;
            assert!(!self.asks(true));
            self.now += took;
            self.asks(false);
        }

        /// How long it takes until the next circle may begin, in steps of 0.1 ms with a message every `every` of them.
        fn waits(&mut self, every: Option<u32>) -> Duration {
            let began = self.now;
            for step in 1.. {
                assert!(step < 1_000);
                if every.is_some_and(|every| step % every == 0) {
                    self.publish();
                }
                if self.asks(false) {
                    break;
                }
                self.now += MS / 10;
            }
            self.now - began
        }

        /// A circle of `took` under a steady stream, and how long it waits after that.
        fn open_loop(&mut self, took: Duration) -> Duration {
            self.publish();
            self.circle(took);
            self.waits(Some(2))
        }

        /// A circle of `took` for one message, and how long the message after it waits that is published at once.
        fn closed_loop(&mut self, took: Duration) -> Duration {
            self.publish();
            self.circle(took);
            self.publish();
            self.waits(None)
        }
    }

    #[test]
    fn a_publisher_that_begins_after_a_pause_does_not_wait() {
        let mut daemon = Loop::new(8 * MS);
        daemon.publish();
        daemon.circle(3 * MS);
        daemon.now += 20 * MS;
        daemon.publish();
        assert_eq!(daemon.waits(None), Duration::ZERO);
    }

    #[test]
    fn under_a_steady_stream_it_rests_three_quarters_as_long_as_a_round_takes() {
        let mut daemon = Loop::new(8 * MS);
        let waits: Vec<Duration> = (0..1_000).map(|_| daemon.open_loop(2 * MS)).collect();
        let trials: Vec<_> = (0..1_000).filter(|&i| waits[i] == 3 * MS).collect();
        // After the first circle nothing says yet that more will come.
        assert_eq!(trials, [1, 258, 515, 772]);
        let others = waits.iter().filter(|wait| **wait == MS * 3 / 2);
        assert_eq!(others.count(), 995);
    }

    #[test]
    fn where_there_is_time_for_a_circle_for_each_message_it_does_not_rest() {
        let mut daemon = Loop::new(20 * MS);
        for _ in 0..1_000 {
            daemon.publish();
            daemon.circle(7 * MS);
            assert_eq!(daemon.pace.rests_until(), None);
            daemon.now += 3 * MS;
        }
        // And it does soon once there is not.
        let rested = (0..20).filter(|_| !daemon.open_loop(7 * MS).is_zero());
        assert!(rested.count() > 15);
    }

    #[test]
    fn a_publisher_that_begins_to_wait_for_its_messages_is_soon_hardly_slowed_down() {
        let mut daemon = Loop::new(8 * MS);
        for _ in 0..100 {
            daemon.open_loop(3 * MS);
        }
        let waits: Vec<Duration> = (0..1_000).map(|_| daemon.closed_loop(3 * MS)).collect();
        let waited: Duration = waits[100..].iter().sum();
        assert!(waited < 900 * 3 * MS / 100, "{waited:?}");
    }

    #[test]
    fn the_next_round_begins_at_the_latest_so_long_after_the_last_began() {
        let mut daemon = Loop::new(8 * MS);
        for took in [5, 7, 8, 30] {
            daemon.publish();
            daemon.publish();
            daemon.circle(took * MS);
            daemon.publish();
            assert_eq!(daemon.waits(Some(2)), (8 * MS).saturating_sub(took * MS));
        }
    }

    #[test]
    fn a_round_of_no_account_is_followed_by_no_rest() {
        let mut daemon = Loop::new(8 * MS);
        daemon.publish();
        daemon.circle(MS / 4);
        daemon.publish();
        assert_eq!(daemon.waits(Some(1)), Duration::ZERO);
    }

    #[test]
    fn a_publisher_that_waits_for_its_message_before_it_sends_the_next_is_hardly_slowed_down() {
        let mut daemon = Loop::new(8 * MS);
        let waits: Vec<Duration> = (0..1_000).map(|_| daemon.closed_loop(3 * MS)).collect();
        assert!(waits.iter().any(|wait| !wait.is_zero()));
        let waited: Duration = waits[100..].iter().sum();
        assert!(waited < 900 * 3 * MS / 100, "{waited:?}");
    }

    #[test]
    fn after_it_was_no_use_a_rest_is_tried_again_and_kept_when_it_pays() {
        let mut daemon = Loop::new(8 * MS);
        for _ in 0..300 {
            daemon.closed_loop(3 * MS);
        }
        let mut rested = 0;
        for _ in 0..600 {
            rested += u32::from(!daemon.open_loop(3 * MS).is_zero());
        }
        assert!(rested > 300, "{rested}");
    }

    #[test]
    fn a_round_that_the_hub_begins_by_itself_ends_the_rest() {
        let mut daemon = Loop::new(8 * MS);
        daemon.publish();
        daemon.publish();
        daemon.circle(3 * MS);
        daemon.publish();
        assert!(!daemon.asks(false));
        assert!(daemon.pace.rests_until() > Some(daemon.now + 3 * MS));
        daemon.waiting = false;
        assert!(!daemon.asks(true));
        assert_eq!(daemon.pace.rests_until(), None);
    }

    #[test]
    fn during_a_long_round_another_channel_waits_only_so_long() {
        let mut daemon = Loop::new(8 * MS);
        daemon.publish();
        assert!(daemon.asks(false));
        daemon.now += 7 * MS;
        assert!(!daemon.asks(true));
        daemon.now += MS;
        assert!(daemon.asks(true));
    }

    #[test]
    fn zero_means_no_rests() {
        let mut daemon = Loop::new(Duration::ZERO);
        for took in [0, 1, 5] {
            daemon.publish();
            daemon.circle(took * MS);
            assert_eq!(daemon.waits(Some(1)), Duration::ZERO);
        }
    }
}
