//! What goes wrong on purpose, and how often it did.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::machine::Synced;

/// An error at one operation, or at it and all later ones.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failure {
    pub(super) at: usize,
    pub(super) for_good: bool,
    pub(super) kind: ErrorKind,
}

/// What becomes of a sync that goes wrong without a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoiled {
    /// It does nothing.
    Left,
    /// It happens after the change that follows it.
    Late,
}

/// Which syncs go wrong without a word.
pub(super) struct SyncFault {
    how: Spoiled,
    of: Box<dyn FnMut(&Synced) -> bool + Send>,
}

impl SyncFault {
    /// Those that `of` accepts.
    pub(super) fn new(how: Spoiled, of: Box<dyn FnMut(&Synced) -> bool + Send>) -> SyncFault {
        SyncFault { how, of }
    }
}

impl fmt::Debug for SyncFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.how)
    }
}

/// Which files cannot be opened.
pub(super) struct OpenFault(Box<dyn Fn(&Path) -> bool + Send>);

impl OpenFault {
    /// Those that `of` accepts.
    pub(super) fn new(of: impl Fn(&Path) -> bool + Send + 'static) -> OpenFault {
        OpenFault(Box::new(of))
    }
}

impl fmt::Debug for OpenFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpenFault")
    }
}

/// The faults of a disk.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// Counted over the changes.
    pub(super) change: Option<Failure>,
    /// Counted over the reads.
    pub(super) read: Option<Failure>,
    pub(super) open: Option<OpenFault>,
    pub(super) sync: Option<SyncFault>,
    /// The bytes that the disk has room for.
    pub(super) capacity: Option<u64>,
    reads: usize,
    injected: usize,
}

impl Faults {
    /// The error that change number `now` is to fail with.
    pub(super) fn at_change(&mut self, now: usize) -> Option<ErrorKind> {
        self.strike(self.change, now)
    }

    /// Counts a read. Returns the error that it is to fail with.
    pub(super) fn next_read(&mut self) -> Option<ErrorKind> {
        self.reads += 1;
        self.strike(self.read, self.reads - 1)
    }

    /// Whether a file can be opened.
    pub(super) fn at_open(&mut self, path: &Path) -> io::Result<()> {
        match &self.open {
            Some(OpenFault(of)) if of(path) => {
                self.injected += 1;
                Err(ErrorKind::Other.into())
            }
            _ => Ok(()),
        }
    }

    /// What goes wrong with a sync.
    pub(super) fn at_sync(&mut self, sync: &Synced) -> Option<Spoiled> {
        let fault = self.sync.as_mut()?;
        let how = (fault.of)(sync).then_some(fault.how);
        self.injected += usize::from(how.is_some());
        how
    }

    /// How many of `wanted` bytes fit where `free` are free.
    pub(super) fn fit(&mut self, wanted: usize, free: u64) -> usize {
        let fitting = wanted.min(usize::try_from(free).unwrap_or(usize::MAX));
        self.injected += usize::from(fitting < wanted);
        fitting
    }

    /// Faults that really happened.
    pub(super) fn injected(&self) -> usize {
        self.injected
    }

    fn strike(&mut self, failure: Option<Failure>, now: usize) -> Option<ErrorKind> {
        let failure = failure.filter(|f| now == f.at || (f.for_good && now > f.at))?;
        self.injected += 1;
        Some(failure.kind)
    }
}
