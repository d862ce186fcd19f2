//! Files that have their content already, but not in the opinion of git's index.
//!
//! A run that was killed between the last file and the index leaves files that git takes for
//! modified: where the size differs from what the index says it does not look any further. Whoever
//! comes next finds them by that, reads them, and tells the index.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::io;

use lob_store::LobId;
use rayon::prelude::*;

use super::{Fresh, PointerFile, Top, told};
use crate::git::index_file::{StatData, walk};
use crate::git::{Repo, TreePath};

/// What the index says of files that are as long as their lobs.
pub struct Known(HashMap<Vec<u8>, StatData>);

impl Known {
    /// Reads the index for what it says of `files`. Knows nothing of an index that only git can
    /// read.
    pub fn read<'a>(repo: &Repo, files: impl Iterator<Item = &'a PointerFile>) -> Known {
        let mut known: HashMap<Vec<u8>, StatData> = files
            .map(|file| (file.path.clone(), StatData::default()))
            .collect();
        if known.is_empty() {
            return Known(known);
        }
        let len = repo.object_len();
        let read = fs::read(repo.index_file()).ok().and_then(|bytes| {
            let mut found = HashMap::new();
            let each = &mut |entry: &crate::git::index_file::Entry<'_>| {
                if entry.stage == 0 && known.remove(entry.path).is_some() {
                    found.insert(entry.path.to_vec(), entry.stat);
                }
            };
            walk(&bytes, len, each).ok().map(|_| found)
        });
        Known(read.unwrap_or_default())
    }

    /// Whether git has to be told of this file, if its content is the lob.
    pub fn is_stale(&self, file: &PointerFile, meta: &Metadata) -> bool {
        let known = self.0.get(&file.path);
        known.is_some_and(|known| *known != StatData::of(meta))
    }
}

/// What the index is to be told of a file, if its content is the lob.
fn settled(repo: &Repo, top: &Top, file: &PointerFile) -> io::Result<Option<Fresh>> {
    let path = TreePath::parse(&file.path).map_err(io::Error::other)?;
    let open = top.dir_of(&path)?.open(path.split().1)?;
    let before = StatData::of(&open.metadata()?);
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(&open)?;
    let meta = open.metadata()?;
    let is_lob = LobId::from(hasher.finalize()) == file.id && before == StatData::of(&meta);
    Ok(is_lob
        .then(|| told(file, repo.object_len(), &meta))
        .flatten())
}

/// What the index is to be told of those of these files whose content is their lob. They are as long
/// as their lobs.
pub fn settle(repo: &Repo, top: &Top, files: &[(&PointerFile, Metadata)]) -> Vec<Fresh> {
    let known = Known::read(repo, files.iter().map(|(file, _)| *file));
    let stale = files
        .par_iter()
        .filter(|(file, meta)| known.is_stale(file, meta));
    // A file that can't be read is git's to complain about.
    stale
        .filter_map(|(file, _)| settled(repo, top, file).ok().flatten())
        .collect()
}
