//! What is on its way into the pack, in a thread of its own: small lobs, and frames that were received.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crate::buffer;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::id::{ChunkId, LobId};
use crate::pack::{Journal, PackWriter};

use super::small::Batch;
use super::{Pending, Writer};

/// Something that is being written. The pack is with it meanwhile.
#[derive(Debug)]
pub(super) struct Packing {
    job: JoinHandle<Result<Packed>>,
    chunks: Vec<(ChunkId, u32)>,
    lobs: Vec<LobId>,
    /// Where the same content is, and no other, until the job has handed all of it to the system.
    journal: Option<Journal>,
    /// Whether it was received, and no journal has it.
    received: bool,
}

#[derive(Debug)]
struct Packed {
    pack: PackWriter,
    synced: bool,
}

impl Packing {
    /// Waits for the end, whatever it is.
    pub(super) fn wait(self) {
        let _ = self.job.join();
    }
}

impl Writer<'_> {
    /// Begins to write what was gathered to the pack, and to sync the pack where much has come
    /// together. Only one batch is on its way at a time.
    pub(super) fn pack_batch(&mut self) -> Result<()> {
        self.settle_batch()?;
        if self.small.batch.is_empty() {
            return Ok(());
        }
        self.small.flush()?;
        let _ = self.pack()?;
        let (Some(pack), Some(stage)) = (self.pack.take(), &self.stage) else {
            return Ok(());
        };
        let above = self.store.root().join("stage");
        let dirs = [stage.dir.clone(), above];
        let disk = self.store.disk().clone();
        let (batch, behind) = (std::mem::take(&mut self.small.batch), self.sync_behind);
        self.small.packing = Some(Packing {
            chunks: batch.chunks.clone(),
            lobs: batch.manifests.iter().map(|lob| lob.id).collect(),
            journal: self.small.journal.take_if(|journal| journal.is_full()),
            received: false,
            job: thread::spawn(move || write(&disk, &dirs, pack, &batch, behind)),
        });
        Ok(())
    }

    /// Begins to write verified frames to the pack, which is there where any are, while more are received
    /// and verified.
    pub(super) fn pack_frames(&mut self, frames: Vec<Frame>) {
        let Some(mut pack) = self.pack.take_if(|_| !frames.is_empty()) else {
            return;
        };
        let chunks = frames.iter().flat_map(|frame| &frame.chunks);
        self.unsynced += frames.iter().map(|f| f.stored.len() as u64).sum::<u64>();
        self.small.packing = Some(Packing {
            chunks: chunks.copied().collect(),
            lobs: Vec::new(),
            journal: None,
            received: true,
            job: thread::spawn(move || {
                for frame in frames {
                    pack.frame(&frame)?;
                    buffer::give(frame.stored);
                }
                let synced = false;
                Ok(Packed { pack, synced })
            }),
        });
    }

    /// Waits until what was received is in the pack, and not for what a journal has.
    pub(super) fn settle_received(&mut self) -> Result<()> {
        match &self.small.packing {
            Some(packing) if packing.received => self.settle_batch(),
            _ => Ok(()),
        }
    }

    /// Waits until what is on its way is in the pack.
    pub(super) fn settle_batch(&mut self) -> Result<()> {
        let Some(packing) = self.small.packing.take() else {
            return Ok(());
        };
        let packed = self.outcome(packing.job)?;
        self.pack = Some(packed.pack);
        let pack = self.serial;
        for (id, len) in packing.chunks {
            let _ = self.chunks.insert(id, Pending { pack, len });
        }
        let lobs = packing.lobs.into_iter().map(|id| (id, pack));
        self.lobs.extend(lobs);
        if packed.synced && self.sealing.is_empty() {
            self.unsynced = self.small.batch.raw.len() as u64;
        }
        packing.journal.map_or(Ok(()), Journal::discard)?;
        self.seal_if_full()
    }
}

fn write(
    disk: &Arc<dyn Disk>,
    dirs: &[PathBuf],
    mut pack: PackWriter,
    batch: &Batch,
    behind: usize,
) -> Result<Packed> {
    if !batch.chunks.is_empty() {
        pack.frame(&Frame::plain(batch.chunks.clone(), &batch.raw))?;
    }
    for manifest in &batch.manifests {
        pack.manifest(manifest)?;
    }
    pack.flush()?;
    let synced = pack.behind() >= behind;
    if synced {
        pack.sync()?;
        // The pack may be new, and the stage too.
        for dir in dirs {
            disk.sync_dir(dir).map_err(Error::at(dir))?;
        }
    }
    Ok(Packed { pack, synced })
}
