//! The store that is not there yet: what a dry run of a first push plans against.

use std::collections::HashSet;
use std::path::PathBuf;

use lob_store::{ChunkId, Cursor, Epoch, Frame, Kin, LobId, LobInfo, Manifest, StoreId};

use super::error::{Error, Result};
use super::{Origin, Remote, Upload};

/// A place where a push would make a store. It holds nothing and takes nothing.
#[derive(Debug)]
pub struct Absent(pub PathBuf);

impl Absent {
    fn refuse<T>(&self) -> Result<T> {
        Err(Error::NoStore(self.0.clone()))
    }
}

impl Remote for Absent {
    fn describe(&self) -> String {
        self.0.to_string_lossy().into_owned()
    }

    fn store_id(&self) -> StoreId {
        StoreId::from_bytes([0; 32])
    }

    fn cursor(&self) -> Result<Cursor> {
        Ok(Cursor::default())
    }

    fn epoch(&self) -> Result<Epoch> {
        Ok(Epoch::from_bytes([0; 32]))
    }

    fn refresh(&self) -> Result<()> {
        Ok(())
    }

    fn sizes(&self, ids: &[LobId]) -> Result<Vec<Option<u64>>> {
        Ok(vec![None; ids.len()])
    }

    fn hold(&self, ids: &[LobId]) -> Result<Vec<Option<u64>>> {
        self.sizes(ids)
    }

    fn has_chunks(&self, ids: &[ChunkId]) -> Result<Vec<bool>> {
        Ok(vec![false; ids.len()])
    }

    fn manifests(&self, ids: &[LobId]) -> Result<Vec<Option<Manifest>>> {
        Ok(vec![None; ids.len()])
    }

    fn each_chunk(
        &self,
        _: &[ChunkId],
        _: &mut dyn FnMut(ChunkId, &[u8]) -> Result<()>,
    ) -> Result<()> {
        self.refuse()
    }

    fn kin(&self, ids: &[ChunkId]) -> Result<Vec<Option<Kin>>> {
        Ok(vec![None; ids.len()])
    }

    fn each_frame(
        &self,
        _: &[ChunkId],
        _: &HashSet<ChunkId>,
        _: &mut dyn FnMut(Frame) -> Result<()>,
    ) -> Result<()> {
        self.refuse()
    }

    fn each_lob(&self, _: &mut dyn FnMut(LobInfo) -> Result<()>) -> Result<()> {
        Ok(())
    }

    fn receive(&self, _: Origin) -> Result<Box<dyn Upload + Send + '_>> {
        self.refuse()
    }

    fn free_space(&self) -> Result<Option<u64>> {
        Ok(None)
    }
}
