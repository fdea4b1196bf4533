//! Unix sockets: a file that says where to connect, and that outlives its maker.
//!
//! Three things are promised about that file. Only a socket that nobody listens on any more is
//! replaced; whatever else lies at the path stays, and the error says what it is. The permissions
//! hold before anybody can connect. And when the listener ends, the file goes only if it is still
//! the listener's own, and not that of a successor.

use std::fs::{self, FileType, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use mio::net::UnixListener;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;
use rustix::process::umask;
use socket2::{Domain, SockAddr, Socket, Type};

use super::BACKLOG;

/// How often, and after what pause, the lock on a folder is tried again: two seconds in all.
const LOCK_TRIES: u32 = 200;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// The file of a unix socket that this process listens on.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    identity: Identity,
    /// Whether it is this process's: it is removed with it.
    is_own: bool,
}

/// Device and inode. As long as the listener is open, no other file gets the same two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity(u64, u64);

impl Identity {
    fn of(file: &Metadata) -> Identity {
        Identity(file.dev(), file.ino())
    }
}

impl SocketFile {
    /// The one that another process has bound at `path`: device and inode. It stays that process's until [`SocketFile::own`].
    pub(super) fn of_predecessor(path: &Path, (device, inode): (u64, u64)) -> SocketFile {
        SocketFile {
            path: path.to_owned(),
            identity: Identity(device, inode),
            is_own: false,
        }
    }

    /// That process does not go on with it: it is this one's.
    pub(super) fn own(&mut self) {
        self.is_own = true;
    }

    /// Takes these permissions away, if the file is still its own.
    pub(super) fn take_from(&self, permissions: u32) -> io::Result<()> {
        let file = fs::symlink_metadata(&self.path)?;
        if Identity::of(&file) != self.identity {
            return Ok(());
        }
        let mode = file.mode() & 0o777 & !permissions;
        set_mode(&self.path, &file, Some(mode))
    }

    /// Device and inode.
    pub(super) fn identity(&self) -> (u64, u64) {
        (self.identity.0, self.identity.1)
    }

    fn is_at(&self, path: &Path) -> bool {
        fs::symlink_metadata(path).is_ok_and(|file| Identity::of(&file) == self.identity)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if !self.is_own {
            return;
        }
        // One try: the holder of the lock looks whether anybody listens here, and is told yes.
        let _lock = lock_folder(&self.path, 1);
        if self.is_at(&self.path) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Binds and listens. `earlier` are the files of this process's other unix sockets.
///
/// # Errors
/// A sentence that names the path and what to do.
pub(super) fn bind<'a>(
    path: &Path,
    group: Option<u32>,
    mode: Option<u32>,
    mut earlier: impl Iterator<Item = &'a SocketFile>,
) -> Result<(SocketFile, UnixListener), String> {
    let name = format!("unix:{}", path.display());
    let explain = |error: io::Error| explain(&name, &error);
    let _lock = lock_folder(path, LOCK_TRIES);
    if let Some(other) = earlier.find(|file| file.is_at(path)) {
        let other = other.path.display();
        return Err(format!(
            "cannot listen on {name} beside unix:{other}: the two are the same path"
        ));
    }
    make_way(path, &name)?;
    let address = SockAddr::unix(path).map_err(|_| {
        format!("cannot listen on {name}: a unix socket's path has 107 bytes at most")
    })?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(explain)?;
    socket.set_nonblocking(true).map_err(explain)?;
    bind_with_mode(&socket, &address, mode).map_err(explain)?;
    let bound = fs::symlink_metadata(path).map_err(explain)?;
    // From here on it is removed if anything fails.
    let file = SocketFile {
        path: path.to_owned(),
        identity: Identity::of(&bound),
        is_own: true,
    };
    // Until it listens nobody can connect.
    set_mode(path, &bound, mode).map_err(explain)?;
    if let Some(group) = group {
        lchown(path, None, Some(group)).map_err(|error| {
            format!(
                "cannot give {name} to the group {group}: {error}; the daemon has to be a member \
                 of that group, or root"
            )
        })?;
    }
    socket.listen(BACKLOG).map_err(explain)?;
    let listener = UnixListener::from_std(OwnedFd::from(socket).into());
    Ok((file, listener))
}

/// Removes the socket that a daemon no longer there has left behind.
fn make_way(path: &Path, name: &str) -> Result<(), String> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(explain(name, &error)),
    };
    if let Some(what) = other_than_a_socket(found.file_type()) {
        return Err(format!(
            "cannot listen on {name}: {what} is there, which is left as it is; remove it, or \
             choose another address"
        ));
    }
    match somebody_listens(path) {
        Ok(true) => return Err(taken(name)),
        Ok(false) => {}
        Err(error) => {
            return Err(format!(
                "cannot listen on {name}: a socket is there, and whether anybody listens on it \
                 cannot be told ({error}); if not, remove it"
            ));
        }
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(format!(
            "cannot listen on {name}: the socket there is left over, and cannot be removed: {error}"
        )),
        _ => Ok(()),
    }
}

