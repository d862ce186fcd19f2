//! The stage: the quarantine in which packs are made and received until they are published.
//!
//! A writer has a directory of its own in `stage/`, under a kernel lock that ends with its process.
//! What a killed writer left is read forward by whoever opens the store next, and what is whole is
//! kept: so a pointer that was printed keeps its content, and a retry need not send it again.

mod following;
mod lost;
mod moving;
mod packing;
mod received;
mod reliance;
mod rescue;
mod salvage;
mod sealing;
mod small;
mod stream;

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::thread::JoinHandle;

use crate::disk::Lock;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::id::{ChunkId, LobId, PackId};
use crate::limits::{PACK_SOFT, SYNC_BEHIND, WARM_PACKS};
use crate::manifest::Manifest;
use crate::pack::{PackWriter, Sealed};
use crate::store::Store;

use following::Following;
use reliance::{Reliance, is_refused};
pub(crate) use salvage::{salvage_dead, seen_by_all};
use small::Small;

/// What adding one lob did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Added {
    /// Its id.
    pub id: LobId,
    /// Its length in bytes.
    pub size: u64,
    /// Bytes of it that were in no chunk of the store before.
    pub new_bytes: u64,
}

/// The directory of one writer.
#[derive(Debug)]
struct Stage {
    /// A random number, which is its name and in all packs that are made in it.
    number: u64,
    dir: PathBuf,
    lock_path: PathBuf,
    _lock: Lock,
}

/// A chunk that is not visible yet.
#[derive(Debug, Clone, Copy)]
struct Pending {
    /// The number of its pack; [`u32::MAX`] while it is in none.
    pack: u32,
    len: u32,
}

/// Packs that are sealed in the background at once: their syncs overlap with what comes next.
const SEALING_MAX: usize = 2;

/// A writer into a store. Dropping it without [`Writer::finish`] leaves what was not yet published
/// in its stage, where the next one to open the store finds and keeps what is whole.
#[derive(Debug)]
pub struct Writer<'s> {
    store: &'s Store,
    /// Made when there is something to write.
    stage: Option<Stage>,
    pack: Option<PackWriter>,
    /// The number of the pack that is being written.
    serial: u32,
    sealing: VecDeque<JoinHandle<Result<Sealed>>>,
    sealed: Vec<Sealed>,
    /// Packs in their places that no root names yet, with their lengths.
    moved: Vec<(PackId, u64)>,
    reliance: Reliance,
    /// Whether this moves what the store has: then it does not count that it is there.
    moving: bool,
    /// Whether the depths of frames are what they will be when packs have gone, and are not found out.
    placing: bool,
    /// Chunks in packs that are not visible yet.
    chunks: HashMap<ChunkId, Pending>,
    /// Lobs that are not visible yet, no more than those of the packs that are published together:
    /// each with the number of the pack that names it, [`u32::MAX`] while none does.
    lobs: HashMap<LobId, u32>,
    /// The last of them, until it is acknowledged.
    naming: Option<LobId>,
    /// Whether something is lost that was handed to a thread.
    has_lost: bool,
    small: Small,
    received: Vec<Frame>,
    received_bytes: usize,
    following: Following,
    /// Received manifests whose content is verified once its chunks are in place.
    unverified: Vec<Manifest>,
    unverified_items: usize,
    unsynced: u64,
    /// Length from which a pack is sealed.
    pack_soft: u64,
    /// Bytes of small lobs in a pack from which on they are synced while more are gathered.
    sync_behind: usize,
    /// Whether what is written is not read here soon.
    cold: bool,
    /// Whether anything was added, or found to be there already.
    used: bool,
    failed: bool,
}

