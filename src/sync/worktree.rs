//! Which files of the work tree are still pointers.

use lob_store::Store;

use super::checkout::{PointerFile, unfinished};
use super::error::Result;
use super::wanted::{Reason, Want, Wants, keep};
use crate::git::patterns::Patterns;
use crate::git::scan::index_pointers;
use crate::git::{Pointer, Repo, Seen};

/// What the current checkout needs.
#[derive(Debug, Default)]
pub struct Checkout {
    /// The lobs of all files.
    pub wants: Vec<Want>,
    /// The files that look like their pointers. They are looked at closely before they are replaced.
    pub files: Vec<PointerFile>,
}

impl Checkout {
    /// Reads the index, without what a sparse checkout leaves out, and takes the lengths of files.
    pub fn read(repo: &Repo) -> Result<Checkout> {
        let patterns = Patterns::of(repo.settings()?)?;
        let mut seen = Seen::open(repo);
        let mut tracked = index_pointers(repo, &mut seen)?;
        keep(&mut seen);
        tracked.retain(|file| !file.skip_worktree && patterns.wants(&file.path));
        let mut wants = Wants::default();
        for file in &tracked {
            wants.add(&file.pointer, &file.path, Reason::Index);
        }
        let files = tracked.iter().filter_map(PointerFile::of).collect();
        Ok(Checkout {
            wants: wants.list,
            files: unfinished(repo, files),
        })
    }

    /// The lobs of files that look like their pointers.
    pub fn unexpanded(&self) -> Vec<Want> {
        let mut wants = Wants::default();
        for file in &self.files {
            let pointer = Pointer::Lob {
                id: file.id,
                size: file.size,
            };
            wants.add(&pointer, &file.path, Reason::Index);
        }
        wants.list
    }
}

/// Those files whose lobs are in the store.
pub fn fillable(store: &Store, files: Vec<PointerFile>) -> Result<Vec<PointerFile>> {
    let mut there = Vec::new();
    for file in files {
        if store.lob(&file.id)?.is_some() {
            there.push(file);
        }
    }
    Ok(there)
}
