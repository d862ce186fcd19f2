//! The work tree: pointers become content.
//!
//! A file is replaced only while it is exactly the pointer that is to be replaced, by a rename of a
//! whole and verified file, through handles of directories that follow no links. Git's index is then
//! told, so that `git status` is clean and git cleans nothing.

mod current;
mod place;
#[cfg(any(not(unix), test))]
mod portable;
mod room;
mod settle;
#[cfg(unix)]
mod unix;

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use lob_store::{LobId, Progress, Store};
use rayon::prelude::*;

use crate::git::index_file::{self, Fresh, IndexError, Settle, StatData};
use crate::git::tree_path::{BadPath, TreePath};
use crate::git::{GitError, Oid, Pointer, Repo};
pub use current::{pointer_files, unfinished};
use place::{Found, look, replace, restore, sweep};
use room::Room;

#[cfg(not(unix))]
use portable::{Dir, Top};
#[cfg(unix)]
use unix::{Dir, Top};

/// Lobs from this size on are decoded by many threads each; smaller ones by one each.
const LARGE: u64 = 4 << 20;
/// Large lobs that are written at once. Each holds a window of decoded bytes in memory.
const LARGE_AT_ONCE: usize = 4;

/// A file of the work tree that is, or was, a pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PointerFile {
    /// Its path, as git writes it.
    pub path: Vec<u8>,
    /// The lob that the pointer names.
    pub id: LobId,
    /// The length that the pointer names.
    pub size: u64,
    /// Whether to make a file that is missing executable.
    pub executable: bool,
}

/// What to do where no file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// Nothing: the user deleted it.
    Leave,
    /// Make it: the user asked for it.
    Restore,
}

/// Why a file stays a pointer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The path may not be followed.
    #[error(transparent)]
    Path(#[from] BadPath),
    /// The file system refused.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The store could not give the content.
    #[error(transparent)]
    Store(#[from] lob_store::Error),
    /// The pointer lies about the length.
    #[error("the pointer says {said} bytes, but the lob has {is}")]
    Size {
        /// The length in the pointer.
        said: u64,
        /// The length of the lob.
        is: u64,
    },
    /// The disk of the work tree has not enough room.
    #[error("it has no room in the work tree, where {} MiB were free", free >> 20)]
    NoRoom {
        /// Bytes that were free before the first file was filled.
        free: u64,
    },
    /// There is no work tree.
    #[error(transparent)]
    Git(#[from] GitError),
}

impl Error {
    /// What the user can do about it, where the message does not say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Size { is, .. } => Some(wrong_size(*is)),
            Error::Store(error) => error.hint(),
            Error::Git(error) => error.hint(),
            Error::NoRoom { .. } => Some("make room on the disk of the work tree".into()),
            Error::Path(_) | Error::Io(_) => None,
        }
    }
}

/// The way out where a pointer lies about the length of its lob.
pub fn wrong_size(is: u64) -> String {
    format!("the pointer is wrong, not the lob: make its last line `size {is}` and commit that")
}

/// What became of all files.
#[derive(Debug, Default)]
pub struct Report {
    /// Files that have their content now.
    pub written: usize,
    /// Bytes in them.
    pub bytes: u64,
    /// Files that were no pointer (any more) or not there, and were left alone.
    pub left: usize,
    /// Files whose lob is not in the store.
    pub missing: Vec<PointerFile>,
    /// Files that stay pointers for another reason.
    pub failed: Vec<(Vec<u8>, Error)>,
    /// Why git's index could not be told; git then looks at the files itself.
    pub index: Option<IndexError>,
    /// Whether it was stopped before the end.
    pub interrupted: bool,
}

impl Report {
    /// All that went wrong.
    pub fn errors(&self) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
        let index = self.index.iter().map(|error| error as _);
        self.failed.iter().map(|(_, error)| error as _).chain(index)
    }
}

