//! Directories: filled, measured, compared, removed.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::failure::{Explain, Failure};

/// Puts a copy of `from` at `to`, with a time of its own, as an editor saves: a new file, renamed
/// over the old one.
pub fn put(from: &Path, to: &Path, modified: SystemTime) -> Result<(), Failure> {
    let parent = to.parent().unwrap_or(Path::new("."));
    let save = || {
        fs::create_dir_all(parent)?;
        let new = tempfile::Builder::new()
            .prefix(".save-")
            .tempfile_in(parent)?;
        let mut new = new.into_temp_path();
        fs::copy(from, &new)?;
        File::options()
            .write(true)
            .open(&new)?
            .set_modified(modified)?;
        fs::rename(&new, to)?;
        new.disable_cleanup(true);
        Ok::<_, std::io::Error>(())
    };
    save().because(format_args!("cannot write {}", to.display()))
}

/// The lengths of all files in it together; 0 where it does not exist.
pub fn size(dir: &Path) -> Result<u64, Failure> {
    let mut total = 0;
    for path in files(dir)? {
        let meta = fs::symlink_metadata(&path)
            .because(format_args!("cannot look at {}", path.display()))?;
        total += meta.len();
    }
    Ok(total)
}

/// Everything in it that is not a directory. Links are not followed.
fn files(dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(dir) = open.pop() {
        if !dir.exists() {
            continue;
        }
        let what = format!("cannot list {}", dir.display());
        for entry in fs::read_dir(&dir).because(&what)? {
            let entry = entry.because(&what)?;
            let kind = entry.file_type().because(&what)?;
            if kind.is_dir() {
                open.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    Ok(found)
}

/// Fails unless `dir` holds exactly these files, each a relative path with the file that it must
/// equal. What begins with `.git` is the tool's own.
pub fn compare<'f>(
    dir: &Path,
    expected: impl Iterator<Item = (&'f Path, &'f Path)>,
) -> Result<(), Failure> {
    let is_own = |path: &Path| {
        let first = path.components().next();
        first.is_some_and(|name| name.as_os_str().to_string_lossy().starts_with(".git"))
    };
    let mut found: BTreeSet<PathBuf> = files(dir)?
        .iter()
        .filter_map(|path| path.strip_prefix(dir).ok())
        .filter(|path| !is_own(path))
        .map(Path::to_path_buf)
        .collect();
    for (path, source) in expected {
        if !found.remove(path) {
            return Err(Failure::Wrong(format!("{} is missing", path.display())));
        }
        if !same(&dir.join(path), source)? {
            return Err(Failure::Wrong(format!(
                "{} has come back with other bytes",
                path.display()
            )));
        }
    }
    match found.first() {
        Some(path) => Err(Failure::Wrong(format!("{} is too much", path.display()))),
        None => Ok(()),
    }
}

/// Whether two files have the same bytes.
fn same(left: &Path, right: &Path) -> Result<bool, Failure> {
    let open =
        |path: &Path| File::open(path).because(format_args!("cannot open {}", path.display()));
    let (mut left_file, mut right_file) = (open(left)?, open(right)?);
    let (mut left_block, mut right_block) = (Vec::new(), Vec::new());
    loop {
        fill(&mut left_file, &mut left_block).because(left.display())?;
        fill(&mut right_file, &mut right_block).because(right.display())?;
        if left_block != right_block {
            return Ok(false);
        }
        if left_block.is_empty() {
            return Ok(true);
        }
    }
}

/// The next MiB, or what is left.
fn fill(file: &mut File, block: &mut Vec<u8>) -> std::io::Result<()> {
    block.clear();
    file.take(1 << 20).read_to_end(block).map(drop)
}

/// Removes a directory and all that is in it, also where a tool made it read-only.
pub fn remove(dir: &Path) -> Result<(), Failure> {
    if !dir.exists() {
        return Ok(());
    }
    if fs::remove_dir_all(dir).is_ok() {
        return Ok(());
    }
    make_writable(dir)?;
    fs::remove_dir_all(dir).because(format_args!("cannot remove {}", dir.display()))
}

fn make_writable(dir: &Path) -> Result<(), Failure> {
    let what = format!("cannot make {} writable", dir.display());
    let mut mode = fs::metadata(dir).because(&what)?.permissions();
    #[cfg(unix)]
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o700);
    #[cfg(not(unix))]
    mode.set_readonly(false);
    fs::set_permissions(dir, mode).because(&what)?;
    for entry in fs::read_dir(dir).because(&what)? {
        let entry = entry.because(&what)?;
        if entry.file_type().because(&what)?.is_dir() {
            make_writable(&entry.path())?;
        }
    }
    Ok(())
}

/// The bytes that are free where `dir` is, if the system tells.
pub fn free(dir: &Path) -> Option<u64> {
    #[cfg(unix)]
    return rustix::fs::statvfs(dir)
        .ok()
        .map(|disk| disk.f_bavail * disk.f_frsize);
    #[cfg(not(unix))]
    return None;
}

/// Writes all that waits to the disk, so that no step pays for the one before.
pub fn settle() {
    #[cfg(unix)]
    rustix::fs::sync();
}
