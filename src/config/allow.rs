//! `[[allow]]` blocks: who, and what they are granted.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::file::{Key, Origin, Problem, Text, kind, tables};
use super::names::Names;
use super::units;
use crate::auth::rules::{Grant, Rule, Who};

/// An `[[allow]]` block that makes sense by itself.
pub(super) struct Allow {
    /// What it says.
    pub(super) rule: Rule,
    /// Where its `who` stands.
    pub(super) who_origin: Origin,
}

/// Reads the `[[allow]]` blocks of a file; notes what is wrong with them. `names` are those of listeners.
pub(super) fn read_blocks(
    text: &Text,
    key: &Key,
    value: &Spanned<DeValue>,
    names: &Names,
    problems: &mut Vec<Problem>,
) -> Vec<Allow> {
    let why = "a rule's block begins with [[allow]], in two brackets";
    let blocks = tables(text, key, value, why, problems);
    let read = blocks
        .into_iter()
        .filter_map(|(at, table)| read_block(text, at, table, names, problems));
    read.collect()
}

/// What a block says, if nothing is wrong with it.
fn read_block(
    text: &Text,
    block_at: usize,
    table: &DeTable,
    names: &Names,
    problems: &mut Vec<Problem>,
) -> Option<Allow> {
    let before = problems.len();
    let (mut who, mut has_who) = (None, false);
    let (mut subscribe, mut publish, mut admin) = (Vec::new(), Vec::new(), false);
    for (key, value) in table {
        let is_readable = text.is_readable(key.span().start);
        has_who |= key.get_ref() == "who";
        if !is_readable {
            continue;
        }
        match key.get_ref().as_ref() {
            "who" => who = read_who(text, value, names, problems),
            "subscribe" => subscribe = read_grants(text, "subscribe", value, problems),
            "publish" => publish = read_grants(text, "publish", value, problems),
            "admin" => admin = read_admin(text, value, problems),
            name => {
                let why =
                    format!("unknown key {name:?}; allowed here: who, subscribe, publish, admin");
                problems.push(text.origin(key.span().start, "").problem(&why));
            }
        }
    }
    let is_block_readable = text.is_block_readable(block_at);
    if !has_who && is_block_readable {
        let why = "this [[allow]] has no who: say whom it is for, such as who = \"anonymous\" or \
                   who = \"authenticated\"";
        problems.push(text.origin(block_at, "").problem(why));
    }
    let grants_nothing = subscribe.is_empty() && publish.is_empty() && !admin;
    if grants_nothing && problems.len() == before && is_block_readable {
        let why = "this [[allow]] grants nothing: give it subscribe or publish, each a list of patterns such as \
                   [\"news.>\"], or admin = true";
        problems.push(text.origin(block_at, "").problem(why));
    }
    let (who, who_origin) = who.filter(|_| problems.len() == before)?;
    Some(Allow {
        rule: Rule {
            who,
            subscribe,
            publish,
            admin,
            place: text.line_place(block_at).into(),
        },
        who_origin,
    })
}

fn read_who(
    text: &Text,
    value: &Spanned<DeValue>,
    names: &Names,
    problems: &mut Vec<Problem>,
) -> Option<(Who, Origin)> {
    let origin = text.origin(value.span().start, "who");
    let who = match value.get_ref().as_str() {
        Some(written) => Who::parse(written, |text| units::listen_address(text, names)),
        None => Err(format!(
            "{} stands where a string is wanted",
            kind(value.get_ref())
        )),
    };
    match who {
        Ok(who) => Some((who, origin)),
        Err(why) => {
            problems.push(origin.problem(&why));
            None
        }
    }
}

/// A list of grants, or one alone.
fn read_grants(
    text: &Text,
    name: &str,
    value: &Spanned<DeValue>,
    problems: &mut Vec<Problem>,
) -> Vec<Grant> {
    let items = match value.get_ref() {
        DeValue::Array(items) => items.iter().collect(),
        _ => vec![value],
    };
    let mut grants = Vec::with_capacity(items.len());
    for item in items {
        let grant = match item.get_ref().as_str() {
            Some(written) => Grant::parse(written),
            None => Err(format!(
                "{} stands where a pattern is wanted, such as \"news.>\"",
                kind(item.get_ref())
            )),
        };
        match grant {
            Ok(grant) => grants.push(grant),
            Err(why) => problems.push(text.origin(item.span().start, name).problem(&why)),
        }
    }
    grants
}

fn read_admin(text: &Text, value: &Spanned<DeValue>, problems: &mut Vec<Problem>) -> bool {
    match value.get_ref() {
        DeValue::Boolean(admin) => *admin,
        other => {
            let why = format!("{} stands where true or false is wanted", kind(other));
            problems.push(text.origin(value.span().start, "admin").problem(&why));
            false
        }
    }
}
