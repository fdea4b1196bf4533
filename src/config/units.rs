//! Values as a person writes them, made into numbers: sizes, times, counts, switches, addresses, modes, groups.
//!
//! Each function answers what is wrong and what is allowed in one sentence, without saying where
//! the value stood: that is for the caller, who knows whether it was a flag, a variable or a line.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::Listen;
use super::mistake::Mistake;
use super::names::Names;
use crate::limit::Limit;

/// The largest size or count. A sum of what is there and what is asked for stays below overflow.
const SIZE_MAX: usize = usize::MAX >> 2;

/// The longest span of time in milliseconds: some 285,000 years.
const MS_MAX: u64 = 1 << 53;

/// Bytes: a whole number, alone or with a unit.
pub(super) fn size(text: &str) -> Result<usize, String> {
    const UNITS: [(&str, u64); 8] = [
        ("", 1),
        ("B", 1),
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
    ];
    let bytes = scaled(text, &UNITS, SIZE_MAX as u64).map_err(|why| match why {
        Scale::Malformed => format!(
            "{text:?} is not a size: give a whole number of bytes, alone or with one of B, kB, MB, \
             GB (thousands) or KiB, MiB, GiB (1024s), such as 64KiB"
        ),
        Scale::TooLarge => format!("{text:?} is too large for a size"),
    })?;
    usize::try_from(bytes).map_err(|_| format!("{text:?} is too large for this machine"))
}

/// Bytes, where 0 stands for no limit.
pub(super) fn size_limit(text: &str) -> Result<Limit, String> {
    size(text).map(limit_of)
}

/// A span of time in milliseconds, written as a whole number of seconds or with a unit.
pub(super) fn time_ms(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 5] = [
        ("", 1_000),
        ("ms", 1),
        ("s", 1_000),
        ("m", 60_000),
        ("h", 3_600_000),
    ];
    scaled(text, &UNITS, MS_MAX).map_err(|why| match why {
        Scale::Malformed => format!(
            "{text:?} is not a time: give a whole number of seconds, or a whole number with one of \
             ms, s, m or h, such as 30s"
        ),
        Scale::TooLarge => format!("{text:?} is too large for a time: give 0 for no limit"),
    })
}

/// A span of time in milliseconds, where 0 stands for no limit.
pub(super) fn timeout_ms(text: &str) -> Result<Limit, String> {
    time_ms(text).map(Limit::from)
}

/// A whole number of things.
pub(super) fn count(text: &str) -> Result<usize, String> {
    let number = scaled(text, &[("", 1)], SIZE_MAX as u64).map_err(|why| match why {
        Scale::Malformed => format!("{text:?} is not a number: give a whole number, such as 1000"),
        Scale::TooLarge => format!("{text:?} is too large: give 0 for no limit"),
    })?;
    usize::try_from(number).map_err(|_| format!("{text:?} is too large for this machine"))
}

/// A whole number of things, where 0 stands for no limit.
pub(super) fn count_limit(text: &str) -> Result<Limit, String> {
    count(text).map(limit_of)
}

/// `on` or `off`.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "on" | "true" | "1" => Ok(true),
        "off" | "false" | "0" => Ok(false),
        _ => Err(format!(
            "{text:?} is neither on nor off: give one of on, off, true, false"
        )),
    }
}

/// One of a few words.
pub(super) fn word<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    let known = words.iter().find(|(word, _)| *word == text);
    known.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        format!(
            "{text:?} is not known here: give one of {}",
            names.join(", ")
        )
    })
}

/// A file's permission bits, in octal.
pub(super) fn mode(text: &str) -> Result<u32, String> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    let is_octal = !digits.is_empty() && digits.bytes().all(|b| matches!(b, b'0'..=b'7'));
    let bits = u32::from_str_radix(digits, 8).ok();
    bits.filter(|bits| is_octal && *bits <= 0o777)
        .ok_or_else(|| {
            format!(
                "{text:?} is not a mode: give its permissions in octal, 0000 to 0777, such as 0660"
            )
        })
}

/// The number of a group that is given by its number or by its name. The name is looked up here, before the daemon starts.
pub(super) fn group(text: &str) -> Result<u32, String> {
    let groups = fs::read("/etc/group").unwrap_or_default();
    group_in(text, &groups)
}

/// [`group`], with the text of `/etc/group`: a line is `name:password:number:members`.
fn group_in(text: &str, groups: &[u8]) -> Result<u32, String> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number {
        // The largest number stands for "leave the group as it is" in the system call that sets it.
        let number = text.parse().ok().filter(|number| *number != u32::MAX);
        return number.ok_or_else(|| format!("{text:?} is too large for the number of a group"));
    }
    let lines = groups.split(|byte| *byte == b'\n');
    let mut fields = lines.map(|line| line.split(|byte| *byte == b':'));
    let number = fields.find_map(|mut fields| {
        let is_it = !text.is_empty() && fields.next()? == text.as_bytes();
        let number = fields.nth(1).filter(|_| is_it)?;
        str::from_utf8(number).ok()?.parse().ok()
    });
    number.ok_or_else(|| {
        format!(
            "{text:?} is not a group in /etc/group: give the name of a group there, or the number of any group"
        )
    })
}

