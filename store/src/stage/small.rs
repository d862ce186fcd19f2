//! Adding small lobs: many share a frame, and a journal keeps each across a kill meanwhile.

use std::io::Read;

use crate::chunk::cut;
use crate::error::{Error, Result};
use crate::frame::{Codec, Frame};
use crate::id::{ChunkId, LobId};
use crate::limits::{FRAME_RAW_MAX, FRAME_TARGET, SMALL_LOB};
use crate::manifest::{Manifest, ManifestBuilder};
use crate::pack::PackWriter;
use crate::progress::Progress;

use super::{Added, Pending, Writer};

/// The frame that small lobs are gathered in, and what waits for it.
#[derive(Debug, Default)]
pub(super) struct Small {
    raw: Vec<u8>,
    chunks: Vec<(ChunkId, u32)>,
    manifests: Vec<Manifest>,
    /// The gathered chunks and manifests, unpacked. Its records are the same as those of a pack, and
    /// it is never published: it is there for whoever comes after a kill.
    journal: Option<PackWriter>,
    journals: u32,
}

impl Small {
    /// Hands the journal to the system.
    pub(super) fn flush(&mut self) -> Result<()> {
        self.journal.as_mut().map_or(Ok(()), PackWriter::flush)
    }

    /// All that was gathered is visible: the journal is no longer needed.
    pub(super) fn published(&mut self) -> Result<()> {
        self.journal.take().map_or(Ok(()), PackWriter::discard)
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
            let mut head = Vec::new();
            let _ = source
                .take(SMALL_LOB as u64 + 1)
                .read_to_end(&mut head)
                .map_err(Error::Source)?;
            if progress.cancelled() {
                return Err(Error::Interrupted);
            }
            let added = match head.len() <= SMALL_LOB {
                true => writer.add_small(&head)?,
                false => {
                    writer.flush_small()?;
                    writer.add_stream(head, source, progress)?
                }
            };
            writer.flush()?;
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
        let _ = self.lobs.insert(id);
        self.small.manifests.push(manifest);
        if self.small.raw.len() >= FRAME_TARGET {
            self.flush_small().map(|()| added)
        } else {
            Ok(added)
        }
    }

    fn gather(&mut self, id: ChunkId, bytes: &[u8]) -> Result<()> {
        if self.small.raw.len() + bytes.len() > FRAME_RAW_MAX {
            self.flush_frame()?;
        }
        let chunk = (id, bytes.len() as u32);
        self.journal()?.frame(&Frame {
            codec: Codec::Raw,
            depth: 0,
            chunks: vec![chunk],
            bases: Vec::new(),
            stored: bytes.to_vec(),
        })?;
        self.unsynced += bytes.len() as u64;
        self.small.chunks.push(chunk);
        self.small.raw.extend_from_slice(bytes);
        // In no pack yet, and so in none that a publication could take for visible.
        let (pack, len) = (u32::MAX, chunk.1);
        let _ = self.chunks.insert(id, Pending { pack, len });
        Ok(())
    }

    fn journal(&mut self) -> Result<&mut PackWriter> {
        let journal = match self.small.journal.take() {
            Some(journal) => journal,
            None => {
                self.small.journals += 1;
                let name = format!("journal-{:08}.pack", self.small.journals);
                self.begin_pack(&name)?
            }
        };
        Ok(self.small.journal.insert(journal))
    }

    fn flush_frame(&mut self) -> Result<()> {
        if self.small.chunks.is_empty() {
            return Ok(());
        }
        let frame = Frame::plain(std::mem::take(&mut self.small.chunks), &self.small.raw);
        self.small.raw.clear();
        self.append(&frame)
    }

    /// Writes what was gathered to the pack.
    pub(super) fn flush_small(&mut self) -> Result<()> {
        self.flush_frame()?;
        for manifest in std::mem::take(&mut self.small.manifests) {
            self.append_manifest(&manifest)?;
        }
        let long = |journal: &PackWriter| journal.len() > self.pack_soft;
        if self.small.journal.as_ref().is_some_and(long) {
            // What it holds is in the pack now, and no less safe there.
            self.flush()?;
            self.small.published()?;
        }
        Ok(())
    }
}
