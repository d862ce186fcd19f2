//! Adding small lobs: many share a frame, which is made and written while the next are gathered. A
//! journal keeps each across a kill meanwhile.

use std::io::Read;

use crate::chunk::cut;
use crate::error::{Error, Result};
use crate::id::{ChunkId, LobId};
use crate::limits::{FRAME_CHUNKS_MAX, FRAME_RAW_MAX, FRAME_TARGET, SMALL_LOB};
use crate::manifest::{Manifest, ManifestBuilder};
use crate::pack::Journal;
use crate::progress::Progress;

use super::packing::Packing;
use super::{Added, Writer};

/// Small lobs that are gathered, and those before them that are on their way into the pack.
#[derive(Debug, Default)]
pub(super) struct Small {
    pub(super) batch: Batch,
    /// The batch, and some before it, unpacked. Its records are the same as those of a pack, and it is never published:
    /// it is there for whoever comes after a kill.
    pub(super) journal: Option<Journal>,
    journals: u32,
    /// Memory for the content that is being added.
    head: Vec<u8>,
    pub(super) packing: Option<Packing>,
}

/// Chunks that will share a frame, and the lobs that they are of.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) raw: Vec<u8>,
    pub(super) chunks: Vec<(ChunkId, u32)>,
    pub(super) manifests: Vec<Manifest>,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.manifests.is_empty()
    }

    fn is_full(&self) -> bool {
        // Lobs may be many and no chunk of them new.
        self.raw.len() >= FRAME_TARGET || self.manifests.len() >= FRAME_CHUNKS_MAX
    }

    fn has_room(&self, bytes: &[u8]) -> bool {
        self.raw.len() + bytes.len() <= FRAME_RAW_MAX && self.chunks.len() < FRAME_CHUNKS_MAX
    }
}

impl Small {
    pub(super) fn has_written(&self) -> bool {
        self.journals > 0
    }

    /// Hands the journal to the system.
    pub(super) fn flush(&mut self) -> Result<()> {
        self.journal.as_mut().map_or(Ok(()), Journal::flush)
    }

    /// All that was gathered is visible: the journal is no longer needed.
    pub(super) fn published(&mut self) -> Result<()> {
        self.journal.take().map_or(Ok(()), Journal::discard)
    }
}

