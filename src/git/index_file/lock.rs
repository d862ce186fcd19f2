//! Git's own lock on its index: `index.lock`, which becomes the index.
//!
//! The file is made without a name where the system can do that, so that a [`Guard`] knows which file
//! it is before it is the lock.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use super::guard::Guard;
use super::stat::StatData;
use super::{IndexError, Stamp};

/// How long each wait for another holder is. Git holds the lock for the time of a write.
const WAITS: [u64; 8] = [5, 10, 20, 40, 80, 160, 320, 640];

/// The lock, held. Dropped before [`IndexLock::commit`], it leaves the index as it was.
#[derive(Debug)]
pub struct IndexLock {
    index: PathBuf,
    lock: PathBuf,
    file: Option<File>,
    born: SystemTime,
    /// Dropped last, when the lock is gone.
    _guard: Option<Guard>,
}

impl IndexLock {
    /// Takes the lock of the index at this path, and waits about a second for another holder.
    pub fn take(index: &Path) -> Result<IndexLock, IndexError> {
        let mut lock = index.as_os_str().to_os_string();
        lock.push(".lock");
        let lock = PathBuf::from(lock);
        let mut waits = WAITS.iter();
        let mut unnamed = unnamed(index);
        let mut guard = unnamed.as_ref().and_then(|file| Guard::start(&lock, file));
        loop {
            let taken = match &unnamed {
                Some(file) => name(file, &lock).and_then(|()| file.try_clone()),
                None => OpenOptions::new().write(true).create_new(true).open(&lock),
            };
            match taken {
                Ok(file) => {
                    let guard = guard.or_else(|| Guard::start(&lock, &file));
                    return IndexLock::over(file, lock, index, guard);
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => match waits.next() {
                    Some(&wait) => thread::sleep(Duration::from_millis(wait)),
                    None => return Err(IndexError::Locked(lock)),
                },
                // This file system can make files without names, but not give them one.
                Err(_) if unnamed.is_some() => (unnamed, guard) = (None, None),
                Err(error) => return Err(IndexError::at(&lock)(error)),
            }
        }
    }

    fn over(
        file: File,
        lock: PathBuf,
        index: &Path,
        guard: Option<Guard>,
    ) -> Result<IndexLock, IndexError> {
        let mut held = IndexLock {
            index: index.to_path_buf(),
            lock,
            file: Some(file),
            born: SystemTime::UNIX_EPOCH,
            _guard: guard,
        };
        let born = fs::metadata(&held.lock).and_then(|meta| meta.modified());
        held.born = born.map_err(IndexError::at(&held.lock))?;
        Ok(held)
    }

    /// The mtime that the index gets, by the file system's own clock: when the lock was taken.
    pub fn mtime(&self) -> Result<Stamp, IndexError> {
        let meta = fs::metadata(&self.lock).map_err(IndexError::at(&self.lock))?;
        Ok(StatData::of(&meta).mtime)
    }

    /// Makes these bytes, which replace what was written before, the next index. However long that
    /// takes, its mtime stays: what is racy was decided by it, and an earlier one is safe.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), IndexError> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        let written = file
            .set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| file.write_all(bytes))
            .and_then(|()| file.set_modified(self.born));
        written.map_err(IndexError::at(&self.lock))
    }

    /// Puts what was written in the place of the index, with the index's permissions.
    ///
    /// Like git by default, it does not sync: after a power loss git rebuilds its index.
    pub fn commit(mut self) -> Result<(), IndexError> {
        let permissions = fs::metadata(&self.index).map(|meta| meta.permissions());
        permissions
            .and_then(|permissions| fs::set_permissions(&self.lock, permissions))
            .map_err(IndexError::at(&self.lock))?;
        // Open files can't be renamed everywhere.
        self.file = None;
        if let Err(error) = fs::rename(&self.lock, &self.index) {
            let _ = fs::remove_file(&self.lock);
            return Err(IndexError::at(&self.index)(error));
        }
        Ok(())
    }
}

impl Drop for IndexLock {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // Nothing can be done where it fails: git then names the file and the remedy.
            let _ = fs::remove_file(&self.lock);
        }
    }
}

/// A file beside the index that has no name yet.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn unnamed(index: &Path) -> Option<File> {
    use rustix::fs::{CWD, Mode, OFlags, openat};
    // Without it there is no way to give a name later.
    if !Path::new("/proc/self/fd").is_dir() {
        return None;
    }
    let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o666);
    openat(CWD, index.parent()?, flags, mode)
        .ok()
        .map(File::from)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn name(file: &File, lock: &Path) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD, linkat};
    use std::os::fd::AsRawFd;
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(linkat(CWD, link, CWD, lock, AtFlags::SYMLINK_FOLLOW)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn unnamed(_: &Path) -> Option<File> {
    None
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn name(_: &File, _: &Path) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_dropped_leaves_the_index() {
        let dir = tempfile::tempdir().unwrap();
        let index = dir.path().join("index");
        fs::write(&index, "old").unwrap();
        let mut lock = IndexLock::take(&index).unwrap();
        lock.write(b"new").unwrap();
        drop(lock);
        assert_eq!(fs::read(&index).unwrap(), b"old");
        assert!(!dir.path().join("index.lock").exists());
    }

    #[test]
    fn only_the_last_write_is_committed() {
        let dir = tempfile::tempdir().unwrap();
        let index = dir.path().join("index");
        fs::write(&index, "old").unwrap();
        let mut lock = IndexLock::take(&index).unwrap();
        lock.write(b"a longer text").unwrap();
        lock.write(b"new").unwrap();
        lock.commit().unwrap();
        assert_eq!(fs::read(&index).unwrap(), b"new");
        assert!(!dir.path().join("index.lock").exists());
    }

    #[test]
    fn the_index_is_as_old_as_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let index = dir.path().join("index");
        fs::write(&index, "old").unwrap();
        let mut lock = IndexLock::take(&index).unwrap();
        let mtime = lock.mtime().unwrap();
        // More than a tick of any file system's clock.
        thread::sleep(Duration::from_millis(30));
        lock.write(b"new").unwrap();
        assert_eq!(lock.mtime().unwrap(), mtime);
        lock.commit().unwrap();
        assert_eq!(StatData::of(&fs::metadata(&index).unwrap()).mtime, mtime);
    }

    #[test]
    fn somebody_elses_lock_is_named_and_left() {
        let dir = tempfile::tempdir().unwrap();
        let index = dir.path().join("index");
        fs::write(dir.path().join("index.lock"), "git's").unwrap();
        let error = IndexLock::take(&index).unwrap_err();
        assert!(matches!(&error, IndexError::Locked(path) if path.ends_with("index.lock")));
        assert!(error.hint().unwrap().contains("index.lock"));
        assert_eq!(fs::read(dir.path().join("index.lock")).unwrap(), b"git's");
    }
}