/// Addresses to listen on, none twice; or all that is wrong with them.
pub(super) fn listen(texts: &[String], names: &Names) -> Result<Vec<Listen>, Vec<Mistake>> {
    let mut all: Vec<Listen> = Vec::with_capacity(texts.len());
    let mut mistakes = Vec::new();
    for (nth, text) in texts.iter().enumerate() {
        match listen_address(text, names).and_then(|address| unlisted(text, address, &all)) {
            Ok(address) => all.push(address),
            Err(why) => mistakes.push(Mistake {
                nth: Some(nth),
                why,
            }),
        }
    }
    if texts.is_empty() {
        mistakes.push(Mistake::whole(
            "the list is empty: give at least one address",
        ));
    }
    if mistakes.is_empty() {
        Ok(all)
    } else {
        Err(mistakes)
    }
}

/// The address that `text` stands for, unless it is listed already.
fn unlisted(text: &str, address: Listen, listed: &[Listen]) -> Result<Listen, String> {
    // A port of 0 is another one each time.
    let is_repeatable = matches!(&address, Listen::Tcp(tcp) if tcp.port() == 0);
    if !is_repeatable && listed.contains(&address) {
        return Err(format!(
            "{text:?} is {address}, which is in the list already"
        ));
    }
    Ok(address)
}

/// `HOST:PORT` or `unix:PATH`. What a name stands for, `names` knows or looks up.
pub(super) fn listen_address(text: &str, names: &Names) -> Result<Listen, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        return if path.is_empty() || path.contains('\0') {
            Err(format!(
                "{text:?} has no path: give one, such as unix:/run/fanfare.sock"
            ))
        } else {
            Ok(Listen::Unix(PathBuf::from(path)))
        };
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(Listen::Tcp(address));
    }
    let is_name = text.rsplit_once(':').is_some_and(|(host, port)| {
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
        !host.is_empty() && host.chars().all(plain) && port.parse::<u16>().is_ok()
    });
    if !is_name {
        return Err(format!(
            "{text:?} is not an address: give HOST:PORT, such as 127.0.0.1:8040, 0.0.0.0:8040, \
             [::1]:8040 or localhost:8040, or unix:/run/fanfare.sock"
        ));
    }
    names.address(text).map(Listen::Tcp)
}

/// As it is written: 0 stands for no limit.
fn limit_of(number: usize) -> Limit {
    Limit::from(number as u64)
}

/// Why a number with a unit could not be read.
enum Scale {
    Malformed,
    TooLarge,
}