impl Writer<'_> {
    /// Adds the content of `source` up to its end as a lob. Content that is already present costs
    /// hashing only. The content is kept across kill -9 when this returns, and across power loss
    /// after [`Writer::sync`]; it is visible to others after [`Writer::publish`].
    pub fn add(
        &mut self,
        source: &mut (dyn Read + Send),
        progress: &dyn Progress,
    ) -> Result<Added> {
        let added = self.guarded(|writer| {
            let mut head = std::mem::take(&mut writer.small.head);
            head.clear();
            let _ = source
                .take(SMALL_LOB as u64 + 1)
                .read_to_end(&mut head)
                .map_err(Error::Source)?;
            if progress.cancelled() {
                return Err(Error::Interrupted);
            }
            let added = match head.len() <= SMALL_LOB {
                true => {
                    let added = writer.add_small(&head)?;
                    writer.small.head = head;
                    added
                }
                false => {
                    writer.flush_small()?;
                    writer.add_stream(head, source, progress)?
                }
            };
            writer.flush()?;
            writer.naming = None;
            Ok(added)
        })?;
        progress.bytes(if added.size <= SMALL_LOB as u64 {
            added.size
        } else {
            0
        });
        progress.lob();
        Ok(added)
    }

    fn add_small(&mut self, content: &[u8]) -> Result<Added> {
        let id = LobId::of(content);
        let mut added = Added {
            id,
            size: content.len() as u64,
            new_bytes: 0,
        };
        if content.is_empty() {
            return Ok(added);
        }
        let mut builder = ManifestBuilder::default();
        let mut rest = content;
        for len in cut(content) {
            let (bytes, tail) = rest.split_at(len);
            rest = tail;
            // One chunk is the whole: its id is known.
            let chunk = match tail.is_empty() && bytes.len() == content.len() {
                true => ChunkId::from_bytes(*id.as_bytes()),
                false => ChunkId::of(bytes),
            };
            let _ = builder.push(chunk, len as u32);
            if !self.has_chunk(&chunk)? {
                added.new_bytes += len as u64;
                self.gather(chunk, bytes)?;
            }
        }
        // Its chunks were looked at all the same: one that was lost since is there again.
        if self.has_lob(&id)? {
            return Ok(added);
        }
        let (manifest, _) = builder.finish(id);
        self.journal()?.manifest(&manifest)?;
        self.name_lob(id, u32::MAX);
        self.small.batch.manifests.push(manifest);
        if self.small.batch.is_full() {
            self.pack_batch()?;
        }
        Ok(added)
    }

    fn gather(&mut self, id: ChunkId, bytes: &[u8]) -> Result<()> {
        if !self.small.batch.has_room(bytes) {
            self.pack_batch()?;
        }
        let chunk = (id, bytes.len() as u32);
        self.journal()?.chunk(&id, bytes);
        self.unsynced += bytes.len() as u64;
        self.small.batch.chunks.push(chunk);
        self.small.batch.raw.extend_from_slice(bytes);
        self.hold_pending(&[chunk]);
        Ok(())
    }

    fn journal(&mut self) -> Result<&mut Journal> {
        let journal = match self.small.journal.take() {
            Some(journal) => journal,
            None => {
                self.small.journals += 1;
                let name = format!("journal-{:08}.pack", self.small.journals);
                let disk = self.store.disk().clone();
                let stage = self.stage()?;
                Journal::create(disk, &stage.dir.join(name), stage.number)?
            }
        };
        Ok(self.small.journal.insert(journal))
    }

    /// Writes what was gathered to the pack.
    pub(super) fn flush_small(&mut self) -> Result<()> {
        self.pack_batch()?;
        self.settle_batch()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::disk::OsDisk;
    use crate::store::Store;

    /// P9: what is visible need not be remembered.
    #[test]
    fn p9_a_writer_remembers_a_bounded_number_of_lobs() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::create(Arc::new(OsDisk), &dir.path().join("s")).expect("a store");
        let mut writer = store.writer().expect("a writer");
        writer.set_pack_soft(1000);
        let mut most = 0;
        let lob = |n: u32| n.to_le_bytes().repeat(8);
        for n in 0..40 * FRAME_CHUNKS_MAX as u32 {
            let _ = writer.add(&mut lob(n).as_slice(), &()).expect("adds");
            most = most.max(writer.lobs.len());
        }
        let packs = crate::limits::PUBLISH_BATCH + super::super::SEALING_MAX + 2;
        assert!(most <= packs * FRAME_CHUNKS_MAX, "{most}");
        writer.finish().expect("publishes");
        let held = store.lob(&LobId::of(&lob(7))).expect("looks");
        assert!(held.is_some());
    }

    /// More than a frame may hold of chunks, and lobs whose chunks are all known.
    #[test]
    fn tiny_lobs_fill_many_frames() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::create(Arc::new(OsDisk), &dir.path().join("s")).expect("a store");
        let mut writer = store.writer().expect("a writer");
        let lobs: Vec<_> = (0..3 * FRAME_CHUNKS_MAX as u32)
            .map(|n| n.to_le_bytes())
            .collect();
        for lob in lobs.iter().chain(&lobs) {
            let _ = writer.add(&mut lob.as_slice(), &()).expect("adds");
        }
        writer.finish().expect("publishes");
        for lob in &lobs {
            let mut out = Vec::new();
            let read = store.write_to(&LobId::of(lob), &mut out, &());
            assert_eq!((read.expect("reads"), out.as_slice()), (4, &lob[..]));
        }
    }
}
