//! Syncs that failed.
//!
//! That is final: what the system could not write it may have thrown away, and a second sync of the same
//! file or directory says nothing of it. So whoever promises that something lasts has to know of them.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use super::{Disk, DiskFile, Entry, Lock, Map};

/// The files and directories of which a sync failed in this process.
#[derive(Debug, Clone, Default)]
pub(crate) struct Refused(Arc<Mutex<HashSet<PathBuf>>>);

impl Refused {
    /// Whether `is_meant` is true of any of them.
    pub(crate) fn any(&self, is_meant: impl Fn(&Path) -> bool) -> bool {
        let refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        refused.iter().any(|path| is_meant(path))
    }

    fn note(&self, path: &Path, synced: io::Result<()>) -> io::Result<()> {
        synced.inspect_err(|_| {
            let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = refused.insert(path.to_path_buf());
        })
    }
}

/// A disk that notes which syncs fail.
#[derive(Debug)]
pub(crate) struct Noting {
    disk: Arc<dyn Disk>,
    refused: Refused,
}

impl Noting {
    /// Notes in `refused` what `disk` cannot sync.
    pub(crate) fn new(disk: Arc<dyn Disk>, refused: Refused) -> Noting {
        Noting { disk, refused }
    }

    fn file(&self, path: &Path, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        Box::new(NotingFile {
            file,
            path: path.to_path_buf(),
            refused: self.refused.clone(),
        })
    }
}

impl Disk for Noting {
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        // Nobody syncs what was opened for reading.
        self.disk.open(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.file(path, self.disk.create(path)?))
    }

    fn reopen(&self, path: &Path, len: u64) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.file(path, self.disk.reopen(path, len)?))
    }

    fn map(&self, path: &Path) -> io::Result<Map> {
        self.disk.map(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_dir(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.disk.list(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.refused.note(dir, self.disk.sync_dir(dir))
    }

    fn len(&self, path: &Path) -> io::Result<Option<u64>> {
        self.disk.len(path)
    }

    fn modified(&self, path: &Path) -> io::Result<SystemTime> {
        self.disk.modified(path)
    }

    fn touch(&self, path: &Path) -> io::Result<()> {
        self.disk.touch(path)
    }

    fn sync_time(&self, path: &Path) -> io::Result<()> {
        self.refused.note(path, self.disk.sync_time(path))
    }

    fn lock(&self, path: &Path, wait: bool) -> io::Result<Option<Lock>> {
        self.disk.lock(path, wait)
    }

    fn is_exposed(&self, path: &Path) -> io::Result<bool> {
        self.disk.is_exposed(path)
    }

    fn free_space(&self, path: &Path) -> io::Result<Option<u64>> {
        self.disk.free_space(path)
    }
}

#[derive(Debug)]
struct NotingFile {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    refused: Refused,
}

impl DiskFile for NotingFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.file.read_at(offset, buf)
    }

    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.file.append(bytes)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn sync(&self) -> io::Result<()> {
        self.refused.note(&self.path, self.file.sync())
    }

    fn hasten(&self, offset: u64) {
        self.file.hasten(offset);
    }

    fn release(&self) {
        self.file.release();
    }
}
