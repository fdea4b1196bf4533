//! `fanfare token`: makes a token.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use fanfare::auth::token::{Algorithm, Claims, Signer, Stamp};
use fanfare::channel::pattern::Pattern;
use fanfare::secret_file::SecretFile;

use super::{Exit, write_out};
use crate::streams::say;

/// Print a token (JWT) that says who somebody is and what they may do, signed with a secret or a private key.
///
/// The daemon takes it if it has the same secret (--jwt-secret-file), or the public key (--jwt-key). A token is a key to the house:
/// send it only over connections that nobody reads, and let it end soon.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct TokenArgs {
    /// The file of the secret, or of a private key in PEM: RSA, P-256 or Ed25519
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,

    /// The client that the token is for: 1 to 255 bytes
    #[arg(long, value_name = "NAME")]
    subject: String,

    /// The channels that may be subscribed to; without a PATTERN none, without the option those of the daemon's rules
    #[arg(long, value_name = "PATTERN", num_args = 0.., value_parser = Pattern::parse)]
    subscribe: Option<Vec<Pattern>>,

    /// The channels that may be published to; without a PATTERN none, without the option those of the daemon's rules
    #[arg(long, value_name = "PATTERN", num_args = 0.., value_parser = Pattern::parse)]
    publish: Option<Vec<Pattern>>,

    /// The token is an administrator's: it may list and clear channels, see and end connections, and do all that the daemon's --admin address offers
    #[arg(long)]
    admin: bool,

    /// When the token ends, from now: a number of seconds, or one with s, m, h or d; or never
    // Not required for clap, which would not say why it has to be there.
    #[arg(long, value_name = "TIME", value_parser = expires)]
    expires: Option<Expires>,

    /// The maker of the token, for a daemon with --jwt-issuer
    #[arg(long, value_name = "TEXT")]
    issuer: Option<String>,

    /// The audience of the token, for a daemon with --jwt-audience; another daemon refuses it
    #[arg(long, value_name = "TEXT")]
    audience: Option<String>,

    /// How to sign: HS256, HS384, HS512, RS256, PS256, ES256 or EdDSA [default: HS256, RS256, ES256 or EdDSA, as the key is]
    #[arg(long, value_name = "NAME", value_parser = algorithm)]
    algorithm: Option<Algorithm>,
}

/// What the help says below the options.
const AFTER_HELP: &str = "\
    openssl rand -base64 48 > secret && chmod 600 secret
    fanfare token --key-file secret --subject anna --subscribe 'prices.>' --expires 1h
    fanfare serve --jwt-secret-file secret

Exit codes: 0 the token was printed, 1 the key can't be used or the token can't be written, 2 the command line makes no sense.";

/// When a token ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expires {
    /// After so many seconds.
    After(u64),
    Never,
}

impl TokenArgs {
    /// Does it.
    pub(crate) fn run(self) -> Exit {
        match self.try_run() {
            Ok(()) => Exit::Done,
            Err((exit, why)) => {
                say(&why);
                exit
            }
        }
    }

    fn try_run(self) -> Result<(), (Exit, String)> {
        let Some(expires) = self.expires else {
            let why = "--expires is missing: a token that never ends is good until its key is replaced, whoever gets hold of \
                       it; give --expires 1h, or --expires never";
            return Err((Exit::Usage, why.into()));
        };
        let name = self.key_file.display();
        let of_key = |why| (Exit::Refused, format!("{name}: {why}"));
        let file = SecretFile::read(&self.key_file, SecretFile::KEY_BYTES_MAX).map_err(of_key)?;
        let signer = Signer::new(file.bytes(), self.algorithm).map_err(of_key)?;
        if file.is_readable_by_others() {
            say(&format_args!(
                "{name}: every user of this machine can read the file, and whoever reads it can make tokens: \
                 chmod o-r {name}"
            ));
        }
        if expires == Expires::Never {
            say(&"the token never ends: a daemon takes it only with --jwt-expiry optional");
        }
        let issued = now_s();
        let claims = Claims {
            subject: self.subject.into(),
            expires: match expires {
                Expires::After(seconds) => Some(issued.saturating_add(seconds)),
                Expires::Never => None,
            },
            // The stamp says it.
            issued: None,
            subscribe: self.subscribe,
            publish: self.publish,
            admin: self.admin.then_some(true),
        };
        let stamp = Stamp {
            issued,
            issuer: self.issuer.as_deref(),
            audience: self.audience.as_deref(),
        };
        let token = signer
            .sign(&claims, stamp)
            .map_err(|why| (Exit::Usage, why))?;
        write_out(format!("{token}\n").as_bytes()).map_err(|error| {
            (
                Exit::Refused,
                format!("the token can't be written: {error}"),
            )
        })
    }
}

/// Seconds since 1970.
fn now_s() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |time| time.as_secs())
}

/// `1h`, `never`.
fn expires(text: &str) -> Result<Expires, String> {
    const UNITS: [(&str, u64); 5] = [("", 1), ("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];
    if text == "never" {
        return Ok(Expires::Never);
    }
    let digits = text.len()
        - text
            .trim_start_matches(|char: char| char.is_ascii_digit())
            .len();
    let (number, unit) = text.split_at(digits);
    let unit = UNITS.iter().find(|(name, _)| *name == unit);
    let seconds = unit.and_then(|(_, seconds)| number.parse::<u64>().ok()?.checked_mul(*seconds));
    match seconds {
        Some(0) => Err("a token that ends now is good for nothing: give 1s or more".into()),
        Some(seconds) => Ok(Expires::After(seconds)),
        None => Err(
            "give a whole number of seconds, or one with s, m, h or d, such as 1h; or never".into(),
        ),
    }
}

fn algorithm(text: &str) -> Result<Algorithm, String> {
    Algorithm::named(text).ok_or_else(|| {
        let names = Algorithm::ALL.map(Algorithm::name).join(", ");
        format!("this is none of {names}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_a_span_of_time_or_never() {
        for (text, seconds) in [
            ("30", 30),
            ("30s", 30),
            ("2m", 120),
            ("1h", 3600),
            ("7d", 604_800),
        ] {
            assert_eq!(expires(text), Ok(Expires::After(seconds)), "{text}");
        }
        assert_eq!(expires("never"), Ok(Expires::Never));
        for bad in [
            "",
            "h",
            "0",
            "0h",
            "-1h",
            "1.5h",
            "1w",
            "1 h",
            "+1",
            "99999999999999999999",
            "9999999999999999999d",
        ] {
            assert!(expires(bad).is_err(), "{bad}");
        }
    }
}
