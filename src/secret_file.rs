//! Files that may hold a secret: a key, a token, passwords.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use zeroize::Zeroizing;

/// The bytes of a file, wiped when they go.
pub struct SecretFile {
    bytes: Zeroizing<Vec<u8>>,
    is_readable_by_others: bool,
}

impl SecretFile {
    /// The longest file of one key, in bytes.
    pub const KEY_BYTES_MAX: usize = 64 << 10;

    /// Reads a file of at most so many bytes. It blocks as long as the file system does.
    ///
    /// # Errors
    /// It can't be read, or is longer: a sentence without its path.
    pub fn read(path: &Path, max_bytes: usize) -> Result<Self, String> {
        let file = Self::try_read(path, max_bytes);
        let file = file.map_err(|error| format!("the file can't be read: {error}"))?;
        match file.bytes.len() > max_bytes {
            true => Err(format!("the file has more than {max_bytes} bytes")),
            false => Ok(file),
        }
    }

    /// Reads at most a byte more.
    fn try_read(path: &Path, max_bytes: usize) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        // All the room that is needed: what grows leaves a copy of what it held. The length of a pipe is not known.
        let room = match metadata.is_file() {
            true => usize::try_from(metadata.len()).map_or(max_bytes, |len| len.min(max_bytes)),
            false => max_bytes,
        };
        let mut bytes = Zeroizing::new(Vec::with_capacity(room + 1));
        file.take(max_bytes as u64 + 1).read_to_end(&mut bytes)?;
        Ok(Self {
            bytes,
            is_readable_by_others: metadata.is_file() && metadata.mode() & 0o004 != 0,
        })
    }

    /// What is in it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same, for good.
    pub fn into_bytes(self) -> Zeroizing<Vec<u8>> {
        self.bytes
    }

    /// Whether a user who is neither the file's owner nor of its group may read it.
    pub fn is_readable_by_others(&self) -> bool {
        self.is_readable_by_others
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_a_limit_and_told_from_one_that_others_may_read() {
        use std::os::unix::fs::PermissionsExt;
        let name = format!("fanfare-secret-file-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, "12345").expect("a file");
        for (mode, is_readable) in [(0o600, false), (0o644, true)] {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&path, permissions).expect("it is ours");
            let file = SecretFile::read(&path, 5).expect("it is short");
            assert_eq!(file.is_readable_by_others(), is_readable);
            assert_eq!((file.bytes(), file.bytes.capacity()), (&b"12345"[..], 6));
        }
        let why = SecretFile::read(&path, 4).err().expect("it is long");
        assert_eq!(why, "the file has more than 4 bytes");
        std::fs::remove_file(&path).expect("it is there");
        assert!(SecretFile::read(&path, 4).is_err());
    }
}
