//! The versions of files that commits hold, and their contents.

use std::io::Read;

use super::blobs::{classify, lines, present};
use super::objects::is_unknown_filter;
use super::{Scope, answers};
use crate::git::records::Records;
use crate::git::{Blob, GitError, Oid, Pointer, Repo, Result, Seen};

/// A file as a commit holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileVersion {
    /// The blob.
    pub oid: Oid,
    /// One of the paths at which it stands, up to the first newline in it.
    pub path: Vec<u8>,
    /// Bytes of the file; `None` where it is a pointer that does not tell.
    pub size: Option<u64>,
    /// The pointer that the blob is, where it is one.
    pub pointer: Option<Pointer>,
}

/// Which versions are of interest.
#[derive(Debug, Clone, Copy)]
pub struct FileVersions<'a> {
    /// Commits from which all others are found.
    pub tips: &'a [Oid],
    /// Pathspecs as git knows them, relative to the current directory; all files where there are none.
    pub paths: &'a [Vec<u8>],
    /// Files below this length are left out.
    pub min: u64,
}

/// Calls `each` for every version of a file, once for each blob, newest first: in the order in which a
/// push finds them. Pointers count by what they stand for.
///
/// [`Seen::save`] is left to the caller.
pub fn file_versions(
    repo: &Repo,
    seen: &mut Seen,
    asked: FileVersions<'_>,
    each: &mut dyn FnMut(FileVersion),
) -> Result<()> {
    if asked.tips.is_empty() {
        return Ok(());
    }
    let scope = Scope::of(repo)?;
    match walk(&scope, seen, asked, true, each) {
        // Refused before the walk began: nothing was found yet.
        Err(GitError::Failed { stderr, .. }) if is_unknown_filter(&stderr) => {
            walk(&scope, seen, asked, false, each)
        }
        done => done,
    }
}

/// `by_kind`: git leaves out all but blobs; one before 2.32 cannot.
fn walk(
    scope: &Scope,
    seen: &mut Seen,
    asked: FileVersions<'_>,
    by_kind: bool,
    each: &mut dyn FnMut(FileVersion),
) -> Result<()> {
    let mut words: Vec<&[u8]> = vec![
        b"rev-list",
        b"--objects",
        b"--ignore-missing",
        b"--full-history",
    ];
    if by_kind {
        words.extend([
            b"--filter=object:type=blob".as_slice(),
            b"--filter-provided-objects",
        ]);
    }
    if scope.partial {
        words.push(b"--missing=allow-any");
    }
    words.extend([b"--stdin".as_slice(), b"--"]);
    words.extend(asked.paths.iter().map(Vec::as_slice));
    let mut git = scope.git.clone();
    if !asked.paths.is_empty() {
        let here = std::env::current_dir().map_err(GitError::at(".".as_ref()))?;
        git = git.in_dir(&here);
    }
    let words = words.into_iter().map(crate::git::path::os_string);
    let mut records = Records::feed(&git, words, lines(asked.tips), b'\n')?;
    let mut held = Vec::new();
    while let Some(line) = records.read()? {
        let Some((oid, path)) = answers::object(line) else {
            return Err(records.unreadable());
        };
        // Commits have none, and one that a tag names alone is no file.
        let Some(path) = path.filter(|path| !path.is_empty()) else {
            continue;
        };
        held.push((oid, path.to_vec()));
        if held.len() >= scope.at_once {
            release(scope, seen, &mut held, asked.min, each)?;
        }
    }
    release(scope, seen, &mut held, asked.min, each)
}

/// Finds out what the objects that are held are, and hands the versions on.
fn release(
    scope: &Scope,
    seen: &mut Seen,
    held: &mut Vec<(Oid, Vec<u8>)>,
    min: u64,
    each: &mut dyn FnMut(FileVersion),
) -> Result<()> {
    if scope.fetches {
        let here = present(scope, held.iter().map(|(oid, _)| *oid).collect())?;
        held.retain(|(oid, _)| here.contains(oid));
    }
    if held.is_empty() {
        return Ok(());
    }
    let oids: Vec<Oid> = held.iter().map(|(oid, _)| *oid).collect();
    let words = [
        "cat-file",
        "--batch-check=%(objectname) %(objecttype) %(objectsize)",
        "--buffer",
    ];
    let records = Records::feed(&scope.git, words, lines(&oids), b'\n')?;
    let lengths = answers::lengths(records, &oids)?;
    let of = oids.iter().zip(&lengths);
    let may_be = of.filter(|(_, len)| len.is_some_and(|len| len <= Pointer::MAX_LEN as u64));
    let unknown = may_be.map(|(oid, _)| *oid);
    let unknown = unknown.filter(|oid| seen.get(oid).is_none()).collect();
    let found = classify(scope, seen, unknown)?;
    for ((oid, path), len) in held.drain(..).zip(lengths) {
        let Some(len) = len else { continue };
        let blob = seen.get(&oid).or_else(|| found.get(&oid).copied());
        let pointer = blob.and_then(Blob::pointer);
        let size = pointer.map_or(Some(len), |pointer| pointer.size());
        if size.is_none_or(|size| size >= min && size > 0) {
            each(FileVersion {
                oid,
                path,
                size,
                pointer,
            });
        }
    }
    Ok(())
}

/// Contents of blobs, one after the other, in memory that does not grow with them.
#[derive(Debug)]
pub struct Contents {
    records: Records,
}

impl Contents {
    /// Those of these blobs, in this order.
    pub fn of(repo: &Repo, oids: &[Oid]) -> Result<Contents> {
        let git = Scope::of(repo)?.git;
        let records = Records::feed(&git, ["cat-file", "--batch"], lines(oids), b'\n')?;
        Ok(Contents { records })
    }

    /// Lends the content of the next blob, which is `oid`. What is not read of it is passed over.
    ///
    /// # Errors
    /// When git fails, also in the midst of the content: then what `take` made of it does not count.
    pub fn next<T>(
        &mut self,
        oid: &Oid,
        take: impl FnOnce(&mut (dyn Read + Send)) -> T,
    ) -> Result<T> {
        let len = answers::length(&mut self.records, oid)?;
        let len = len.ok_or_else(|| self.records.unreadable())?;
        self.records.lend(len, take)
    }
}
