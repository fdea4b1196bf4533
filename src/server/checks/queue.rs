//! Checks that wait for a helper: bounded, and fair by address.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::RandomState;

use super::{Mark, Source};

/// How many wait in all.
pub(super) const MOST: usize = 64;

/// How many wait for one source.
pub(super) const MOST_EACH: usize = 8;

/// There is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// One check of each source is next in turn.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Of each source that has some, the oldest first.
    waiting: HashMap<Source, VecDeque<Mark>, RandomState>,
    /// These sources, the next in turn first.
    turns: VecDeque<Source>,
    len: usize,
}

impl Queue {
    /// Puts one in. If all places are taken, the newest of the source that has most gives way to one of a source that has fewer.
    /// It is given back.
    pub(super) fn push(&mut self, source: Source, mark: Mark) -> Result<Option<Mark>, Full> {
        let own = self.count(source);
        if own >= MOST_EACH {
            return Err(Full);
        }
        let mut gives_way = None;
        if self.len >= MOST {
            let greatest = self.turns.iter().copied().max_by_key(|s| self.count(*s));
            // With one more it would have as many as the other has then.
            let greatest = greatest.filter(|greatest| self.count(*greatest) > own + 1);
            let greatest = greatest.ok_or(Full)?;
            let newest = self.waiting.get(&greatest).and_then(|marks| marks.back());
            gives_way = newest.copied();
            if let Some(newest) = gives_way {
                self.remove(greatest, newest);
            }
        }
        self.waiting.entry(source).or_default().push_back(mark);
        if own == 0 {
            self.turns.push_back(source);
        }
        self.len += 1;
        Ok(gives_way)
    }

    /// Takes the next in turn.
    pub(super) fn pop(&mut self) -> Option<Mark> {
        let source = self.turns.pop_front()?;
        let marks = self.waiting.get_mut(&source)?;
        let mark = marks.pop_front();
        match marks.is_empty() {
            true => {
                self.waiting.remove(&source);
            }
            false => self.turns.push_back(source),
        }
        self.len -= usize::from(mark.is_some());
        mark
    }

    /// Takes one out, wherever it stands.
    pub(super) fn remove(&mut self, source: Source, mark: Mark) {
        let Some(marks) = self.waiting.get_mut(&source) else {
            return;
        };
        let before = marks.len();
        marks.retain(|other| *other != mark);
        self.len -= before - marks.len();
        if marks.is_empty() {
            self.waiting.remove(&source);
            self.turns.retain(|other| *other != source);
        }
    }

    fn count(&self, source: Source) -> usize {
        self.waiting.get(&source).map_or(0, VecDeque::len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(n: u8) -> Source {
        Some(std::net::IpAddr::from([192, 0, 2, n]).into())
    }

    /// Puts in so many for a source, whose number is in the marks.
    fn fill(queue: &mut Queue, n: u8, count: usize) {
        for at in 0..count as u128 {
            assert_eq!(
                queue.push(source(n), Mark(u128::from(n) * 100 + at)),
                Ok(None)
            );
        }
    }

    fn drain(queue: &mut Queue) -> Vec<u128> {
        std::iter::from_fn(|| queue.pop())
            .map(|mark| mark.0)
            .collect()
    }

    #[test]
    fn each_source_has_one_in_turn() {
        let mut queue = Queue::default();
        fill(&mut queue, 1, 3);
        fill(&mut queue, 2, 1);
        fill(&mut queue, 3, 2);
        assert_eq!(drain(&mut queue), [100, 200, 300, 101, 301, 102]);
        assert!(queue.len == 0 && queue.waiting.is_empty() && queue.turns.is_empty());
    }

    #[test]
    fn a_source_has_eight_places() {
        let mut queue = Queue::default();
        fill(&mut queue, 1, MOST_EACH);
        assert_eq!(queue.push(source(1), Mark(9)), Err(Full));
        fill(&mut queue, 2, 1);
    }

    #[test]
    fn where_all_places_are_taken_the_source_with_most_gives_way_to_one_that_has_fewer() {
        let mut queue = Queue::default();
        for n in 1..=8 {
            fill(&mut queue, n, MOST_EACH);
        }
        let given = queue.push(source(9), Mark(900)).expect("it has none");
        let given = given.expect("there was no room").0;
        assert_eq!(given % 100, 7, "it is the newest of its source");
        assert_eq!(queue.len, MOST);
        let mut found = drain(&mut queue);
        assert!(found[8] == 900 && !found.contains(&given), "{found:?}");
        found.sort_unstable();
        found.dedup();
        assert_eq!(found.len(), MOST);
    }

    #[test]
    fn where_everybody_has_one_there_is_no_room() {
        let mut queue = Queue::default();
        for n in 0..MOST as u8 {
            fill(&mut queue, n, 1);
        }
        assert_eq!(queue.push(source(100), Mark(1)), Err(Full));
        assert_eq!(queue.push(source(0), Mark(1)), Err(Full));
    }

    #[test]
    fn what_is_taken_out_leaves_its_place() {
        let mut queue = Queue::default();
        fill(&mut queue, 1, 2);
        fill(&mut queue, 2, 1);
        queue.remove(source(2), Mark(200));
        queue.remove(source(1), Mark(100));
        queue.remove(source(1), Mark(100));
        assert_eq!(drain(&mut queue), [101]);
        assert_eq!(queue.len, 0);
    }
}
