//! The configuration file: TOML whose every value still knows its line.
//!
//! The file is walked by hand rather than deserialised, so that all of its mistakes are told at
//! once, each with its line and with what is allowed there, and so that a value is read by the same
//! code as that of a flag.

use std::borrow::Cow;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::policy::Pattern;
use super::settings::{self, Set, Setting};

/// A value that some source gives to a setting.
pub(super) struct Entry {
    /// What is set.
    pub(super) setting: &'static Setting,
    /// The values, as written; more than one only in a list.
    pub(super) values: Vec<String>,
    /// Where it stands, for messages: `fanfare.toml:7:1: retain_bytes`, `--retain-bytes`,
    /// `FANFARE_RETAIN_BYTES`.
    pub(super) origin: String,
}

/// A `[[channel]]` block.
pub(super) struct Block {
    /// Which channels it is for.
    pub(super) pattern: Pattern,
    /// Where its `match` stands.
    pub(super) origin: String,
    /// What it sets.
    pub(super) entries: Vec<Entry>,
}

/// What a configuration file says.
#[derive(Default)]
pub(super) struct File {
    /// What it sets for the daemon.
    pub(super) entries: Vec<Entry>,
    /// Its `[[channel]]` blocks, in their order.
    pub(super) blocks: Vec<Block>,
    /// What is wrong with it, with the place in the text where it is.
    problems: Vec<Problem>,
}

/// Reads the text of the file called `name`: what can be read of it, and what is wrong with the
/// rest, in the order of the text.
pub(super) fn read(name: &str, text: &str) -> (File, Vec<String>) {
    let source = Source { name, text };
    let mut file = File::default();
    let table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            let why = error.message().replace('\n', ", ");
            return (file, vec![format!("{}: {why}", source.place(at))]);
        }
    };
    for (key, value) in table.get_ref() {
        if key.get_ref() == "channel" {
            file.read_channels(&source, value);
        } else {
            let entry = read_entry(&source, key, value, TOP_LEVEL);
            file.keep_entry(entry);
        }
    }
    let mut problems = std::mem::take(&mut file.problems);
    problems.sort();
    let problems = problems.into_iter().map(|(_, problem)| problem).collect();
    (file, problems)
}

/// The settings that may stand at one level of the file.
struct Level {
    /// Whether this setting may.
    allows: fn(&Setting) -> bool,
    /// What may stand there besides settings.
    also: &'static str,
}

const TOP_LEVEL: Level = Level {
    allows: |_| true,
    also: "[[channel]]",
};
const CHANNEL_LEVEL: Level = Level {
    allows: Setting::is_policy,
    also: "match",
};

/// What is wrong, after the place in the text where it is.
type Problem = (usize, String);
type Key<'a> = Spanned<Cow<'a, str>>;

impl File {
    fn keep_entry(&mut self, entry: Result<Entry, Problem>) {
        match entry {
            Ok(entry) => self.entries.push(entry),
            Err(problem) => self.problems.push(problem),
        }
    }

    fn read_channels(&mut self, source: &Source, value: &Spanned<DeValue>) {
        let Some(blocks) = value.get_ref().as_array() else {
            let at = value.span().start;
            let why = "channel: a pattern's block begins with [[channel]], in two brackets";
            self.problems
                .push((at, format!("{}: {why}", source.place(at))));
            return;
        };
        for block in blocks.iter() {
            match block.get_ref() {
                DeValue::Table(table) => self.read_block(source, block.span().start, table),
                other => {
                    let at = block.span().start;
                    let kind = kind(other);
                    let why = format!("channel: {kind} stands where a table is wanted");
                    self.problems
                        .push((at, format!("{}: {why}", source.place(at))));
                }
            }
        }
    }

