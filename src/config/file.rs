//! The configuration file: TOML whose every value still knows its line.
//!
//! The file is walked by hand rather than deserialised, so that all of its mistakes are told at
//! once, each with its line and with what is allowed there, and so that a value is read by the same
//! code as that of a flag.

use std::borrow::Cow;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::allow::{self, Allow};
use super::effective::{self, EffectiveBlock, SetBy};
use super::names::Names;
use super::policy::Pattern;
use super::settings::{self, Set, Setting};
use super::tls::{self, Certificate};

/// Where something stands. Origins are ordered as their mistakes are told: the file from its first
/// line to its last, then the environment, then the flags.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Origin {
    source: Source,
    /// The byte of the file where it stands; 0 in the other sources.
    at: usize,
    /// What a message calls it: `fanfare.toml:7:1: retain_bytes`, `--retain-bytes`,
    /// `FANFARE_RETAIN_BYTES`.
    name: String,
    /// The file and its line, from 1; nothing in the other sources.
    line: Option<(String, usize)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    File,
    Environment,
    Flags,
}

impl Origin {
    /// The file as a whole.
    pub(super) fn file(name: String) -> Origin {
        Origin {
            source: Source::File,
            at: 0,
            name,
            line: None,
        }
    }

    /// A variable of the environment.
    pub(super) fn variable(name: String) -> Origin {
        Origin {
            source: Source::Environment,
            at: 0,
            name,
            line: None,
        }
    }

    /// A flag.
    pub(super) fn flag(name: String) -> Origin {
        Origin {
            source: Source::Flags,
            at: 0,
            name,
            line: None,
        }
    }

    /// The mistake `why` of what stands here.
    pub(super) fn problem(&self, why: &str) -> Problem {
        Problem {
            origin: self.clone(),
            text: format!("{}: {why}", self.name),
        }
    }

    /// What a message calls it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The same for who asks where a value comes from.
    pub(super) fn set_by(&self) -> SetBy {
        match (self.source, &self.line) {
            (Source::Environment, _) => SetBy::Variable(self.name.clone()),
            (Source::Flags, _) => SetBy::Flag(self.name.clone()),
            (Source::File, Some((name, line))) => SetBy::File {
                name: name.clone(),
                line: *line,
            },
            (Source::File, None) => SetBy::File {
                name: self.name.clone(),
                line: 1,
            },
        }
    }
}

/// A mistake. Problems are ordered by their origins.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Problem {
    origin: Origin,
    text: String,
}

impl Problem {
    /// The sentence that names the place, the mistake and what is allowed.
    pub(super) fn into_text(self) -> String {
        self.text
    }
}

/// A value that some source gives to a setting.
#[derive(Clone)]
pub(super) struct Entry {
    /// What is set.
    pub(super) setting: &'static Setting,
    /// The values, as written; more than one only in a list.
    pub(super) values: Vec<String>,
    /// Where each value stands.
    pub(super) value_origins: Vec<Origin>,
    /// Where the whole of it stands.
    pub(super) origin: Origin,
}

impl Entry {
    /// An entry whose values all stand in one place.
    pub(super) fn new(setting: &'static Setting, values: Vec<String>, origin: Origin) -> Entry {
        Entry {
            setting,
            value_origins: vec![origin.clone(); values.len()],
            values,
            origin,
        }
    }
}

/// A `[[channel]]` block.
pub(super) struct Block {
    /// Which channels it is for, and where its `match` stands. `None`: it does not say so, or it
    /// says what makes no sense; the problem is noted, and what the block sets is checked all the same.
    pub(super) pattern: Option<(Pattern, Origin)>,
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
    /// Its `[[tls]]` blocks, in their order.
    pub(super) certificates: Vec<Certificate>,
    /// Its `[[allow]]` blocks, in their order.
    pub(super) allows: Vec<Allow>,
    /// All blocks as they are written, each with the byte where it stands.
    pub(super) written: Vec<(usize, EffectiveBlock)>,
    /// What is wrong with its syntax, its keys and its patterns. Values are checked later.
    pub(super) problems: Vec<Problem>,
}

