//! Which version of a file came before another: what is new in one is often like the other.

mod guess;

use std::collections::{HashMap, HashSet};

use lob_store::{ChunkId, LobId, Manifest, Store};

use self::guess::Guess;
use super::error::Result;
use super::wanted::Want;
use super::worktree::Checkout;
use crate::git::scan::{pointers_at, snapshot_pointers};
use crate::git::{Oid, Pointer, Repo, Seen, refs};
use crate::remote::Remote;

/// Lobs below this length are sent as they are.
const SIZE_MIN: u64 = 4 << 10;
/// Commits of which all paths are looked at for what was renamed since.
const SNAPSHOTS_MAX: usize = 2;
/// Commits that are asked what was at a path before.
const COMMITS_MAX: usize = 4;
/// Paths that they are asked for.
const PATHS_MAX: usize = 1 << 16;

/// The versions of each file that commits or the index hold, newest first: as their paths tell and, for a
/// file that was renamed or that is named after its version, what of `store` shares chunks or the name.
/// Each lob is in one of the lists, and what is checked out behind no other file's. Hints, as paths are.
pub fn histories(repo: &Repo, store: &Store) -> Result<Vec<History>> {
    let mut wants = match repo.work_tree() {
        Some(_) => Checkout::read(repo)?.wants,
        None => Vec::new(),
    };
    let current: HashSet<LobId> = wants.iter().map(|want| want.id).collect();
    wants.extend(super::wanted::everywhere(repo)?);
    let mut known = HashSet::new();
    wants.retain(|want| !want.path.is_empty() && want.size >= SIZE_MIN && known.insert(want.id));
    let mut histories: Vec<History> = Vec::new();
    let mut numbers: HashMap<&[u8], usize> = HashMap::new();
    for want in &wants {
        let number = *numbers.entry(&want.path).or_insert_with(|| {
            histories.push(History {
                path: want.path.clone(),
                versions: Vec::new(),
            });
            histories.len() - 1
        });
        histories[number].versions.push(want.id);
    }
    join(&mut histories, &among(store, &wants)?, &current);
    Ok(histories)
}

/// Appends to each history the one whose newest version is what its oldest is like.
fn join(histories: &mut Vec<History>, bases: &HashMap<LobId, LobId>, current: &HashSet<LobId>) {
    let newest = histories.iter().enumerate();
    let newest: HashMap<LobId, usize> = newest.map(|(n, one)| (one.versions[0], n)).collect();
    for n in 0..histories.len() {
        while let Some(base) = histories[n].versions.last().and_then(|one| bases.get(one))
            && let Some(&older) = newest.get(base)
            && older != n
            && !current.contains(base)
        {
            let versions = std::mem::take(&mut histories[older].versions);
            if versions.is_empty() {
                break;
            }
            histories[n].versions.extend(versions);
        }
    }
    histories.retain(|one| !one.versions.is_empty());
}

/// The versions of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// Its newest path in the work tree.
    pub path: Box<[u8]>,
    /// The newest first.
    pub versions: Vec<LobId>,
}

/// For each of these lobs, newest first, the one that it is most likely to be like: what was at the same
/// path before, or else what shares chunks with it or nearly has its name. It is another of them, or is
/// in one of the `known` commits. Hints, as paths are.
pub fn versions(
    repo: &Repo,
    store: &Store,
    wants: &[Want],
    known: &[Oid],
) -> Result<HashMap<LobId, LobId>> {
    let mut seen = Seen::open(repo);
    let mut bases = at_paths(repo, &mut seen, wants, known)?;
    let mut guess = Guess::new(wants, &bases);
    if let (false, Some(newest)) = (guess.is_done(), known.last()) {
        snapshot_pointers(repo, &mut seen, &[*newest], |found| {
            if let Pointer::Lob { id, size } = found.pointer {
                guess.add(id, size, &found.path);
            }
        })?;
    }
    super::wanted::keep(&mut seen);
    bases.extend(guess.bases(store)?);
    Ok(bases)
}

