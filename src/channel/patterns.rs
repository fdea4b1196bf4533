//! Many patterns at once: which of them stand for a name.
//!
//! Strangers choose patterns and names. So the tree has few levels: what a pattern has beyond them is compared as a text. A look-up
//! then costs no more than some hundred nanoseconds for each pattern, whatever they are; mostly it costs much less.

use std::collections::HashMap;

use super::matcher::{Matcher, matches_parts};
use super::name::is_daemons_own;

/// Patterns with a value for each, asked for all that stand for a name.
///
/// Asking costs time, so whoever asks keeps the answer for as long as [`Patterns::generation`] stays the same.
#[derive(Debug)]
pub struct Patterns<T> {
    /// Patterns of parts, as a tree: each level is a part.
    parts: Node<T>,
    /// Patterns that are prefixes.
    prefixes: Vec<(Box<str>, T)>,
    len: usize,
    generation: u64,
}

/// The patterns that begin with the same parts.
#[derive(Debug)]
struct Node<T> {
    literals: HashMap<Box<str>, Node<T>>,
    /// Those that go on with `*`.
    any: Option<Box<Node<T>>>,
    /// The pattern that ends here, by its matcher.
    here: [Option<T>; 2],
    /// The pattern that ends here with a `>`, by its matcher.
    rest: [Option<T>; 2],
    /// On the lowest level, the patterns that go on: the text that is left, the matcher and the value.
    deeper: Vec<(Box<str>, usize, T)>,
}

/// How many levels the tree has. Two patterns that differ in the first parts only would else lead through all of their parts, up to
/// 128, by ways of their own.
const LEVELS: usize = 8;

impl<T> Node<T> {
    fn new() -> Self {
        Node {
            literals: HashMap::new(),
            any: None,
            here: [None, None],
            rest: [None, None],
            deeper: Vec::new(),
        }
    }

    fn is_empty(&self) -> bool {
        let has_value = |of: &[Option<T>; 2]| of.iter().any(Option::is_some);
        self.literals.is_empty()
            && self.any.is_none()
            && !has_value(&self.here)
            && !has_value(&self.rest)
            && self.deeper.is_empty()
    }

    /// Where a pattern that goes on is among those of the lowest level.
    fn find_deeper(&self, matcher: usize, text: &str) -> Option<usize> {
        (self.deeper.iter()).position(|(other, kind, _)| (&**other, *kind) == (text, matcher))
    }
}

/// The place of a pattern of parts among those of the same text, by its matcher.
const PARTS: usize = 0;
const PARTS_AND_PARENT: usize = 1;

impl<T> Default for Patterns<T> {
    fn default() -> Self {
        Patterns {
            parts: Node::new(),
            prefixes: Vec::new(),
            len: 0,
            generation: 0,
        }
    }
}

impl<T> Patterns<T> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none: then nothing has to be asked.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A number that is another one whenever a pattern came or went.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The value of a pattern, if it is there.
    pub fn get(&self, matcher: Matcher, text: &str) -> Option<&T> {
        match matcher {
            Matcher::Parts => get_parts(&self.parts, PARTS, text),
            Matcher::PartsAndParent => get_parts(&self.parts, PARTS_AND_PARENT, text),
            Matcher::Prefix => Some(&self.prefixes[self.find_prefix(text)?].1),
        }
    }

    /// Where a pattern that is a prefix is.
    fn find_prefix(&self, text: &str) -> Option<usize> {
        (self.prefixes.iter()).position(|(prefix, _)| **prefix == *text)
    }

    /// Adds a pattern; gives back the value that it had if it was there already.
    pub fn insert(&mut self, matcher: Matcher, text: &str, value: T) -> Option<T> {
        self.generation += 1;
        let before = match matcher {
            Matcher::Parts => insert_parts(&mut self.parts, PARTS, text, value),
            Matcher::PartsAndParent => insert_parts(&mut self.parts, PARTS_AND_PARENT, text, value),
            Matcher::Prefix => match self.find_prefix(text) {
                Some(at) => Some(std::mem::replace(&mut self.prefixes[at].1, value)),
                None => {
                    self.prefixes.push((text.into(), value));
                    None
                }
            },
        };
        self.len += usize::from(before.is_none());
        before
    }

    /// Removes a pattern and gives back its value.
    pub fn remove(&mut self, matcher: Matcher, text: &str) -> Option<T> {
        let removed = match matcher {
            Matcher::Parts => remove_parts(&mut self.parts, 0, PARTS, text),
            Matcher::PartsAndParent => remove_parts(&mut self.parts, 0, PARTS_AND_PARENT, text),
            Matcher::Prefix => {
                let at = self.find_prefix(text);
                at.map(|at| self.prefixes.swap_remove(at).1)
            }
        }?;
        self.generation += 1;
        self.len -= 1;
        Some(removed)
    }

    /// Calls `found` for each pattern that stands for the channel `name`, in no order. Each way through the tree leads
    /// to a pattern, so there are no more ways than patterns, and none is longer than the tree has levels.
    pub fn matching<'p>(&'p self, name: &str, mut found: impl FnMut(&'p T)) {
        if self.is_empty() || is_daemons_own(name) {
            return;
        }
        for (prefix, value) in &self.prefixes {
            if name.starts_with(&**prefix) {
                found(value);
            }
        }
        walk(&self.parts, 0, Some(name), &mut found);
    }
}

