//! Git's own lock on its index: `index.lock`, which becomes the index.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

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
}

impl IndexLock {
    /// Takes the lock of the index at this path, and waits about a second for another holder.
    pub fn take(index: &Path) -> Result<IndexLock, IndexError> {
        let mut lock = index.as_os_str().to_os_string();
        lock.push(".lock");
        let lock = PathBuf::from(lock);
        let mut waits = WAITS.iter();
        loop {
            match OpenOptions::new().write(true).create_new(true).open(&lock) {
                Ok(file) => return IndexLock::over(file, lock, index),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => match waits.next() {
                    Some(&wait) => thread::sleep(Duration::from_millis(wait)),
                    None => return Err(IndexError::Locked(lock)),
                },
                Err(error) => return Err(IndexError::at(&lock)(error)),
            }
        }
    }

    fn over(file: File, lock: PathBuf, index: &Path) -> Result<IndexLock, IndexError> {
        let mut held = IndexLock {
            index: index.to_path_buf(),
            lock,
            file: Some(file),
            born: SystemTime::UNIX_EPOCH,
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
