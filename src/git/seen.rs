//! What git's blobs are, remembered, so that no blob is asked for twice.
//!
//! A blob's id is the hash of its content, so what was once found stays true for ever: it is a
//! pointer, or it is content. The memory is a cache in one file, `<lob>/state/seen`, that is read
//! whole and written anew when something was learnt. Losing it costs time only: a file that is
//! damaged, of another version or of another repository format counts as empty.

mod file;
mod table;

use std::collections::HashMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use lob_store::disk::share_file;

use self::file::Image;
use super::{Oid, Pointer, Repo};

/// More than that is not remembered in one run: who walks a long history sees each blob once.
const LEARNT_MAX: usize = 1_000_000;

/// What a blob is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blob {
    /// It stands for a lob.
    Pointer(Pointer),
    /// It is a file of its own.
    Content,
}

impl Blob {
    /// The pointer that it is.
    pub fn pointer(self) -> Option<Pointer> {
        match self {
            Blob::Pointer(pointer) => Some(pointer),
            Blob::Content => None,
        }
    }
}

/// The memory of one repository, shared by its work trees and by processes that run at once.
#[derive(Debug)]
pub struct Seen {
    dir: PathBuf,
    image: Image,
    learnt: HashMap<Oid, Blob>,
    learnt_max: usize,
}

impl Seen {
    /// What earlier runs in this repository have seen. Never fails: without a file, or with one
    /// that can't be used, nothing was seen.
    pub fn open(repo: &Repo) -> Seen {
        Seen::open_in(&repo.lob_dir().join("state"), repo.object_len())
    }

    /// The same in this directory of state, for object ids of so many bytes.
    pub fn open_in(dir: &Path, oid_len: usize) -> Seen {
        Seen {
            dir: dir.to_path_buf(),
            image: Image::read(&dir.join("seen"), oid_len),
            learnt: HashMap::new(),
            learnt_max: LEARNT_MAX,
        }
    }

    /// What this blob is, if that is known.
    pub fn get(&mut self, oid: &Oid) -> Option<Blob> {
        let learnt = match self.learnt.is_empty() {
            true => None,
            false => self.learnt.get(oid).copied(),
        };
        learnt.or_else(|| self.image.find(oid))
    }

    /// Remembers what a blob is; a hint, and dropped where too much was learnt already.
    pub fn learn(&mut self, oid: Oid, blob: Blob) {
        if self.learnt.len() < self.learnt_max {
            self.learnt.insert(oid, blob);
        }
    }

    /// Writes what was learnt since the last time, together with what other processes have written
    /// meanwhile. Does nothing where nothing was learnt, where there is no store yet, and while
    /// another process writes: that costs only another look next time, as every error does.
    pub fn save(&mut self) -> io::Result<()> {
        if self.learnt.is_empty() || !self.dir.is_dir() {
            return Ok(());
        }
        let lock_path = self.dir.join("seen.lock");
        let mut options = File::options();
        let lock = options
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)?;
        // Where it fails it is another one's, who did.
        let _ = share_file(&lock_path, &lock);
        // A file system without locks is no reason to forget: a torn file would be noticed.
        if let Err(TryLockError::WouldBlock) = lock.try_lock() {
            return Ok(());
        }
        let path = self.dir.join("seen");
        self.image.reread(&path);
        let mut learnt: Vec<(Oid, Blob)> = self.learnt.drain().collect();
        learnt.sort_unstable_by_key(|(oid, _)| *oid);
        let new = self.dir.join("seen.new");
        self.image.write_with(&learnt, &new)?;
        fs::rename(&new, &path)?;
        // Closing it is the end of the lock.
        drop(lock);
        self.image = Image::read(&path, self.image.oid_len());
        Ok(())
    }
}

#[cfg(test)]
mod tests;
