//! Packs from inside, and lobs: every byte is read, decoded and hashed.

use std::collections::HashSet;
use std::sync::Arc;

use crate::disk::Map;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::id::{ChunkId, PackId};
use crate::limits::{LOST_CHUNKS_MAX, READ_WINDOW};
use crate::pack::{self, ChunkEntry, FrameEntry, LobEntry, Table};
use crate::store::Store;
use crate::view::is_absent;

use super::named::Named;
use super::{Depth, Each, Exam, Examined, Finding, Gravity, Object, Remedy};

/// Frames of a pack that are read together.
const TOGETHER: usize = 32;

/// What was found in a pack.
#[derive(Default)]
struct Read {
    findings: Vec<Finding>,
    lost: Vec<ChunkId>,
}

impl Exam<'_> {
    /// Reads the packs and then the lobs that are to be examined closely.
    pub(super) fn content(
        &self,
        named: &Named,
        examined: &mut Examined,
        each: Each<'_>,
    ) -> Result<()> {
        if self.depth == Depth::Quick {
            return Ok(());
        }
        let store = match Store::examined(self.disk.clone(), self.root, self.id) {
            Ok(store) => store,
            Err(error) => {
                let (gravity, remedy) = (Gravity::Loss, Remedy::System);
                each(Finding::of(&error, Object::Store, gravity, remedy));
                return Ok(());
            }
        };
        let ids: Vec<_> = named.packs.iter().map(|pack| pack.id).collect();
        let picked: Vec<_> = ids.iter().filter(|id| self.picks(id.as_bytes())).collect();
        let mut lost = HashSet::new();
        self.in_order(
            &picked,
            |id| self.read_pack(&store, id),
            |id, read| {
                examined.whole_packs += 1;
                let room = LOST_CHUNKS_MAX.saturating_sub(lost.len());
                lost.extend(read.lost.into_iter().take(room));
                self.report(named, id, read.findings, each);
                Ok(())
            },
        )?;
        let lobs = Lobs {
            exam: self,
            named,
            store: &store,
            lost,
        };
        ids.iter()
            .try_for_each(|id| lobs.of_pack(id, examined, each))
    }

    /// Examines all that is in a pack. One that is not there or of which no table is left was
    /// reported already.
    fn read_pack(&self, store: &Store, id: &PackId) -> Result<Read> {
        let mut read = Read::default();
        let Ok(table) = store.packs().table(id) else {
            return Ok(read);
        };
        match self.hash_of(store, id) {
            Ok(found) if found == *id => {}
            Ok(_) => {
                let why = "it does not hash to its name";
                read.findings
                    .push(Finding::damaged(Object::Pack(*id), why, Remedy::Rewrite));
            }
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Err(error) => {
                let (gravity, remedy) = (Gravity::Damage, Remedy::Rewrite);
                read.findings
                    .push(Finding::of(&error, Object::Pack(*id), gravity, remedy));
            }
        }
        let mut chunks = vec![Vec::new(); table.frame_count()];
        for n in 0..table.chunk_count() {
            let chunk = table.chunk(n);
            if let Some(chunks) = chunks.get_mut(chunk.frame as usize) {
                chunks.push(chunk);
            }
        }
        for (first, some) in (0..).step_by(TOGETHER).zip(chunks.chunks(TOGETHER)) {
            self.go_on()?;
            let frames = some.iter().zip(first..);
            let frames: Vec<_> = frames
                .map(|(chunks, n)| read_frame(store, id, &table, n, chunks))
                .collect();
            for (error, chunks) in verify(store, frames).iter().zip(some) {
                if let Err(error) = error {
                    chunks
                        .iter()
                        .for_each(|chunk| read.chunk(store, id, chunk, error));
                }
            }
        }
        for n in 0..table.lob_count() {
            let lob = table.lob(n);
            if let Err(error) = read_manifest(store, id, &lob) {
                // What is lost is told of the lob.
                let why = format!("its manifest in pack {id}: {error}");
                let finding = Finding::damaged(Object::Lob(lob.id), why, Remedy::Rewrite);
                read.findings.push(finding);
            }
        }
        Ok(read)
    }

    fn hash_of(&self, store: &Store, id: &PackId) -> Result<PackId> {
        let file = store.packs().file(id)?;
        pack::hash_of(file.as_ref(), &store.packs().path(id), &mut |bytes| {
            self.progress.bytes(bytes);
            self.go_on()
        })
    }
}

impl Read {
    /// A chunk of a frame that is not good: perhaps it is, or is in another pack.
    fn chunk(&mut self, store: &Store, pack: &PackId, chunk: &ChunkEntry, error: &Error) {
        let object = Object::Chunk(chunk.id, *pack);
        let finding = match store.chunk(&chunk.id) {
            Ok(_) => Finding::of(error, object, Gravity::Damage, Remedy::Rewrite),
            Err(error) => {
                if is_absent(&error) {
                    self.lost.push(chunk.id);
                }
                Finding::of(&error, object, Gravity::Loss, Remedy::Fetch)
            }
        };
        self.findings.push(finding);
    }
}

/// Verifies frames that could be read, those with bases together, since their bases are the same.
fn verify(store: &Store, frames: Vec<Result<Frame>>) -> Vec<Result<()>> {
    let deltas = frames
        .iter()
        .flatten()
        .filter(|frame| !frame.bases.is_empty());
    let deltas: Vec<Frame> = deltas.cloned().collect();
    let good = store.verify_frames(&deltas).is_ok();
    let verify = |frame: Result<Frame>| match frame {
        Ok(frame) if good && !frame.bases.is_empty() => Ok(()),
        Ok(frame) => store.verify_frame(&frame),
        Err(error) => Err(error),
    };
    frames.into_iter().map(verify).collect()
}

