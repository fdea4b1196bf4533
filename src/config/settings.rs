//! The table of everything that can be set.
//!
//! One row is one setting: its key in the file, and with it its flag and its variable, what its
//! value looks like, its default, its help, and where it goes in a [`Config`]. Flags, environment
//! and file all go through this table, so that they accept the same values and refuse with the
//! same words.

use super::entry::ENTRY;
use super::inside::INSIDE;
use super::logging::LOGGING;
use super::mistake::Mistake;
use super::names::Names;
use super::rates::RATES;
use super::tls::ENCRYPTION;
use super::token::TOKENS;
use super::units::{
    count, count_limit, group, mode, size, size_limit, switch, time_ms, timeout_ms, word,
};
use super::{Config, Listen, OnLag, Policy, units};

/// One thing that can be set.
pub(super) struct Setting {
    /// Its key in the file; with `-` for `_` its flag, in capitals after `FANFARE_` its variable.
    pub(super) key: &'static str,
    /// What stands for its value in the help.
    pub(super) value: &'static str,
    /// Its default as it would be written, or in words where it depends on the machine.
    pub(super) default: &'static str,
    /// What it does, in one sentence.
    pub(super) help: &'static str,
    /// Where it goes.
    pub(super) set: Set,
}

/// How a setting's text becomes part of a configuration; an error says what is wrong with the text.
pub(super) enum Set {
    /// Part of a channel's policy: may stand in a `[[channel]]` block as well.
    Policy(fn(&mut Policy, &str) -> Result<(), String>),
    /// Of the daemon as a whole.
    Daemon(fn(&mut Config, &str) -> Result<(), String>),
    /// Of the daemon as a whole, with the names of addresses.
    Named(fn(&mut Config, &str, &Names) -> Result<(), String>),
    /// A file's mode, of the daemon as a whole: its digits are octal wherever they stand.
    Mode(fn(&mut Config, &str) -> Result<(), String>),
    /// Of the daemon as a whole, and as a flag it needs no value.
    Flag(fn(&mut Config, &str) -> Result<(), String>),
    /// Of the daemon as a whole: several values, which replace those of a weaker source.
    List(SetList),
    /// Of the daemon as a whole: several addresses to listen on, as of a list.
    Addresses(fn(&mut Config) -> &mut Vec<Listen>),
}

/// Sets all values of a list, or says what is wrong with which of them.
pub(super) type SetList = fn(&mut Config, &[String]) -> Result<(), Vec<Mistake>>;

impl Setting {
    /// Its flag, without the dashes before it.
    pub(super) fn flag(&self) -> String {
        self.key.replace('_', "-")
    }

    /// Its environment variable.
    pub(super) fn variable(&self) -> String {
        format!("FANFARE_{}", self.key.to_ascii_uppercase())
    }

    /// Whether it may stand in a `[[channel]]` block.
    pub(super) fn is_policy(&self) -> bool {
        matches!(self.set, Set::Policy(_))
    }

    /// Sets it for the whole daemon. `names` are those of addresses.
    pub(super) fn apply(
        &self,
        config: &mut Config,
        values: &[String],
        names: &Names,
    ) -> Result<(), Vec<Mistake>> {
        match self.set {
            Set::Policy(set) => {
                set(&mut config.policy, single(values)?).map_err(|why| vec![Mistake::whole(why)])
            }
            Set::Daemon(set) | Set::Mode(set) | Set::Flag(set) => {
                set(config, single(values)?).map_err(|why| vec![Mistake::whole(why)])
            }
            Set::Named(set) => {
                set(config, single(values)?, names).map_err(|why| vec![Mistake::whole(why)])
            }
            Set::List(set) => set(config, values),
            Set::Addresses(slot) => put_list(slot(config), units::listen(values, names)),
        }
    }

    /// Sets it for the channels that a block is for.
    pub(super) fn apply_to_policy(
        &self,
        policy: &mut Policy,
        values: &[String],
    ) -> Result<(), Vec<Mistake>> {
        let Set::Policy(set) = self.set else {
            let why = "holds for the whole daemon, not for some channels";
            return Err(vec![Mistake::whole(why)]);
        };
        set(policy, single(values)?).map_err(|why| vec![Mistake::whole(why)])
    }
}

/// The settings under one heading of the help.
pub(super) struct Group {
    /// The heading.
    pub(super) heading: &'static str,
    /// What stands under it.
    pub(super) settings: &'static [Setting],
}

/// All settings, in the order of the help.
pub(super) fn all() -> impl Iterator<Item = &'static Setting> {
    GROUPS.iter().flat_map(|group| group.settings)
}

