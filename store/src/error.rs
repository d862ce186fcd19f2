//! What can go wrong in the engine. Every error names its object and, where there is one, the way out.

use std::io;
use std::path::{Path, PathBuf};

use crate::id::{ChunkId, LobId, PackId, StoreId};

/// The result of every fallible operation of the engine.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The reader that content was to come from failed.
    #[error("reading the content failed: {0}")]
    Source(#[source] io::Error),
    /// The writer that content was to go to failed.
    #[error("writing the content failed: {0}")]
    Sink(#[source] io::Error),
    /// The directory exists, but no store is in it.
    #[error("{} is not a lob store: it has no readable state/format", .0.display())]
    NotAStore(PathBuf),
    /// The directory that was to become a store holds something else.
    #[error("{} is not empty and is not a lob store; choose an empty or a new directory", .0.display())]
    Occupied(PathBuf),
    /// The store is of a later format.
    #[error("{} is a store of format {found}; this lob knows {known}: install a newer lob", path.display())]
    Newer {
        /// The store.
        path: PathBuf,
        /// The version in the store.
        found: u32,
        /// The latest version that this program knows.
        known: u32,
    },
    /// A file of the store has a part that this program does not know and must not pass over.
    #[error("{what}: {why}, which this lob does not know: install a newer lob")]
    Later {
        /// The file or the part of it.
        what: String,
        /// What is not known.
        why: String,
    },
    /// Another store is at the place where this one was known.
    #[error("the store {found} is where the store {expected} was before")]
    OtherStore {
        /// The id that was known.
        expected: StoreId,
        /// The id that was found.
        found: StoreId,
    },
    /// The store holds no lob of this id.
    #[error("lob {0} is not in this store")]
    NoLob(LobId),
    /// A chunk that something refers to is not in the store.
    #[error("chunk {0} is not in this store")]
    NoChunk(ChunkId),
    /// A file of the store is not what it must be.
    #[error("damaged: {what}: {why}")]
    Damaged {
        /// The file, frame, lob or chunk.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// Content does not hash to its id.
    #[error("the content of lob {expected} hashes to {found}")]
    WrongContent {
        /// The id that was asked for.
        expected: LobId,
        /// The id of what was found.
        found: LobId,
    },
    /// A pack that a root names is not there.
    #[error("pack {0} is missing: an incomplete copy of a store?")]
    NoPack(PackId),
    /// Something is over a limit of the format.
    #[error("{what} is over the limit of {limit}")]
    OverLimit {
        /// What is too large.
        what: String,
        /// The limit.
        limit: u64,
    },
    /// A writer was used on after it had failed.
    #[error(
        "an earlier write to the store failed; what it had added is taken in when the store is opened again"
    )]
    WriterFailed,
    /// What was acknowledged could not be made durable.
    #[error("what was added may not outlast a loss of power: {0}")]
    Unkept(#[source] Box<Error>),
    /// Others wrote all the time.
    #[error("other commands write to the store all the time; run this again when they have ended")]
    Busy,
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// A closure for `map_err` that adds the path, once.
    pub fn at(path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
        let path = path.to_path_buf();
        move |error| Error::Io {
            path,
            source: crate::disk::bare(error),
        }
    }

    /// Whether there is no room left on the disk.
    pub fn is_full(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self, Error::Io { source, .. } if matches!(source.kind(), QuotaExceeded | StorageFull))
    }

    /// What the user can do about it, where the message does not say.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Error::NotAStore(_) => {
                "is this the right place? If a store is here whose state/format \
                is damaged, remove that file: the next push or `git add` makes it anew and keeps \
                all else"
                    .into()
            }
            Error::Damaged { .. } | Error::WrongContent { .. } | Error::NoChunk(_) => {
                "lob repair, in the repository whose store this is: it keeps what is whole, and brings \
                 back what another store or a work tree has"
                    .into()
            }
            _ => return None,
        })
    }

    /// Damage found in `what`.
    pub fn damaged(what: impl ToString, why: impl ToString) -> Error {
        Error::Damaged {
            what: what.to_string(),
            why: why.to_string(),
        }
    }
}
