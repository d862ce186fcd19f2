//! A store in memory that counts what it is asked and fails on demand.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::io;
use std::path::Path;
use std::sync::Mutex;

use lob_store::{
    ChunkId, Codec, Cursor, Epoch, Frame, Kin, LobId, LobInfo, Manifest, Parts, StoreId,
};

use super::{Origin, Remote, Result, Upload};

/// Bytes of a chunk in this store.
const CHUNK: usize = 16;

/// A store in memory.
#[derive(Debug, Default)]
pub struct Memory {
    /// What is stored.
    pub content: Mutex<Content>,
    /// Kinds of I/O errors that the next frames to arrive end with; `None` lets one pass.
    pub faults: Mutex<VecDeque<Option<io::ErrorKind>>>,
    /// What [`Remote::free_space`] says.
    pub free: Option<u64>,
    /// How many manifests come at once, if not all.
    pub manifests_most: Option<usize>,
    /// What was asked, call by call.
    pub calls: Mutex<Vec<&'static str>>,
}

/// What a [`Memory`] holds.
#[derive(Debug, Default, Clone)]
pub struct Content {
    lobs: BTreeMap<LobId, Manifest>,
    chunks: HashMap<ChunkId, Vec<u8>>,
    published: u64,
}

impl Memory {
    /// Stores `bytes` as a lob.
    pub fn add(&self, bytes: &[u8]) -> LobInfo {
        let mut content = self.content.lock().unwrap();
        let mut list = Vec::new();
        for chunk in bytes.chunks(CHUNK) {
            let id = ChunkId::of(chunk);
            content.chunks.insert(id, chunk.to_vec());
            list.push((id, chunk.len() as u32));
        }
        let id = LobId::of(bytes);
        let size = bytes.len() as u64;
        let manifest = Manifest {
            id,
            size,
            parts: Parts::Chunks(list),
        };
        content.lobs.insert(id, manifest);
        LobInfo { id, size }
    }

    /// Puts a manifest in the place of what is there for `id`.
    pub fn corrupt(&self, id: LobId, manifest: Manifest) {
        self.content.lock().unwrap().lobs.insert(id, manifest);
    }

    /// Forgets a lob; its chunks stay.
    pub fn forget(&self, id: &LobId) {
        self.content.lock().unwrap().lobs.remove(id);
    }

    /// The bytes of a lob.
    pub fn get(&self, id: &LobId) -> Option<Vec<u8>> {
        let content = self.content.lock().unwrap();
        let Parts::Chunks(list) = &content.lobs.get(id)?.parts else {
            return None;
        };
        let chunks = list.iter().map(|(id, _)| content.chunks.get(id));
        Some(
            chunks
                .collect::<Option<Vec<_>>>()?
                .into_iter()
                .flatten()
                .copied()
                .collect(),
        )
    }

    /// How often `call` was made.
    pub fn count(&self, call: &str) -> usize {
        self.calls
            .lock()
            .unwrap()
            .iter()
            .filter(|made| **made == call)
            .count()
    }

    fn called(&self, call: &'static str) {
        self.calls.lock().unwrap().push(call);
    }
}

impl Remote for Memory {
    fn describe(&self) -> String {
        "memory".into()
    }

    fn store_id(&self) -> StoreId {
        StoreId::from_bytes([1; 32])
    }

    fn cursor(&self) -> Result<Cursor> {
        Ok(Cursor {
            seq: self.content.lock().unwrap().published,
            hash: [0; 16],
        })
    }

    fn epoch(&self) -> Result<Epoch> {
        Ok(Epoch::from_bytes([0; 32]))
    }

    fn refresh(&self) -> Result<()> {
        self.called("refresh");
        Ok(())
    }

    fn sizes(&self, ids: &[LobId]) -> Result<Vec<Option<u64>>> {
        self.called("sizes");
        let content = self.content.lock().unwrap();
        Ok(ids
            .iter()
            .map(|id| content.lobs.get(id).map(|lob| lob.size))
            .collect())
    }

    fn hold(&self, ids: &[LobId]) -> Result<Vec<Option<u64>>> {
        self.called("hold");
        self.sizes(ids)
    }

