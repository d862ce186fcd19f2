//! Recording files that were just written, so that git need not read them again.

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime};

use super::lock::IndexLock;
use super::patch::{Patched, patch};
use super::{Entry, Fault, IndexError, Stamp, StatData, entries};
use crate::git::path::path_buf;
use crate::git::{Oid, Repo};

/// File systems take times from a clock that runs behind by up to a tick (10 ms at 100 Hz).
const CLOCK_LAG: Duration = Duration::from_millis(20);
const GITLINK: u32 = 0o160_000;

/// A file that was just written: its content, cleaned, is the blob that its entry names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fresh {
    /// Its path relative to the top of the work tree.
    pub path: Vec<u8>,
    /// The blob; an entry that names another one is left alone.
    pub oid: Oid,
    /// What `lstat` said right after it was in place.
    pub stat: StatData,
}

/// Whether to let the second end in which the files were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settle {
    /// Waits at most about a second, so that git trusts the entries and never cleans the files.
    Wait,
    /// Doesn't wait. Git cleans files of this second once more at each status, until one in a later
    /// second has rewritten the index.
    No,
}

/// What a refresh did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refreshed {
    /// So many entries were given the stat data of their files. The others had another blob, or
    /// their files changed meanwhile; git looks at those itself.
    Recorded(usize),
    /// The index is of a kind that only git can write: git was given so many files, and cleaned them.
    ByGit(usize),
}

/// Tells the index which files were just written.
///
/// Files that changed since `stat` was taken are left for git to find. An index without such an
/// entry is not written at all.
pub fn refresh(repo: &Repo, fresh: &[Fresh], settle: Settle) -> Result<Refreshed, IndexError> {
    let top = repo.need_work_tree()?;
    if fresh.is_empty() {
        return Ok(Refreshed::Recorded(0));
    }
    if settle == Settle::Wait {
        let newest = fresh.iter().map(|fresh| fresh.stat.mtime.seconds).max();
        wait_for_the_second_after(newest.unwrap_or(0), SystemTime::now());
    }
    // What git stores elsewhere is known to git alone.
    if cfg!(unix)
        && let Some(recorded) = record(repo.index_file(), top, repo.object_len(), fresh)?
    {
        return Ok(Refreshed::Recorded(recorded));
    }
    refresh_with_git(repo, fresh).map(Refreshed::ByGit)
}

/// Has git read and clean the files that were just written, and returns how many it was given.
///
/// That is what `git add` does, so it stages a change that is made meanwhile. (`git update-index
/// --refresh` doesn't help: where the size differs from what the entry says, git takes a file as
/// modified without cleaning it.)
pub fn refresh_with_git(repo: &Repo, fresh: &[Fresh]) -> Result<usize, IndexError> {
    let top = repo.need_work_tree()?;
    let fresh = unchanged(top, fresh)?;
    let mut input = Vec::new();
    let mut count = 0;
    for entry in entries(repo)? {
        let wanted = fresh.get(entry.path.as_slice());
        // The path of a merge that is unresolved would be resolved by it.
        if entry.stage == 0 && wanted.is_some_and(|fresh| fresh.oid == entry.oid) {
            input.extend_from_slice(&entry.path);
            input.push(0);
            count += 1;
        }
    }
    if count > 0 {
        repo.git().feed(["update-index", "-z", "--stdin"], input)?;
    }
    Ok(count)
}

/// Sleeps until the file system's clock is past this second; not for a time further ahead.
fn wait_for_the_second_after(second: u32, now: SystemTime) {
    let end = Duration::from_secs(u64::from(second) + 1) + CLOCK_LAG;
    let now = now.duration_since(SystemTime::UNIX_EPOCH);
    let wait = end.saturating_sub(now.unwrap_or(end));
    if wait <= Duration::from_secs(1) + CLOCK_LAG {
        thread::sleep(wait);
    }
}