/// Reads the text of the file called `name`: what can be read of it, and what is wrong with the
/// rest. The reading goes on behind a mistake of syntax. `names` are those of addresses.
pub(super) fn read(name: &str, text: &str, names: &Names) -> File {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut text = Text::new(name, text);
    let mut file = File::default();
    for error in errors {
        let at = error.span().map_or(0, |span| span.start);
        // One mistake often makes the rest of its line unreadable, too.
        if text.is_readable(at) {
            let why = error.message().replace('\n', ", ");
            file.problems.push(text.origin(at, "").problem(&why));
            text.note_unreadable(at);
        }
    }
    for (key, value) in table.get_ref() {
        if matches!(key.get_ref().as_ref(), "channel" | "tls" | "allow") {
            file.written
                .extend(effective::read_blocks(&text, key, value));
        }
        if key.get_ref() == "channel" {
            file.read_channels(&text, key, value);
        } else if key.get_ref() == "tls" {
            file.certificates = tls::read_blocks(&text, key, value, &mut file.problems);
        } else if key.get_ref() == "allow" {
            file.allows = allow::read_blocks(&text, key, value, names, &mut file.problems);
        } else if text.is_readable(key.span().start) {
            let entry = file.read_entry(&text, key, value, TOP_LEVEL);
            file.entries.extend(entry);
        }
    }
    file
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
    also: "[[allow]], [[channel]], [[tls]]",
};
const CHANNEL_LEVEL: Level = Level {
    allows: Setting::is_policy,
    also: "match",
};

pub(super) type Key<'a> = Spanned<Cow<'a, str>>;

impl File {
    fn read_channels(&mut self, text: &Text, key: &Key, value: &Spanned<DeValue>) {
        let why = "a pattern's block begins with [[channel]], in two brackets";
        for (at, table) in tables(text, key, value, why, &mut self.problems) {
            self.read_block(text, at, table);
        }
    }

    fn read_block(&mut self, text: &Text, block_at: usize, table: &DeTable) {
        let mut pattern = None;
        let mut entries = Vec::new();
        for (key, value) in table {
            let is_readable = text.is_readable(key.span().start);
            if key.get_ref() == "match" {
                pattern = Some(is_readable.then(|| read_pattern(text, value)));
            } else if is_readable {
                entries.extend(self.read_entry(text, key, value, CHANNEL_LEVEL));
            }
        }
        let pattern = match pattern {
            Some(Some(Ok(pattern))) => Some(pattern),
            Some(Some(Err(problem))) => {
                self.problems.push(problem);
                None
            }
            // The syntax is wrong there, which has been noted.
            Some(None) => None,
            None => {
                if text.is_block_readable(block_at) {
                    let why = "this [[channel]] has no match: say which channels it is for, such \
                               as match = \"prices.*\"";
                    self.problems.push(text.origin(block_at, "").problem(why));
                }
                None
            }
        };
        self.blocks.push(Block { pattern, entries });
    }

    /// Reads what a key sets; notes what is wrong with the key, or with the kind of a value.
    fn read_entry(
        &mut self,
        text: &Text,
        key: &Key,
        value: &Spanned<DeValue>,
        level: Level,
    ) -> Option<Entry> {
        let known = settings::all().find(|setting| setting.key == key.get_ref());
        let Some(setting) = known.filter(|setting| (level.allows)(setting)) else {
            self.problems.push(misplaced(text, key, known, level));
            return None;
        };
        let list = match value.get_ref() {
            DeValue::Array(items) => items.iter().collect(),
            _ => vec![value],
        };
        let mut entry = Entry {
            setting,
            values: Vec::with_capacity(list.len()),
            value_origins: Vec::with_capacity(list.len()),
            origin: text.origin(value.span().start, setting.key),
        };
        for item in &list {
            let origin = text.origin(item.span().start, setting.key);
            match plain(item.get_ref(), setting) {
                Some(plain) => {
                    entry.values.push(plain);
                    entry.value_origins.push(origin);
                }
                None => {
                    let kind = kind(item.get_ref());
                    let why = format!("{kind} stands where a string or a number is wanted");
                    self.problems.push(origin.problem(&why));
                }
            }
        }
        // Without its odd items a list may look empty, which it is not.
        (list.is_empty() || !entry.values.is_empty()).then_some(entry)
    }
}

/// The blocks `[[key]]`, each with the byte of its header; notes those that are none, and `why` that is if they are not in two
/// brackets.
pub(super) fn tables<'t, 'i>(
    text: &Text,
    key: &Key,
    value: &'t Spanned<DeValue<'i>>,
    why: &str,
    problems: &mut Vec<Problem>,
) -> Vec<(usize, &'t DeTable<'i>)> {
    let name = key.get_ref();
    let Some(blocks) = value.get_ref().as_array() else {
        if text.is_readable(key.span().start) {
            problems.push(text.origin(value.span().start, name).problem(why));
        }
        return Vec::new();
    };
    let mut found = Vec::with_capacity(blocks.len());
    for block in blocks.iter() {
        let at = block.span().start;
        match block.get_ref() {
            DeValue::Table(table) => found.push((at, table)),
            _ if !text.is_readable(at) => {}
            other => {
                let why = format!("{} stands where a table is wanted", kind(other));
                problems.push(text.origin(at, name).problem(&why));
            }
        }
    }
    found
}

