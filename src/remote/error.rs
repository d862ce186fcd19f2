//! What can go wrong with a remote.

use std::io;
use std::path::PathBuf;

use lob_store::{ChunkId, StoreId};

use crate::wire::{Refusal, RefusalKind};

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
    /// A store behind a service, for what is done to its files.
    #[error("{0} is reached over a network, and this is done to the files of a store")]
    NoFiles(String),
    /// A service refused.
    #[error("{place}: {refusal}")]
    Refused {
        /// The remote.
        place: String,
        /// What it said.
        refusal: Refusal,
    },
    /// A remote could not be asked, or its answer broke off.
    #[error("{place}: {message}")]
    Broken {
        /// The remote.
        place: String,
        /// What happened.
        message: String,
        /// What the user can do about it.
        hint: Option<String>,
        /// Whether the same may succeed a moment later.
        transient: bool,
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
                "keep its lobs elsewhere: git config remote.NAME.lobUrl PATH-OR-URL".into()
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
            Error::NoFiles(_) => "run it where that store is".into(),
            Error::Refused { refusal, .. } => return refused(refusal.kind).map(str::to_owned),
            Error::Broken { hint, .. } => return hint.clone(),
            Error::Store(error) => return error.hint(),
            _ => return None,
        })
    }

    /// Whether the same call may succeed a moment later.
    pub fn is_transient(&self) -> bool {
        let error = match self {
            Error::Store(error) => error,
            Error::Refused { refusal, .. } => return refusal.kind.is_transient(),
            Error::Broken { transient, .. } => return *transient,
            _ => return false,
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

/// What the user can do about a refusal.
fn refused(kind: RefusalKind) -> Option<&'static str> {
    Some(match kind {
        RefusalKind::NotFound => {
            "is 'lob serve' there, and the path right? A push makes a store in a directory that is \
             there already. To keep lobs elsewhere: git config remote.NAME.lobUrl PATH-OR-URL"
        }
        RefusalKind::Unauthorized => "who serves it can say which token or password to use",
        RefusalKind::Forbidden => "who serves it can give the right to do this",
        RefusalKind::TooLarge => {
            "where it is a proxy that says so: docs/serve.md has what to set in it"
        }
        RefusalKind::Busy => "run the same command again later: it goes on where this one ended",
        RefusalKind::Full => {
            "make room on that disk (lob gc there), and run the same command again: it goes on"
        }
        RefusalKind::Damaged => "lob fsck and lob repair, where that store is",
        RefusalKind::Unsupported => "install the same lob on both sides",
        _ => return None,
    })
}
