//! What can go wrong with a remote.

use std::io;
use std::path::PathBuf;

use lob_store::{ChunkId, StoreId};

/// The result of every fallible operation on a remote.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a remote.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text names no place.
    #[error("{text:?} is not the place of a lob store: {why}")]
    BadLocation {
        /// What was given.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A transport of a later version.
    #[error("{scheme} remotes are not supported yet by this version of lob ({text:?})")]
    Unsupported {
        /// The scheme.
        scheme: String,
        /// What was given, without a user or password.
        text: String,
    },
    /// Nothing was ever pushed there.
    #[error("there is no lob store at {} yet", .0.display())]
    NoStore(PathBuf),
    /// The place is not there, and not even the directory above it.
    #[error("there is no lob store at {}, nor the directory above it", .0.display())]
    NoParent(PathBuf),
    /// A store was there before, and now nothing is.
    #[error("the store {expected} was at {} before, and now nothing is there", path.display())]
    Gone {
        /// The place.
        path: PathBuf,
        /// The store that was there.
        expected: StoreId,
    },
    /// Another store is at the place.
    #[error("{} holds the store {found}, but the store {expected} was there before", path.display())]
    OtherStore {
        /// The place.
        path: PathBuf,
        /// The store that was there.
        expected: StoreId,
        /// The store that is there now.
        found: StoreId,
    },
    /// The remote sent something else than it was asked for.
    #[error("{place} sent something that was not asked for: {what}")]
    Unasked {
        /// The remote.
        place: String,
        /// What came.
        what: String,
    },
    /// The receiver had a chunk when it was asked, and now it is gone.
    #[error("chunk {chunk} has left {place} while content was sent that needs it")]
    Left {
        /// The receiver.
        place: String,
        /// The chunk.
        chunk: ChunkId,
    },
    /// The store at one of the two ends.
    #[error(transparent)]
    Store(#[from] lob_store::Error),
}

impl Error {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Error::Unsupported { .. } => {
                "use a path or a file:// URL: git config remote.NAME.lobUrl file:///path".into()
            }
            Error::NoStore(_) => "push first; the first push makes the store".into(),
            Error::NoParent(path) => format!(
                "is the share or disk mounted? If the place is right: mkdir -p {:?}",
                path.parent().unwrap_or(path)
            ),
            Error::Gone { .. } => {
                "is the share or disk mounted? To begin anew there, forget the old store: \
                 git config remote.NAME.lobStoreId none"
                    .into()
            }
            Error::OtherStore { found, .. } => format!(
                "is the right share or disk mounted? If this store is meant: \
                 git config remote.NAME.lobStoreId {found}"
            ),
            Error::Left { .. } => {
                "somebody prunes that store, again and again: run this once more".into()
            }
            Error::Store(error) => return error.hint(),
            _ => return None,
        })
    }

    /// Whether the same call may succeed a moment later.
    pub fn is_transient(&self) -> bool {
        let Error::Store(error) = self else {
            return false;
        };
        let (lob_store::Error::Io { source, .. }
        | lob_store::Error::Source(source)
        | lob_store::Error::Sink(source)) = error
        else {
            return false;
        };
        matches!(
            source.kind(),
            io::ErrorKind::Interrupted
                | io::ErrorKind::WouldBlock
                | io::ErrorKind::TimedOut
                | io::ErrorKind::StaleNetworkFileHandle
                | io::ErrorKind::ResourceBusy
        )
    }

    /// Whether the user or the caller stopped the work.
    pub fn is_interrupted(&self) -> bool {
        matches!(self, Error::Store(lob_store::Error::Interrupted))
    }
}
