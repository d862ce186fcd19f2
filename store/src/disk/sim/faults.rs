//! What goes wrong on purpose, and how often it did.

use std::io::ErrorKind;

/// An error at one operation, or at it and all later ones.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failure {
    pub(super) at: usize,
    pub(super) for_good: bool,
    pub(super) kind: ErrorKind,
}

/// The faults of a disk.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// Counted over the changes.
    pub(super) change: Option<Failure>,
    /// Counted over the reads.
    pub(super) read: Option<Failure>,
    /// The sync that does nothing, counted over files and directories together.
    pub(super) skip_sync: Option<usize>,
    /// The bytes that the disk has room for.
    pub(super) capacity: Option<u64>,
    reads: usize,
    syncs: usize,
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

    /// Counts a sync. Returns whether it is to do nothing.
    pub(super) fn next_sync(&mut self) -> bool {
        self.syncs += 1;
        let skip = self.skip_sync == Some(self.syncs - 1);
        self.injected += usize::from(skip);
        skip
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