    fn has_chunks(&self, ids: &[ChunkId]) -> Result<Vec<bool>> {
        self.called("has_chunks");
        let content = self.content.lock().unwrap();
        Ok(ids
            .iter()
            .map(|id| content.chunks.contains_key(id))
            .collect())
    }

    fn manifests(&self, ids: &[LobId]) -> Result<Vec<Option<Manifest>>> {
        self.called("manifests");
        let content = self.content.lock().unwrap();
        let ids = &ids[..ids.len().min(self.manifests_most.unwrap_or(usize::MAX))];
        Ok(ids.iter().map(|id| content.lobs.get(id).cloned()).collect())
    }

    fn each_chunk(
        &self,
        ids: &[ChunkId],
        each: &mut dyn FnMut(ChunkId, &[u8]) -> Result<()>,
    ) -> Result<()> {
        self.called("each_chunk");
        let content = self.content.lock().unwrap().clone();
        ids.iter().try_for_each(|id| match content.chunks.get(id) {
            Some(bytes) => each(*id, bytes),
            None => Err(lob_store::Error::NoChunk(*id).into()),
        })
    }

    fn kin(&self, ids: &[ChunkId]) -> Result<Vec<Option<Kin>>> {
        let content = self.content.lock().unwrap();
        let kin = |id| content.chunks.contains_key(id).then(Kin::default);
        Ok(ids.iter().map(kin).collect())
    }

    fn each_frame(
        &self,
        ids: &[ChunkId],
        _: &HashSet<ChunkId>,
        each: &mut dyn FnMut(Frame) -> Result<()>,
    ) -> Result<()> {
        self.called("each_frame");
        self.each_chunk(ids, &mut |id, bytes| {
            each(Frame {
                codec: Codec::Raw,
                depth: 0,
                chunks: vec![(id, bytes.len() as u32)],
                bases: Vec::new(),
                stored: bytes.to_vec(),
            })
        })
    }

    fn each_lob(&self, each: &mut dyn FnMut(LobInfo) -> Result<()>) -> Result<()> {
        let content = self.content.lock().unwrap().clone();
        content.lobs.values().try_for_each(|lob| {
            each(LobInfo {
                id: lob.id,
                size: lob.size,
            })
        })
    }

    fn receive(&self, _: Origin) -> Result<Box<dyn Upload + Send + '_>> {
        self.called("receive");
        Ok(Box::new(Receiving {
            memory: self,
            chunks: BTreeMap::new(),
            lobs: Vec::new(),
        }))
    }

    fn free_space(&self) -> Result<Option<u64>> {
        Ok(self.free)
    }
}

/// What arrives and is not yet published.
#[derive(Debug)]
struct Receiving<'a> {
    memory: &'a Memory,
    chunks: BTreeMap<ChunkId, Vec<u8>>,
    lobs: Vec<Manifest>,
}

impl Upload for Receiving<'_> {
    fn add_frame(&mut self, frame: Frame) -> Result<()> {
        if let Some(Some(kind)) = self.memory.faults.lock().unwrap().pop_front() {
            return Err(lob_store::Error::at(Path::new("memory"))(kind.into()).into());
        }
        let (id, _) = frame.chunks[0];
        if ChunkId::of(&frame.stored) != id {
            return Err(lob_store::Error::damaged(id, "it hashes to another id").into());
        }
        self.chunks.insert(id, frame.stored.clone());
        Ok(())
    }

    fn add_manifest(&mut self, manifest: &Manifest) -> Result<()> {
        let content = self.memory.content.lock().unwrap();
        let known: BTreeSet<&ChunkId> = self.chunks.keys().chain(content.chunks.keys()).collect();
        if let Parts::Chunks(list) = &manifest.parts
            && let Some((id, _)) = list.iter().find(|(id, _)| !known.contains(id))
        {
            return Err(lob_store::Error::NoChunk(*id).into());
        }
        self.lobs.push(manifest.clone());
        Ok(())
    }

    fn publish(&mut self) -> Result<()> {
        let mut content = self.memory.content.lock().unwrap();
        content.chunks.extend(std::mem::take(&mut self.chunks));
        let lobs = std::mem::take(&mut self.lobs);
        content
            .lobs
            .extend(lobs.into_iter().map(|lob| (lob.id, lob)));
        content.published += 1;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.publish()
    }
}
