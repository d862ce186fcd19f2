//! Which files of the work tree are still pointers.

use std::path::Path;

use lob_store::Store;
use rayon::prelude::*;

use super::checkout::PointerFile;
use super::error::Result;
use super::wanted::{Reason, Want, Wants, keep};
use crate::git::path::path_buf;
use crate::git::patterns::Patterns;
use crate::git::scan::{Tracked, index_pointers};
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
        let files = match repo.work_tree() {
            Some(top) => tracked
                .into_par_iter()
                .filter_map(|file| unexpanded(top, file))
                .collect(),
            None => Vec::new(),
        };
        Ok(Checkout {
            wants: wants.list,
            files,
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

/// The file, unless it has another length than its pointer or is in conflict.
fn unexpanded(top: &Path, file: Tracked) -> Option<PointerFile> {
    let Pointer::Lob { id, size } = file.pointer else {
        return None;
    };
    let meta = top.join(path_buf(&file.path)).symlink_metadata().ok()?;
    let len = file.pointer.print().len() as u64;
    (file.stage == 0 && meta.is_file() && meta.len() == len).then_some(PointerFile {
        path: file.path,
        id,
        size,
        executable: file.mode & 0o111 != 0,
    })
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
