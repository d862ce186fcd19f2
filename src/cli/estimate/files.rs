//! Files on the disk.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::gather::Found;
use crate::git::path::{git_bytes, path_buf};
use crate::git::{Git, GitError, Pointer, Repo};
use crate::sync::estimate::{Source, Trouble};
use crate::ui::{Explain, Failure};

/// The repository that a path is in.
pub(super) fn repo_of(path: &Path) -> Result<Option<Repo>, Failure> {
    let dir = match path.is_dir() {
        true => path,
        false => path
            .parent()
            .filter(|dir| *dir != Path::new(""))
            .unwrap_or(Path::new(".")),
    };
    match Repo::discover(dir) {
        Ok(repo) => Ok(Some(repo)),
        Err(GitError::NoRepository { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The file, or all files in a directory: those that git would add or has, where it is in a repository.
/// Directories in it that cannot be read are trouble.
pub(super) fn of(path: &Path, trouble: &mut Vec<Trouble>) -> Result<Vec<PathBuf>, Failure> {
    let about = fs::metadata(path).because(path.display())?;
    if about.is_file() {
        return Ok(vec![path.to_path_buf()]);
    }
    if !about.is_dir() {
        return Err(Failure::usage(format_args!(
            "{} is no file",
            path.display()
        )));
    }
    match repo_of(path)? {
        Some(repo) if repo.work_tree().is_some() => listed(path),
        Some(repo) if path.join("HEAD").exists() => {
            let failure = Failure::usage(format_args!(
                "{} has no work tree",
                repo.git_dir().display()
            ));
            Err(failure.hint("look at what is committed: lob estimate --history"))
        }
        _ => walked(path, trouble),
    }
}

/// What git says is in a directory.
fn listed(dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    let words = [
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ];
    let answer = Git::new(dir)?.output(words)?;
    let paths = answer
        .split(|&byte| byte == 0)
        .filter(|path| !path.is_empty());
    let mut paths: Vec<PathBuf> = paths.map(|path| dir.join(path_buf(path))).collect();
    // One that is in conflict comes for each side.
    paths.sort();
    paths.dedup();
    // Others were deleted, or are submodules.
    paths.retain(|path| path.symlink_metadata().is_ok_and(|about| about.is_file()));
    Ok(paths)
}

/// What is in a directory that is in no repository, and in those in it.
fn walked(top: &Path, trouble: &mut Vec<Trouble>) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    let mut dirs = vec![top.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        match entries(&dir, &mut found) {
            Ok(more) => dirs.extend(more),
            Err(error) if dir == top => return Err(error).because(dir.display()),
            Err(error) => trouble.push(self::trouble(&dir, &error)),
        }
    }
    found.sort();
    Ok(found)
}

/// Adds the files of a directory. Returns the directories in it, without git's.
fn entries(dir: &Path, found: &mut Vec<PathBuf>) -> io::Result<Vec<PathBuf>> {
    let mut dirs = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() && entry.file_name() != ".git" {
            dirs.push(entry.path());
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    Ok(dirs)
}

/// What is wrong with a file or a directory.
pub(super) fn trouble(path: &Path, error: &io::Error) -> Trouble {
    Trouble {
        path: git_bytes(path),
        why: error.to_string(),
    }
}

/// What a file is; `None` where it is empty.
pub(super) fn look(file: PathBuf) -> io::Result<Option<Found>> {
    let size = fs::metadata(&file)?.len();
    let mut pointer = None;
    if size <= Pointer::MAX_LEN as u64 {
        let mut text = Vec::new();
        let limit = Pointer::MAX_LEN as u64 + 1;
        let _ = fs::File::open(&file)?.take(limit).read_to_end(&mut text)?;
        pointer = Pointer::parse(&text);
    }
    Ok((size > 0).then(|| Found {
        path: git_bytes(&file),
        size: pointer.map_or(Some(size), |pointer| pointer.size()),
        source: Source::File(file),
        pointer,
    }))
}
