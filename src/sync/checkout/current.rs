//! The pointers of the current checkout.

use std::io::ErrorKind::{NotADirectory, NotFound};
use std::path::Path;

use rayon::prelude::*;

use super::PointerFile;
use super::settle::Known;
use crate::git::index_file::IndexError;
use crate::git::path::path_buf;
use crate::git::scan::{Tracked, index_pointers};
use crate::git::{Pointer, Repo, Seen};

const PROGRAM: u32 = 0o100_755;

impl PointerFile {
    /// The file of an index entry; `None` where it is no lob's, where a merge is unresolved and where
    /// a sparse checkout leaves it out.
    pub fn of(tracked: &Tracked) -> Option<PointerFile> {
        let Pointer::Lob { id, size } = tracked.pointer else {
            return None;
        };
        let is_here = tracked.stage == 0 && !tracked.skip_worktree;
        is_here.then(|| PointerFile {
            path: tracked.path.clone(),
            id,
            size,
            executable: tracked.mode == PROGRAM,
        })
    }
}

/// The files of the current checkout that lobs belong in.
pub fn pointer_files(repo: &Repo) -> Result<Vec<PointerFile>, IndexError> {
    let mut seen = Seen::open(repo);
    let tracked = index_pointers(repo, &mut seen)?;
    // Only a memory: without it the next run looks again.
    let _ = seen.save();
    Ok(tracked.iter().filter_map(PointerFile::of).collect())
}

/// Those of `files` that [`super::expand`] may have something to do with, by what the system says of
/// them: they are as long as their pointers, or git has to be told of what they are. Absent files are
/// not among them, and none where there is no work tree.
pub fn unfinished(repo: &Repo, files: Vec<PointerFile>) -> Vec<PointerFile> {
    let Some(top) = repo.work_tree() else {
        return Vec::new();
    };
    let known = Known::read(repo, files.iter());
    let files = files.into_par_iter();
    files
        .filter(|file| is_unfinished(top, &known, file))
        .collect()
}

fn is_unfinished(top: &Path, known: &Known, file: &PointerFile) -> bool {
    let meta = match top.join(path_buf(&file.path)).symlink_metadata() {
        Ok(meta) => meta,
        // Whoever writes there says what is wrong, if it still is.
        Err(error) => return !matches!(error.kind(), NotFound | NotADirectory),
    };
    let is_stale = || meta.len() == file.size && known.is_stale(file, &meta);
    meta.is_file() && (meta.len() == file.pointer().len() as u64 || is_stale())
}
