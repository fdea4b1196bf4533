//! Files that are read again when they change.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::timers::Millis;

/// How often the files are looked at.
const INTERVAL_MS: u64 = 2_000;

/// Looks at files now and then. It reads none of them.
#[derive(Debug)]
pub(super) struct Watch {
    files: Vec<PathBuf>,
    /// What they were when they were read.
    read: Vec<Option<Stamp>>,
    /// What they were at the last look.
    seen: Vec<Option<Stamp>>,
    next: Millis,
}

/// What tells one state of a file from another; `None` for a file that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    len: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Watch {
    /// The files are about to be read.
    pub(super) fn new(files: Vec<PathBuf>) -> Self {
        let mut watch = Watch {
            files,
            read: Vec::new(),
            seen: Vec::new(),
            next: 0,
        };
        watch.note_reading();
        watch
    }

    /// These files are about to be read.
    pub(super) fn watch(&mut self, files: Vec<PathBuf>) {
        self.files = files;
        self.note_reading();
    }

    fn note_reading(&mut self) {
        self.read = self.stamps();
        self.seen.clone_from(&self.read);
    }

    /// When to look at them next.
    pub(super) fn next_look(&self) -> Option<Millis> {
        (!self.files.is_empty()).then_some(self.next)
    }

    /// Looks at the files, if it is time. Says whether they are to be read: they are not what was read, and have been left
    /// alone since the last look. So a certificate is not read before its key is there, too.
    pub(super) fn look(&mut self, now: Millis) -> bool {
        if self.files.is_empty() || now < self.next {
            return false;
        }
        self.next = now + INTERVAL_MS;
        let stamps = self.stamps();
        let is_left_alone = stamps == self.seen;
        self.seen = stamps;
        is_left_alone && self.seen != self.read
    }

    fn stamps(&self) -> Vec<Option<Stamp>> {
        self.files.iter().map(|file| stamp(file)).collect()
    }
}

fn stamp(file: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(file).ok()?;
    Some(Stamp {
        device: metadata.dev(),
        inode: metadata.ino(),
        len: metadata.len(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A watch over one file that is not there yet.
    fn watch(name: &str) -> (PathBuf, Watch) {
        let file =
            std::env::temp_dir().join(format!("fanfare-watch-{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&file);
        (file.clone(), Watch::new(vec![file]))
    }

    #[test]
    fn a_file_that_changed_is_read_once_it_has_been_left_alone() {
        let (file, mut watch) = watch("changed");
        assert!(!watch.look(0));
        std::fs::write(&file, "1").expect("a file");
        assert!(!watch.look(1_999), "it is not time");
        assert!(!watch.look(2_000), "it has just changed");
        std::fs::write(&file, "22").expect("a file");
        assert!(!watch.look(4_000), "it has changed again");
        assert!(watch.look(6_000));
        watch.note_reading();
        assert!(!watch.look(8_000), "it was read");
        std::fs::remove_file(&file).expect("it is there");
        assert!(!watch.look(10_000) && watch.look(12_000));
    }

    #[test]
    fn a_file_is_looked_at_every_few_seconds_and_none_never() {
        let (_, mut watch) = watch("times");
        assert_eq!(watch.next_look(), Some(0));
        watch.look(0);
        assert_eq!(watch.next_look(), Some(2_000));
        let mut none = Watch::new(Vec::new());
        assert!(!none.look(0) && none.next_look().is_none());
    }
}
