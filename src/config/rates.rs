//! How often strangers may do something.

use super::settings::{Set, Setting, put};
use super::units::size;
use crate::auth::rates::Rate;

/// In the order of the help.
pub(super) const RATES: &[Setting] = &[
    Setting {
        key: "rate_connections",
        value: "RATE",
        default: "0",
        help: "How many connections an address may make, such as 100/m; IPv6 by /64; 0: no limit",
        set: Set::Daemon(|c, text| put(&mut c.rates.connections, rate(text))),
    },
    Setting {
        key: "rate_requests",
        value: "RATE",
        default: "0",
        help: "How many requests a connection and an identity may make, such as 50/s; 0: no limit",
        set: Set::Daemon(|c, text| put(&mut c.rates.requests, rate(text))),
    },
    Setting {
        key: "rate_bytes",
        value: "RATE",
        default: "0",
        help: "How many bytes a connection and an identity may send, such as 1MiB/s; 0: no limit",
        set: Set::Daemon(|c, text| put(&mut c.rates.bytes, rate_of_bytes(text))),
    },
    Setting {
        key: "rate_auth_failures",
        value: "RATE",
        default: "10/m",
        help: "How often an address may fail to show who it is; IPv6 by /64; 0: no limit",
        set: Set::Daemon(|c, text| put(&mut c.rates.auth_failures, rate(text))),
    },
];

/// A number of things in a second, a minute or an hour; 0 stands for no limit.
fn rate(text: &str) -> Result<Option<Rate>, String> {
    read(text, "50/s, 100/m or 5000/h", |number| {
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        number.parse().ok().filter(|_| is_number)
    })
}

/// The same of bytes, with the units that sizes have.
fn rate_of_bytes(text: &str) -> Result<Option<Rate>, String> {
    read(text, "64KiB/s, 1MiB/s or 1GiB/h", |number| {
        size(number).ok().and_then(|bytes| bytes.try_into().ok())
    })
}

fn read(
    text: &str,
    examples: &str,
    amount: impl Fn(&str) -> Option<u64>,
) -> Result<Option<Rate>, String> {
    let (number, per) = match text.split_once('/') {
        Some((number, per)) => (number.trim_end(), Some(per.trim_start())),
        None => (text, None),
    };
    let amount = amount(number);
    let per_ms = match per {
        Some("s") => 1_000,
        Some("m") => 60_000,
        Some("h") => 3_600_000,
        None if amount == Some(0) => return Ok(None),
        _ => 0,
    };
    match amount {
        Some(0) if per_ms > 0 => Err(format!(
            "{text:?} would allow nothing: give 0 alone for no limit"
        )),
        Some(amount) if amount > Rate::AMOUNT_MAX && per_ms > 0 => Err(format!(
            "{text:?} is too large for a rate: give 0 for no limit"
        )),
        amount => match amount.and_then(|amount| Rate::new(amount, per_ms)) {
            Some(rate) => Ok(Some(rate)),
            None => Err(format!(
                "{text:?} is not a rate: give a number with /s, /m or /h, such as {examples}; 0: no limit"
            )),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_in_a_second_a_minute_or_an_hour() {
        for (text, amount, per_ms) in [
            ("50/s", 50, 1_000),
            ("10/m", 10, 60_000),
            ("5000 / h", 5_000, 3_600_000),
        ] {
            assert_eq!(rate(text), Ok(Rate::new(amount, per_ms)), "{text}");
        }
        let bytes = rate_of_bytes("1MiB/s");
        assert_eq!(bytes, Ok(Rate::new(1 << 20, 1_000)));
        assert_eq!(rate_of_bytes("1000/m"), Ok(Rate::new(1_000, 60_000)));
        assert_eq!((rate("0"), rate_of_bytes("0")), (Ok(None), Ok(None)));
    }

    #[test]
    fn what_is_no_rate_is_refused_with_examples() {
        for text in [
            "", "/", "10", "/s", "10/", "10/d", "x/s", "-1/s", "+1/s", "1.5/s", "1MiB/s", "10/s/m",
        ] {
            let why = rate(text).unwrap_err();
            assert!(why.starts_with(&format!("{text:?} is not a rate")), "{why}");
            assert!(why.contains("100/m"), "{why}");
        }
        assert!(rate_of_bytes("1mb/s").unwrap_err().contains("64KiB/s"));
        assert!(rate("0/s").unwrap_err().contains("0 alone"));
        assert!(rate("1099511627777/s").unwrap_err().contains("too large"));
        assert!(
            rate_of_bytes("2000GiB/s")
                .unwrap_err()
                .contains("too large")
        );
    }
}
