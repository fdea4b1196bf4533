//! Where a picture comes from: requests to the daemon's address for administration.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use zeroize::Zeroizing;

use crate::commands::Exit;
use crate::commands::target::login;

/// How long a connection, and each read of an answer, may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest answer that is read, in bytes.
const ANSWER_MAX: u64 = 8 << 20;

/// The daemon's address for administration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    Tcp(String),
    Unix(PathBuf),
}

impl Address {
    /// Reads what follows `--admin`.
    pub(super) fn parse(text: &str) -> Result<Address, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path.is_empty() {
                true => Err("give a path, such as unix:/run/fanfare/admin.sock".to_owned()),
                false => Ok(Address::Unix(path.into())),
            };
        }
        let text = text.strip_prefix("http://").unwrap_or(text);
        let text = text.strip_suffix('/').unwrap_or(text);
        let port = text.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
        match port {
            Some(Ok(_)) if !text.contains(char::is_control) => Ok(Address::Tcp(text.to_owned())),
            _ => Err("give HOST:PORT, such as 127.0.0.1:8041, or unix:PATH".to_owned()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => f.write_str(address),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Why there is no picture.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) why: String,
    pub(super) exit: Exit,
}

/// The daemon, as whom it is asked.
pub(super) struct Source {
    pub(super) address: Address,
    token: Option<Zeroizing<String>>,
}

impl Source {
    pub(super) fn new(address: Address, token: Option<Zeroizing<String>>) -> Source {
        Source { address, token }
    }

    /// The body of the answer to a GET; `None` where there is no such thing (404).
    pub(super) fn get(&self, path: &str) -> Result<Option<String>, Failed> {
        let lost = |error: io::Error| Failed {
            why: format!("{}: {error}", self.address),
            exit: Exit::NotConnected,
        };
        let answer = self.exchange(path).map_err(lost)?;
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&*answer, ""));
        let status = head.split(' ').nth(1).unwrap_or_default();
        match status {
            "200" => Ok(Some(body.to_owned())),
            "404" | "405" => Ok(None),
            _ => {
                let first = head.lines().next().unwrap_or_default();
                let shown: String = first
                    .chars()
                    .filter(|c| !c.is_control())
                    .take(200)
                    .collect();
                let why = format!("{}: GET {path} was answered by {shown:?}", self.address);
                let exit = Exit::Refused;
                Err(Failed { why, exit })
            }
        }
    }

    fn exchange(&self, path: &str) -> io::Result<Vec<u8>> {
        match &self.address {
            Address::Unix(socket) => {
                let stream = UnixStream::connect(socket)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                self.exchange_over(stream, "localhost", path)
            }
            Address::Tcp(address) => {
                let mut outcome = Err(io::Error::other("the name has no address"));
                for address in address.to_socket_addrs()? {
                    outcome = TcpStream::connect_timeout(&address, PATIENCE);
                    if outcome.is_ok() {
                        break;
                    }
                }
                let stream = outcome?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                self.exchange_over(stream, address, path)
            }
        }
    }

    /// Asks by HTTP/1.0, whose answers end with the connection and have no chunks.
    fn exchange_over(
        &self,
        mut stream: impl Read + Write,
        host: &str,
        path: &str,
    ) -> io::Result<Vec<u8>> {
        let mut request = Zeroizing::new(format!("GET {path} HTTP/1.0\r\nHost: {host}\r\n"));
        if let Some(token) = &self.token {
            request.push_str("Authorization: Bearer ");
            request.push_str(token);
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        stream.take(ANSWER_MAX).read_to_end(&mut answer)?;
        Ok(answer)
    }
}

/// The token in a file, or else that of the environment.
pub(super) fn token(file: Option<&Path>) -> Result<Option<Zeroizing<String>>, String> {
    if let Some(path) = file {
        return login::token_in(path).map(Some);
    }
    let text = login::variable(login::TOKEN_VARIABLE)?;
    match text.as_ref().is_none_or(|text| login::is_token(text)) {
        true => Ok(text),
        false => Err(format!(
            "{}: a token is one word of ASCII",
            login::TOKEN_VARIABLE
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_with_a_port_or_a_unix_socket() {
        let tcp = |text: &str| Ok(Address::Tcp(text.to_owned()));
        assert_eq!(Address::parse("127.0.0.1:8041"), tcp("127.0.0.1:8041"));
        assert_eq!(Address::parse("http://[::1]:1/"), tcp("[::1]:1"));
        assert_eq!(Address::parse("unix:/a"), Ok(Address::Unix("/a".into())));
        for text in ["", "unix:", "host", "host:x", "a\r\nb:1"] {
            assert!(Address::parse(text).is_err(), "{text:?}");
        }
    }
}