/// The first part of a text, and the rest behind the dot.
fn cut(text: &str) -> (&str, Option<&str>) {
    match text.split_once('.') {
        Some((part, rest)) => (part, Some(rest)),
        None => (text, None),
    }
}

fn get_parts<'n, T>(node: &'n Node<T>, matcher: usize, text: &str) -> Option<&'n T> {
    let mut node = node;
    let (mut left, mut level) = (Some(text), 0);
    while let Some(text) = left {
        let (part, rest) = cut(text);
        if part == ">" && rest.is_none() {
            return node.rest[matcher].as_ref();
        }
        if level == LEVELS {
            let at = node.find_deeper(matcher, text)?;
            return Some(&node.deeper[at].2);
        }
        level += 1;
        node = match part {
            "*" => node.any.as_deref()?,
            part => node.literals.get(part)?,
        };
        left = rest;
    }
    node.here[matcher].as_ref()
}

fn insert_parts<T>(node: &mut Node<T>, matcher: usize, text: &str, value: T) -> Option<T> {
    let mut node = node;
    let (mut left, mut level) = (Some(text), 0);
    while let Some(text) = left {
        let (part, rest) = cut(text);
        if part == ">" && rest.is_none() {
            return node.rest[matcher].replace(value);
        }
        if level == LEVELS {
            if let Some(at) = node.find_deeper(matcher, text) {
                return Some(std::mem::replace(&mut node.deeper[at].2, value));
            }
            node.deeper.push((text.into(), matcher, value));
            return None;
        }
        level += 1;
        node = match part {
            "*" => node.any.get_or_insert_with(|| Box::new(Node::new())),
            part => node.literals.entry(part.into()).or_insert_with(Node::new),
        };
        left = rest;
    }
    node.here[matcher].replace(value)
}

/// Removes a pattern from below `node`, which is on this level, and the branches that lead nowhere then.
fn remove_parts<T>(node: &mut Node<T>, level: usize, matcher: usize, text: &str) -> Option<T> {
    let (part, rest) = cut(text);
    if part == ">" && rest.is_none() {
        return node.rest[matcher].take();
    }
    if level == LEVELS {
        let at = node.find_deeper(matcher, text)?;
        return Some(node.deeper.swap_remove(at).2);
    }
    let remove_below = |below: &mut Node<T>| match rest {
        Some(rest) => remove_parts(below, level + 1, matcher, rest),
        None => below.here[matcher].take(),
    };
    if part == "*" {
        let removed = remove_below(node.any.as_mut()?);
        node.any.take_if(|below| below.is_empty());
        removed
    } else {
        let below = node.literals.get_mut(part)?;
        let removed = remove_below(below);
        if below.is_empty() {
            node.literals.remove(part);
        }
        removed
    }
}