/// A whole number with one of `units`, in the base unit, below `end`.
fn scaled(text: &str, units: &[(&str, u64)], end: u64) -> Result<u64, Scale> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    let factor = units
        .iter()
        .find(|(name, _)| *name == unit)
        .map(|(_, factor)| *factor);
    let (false, Some(factor)) = (number.is_empty(), factor) else {
        return Err(Scale::Malformed);
    };
    // Only digits stand here, so the one thing that can go wrong is their number.
    let number: u64 = number.parse().map_err(|_| Scale::TooLarge)?;
    let scaled = number.checked_mul(factor).ok_or(Scale::TooLarge)?;
    if scaled < end {
        Ok(scaled)
    } else {
        Err(Scale::TooLarge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The one thing that is wrong with these addresses.
    fn refusal(texts: &[&str]) -> String {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        let mut mistakes = listen(&texts, &Names::default()).unwrap_err();
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        mistakes.remove(0).why
    }

    #[test]
    fn each_unit_of_size_counts_as_many_bytes_as_it_says() {
        let sizes = [
            ("0", 0),
            ("7", 7),
            ("7B", 7),
            ("7 B", 7),
            ("2kB", 2_000),
            ("2MB", 2_000_000),
            ("2GB", 2_000_000_000),
            ("2KiB", 2_048),
            ("2MiB", 2_097_152),
            ("2 GiB", 2_147_483_648),
        ];
        for (text, bytes) in sizes {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn each_unit_of_time_counts_as_many_milliseconds_as_it_says() {
        let times = [
            ("0", 0),
            ("5", 5_000),
            ("5ms", 5),
            ("5s", 5_000),
            ("5 m", 300_000),
            ("5h", 18_000_000),
        ];
        for (text, ms) in times {
            assert_eq!(time_ms(text), Ok(ms), "{text}");
        }
    }

    #[test]
    fn nought_is_no_limit_where_a_limit_is_asked_for() {
        assert_eq!(size_limit("0KiB"), Ok(Limit::NONE));
        assert_eq!(count_limit("0"), Ok(Limit::NONE));
        assert_eq!(timeout_ms("0ms"), Ok(Limit::NONE));
        assert_eq!((size("0"), time_ms("0"), count("0")), (Ok(0), Ok(0), Ok(0)));
    }

    #[test]
    fn what_is_no_size_is_refused_with_the_units_there_are() {
        for text in [
            "", " ", "KiB", "1kib", "1K", "1.5MiB", "-1", "+1", "1  B", "1B ", "0x10", "٣",
        ] {
            let why = size(text).unwrap_err();
            assert!(why.starts_with(&format!("{text:?} is not a size")), "{why}");
            assert!(why.contains("KiB, MiB, GiB"), "{why}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused_with_the_units_there_are() {
        for text in ["", "s", "1 second", "1.5s", "-1s", "1d", "5M", "1µs"] {
            let why = time_ms(text).unwrap_err();
            assert!(why.starts_with(&format!("{text:?} is not a time")), "{why}");
            assert!(why.contains("ms, s, m or h"), "{why}");
        }
    }

    #[test]
    fn what_would_overflow_is_refused() {
        for text in [
            "99999999999999999999",
            "18446744073709551615",
            "18446744073709551615GiB",
        ] {
            assert!(size(text).unwrap_err().contains("too large"), "{text}");
        }
        for text in [
            "99999999999999999999ms",
            "9007199254740992ms",
            "18446744073709551615h",
        ] {
            assert!(time_ms(text).unwrap_err().contains("too large"), "{text}");
        }
        assert!(
            count("4611686018427387904")
                .unwrap_err()
                .contains("too large")
        );
        assert_eq!(time_ms("9007199254740991ms"), Ok(MS_MAX - 1));
    }

    #[test]
    fn a_mode_is_octal_with_or_without_a_nought_before_it() {
        let modes = [
            ("0660", 0o660),
            ("660", 0o660),
            ("0o660", 0o660),
            ("0", 0),
            ("777", 0o777),
            ("00000600", 0o600),
        ];
        for (text, bits) in modes {
            assert_eq!(mode(text), Ok(bits), "{text}");
        }
        for text in [
            "",
            "0o",
            "rw-rw----",
            "0668",
            "1777",
            "-1",
            "+660",
            "0x1b0",
            " 660",
            "432.0",
            "77777777777777",
        ] {
            let why = mode(text).unwrap_err();
            assert!(why.starts_with(&format!("{text:?} is not a mode")), "{why}");
            assert!(why.contains("0660"), "{why}");
        }
    }

    #[test]
    fn a_group_is_known_by_its_number_or_by_its_name() {
        let groups =
            b"root:x:0:\nwww-data:x:33:alice,bob\n# a comment\nbroken:x\nodd:x:y:\n\nlast:*:44:";
        for (text, number) in [("0", 0), ("4711", 4711), ("www-data", 33), ("last", 44)] {
            assert_eq!(group_in(text, groups), Ok(number), "{text}");
        }
        for text in ["", "nobody", "broken", "odd", "www", "alice", "-1"] {
            let why = group_in(text, groups).unwrap_err();
            assert!(
                why.starts_with(&format!("{text:?} is not a group")),
                "{why}"
            );
            assert!(why.contains("number"), "{why}");
        }
        for text in ["4294967295", "99999999999"] {
            assert!(group_in(text, groups).unwrap_err().contains("too large"));
        }
        assert_eq!(group("root"), Ok(0), "the machine's own file is read");
    }

    #[test]
    fn an_address_is_a_socket_address_a_name_or_a_unix_path() {
        let tcp = |text: &str| Listen::Tcp(text.parse().expect("an address of this test"));
        let addresses = [
            ("127.0.0.1:8040", tcp("127.0.0.1:8040")),
            ("[::1]:0", tcp("[::1]:0")),
            ("localhost:8040", tcp("127.0.0.1:8040")),
            (
                "unix:/run/fanfare.sock",
                Listen::Unix("/run/fanfare.sock".into()),
            ),
            ("unix:here.sock", Listen::Unix("here.sock".into())),
        ];
        for (text, address) in addresses {
            let read = listen(&[text.to_owned()], &Names::default());
            assert_eq!(read, Ok(vec![address]), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_examples() {
        for text in [
            "",
            "8040",
            ":8040",
            "*:8040",
            "localhost",
            "localhost:x",
            "1.2.3.4:65536",
            "::1:80",
        ] {
            let why = refusal(&[text]);
            assert!(
                why.starts_with(&format!("{text:?} is not an address")),
                "{why}"
            );
            assert!(why.contains("localhost:8040"), "{why}");
        }
        assert!(refusal(&["unix:"]).contains("has no path"));
        assert!(refusal(&[]).contains("at least one"));
    }

    #[test]
    fn an_address_may_not_be_listed_twice_unless_the_system_chooses_the_port() {
        for text in ["127.0.0.1:8040", "unix:/run/fanfare.sock"] {
            assert!(refusal(&[text, text]).contains("already"), "{text}");
        }
        let any = "127.0.0.1:0".to_owned();
        let both = listen(&[any.clone(), any], &Names::default());
        assert_eq!(both.map(|all| all.len()), Ok(2));
    }
}
