//! Which lobs each mode asks for: the one place that says so, for replication and for pruning.

use std::collections::HashSet;

use lob_store::{LobId, LobInfo};

use super::error::{Error, Result};
use crate::git::command::operand;
use crate::git::patterns::Patterns;
use crate::git::refs::{self, Head};
use crate::git::scan::{commit_pointers, snapshot_pointers};
use crate::git::{GitError, Oid, Pointer, Repo, Seen, Window, history};

/// A lob that is wanted, and where it was first found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// The lob.
    pub id: LobId,
    /// Its length in bytes, as its pointer says.
    pub size: u64,
    /// The path of the pointer that asks for it; empty where none does.
    pub path: Box<[u8]>,
    /// Why it is wanted.
    pub reason: Reason,
}

/// Why a lob is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A store holds it, and all of that is wanted.
    Held,
    /// Somebody named it.
    Asked,
    /// A commit in the history of what was named holds it.
    Committed,
    /// Git's index holds it.
    Index,
    /// A checkout within the window needs it.
    Recent,
}

impl Want {
    /// A lob that no pointer asks for.
    pub fn bare(lob: LobInfo, reason: Reason) -> Want {
        Want {
            id: lob.id,
            size: lob.size,
            path: Box::default(),
            reason,
        }
    }

    /// The lob without its place.
    pub fn info(&self) -> LobInfo {
        LobInfo {
            id: self.id,
            size: self.size,
        }
    }
}

/// Collects wants, each lob once. Pointers to one lob that differ in its size are all kept: all but
/// one of them are wrong, and whoever carries out the plan says so.
#[derive(Debug, Default)]
pub(super) struct Wants {
    /// In the order in which they were found.
    pub(super) list: Vec<Want>,
    known: HashSet<(LobId, u64)>,
}

impl Wants {
    /// One more pointer.
    pub(super) fn add(&mut self, pointer: &Pointer, path: &[u8], reason: Reason) {
        // Pointers of other programs name no lob of this store.
        if let Pointer::Lob { id, size } = *pointer
            && self.known.insert((id, size))
        {
            self.list.push(Want {
                id,
                size,
                path: path.into(),
                reason,
            });
        }
    }
}

/// What commits reference that can be reached from `tips` and not from `known`.
pub fn committed(repo: &Repo, tips: &[Oid], known: &[Oid]) -> Result<Vec<Want>> {
    let mut wants = Wants::default();
    let mut seen = Seen::open(repo);
    commit_pointers(repo, &mut seen, tips, known, |found| {
        wants.add(&found.pointer, &found.path, Reason::Committed);
    })?;
    keep(&mut seen);
    Ok(wants.list)
}

/// What all refs and HEAD reference, those of remotes too.
pub fn everywhere(repo: &Repo) -> Result<Vec<Want>> {
    let mut tips: Vec<Oid> = refs::list(repo, &[])?.iter().map(|one| one.oid).collect();
    tips.extend(Head::detached(repo)?);
    committed(repo, &tips, &[])
}

/// What checkouts of exactly these commits need.
pub fn snapshots(repo: &Repo, commits: &[Oid]) -> Result<Vec<Want>> {
    let patterns = Patterns::of(repo.settings()?)?;
    let mut wants = Wants::default();
    let mut seen = Seen::open(repo);
    snapshot_pointers(repo, &mut seen, commits, |found| {
        if patterns.wants(&found.path) {
            wants.add(&found.pointer, &found.path, Reason::Committed);
        }
    })?;
    keep(&mut seen);
    Ok(wants.list)
}

/// What any checkout within the window needs, the likeliest first. `now` is in seconds since 1970.
pub fn recent(repo: &Repo, window: &Window, now: i64) -> Result<Vec<Want>> {
    let patterns = Patterns::of(repo.settings()?)?;
    let mut wants = Wants::default();
    let mut seen = Seen::open(repo);
    history::recent(repo, &mut seen, window, now, |found| {
        if patterns.wants(&found.path) {
            wants.add(&found.pointer, &found.path, Reason::Recent);
        }
    })?;
    keep(&mut seen);
    Ok(wants.list)
}

/// The ends of all that this repository's own commits reference: branches, tags and HEAD.
pub fn tips(repo: &Repo) -> Result<Vec<Oid>> {
    let mut tips: Vec<Oid> = refs::list(repo, &["refs/heads", "refs/tags"])?
        .into_iter()
        .map(|one| one.oid)
        .collect();
    tips.extend(Head::detached(repo)?);
    tips.sort_unstable();
    tips.dedup();
    Ok(tips)
}

/// The commits that the user means: by the names of branches and tags, or any other name that git
/// resolves. What is no name here may be that of a branch of `remote`.
pub fn commits(repo: &Repo, names: &[String], remote: &str) -> Result<Vec<Oid>> {
    let resolve = |name: &str| -> Result<Option<Oid>> {
        let commit = format!("{}^{{commit}}", operand(name)?);
        match repo.git().line(["rev-parse", "-q", "--verify", &commit]) {
            Ok(hex) => Ok(Oid::from_hex(&hex)),
            Err(GitError::Failed { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    };
    let mut commits = Vec::new();
    for name in names {
        let found = match resolve(name)? {
            None => resolve(&format!("refs/remotes/{remote}/{name}"))?,
            found => found,
        };
        commits.push(found.ok_or_else(|| Error::NoCommit(name.clone()))?);
    }
    Ok(commits)
}

/// Remembers what was seen. Without it the next scan asks git again, and no more.
pub(super) fn keep(seen: &mut Seen) {
    let _ = seen.save();
}
