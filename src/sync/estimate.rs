//! What files and their versions would take: whole, in chunks, and with differences.
//!
//! Nothing is computed that could be done: the versions themselves are added to one store and pushed
//! from it to another, by the same code as ever. Both are thrown away. Where that would be too much, some
//! versions stand for all.

mod sample;
mod scratch;
mod source;
mod windows;

use std::path::PathBuf;

use lob_store::{LobId, Progress, Store};

use super::error::Result;
use crate::git::{Oid, Repo};

use scratch::Scratch;
pub use scratch::Trouble;

/// Where the content of a version is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// In git.
    Blob(Oid),
    /// In a file.
    File(PathBuf),
    /// In the local store.
    Lob(LobId),
}

/// One version of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Its bytes.
    pub size: u64,
    /// Its place among all versions of all files, the newest first, as a push finds them.
    pub place: usize,
    /// Where its bytes are.
    pub source: Source,
}

/// A file through time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// Its path, with `/`.
    pub path: Vec<u8>,
    /// Its versions, oldest first.
    pub versions: Vec<Version>,
}

/// Files that are told of together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// The files.
    pub files: Vec<History>,
    /// Versions whose content cannot be had, and their bytes.
    pub absent: (u64, u64),
}

/// How estimates are made.
#[derive(Clone, Copy)]
pub struct Estimator<'a> {
    /// Of the contents that are in git.
    pub repo: Option<&'a Repo>,
    /// Of those that are lobs.
    pub store: Option<&'a Store>,
    /// Most bytes of a group that are measured, where there is a limit. A quarter of it is the most of
    /// one version, in windows that are evenly spread.
    pub budget: Option<u64>,
    /// Who listens. Hears of [`Estimator::work`] bytes for each group.
    pub progress: &'a dyn Progress,
}

/// What some versions take, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taken {
    /// How many they are.
    pub versions: u64,
    /// Their bytes.
    pub size: u64,
    /// The same, where equal contents count once: what a store of whole files takes and moves.
    pub whole: u64,
    /// Of that, in chunks that no version before had.
    pub fresh: u64,
    /// By how much a store of chunks without differences grows.
    pub chunks: u64,
    /// By how much a remote store grows.
    pub stored: u64,
    /// What a push moves.
    pub moved: u64,
}

/// Versions of which some were measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Part {
    /// How many they are.
    pub versions: u64,
    /// Their bytes, measured or not.
    pub size: u64,
    /// What those took that were measured.
    pub measured: Taken,
}

impl Part {
    /// What all of them take, if the others are like those that were measured.
    pub fn all(&self) -> Taken {
        let Taken {
            size,
            whole,
            fresh,
            chunks,
            stored,
            moved,
            ..
        } = self.measured;
        let of_all = |taken: u64| match size {
            0 => 0,
            _ => {
                let all = u128::from(taken) * u128::from(self.size) / u128::from(size);
                u64::try_from(all).unwrap_or(u64::MAX)
            }
        };
        Taken {
            versions: self.versions,
            size: self.size,
            whole: of_all(whole),
            fresh: of_all(fresh),
            chunks: of_all(chunks),
            stored: of_all(stored),
            moved: of_all(moved),
        }
    }
}

impl Taken {
    /// Adds what others take.
    pub fn add(&mut self, other: Taken) {
        self.versions += other.versions;
        self.size += other.size;
        self.whole += other.whole;
        self.fresh += other.fresh;
        self.chunks += other.chunks;
        self.stored += other.stored;
        self.moved += other.moved;
    }
}

/// What a group takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Estimate {
    /// How many files it has.
    pub files: u64,
    /// The first version of each.
    pub first: Part,
    /// Those that came after one.
    pub later: Part,
    /// Versions whose content cannot be had, and their bytes. They are in neither part.
    pub absent: (u64, u64),
    /// Files that could not be read, though they are there.
    pub trouble: Vec<Trouble>,
}

impl Estimate {
    /// What all of it takes.
    pub fn all(&self) -> Taken {
        let mut all = self.first.all();
        all.add(self.later.all());
        all
    }

    /// What was measured of it.
    pub fn measured(&self) -> Taken {
        let mut measured = self.first.measured;
        measured.add(self.later.measured);
        measured
    }

    /// Whether compression saves too little of it to speak of. `None` where nothing was measured.
    pub fn is_compressed(&self) -> Option<bool> {
        let Taken { fresh, chunks, .. } = self.measured();
        (fresh > 0).then(|| is_in_vain(chunks, fresh))
    }

    /// Whether later versions have next to nothing of those before, neither chunks nor what is like
    /// them. `None` where none was measured.
    pub fn is_unrelated(&self) -> Option<bool> {
        let Taken { whole, stored, .. } = self.later.measured;
        (whole > 0).then(|| is_in_vain(stored, whole))
    }
}

/// Less than that, of a hundred, is not saved at all.
const WORTH: u64 = 3;

fn is_in_vain(stored: u64, raw: u64) -> bool {
    stored.saturating_add(raw / 100 * WORTH) >= raw
}

impl Estimator<'_> {
    /// Bytes that will be measured of a group.
    pub fn work(&self, group: &Group) -> u64 {
        let picked = sample::pick(&group.files, self.budget);
        sample::size(&group.files, &picked, self.budget)
    }

    /// Measures a group.
    ///
    /// # Errors
    /// When there is no room for it in the directory for temporary files, and what reading git and
    /// writing there fail with. A file that cannot be read is no error.
    pub fn estimate(&self, group: &Group) -> Result<Estimate> {
        let mut estimate = Estimate {
            files: group.files.len() as u64,
            absent: group.absent,
            ..Estimate::default()
        };
        for file in &group.files {
            for (n, version) in file.versions.iter().enumerate() {
                let part = match n {
                    0 => &mut estimate.first,
                    _ => &mut estimate.later,
                };
                part.versions += 1;
                part.size += version.size;
            }
        }
        let picked = sample::pick(&group.files, self.budget);
        if picked.is_empty() {
            return Ok(estimate);
        }
        let mut scratch = Scratch::new(self, group, &picked)?;
        let (first, later) = sample::generations(picked);
        estimate.first.measured = scratch.measure(&first)?;
        estimate.later.measured = scratch.measure(&later)?;
        estimate.trouble = scratch.trouble;
        Ok(estimate)
    }
}
