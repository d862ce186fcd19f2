//! Which newer version an older one is best based on: a few of its chunks are tried against each.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};

use crate::against::{Aim, Version};
use crate::error::Result;
use crate::frame::compressed;
use crate::id::{ChunkId, LobId};
use crate::limits::{REPACK_DEPTH, REPACK_SAMPLE, ZSTD_LEVEL};
use crate::manifest::Manifest;
use crate::read::Kin;
use crate::store::Store;
use crate::view::is_absent;

use super::shape::Shape;

/// A longer chain must save so much of what a shorter one costs.
const WORTH_A_HUB: (usize, usize) = (15, 16);
/// A version that is not smaller than this share of what it takes alone needs no base.
const WORTH_A_BASE: (usize, usize) = (7, 8);

/// Versions that others are held against, so that they are read once.
#[derive(Debug, Default)]
pub(super) struct Bases<'s>(HashMap<LobId, Option<Version<'s>>>);

impl<'s> Bases<'s> {
    /// A version that can be read; those that are neither of these two are forgotten.
    pub(super) fn get(
        &mut self,
        store: &'s Store,
        lob: &LobId,
        shape: &Shape,
    ) -> Result<Option<&Version<'s>>> {
        self.0
            .retain(|known, _| Some(*known) == shape.root || Some(*known) == shape.hub);
        if !self.0.contains_key(lob) {
            let read = store.manifest(lob).and_then(|manifest| {
                let version = manifest.map(|manifest| Version::of(store, manifest));
                version.transpose()
            });
            let version = match read {
                Err(error) if is_absent(&error) => None,
                read => read?,
            };
            let _ = self.0.insert(*lob, version);
        }
        Ok(self.0.get(lob).and_then(Option::as_ref))
    }
}

/// The chunks that are tried of those that `wants`: the ones with the lowest ids, which are as good as
/// drawn by lot.
pub(super) fn sample(
    store: &Store,
    manifest: &Manifest,
    wants: &dyn Fn(&ChunkId) -> Result<bool>,
) -> Result<BTreeSet<ChunkId>> {
    let mut sample = BTreeSet::new();
    store.each_window(manifest, &mut |chunks| {
        for (id, _) in chunks {
            let counts =
                sample.len() < REPACK_SAMPLE || sample.last().is_some_and(|last| id < *last);
            if counts && wants(&id)? {
                sample.insert(id);
                if sample.len() > REPACK_SAMPLE {
                    let _ = sample.pop_last();
                }
            }
        }
        Ok(())
    })?;
    Ok(sample)
}

/// Bytes that these chunks take against a base; all that is stored where none helps.
pub(super) fn cost(
    store: &Store,
    manifest: &Manifest,
    base: &Version<'_>,
    sample: &BTreeSet<ChunkId>,
    kin: &dyn Fn(&ChunkId) -> Result<Option<Kin>>,
) -> Result<usize> {
    let aim = Aim {
        level: ZSTD_LEVEL,
        depth: REPACK_DEPTH,
        most: usize::MAX,
    };
    let bytes = Cell::new(0);
    let mut ask = |ids: &[ChunkId]| -> Result<Vec<Option<Kin>>> {
        let one = |id| match sample.contains(id) {
            true => Ok(None),
            // One that is to be turned too is no base.
            false => Ok(Some(kin(id)?.unwrap_or_else(out_of_reach))),
        };
        ids.iter().map(one).collect()
    };
    let sent = store.deltas(manifest, base, aim, &mut ask, &mut |frame| {
        bytes.set(bytes.get() + frame.stored.len() + 64 * frame.bases.len());
        Ok(())
    })?;
    let rest = sample.iter().filter(|id| !sent.contains(id));
    Ok(bytes.get() + alone(store, rest)?)
}

/// Bytes that these chunks take without a base.
pub(super) fn alone<'a>(store: &Store, chunks: impl Iterator<Item = &'a ChunkId>) -> Result<usize> {
    let mut bytes = 0;
    for id in chunks {
        let raw = store.chunk(id)?;
        bytes += compressed(&raw).map_or(raw.len(), |packed| packed.len());
    }
    Ok(bytes)
}

/// A chunk that is there and is no base for anything.
pub(super) fn out_of_reach() -> Kin {
    Kin {
        depth: u8::MAX,
        bases: Vec::new(),
    }
}

/// The base to take, by what each costs; `None` where none helps.
pub(super) fn parent(
    root: (LobId, usize),
    hub: Option<(LobId, usize)>,
    alone: usize,
) -> Option<LobId> {
    let less = |one: usize, other: usize, (share, of): (usize, usize)| one * of < other * share;
    let (root, by_root) = root;
    match hub {
        Some((hub, by_hub))
            if less(by_hub, by_root, WORTH_A_HUB) && less(by_hub, alone, WORTH_A_BASE) =>
        {
            Some(hub)
        }
        _ if less(by_root, alone, WORTH_A_BASE) => Some(root),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_must_be_worth_it() {
        let (root, hub) = (LobId::of(b"root"), LobId::of(b"hub"));
        let chosen = |by_root, by_hub: Option<usize>| {
            parent((root, by_root), by_hub.map(|cost| (hub, cost)), 1000)
        };
        assert_eq!(chosen(400, None), Some(root));
        assert_eq!(chosen(400, Some(300)), Some(hub));
        assert_eq!(chosen(400, Some(390)), Some(root), "hardly less");
        assert_eq!(chosen(950, None), None);
        assert_eq!(chosen(950, Some(940)), None);
        assert_eq!(chosen(950, Some(800)), Some(hub));
    }
}
