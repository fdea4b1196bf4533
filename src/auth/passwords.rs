//! Names with passwords (RFC 7617), as an htpasswd file has them.
//!
//! A line is `name:hash`, and the hash is bcrypt's: it takes long on purpose, so that a stolen file gives no passwords away. How
//! long is its cost, 4 to 14: each step doubles it. A check of a name that is not there takes as long as one of the entry with
//! the greatest cost, so that nobody finds out by the clock which names there are.
//!
//! Checks block, and belong on a thread that may: nothing here knows threads, and nothing is remembered.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use bcrypt::HashParts;
use sha1::{Digest as _, Sha1};
use zeroize::Zeroizing;

use crate::secret_file::SecretFile;
use crate::words::Shown;

/// The longest file, in bytes.
const MAX_FILE_BYTES: usize = 1 << 20;

/// The longest password, in bytes: bcrypt does not look at what comes after.
const MAX_PASSWORD_BYTES: usize = 72;

/// The longest name, in bytes: it stands in answers and in the log.
const MAX_NAME_BYTES: usize = 256;

/// The costs that are taken. With the greatest one a check takes about a second.
const COSTS: std::ops::RangeInclusive<u32> = 4..=14;

/// What a name costs that is not in an empty file.
const USUAL_COST: u32 = 10;

/// The most of a name that stands in a message, in bytes.
const SHOWN_BYTES: usize = 60;

/// A name and a password that a client sent.
pub struct Credentials {
    /// The name.
    pub name: Box<str>,
    /// The password, wiped when it goes.
    pub password: Zeroizing<Vec<u8>>,
}

/// Without the password.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials of {:?}", self.name)
    }
}

impl Credentials {
    /// Takes a name and a password apart, with the colon between them. A name has no colon (RFC 7617 §2).
    ///
    /// # Errors
    /// Why no such name or password can be right, whatever the file says.
    pub fn read(pair: &[u8]) -> Result<Credentials, &'static str> {
        let at = pair.iter().position(|&byte| byte == b':');
        let at = at.ok_or("there is no colon after the name")?;
        let (name, password) = (&pair[..at], &pair[at + 1..]);
        let name = std::str::from_utf8(name).map_err(|_| "the name is not UTF-8")?;
        check_name(name)?;
        if password.len() > MAX_PASSWORD_BYTES {
            return Err("the password is longer than 72 bytes, and bcrypt would cut it there");
        }
        if password.iter().any(u8::is_ascii_control) {
            // A NUL ends a password for bcrypt, so others would be as good as it.
            return Err("the password has control characters");
        }
        Ok(Credentials {
            name: name.into(),
            password: Zeroizing::new(password.to_vec()),
        })
    }
}

/// Whether a name can be one (RFC 7617 §2). It has no colon.
fn check_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        return Err("the name is empty");
    }
    if name.len() > MAX_NAME_BYTES {
        return Err("the name is longer than 256 bytes");
    }
    match name.chars().any(char::is_control) {
        true => Err("the name has control characters"),
        false => Ok(()),
    }
}

/// What the file says of a name.
struct Entry {
    hash: Box<str>,
    voucher: u64,
}

/// All names, with what their passwords are checked against.
pub struct Passwords {
    entries: HashMap<Box<str>, Entry>,
    /// What the passwords of other names are checked against.
    decoy: Box<str>,
}

impl Passwords {
    /// Reads a file of at most 1 MiB. It blocks as long as the file system does.
    ///
    /// # Errors
    /// Everything that is wrong with it, one sentence each, with its place and with what to do. They show no hash.
    pub fn load(path: &Path) -> Result<Passwords, Vec<String>> {
        let place = path.display();
        let file = SecretFile::read(path, MAX_FILE_BYTES);
        let file = file.map_err(|why| vec![format!("{place}: {why}")])?;
        if file.is_readable_by_others() {
            log::warn!(
                "{place} can be read by every user of this machine, and whoever has it can try passwords: chmod o-r it"
            );
        }
        Passwords::read(file.bytes()).map_err(|mistakes| {
            let mistakes = mistakes.into_iter();
            mistakes
                .map(|(line, why)| format!("{place}:{line}: {why}"))
                .collect()
        })
    }

