//! A store: packs, their tables, the index over them and the roots that make them visible.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::Disk;
use crate::error::Result;
use crate::frame::Frame;
use crate::id::{ChunkId, LobId, StoreId};
use crate::manifest::Manifest;
use crate::progress::Progress;
use crate::roots::Cursor;
use crate::stage::Writer;

/// What a store knows of a lob without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LobInfo {
    /// Its id.
    pub id: LobId,
    /// Its length in bytes.
    pub size: u64,
}

/// A store in a directory. Share it by reference: all its methods take `&self` and any thread.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
}

#[expect(unused_variables, clippy::todo, reason = "the skeleton")]
impl Store {
    /// Makes a new store in `root`, which must be missing or empty.
    pub fn create(disk: Arc<dyn Disk>, root: &Path) -> Result<Store> {
        todo!()
    }
    /// Opens the store in `root`.
    pub fn open(disk: Arc<dyn Disk>, root: &Path) -> Result<Store> {
        todo!()
    }
    /// Opens the store in `root`, or makes it where there is nothing yet.
    pub fn open_or_create(disk: Arc<dyn Disk>, root: &Path) -> Result<Store> {
        todo!()
    }
    /// The random id that the store got when it was made.
    pub fn id(&self) -> StoreId {
        todo!()
    }
    /// Its directory.
    pub fn root(&self) -> &Path {
        &self.root
    }
    /// Takes in what other processes have published since. Returns whether anything is new.
    pub fn refresh(&self) -> Result<bool> {
        todo!()
    }
    /// Where the sequence of roots stands: two equal cursors mean an unchanged store.
    pub fn cursor(&self) -> Result<Cursor> {
        todo!()
    }
    /// What is known of a lob; `None` when the store does not hold it.
    pub fn lob(&self, id: &LobId) -> Result<Option<LobInfo>> {
        todo!()
    }
    /// For each id whether the store holds that chunk (full ids confirmed).
    pub fn has_chunks(&self, ids: &[ChunkId]) -> Result<Vec<bool>> {
        todo!()
    }
    /// The manifest of a lob; `None` when the store does not hold it.
    pub fn manifest(&self, id: &LobId) -> Result<Option<Manifest>> {
        todo!()
    }
    /// Calls `each` for every lob in the store, in no order, each once.
    pub fn each_lob(&self, each: &mut dyn FnMut(LobInfo) -> Result<()>) -> Result<()> {
        todo!()
    }
    /// Writes the whole content of a lob to `out`, decoding and verifying on all cores ahead of it.
    /// Every byte is verified before it is written; the hash of the whole is checked at the end, so
    /// the output counts only when this returns `Ok`, which is its length.
    pub fn write_to(
        &self,
        id: &LobId,
        out: &mut dyn Write,
        progress: &dyn Progress,
    ) -> Result<u64> {
        todo!()
    }
    /// Bytes `offset .. offset + len` of a lob, cut at its end.
    pub fn read_range(&self, id: &LobId, offset: u64, len: usize) -> Result<Vec<u8>> {
        todo!()
    }
    /// Starts writing: a stage of its own under a kernel lock. Many writers may be active at once.
    pub fn writer(&self) -> Result<Writer<'_>> {
        todo!()
    }
    /// Calls `each` for frames that together hold all of `chunks` (which the store must hold), in
    /// the order of the packs, reading on all cores and never holding more than a bounded window.
    /// Frames are as stored; one of which less than half is asked for comes re-cut to just that.
    pub fn each_frame(
        &self,
        chunks: &[ChunkId],
        each: &mut dyn FnMut(Frame) -> Result<()>,
    ) -> Result<()> {
        todo!()
    }
    /// The bytes of one chunk, verified.
    pub fn read_chunk(&self, id: &ChunkId) -> Result<Vec<u8>> {
        todo!()
    }
    /// Bytes that all packs and tables take.
    pub fn stored_bytes(&self) -> Result<u64> {
        todo!()
    }
}