/// For each of these lobs, which are to be fetched from `remote`, what `store` holds of the same path: in
/// what is checked out or was, and around it; or else, of a file that was renamed, what shares chunks with it
/// or nearly has its name. Hints, as paths are.
pub fn held(
    repo: &Repo,
    store: &Store,
    wants: &[Want],
    remote: &dyn Remote,
) -> Result<HashMap<LobId, LobId>> {
    if wants.iter().all(|want| want.path.is_empty()) || store.cursor()?.seq == 0 {
        return Ok(HashMap::new());
    }
    let mut seen = Seen::open(repo);
    let heads = refs::last_heads(repo)?;
    let mut bases = held_at_paths(repo, &mut seen, store, (wants, &heads))?;
    let mut guess = Guess::of_others(wants, &bases);
    if !guess.is_done() {
        let mut held = Vec::new();
        let heads = &heads[..heads.len().min(SNAPSHOTS_MAX)];
        snapshot_pointers(repo, &mut seen, heads, |found| {
            if let Pointer::Lob { id, size } = found.pointer {
                held.push((id, size, found.path));
            }
        })?;
        for (id, size, path) in held {
            if guess.may_be_like(size, &path) && store.lob(&id)?.is_some() {
                guess.add(id, size, &path);
            }
        }
        let chunks = chunks_at(remote, &guess.open())?;
        bases.extend(guess.bases_by(store, &|id| Ok(chunks.get(id).cloned()))?);
    }
    super::wanted::keep(&mut seen);
    Ok(bases)
}

/// The chunks of some of these lobs, or the lists of long ones, as a remote has them.
fn chunks_at(remote: &dyn Remote, ids: &[LobId]) -> Result<HashMap<LobId, HashSet<ChunkId>>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let found = ids.iter().zip(remote.manifests(ids)?);
    let chunks = |manifest: Manifest| {
        manifest
            .named_chunks()
            .into_iter()
            .map(|(id, _)| id)
            .collect()
    };
    Ok(found
        .filter_map(|(id, manifest)| Some((*id, chunks(manifest?))))
        .collect())
}

/// What is held of the same paths.
fn held_at_paths(
    repo: &Repo,
    seen: &mut Seen,
    store: &Store,
    (wants, heads): (&[Want], &[Oid]),
) -> Result<HashMap<LobId, LobId>> {
    let mut paths: Vec<&[u8]> = wants
        .iter()
        .filter(|want| !want.path.is_empty() && want.size >= SIZE_MIN)
        .map(|want| &*want.path)
        .collect();
    paths.sort_unstable();
    paths.dedup();
    paths.truncate(PATHS_MAX);
    let mut bases: HashMap<&[u8], LobId> = HashMap::new();
    // What is checked out or, where git has moved on, was before.
    for commit in heads.iter().take(COMMITS_MAX) {
        if paths.is_empty() {
            break;
        }
        let found = pointers_at(repo, seen, &[*commit], &paths)?;
        for (path, pointer) in paths.iter().zip(found) {
            if let Some(Pointer::Lob { id, .. }) = pointer
                && store.lob(&id)?.is_some()
            {
                let _ = bases.insert(path, id);
            }
        }
        paths.retain(|path| !bases.contains_key(path));
    }
    let held = |want: &Want| Some((want.id, *bases.get(&*want.path)?));
    Ok(wants.iter().filter_map(held).collect())
}

/// The same for lobs that have no history but each other.
pub fn among(store: &Store, wants: &[Want]) -> Result<HashMap<LobId, LobId>> {
    let (mut bases, _) = each_other(wants);
    bases.extend(Guess::new(wants, &bases).bases(store)?);
    Ok(bases)
}

/// What was at the same paths before, as far as it is wanted too, and the oldest of each path.
fn each_other(wants: &[Want]) -> (HashMap<LobId, LobId>, HashMap<&[u8], LobId>) {
    let mut bases = HashMap::new();
    let mut oldest: HashMap<&[u8], LobId> = HashMap::new();
    for want in wants {
        if want.path.is_empty() || want.size < SIZE_MIN {
            continue;
        }
        if let Some(newer) = oldest.insert(&want.path, want.id)
            && newer != want.id
        {
            bases.entry(newer).or_insert(want.id);
        }
    }
    (bases, oldest)
}

/// What was at the same paths before.
fn at_paths(
    repo: &Repo,
    seen: &mut Seen,
    wants: &[Want],
    known: &[Oid],
) -> Result<HashMap<LobId, LobId>> {
    let (mut bases, oldest) = each_other(wants);
    if known.is_empty() {
        return Ok(bases);
    }
    let mut paths: Vec<&[u8]> = oldest.keys().copied().collect();
    paths.sort_unstable();
    paths.truncate(PATHS_MAX);
    // The newest are the last.
    let commits: Vec<Oid> = known.iter().rev().take(COMMITS_MAX).copied().collect();
    let found = pointers_at(repo, seen, &commits, &paths)?;
    for (path, pointer) in paths.iter().zip(found) {
        if let Some(Pointer::Lob { id, .. }) = pointer
            && let Some(newer) = oldest.get(path)
            && *newer != id
        {
            bases.entry(*newer).or_insert(id);
        }
    }
    Ok(bases)
}
