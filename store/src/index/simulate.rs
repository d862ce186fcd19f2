//! A run of made-up entries, so that a bench can measure lookups among 100 million chunks.

use std::path::Path;

use crate::disk::OsDisk;
use crate::error::Result;
use crate::id::PackId;
use crate::roots::Cursor;

use super::merge::{Gone, Source, build};
use super::run::{Kind, Run};

/// Entries at even distances, each off by a fixed pseudo-random amount.
struct Made {
    chunks: u64,
}

impl Made {
    fn prefix(&self, n: u64) -> u64 {
        let step = u64::MAX / self.chunks;
        n * step + n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % step
    }
}

impl Source for Made {
    fn packs(&self) -> Vec<PackId> {
        vec![PackId::of(b"made")]
    }

    fn count(&self, kind: Kind) -> usize {
        match kind {
            Kind::Chunk => self.chunks as usize,
            Kind::Lob => 0,
        }
    }

    fn entry(&self, _: Kind, n: usize) -> (u64, u32, u32) {
        (self.prefix(n as u64), 0, n as u32)
    }
}

/// A run over made-up chunks, mapped from a file.
#[derive(Debug)]
pub struct Simulated {
    run: Run,
    chunks: u64,
}

impl Simulated {
    /// Writes a run over `chunks` chunks as `path`, and opens it.
    pub fn create(path: &Path, chunks: u64) -> Result<Simulated> {
        let to = Cursor {
            seq: 1,
            hash: [0; 16],
        };
        let temporary = path.with_extension("new");
        let source = Made { chunks };
        let gone = Gone::default();
        build(&OsDisk, &temporary, path, (0, to), &[&source], &gone)?;
        Ok(Simulated {
            run: Run::open(&OsDisk, path)?,
            chunks,
        })
    }

    /// Looks up chunk `n` of the run; whether it was found.
    pub fn hit(&self, n: u64) -> bool {
        let n = n % self.chunks;
        let prefix = Made {
            chunks: self.chunks,
        }
        .prefix(n);
        self.run
            .find(Kind::Chunk, prefix)
            .any(|(_, number)| u64::from(number) == n)
    }

    /// Looks up a prefix that is nearly surely in no entry; whether it was found.
    pub fn miss(&self, prefix: u64) -> bool {
        self.run.find(Kind::Chunk, prefix).next().is_some()
    }
}
