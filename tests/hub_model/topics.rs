//! The channels and patterns of a run, by small numbers.

use fanfare::channel::matcher::Matcher;
use fanfare::channel::topic::Topic;

/// The number of the first pattern; channels have those below it.
pub(super) const PATTERNS: u8 = 100;

/// The patterns. The last one stands for all channels, the others for those of one numbering only.
const TEXTS: [(Matcher, &str); 7] = [
    (Matcher::Parts, "even.*"),
    (Matcher::Parts, "odd.*"),
    (Matcher::Prefix, "even."),
    (Matcher::PartsAndParent, "odd.>"),
    (Matcher::Parts, "even.a"),
    (Matcher::Parts, "*.c"),
    (Matcher::Parts, ">"),
];

/// All patterns that take part; where a broker numbers some of the channels, none that stands for those of both kinds.
pub(super) fn patterns(is_linked: bool) -> std::ops::Range<u8> {
    PATTERNS..PATTERNS + TEXTS.len() as u8 - u8::from(is_linked)
}

/// Whether this is a pattern's number.
pub(super) fn is_pattern(number: u8) -> bool {
    number >= PATTERNS
}

/// A channel's name.
pub(super) fn name(channel: u8) -> String {
    let group = if channel.is_multiple_of(2) {
        "even"
    } else {
        "odd"
    };
    format!("{group}.{}", char::from(b'a' + channel))
}

/// A channel or a pattern by its number; `name` is where a channel's name is kept.
pub(super) fn topic(number: u8, kept: &mut String) -> Topic<'_> {
    match number.checked_sub(PATTERNS) {
        None => {
            *kept = name(number);
            Topic::Channel(kept)
        }
        Some(pattern) => {
            let (matcher, text) = TEXTS[usize::from(pattern)];
            Topic::Pattern(matcher, text)
        }
    }
}

/// The number of a channel or a pattern.
pub(super) fn number_of(topic: Topic<'_>) -> u8 {
    match topic {
        Topic::Channel(name) => name.bytes().next_back().expect("names are not empty") - b'a',
        Topic::Pattern(matcher, text) => {
            let at = TEXTS.iter().position(|known| *known == (matcher, text));
            PATTERNS + at.expect("a pattern of this run") as u8
        }
    }
}

/// Whether the pattern stands for the channel.
pub(super) fn takes(pattern: u8, channel: u8) -> bool {
    let (matcher, text) = TEXTS[usize::from(pattern - PATTERNS)];
    matcher.matches(text, &name(channel))
}
