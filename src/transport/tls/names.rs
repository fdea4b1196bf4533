//! The holder of a certificate, by its names (RFC 5280 §4.2.1.6).

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The name of a certificate's holder: the first name of the kind that comes first among URI, DNS name and e-mail address,
/// else the common name. `None` where that name is empty or has control characters: no other is taken for it.
pub(super) fn identity(der: &[u8]) -> Option<Box<str>> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let alternatives = certificate.subject_alternative_name().ok()?;
    let names = alternatives.map_or(&[][..], |extension| &extension.value.general_names);
    let kinds: [fn(&GeneralName<'_>) -> bool; 3] = [
        |name| matches!(name, GeneralName::URI(_)),
        |name| matches!(name, GeneralName::DNSName(_)),
        |name| matches!(name, GeneralName::RFC822Name(_)),
    ];
    let first = (kinds.iter()).find_map(|is_kind| names.iter().find(|name| is_kind(name)));
    let name = match first {
        Some(GeneralName::URI(name) | GeneralName::DNSName(name)) => name,
        Some(GeneralName::RFC822Name(name)) => name,
        _ => {
            let mut common = certificate.subject().iter_common_name();
            let name = common.next()?.as_str().ok()?;
            return accepted(name);
        }
    };
    accepted(name)
}

fn accepted(name: &str) -> Option<Box<str>> {
    let is_name = !name.is_empty() && !name.chars().any(char::is_control);
    is_name.then(|| name.into())
}

/// The host names that a certificate is for, in small letters; `*.` stands before a name for any one label more.
pub(super) fn hosts(der: &[u8]) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else {
        return Vec::new();
    };
    let Ok(Some(alternatives)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let names = alternatives.value.general_names.iter();
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        })
        .collect()
}

/// What is wrong with a certificate's time, in words that follow its file's name.
pub(super) fn out_of_date(der: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let validity = certificate.validity();
    let now = x509_parser::time::ASN1Time::now();
    if now > validity.not_after {
        Some(format!("ended on {}", validity.not_after))
    } else if now < validity.not_before {
        Some(format!("begins to hold on {} only", validity.not_before))
    } else {
        None
    }
}