impl<'s> Writer<'s> {
    pub(crate) fn new(store: &'s Store) -> Writer<'s> {
        Writer {
            store,
            stage: None,
            pack: None,
            serial: 0,
            sealing: VecDeque::new(),
            sealed: Vec::new(),
            moved: Vec::new(),
            reliance: Reliance::default(),
            moving: false,
            placing: false,
            chunks: HashMap::new(),
            lobs: HashMap::new(),
            naming: None,
            has_lost: false,
            small: Small::default(),
            received: Vec::new(),
            received_bytes: 0,
            following: Following::default(),
            unverified: Vec::new(),
            unverified_items: 0,
            unsynced: 0,
            pack_soft: PACK_SOFT,
            sync_behind: SYNC_BEHIND,
            cold: false,
            used: false,
            failed: false,
        }
    }

    /// Seals packs from this length on instead of [`PACK_SOFT`]: so that tests need not move
    /// gigabytes to see many packs.
    #[doc(hidden)]
    pub fn set_pack_soft(&mut self, bytes: u64) {
        self.pack_soft = bytes;
    }

    /// Syncs small lobs from so many bytes on instead of [`SYNC_BEHIND`], likewise.
    #[doc(hidden)]
    pub fn set_sync_behind(&mut self, bytes: usize) {
        self.sync_behind = bytes;
    }

    /// Says whether what is written is sent away and not read here soon: then packs give back the
    /// memory that they are cached in.
    pub fn set_cold(&mut self, cold: bool) {
        self.cold = cold;
    }

    /// Runs one call of a user's. After an error that leaves open what is in the stage (nothing can
    /// be appended behind half a record, and a sync that failed is final) the writer does no more.
    fn guarded<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.failed {
            return Err(Error::WriterFailed);
        }
        // Also after a panic.
        self.failed = true;
        let result = self.begin().and_then(|()| work(self));
        self.failed = self.has_lost || matches!(&result, Err(e) if !is_harmless(e));
        result
    }

    /// Before the first look at what is there: the stage, so that nothing that this writer finds is
    /// deleted while it needs it, and then what the store holds now.
    fn begin(&mut self) -> Result<()> {
        if self.used {
            return Ok(());
        }
        self.used = true;
        match self.stage() {
            // Whoever adds only what is there need not write. Others hear of it when they do.
            Err(error) if is_refused(&error) => {}
            made => made.map(drop)?,
        }
        let _ = self.store.refresh()?;
        self.reliance.since = self.store.view().cursor;
        match &self.stage {
            Some(stage) => stage.has_seen(self.store, self.reliance.since),
            None => Ok(()),
        }
    }

    /// Begins now, and not with the first thing that is added: what the store is seen to hold from
    /// here on can be relied on until this writer ends.
    pub fn start(&mut self) -> Result<()> {
        self.guarded(|_| Ok(()))
    }

    /// Whether anything is in the stage.
    fn has_written(&self) -> bool {
        self.serial > 0 || self.small.has_written()
    }

    /// Bytes added since the last sync.
    pub fn unsynced(&self) -> u64 {
        self.unsynced
    }

    /// Whether anything was added that is not visible yet.
    pub fn is_pending(&self) -> bool {
        self.has_written() || !self.received.is_empty() || !self.unverified.is_empty()
    }

    /// Makes all that was added durable, save lobs of other stores that are not verified yet.
    pub fn sync(&mut self) -> Result<()> {
        self.lasting(|writer| {
            writer.write_received()?;
            writer.flush_small()?;
            writer.join_sealing(0)?;
            if let Some(pack) = &mut writer.pack {
                pack.sync()?;
            }
            if let Some(stage) = writer.stage.as_ref().filter(|_| writer.has_written()) {
                let disk = writer.store.disk();
                disk.sync_dir(&stage.dir).map_err(Error::at(&stage.dir))?;
                let above = writer.store.root().join("stage");
                disk.sync_dir(&above).map_err(Error::at(&above))?;
            }
            writer.unsynced = 0;
            Ok(())
        })
    }

    /// Makes all that was added durable and visible. The writer can go on.
    pub fn publish(&mut self) -> Result<()> {
        self.lasting(|writer| {
            writer.write_received()?;
            writer.flush_small()?;
            if !writer.unverified.is_empty() {
                // Chunks without a lob are no name that promises anything; they may be seen early.
                writer.seal_and_publish()?;
                writer.unverified_items = 0;
                for manifest in std::mem::take(&mut writer.unverified) {
                    writer.store.check_lob(&manifest)?;
                    writer.append_manifest(&manifest)?;
                }
            }
            writer.seal_and_publish()
        })
    }

