//! Where to connect, and as whom: what `sub` and `pub` have in common on their command lines.

mod encryption;
pub(super) mod login;

use std::time::Duration;
use std::{env, fmt};

use clap::Args;
use fanfare::client::{
    Cause, Client, ClientError, ConnectError, Connector, CredentialsError, Reconnect, Timeouts,
    TlsError, Url,
};
use fanfare::words::Shown;

use super::Exit;
use crate::streams::say;
use encryption::Encryption;
use login::Login;

/// Where the daemon is unless something else is said.
const DEFAULT_URL: &str = "ws://127.0.0.1:8040";
/// The variable that says something else.
const URL_VARIABLE: &str = "FANFARE_URL";

/// How much is shown of who this is to the server, in bytes.
const MAX_SUBJECT: usize = 200;

/// How long a command waits for its server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For a connection, after one that was lost; `None` for ever.
    pub(super) without_connection: Option<Duration>,
    /// For an answer that is due. After that the connection counts as lost.
    pub(super) without_answer: Duration,
}

/// Where to connect to.
#[derive(Args)]
pub(super) struct Target {
    /// The daemon: ws://HOST[:PORT][/PATH], wss:// for an encrypted connection, or unix:SOCKET for a unix socket [env: FANFARE_URL] [default: ws://127.0.0.1:8040]
    // Read without clap's help: it repeats what is wrong, which may have a secret in it, and takes an empty variable for a value.
    #[arg(long)]
    url: Option<String>,

    /// Send this header line with the handshake; may be given several times
    #[arg(long = "header", value_name = "K: V", value_parser = header)]
    headers: Vec<(String, String)>,

    #[command(flatten)]
    login: Login,

    #[command(flatten)]
    encryption: Encryption,
}

/// Header lines may be secret.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("url", &self.url().ok())
            .field("login", &self.login)
            .field("encryption", &self.encryption)
            .finish_non_exhaustive()
    }
}

impl Target {
    /// Connects, or says why not.
    pub(super) fn connect(&self, patience: Patience) -> Result<Client, Exit> {
        let usage = |problem: String| {
            say(&problem);
            Exit::Usage
        };
        let url = self.url().map_err(usage)?;
        let connector = self.connector(&url, patience).map_err(usage)?;
        let shown = url.without_token();
        let client = connector.client().map_err(|error| {
            say(&format_args!("{shown}: {error}"));
            match error {
                ConnectError::Url(_)
                | ConnectError::Request(_)
                | ConnectError::Credentials(CredentialsError::Token | CredentialsError::User)
                | ConnectError::Tls(TlsError::File { .. }) => Exit::Usage,
                _ => Exit::NotConnected,
            }
        })?;
        match client.subject() {
            Some(subject) => say(&format_args!(
                "connected to {shown} as {}",
                Shown::new(&*subject, MAX_SUBJECT)
            )),
            None => say(&format_args!("connected to {shown}")),
        }
        Ok(client)
    }

    /// The URL: of the command line, or else of the environment, or else the default.
    fn url(&self) -> Result<Url, String> {
        // It may have a token in it.
        let explain = |origin: &str, error| format!("{origin}: {error}");
        if let Some(url) = &self.url {
            return url.parse().map_err(|error| explain("--url", error));
        }
        let variable = env::var_os(URL_VARIABLE).unwrap_or_default();
        let text = variable
            .to_str()
            .ok_or_else(|| format!("{URL_VARIABLE}: it is not UTF-8"))?;
        let (text, origin) = if text.is_empty() {
            (DEFAULT_URL, "the default URL")
        } else {
            (text, URL_VARIABLE)
        };
        text.parse().map_err(|error| explain(origin, error))
    }

    fn connector(&self, url: &Url, patience: Patience) -> Result<Connector, String> {
        let timeouts = Timeouts {
            answer: patience.without_answer,
            ..Timeouts::default()
        };
        let reconnect = Reconnect {
            give_up_after: patience.without_connection,
            ..Reconnect::default()
        };
        let connector = Connector::new(&url.to_string()).map_err(|error| error.to_string())?;
        let connector = connector.reconnect(reconnect).timeouts(timeouts);
        let with_header =
            |connector: Connector, (name, value): &(String, String)| connector.header(name, value);
        let connector = self.headers.iter().fold(connector, with_header);
        let connector = self.encryption.add(connector, url)?;
        let mut names = self.headers.iter().map(|(name, _)| name);
        let has_own = names.any(|name| name.eq_ignore_ascii_case("Authorization"));
        self.login.add(connector, url, has_own)
    }
}

/// `K: V` as a header's name and value.
fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err(
            "a header line is a name, a colon and a value: 'Origin: https://example.org'".into(),
        ),
    }
}

/// The exit code for what ended a client's connection for good.
pub(super) fn exit_code(error: &ClientError) -> Exit {
    match error {
        ClientError::Over(cause) => match &**cause {
            Cause::Connect(_) | Cause::Silent => Exit::NotConnected,
            Cause::Lost(lost) if lost.comes_back() => Exit::NotConnected,
            _ => Exit::Refused,
        },
        _ => Exit::Refused,
    }
}

/// The notice for a connection that is lost for a while.
pub(super) fn reconnecting(wait: Duration, cause: &Cause) -> String {
    let seconds = wait.as_secs_f64();
    format!("disconnected: {cause}; trying again in {seconds:.1} s")
}

/// The notice for a token that is not renewed, for now.
pub(super) fn not_renewed(why: &str) -> String {
    format!("the token is not renewed: {}", Shown::new(why, usize::MAX))
}

/// The notice for answers that have been due for so long that the command gives up.
pub(super) fn overdue(timeout: Duration) -> String {
    format!("the server has not answered for {} s", timeout.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_line_is_split_at_its_first_colon() {
        let origin = ("Origin".to_owned(), "https://example.org:1".to_owned());
        assert_eq!(header("Origin: https://example.org:1"), Ok(origin));
        assert_eq!(header("X:"), Ok(("X".to_owned(), String::new())));
        assert!(header("Origin").is_err());
        assert!(header(": x").is_err());
    }
}
