//! `fanfare sub` while the daemon is killed and started again.

use std::collections::HashMap;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::command::Running;
use crate::common::{Daemon, PATIENCE, member};

/// What `sub` said about what it did not print.
#[derive(Default)]
struct Gaps {
    /// Numbers of an epoch that will not come.
    missing: Vec<(String, u64, u64)>,
    /// Epochs that the channel was found in.
    epochs: Vec<String>,
}

impl Gaps {
    fn read(&mut self, notices: &Receiver<String>) {
        for line in notices.try_iter() {
            let Some(gap) = line.split("gap in c: ").nth(1) else {
                continue;
            };
            if let Some(anew) = gap.strip_prefix("the numbering began anew, with epoch ") {
                // "… EPOCH; …; 1 to TO will not come", the last part only if that much is not held any more.
                let epoch = anew.split(';').next().expect("an epoch").to_owned();
                let missing = anew.split("; 1 to ").nth(1);
                let missing = missing.or_else(|| anew.split("; message ").nth(1));
                if let Some(missing) = missing {
                    let to = missing.split(' ').next().expect("a number");
                    let to = to.parse().expect("a number");
                    self.missing.push((epoch.clone(), 1, to));
                }
                self.epochs.push(epoch);
                continue;
            }
            // "… FROM to TO of EPOCH will not come (REASON)"
            let words: Vec<&str> = gap.split(' ').collect();
            let number = |at: usize| words[at].parse().expect("a number");
            self.missing
                .push((words[4].to_owned(), number(0), number(2)));
        }
    }

    fn has(&self, epoch: &str, seq: u64) -> bool {
        let in_gap =
            |(e, from, to): &(String, u64, u64)| e == epoch && (*from..=*to).contains(&seq);
        self.missing.iter().any(in_gap)
    }
}

#[test]
fn a_daemon_killed_ten_times_costs_nothing_that_is_not_announced() {
    let mut daemon = Daemon::start(&[]);
    let listen = daemon.address.to_string();
    let sub = Running::sub(&daemon, &["c"], 1);
    let mut published = HashMap::new();
    let mut epochs = Vec::new();
    let mut printed = Vec::new();
    for round in 0..=10_u64 {
        if round > 0 {
            drop(daemon);
            daemon = Daemon::start_at(&listen, &[]);
        }
        let mut publisher = daemon.connect();
        let until = Instant::now() + PATIENCE;
        let first = round * 10_000;
        let mut data = first;
        // What was published when the subscriber was seen to be back.
        let mut back = None;
        // Until it is, and then for so long that its connection counts as one that settled: else it would wait longer with each round. What
        // was published before it came does not count, since all of that comes at once.
        while back.is_none_or(|back| data < back + 30) {
            assert!(Instant::now() < until, "the subscriber did not come back");
            data += 1;
            let request = format!(r#"{{"type":"publish","id":1,"channel":"c","data":{data}}}"#);
            let reply = publisher.ask(&request);
            let epoch = member(&reply, "epoch").trim_matches('"').to_owned();
            if epochs.last() != Some(&epoch) {
                epochs.push(epoch.clone());
            }
            published.insert(data, (epoch, member(&reply, "seq").parse::<u64>().unwrap()));
            printed.extend(sub.out.try_iter().map(|line| line.parse::<u64>().unwrap()));
            if back.is_none() && printed.iter().any(|&data| data > first) {
                back = Some(data);
            }
            thread::sleep(Duration::from_millis(40));
        }
        while printed.last() != Some(&data) {
            printed.push(sub.line().parse().unwrap());
        }
    }
    let mut gaps = Gaps::default();
    gaps.read(&sub.notices);
    assert_eq!(epochs.len(), 11);
    assert_eq!(
        gaps.epochs,
        epochs[1..],
        "each new epoch was announced, in order"
    );
    assert!(
        printed.is_sorted_by(|a, b| a < b),
        "in order, and none twice"
    );
    for (data, (epoch, seq)) in published {
        let accounted = printed.contains(&data) || gaps.has(&epoch, seq);
        assert!(
            accounted,
            "{data}, number {seq} of {epoch}, is neither printed nor in a gap"
        );
    }
}