/// What lies at the path, in words, unless it is a socket.
fn other_than_a_socket(kind: FileType) -> Option<&'static str> {
    if kind.is_socket() {
        None
    } else if kind.is_dir() {
        Some("a folder")
    } else if kind.is_symlink() {
        Some("a symbolic link")
    } else if kind.is_file() {
        Some("a file that is no socket")
    } else {
        Some("a pipe or a device")
    }
}

/// Whether the socket at `path` has somebody behind it.
fn somebody_listens(path: &Path) -> io::Result<bool> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Else it would wait for a listener that has a full backlog.
    socket.set_nonblocking(true)?;
    let Err(error) = socket.connect(&SockAddr::unix(path)?) else {
        return Ok(true);
    };
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::CONNREFUSED | Errno::NOENT) => Ok(false),
        // A full backlog; a socket of another type, such as a logger's.
        Some(Errno::AGAIN | Errno::PROTOTYPE) => Ok(true),
        _ => Err(error),
    }
}

/// Binds so that the file has its permissions from its first moment on. `umask` is the whole
/// process's, which has one thread here.
fn bind_with_mode(socket: &Socket, address: &SockAddr, mode: Option<u32>) -> io::Result<()> {
    let Some(mode) = mode else {
        return socket.bind(address);
    };
    let before = umask(Mode::from_raw_mode(0o777 & !mode));
    let bound = socket.bind(address);
    umask(before);
    bound
}

/// Sets the permissions where the folder has a default access list, which outranks the `umask`.
fn set_mode(path: &Path, file: &Metadata, mode: Option<u32>) -> io::Result<()> {
    match mode {
        Some(mode) if file.mode() & 0o777 != mode => {
            fs::set_permissions(path, fs::Permissions::from_mode(mode))
        }
        _ => Ok(()),
    }
}

/// Locks the folder that `path` is in, until what is returned is dropped: of two daemons that start
/// at the same path in the same moment, the second finds the first one listening.
///
/// Everybody with a right to read the folder may hold this lock, so that it is not waited for without end, and a folder that cannot
/// be read or locked is no reason not to go on.
fn lock_folder(path: &Path, tries: u32) -> Option<OwnedFd> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let lock = open(folder, flags, Mode::empty()).ok()?;
    for attempt in 1..=tries {
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Some(lock),
            Err(Errno::AGAIN) if attempt < tries => std::thread::sleep(LOCK_PAUSE),
            Err(_) => return None,
        }
    }
    None
}

fn taken(name: &str) -> String {
    format!(
        "{name} is taken: another program, perhaps another fanfare, listens there; end it or \
         choose another address"
    )
}

fn explain(name: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => taken(name),
        io::ErrorKind::PermissionDenied => format!(
            "may not listen on {name}: permission denied; a unix socket needs a folder that can \
             be written to"
        ),
        io::ErrorKind::NotFound => format!("cannot listen on {name}: its folder does not exist"),
        _ => format!("cannot listen on {name}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_another_process_stays_until_it_is_this_ones() {
        let folder = std::env::temp_dir().join(format!("fanfare-file-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("socket");
        fs::write(&path, "").expect("a file");
        let metadata = fs::symlink_metadata(&path).expect("it is there");
        let identity = (metadata.dev(), metadata.ino());
        drop(SocketFile::of_predecessor(&path, identity));
        assert!(
            path.exists(),
            "a process that did not take over removes nothing"
        );
        let mut file = SocketFile::of_predecessor(&path, identity);
        file.own();
        drop(file);
        assert!(!path.exists());
        fs::remove_dir_all(&folder).expect("it is ours");
    }
}
