//! What the demo stores: real programs, so that the figures are those of real files.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::ui::Failure;

/// A program of this machine.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) path: PathBuf,
    /// What the demo calls it.
    pub(super) name: String,
    /// In bytes.
    pub(super) len: u64,
}

const SMALLEST: u64 = 256 << 10;
const LARGEST: u64 = 32 << 20;
/// Enough to be a real job, and done in seconds.
const TOTAL: u64 = 96 << 20;

/// The largest programs of reasonable size on the PATH, and lob itself.
pub(super) fn find(lob: &Path) -> Result<Vec<Program>, Failure> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let listed = std::env::split_paths(&path).filter_map(|dir| fs::read_dir(dir).ok());
    let files = listed
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()));
    let mut seen = HashSet::new();
    let mut all: Vec<_> = std::iter::once(lob.to_path_buf())
        .chain(files)
        // Many names lead to one file.
        .filter_map(|path| fs::canonicalize(path).ok())
        .filter(|path| seen.insert(path.clone()))
        .filter_map(|path| {
            let len = fs::metadata(&path).ok().filter(|m| m.is_file())?.len();
            let readable = fs::File::open(&path).is_ok();
            (readable && (SMALLEST..=LARGEST).contains(&len)).then_some((len, path))
        })
        .collect();
    all.sort_by(|a, b| b.cmp(a));
    let mut left = TOTAL;
    let mut programs = Vec::new();
    for (len, path) in all {
        if let Some(rest) = left.checked_sub(len) {
            left = rest;
            let name = format!("program-{:03}.bin", programs.len() + 1);
            programs.push(Program { path, name, len });
        }
    }
    if programs.is_empty() {
        return Err(Failure::new(
            "there is no program of a fitting size on the PATH",
        ));
    }
    Ok(programs)
}
