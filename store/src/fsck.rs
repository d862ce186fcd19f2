//! Examining a store: is all of it there, and is it what it must be?
//!
//! [`examine`] reads, and changes nothing. Others may write meanwhile: it holds no lock while it
//! works, and what they are at is no finding. Its memory follows the number of packs and what is
//! found to be lost, but not the number of chunks or the size of lobs.

mod content;
mod finding;
mod index;
mod leftovers;
mod named;
mod tables;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;

use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::id::{ID_LEN, StoreId};
use crate::pack::Packs;
use crate::progress::Progress;
use crate::store;

pub use finding::{Fault, Finding, Gravity, Object, Remedy};
use named::Named;

/// How much of a store is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// The roots, the tables of all packs and the index; of packs that they are there, as long as
    /// they must be, and begin and end as they must.
    Quick,
    /// And this share of all packs and lobs, as [`Depth::Deep`] does: which ones, `seed` decides.
    Sample {
        /// Of a hundred.
        percent: u8,
        /// Another one picks others.
        seed: u64,
    },
    /// And every byte: packs hash to their names, all frames are decoded and all chunks hashed, and
    /// every lob is put together and hashed as a whole.
    Deep,
}

/// What was examined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Examined {
    /// Packs of the store.
    pub packs: u64,
    /// Chunks that the tables list. One that is in two packs counts twice.
    pub chunks: u64,
    /// Lobs that the tables list; counted like chunks.
    pub lobs: u64,
    /// Packs of which every byte was read.
    pub whole_packs: u64,
    /// Lobs that were put together and hashed.
    pub whole_lobs: u64,
}

/// Is called with every finding. For the same store always in the same order.
pub type Each<'a> = &'a mut dyn FnMut(Finding);

/// An examination.
struct Exam<'a> {
    disk: Arc<dyn Disk>,
    packs: Packs,
    root: &'a Path,
    /// Of the store, or any where nothing tells it.
    id: StoreId,
    depth: Depth,
    progress: &'a dyn Progress,
}

/// Examines the store in `root`. `progress` is told the bytes of packs and of lobs that were read.
///
/// # Errors
/// [`Error::NotAStore`] and [`Error::Newer`] where there is nothing to examine;
/// [`Error::Interrupted`]. What is wrong with a store is a finding.
pub fn examine(
    disk: Arc<dyn Disk>,
    root: &Path,
    depth: Depth,
    progress: &dyn Progress,
    each: Each<'_>,
) -> Result<Examined> {
    let id = match store::find_id(disk.as_ref(), root)? {
        Some(id) => id,
        None => {
            let why = "it does not say that this is a store";
            // Nothing can be read until it does.
            each(Finding {
                object: Object::File("state/format".into()),
                fault: Fault::Damaged(why.into()),
                gravity: Gravity::Loss,
                remedy: Remedy::Rebuild,
            });
            StoreId::from_bytes([0; ID_LEN])
        }
    };
    let exam = Exam {
        id,
        packs: Packs::new(disk.clone(), root.join("packs")),
        disk,
        root,
        depth,
        progress,
    };
    let named = Named::read(&exam, each);
    let mut examined = exam.tables(&named, each)?;
    exam.index(&named, each)?;
    exam.leftovers(&named, each)?;
    exam.content(&named, &mut examined, each)?;
    Ok(examined)
}

impl Exam<'_> {
    /// Whether something is still there, at a time when nobody holds the lock under which it is made
    /// and removed. The lock is held for no longer than it takes to look.
    fn is_left(&self, path: &Path, lock: impl AsRef<Path>) -> bool {
        let lock = self.root.join(lock);
        let held = match self.disk.len(&lock) {
            // Nobody was ever at it. The file must not be made.
            Ok(None) => None,
            _ => match self.disk.lock(&lock, false) {
                Ok(Some(held)) => Some(held),
                _ => return false,
            },
        };
        let is_there = !matches!(self.disk.len(&self.root.join(path)), Ok(None));
        drop(held);
        is_there
    }

    /// Does `work` for each item on all cores, some at a time, and then `report` in their order.
    fn in_order<I: Sync, T: Send>(
        &self,
        items: &[I],
        work: impl Fn(&I) -> Result<T> + Sync,
        mut report: impl FnMut(&I, T) -> Result<()>,
    ) -> Result<()> {
        const WINDOW: usize = 64;
        for some in items.chunks(WINDOW) {
            self.go_on()?;
            let done: Vec<_> = some.par_iter().map(&work).collect();
            for (item, done) in some.iter().zip(done) {
                report(item, done?)?;
            }
        }
        Ok(())
    }

    fn go_on(&self) -> Result<()> {
        match self.progress.cancelled() {
            true => Err(Error::Interrupted),
            false => Ok(()),
        }
    }

    /// Whether the pack or lob of this id is looked at closely.
    fn picks(&self, id: &[u8; ID_LEN]) -> bool {
        match self.depth {
            Depth::Quick => false,
            Depth::Deep => true,
            Depth::Sample { percent, seed } => {
                let hash = blake3::keyed_hash(id, &seed.to_le_bytes());
                hash.as_bytes()[0] as u32 * 100 < u32::from(percent) * 256
            }
        }
    }
}
