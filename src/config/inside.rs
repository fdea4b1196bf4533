//! The settings of who looks after the daemon: where it is looked into, and what it keeps when it ends.

use super::Pattern;
use super::mistake::Mistake;
use super::names::Names;
use super::settings::{Set, Setting, each, put, put_list};
use super::token::file;
use super::units::listen_address;
use super::{Config, Listen};

/// In the order of the help.
pub(super) const INSIDE: &[Setting] = &[
    Setting {
        key: "admin",
        value: "ADDR",
        default: "127.0.0.1:8041",
        help: "The address to look into the daemon and to look after it: HOST:PORT, unix:PATH or off. On loopback and \
               on a unix socket whoever comes by it is an administrator; where the default address is taken, the \
               daemon does without",
        set: Set::Named(|c, text, names| put(&mut c.admin, admin(text, names))),
    },
    Setting {
        key: "metrics_channel",
        value: "PATTERN",
        default: "none",
        help: "The channels that metrics count apart, all channels of a pattern together; may be repeated, up to 64 \
               times. The first that matches counts",
        set: Set::List(|c, texts| put_list(&mut c.metrics_channels, patterns(texts))),
    },
    Setting {
        key: "state",
        value: "FILE",
        default: "none",
        help: "The file where the daemon writes its channels when it ends in order, and from which it reads them when \
               it starts",
        set: Set::Daemon(|c, text| put(&mut c.state, file(text).map(Some))),
    },
];

fn admin(text: &str, names: &Names) -> Result<Option<Listen>, String> {
    match text {
        "off" => Ok(None),
        _ => listen_address(text, names)
            .map(Some)
            .map_err(|why| format!("{why}; off is for none")),
    }
}

fn patterns(texts: &[String]) -> Result<Vec<Pattern>, Vec<Mistake>> {
    let patterns = each(texts, Pattern::parse)?;
    match patterns.len() <= Config::METRICS_CHANNELS_MAX {
        true => Ok(patterns),
        false => Err(vec![Mistake::whole(
            "there are more than 64 patterns: each is a row of its own in every scrape",
        )]),
    }
}
