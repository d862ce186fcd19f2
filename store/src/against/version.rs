//! A lob as the base of another: its chunks in order, and what they are like.

use std::ops::Range;
use std::sync::OnceLock;

use rayon::prelude::*;

use crate::delta::{Chunks, Features, features, sparseness};
use crate::error::Result;
use crate::id::ChunkId;
use crate::limits::{BASE_CHUNKS_MAX, FRAME_BASES_MAX};
use crate::manifest::Manifest;
use crate::store::Store;

/// Bytes of the base on both sides of where a chunk was that serve as its prefix too, about.
const AROUND: u64 = 96 << 10;
/// The longest base whose content stays in memory while it serves; a longer one is decoded twice.
const KEPT_MAX: u64 = 32 << 20;

/// A lob of a store that another one may be based on.
#[derive(Debug)]
pub(crate) struct Version<'s> {
    store: &'s Store,
    pub(super) manifest: Manifest,
    pub(super) chunks: Chunks,
    /// Offset and id of each chunk, in order.
    order: Vec<(u64, ChunkId)>,
    /// Found when they are first needed.
    features: OnceLock<Features>,
    /// Its content, once its features were looked for, unless it is long.
    content: OnceLock<Vec<u8>>,
}

impl<'s> Version<'s> {
    /// A lob that the store holds, or the first 128 GiB of it.
    pub(crate) fn of(store: &'s Store, manifest: Manifest) -> Result<Version<'s>> {
        let mut places = Vec::new();
        let mut order = Vec::new();
        let mut at = 0;
        store.each_window(&manifest, &mut |chunks| {
            for (id, len) in chunks {
                if order.len() < BASE_CHUNKS_MAX / 2 {
                    places.push((id, at, len));
                    order.push((at, id));
                }
                at += u64::from(len);
            }
            Ok(())
        })?;
        Ok(Version {
            store,
            chunks: Chunks::new(manifest.id, places),
            manifest,
            order,
            features: OnceLock::new(),
            content: OnceLock::new(),
        })
    }

    /// The bytes of a chunk of it, where they are at hand.
    pub(super) fn chunk(&self, id: &ChunkId) -> Option<&[u8]> {
        let at = self.chunks.place(id)?;
        self.content.get()?.get(at.start as usize..at.end as usize)
    }

    /// The chunks at these bytes and around them, as many as a frame may name.
    pub(super) fn at(&self, part: &Range<u64>) -> Vec<ChunkId> {
        let starts_by = |at| self.order.partition_point(|&(start, _)| start <= at);
        let first = starts_by(part.start.saturating_sub(AROUND)).saturating_sub(1);
        let end = starts_by(part.end.saturating_add(AROUND)).max(first);
        // Those in the middle matter most.
        let spare = (end - first).saturating_sub(FRAME_BASES_MAX);
        let chunks = self.order[first + spare / 2..end].iter();
        let chunks = chunks.take(FRAME_BASES_MAX);
        chunks.map(|(_, id)| *id).collect()
    }

    /// Its features, for which all of it is read the first time.
    pub(super) fn features(&self) -> Result<&Features> {
        if let Some(features) = self.features.get() {
            return Ok(features);
        }
        let sparse = sparseness(self.manifest.size);
        let mut all = Vec::new();
        let is_kept = self.manifest.size <= KEPT_MAX;
        let kept = if is_kept { self.manifest.size } else { 0 };
        let mut content = Vec::with_capacity(kept as usize);
        let mut at = 0;
        self.store.each_window(&self.manifest, &mut |chunks| {
            let window = self.store.decode_window(&chunks)?;
            let mut starts = Vec::with_capacity(chunks.len());
            for (_, len) in &chunks {
                starts.push(at);
                at += u64::from(*len);
            }
            let found = starts.par_iter().enumerate().map(|(n, start)| {
                let mut found = features(window.chunk(n).unwrap_or_default(), sparse);
                found.iter_mut().for_each(|(_, at)| *at += start);
                found
            });
            all.extend(found.collect::<Vec<_>>().into_iter().flatten());
            if is_kept {
                window
                    .chunks()
                    .for_each(|chunk| content.extend_from_slice(chunk));
            }
            Ok(())
        })?;
        if is_kept {
            let _ = self.content.set(content);
        }
        Ok(self.features.get_or_init(|| Features::new(all, sparse)))
    }
}
