//! Git's index file: read without starting a process, and told which files were just written.
//!
//! Git takes a file as unchanged while `lstat` says what its index entry says. Whoever replaces a
//! file's content by other content that the clean filter turns into the same blob must therefore
//! put the new stat data into the entry, or git reads and cleans the file again to find out.
//! `git update-index` would clean every file to do so; [`refresh`] only writes the numbers.
//!
//! # Racy entries
//!
//! A file that changes twice within the resolution of its times looks unchanged after the second
//! change. Git therefore trusts an entry only when the file's mtime is in an earlier *second* than
//! the mtime of the index file; other entries are racy and compared by content. Seen with git
//! 2.47.3: a file written at 04.021 and added into an index written at 04.029 was cleaned by both
//! of two statuses within second 04, though 021 is before 029; once more by the first status in
//! second 05, which rewrote the index; never after that.
//!
//! So [`refresh`] can wait for the next second before it writes ([`Settle::Wait`]). And because
//! writing the index makes *other* racy entries look trustworthy, it does for them what git does:
//! those that may have changed behind the index's back get size 0, which makes git compare them.

mod guard;
mod listing;
mod lock;
mod patch;
mod refresh;
mod stat;
mod walk;

use std::io;
use std::path::{Path, PathBuf};

use super::GitError;

pub use guard::{guard_with, wait};
pub use listing::{IndexEntry, entries};
pub use patch::{Patched, patch};
pub use refresh::{Fresh, Refreshed, Settle, refresh, refresh_with_git};
pub use stat::{Stamp, StatData};
pub use walk::{Entry, Extensions, walk};

/// Why the bytes of an index can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// They are no index, or not a whole one.
    Damaged(&'static str),
    /// Git may understand them; this program does not.
    Unsupported(&'static str),
}

/// What can go wrong with git's index file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The file is not what git wrote.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// The index.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Another process is changing the index, or one died while it did.
    #[error("{} exists: another git command changes the index, or one was killed", .0.display())]
    Locked(PathBuf),
    /// The file system refused.
    #[error("{}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Git, asked in place of reading the file, failed.
    #[error(transparent)]
    Git(#[from] GitError),
}

impl IndexError {
    fn at(path: &Path) -> impl FnOnce(io::Error) -> IndexError + use<> {
        let path = path.to_path_buf();
        move |source| IndexError::Io { path, source }
    }

    /// What the user can do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            IndexError::Damaged { .. } => {
                Some("make it anew with `git read-tree HEAD`; staged changes are lost".into())
            }
            IndexError::Locked(path) => Some(format!(
                "when no git runs in this repository, remove {}",
                path.display()
            )),
            IndexError::Git(error) => error.hint(),
            IndexError::Io { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests;
