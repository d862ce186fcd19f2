//! What can go wrong in replication.

use std::io;
use std::path::{Path, PathBuf};

use super::plan::{Direction, Missing};
use crate::git::GitError;
use crate::git::index_file::IndexError;
use crate::remote;

/// The result of every fallible operation of replication.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of replication.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No remote was named, and there is none that would be meant.
    #[error("this repository has no remote")]
    NoRemote,
    /// The remote is not configured, and its name is no path or URL.
    #[error("there is no remote {0:?}")]
    UnknownRemote(String),
    /// A name that git does not resolve to a commit.
    #[error("{0:?} is no branch, tag or commit")]
    NoCommit(String),
    /// A git remote without a URL.
    #[error("the remote {0:?} has no URL")]
    NoUrl(String),
    /// The git repository in which the store would be is not there.
    #[error("there is no git repository at {}", .0.display())]
    NoGitRepository(PathBuf),
    /// A remote has commits that are not here.
    #[error(
        "{remote} has {count} commits or tags that are not here, such as {example}: what they need cannot be told"
    )]
    Unfetched {
        /// The remote.
        remote: String,
        /// How many.
        count: usize,
        /// The id of one of them.
        example: String,
    },
    /// The receiver has not enough room.
    #[error(
        "not enough room at {place}: {} MiB are needed, and {} MiB are to stay free; {} MiB are free now",
        needed.div_ceil(1 << 20), reserve.div_ceil(1 << 20), free >> 20
    )]
    NoSpace {
        /// The receiver.
        place: String,
        /// Which side that is.
        direction: Direction,
        /// Bytes that are needed.
        needed: u64,
        /// Bytes that are free.
        free: u64,
        /// Bytes that are to stay free.
        reserve: u64,
    },
    /// There is no room to try out what files take.
    #[error(
        "not enough room in {} to try it: {} MiB are needed, {} MiB are free",
        place.display(), needed.div_ceil(1 << 20), free >> 20
    )]
    NoScratch {
        /// The directory for temporary files.
        place: PathBuf,
        /// Bytes that are needed.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// The proof at the end of a run failed.
    #[error("{from} and {to} do not agree about what was moved")]
    Differ {
        /// The sender.
        from: String,
        /// The receiver.
        to: String,
    },
    /// A push that cannot bring all that its commits reference.
    #[error("{count} of the lobs that are to be pushed cannot be had, the first for {example}")]
    Unsendable {
        /// How many.
        count: usize,
        /// The path of the first of them, and why.
        example: String,
        /// What can be done about the first of them.
        way: String,
    },
    /// The store that a clone shares with others.
    #[error("the shared store of this repository: {why}")]
    Shared {
        /// Its directory.
        path: PathBuf,
        /// What is wrong with it.
        why: remote::Error,
    },
    /// A shared store that somebody else may write to.
    #[error("the shared store {} belongs to another user", .0.display())]
    Foreign(PathBuf),
    /// A line on the hook's stdin that is not git's.
    #[error("not a line of git's pre-push hook: {0:?}")]
    BadHookLine(String),
    /// A file of lob's own memory.
    #[error("{}: {source}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A remote.
    #[error(transparent)]
    Remote(#[from] remote::Error),
    /// Git.
    #[error(transparent)]
    Git(#[from] GitError),
    /// Git's index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The local store.
    #[error(transparent)]
    Store(#[from] lob_store::Error),
}

impl Error {
    /// A closure for `map_err` that adds the path of a state file.
    pub fn state(path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
        let path = path.to_path_buf();
        move |source| Error::State {
            path,
            source: lob_store::disk::bare(source),
        }
    }

    /// A line that git's hook did not get.
    pub(super) fn bad_hook_line(line: &[u8]) -> Error {
        let text = String::from_utf8_lossy(line);
        Error::BadHookLine(text.chars().take(200).collect())
    }

    /// Lobs that cannot be pushed to a remote.
    pub(super) fn unsendable(missing: &[Missing]) -> Error {
        let example = missing.first().map(|first| {
            let path = String::from_utf8_lossy(&first.want.path);
            format!("{path:?}: {}", first.why)
        });
        Error::Unsendable {
            count: missing.len(),
            example: example.unwrap_or_default(),
            way: missing
                .first()
                .map(|first| first.why.hint())
                .unwrap_or_default(),
        }
    }

    /// Whether the user or the caller stopped the work.
    pub fn is_interrupted(&self) -> bool {
        match self {
            Error::Store(lob_store::Error::Interrupted) => true,
            Error::Remote(error) => error.is_interrupted(),
            _ => false,
        }
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Error::NoRemote => {
                "name one: git remote add origin URL, or give a path or URL to lob".into()
            }
            Error::UnknownRemote(_) => {
                "git remote -v lists them; a path begins with / or ./".into()
            }
            Error::NoUrl(name) => format!("set one: git config remote.{name}.lobUrl file:///path"),
            Error::Unfetched { remote, .. } => {
                format!("get all of them: git fetch {remote} 'refs/*:refs/lob/{remote}/*'")
            }
            Error::NoSpace { direction, .. } => match direction {
                // A push has all that its commits need, or is none.
                Direction::Push => {
                    "make room there, such as with lob gc; lob.reserve is what stays free"
                }
                Direction::Pull => {
                    "make room there, or fetch less: --mode checkout; lob.reserve is what stays free"
                }
            }
            .into(),
            Error::NoScratch { .. } => {
                "measure less: --sample 100M; or name another directory: TMPDIR=/large/disk".into()
            }
            Error::Differ { .. } => {
                "run it again; if that does not help: lob fsck --deep --remote REMOTE".into()
            }
            Error::Unsendable { way, .. } => {
                format!("{way}; or push the commits without them: git push --no-verify")
            }
            Error::Shared { path, why } => match why {
                remote::Error::NoParent(_) => return why.hint(),
                remote::Error::Gone { .. } | remote::Error::OtherStore { .. } => format!(
                    "is its disk mounted? If it was moved: lob init --store ITS-NEW-PLACE; if it is gone for good: \
                     lob init --force, and lob fetch for what is elsewhere ({path:?} may then be another store)"
                ),
                _ => return why.hint(),
            },
            Error::Foreign(_) => {
                "clones of one user share a store: choose another directory for lob.store".into()
            }
            Error::Remote(error) => return error.hint(),
            Error::Git(error) => return error.hint(),
            Error::Index(error) => return error.hint(),
            Error::Store(error) => return error.hint(),
            Error::NoGitRepository(_) => {
                "is the share or disk mounted? git remote -v shows where the remote is".into()
            }
            _ => return None,
        })
    }
}