    fn read_block(&mut self, source: &Source, block_at: usize, table: &DeTable) {
        let mut pattern = None;
        let mut entries = Vec::new();
        for (key, value) in table {
            if key.get_ref() == "match" {
                pattern = Some(read_pattern(source, value));
                continue;
            }
            match read_entry(source, key, value, CHANNEL_LEVEL) {
                Ok(entry) => entries.push(entry),
                Err(problem) => self.problems.push(problem),
            }
        }
        match pattern {
            Some(Ok((pattern, origin))) => self.blocks.push(Block {
                pattern,
                origin,
                entries,
            }),
            Some(Err(problem)) => self.problems.push(problem),
            None => {
                let why = "this [[channel]] has no match: say which channels it is for, such as \
                           match = \"prices.*\"";
                self.problems
                    .push((block_at, format!("{}: {why}", source.place(block_at))));
            }
        }
    }
}

fn read_pattern(source: &Source, value: &Spanned<DeValue>) -> Result<(Pattern, String), Problem> {
    let at = value.span().start;
    let origin = format!("{}: match", source.place(at));
    let text = value.get_ref().as_str().ok_or_else(|| {
        let kind = kind(value.get_ref());
        (
            at,
            format!("{origin}: {kind} stands where a string is wanted"),
        )
    })?;
    match Pattern::parse(text) {
        Ok(pattern) => Ok((pattern, origin)),
        Err(why) => Err((at, format!("{origin}: {why}"))),
    }
}

fn read_entry(
    source: &Source,
    key: &Key,
    value: &Spanned<DeValue>,
    level: Level,
) -> Result<Entry, Problem> {
    let known = settings::all().find(|setting| setting.key == key.get_ref());
    let Some(setting) = known.filter(|setting| (level.allows)(setting)) else {
        return Err(misplaced(source, key, known, level));
    };
    let at = value.span().start;
    let origin = format!("{}: {}", source.place(at), setting.key);
    let values = texts(value.get_ref(), setting).map_err(|kind| {
        let why = format!("{origin}: {kind} stands where a string or a number is wanted");
        (at, why)
    })?;
    Ok(Entry {
        setting,
        values,
        origin,
    })
}

/// A key that is unknown, or known but not allowed where it stands.
fn misplaced(source: &Source, key: &Key, known: Option<&Setting>, level: Level) -> Problem {
    let name = key.get_ref();
    let what = match known {
        Some(_) => format!("{name:?} is for all channels and stands before the first [[channel]]"),
        None => format!("unknown key {name:?}"),
    };
    let keys = settings::all()
        .filter(|setting| (level.allows)(setting))
        .map(|setting| setting.key);
    let allowed: Vec<&str> = std::iter::once(level.also).chain(keys).collect();
    let at = key.span().start;
    let place = source.place(at);
    (
        at,
        format!("{place}: {what}; allowed here: {}", allowed.join(", ")),
    )
}

/// The value as a person would write it after a flag, or what it is instead of such a value.
fn texts(value: &DeValue, setting: &Setting) -> Result<Vec<String>, &'static str> {
    match value {
        DeValue::Array(items) => items
            .iter()
            .map(|item| text(item.get_ref(), setting).ok_or(kind(item.get_ref())))
            .collect(),
        one => text(one, setting).map(|text| vec![text]).ok_or(kind(one)),
    }
}

fn text(value: &DeValue, setting: &Setting) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        // 0o660 and 660 are the same mode: its digits count, not the number that TOML makes of them.
        DeValue::Integer(number) if matches!(setting.set, Set::Mode(_)) => Some(number.to_string()),
        // A number beyond 128 bits is left as it is written: too large, as its reader will say.
        DeValue::Integer(number) => Some(
            i128::from_str_radix(number.as_str(), number.radix())
                .map_or_else(|_| number.as_str().to_owned(), |number| number.to_string()),
        ),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(switch) => Some(switch.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

/// What a value is, for a message that wants another.
fn kind(value: &DeValue) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

/// A file's text, which knows where a byte of it stands.
struct Source<'a> {
    name: &'a str,
    text: &'a str,
}

impl Source<'_> {
    /// The place of a byte as editors understand it: `name:line:column`, both from 1, the column in
    /// characters.
    fn place(&self, at: usize) -> String {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before[line_start..].chars().count() + 1;
        format!("{}:{line}:{column}", self.name)
    }
}
