//! Which files of the index, and which objects of commits, are pointers.
//!
//! Everything is read from git's index and object database, never from the work tree, and what was
//! found out once is remembered ([`Seen`]). Replacement objects are not followed: lob sends and
//! keeps what git sends. In a partial clone nothing is fetched: what git itself lacks can't be
//! checked out, its lobs are not needed, and it is asked for again next time.

pub mod answers;
mod blobs;
mod objects;
mod paths;
mod versions;

use std::collections::HashSet;

use sha1::{Digest, Sha1};
use sha2::Sha256;

use self::blobs::classify;
pub(super) use self::objects::{Walk, pointers};
pub use self::paths::pointers_at;
pub use self::versions::{Contents, FileVersion, FileVersions, file_versions};
use super::index_file::{IndexEntry, IndexError, entries};
use super::version::Version;
use super::{Git, Oid, Pointer, Repo, Result, Seen};

const AT_ONCE: usize = 1 << 15;

/// A file of the index that is a pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracked {
    /// Its path relative to the top of the work tree.
    pub path: Vec<u8>,
    /// 0o100644, or 0o100755 for a program.
    pub mode: u32,
    /// The blob that the pointer is.
    pub oid: Oid,
    /// 0, or 1 to 3 while a merge is unresolved.
    pub stage: u8,
    /// Whether a sparse checkout leaves its file out.
    pub skip_worktree: bool,
    /// What it stands for.
    pub pointer: Pointer,
}

/// A pointer that commits hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The blob that it is.
    pub oid: Oid,
    /// One of the paths at which it stands, up to the first newline in it: a hint. Empty for one
    /// that a tag names.
    pub path: Vec<u8>,
    /// What it stands for.
    pub pointer: Pointer,
}

/// The pointers in the index, in the order of their paths. Starts no process where the index can be
/// read and all its blobs were seen before.
///
/// [`Seen::save`] is left to the caller.
pub fn index_pointers(repo: &Repo, seen: &mut Seen) -> Result<Vec<Tracked>, IndexError> {
    let entries = entries(repo)?;
    let empty = empty_blob(repo.object_len());
    let files = || {
        let files = entries.iter().filter(|entry| entry.is_file());
        files.filter(|entry| Some(entry.oid) != empty)
    };
    let mut unknown = Vec::new();
    let mut asked = HashSet::new();
    let mut known = Vec::with_capacity(entries.len());
    for entry in files() {
        let blob = seen.get(&entry.oid);
        if blob.is_none() && asked.insert(entry.oid) {
            unknown.push(entry.oid);
        }
        known.push(blob);
    }
    let found = match unknown.is_empty() {
        true => Default::default(),
        false => classify(&Scope::of(repo)?, seen, unknown)?,
    };
    let blobs = files().zip(known);
    let pointers = blobs.filter_map(|(entry, known)| {
        let blob = known.or_else(|| found.get(&entry.oid).copied())?;
        Some(tracked(entry, blob.pointer()?))
    });
    Ok(pointers.collect())
}

/// Calls `each` with every pointer that commits hold which can be reached from `include` and not
/// from `exclude`, once for each blob; those that an excluded end holds itself are left out, though
/// not always those of the commits before it.
///
/// Ids of commits and tags, and of objects that tags name. Ids that git doesn't have count as not
/// given.
pub fn commit_pointers(
    repo: &Repo,
    seen: &mut Seen,
    include: &[Oid],
    exclude: &[Oid],
    each: impl FnMut(Found),
) -> Result<()> {
    if include.is_empty() {
        return Ok(());
    }
    pointers(repo, seen, Walk::Range { include, exclude }, each)
}

/// Calls `each` with every pointer that a checkout of any of these commits needs, once for each blob.
pub fn snapshot_pointers(
    repo: &Repo,
    seen: &mut Seen,
    commits: &[Oid],
    each: impl FnMut(Found),
) -> Result<()> {
    if commits.is_empty() {
        return Ok(());
    }
    pointers(repo, seen, Walk::Snapshots(commits), each)
}

/// Those of these ids that git does not have.
pub fn missing(repo: &Repo, oids: &[Oid]) -> Result<Vec<Oid>> {
    let git = Scope::of(repo)?.git;
    let input: String = oids.iter().map(|oid| format!("{oid}\n")).collect();
    let answer = git.feed(["cat-file", "--batch-check"], input.into_bytes())?;
    let lines = answer.split(|&byte| byte == b'\n');
    let missing = lines.filter_map(|line| Oid::from_hex(line.strip_suffix(b" missing")?));
    Ok(missing.collect())
}

/// Why not all can be seen here that the refs of a repository lead to, where that is so.
pub fn partial(repo: &Repo) -> Result<Option<&'static str>> {
    let shallow = std::fs::read(repo.common_dir().join("shallow"));
    if shallow.is_ok_and(|commits| !commits.is_empty()) {
        return Ok(Some(
            "it is a shallow clone, and its history is not all here",
        ));
    }
    let partial = Scope::of(repo)?.partial;
    Ok(partial.then_some("it is a partial clone, and its files are not all here"))
}

fn tracked(entry: &IndexEntry, pointer: Pointer) -> Tracked {
    Tracked {
        path: entry.path.clone(),
        mode: entry.mode,
        oid: entry.oid,
        stage: entry.stage,
        skip_worktree: entry.skip_worktree,
        pointer,
    }
}

/// The blob of an empty file, which needs not exist: `git add -N` only names it.
fn empty_blob(oid_len: usize) -> Option<Oid> {
    match oid_len {
        32 => Oid::from_bytes(&Sha256::digest(b"blob 0\0")),
        _ => Oid::from_bytes(&Sha1::digest(b"blob 0\0")),
    }
}

/// How objects are asked for in one repository.
#[derive(Debug)]
struct Scope {
    /// Shows objects as they are, and only those that are here.
    git: Git,
    /// Whether objects may be missing by design.
    partial: bool,
    /// Whether git would fetch an object that is asked for, whatever it was told.
    fetches: bool,
    /// So many objects are asked for by one process, and held until what they are is known.
    at_once: usize,
}

impl Scope {
    fn of(repo: &Repo) -> Result<Scope> {
        let config = repo.config()?;
        let mut partial = config.get("extensions.partialClone").is_some();
        for key in config.keys() {
            if key.starts_with(b"remote.") && key.ends_with(b".promisor") {
                partial |= config.bool(key, false)?;
            }
        }
        let git = repo
            .git()
            .clone()
            .with_env("GIT_NO_REPLACE_OBJECTS", "1")
            .with_env("GIT_NO_LAZY_FETCH", "1");
        Ok(Scope {
            // The first git that heeds the variable in every command.
            fetches: partial && Version::of(&git)? < Version(2, 45, 0),
            git,
            partial,
            at_once: AT_ONCE,
        })
    }
}

#[cfg(test)]
mod tests;