    /// Runs a call after which something is promised of all that was added: so any error of it is
    /// final, and what the content relies on is made durable too.
    fn lasting<T: Default>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if !self.used {
            return Ok(T::default());
        }
        let result = self.guarded(|writer| {
            let done = work(writer)?;
            writer.store.settle()?;
            writer.sync_times().map(|()| done)
        });
        self.failed |= result.is_err();
        result
    }

    /// Publishes and removes the stage.
    pub fn finish(mut self) -> Result<()> {
        self.publish()?;
        match self.stage.take() {
            Some(stage) => salvage::remove(self.store, &stage.dir, &stage.lock_path),
            None => Ok(()),
        }
    }

    /// Removes the stage with all that was not published, unless packs have left it that no root names:
    /// whoever takes the stage over gives them one.
    pub(crate) fn discard(mut self) -> Result<()> {
        self.stop();
        match self.stage.take().filter(|_| self.moved.is_empty()) {
            Some(stage) => salvage::remove(self.store, &stage.dir, &stage.lock_path),
            None => Ok(()),
        }
    }

    /// Waits for the threads that write to the stage. Whatever became of their work: nobody asks.
    fn stop(&mut self) {
        if let Some(packing) = self.small.packing.take() {
            packing.wait();
        }
        for sealing in self.sealing.drain(..) {
            let _ = sealing.join();
        }
    }

    fn has_chunk(&self, id: &ChunkId) -> Result<bool> {
        if self.moving || self.chunks.contains_key(id) {
            return Ok(self.chunks.contains_key(id));
        }
        self.store.view().holds(self.store.packs(), id)
    }

    fn stage(&mut self) -> Result<&Stage> {
        let stage = match self.stage.take() {
            Some(stage) => stage,
            None => salvage::create(self.store)?,
        };
        Ok(self.stage.insert(stage))
    }

    fn pack(&mut self) -> Result<&mut PackWriter> {
        self.settle_batch()?;
        let pack = match self.pack.take() {
            Some(pack) => pack,
            None => {
                let disk = self.store.disk().clone();
                let name = format!("{:08}.pack", self.serial + 1);
                let stage = self.stage()?;
                let path = stage.dir.join(name);
                let mut pack = PackWriter::create(disk, &path, stage.number)?;
                pack.set_cold(self.cold || self.serial >= WARM_PACKS);
                self.serial += 1;
                pack
            }
        };
        Ok(self.pack.insert(pack))
    }

    /// Hands all that was appended to the system, which keeps it when this process is killed.
    fn flush(&mut self) -> Result<()> {
        self.settle_received()?;
        self.pack.as_mut().map_or(Ok(()), PackWriter::flush)?;
        self.small.flush()
    }

    /// Remembers chunks that are in no pack yet, and so in none that a publication could take for visible.
    fn hold_pending(&mut self, chunks: &[(ChunkId, u32)]) {
        let pack = u32::MAX;
        let pending = |&(id, len): &(ChunkId, u32)| (id, Pending { pack, len });
        self.chunks.extend(chunks.iter().map(pending));
    }

    /// Appends a verified frame to the pack, and seals the pack when it is full.
    fn append(&mut self, frame: &Frame) -> Result<()> {
        self.pack()?.frame(frame)?;
        self.unsynced += frame.stored.len() as u64;
        let pack = self.serial;
        for &(id, len) in &frame.chunks {
            let _ = self.chunks.insert(id, Pending { pack, len });
        }
        self.seal_if_full()
    }

    fn append_manifest(&mut self, manifest: &Manifest) -> Result<()> {
        self.settle_batch()?;
        if self
            .pack
            .as_ref()
            .is_some_and(|pack| !pack.has_room(manifest))
        {
            self.seal()?;
            self.join_sealing(SEALING_MAX)?;
        }
        self.pack()?.manifest(manifest)?;
        self.name_lob(manifest.id, self.serial);
        self.seal_if_full()
    }

    fn name_lob(&mut self, id: LobId, pack: u32) {
        self.naming = Some(id);
        let _ = self.lobs.insert(id, pack);
    }

    /// Stores the bytes of a manifest segment as a chunk in a frame of its own.
    fn append_segment(&mut self, bytes: &[u8]) -> Result<()> {
        let id = ChunkId::of(bytes);
        if self.has_chunk(&id)? {
            return Ok(());
        }
        self.append(&Frame::plain(vec![(id, bytes.len() as u32)], bytes))
    }
}

/// Threads write to the stage, whose lock ends with the writer.
impl Drop for Writer<'_> {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Whether the writer can go on after this error: nothing was claimed that is not in the stage.
fn is_harmless(error: &Error) -> bool {
    use Error::{Damaged, Interrupted, NoChunk, OverLimit, Source};
    matches!(
        error,
        Source(_) | Interrupted | NoChunk(_) | Damaged { .. } | OverLimit { .. }
    )
}
