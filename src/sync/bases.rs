//! Which version of a file came before another: what is new in one is often like the other.

use std::collections::HashMap;

use lob_store::LobId;

use super::error::Result;
use super::wanted::Want;
use crate::git::scan::pointers_at;
use crate::git::{Oid, Pointer, Repo, Seen};

/// Lobs below this length are sent as they are.
const SIZE_MIN: u64 = 4 << 10;
/// Commits that are asked what was at a path before.
const COMMITS_MAX: usize = 4;
/// Paths that they are asked for.
const PATHS_MAX: usize = 1 << 16;

/// For each of these lobs, newest first, the one that was at the same path before: another of them, or
/// that of one of the `known` commits. Hints, as paths are.
pub fn versions(repo: &Repo, wants: &[Want], known: &[Oid]) -> Result<HashMap<LobId, LobId>> {
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
    if known.is_empty() {
        return Ok(bases);
    }
    let mut paths: Vec<&[u8]> = oldest.keys().copied().collect();
    paths.sort_unstable();
    paths.truncate(PATHS_MAX);
    // The newest are the last.
    let commits: Vec<Oid> = known.iter().rev().take(COMMITS_MAX).copied().collect();
    let mut seen = Seen::open(repo);
    let found = pointers_at(repo, &mut seen, &commits, &paths)?;
    super::wanted::keep(&mut seen);
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
