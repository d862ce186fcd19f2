//! What a prune keeps, and why: the wanted sets by the prune window, and all that git still leads to.
//!
//! What a command does meanwhile moves pointers from the index to refs, and from refs to the index;
//! so the index is read before everything else and after it.

use std::collections::HashSet;

use lob_store::LobId;

use super::error::Result;
use super::wanted::keep;
use crate::git::refs::{self, Head};
use crate::git::scan::{Found, Tracked, commit_pointers, index_pointers, snapshot_pointers};
use crate::git::{Oid, Pointer, Repo, Seen, Window, history, traces};

/// Why a prune keeps a lob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stay {
    /// HEAD's commit holds it.
    Head,
    /// The index holds it.
    Index,
    /// Another work tree holds it, its index, or what it had checked out within the window.
    WorkTree,
    /// A checkout within the window needs it.
    Recent,
    /// A stash holds it.
    Stash,
    /// A merge, rebase, cherry-pick, revert or bisect needs it that is not finished.
    Unfinished,
    /// A commit holds it that no branch of a remote has.
    Unpushed,
    /// A commit holds it to which only a reflog leads.
    Reflog,
    /// It is in a commit or an index of one who uses the store.
    Referenced,
    /// Another clone needs it that has the store in common.
    Clone,
    /// No remote proved to hold it.
    Unproven,
    /// It was stored or found again too short a time ago.
    Young,
    /// Taking it out would cost more than it gives back.
    Left,
}

impl Stay {
    /// The word for events and lists.
    pub fn name(self) -> &'static str {
        match self {
            Stay::Head => "head",
            Stay::Index => "index",
            Stay::WorkTree => "work-tree",
            Stay::Recent => "recent",
            Stay::Stash => "stash",
            Stay::Unfinished => "unfinished",
            Stay::Unpushed => "unpushed",
            Stay::Reflog => "reflog",
            Stay::Referenced => "referenced",
            Stay::Clone => "clone",
            Stay::Unproven => "not-on-remote",
            Stay::Young => "young",
            Stay::Left => "left",
        }
    }

    /// What is so about the lobs that stay for this reason.
    pub fn text(self) -> &'static str {
        match self {
            Stay::Head => "in the current commit",
            Stay::Index => "in the index",
            Stay::WorkTree => "in another work tree",
            Stay::Recent => "in a recent branch or version",
            Stay::Stash => "in a stash",
            Stay::Unfinished => "needed by what is not finished: a merge, a rebase or the like",
            Stay::Unpushed => "in commits that were not pushed",
            Stay::Reflog => "in commits to which only a reflog leads",
            Stay::Referenced => "in a commit or an index of those who use the store",
            Stay::Clone => "needed by another clone that shares the store",
            Stay::Unproven => "not needed, but no remote holds them",
            Stay::Young => "not needed, but stored or found again a short time ago",
            Stay::Left => "not needed, but most of what is stored beside them is",
        }
    }
}

/// A lob that stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needed {
    /// The lob.
    pub id: LobId,
    /// The path of a pointer that asks for it.
    pub path: Box<[u8]>,
    /// Why it stays.
    pub stay: Stay,
}

/// What stays by git's account, each lob once with the first reason that was found. `now` is in
/// seconds since 1970.
pub fn needed(repo: &Repo, now: i64) -> Result<Vec<Needed>> {
    let window = repo.settings()?.prune;
    let trees = repo.work_trees()?;
    let mut keeping = Keeping {
        seen: Seen::open(repo),
        list: Vec::new(),
        known: HashSet::new(),
    };
    let indexes = keeping.indexes(repo, &trees)?;
    keeping.heads(repo, &trees)?;
    keeping.add(indexes);
    keeping.window(repo, &window, now, Stay::Recent)?;
    let head_only = Window {
        refs_days: 0,
        ..window
    };
    for tree in &trees {
        keeping.window(tree, &head_only, now, Stay::WorkTree)?;
    }
    keeping.snapshots(repo, &traces::stashes(repo)?, Stay::Stash)?;
    for tree in &trees {
        keeping.snapshots(repo, &traces::unfinished(tree)?, Stay::Unfinished)?;
        let (bad, good) = traces::bisected(tree)?;
        keeping.commits(repo, &bad, &good, Stay::Unfinished)?;
    }
    keeping.unpushed(repo, &trees)?;
    keeping.snapshots(repo, &traces::lost(repo)?, Stay::Reflog)?;
    let indexes = keeping.indexes(repo, &trees)?;
    keeping.add(indexes);
    keep(&mut keeping.seen);
    Ok(keeping.list)
}