/// Reads frame `n`, which is to be as the table says, with `chunks`, those that are listed in it.
fn read_frame(
    store: &Store,
    pack: &PackId,
    table: &Table,
    n: usize,
    chunks: &[ChunkEntry],
) -> Result<Frame> {
    let path = store.packs().path(pack);
    let bad = |why: &str| Err(Error::damaged(path.display(), why));
    let Some(entry) = table.frame(n) else {
        return bad("a frame of a codec that is not known");
    };
    let frame = pack::read_frame(store.packs().file(pack)?.as_ref(), &path, &entry)?;
    let listed = FrameEntry {
        raw: frame.raw_len() as u32,
        stored: frame.stored.len() as u32,
        codec: frame.codec,
        depth: frame.depth,
        bases: frame.bases.len() as u16,
        chunks: frame.chunks.len() as u32,
        ..entry
    };
    if listed != entry || table.bases(&entry) != frame.bases {
        return bad("a frame is not what the table says");
    }
    let mut places = HashSet::new();
    let mut at = 0;
    for &(id, len) in &frame.chunks {
        let _ = places.insert((id, at, len));
        at += len;
    }
    match chunks
        .iter()
        .all(|c| places.contains(&(c.id, c.offset, c.len)))
    {
        true => Ok(frame),
        false => bad("a chunk is not where the table says"),
    }
}

fn read_manifest(store: &Store, pack: &PackId, lob: &LobEntry) -> Result<()> {
    let file = store.packs().file(pack)?;
    pack::read_manifest(file.as_ref(), &store.packs().path(pack), lob).map(drop)
}

/// Lobs, each examined once, where a lookup finds it.
struct Lobs<'a> {
    exam: &'a Exam<'a>,
    named: &'a Named,
    store: &'a Store,
    /// Chunks that are in no good frame.
    lost: HashSet<ChunkId>,
}

impl Lobs<'_> {
    fn of_pack(&self, pack: &PackId, examined: &mut Examined, each: Each<'_>) -> Result<()> {
        let Some(table) = self.table(pack) else {
            return Ok(());
        };
        let mut lobs = Vec::new();
        for n in 0..table.lob_count() {
            let lob = table.lob(n);
            if !self.exam.picks(lob.id.as_bytes()) {
                continue;
            }
            // One that no lookup finds was in this pack at least.
            let place = self.store.view().find(self.store.packs(), &lob.id);
            if place.ok().flatten().is_none_or(|place| place.pack == *pack) {
                lobs.push(lob);
            }
        }
        // A long lob is read by all cores, and short ones by each core another.
        let (short, long): (Vec<_>, Vec<_>) = lobs
            .into_iter()
            .partition(|lob| lob.size <= READ_WINDOW as u64);
        let mut report = |_: &LobEntry, fault: Option<Finding>| {
            examined.whole_lobs += 1;
            self.exam.progress.lob();
            let findings = fault.into_iter().collect();
            self.exam.report(self.named, pack, findings, each);
            Ok(())
        };
        self.exam
            .in_order(&short, |lob| self.fault_of(lob), &mut report)?;
        for lob in &long {
            report(lob, self.fault_of(lob)?)?;
        }
        Ok(())
    }

    /// The table of a pack, also of one that is lost: it tells what was in it.
    fn table(&self, pack: &PackId) -> Option<Arc<Table>> {
        let packs = self.store.packs();
        let alone = || {
            let map: Map = self.exam.disk.map(&packs.table_path(pack)).ok()?;
            Table::open(map, "the table of a lost pack")
                .ok()
                .map(Arc::new)
        };
        packs.table(pack).ok().or_else(alone)
    }

    fn fault_of(&self, lob: &LobEntry) -> Result<Option<Finding>> {
        self.exam.go_on()?;
        let (object, gravity, remedy) = (Object::Lob(lob.id), Gravity::Loss, Remedy::Fetch);
        match self.read(lob) {
            Ok(()) => Ok(None),
            Err(Error::Interrupted) => Err(Error::Interrupted),
            Err(Error::NoLob(_)) => Ok(Some(Finding::missing(object, gravity, remedy))),
            Err(error) => Ok(Some(Finding::of(&error, object, gravity, remedy))),
        }
    }

    fn read(&self, lob: &LobEntry) -> Result<()> {
        let manifest = self.store.manifest(&lob.id)?;
        let manifest = manifest.ok_or(Error::NoLob(lob.id))?;
        if manifest.size != lob.size {
            return Err(Error::damaged(
                lob.id,
                "two packs disagree about its length",
            ));
        }
        // The id of a lob of one chunk is that of the chunk, and all chunks were read.
        if let Some(chunk) = manifest.single()
            && self.exam.depth == Depth::Deep
            && self.lost.len() < LOST_CHUNKS_MAX
        {
            let place = self.store.need_chunk(&chunk)?;
            return match self.lost.contains(&chunk) {
                true => Err(Error::NoChunk(chunk)),
                false if u64::from(place.entry.len) == lob.size => Ok(()),
                false => Err(Error::damaged(chunk, "it has another length than listed")),
            };
        }
        let out = &mut std::io::sink();
        let read = self
            .store
            .write_manifest(&manifest, out, self.exam.progress);
        read.map(drop)
    }
}
