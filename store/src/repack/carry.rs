//! Moving what is not turned, as it is stored, where what it stands on allows that.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::id::{ChunkId, LobId};
use crate::limits::DELTA_DEPTH_MAX;
use crate::pack::{ChunkEntry, FrameEntry};
use crate::prune::step;
use crate::view::{Listed, Place};

use super::unit::Unit;

/// Chunks of frames, by the pack and the number of the frame.
type Frames = BTreeMap<(usize, u32), Vec<ChunkEntry>>;

impl Unit<'_, '_> {
    /// Moves what has no base and needs none, as it is.
    pub(super) fn carry_plain(&self, going: &[usize]) -> Result<()> {
        for &p in going {
            let table = self.plan.marks.table_of(p)?;
            let mut frames = Frames::new();
            for n in (0..table.chunk_count()).filter(|n| self.plan.marks.packs[p].chunks.has(*n)) {
                let chunk = table.chunk(n);
                let stays = !self.plan.is_turned(p, n) || self.is_pinned(p, n);
                let anew = self.plan.deep && self.plan.is_newest(p, n);
                if stays && !anew && ChunkId::depth(&table, &chunk) == 0 {
                    frames.entry((p, chunk.frame)).or_default().push(chunk);
                }
            }
            self.carry_frames(frames)?;
        }
        Ok(())
    }

    /// Moves what waits of a version, as it is.
    pub(super) fn carry(&self, lob: &LobId) -> Result<()> {
        let Some(manifest) = self.manifest(lob)? else {
            return Ok(());
        };
        let done = self.each_window(&manifest, &mut |chunks| {
            let mut frames = Frames::new();
            for (id, _) in chunks {
                if let Some((p, _, place)) = self.waiting(&id)? {
                    let chunks = frames.entry((p, place.entry.frame)).or_default();
                    if !chunks.contains(&place.entry) {
                        chunks.push(place.entry);
                    }
                }
            }
            self.carry_frames(frames)
        });
        self.passing(done)
    }

    /// Moves all that still waits, as it is: what stands on other things after these.
    pub(super) fn carry_rest(&self, going: &[usize]) -> Result<()> {
        for depth in 0..=DELTA_DEPTH_MAX {
            for &p in going {
                let table = self.plan.marks.table_of(p)?;
                let mut frames = Frames::new();
                let counts = |n: &usize| self.plan.marks.packs[p].chunks.has(*n);
                for chunk in (0..table.chunk_count())
                    .filter(counts)
                    .map(|n| table.chunk(n))
                {
                    let is_next = ChunkId::depth(&table, &chunk) == depth;
                    if is_next && !self.written.borrow().contains_key(&chunk.id) {
                        frames.entry((p, chunk.frame)).or_default().push(chunk);
                    }
                }
                self.carry_frames(frames)?;
            }
        }
        Ok(())
    }

    fn carry_frames(&self, frames: Frames) -> Result<()> {
        for ((p, number), mut chunks) in frames {
            let (table, pack) = (self.plan.marks.table_of(p)?, self.plan.marks.packs[p].id);
            let entry = table.frame(number as usize);
            let entry =
                entry.ok_or_else(|| Error::damaged(format!("pack {pack}"), "it lacks a frame"))?;
            chunks.sort_by_key(|chunk| chunk.offset);
            let place = Place { pack, table, entry };
            let whole = chunks.len() == place.entry.chunks as usize;
            let frame = match whole && self.can_stay(p, &place, &chunks)? {
                true => step::stored(&self.plan.marks, &place)?,
                false => step::anew(&self.plan.marks, &place, &chunks)?,
            };
            self.put(frame)?;
        }
        Ok(())
    }

    /// Whether a frame can be moved with its bases.
    fn can_stay(&self, p: usize, place: &Place<FrameEntry>, chunks: &[ChunkEntry]) -> Result<bool> {
        let (depth, table) = (place.entry.depth, &place.table);
        if depth == 0 {
            return Ok(true);
        }
        let numbers = chunks
            .iter()
            .filter_map(|chunk| table.find_chunk(&chunk.id));
        let most = match { numbers }.any(|n| self.is_pinned(p, n)) {
            true => depth,
            false => DELTA_DEPTH_MAX,
        };
        Ok(self.depth_on(&table.bases(&place.entry))? <= most)
    }
}