    /// Reads what is in a file: a line is an entry, or a comment after `#`, or blank.
    ///
    /// # Errors
    /// The number of each line that is wrong, from 1, and why.
    pub fn read(bytes: &[u8]) -> Result<Passwords, Vec<(usize, String)>> {
        let mut entries: HashMap<Box<str>, Entry> = HashMap::new();
        let mut lines: HashMap<&str, usize> = HashMap::new();
        let mut mistakes = Vec::new();
        let mut greatest = None;
        for (at, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
            let at = at + 1;
            let (name, hash, cost) = match read_line(line) {
                Ok(Some(read)) => read,
                Ok(None) => continue,
                Err(why) => {
                    mistakes.push((at, why));
                    continue;
                }
            };
            if let Some(before) = lines.insert(name, at) {
                let name = shown(name);
                mistakes.push((
                    at,
                    format!("{name} stands in line {before} already: leave one of the two out"),
                ));
            }
            greatest = greatest.max(Some(cost));
            let entry = Entry {
                hash: hash.into(),
                voucher: voucher_of(name, hash),
            };
            entries.insert(name.into(), entry);
        }
        match mistakes.is_empty() {
            true => Ok(Passwords {
                entries,
                decoy: decoy(greatest.unwrap_or(USUAL_COST)),
            }),
            false => Err(mistakes),
        }
    }

    /// Whether this is the password of this name. It takes as long as bcrypt does, also where there is no such name.
    pub fn check(&self, name: &str, password: &[u8]) -> bool {
        let entry = self.entries.get(name);
        let hash = entry.map_or(&self.decoy, |entry| &entry.hash);
        // It is an error only where the hash is none, and then nothing is right.
        let is_right = bcrypt::verify(password, hash).unwrap_or(false);
        is_right && entry.is_some() && password.len() <= MAX_PASSWORD_BYTES
    }

    /// What stands for a name's entry: another number once the entry has another hash. `None` for a name that is not there.
    pub fn voucher(&self, name: &str) -> Option<u64> {
        self.entries.get(name).map(|entry| entry.voucher)
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// It shows no hash.
impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Passwords of {} names", self.len())
    }
}

/// A name, its hash, and the hash's cost; `None` where a line says nothing.
fn read_line(line: &[u8]) -> Result<Option<(&str, &str, u32)>, String> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = std::str::from_utf8(line).map_err(|_| "the line is not UTF-8".to_owned())?;
    if line.starts_with('#') || line.trim().is_empty() {
        return Ok(None);
    }
    let Some((name, hash)) = line.split_once(':') else {
        return Err("the line has no colon: it has to be NAME:HASH".to_owned());
    };
    check_name(name).map_err(str::to_owned)?;
    let cost = cost_of(hash).map_err(|why| format!("{}: {why}", shown(name)))?;
    Ok(Some((name, hash, cost)))
}

/// The cost of a hash.
fn cost_of(hash: &str) -> Result<u32, String> {
    let is_bcrypt = ["$2y$", "$2b$", "$2a$"]
        .iter()
        .any(|kind| hash.starts_with(kind));
    if !is_bcrypt {
        return Err(
            "the hash is not one of bcrypt: `htpasswd -B FILE NAME` makes one in its place"
                .to_owned(),
        );
    }
    let parts = HashParts::from_str(hash).map_err(|_| {
        "the hash is damaged: one of bcrypt has 60 characters, and `htpasswd -B FILE NAME` makes one".to_owned()
    })?;
    let cost = parts.get_cost();
    match COSTS.contains(&cost) {
        true => Ok(cost),
        false => Err(format!(
            "the hash has the cost {cost}, and 4 to 14 are taken: `htpasswd -B -C 10 FILE NAME` makes one"
        )),
    }
}

/// A name as it is shown in messages.
fn shown(name: &str) -> String {
    format!("{:?}", Shown::new(name, SHOWN_BYTES).to_string())
}

/// It says whether an entry is the same as before, in every process: identities outlive theirs.
fn voucher_of(name: &str, hash: &str) -> u64 {
    // Neither of them has a colon.
    let digest = Sha1::new()
        .chain_update(name)
        .chain_update(":")
        .chain_update(hash);
    let first = digest.finalize().first_chunk().copied();
    u64::from_le_bytes(first.unwrap_or_default())
}

/// A hash of this cost that is nobody's.
fn decoy(cost: u32) -> Box<str> {
    format!("$2y${cost:02}${}", ".".repeat(53)).into()
}