/// All settings under their headings.
pub(super) const GROUPS: &[Group] = &[
    Group {
        heading: "Listening",
        settings: LISTENING,
    },
    Group {
        heading: "Encryption",
        settings: ENCRYPTION,
    },
    Group {
        heading: "Channels",
        settings: CHANNELS,
    },
    Group {
        heading: "Access",
        settings: ENTRY,
    },
    Group {
        heading: "Tokens",
        settings: TOKENS,
    },
    Group {
        heading: "Limits",
        settings: LIMITS,
    },
    Group {
        heading: "Rates",
        settings: RATES,
    },
    Group {
        heading: "Times",
        settings: TIMES,
    },
    Group {
        heading: "Compression",
        settings: COMPRESSION,
    },
    Group {
        heading: "Administration",
        settings: INSIDE,
    },
    Group {
        heading: "Logging",
        settings: LOGGING,
    },
];

const LISTENING: &[Setting] = &[
    Setting {
        key: "listen",
        value: "ADDR",
        default: "127.0.0.1:8040",
        help: "The address to listen on: HOST:PORT or unix:PATH; may be repeated",
        set: Set::Addresses(|c| &mut c.listen),
    },
    Setting {
        key: "socket_mode",
        value: "MODE",
        default: "by the umask",
        help: "The permissions of unix sockets, in octal: with 0660 the owner and the group may connect",
        set: Set::Mode(|c, text| put(&mut c.socket_mode, mode(text).map(Some))),
    },
    Setting {
        key: "socket_group",
        value: "GROUP",
        default: "the daemon's own",
        help: "The group of unix sockets: its name in /etc/group or its number",
        set: Set::Daemon(|c, text| put(&mut c.socket_group, group(text).map(Some))),
    },
    Setting {
        key: "echo",
        value: "on|off",
        default: "off",
        help: "Serve /echo, which sends each message back",
        set: Set::Flag(|c, text| put(&mut c.echo, switch(text))),
    },
];

const CHANNELS: &[Setting] = &[
    Setting {
        key: "retain_bytes",
        value: "SIZE",
        default: "1MiB",
        help: "How many framed bytes a channel holds; 0: no limit, which needs a limit in --retain-total",
        set: Set::Policy(|p, text| put(&mut p.retain_bytes, size_limit(text))),
    },
    Setting {
        key: "retain_messages",
        value: "COUNT",
        default: "0",
        help: "How many messages a channel holds; 0: no limit",
        set: Set::Policy(|p, text| put(&mut p.retain_messages, count_limit(text))),
    },
    Setting {
        key: "retain_seconds",
        value: "TIME",
        default: "300",
        help: "How long a channel holds a message, the newest included; 0: no limit",
        set: Set::Policy(|p, text| put(&mut p.retain_ms, timeout_ms(text))),
    },
    Setting {
        key: "on_lag",
        value: "POLICY",
        default: "skip",
        help: "What becomes of a subscriber whose next message the channel no longer holds: it skips to \
               the oldest message held, goes on with the latest, or is closed",
        set: Set::Policy(|p, text| put(&mut p.on_lag, word(text, ON_LAG))),
    },
    Setting {
        key: "retain_total",
        value: "SIZE",
        default: "256MiB",
        help: "How much memory the messages of all channels take; messages of channels without \
               subscribers go first; 0: no limit",
        set: Set::Daemon(|c, text| put(&mut c.retain_total, size_limit(text))),
    },
    Setting {
        key: "channel_linger",
        value: "TIME",
        default: "600s",
        help: "How long a channel's name and numbering outlive its last subscriber and message; \
               0: not at all",
        set: Set::Daemon(|c, text| put(&mut c.channel_linger_ms, time_ms(text))),
    },
];

