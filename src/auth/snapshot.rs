//! Identities as bytes, for the process that goes on with their connections, and back.

use super::identity::{Claims, Identity, Means};
use crate::channel::pattern::Pattern;
use crate::snapshot::{Damaged, Reader, put, put_bytes, put_len, put_option};

/// Appends an identity, if there is one.
pub(crate) fn save(identity: Option<&Identity>, out: &mut Vec<u8>) {
    let Some(identity) = identity else {
        return out.push(0);
    };
    out.push(match identity.means {
        Means::Certificate => 1,
        Means::Basic => 2,
        Means::Token => 3,
    });
    put_bytes(out, identity.subject.as_bytes());
    put_option(out, identity.expires);
    put_option(out, identity.issued);
    put(out, identity.voucher);
    let Claims {
        subscribe,
        publish,
        admin,
    } = &identity.claims;
    for patterns in [subscribe, publish] {
        let Some(patterns) = patterns else {
            put(out, 0);
            continue;
        };
        put_len(out, patterns.len() + 1);
        for pattern in patterns {
            put_bytes(out, pattern.as_str().as_bytes());
        }
    }
    out.push(match admin {
        None => 0,
        Some(false) => 1,
        Some(true) => 2,
    });
}

/// What [`save`] has written.
///
/// # Errors
/// The bytes are not those of an identity.
pub(crate) fn restore(reader: &mut Reader<'_>) -> Result<Option<Identity>, Damaged> {
    let means = match reader.byte()? {
        0 => return Ok(None),
        1 => Means::Certificate,
        2 => Means::Basic,
        3 => Means::Token,
        _ => {
            return Err(Damaged(
                "somebody showed who it is by no means that there are",
            ));
        }
    };
    let subject = reader.text()?.into();
    let (expires, issued, voucher) = (reader.option()?, reader.option()?, reader.number()?);
    let (subscribe, publish) = (patterns(reader)?, patterns(reader)?);
    let admin = match reader.byte()? {
        0 => None,
        1 => Some(false),
        2 => Some(true),
        _ => return Err(Damaged("a claim is neither true nor false")),
    };
    Ok(Some(Identity {
        expires,
        issued,
        claims: Claims {
            subscribe,
            publish,
            admin,
        },
        ..Identity::new(means, subject, voucher)
    }))
}

fn patterns(reader: &mut Reader<'_>) -> Result<Option<Vec<Pattern>>, Damaged> {
    let Some(count) = reader.number()?.checked_sub(1) else {
        return Ok(None);
    };
    let mut patterns = Vec::new();
    for _ in 0..count {
        let pattern = Pattern::parse(reader.text()?);
        patterns.push(pattern.map_err(|_| Damaged("a claim is no pattern"))?);
    }
    Ok(Some(patterns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_the_same_afterwards() {
        let pattern = |text| Pattern::parse(text).expect("a pattern");
        let ada = Identity {
            expires: Some(5),
            issued: Some(4),
            claims: Claims {
                subscribe: Some(vec![pattern("a.*"), pattern(">")]),
                publish: Some(Vec::new()),
                admin: Some(true),
            },
            ..Identity::new(Means::Token, "ada".into(), u64::MAX)
        };
        for identity in [
            None,
            Some(ada),
            Some(Identity::new(Means::Basic, "b".into(), 0)),
        ] {
            let mut out = Vec::new();
            save(identity.as_ref(), &mut out);
            let mut reader = Reader::new(&out);
            assert_eq!(restore(&mut reader), Ok(identity));
            assert!(reader.is_at_end());
            for cut in 0..out.len() {
                assert!(restore(&mut Reader::new(&out[..cut])).is_err(), "{cut}");
            }
        }
    }
}
