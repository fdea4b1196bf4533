//! What holds, each value with where it comes from: for people, and for scripts.

use std::fmt;

#[cfg(feature = "cli")]
pub(super) use reading::read_blocks;

/// The effective configuration: each value as it was written, by the source that won. Files stay names, and what may be a secret
/// is blotted out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effective {
    /// All settings, in the order of the help.
    pub settings: Vec<EffectiveSetting>,
    /// The blocks of the file, in its order.
    pub blocks: Vec<EffectiveBlock>,
}

/// A setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveSetting {
    /// The heading that it has in the help.
    pub heading: &'static str,
    /// Its key in the file.
    pub key: &'static str,
    /// Its values as they would be written, or nothing where the default is one in words.
    pub value: Option<Value>,
    /// What the default is in words.
    pub in_words: &'static str,
    /// The source that says so.
    pub set_by: SetBy,
}

/// A `[[channel]]`, `[[tls]]` or `[[allow]]` of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveBlock {
    /// What stands between the brackets.
    pub name: String,
    /// Where it begins.
    pub set_by: SetBy,
    /// What it says, in its order.
    pub members: Vec<(String, Value)>,
}

/// A value as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A string.
    Text(String),
    /// A number or a switch, without quotes.
    Bare(String),
    /// Several values.
    List(Vec<Value>),
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetBy {
    /// Nobody has said anything.
    Default,
    /// A line of the file, from 1.
    File {
        /// The file as it was named.
        name: String,
        /// The line.
        line: usize,
    },
    /// A variable of the environment.
    Variable(String),
    /// A flag, with its dashes.
    Flag(String),
}

impl fmt::Display for SetBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetBy::Default => f.write_str("default"),
            SetBy::File { name, line } => write!(f, "{name}:{line}"),
            SetBy::Variable(name) | SetBy::Flag(name) => f.write_str(name),
        }
    }
}

impl SetBy {
    fn to_json(&self) -> serde_json::Value {
        match self {
            SetBy::Default => serde_json::json!({ "source": "default" }),
            SetBy::File { name, line } => {
                serde_json::json!({ "source": "file", "file": name, "line": line })
            }
            SetBy::Variable(name) => {
                serde_json::json!({ "source": "environment", "variable": name })
            }
            SetBy::Flag(name) => serde_json::json!({ "source": "flag", "flag": name }),
        }
    }
}

impl Value {
    fn to_json(&self) -> serde_json::Value {
        match self {
            Value::Text(text) => text.as_str().into(),
            // A number that JSON does not have stays the text that it is.
            Value::Bare(text) => text.parse().unwrap_or_else(|_| text.as_str().into()),
            Value::List(items) => items.iter().map(Value::to_json).collect(),
        }
    }
}

impl Effective {
    /// As JSON: `{"settings":{KEY:{"value":…,"origin":{"source":…}}},"blocks":[{"block":…,"origin":…,"members":{…}}]}`. A value is
    /// `null` where the default is one in words, which stand in `"in_words"`.
    pub fn to_json(&self) -> serde_json::Value {
        let settings = self.settings.iter().map(|setting| {
            let origin = setting.set_by.to_json();
            let said = match &setting.value {
                Some(value) => serde_json::json!({ "value": value.to_json(), "origin": origin }),
                None => serde_json::json!({
                    "value": null, "in_words": setting.in_words, "origin": origin
                }),
            };
            (setting.key.to_owned(), said)
        });
        let settings: serde_json::Map<_, _> = settings.collect();
        let blocks = self.blocks.iter().map(|block| {
            let members = block.members.iter();
            let members = members.map(|(key, value)| (key.clone(), value.to_json()));
            let members: serde_json::Map<_, _> = members.collect();
            serde_json::json!({
                "block": block.name, "origin": block.set_by.to_json(), "members": members
            })
        });
        let blocks: Vec<_> = blocks.collect();
        serde_json::json!({ "settings": settings, "blocks": blocks })
    }
}

/// How it is made, and how it becomes a file.
#[cfg(feature = "cli")]
mod reading {
    use std::collections::BTreeMap;
    use std::fmt::Write as _;

    use toml::Spanned;
    use toml::de::{DeTable, DeValue};

    use super::{Effective, EffectiveBlock, EffectiveSetting, SetBy, Value};
    use crate::config::Config;
    use crate::config::file::{Entry, Key, Text};
    use crate::config::names::Names;
    use crate::config::settings::{GROUPS, Set, Setting};

    impl Effective {
        /// What entries and blocks come to. `said` has the entry of each setting that won; `config` is what was made of them.
        pub(in crate::config) fn of(
            said: &BTreeMap<&'static str, Entry>,
            mut blocks: Vec<(usize, EffectiveBlock)>,
            config: &Config,
        ) -> Effective {
            let settings = GROUPS.iter().flat_map(|group| {
                let settings = group.settings.iter();
                settings.map(move |setting| EffectiveSetting {
                    heading: group.heading,
                    ..effective(setting, said.get(setting.key), config)
                })
            });
            blocks.sort_by_key(|(at, _)| *at);
            Effective {
                settings: settings.collect(),
                blocks: blocks.into_iter().map(|(_, block)| block).collect(),
            }
        }

