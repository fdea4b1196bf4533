//! Where to connect, and as whom: what `sub` and `pub` have in common on their command lines.

use std::time::Duration;

use clap::Args;
use fanfare::client::{Cause, Client, ClientError, ConnectError, Connector, Reconnect, Url};

use super::Exit;

/// Where to connect to.
#[derive(Args, Debug)]
pub(super) struct Target {
    /// The daemon: ws://HOST[:PORT][/PATH], or unix:SOCKET for a unix socket
    #[arg(long, env = "FANFARE_URL", default_value = "ws://127.0.0.1:8040")]
    url: Url,

    /// Send this header line with the handshake; may be given several times
    #[arg(long = "header", value_name = "K: V", value_parser = header)]
    headers: Vec<(String, String)>,
}

impl Target {
    /// Connects, or says why not.
    pub(super) fn connect(&self, give_up_after: Option<Duration>) -> Result<Client, Exit> {
        self.try_connect(give_up_after).map_err(|error| {
            eprintln!("fanfare: {}: {error}", self.url);
            match error {
                ConnectError::Url(_) | ConnectError::Request(_) => Exit::Usage,
                _ => Exit::NotConnected,
            }
        })
    }

    fn try_connect(&self, give_up_after: Option<Duration>) -> Result<Client, ConnectError> {
        let connector = Connector::new(&self.url.to_string())?.reconnect(Reconnect {
            give_up_after,
            ..Reconnect::default()
        });
        let with_header =
            |connector: Connector, (name, value): &(String, String)| connector.header(name, value);
        let client = self.headers.iter().fold(connector, with_header).client()?;
        eprintln!("fanfare: connected to {}", self.url);
        Ok(client)
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
    format!("disconnected: {cause}; again in {seconds:.1} s")
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
