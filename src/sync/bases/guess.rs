//! What a new lob may be like where nothing stood at its path before: a file that was renamed, or one
//! whose name tells its version.

use std::collections::{HashMap, HashSet};

use lob_store::{ChunkId, LobId, Parts, Store};

use crate::sync::error::Result;
use crate::sync::wanted::Want;

/// Lobs below this length are sent as they are: it would be too much to look at them.
const SIZE_MIN: u64 = 256 << 10;
/// Lobs that are looked at, in one push.
const WANTS_MAX: usize = 1024;
/// Lobs that are remembered as what others may be like.
const OTHERS_MAX: usize = 1 << 16;
/// Those of the same kind whose chunks are compared, nearest in length first.
const COMPARED_MAX: usize = 8;
/// How often the name alone is trusted in one push: a wrong guess costs the reading of a lob.
const NAMED_MAX: usize = 16;

/// A lob that another may be like.
#[derive(Debug, Clone)]
struct Other {
    id: LobId,
    size: u64,
    name: Vec<u8>,
    /// Its place among what is wanted, newest first; what was there before is behind them all.
    place: usize,
}

/// Lobs with the names of their files, by what follows the last dot.
#[derive(Debug)]
pub(super) struct Guess<'w> {
    wants: &'w [Want],
    /// Those of them that are looked at.
    without: Vec<usize>,
    kinds: HashMap<Vec<u8>, Vec<Other>>,
    count: usize,
}

impl<'w> Guess<'w> {
    /// For those of `wants` that have no base yet, each of which may be like one of the others.
    pub(super) fn new(wants: &'w [Want], bases: &HashMap<LobId, LobId>) -> Guess<'w> {
        let mut guess = Guess::of_others(wants, bases);
        if !guess.without.is_empty() {
            for (place, want) in wants.iter().enumerate() {
                guess.take(want.id, want.size, &want.path, place);
            }
        }
        guess
    }

    /// For those of `wants` that have no base yet, and are like nothing but what is added.
    pub(super) fn of_others(wants: &'w [Want], bases: &HashMap<LobId, LobId>) -> Guess<'w> {
        let is_without = |want: &Want| {
            !want.path.is_empty() && want.size >= SIZE_MIN && !bases.contains_key(&want.id)
        };
        let without = (0..wants.len()).filter(|&n| is_without(&wants[n]));
        let without: Vec<_> = without.take(WANTS_MAX).collect();
        let kind_of_want = |&n: &usize| (kind(name(&wants[n].path)).to_vec(), Vec::new());
        let kinds = without.iter().map(kind_of_want).collect();
        Guess {
            wants,
            without,
            kinds,
            count: 0,
        }
    }

    /// Lobs without a base that something may be like, by what is known of them all.
    pub(super) fn open(&self) -> Vec<LobId> {
        let open = self
            .without
            .iter()
            .map(|&place| (place, &self.wants[place]));
        let open = open.filter(|(place, want)| !self.near(want, *place).is_empty());
        open.map(|(_, want)| want.id).collect()
    }

    /// Whether it is not worth asking what else there is.
    pub(super) fn is_done(&self) -> bool {
        self.without.is_empty()
    }

    /// Whether what is so long, at such a path, may be what one of them is like.
    pub(super) fn may_be_like(&self, size: u64, path: &[u8]) -> bool {
        size >= SIZE_MIN / 2 && self.kinds.contains_key(kind(name(path)))
    }

    /// One that was there before.
    pub(super) fn add(&mut self, id: LobId, size: u64, path: &[u8]) {
        self.take(id, size, path, usize::MAX);
    }

    fn take(&mut self, id: LobId, size: u64, path: &[u8], place: usize) {
        let name = name(path);
        if size < SIZE_MIN / 2 || self.count >= OTHERS_MAX {
            return;
        }
        if let Some(others) = self.kinds.get_mut(kind(name)) {
            self.count += 1;
            others.push(Other {
                id,
                size,
                name: name.to_vec(),
                place,
            });
        }
    }

    /// For each lob the one that shares most chunks with it or, where none does, has its name but for
    /// the numbers in it. Each is based on what came before it, so that nothing is based on itself.
    pub(super) fn bases(self, store: &Store) -> Result<Vec<(LobId, LobId)>> {
        self.bases_by(store, &|id| chunks(store, id))
    }

    /// The same, where the lobs are not in `store`, and `own` knows their chunks.
    pub(super) fn bases_by(
        self,
        store: &Store,
        own: &dyn Fn(&LobId) -> Result<Option<HashSet<ChunkId>>>,
    ) -> Result<Vec<(LobId, LobId)>> {
        let mut found = Vec::new();
        let mut named = 0;
        for &place in &self.without {
            let want = &self.wants[place];
            let near = self.near(want, place);
            if near.is_empty() {
                continue;
            }
            let Some(own) = own(&want.id)? else {
                continue;
            };
            let mut best: Option<(usize, LobId)> = None;
            for other in &near {
                let Some(chunks) = chunks(store, &other.id)? else {
                    continue;
                };
                let shared = chunks.intersection(&own).count();
                if shared > best.map_or(0, |(most, _)| most) {
                    best = Some((shared, other.id));
                }
            }
            let mut by_name = || {
                let name = without_numbers(name(&want.path));
                let mut near = near.iter();
                let like = near.find(|other| without_numbers(&other.name) == name)?;
                named += 1;
                (named <= NAMED_MAX).then_some(like.id)
            };
            let base = best.map(|(_, id)| id).or_else(&mut by_name);
            found.extend(base.map(|base| (want.id, base)));
        }
        Ok(found)
    }

    /// Those of the same kind that are at least half as long and at most twice: first those of the same
    /// name, then the nearest in length.
    fn near(&self, want: &Want, place: usize) -> Vec<&Other> {
        let name = name(&want.path);
        let others = self.kinds.get(kind(name)).into_iter().flatten();
        let others = others.filter(|other| {
            let near = other.size / 2 <= want.size && want.size / 2 <= other.size;
            near && other.place > place && other.id != want.id
        });
        let mut others: Vec<_> = others.collect();
        others.sort_by_key(|other| (other.name != name, other.size.abs_diff(want.size)));
        others.truncate(COMPARED_MAX);
        others
    }
}

/// The chunks of a lob, or the lists of a long one; `None` where the store does not hold it.
fn chunks(store: &Store, id: &LobId) -> Result<Option<HashSet<ChunkId>>> {
    let Some(manifest) = store.manifest(id)? else {
        return Ok(None);
    };
    let mut named = match &manifest.parts {
        Parts::Chunks(_) => Vec::new(),
        _ => store.lists(&manifest)?,
    };
    named.extend(manifest.named_chunks());
    Ok(Some(named.into_iter().map(|(id, _)| id).collect()))
}

fn name(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}

fn kind(name: &[u8]) -> &[u8] {
    let dot = name.iter().rposition(|&byte| byte == b'.');
    dot.map_or(&[], |dot| &name[dot..])
}

fn without_numbers(name: &[u8]) -> Vec<u8> {
    let kept = name.iter().filter(|byte| !byte.is_ascii_digit());
    kept.copied().collect()
}
