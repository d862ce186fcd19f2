//! The inside of a simulated disk, under one mutex.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::faults::{Faults, Spoiled};
use super::ops::Ops;
use super::state::{Inode, Op, State};

/// A sync that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synced {
    /// The number of the change that it was.
    pub at: usize,
    /// Its words in the log.
    pub words: String,
    /// Whether there was anything to make durable.
    pub counts: bool,
    /// The names that it made durable, where it was one of a directory.
    pub names: Vec<NameChange>,
}

/// A name that came or went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameChange {
    /// The name, in its directory.
    pub name: String,
    /// Whether it came, or else went.
    pub came: bool,
    /// Whether it went to another directory.
    pub moved: bool,
    /// Whether that was done since this disk was made, and not by a process that was killed before.
    pub here: bool,
}

/// All of a simulated disk: what is on it, what was done to it and what is to go wrong.
#[derive(Debug, Default)]
pub(super) struct Machine {
    /// Before the first change.
    pub(super) start: State,
    pub(super) now: State,
    /// The changes, each with words for people.
    pub(super) log: Vec<(Op, String)>,
    pub(super) syncs: Vec<Synced>,
    /// A sync that happens after the next change.
    pub(super) late: Option<(Op, String)>,
    pub(super) faults: Faults,
    pub(super) ops: Ops,
    pub(super) locked: HashSet<Inode>,
    /// The time, in seconds since 1970: it stands still unless a test moves it.
    pub(super) clock: u64,
}

impl Machine {
    /// Does a change that is known to be possible, unless it is to fail.
    pub(super) fn change(&mut self, op: Op, words: String) -> io::Result<()> {
        let (op, result) = match self.faults.at_change(self.log.len()) {
            None => (op, Ok(())),
            Some(kind) => (op.failed(), Err(kind.into())),
        };
        self.now.apply(&op);
        self.log.push((op, words));
        if let Some((op, words)) = self.late.take() {
            self.now.apply(&op);
            self.log.push((op, words));
        }
        result
    }

    /// Does a sync, unless it is to go wrong.
    pub(super) fn sync(&mut self, op: Op, words: String) -> io::Result<()> {
        let sync = Synced {
            at: self.log.len(),
            words: words.clone(),
            counts: self.now.is_unsynced(&op),
            names: self.now.unsynced_names(&op, &self.start),
        };
        let spoiled = self.faults.at_sync(&sync);
        self.syncs.push(sync);
        match spoiled {
            None => self.change(op, words),
            Some(spoiled) => {
                let done = self.change(Op::Nothing, words.clone());
                self.late = (spoiled == Spoiled::Late).then_some((op, words));
                done
            }
        }
    }

    /// Counts a read, which may be to fail.
    pub(super) fn read(&mut self) -> io::Result<()> {
        match self.faults.next_read() {
            None => Ok(()),
            Some(kind) => Err(kind.into()),
        }
    }

    /// How many of `wanted` more bytes there is room for.
    pub(super) fn room(&mut self, wanted: usize) -> usize {
        match self.faults.capacity {
            // Not asked for what all files take where it does not matter: that is slow.
            None => wanted,
            Some(capacity) => {
                let free = capacity.saturating_sub(self.now.used());
                self.faults.fit(wanted, free)
            }
        }
    }

    /// Creates a file, if nothing of its name is there.
    pub(super) fn create(&mut self, path: &Path) -> io::Result<Inode> {
        let (dir, name) = self.now.place(path)?;
        if self.now.child(dir, &name).is_ok() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        self.change(
            Op::Create(dir, name.clone(), self.clock),
            format!("create {}", path.display()),
        )?;
        self.now.child(dir, &name)
    }

    /// The directory and name of what is there to be renamed or removed.
    pub(super) fn existing(&self, path: &Path) -> io::Result<(Inode, OsString, Inode)> {
        let (dir, name) = self.now.place(path)?;
        let inode = self.now.child(dir, &name)?;
        Ok((dir, name, inode))
    }
}
