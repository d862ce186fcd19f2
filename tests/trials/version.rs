//! The files that trials are made with, and their versions.

use lob_store::{LobId, Store};

use crate::support::noise;

/// One state of all files that lob keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// Committed so long ago that it can be pruned, and pushed.
    Old,
    /// Pushed after the clones were made.
    Next,
    /// Pushed to a branch of its own.
    Side,
    /// Committed, and not pushed.
    New,
    /// In the work tree alone.
    Edited,
    /// Pushed to a branch that was deleted everywhere.
    Gone,
}

impl Version {
    /// The files. Small ones, one of several chunks, and one that differs little from the version
    /// before it.
    pub fn files(self) -> [(&'static str, Vec<u8>); 4] {
        let seed = 10 * (1 + self as u64);
        let mut edited = noise(7, 300_000);
        edited[150_000..150_500].copy_from_slice(&noise(seed, 500));
        [
            ("a.bin", noise(seed + 1, 1000)),
            ("b.bin", noise(seed + 2, 90_000)),
            ("c.bin", edited),
            ("d/e.bin", noise(seed + 3, 40_000)),
        ]
    }

    /// How many frames the file that differs little from the version before it stands on in a store.
    pub fn depth(self, store: &Store) -> u8 {
        let (path, content) = &self.files()[2];
        let manifest = store.manifest(&LobId::of(content)).unwrap();
        let manifest = manifest.unwrap_or_else(|| panic!("{path} of {self:?}"));
        let ids: Vec<_> = manifest.named_chunks().iter().map(|(id, _)| *id).collect();
        let kin = store.kin(&ids).unwrap();
        let depths = kin.iter().flatten().map(|kin| kin.depth);
        depths.max().unwrap()
    }
}