fn read_pattern(text: &Text, value: &Spanned<DeValue>) -> Result<(Pattern, Origin), Problem> {
    let origin = text.origin(value.span().start, "match");
    let written = value.get_ref().as_str().ok_or_else(|| {
        let kind = kind(value.get_ref());
        origin.problem(&format!("{kind} stands where a string is wanted"))
    })?;
    match Pattern::parse(written) {
        Ok(pattern) => Ok((pattern, origin)),
        Err(why) => Err(origin.problem(&why)),
    }
}

/// A key that is unknown, or known but not allowed where it stands.
fn misplaced(text: &Text, key: &Key, known: Option<&Setting>, level: Level) -> Problem {
    let name = key.get_ref();
    let what = match known {
        Some(_) => format!("{name:?} is for all channels and stands before the first block"),
        None => format!("unknown key {name:?}"),
    };
    let keys = settings::all()
        .filter(|setting| (level.allows)(setting))
        .map(|setting| setting.key);
    let allowed: Vec<&str> = std::iter::once(level.also).chain(keys).collect();
    let why = format!("{what}; allowed here: {}", allowed.join(", "));
    text.origin(key.span().start, "").problem(&why)
}

/// The value as a person would write it after a flag, if it is of a kind that can be.
fn plain(value: &DeValue, setting: &Setting) -> Option<String> {
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
pub(super) fn kind(value: &DeValue) -> &'static str {
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
pub(super) struct Text<'a> {
    name: &'a str,
    text: &'a str,
    /// The lines whose syntax is wrong, so that nothing else need be said of them.
    unreadable: Vec<usize>,
    /// The line of the first header of a table whose syntax is wrong. What stands after it belongs
    /// to nobody knows which table.
    lost_from: usize,
}

impl<'a> Text<'a> {
    fn new(name: &'a str, text: &'a str) -> Text<'a> {
        Text {
            name,
            text,
            unreadable: Vec::new(),
            lost_from: usize::MAX,
        }
    }

    /// What stands at this byte and has this key, or none.
    pub(super) fn origin(&self, at: usize, key: &str) -> Origin {
        let place = self.place(at);
        let separator = if key.is_empty() { "" } else { ": " };
        let (line, ..) = self.line(at);
        Origin {
            source: Source::File,
            at,
            name: format!("{place}{separator}{key}"),
            line: Some((self.name.to_owned(), line)),
        }
    }

    fn note_unreadable(&mut self, at: usize) {
        let (line, start, _) = self.line(at);
        if self.text[start..].trim_start().starts_with('[') {
            self.lost_from = self.lost_from.min(line);
        }
        self.unreadable.push(line);
    }

    /// Whether what stands at this byte can be believed to be what was meant.
    pub(super) fn is_readable(&self, at: usize) -> bool {
        let (line, ..) = self.line(at);
        line < self.lost_from && !self.unreadable.contains(&line)
    }

    /// Whether the same holds from the header of a block on, at this byte, to the next header.
    pub(super) fn is_block_readable(&self, at: usize) -> bool {
        let (line, ..) = self.line(at);
        let below = self.text.lines().skip(line);
        let rest = below.take_while(|line| !line.trim_start().starts_with('['));
        let lines = line..=line + rest.count();
        lines.end() < &self.lost_from && !self.unreadable.iter().any(|line| lines.contains(line))
    }

    /// The number of the line of this byte, from 1, where the line starts, and the byte's column
    /// in characters, from 1.
    fn line(&self, at: usize) -> (usize, usize, usize) {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (line, start, before[start..].chars().count() + 1)
    }

    /// The place of a block's header: `name:line`.
    pub(super) fn line_place(&self, at: usize) -> String {
        let (line, ..) = self.line(at);
        format!("{}:{line}", self.name)
    }

    /// The place of a byte as editors understand it: `name:line:column`.
    fn place(&self, at: usize) -> String {
        let (line, _, column) = self.line(at);
        format!("{}:{line}:{column}", self.name)
    }
}