const LIMITS: &[Setting] = &[
    Setting {
        key: "max_connections",
        value: "COUNT",
        default: "by the file limit",
        help: "How many connections there may be at once, besides a few for /healthz and for requests from \
               this machine; 0: as many as the file limit allows, less a reserve of 64",
        set: Set::Daemon(|c, text| put(&mut c.max_connections, connections(text))),
    },
    Setting {
        key: "max_message",
        value: "SIZE",
        default: "64KiB",
        help: "The longest message that a client may send, after inflating; 1B to 1GiB",
        set: Set::Daemon(|c, text| put(&mut c.max_message, message_size(text))),
    },
    Setting {
        key: "max_batch",
        value: "SIZE",
        default: "1MiB",
        help: "The longest body of a request that publishes many messages, POST /publish; 1B to 1GiB",
        set: Set::Daemon(|c, text| put(&mut c.max_batch, message_size(text))),
    },
    Setting {
        key: "max_channels",
        value: "COUNT",
        default: "100000",
        help: "How many channels there may be at once; one without subscribers makes room for a new one; \
               0: no limit",
        set: Set::Daemon(|c, text| put(&mut c.max_channels, count_limit(text))),
    },
    Setting {
        key: "max_subscriptions",
        value: "COUNT",
        default: "1024",
        help: "How many subscriptions a connection may have; 0: no limit",
        set: Set::Daemon(|c, text| put(&mut c.max_subscriptions, count_limit(text))),
    },
    Setting {
        key: "max_patterns",
        value: "COUNT",
        default: "256",
        help: "How many patterns may be subscribed to at once, each of them by any number of connections and \
               16 of them by one; one without subscribers makes room for a new one; 0: no limit",
        set: Set::Daemon(|c, text| put(&mut c.max_patterns, count_limit(text))),
    },
    Setting {
        key: "max_keys",
        value: "COUNT",
        default: "100000",
        help: "How many keys of publications are remembered, each for 5 minutes; the oldest is forgotten \
               first; 0: no limit",
        set: Set::Daemon(|c, text| put(&mut c.max_keys, count_limit(text))),
    },
    Setting {
        key: "max_header",
        value: "SIZE",
        default: "8KiB",
        help: "The longest head of an HTTP request; 512B to 64KiB",
        set: Set::Daemon(|c, text| put(&mut c.max_header, header_size(text))),
    },
    Setting {
        key: "outbox",
        value: "SIZE",
        default: "64KiB",
        help: "How many bytes of replies may wait for a connection; over it the daemon stops reading from \
               the connection; at least 1KiB",
        set: Set::Daemon(|c, text| put(&mut c.outbox, outbox_size(text))),
    },
    Setting {
        key: "outbox_total",
        value: "SIZE",
        default: "64MiB",
        help: "How many bytes of replies may wait for all connections together; 0: no limit",
        set: Set::Daemon(|c, text| put(&mut c.outbox_total, size_limit(text))),
    },
    Setting {
        key: "input_total",
        value: "SIZE",
        default: "64MiB",
        help: "How many bytes of half-read messages all connections together may have; 0: no limit",
        set: Set::Daemon(|c, text| put(&mut c.input_total, size_limit(text))),
    },
    Setting {
        key: "held_total",
        value: "SIZE",
        default: "64MiB",
        help: "How many bytes of half-sent messages over 4 KiB all connections together may have; \
               0: no limit",
        set: Set::Daemon(|c, text| put(&mut c.held_total, size_limit(text))),
    },
    Setting {
        key: "send_buffer",
        value: "SIZE",
        default: "128KiB",
        help: "How many bytes may wait unsent in the kernel for a connection; 0: what the system allows",
        set: Set::Daemon(|c, text| put(&mut c.send_buffer, send_buffer_size(text))),
    },
];

const TIMES: &[Setting] = &[
    Setting {
        key: "ping_interval",
        value: "TIME",
        default: "25s",
        help: "Ping a client that has sent nothing for this time; 0: never",
        set: Set::Daemon(|c, text| put(&mut c.ping_interval_ms, timeout_ms(text))),
    },
    Setting {
        key: "ping_timeout",
        value: "TIME",
        default: "10s",
        help: "Close a client that sends nothing for this time after a ping, or for --stall-timeout if \
               that is longer and messages went to it before the ping; 0: never",
        set: Set::Daemon(|c, text| put(&mut c.ping_timeout_ms, timeout_ms(text))),
    },
    Setting {
        key: "stall_timeout",
        value: "TIME",
        default: "60s",
        help: "Close a client that takes nothing for this time although there is something to send; \
               0: never",
        set: Set::Daemon(|c, text| put(&mut c.stall_timeout_ms, timeout_ms(text))),
    },
    Setting {
        key: "message_timeout",
        value: "TIME",
        default: "30s",
        help: "How long a message may take from its first byte to its last; 0: no limit",
        set: Set::Daemon(|c, text| put(&mut c.message_timeout_ms, timeout_ms(text))),
    },
    Setting {
        key: "handshake_timeout",
        value: "TIME",
        default: "5s",
        help: "How long the head of an HTTP request may take; 0: no limit",
        set: Set::Daemon(|c, text| put(&mut c.handshake_timeout_ms, timeout_ms(text))),
    },
    Setting {
        key: "http_idle_timeout",
        value: "TIME",
        default: "60s",
        help: "How long an HTTP connection stays open for its next request; 0: no limit",
        set: Set::Daemon(|c, text| put(&mut c.http_idle_timeout_ms, timeout_ms(text))),
    },
    Setting {
        key: "coalesce",
        value: "TIME",
        default: "25ms",
        help: "How long a message to a channel of 256 subscribers or more may wait, under a steady \
               stream, for later ones to share its writes; 0: no message waits",
        set: Set::Daemon(|c, text| put(&mut c.coalesce_ms, time_ms(text))),
    },
    Setting {
        key: "drain_seconds",
        value: "TIME",
        default: "0",
        help: "Spread the closes over this time when the daemon ends; 0: all at once. The addresses are \
               free at once: until a successor listens there, clients are refused",
        set: Set::Daemon(|c, text| put(&mut c.drain_ms, time_ms(text))),
    },
];

