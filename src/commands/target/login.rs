//! As whom `sub` and `pub` connect.

use std::env;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use fanfare::client::{Connector, Token, Url};
use fanfare::secret_file::SecretFile;
use zeroize::{Zeroize, Zeroizing};

use crate::streams::say;

/// The variable that has a token.
pub(in crate::commands) const TOKEN_VARIABLE: &str = "FANFARE_TOKEN";
/// The variable that has the password of `--user`.
const PASSWORD_VARIABLE: &str = "FANFARE_PASSWORD";

/// The longest token, in bytes: no server takes a longer line.
const MAX_TOKEN: usize = 16 << 10;

/// As whom to connect.
#[derive(Args, Debug)]
pub(super) struct Login {
    /// Say who this is with the token in this file, in place of FANFARE_TOKEN. The file is read whenever a token is needed: when the connection is
    /// opened, before the token ends, and after the server refused it
    #[arg(long, value_name = "FILE", conflicts_with = "user")]
    token_file: Option<PathBuf>,

    /// Say who this is with a name and a password (HTTP Basic). The password is in FANFARE_PASSWORD, or else the terminal is asked for it
    // Looked at here: clap would show a password that stands behind the name.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
}

impl Login {
    /// Adds it to `connector`, which connects to `url`. `has_own` says that there is a header line that says who this is.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub(super) fn add(
        &self,
        connector: Connector,
        url: &Url,
        has_own: bool,
    ) -> Result<Connector, String> {
        if has_own {
            let given = [
                (self.token_file.is_some(), "--token-file"),
                (self.user.is_some(), "--user"),
            ];
            return match given.into_iter().find(|(is_given, _)| *is_given) {
                Some((_, option)) => Err(format!(
                    "give {option} or a header line Authorization, not both"
                )),
                None => Ok(connector),
            };
        }
        let (connector, secret) = if let Some(path) = &self.token_file {
            // Now, too: a file that is missing is a mistake, later it may be about to be replaced.
            read_token(path)?;
            let path = path.clone();
            (connector.token(move |_| read_token(&path)), "the token")
        } else if let Some(user) = &self.user {
            (with_user(connector, user)?, "the password")
        } else if let Some(token) = variable(TOKEN_VARIABLE)? {
            let token = Token::from(token.as_str());
            let give = move |_| Ok::<_, String>(token.clone());
            (connector.token(give), "the token")
        } else {
            return Ok(connector);
        };
        if !url.is_encrypted() && !url.is_local() {
            say(&format_args!(
                "{secret} goes over the network in the clear, where others can read it: give a URL that begins with wss://"
            ));
        }
        Ok(connector)
    }
}

fn with_user(connector: Connector, user: &str) -> Result<Connector, String> {
    if user.is_empty() || user.contains(char::is_control) {
        return Err("--user: give a name, without control characters".to_owned());
    }
    if user.contains(':') {
        return Err(format!(
            "--user: a name has no colon. A password does not belong on the command line, where others on this machine can read it: set {PASSWORD_VARIABLE}, or let the terminal be asked"
        ));
    }
    let password = match variable(PASSWORD_VARIABLE)? {
        Some(password) => password,
        None => ask(user).map_err(|error| {
            format!(
                "there is no terminal to ask for the password on ({error}): set {PASSWORD_VARIABLE}"
            )
        })?,
    };
    if password.contains(char::is_control) {
        return Err("a password has no control characters".to_owned());
    }
    Ok(connector.basic(user, &password))
}

/// Asks on the terminal itself: stdin may have what is to be published.
fn ask(user: &str) -> io::Result<Zeroizing<String>> {
    rpassword::prompt_password(format!("password of {user}: ")).map(Zeroizing::new)
}

/// What a variable says, if it says something. The copy in the environment stays.
pub(in crate::commands) fn variable(name: &str) -> Result<Option<Zeroizing<String>>, String> {
    let value = env::var_os(name).unwrap_or_default();
    match value.into_string() {
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => Ok(Some(Zeroizing::new(text))),
        Err(value) => {
            value.into_encoded_bytes().zeroize();
            Err(format!("{name}: it is not UTF-8"))
        }
    }
}

fn read_token(path: &Path) -> Result<Token, String> {
    token_in(path).map(|token| Token::from(token.as_str()))
}

/// Whether a text can be a token: one word of ASCII.
pub(in crate::commands) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The token in a file: one word. The line break behind it, if there is one, is none of it.
///
/// # Errors
/// A sentence that names the file.
pub(in crate::commands) fn token_in(path: &Path) -> Result<Zeroizing<String>, String> {
    let fails = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    let file = SecretFile::read(path, MAX_TOKEN).map_err(|error| fails(&error))?;
    let text = str::from_utf8(file.bytes()).map_err(|_| fails(&"it is not text"))?;
    let token = text.strip_suffix('\n').unwrap_or(text);
    let token = token.strip_suffix('\r').unwrap_or(token);
    if !is_token(token) {
        return Err(fails(&"it has no token: a token is one word of ASCII"));
    }
    Ok(Zeroizing::new(token.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_all_of_its_file_but_the_line_break() {
        let path = env::temp_dir().join(format!("fanfare-token-{}", std::process::id()));
        for (content, token) in [
            ("abc", Some("abc")),
            ("abc\n", Some("abc")),
            ("abc\r\n", Some("abc")),
            ("", None),
            ("\n", None),
            ("abc\n\n", None),
            ("a b", None),
            ("a\nb\n", None),
        ] {
            std::fs::write(&path, content).unwrap();
            let read = read_token(&path).ok();
            assert_eq!(read, token.map(Token::from), "{content:?}");
        }
        std::fs::write(&path, "x".repeat(20_000)).unwrap();
        let error = read_token(&path).unwrap_err();
        assert!(
            error.contains("16384 bytes") && !error.contains("xxx"),
            "{error}"
        );
        std::fs::remove_file(&path).unwrap();
        assert!(read_token(&path).is_err());
    }
}
