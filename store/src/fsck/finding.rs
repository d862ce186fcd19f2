//! Findings: what an examination has to say, as data.

use std::fmt;
use std::io::ErrorKind;
use std::path::PathBuf;

use crate::error::Error;
use crate::id::{ChunkId, LobId, PackId};

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is about.
    pub object: Object,
    /// What is wrong with it.
    pub fault: Fault,
    /// How bad that is.
    pub gravity: Gravity,
    /// The way out.
    pub remedy: Remedy,
}

/// What a finding is about.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Object {
    /// All of the store.
    Store,
    /// The root of this number.
    Root(u64),
    /// A pack.
    Pack(PackId),
    /// The table that stands alone beside a pack, its `.idx`.
    Table(PackId),
    /// The run of the index over the roots after the first number up to the second.
    Run(u64, u64),
    /// A chunk in a pack.
    Chunk(ChunkId, PackId),
    /// A lob.
    Lob(LobId),
    /// Any other file or directory, by its path in the store.
    File(PathBuf),
}

/// What is wrong with an object.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It is not there.
    Missing,
    /// It is not what it must be, for this reason.
    Damaged(String),
    /// The system does not let it be read, and says this.
    Unreadable(String),
    /// A later lob wrote something in it that this one does not know: this.
    Newer(String),
    /// Nothing refers to it.
    Unused,
    /// Its name is none that a store has.
    Unknown,
    /// Everybody on the machine may write to it.
    Exposed,
}

/// How bad a finding is, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gravity {
    /// Content cannot be read from this store.
    Loss,
    /// Something is broken, and content can still be read: from another place, or the slow way.
    Damage,
    /// Something takes space and is of no use.
    Leftover,
    /// Somebody should know.
    Note,
}

/// The way out of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Remedy {
    /// The content must come from elsewhere: from a remote, or from files of the work tree.
    Fetch,
    /// It is made anew from other files of the store.
    Rebuild,
    /// What is good of the pack, and of others that hold the same, goes into a new pack.
    Rewrite,
    /// A new root names it: it may hold what nothing else does.
    Adopt,
    /// It can be deleted.
    Delete,
    /// The next prune deletes it, when no running command can rely on it any more.
    Prune,
    /// The next one who opens the store and may write takes it in.
    Open,
    /// The mode of the file is changed.
    Restrict,
    /// What the system says must be put right: a mode, a mount, a disk.
    System,
    /// A newer lob is installed.
    Upgrade,
    /// Only its owner knows what it is.
    Owner,
}

impl Finding {
    fn new(object: Object, fault: Fault, gravity: Gravity, remedy: Remedy) -> Finding {
        Finding {
            object,
            fault,
            gravity,
            remedy,
        }
    }

    /// What an error says of an object which, were it only damaged, would have this gravity and
    /// remedy.
    pub(super) fn of(error: &Error, object: Object, gravity: Gravity, remedy: Remedy) -> Finding {
        let (fault, gravity, remedy) = match error {
            Error::NoPack(_) => (Fault::Missing, gravity, remedy),
            Error::Io { source, .. } if source.kind() == ErrorKind::NotFound => {
                (Fault::Missing, gravity, remedy)
            }
            Error::Damaged { why, .. } => (Fault::Damaged(why.clone()), gravity, remedy),
            Error::Io { source, .. } => {
                let fault = Fault::Unreadable(source.to_string());
                (fault, gravity.max(Gravity::Damage), Remedy::System)
            }
            Error::Later { why, .. } => (Fault::Newer(why.clone()), Gravity::Note, Remedy::Upgrade),
            other => (Fault::Damaged(other.to_string()), gravity, remedy),
        };
        Finding::new(object, fault, gravity, remedy)
    }

    pub(super) fn missing(object: Object, gravity: Gravity, remedy: Remedy) -> Finding {
        Finding::new(object, Fault::Missing, gravity, remedy)
    }

    pub(super) fn damaged(object: Object, why: impl ToString, remedy: Remedy) -> Finding {
        let fault = Fault::Damaged(why.to_string());
        Finding::new(object, fault, Gravity::Damage, remedy)
    }

    pub(super) fn note(object: Object, fault: Fault, remedy: Remedy) -> Finding {
        Finding::new(object, fault, Gravity::Note, remedy)
    }

    pub(super) fn unused(object: Object, remedy: Remedy) -> Finding {
        Finding::new(object, Fault::Unused, Gravity::Leftover, remedy)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.object, self.fault)
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Object::Store => f.write_str("the store"),
            Object::Root(seq) => write!(f, "root {seq}"),
            Object::Pack(id) => write!(f, "pack {id}"),
            Object::Table(id) => write!(f, "the table of pack {id}"),
            Object::Run(from, to) => write!(f, "the index over roots {} to {to}", from + 1),
            Object::Chunk(id, pack) => write!(f, "chunk {id} in pack {pack}"),
            Object::Lob(id) => write!(f, "lob {id}"),
            Object::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Missing => f.write_str("missing"),
            Fault::Damaged(why) => write!(f, "damaged: {why}"),
            Fault::Unreadable(why) => write!(f, "cannot be read: {why}"),
            Fault::Newer(what) => write!(f, "of a newer lob: {what}"),
            Fault::Unused => f.write_str("nothing refers to it"),
            Fault::Unknown => f.write_str("not a name that a store has"),
            Fault::Exposed => f.write_str("everybody may write to it"),
        }
    }
}
