//! What was written takes the place of what was there.

use std::collections::HashMap;
use std::ops::Range;

use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::id::{ChunkId, LobId};
use crate::limits::PRUNE_TRIES;
use crate::roots::News;
use crate::stage::Writer;

use super::Turned;
use super::plan::Plan;

/// What was decided of a version.
pub(super) struct Done {
    pub(super) lob: LobId,
    pub(super) turned: Turned,
    /// Whether no other unit has a part of it.
    pub(super) whole: bool,
    /// Whether this one has.
    pub(super) here: bool,
}

/// A unit that is ready to be published.
pub(super) struct Filled<'s> {
    pub(super) writer: Writer<'s>,
    pub(super) going: Vec<usize>,
    pub(super) written: HashMap<ChunkId, u8>,
    pub(super) turned: Vec<Done>,
    pub(super) passed: u64,
}

/// What came of a unit.
pub(super) struct Published {
    /// Versions that are as they are to be.
    pub(super) lobs: Vec<(LobId, Turned)>,
    /// How many were written anew to the end.
    pub(super) versions: u64,
    /// How many could not be turned, because of something that cannot be read.
    pub(super) passed: u64,
    /// Bytes of the new packs.
    pub(super) bytes: u64,
}

impl Filled<'_> {
    /// Puts it in the place of its packs, with one root.
    pub(super) fn publish(mut self, plan: &mut Plan<'_>) -> Result<Published> {
        let first = plan.marks.packs.len();
        match self.exchange(plan) {
            Ok(()) => self.writer.finish()?,
            Err(error) => {
                let _ = self.writer.discard();
                return Err(error);
            }
        }
        for &p in &self.going {
            plan.marks.packs[p].gone = true;
        }
        let _ = plan.take_in_new()?;
        let versions = self.turned.iter().filter(|done| done.whole && done.here);
        let versions = versions.count() as u64;
        let (whole, part): (Vec<Done>, Vec<Done>) =
            self.turned.into_iter().partition(|done| done.whole);
        let pair = |done: Done| (done.lob, done.turned);
        plan.begun.extend(part.into_iter().map(pair));
        Ok(Published {
            lobs: whole.into_iter().map(pair).collect(),
            versions,
            passed: self.passed,
            bytes: plan.marks.packs[first..].iter().map(|pack| pack.len).sum(),
        })
    }

    fn exchange(&mut self, plan: &mut Plan<'_>) -> Result<()> {
        let ids: Vec<_> = self.going.iter().map(|p| plan.marks.packs[*p].id).collect();
        for _ in 0..PRUNE_TRIES {
            // Under the lock of the roots: whoever publishes something after this finds out that these
            // packs were dropped, and looks again at what it stands on.
            let cursor = plan.marks.view.cursor;
            let mut agree = |news: News| Ok(!news.any);
            let taken = self
                .writer
                .publish_in_place_of(ids.clone(), &cursor, &mut agree)?;
            if taken {
                return Ok(());
            }
            let new = plan.take_in_new()?;
            self.heed(plan, new)?;
        }
        Err(Error::Busy)
    }

    /// Leaves plain what frames of packs that have just come stand on, where it got as deep as they are.
    fn heed(&mut self, plan: &Plan<'_>, new: Range<usize>) -> Result<()> {
        for p in new {
            let table = plan.marks.table_of(p)?;
            for frame in (0..table.frame_count()).filter_map(|n| table.frame(n)) {
                for base in table.bases(&frame) {
                    if self
                        .written
                        .get(&base)
                        .is_some_and(|depth| *depth >= frame.depth)
                    {
                        let bytes = plan.marks.store.chunk(&base)?;
                        let chunks = vec![(base, bytes.len() as u32)];
                        self.writer.place_frame(Frame::plain(chunks, &bytes))?;
                        let _ = self.written.insert(base, 0);
                    }
                }
            }
        }
        Ok(())
    }
}