/// Finds the patterns below `node`, which is on this level, that stand for the parts in `left`.
fn walk<'p, T>(node: &'p Node<T>, level: usize, left: Option<&str>, found: &mut impl FnMut(&'p T)) {
    let Some(text) = left else {
        let here = node.here.iter().flatten();
        here.chain(&node.rest[PARTS_AND_PARENT]).for_each(found);
        return;
    };
    node.rest.iter().flatten().for_each(&mut *found);
    if level == LEVELS {
        for (deeper, matcher, value) in &node.deeper {
            if matches_parts(deeper, text, *matcher == PARTS_AND_PARENT) {
                found(value);
            }
        }
        return;
    }
    let (part, rest) = cut(text);
    if let Some(below) = node.literals.get(part) {
        walk(below, level + 1, rest, found);
    }
    if let Some(below) = &node.any {
        walk(below, level + 1, rest, found);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MATCHERS: [Matcher; 3] = [Matcher::Parts, Matcher::PartsAndParent, Matcher::Prefix];

    fn found(patterns: &Patterns<usize>, name: &str) -> Vec<usize> {
        let mut all = Vec::new();
        patterns.matching(name, |&value| all.push(value));
        all.sort_unstable();
        all
    }

    #[test]
    fn a_pattern_is_known_by_its_text_and_its_matcher_together() {
        let mut patterns = Patterns::default();
        for (value, matcher) in MATCHERS.into_iter().enumerate() {
            assert_eq!(patterns.insert(matcher, "a.>", value), None);
        }
        assert_eq!(found(&patterns, "a"), [1]);
        assert_eq!(found(&patterns, "a.b"), [0, 1]);
        assert_eq!(found(&patterns, "a.>x"), [0, 1, 2]);
        assert_eq!(patterns.insert(Matcher::Parts, "a.>", 7), Some(0));
        assert_eq!((patterns.len(), found(&patterns, "a.b")), (3, vec![1, 7]));
        let before = patterns.generation();
        assert_eq!(patterns.remove(Matcher::Parts, "a.*"), None);
        assert_eq!(patterns.generation(), before);
        assert_eq!(patterns.remove(Matcher::Parts, "a.>"), Some(7));
        assert_ne!(patterns.generation(), before);
        assert_eq!(found(&patterns, "a.b"), [1]);
    }

    #[test]
    fn a_branch_that_leads_nowhere_is_removed() {
        let mut patterns = Patterns::default();
        let deep = "a.*.c.d.e.f.g.h.i.*.k";
        for text in ["a.b.c", "a.*.>", "*", ">", deep] {
            patterns.insert(Matcher::Parts, text, 0);
        }
        for text in ["a.b.c", "a.*.>", "*", ">", deep] {
            assert_eq!(patterns.remove(Matcher::Parts, text), Some(0));
        }
        assert!(patterns.is_empty() && patterns.parts.is_empty());
    }

    #[test]
    fn a_look_up_goes_through_few_nodes_however_the_patterns_are_chosen() {
        fn nodes<T>(node: &Node<T>) -> usize {
            let below = node.literals.values().chain(node.any.as_deref());
            1 + below.map(nodes).sum::<usize>()
        }
        let mut patterns = Patterns::default();
        for stars in 0..256_usize {
            let parts = (0..8).map(|i| if stars >> i & 1 == 1 { "*" } else { "a" });
            let parts: Vec<_> = parts
                .chain([["a"; 118].join(".").as_str(), "z"])
                .map(str::to_owned)
                .collect();
            patterns.insert(Matcher::Parts, &parts.join("."), stars);
        }
        assert_eq!((patterns.len(), nodes(&patterns.parts)), (256, 511));
        assert!(found(&patterns, &["a"; 127].join(".")).is_empty());
        let name = [["a"; 126].join(".").as_str(), "z"].join(".");
        assert_eq!(found(&patterns, &name).len(), 256);
    }

    proptest! {
        #[test]
        fn all_patterns_that_match_are_found_and_no_others(
            texts in proptest::collection::vec(("[ab*]([.][ab*]){0,3}([.]>)?|[a*]([.][a*]){5,11}([.]>)?|>", 0..3_usize), 1..40),
            gone in proptest::collection::vec(any::<bool>(), 40),
            names in proptest::collection::vec("[$]?[ab]([.][abc]){0,4}|a([.][a]){4,12}", 1..20),
        ) {
            let mut patterns = Patterns::default();
            let mut naive: Vec<(&str, Matcher, usize)> = Vec::new();
            for (value, (text, matcher)) in texts.iter().enumerate() {
                let matcher = MATCHERS[*matcher];
                naive.retain(|(other, kind, _)| (*other, *kind) != (text, matcher));
                naive.push((text, matcher, value));
                patterns.insert(matcher, text, value);
            }
            let mut gone = gone.into_iter();
            naive.retain(|(text, matcher, value)| {
                let goes = gone.next().unwrap_or_default();
                goes.then(|| assert_eq!(patterns.remove(*matcher, text), Some(*value)));
                !goes
            });
            prop_assert_eq!(patterns.len(), naive.len());
            for (text, matcher) in &texts {
                let matcher = MATCHERS[*matcher];
                let there = naive.iter().find(|(other, kind, _)| (*other, *kind) == (text, matcher));
                prop_assert_eq!(patterns.get(matcher, text), there.map(|(_, _, value)| value));
            }
            for name in &names {
                let matching = naive.iter().filter(|(text, matcher, _)| matcher.matches(text, name));
                let mut expected: Vec<_> = matching.map(|(_, _, value)| *value).collect();
                expected.sort_unstable();
                prop_assert_eq!(found(&patterns, name), expected, "{}", name);
            }
        }
    }
}
