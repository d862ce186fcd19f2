//! The files that may have some of a lob that is wanted.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::git::path::path_buf;
use crate::git::tree_path::TreePath;
use crate::sync::wanted::Want;

/// Files and lobs that are shorter are not worth a look.
pub(super) const FEW: u64 = 512 << 10;
/// Files beside a path that are looked at, and names in its directory.
const BESIDE: usize = 3;
const NAMES: usize = 1000;
/// Looks in vain at files beside others, after which there are no more of them.
const VAIN: usize = 32;

/// Finds files in a work tree.
pub(super) struct Files<'a> {
    top: &'a Path,
    /// The files of the directory that was listed last.
    dir: Option<(PathBuf, Vec<(PathBuf, u64)>)>,
    vain: usize,
}

impl<'a> Files<'a> {
    pub(super) fn of(top: &'a Path) -> Files<'a> {
        Files {
            top,
            dir: None,
            vain: 0,
        }
    }

    /// The file at the path of a lob; or, where a pointer is there or nothing, those beside it of the same
    /// extension that are nearest in length: a copy that somebody kept, or what was there under another
    /// name.
    pub(super) fn open(&mut self, want: &Want) -> Vec<(PathBuf, File)> {
        if want.size < FEW || TreePath::parse(&want.path).is_err() {
            return Vec::new();
        }
        let path = self.top.join(path_buf(&want.path));
        let there = match path.symlink_metadata() {
            Ok(it) if it.is_file() && it.len() >= FEW => vec![path],
            Ok(it) if !it.is_file() => Vec::new(),
            _ => self.beside(&path, want.size),
        };
        there
            .into_iter()
            .filter_map(|path| File::open(&path).ok().map(|file| (path, file)))
            .collect()
    }

    /// What a look at such files was good for.
    pub(super) fn looked(&mut self, helped: bool) {
        self.vain = if helped { 0 } else { self.vain + 1 };
    }

    fn beside(&mut self, path: &Path, size: u64) -> Vec<PathBuf> {
        let Some(dir) = path.parent().filter(|_| self.vain < VAIN) else {
            return Vec::new();
        };
        if self.dir.as_ref().is_none_or(|(last, _)| last != dir) {
            self.dir = Some((dir.to_path_buf(), list(dir)));
        }
        let others = self.dir.iter().flat_map(|(_, files)| files);
        let mut near: Vec<_> = others
            .filter(|(other, len)| other.extension() == path.extension() && is_near(*len, size))
            .collect();
        near.sort_by_key(|(_, len)| len.abs_diff(size));
        near.truncate(BESIDE);
        near.into_iter().map(|(path, _)| path.clone()).collect()
    }
}

fn is_near(len: u64, size: u64) -> bool {
    len / 2 <= size && size / 2 <= len
}

/// The files of a directory that are not short, with their lengths.
fn list(dir: &Path) -> Vec<(PathBuf, u64)> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let files = entries.take(NAMES).filter_map(|entry| {
        let it = entry.metadata().ok()?;
        (it.is_file() && it.len() >= FEW).then(|| (entry.path(), it.len()))
    });
    files.collect()
}
