//! What rustls says, for people: what is wrong and what to do.

use std::time::{Duration, SystemTime};

use rustls::pki_types::{ServerName, UnixTime};
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

use super::TlsError;
use crate::words::Shown;

/// How much is shown of the names in a certificate, in bytes.
const MAX_NAMES: usize = 300;

/// The sentence for `error`.
pub(super) fn explain(error: &Error) -> TlsError {
    match error {
        Error::InvalidCertificate(why) => TlsError::Certificate(certificate(why)),
        Error::NoCertificatesPresented => {
            TlsError::Certificate("the server shows no certificate".to_owned())
        }
        Error::AlertReceived(alert) => alerted(*alert),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => TlsError::NotTls,
        other => TlsError::Protocol(shown(other)),
    }
}

fn shown(error: &Error) -> String {
    Shown::new(error, MAX_NAMES).to_string()
}

fn certificate(why: &CertificateError) -> String {
    match why {
        CertificateError::UnknownIssuer => {
            "the server's certificate is signed by no authority that is trusted here: if it is your own, give the certificate of its authority (--ca FILE)"
                .to_owned()
        }
        CertificateError::Expired => {
            "the server's certificate has expired: renew it on the server".to_owned()
        }
        CertificateError::ExpiredContext { not_after, .. } => format!(
            "the server's certificate has expired, at {}: renew it on the server",
            date(*not_after)
        ),
        CertificateError::NotValidYet => {
            "the server's certificate is not valid yet: look at the clocks of both machines".to_owned()
        }
        CertificateError::NotValidYetContext { not_before, .. } => format!(
            "the server's certificate is not valid before {}: look at the clocks of both machines",
            date(*not_before)
        ),
        CertificateError::NotValidForName => {
            "the server's certificate is for another name than the URL's host".to_owned()
        }
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => wrong_name(expected, presented),
        CertificateError::Revoked => "the server's certificate is revoked".to_owned(),
        CertificateError::BadSignature => {
            "the server's certificate is not signed by the authority that it names: if the authority was made anew, give its new certificate (--ca FILE)"
                .to_owned()
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "the server's certificate is not meant for servers".to_owned()
        }
        // `webpki` has a name for it, which is public in none of the two libraries.
        other if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "the server's certificate is signed by itself: if it is the one that you expect, give it (--ca FILE)"
                .to_owned()
        }
        other => {
            let why = shown(&Error::InvalidCertificate(other.clone()));
            format!("the server's certificate is not accepted: {why}")
        }
    }
}

fn wrong_name(expected: &ServerName<'_>, presented: &[String]) -> String {
    let names: Vec<&str> = presented.iter().map(|name| plain(name)).collect();
    let expected = expected.to_str();
    if names.is_empty() {
        return format!(
            "the server's certificate is not for {expected}: it names no host (subjectAltName)"
        );
    }
    let names = names.join(", ");
    format!(
        "the server's certificate is not for {expected}: it is for {}",
        Shown::new(&names, MAX_NAMES)
    )
}

/// `DnsName("example.org")` and its like, as rustls shows a name, without what is for programmers.
fn plain(name: &str) -> &str {
    let inside = name.split_once('(').map(|(_, rest)| rest);
    let inside = inside.and_then(|rest| rest.strip_suffix(')'));
    inside.map_or(name, |inside| inside.trim_matches('"'))
}

fn alerted(alert: AlertDescription) -> TlsError {
    use AlertDescription as Alert;
    let refused = |why: &str| {
        TlsError::ClientCertificate(format!(
            "the server does not accept this client's certificate: {why}"
        ))
    };
    match alert {
        Alert::CertificateRequired | Alert::NoCertificate => TlsError::ClientCertificate(
            "the server wants a certificate of this client: give one and its key (--cert FILE --key FILE)"
                .to_owned(),
        ),
        Alert::UnknownCA => refused("it does not know its authority"),
        Alert::CertificateExpired => refused("it has expired, or is not valid yet"),
        Alert::CertificateRevoked => refused("it is revoked"),
        Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateUnknown
        | Alert::AccessDenied => refused("it does not say why"),
        Alert::UnrecognisedName => TlsError::Certificate(
            "the server has no certificate for the URL's host".to_owned(),
        ),
        Alert::ProtocolVersion => TlsError::Protocol(
            "the server speaks neither TLS 1.2 nor TLS 1.3".to_owned(),
        ),
        Alert::NoApplicationProtocol => {
            TlsError::Protocol("the server does not speak HTTP/1.1 on this port".to_owned())
        }
        other => TlsError::Protocol(format!("the server ended the handshake ({other:?})")),
    }
}

/// A moment as HTTP writes it.
fn date(time: UnixTime) -> String {
    // The formatter knows years of four digits only.
    if time.as_secs() >= YEAR_10000 {
        return "a time beyond the year 9999".to_owned();
    }
    httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(time.as_secs()))
}

/// The beginning of the year 10000, in seconds since 1970.
const YEAR_10000: u64 = 253_402_300_800;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_certificate_is_for_is_told_as_people_write_it() {
        let expected = ServerName::try_from("localhost").expect("a name");
        let presented = ["DnsName(\"example.org\")", "IpAddress(10.0.0.1)", "odd"];
        let presented = presented.map(str::to_owned);
        assert_eq!(
            wrong_name(&expected, &presented),
            "the server's certificate is not for localhost: it is for example.org, 10.0.0.1, odd"
        );
        let evil = ["DnsName(\"\u{1b}[2J\")".to_owned()];
        assert!(!wrong_name(&expected, &evil).contains(char::is_control));
    }

    #[test]
    fn a_time_is_told_whatever_it_is() {
        let day = UnixTime::since_unix_epoch(Duration::from_secs(86_400));
        assert_eq!(date(day), "Fri, 02 Jan 1970 00:00:00 GMT");
        for seconds in [u64::MAX, 253_402_300_800, i64::MAX as u64] {
            let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
            assert!(!date(time).is_empty());
        }
    }
}