const COMPRESSION: &[Setting] = &[
    Setting {
        key: "deflate",
        value: "on|off",
        default: "on",
        help: "Agree to permessage-deflate if a client offers it",
        set: Set::Daemon(|c, text| put(&mut c.deflate, switch(text))),
    },
    Setting {
        key: "deflate_level",
        value: "LEVEL",
        default: "2",
        help: "How hard to compress, from 1 (fast) to 9 (small)",
        set: Set::Daemon(|c, text| put(&mut c.deflate_level, deflate_level(text))),
    },
];

const ON_LAG: &[(&str, OnLag)] = &[
    ("skip", OnLag::Skip),
    ("latest", OnLag::Latest),
    ("close", OnLag::Close),
];

fn connections(text: &str) -> Result<Option<usize>, String> {
    Ok(Some(count(text)?).filter(|number| *number > 0))
}

fn send_buffer_size(text: &str) -> Result<Option<usize>, String> {
    // The kernel takes it as an unsigned 32-bit number.
    let bytes = within(text, size(text)?, 0, u32::MAX as usize, "0B to 4294967295B")?;
    Ok(Some(bytes).filter(|bytes| *bytes > 0))
}

fn message_size(text: &str) -> Result<usize, String> {
    within(
        text,
        size(text)?,
        1,
        Config::MESSAGE_BYTES_MAX,
        "1B to 1GiB",
    )
}

fn header_size(text: &str) -> Result<usize, String> {
    let (least, most) = (Config::HEADER_BYTES_MIN, Config::HEADER_BYTES_MAX);
    within(text, size(text)?, least, most, "512B to 64KiB")
}

fn outbox_size(text: &str) -> Result<usize, String> {
    let (least, most) = (Config::OUTBOX_BYTES_MIN, Config::MESSAGE_BYTES_MAX);
    within(text, size(text)?, least, most, "1KiB to 1GiB")
}

fn deflate_level(text: &str) -> Result<u32, String> {
    let level = within(
        text,
        count(text)?,
        1,
        9,
        "1 to 9; deflate = off turns it off",
    )?;
    // At most 9 by the line above.
    Ok(level as u32)
}

fn within(text: &str, n: usize, least: usize, most: usize, range: &str) -> Result<usize, String> {
    if (least..=most).contains(&n) {
        Ok(n)
    } else {
        Err(format!("{text:?} is out of range: give {range}"))
    }
}

/// The values of a list that may not be empty, or all that is wrong with them.
pub(super) fn each<T>(
    texts: &[String],
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, Vec<Mistake>> {
    let mut all = Vec::with_capacity(texts.len());
    let mut mistakes = Vec::new();
    for (nth, text) in texts.iter().enumerate() {
        match read(text) {
            Ok(value) => all.push(value),
            Err(why) => mistakes.push(Mistake {
                nth: Some(nth),
                why,
            }),
        }
    }
    if texts.is_empty() {
        mistakes.push(Mistake::whole("the list is empty: give at least one value"));
    }
    match mistakes.is_empty() {
        true => Ok(all),
        false => Err(mistakes),
    }
}

fn single(values: &[String]) -> Result<&str, Vec<Mistake>> {
    match values {
        [value] => Ok(value),
        _ => Err(vec![Mistake::whole("takes one value, not a list")]),
    }
}

pub(super) fn put_list<T>(
    slot: &mut T,
    values: Result<T, Vec<Mistake>>,
) -> Result<(), Vec<Mistake>> {
    *slot = values?;
    Ok(())
}

pub(super) fn put<T>(slot: &mut T, value: Result<T, String>) -> Result<(), String> {
    *slot = value?;
    Ok(())
}