        /// As a configuration file that says the same, with each origin as a comment. Defaults are comments as a whole.
        pub fn to_toml(&self) -> String {
            let mut text = String::new();
            let mut heading = "";
            for setting in &self.settings {
                if heading != setting.heading {
                    let space = if heading.is_empty() { "" } else { "\n" };
                    heading = setting.heading;
                    // A String takes everything.
                    let _ = writeln!(text, "{space}# {heading}");
                }
                let (key, set_by) = (setting.key, comment(&setting.set_by));
                let _ = match &setting.value {
                    Some(value) => {
                        let is_said = setting.set_by != SetBy::Default;
                        let begin = if is_said { "" } else { "# " };
                        writeln!(text, "{begin}{key} = {}  # {set_by}", toml(value))
                    }
                    None => writeln!(text, "# {key}: {}  # {set_by}", setting.in_words),
                };
            }
            for block in &self.blocks {
                let set_by = comment(&block.set_by);
                let _ = writeln!(text, "\n[[{}]]  # {set_by}", block.name);
                for (key, value) in &block.members {
                    let _ = writeln!(text, "{key} = {}", toml(value));
                }
            }
            text
        }
    }

    /// What nothing that a file is called can end.
    fn comment(set_by: &SetBy) -> String {
        let text = set_by.to_string();
        let plain = text.chars().map(|c| if c.is_control() { '?' } else { c });
        plain.collect()
    }

    fn toml(value: &Value) -> String {
        match value {
            Value::Text(text) => toml::Value::String(text.clone()).to_string(),
            Value::Bare(text) => text.clone(),
            Value::List(items) => {
                let items: Vec<String> = items.iter().map(toml).collect();
                format!("[{}]", items.join(", "))
            }
        }
    }

    fn effective(setting: &Setting, entry: Option<&Entry>, config: &Config) -> EffectiveSetting {
        let is_list = matches!(setting.set, Set::List(_) | Set::Addresses(_));
        let gives_way = match setting.key {
            "listen" => config.listen.is_empty(),
            "admin" => config.admin.is_none(),
            _ => false,
        };
        let values = match entry {
            Some(entry) => Some(entry.values.clone()),
            None if gives_way || is_in_words(setting) => None,
            None => Some(vec![setting.default.to_owned()]),
        };
        let value = values.map(|values| {
            let values = values.iter().map(|text| written(setting.key, text));
            let mut values: Vec<Value> = values.collect();
            match values.pop() {
                Some(value) if !is_list && values.is_empty() => value,
                last => Value::List(values.into_iter().chain(last).collect()),
            }
        });
        EffectiveSetting {
            heading: "",
            key: setting.key,
            value,
            in_words: match gives_way {
                true if setting.key == "admin" => {
                    "none, since the daemon listens there for everybody"
                }
                true => "none, since listen_tls is set",
                false => setting.default,
            },
            set_by: entry.map_or(SetBy::Default, |entry| entry.origin.set_by()),
        }
    }

    /// Whether a default is a description, and not a value that could be given.
    fn is_in_words(setting: &Setting) -> bool {
        let default = [setting.default.to_owned()];
        matches!(setting.default, "none" | "any")
            || setting
                .apply(&mut Config::default(), &default, &Names::default())
                .is_err()
    }

    /// A setting's value, without quotes where a file needs none.
    fn written(key: &str, text: &str) -> Value {
        let is_number = text.parse::<u32>().is_ok_and(|n| n.to_string() == text);
        match is_number || matches!(text, "true" | "false") {
            true => Value::Bare(text.to_owned()),
            false => Value::Text(blotted(key, text)),
        }
    }

    /// The text without what may be a secret: some who publish their keys take a key of the caller's in the query.
    fn blotted(key: &str, text: &str) -> String {
        match text.split_once('?') {
            Some((url, _)) if key == "jwks_url" => format!("{url}?…"),
            _ => text.to_owned(),
        }
    }

    /// The blocks of one name, each with the byte where it stands. What is wrong in them is told elsewhere.
    pub(in crate::config) fn read_blocks(
        text: &Text,
        key: &Key,
        value: &Spanned<DeValue>,
    ) -> Vec<(usize, EffectiveBlock)> {
        let items = value
            .get_ref()
            .as_array()
            .into_iter()
            .flat_map(|a| a.iter());
        let blocks = items.filter_map(|item| {
            let at = item.span().start;
            let DeValue::Table(table) = item.get_ref() else {
                return None;
            };
            let block = EffectiveBlock {
                name: key.get_ref().to_string(),
                set_by: text.origin(at, "").set_by(),
                members: members(table),
            };
            Some((at, block))
        });
        blocks.collect()
    }

    /// What a table says, in the order of the file.
    fn members(table: &DeTable) -> Vec<(String, Value)> {
        let mut members: Vec<_> = table.iter().collect();
        members.sort_by_key(|(key, _)| key.span().start);
        let members = members.into_iter();
        let members = members.filter_map(|(key, member)| {
            let read = value(member.get_ref())?;
            Some((key.get_ref().to_string(), read))
        });
        members.collect()
    }

    fn value(value_of: &DeValue) -> Option<Value> {
        Some(match value_of {
            DeValue::String(text) => Value::Text(text.to_string()),
            // As a mode it has its digits alone; elsewhere nobody writes another radix.
            DeValue::Integer(number) => Value::Bare(number.to_string()),
            DeValue::Float(number) => Value::Bare(number.as_str().to_owned()),
            DeValue::Boolean(switch) => Value::Bare(switch.to_string()),
            DeValue::Array(items) => {
                let items = items.iter().filter_map(|item| value(item.get_ref()));
                Value::List(items.collect())
            }
            DeValue::Datetime(_) | DeValue::Table(_) => return None,
        })
    }
}