/// Writes the numbers of the files that are still as they were; `None` where git must do it.
fn record(
    index: &Path,
    top: &Path,
    oid_len: usize,
    fresh: &[Fresh],
) -> Result<Option<usize>, IndexError> {
    let at = || IndexError::at(index);
    if index.extension().is_some_and(|name| name == "lock") {
        // A hook of `git commit`: git is making this file.
        return Err(IndexError::Locked(index.to_path_buf()));
    }
    match fs::symlink_metadata(index) {
        Ok(meta) if meta.is_symlink() => return Ok(None),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Some(0)),
        Err(error) => return Err(at()(error)),
    }
    let mut lock = IndexLock::take(index)?;
    // After the wait and the lock: what is recorded here was true after both.
    let fresh = unchanged(top, fresh)?;
    let written = fs::metadata(index).map_err(at())?;
    let bytes = fs::read(index).map_err(at())?;
    let race = Race {
        top,
        old: StatData::of(&written).mtime,
        new: lock.mtime()?.seconds,
    };
    let Some(patched) = race.patch(index, bytes, oid_len, &fresh)? else {
        return Ok(None);
    };
    if patched.recorded == 0 {
        return Ok(Some(0));
    }
    lock.write(&patched.bytes)?;
    lock.commit()?;
    Ok(Some(patched.recorded))
}

/// Entries of other files that were racy and would not be any more.
#[derive(Debug)]
struct Race<'a> {
    top: &'a Path,
    /// When the index was written.
    old: Stamp,
    /// The second in which it is written now.
    new: u32,
}

impl Race<'_> {
    /// `None` where only git can write such an index.
    fn patch(
        &self,
        index: &Path,
        bytes: Vec<u8>,
        oid_len: usize,
        fresh: &HashMap<&[u8], &Fresh>,
    ) -> Result<Option<Patched>, IndexError> {
        match patch(bytes, oid_len, fresh, |entry| self.is_doubtful(entry)) {
            Ok(patched) => Ok(Some(patched)),
            Err(Fault::Unsupported(_)) => Ok(None),
            Err(Fault::Damaged(what)) => Err(IndexError::Damaged {
                path: index.to_path_buf(),
                what,
            }),
        }
    }

    /// Whether a change of the entry's file would be seen by git now, as the entry is racy, but not
    /// after the index is written.
    ///
    /// With all digits of the times an entry that git calls racy is mostly not: its times are
    /// before the index was written, and the file still has them. Then no change was made after git
    /// looked at it, and the entry can stay. Size 0 would be safe too, but commands that don't
    /// refresh (`git diff-index`) would report the file.
    fn is_doubtful(&self, entry: &Entry<'_>) -> bool {
        let Stamp { seconds, .. } = entry.stat.mtime;
        if entry.mode == GITLINK || seconds < self.old.seconds || seconds >= self.new {
            return false;
        }
        let found = match lstat(self.top, entry.path) {
            Ok(Some(found)) => found,
            // A file that is not there is seen to be gone.
            Ok(None) => return false,
            Err(_) => return true,
        };
        let before = entry.stat.mtime < self.old && entry.stat.ctime < self.old;
        !(before && found == entry.stat)
    }
}

/// The files that are as they were when their stat data was taken, by path.
fn unchanged<'a>(
    top: &Path,
    fresh: &'a [Fresh],
) -> Result<HashMap<&'a [u8], &'a Fresh>, IndexError> {
    let mut same = HashMap::new();
    for fresh in fresh {
        if lstat(top, &fresh.path)? == Some(fresh.stat) {
            same.insert(fresh.path.as_slice(), fresh);
        }
    }
    Ok(same)
}

/// What the system says of a file; `None` where there is none.
fn lstat(top: &Path, path: &[u8]) -> Result<Option<StatData>, IndexError> {
    let path = top.join(path_buf(path));
    match fs::symlink_metadata(&path) {
        Ok(meta) => Ok(Some(StatData::of(&meta))),
        Err(error) => match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => Ok(None),
            _ => Err(IndexError::at(&path)(error)),
        },
    }
}

#[cfg(all(test, unix))]
mod tests;