struct Keeping {
    seen: Seen,
    list: Vec<Needed>,
    known: HashSet<LobId>,
}

/// Adds what pointers name, each lob once.
fn add<'k>(
    list: &'k mut Vec<Needed>,
    known: &'k mut HashSet<LobId>,
    stay: Stay,
) -> impl FnMut(Found) + 'k {
    move |found| {
        // Pointers of other programs name no lob of this store.
        if let Pointer::Lob { id, .. } = found.pointer
            && known.insert(id)
        {
            let path = found.path.into();
            list.push(Needed { id, path, stay });
        }
    }
}

impl Keeping {
    fn indexes(&mut self, repo: &Repo, trees: &[Repo]) -> Result<Vec<(Stay, Vec<Tracked>)>> {
        let mut read = Vec::new();
        for (tree, stay) in own_first(repo, trees, Stay::Index) {
            read.push((stay, index_pointers(tree, &mut self.seen)?));
        }
        Ok(read)
    }

    fn add(&mut self, indexes: Vec<(Stay, Vec<Tracked>)>) {
        for (stay, files) in indexes {
            let mut add = add(&mut self.list, &mut self.known, stay);
            for Tracked {
                oid, path, pointer, ..
            } in files
            {
                add(Found { oid, path, pointer });
            }
        }
    }

    fn heads(&mut self, repo: &Repo, trees: &[Repo]) -> Result<()> {
        for (tree, stay) in own_first(repo, trees, Stay::Head) {
            let head: Vec<Oid> = Head::read(tree)?.oid().into_iter().collect();
            self.snapshots(repo, &head, stay)?;
        }
        Ok(())
    }

    fn window(&mut self, tree: &Repo, window: &Window, now: i64, stay: Stay) -> Result<()> {
        let each = add(&mut self.list, &mut self.known, stay);
        Ok(history::recent(tree, &mut self.seen, window, now, each)?)
    }

    fn snapshots(&mut self, repo: &Repo, commits: &[Oid], stay: Stay) -> Result<()> {
        let each = add(&mut self.list, &mut self.known, stay);
        Ok(snapshot_pointers(repo, &mut self.seen, commits, each)?)
    }

    fn commits(&mut self, repo: &Repo, tips: &[Oid], known: &[Oid], stay: Stay) -> Result<()> {
        let each = add(&mut self.list, &mut self.known, stay);
        Ok(commit_pointers(repo, &mut self.seen, tips, known, each)?)
    }

    /// What commits hold that no branch of a remote has.
    fn unpushed(&mut self, repo: &Repo, trees: &[Repo]) -> Result<()> {
        let (theirs, own): (Vec<_>, Vec<_>) = refs::list(repo, &[])?
            .into_iter()
            .partition(refs::Ref::is_remote);
        let mut tips: Vec<Oid> = own.iter().map(|one| one.oid).collect();
        for tree in trees {
            tips.extend(Head::read(tree)?.oid());
        }
        let known: Vec<Oid> = theirs.iter().map(|one| one.oid).collect();
        self.commits(repo, &tips, &known, Stay::Unpushed)
    }
}

/// The work trees, this one with its own reason and before the others.
fn own_first<'r>(
    repo: &'r Repo,
    trees: &'r [Repo],
    stay: Stay,
) -> impl Iterator<Item = (&'r Repo, Stay)> {
    let others = trees.iter().map(|tree| (tree, Stay::WorkTree));
    std::iter::once((repo, stay)).chain(others)
}