/// Replaces pointers by content from `store`, as many at once as is good, and tells git's index; also
/// of files that have their content already, where the index knows nothing of it.
///
/// Trouble with one file is in the report and stops nothing. Fails only without a work tree.
pub fn expand(
    repo: &Repo,
    store: &Store,
    targets: &[PointerFile],
    absent: Absent,
    when: Settle,
    progress: &dyn Progress,
) -> Result<Report, Error> {
    let top = repo.need_work_tree()?;
    let work = Work {
        top: Top::open(top)?,
        room: Room::of(top),
        store,
        absent,
        progress,
    };
    work.sweep(targets);
    let (large, small): (Vec<&PointerFile>, Vec<&PointerFile>) =
        targets.iter().partition(|target| target.size >= LARGE);
    let mut results = work.in_parallel(&large);
    results.par_extend(small.par_iter().map(|target| (*target, work.one(target))));

    let mut report = Report::default();
    let mut fresh = Vec::new();
    let mut whole_already = Vec::new();
    for (target, result) in results {
        match result {
            Ok(Done::Written(meta)) => {
                report.written += 1;
                report.bytes += target.size;
                fresh.extend(told(target, repo.object_len(), &meta));
            }
            Ok(Done::Left(meta)) => {
                report.left += 1;
                let whole = meta.filter(|meta| meta.len() == target.size);
                whole_already.extend(whole.map(|meta| (target, meta)));
            }
            Ok(Done::Missing) => report.missing.push(target.clone()),
            Err(Error::Store(lob_store::Error::Interrupted)) => report.interrupted = true,
            Err(error) => report.failed.push((target.path.clone(), error)),
        }
    }
    if !report.interrupted {
        fresh.extend(settle::settle(repo, &work.top, &whole_already));
    }
    // Who wants to stop does not want to wait.
    let when = if report.interrupted { Settle::No } else { when };
    report.index = index_file::refresh(repo, &fresh, when).err();
    Ok(report)
}

/// What is put into git's index.
fn told(target: &PointerFile, object_len: usize, meta: &Metadata) -> Option<Fresh> {
    Some(Fresh {
        path: target.path.clone(),
        oid: Oid::of_blob(&target.pointer(), object_len)?,
        stat: StatData::of(meta),
    })
}

impl PointerFile {
    /// Exactly the bytes that are replaced.
    fn pointer(&self) -> Vec<u8> {
        let (id, size) = (self.id, self.size);
        Pointer::Lob { id, size }.print()
    }
}

enum Done {
    Written(Metadata),
    Left(Option<Metadata>),
    Missing,
}

struct Work<'a> {
    top: Top,
    room: Room,
    store: &'a Store,
    absent: Absent,
    progress: &'a dyn Progress,
}

impl Work<'_> {
    /// Removes what killed runs left in the directories of these files.
    fn sweep(&self, targets: &[PointerFile]) {
        let mut seen = BTreeSet::new();
        for target in targets {
            let Ok(path) = TreePath::parse(&target.path) else {
                continue;
            };
            if seen.insert(path.split().0.to_vec()) {
                // What can't be swept now is swept by a later run.
                let _ = self.top.dir_of(&path).map(|dir| sweep(&dir));
            }
        }
    }

    /// A few at once, each with many threads of its own.
    fn in_parallel<'t>(
        &self,
        targets: &[&'t PointerFile],
    ) -> Vec<(&'t PointerFile, Result<Done, Error>)> {
        let next = AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            while let Some(target) = targets.get(next.fetch_add(1, Relaxed)) {
                done.push((*target, self.one(target)));
            }
            done
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = LARGE_AT_ONCE.min(cores).min(targets.len());
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
            let joined = workers.into_iter().map(|worker| worker.join());
            joined
                .flat_map(|done| done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        })
    }

    fn one(&self, target: &PointerFile) -> Result<Done, Error> {
        if self.progress.cancelled() {
            return Err(lob_store::Error::Interrupted.into());
        }
        let path = TreePath::parse(&target.path)?;
        let (_, name) = path.split();
        let pointer = target.pointer();
        let dir = match self.absent {
            Absent::Leave => self.top.dir_of(&path),
            Absent::Restore => self.top.make_dir_of(&path),
        };
        let dir = match dir {
            Ok(dir) => dir,
            Err(error) if is_elsewhere(&error) => return Ok(Done::Left(None)),
            Err(error) => return Err(error.into()),
        };
        if self.absent == Absent::Restore {
            restore(&dir, name, &pointer, target.executable)?;
        }
        let old = match look(&dir, name, &pointer)? {
            Found::Pointer(old) => old,
            Found::Other(meta) => return Ok(Done::Left(meta)),
            Found::Absent => return Ok(Done::Left(None)),
        };
        match self.store.lob(&target.id)? {
            None => return Ok(Done::Missing),
            Some(lob) if lob.size != target.size => {
                let (said, is) = (target.size, lob.size);
                return Err(Error::Size { said, is });
            }
            Some(_) => {}
        }
        let written = self.room.take(target.size, || {
            replace(&dir, name, &pointer, &old, |file| {
                self.store.write_to(&target.id, file, self.progress)?;
                Ok(())
            })
        })?;
        Ok(written.map_or(Done::Left(None), Done::Written))
    }
}

/// Whether the path leads to no directory of the work tree: then no pointer can be there.
fn is_elsewhere(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

#[cfg(test)]
mod expand_tests;
#[cfg(test)]
mod tests;
