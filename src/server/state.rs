//! `--state`: what channels hold, their epochs and numbers, and keys, from the orderly end of one daemon to the start of the next.
//!
//! The file is written at an orderly end and at no other time: from the middle of a run it would have the next daemon give out the same epoch and number twice. For the same reason
//! it is moved away before what it says is used, and removed after. A file that makes no sense is moved aside, and the daemon starts with nothing.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use log::{error, info, warn};
use sha1::{Digest as _, Sha1};

use super::clock::Clock;
use super::service::Service;
use crate::hub::snapshot::{Copied, Restored};
use crate::snapshot::{Damaged, Reader, VERSION, is_known, put, put_bytes};

/// What the file begins with.
const MAGIC: &[u8; 16] = b"fanfare state\r\n\n";

/// Bytes of the sum at its end.
const SUM_BYTES: usize = 20;

/// Bytes of channels that are put together before they are written.
const PIECE: usize = 1 << 20;

/// A file of which every byte that is written is in the sum.
struct Summed<W> {
    under: W,
    sum: Sha1,
}

impl<W: Write> Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sum.update(bytes);
        self.under.write_all(bytes)
    }
}

/// Writes the file. `now` is the loop's time.
pub(super) fn save(path: &Path, service: &Service, now: u64) {
    match try_save(path, service, now) {
        Ok(bytes) => info!("the state was written to {}: {bytes} bytes", path.display()),
        Err(error) => error!(
            "the state is lost: {} cannot be written: {error}",
            path.display()
        ),
    }
}

fn try_save(path: &Path, service: &Service, now: u64) -> io::Result<u64> {
    let draft = beside(path, ".new");
    // What an attempt before has left.
    if let Err(error) = fs::remove_file(&draft)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    let written = write_all(file, service, now).and_then(|bytes| {
        fs::rename(&draft, path)?;
        sync_folder(path)?;
        Ok(bytes)
    });
    if written.is_err() {
        // The error is what matters.
        let _ = fs::remove_file(&draft).is_ok();
    }
    written
}

fn write_all(file: File, service: &Service, now: u64) -> io::Result<u64> {
    let mut out = Summed {
        under: io::BufWriter::new(file),
        sum: Sha1::new(),
    };
    let mut piece = Vec::new();
    piece.extend_from_slice(MAGIC);
    put(&mut piece, VERSION);
    put(&mut piece, now);
    put(&mut piece, wall_ms());
    let mut keys = Vec::new();
    service.keys.save(&mut keys);
    put_bytes(&mut piece, &keys);
    out.write(&piece)?;
    let mut bytes = piece.len();
    let mut copied = Copied::default();
    let mut is_all = false;
    while !is_all {
        let mut records = Vec::new();
        is_all = service.hub.copy(&mut copied, PIECE, &mut records);
        if is_all {
            service.hub.conclude_copy(&copied, &mut records);
        }
        piece.clear();
        put_bytes(&mut piece, &records);
        out.write(&piece)?;
        bytes += piece.len();
    }
    let sum = out.sum.finalize();
    out.under.write_all(&sum)?;
    let file = out
        .under
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    Ok((bytes + SUM_BYTES) as u64)
}

/// Takes what the file says, if there is one, and moves it away before that.
///
/// # Errors
/// A sentence: it cannot be moved, so that what it says might be used a second time, or it makes no sense.
pub(super) fn load(path: &Path, service: &mut Service, clock: &mut Clock) -> Result<(), String> {
    let explain = |what: &str, error: &io::Error| {
        let path = path.display();
        format!("the state {path} cannot be {what}: {error}; remove it or choose another --state")
    };
    let mut bytes = Vec::new();
    match File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(explain("read", &error)),
        Ok(_) => {}
    }
    let body = match check(&bytes) {
        Ok(body) => body,
        Err(why) => {
            let aside = beside(path, ".damaged");
            fs::rename(path, &aside).map_err(|error| explain("moved aside", &error))?;
            error!(
                "{} is no state that can be used: {why}. It lies at {} now, and the daemon starts with nothing",
                path.display(),
                aside.display()
            );
            return Ok(());
        }
    };
    let used = beside(path, ".used");
    fs::rename(path, &used)
        .and_then(|()| sync_folder(path))
        .map_err(|error| explain("moved", &error))?;
    match restore(body, service, clock) {
        Ok(()) => {
            let stats = service.hub.stats();
            info!(
                "the state of {} was taken over: {} channels, {} messages",
                path.display(),
                stats.channels,
                stats.messages
            );
            if let Err(error) = fs::remove_file(&used) {
                warn!("{} cannot be removed: {error}", used.display());
            }
            Ok(())
        }
        // The sum is right, so that is what was written.
        Err(damaged) => Err(format!(
            "the state {} was read, and makes no sense: {damaged}. It lies at {} now: start the daemon once more, and it starts with nothing",
            path.display(),
            used.display()
        )),
    }
}

/// What stands between the head and the sum of a state that can be read.
///
/// # Errors
/// Why the bytes are none.
fn check(bytes: &[u8]) -> Result<&[u8], String> {
    let rest = bytes
        .strip_prefix(MAGIC)
        .ok_or("it does not begin as one")?;
    let mut reader = Reader::new(rest);
    let version = reader.number().map_err(|damaged| damaged.to_string())?;
    if !is_known(version) {
        return Err(format!(
            "it has version {version}, and version {VERSION} is read"
        ));
    }
    let body = reader.rest().split_last_chunk::<SUM_BYTES>();
    let (body, sum) = body.ok_or("it ends too early")?;
    match Sha1::digest(&bytes[..bytes.len() - SUM_BYTES])[..] == sum[..] {
        true => Ok(body),
        false => Err("its sum is wrong".to_owned()),
    }
}

fn restore(body: &[u8], service: &mut Service, clock: &mut Clock) -> Result<(), Damaged> {
    let mut reader = Reader::new(body);
    let (then, wall) = (reader.number()?, reader.number()?);
    // What was held for a time has grown older meanwhile.
    let now = then.checked_add(wall_ms().saturating_sub(wall));
    clock.set(now.ok_or(Damaged("a time is after all others"))?);
    let now = clock.now();
    service.now = now;
    service.hub.set_time(now);
    service.keys.restore(&mut Reader::new(reader.bytes()?))?;
    let mut restored = Restored::default();
    while !reader.is_at_end() {
        service.hub.restore(reader.bytes()?, &mut restored)?;
    }
    Ok(())
}

/// Milliseconds since 1970.
fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or(Duration::ZERO).as_millis() as u64
}

/// The path with something at its end.
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut path = OsString::from(path);
    path.push(end);
    path.into()
}

/// Has it written down which files the folder of `path` has.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
