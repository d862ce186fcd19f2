//! Frames, and the bytes of chunks, as they come.

use std::collections::HashSet;

use lob_store::{ChunkId, Frame};

use super::Served;
use crate::remote::{Against, Result};
use crate::wire::message::{AGAINST_MAX, RELIED_MAX};
use crate::wire::{Asked, Field, FieldReader, Tag, Verb};

impl Served {
    /// Frames of as many chunks as one request may name.
    pub(super) fn some_frames(
        &self,
        ids: &[ChunkId],
        relied: &HashSet<ChunkId>,
        against: &Against,
        each: &mut dyn FnMut(Frame) -> Result<()>,
    ) -> Result<()> {
        // What stands on others comes newly made.
        let relied: Vec<ChunkId> = relied.iter().copied().take(RELIED_MAX).collect();
        let pairs = against.versions.iter().take(AGAINST_MAX);
        let ids_of = ids.iter().map(|id| *id.as_bytes()).collect();
        let asked = Asked {
            relied: relied.iter().map(|id| *id.as_bytes()).collect(),
            against: pairs
                .map(|(lob, base)| [*lob.as_bytes(), *base.as_bytes()])
                .collect(),
            ..Asked::about(self.store, ids_of)
        };
        let body = asked.encode().map_err(|error| self.unasked(error))?;
        let mut answer = self.exchange(Verb::Frames, &body)?;
        let mut from = FieldReader::new(&mut answer);
        let mut wanted: HashSet<ChunkId> = ids.iter().copied().collect();
        let relied: HashSet<&ChunkId> = relied.iter().collect();
        while let Some(field) = from.next_frame(&[]).map_err(|e| self.failed(e))? {
            let Field::Frame(frame) = field else {
                return Err(self.unasked("another field than a frame"));
            };
            // So there are never more frames than ids.
            let news = frame.chunks.iter().filter(|(id, _)| wanted.remove(id));
            if news.count() == 0 {
                return Err(self.unasked("a frame without anything that was asked for"));
            }
            let is_here = |base: &&ChunkId| relied.contains(base) || against.chunks.contains(base);
            if let Some(base) = frame.bases.iter().find(|base| !is_here(base)) {
                return Err(self.unasked(format!("a frame that stands on chunk {base}")));
            }
            each(frame)?;
        }
        match wanted.into_iter().next() {
            None => Ok(()),
            Some(id) => Err(lob_store::Error::NoChunk(id).into()),
        }
    }

    /// The bytes of as many chunks as one request may name.
    pub(super) fn some_chunks(
        &self,
        ids: &[ChunkId],
        each: &mut dyn FnMut(ChunkId, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let body = self.request(ids.iter().map(|id| *id.as_bytes()))?;
        let mut answer = self.exchange(Verb::Chunks, &body)?;
        let mut from = FieldReader::new(&mut answer);
        for id in ids {
            match from.next(&[Tag::Chunk]).map_err(|e| self.failed(e))? {
                Some((_, bytes)) if ChunkId::of(&bytes) == *id => each(*id, &bytes)?,
                Some(_) => return Err(self.unasked(format!("another chunk than {id}"))),
                None => return Err(lob_store::Error::NoChunk(*id).into()),
            }
        }
        from.end().map_err(|error| self.failed(error))
    }
}
