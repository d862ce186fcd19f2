//! The stage: the quarantine in which packs are made and received until they are published.

use std::io::Read;

use crate::error::Result;
use crate::frame::Frame;
use crate::id::LobId;
use crate::manifest::Manifest;
use crate::progress::Progress;

/// What adding one lob did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Added {
    /// Its id.
    pub id: LobId,
    /// Its length in bytes.
    pub size: u64,
    /// Bytes of it that were in no chunk of the store before.
    pub new_bytes: u64,
    /// Bytes that the store grew by for it, so far as known before the table is written.
    pub stored_bytes: u64,
}

/// A writer into a store. Dropping it without [`Writer::finish`] leaves what was not yet published
/// in its stage, where the next writer finds and keeps what is whole.
#[derive(Debug)]
pub struct Writer<'s> {
    store: &'s crate::store::Store,
}

#[expect(unused_variables, clippy::todo, reason = "the skeleton")]
impl<'s> Writer<'s> {
    /// Adds the content of `source` up to its end as a lob. Content that is already present costs
    /// hashing only. The content is kept across kill -9 when this returns, and across power loss
    /// after [`Writer::sync`]; it is visible to others after [`Writer::publish`].
    pub fn add(
        &mut self,
        source: &mut (dyn Read + Send),
        progress: &dyn Progress,
    ) -> Result<Added> {
        todo!()
    }
    /// Takes over a frame from another store, after verifying every chunk of it.
    pub fn add_frame(&mut self, frame: &Frame) -> Result<()> {
        todo!()
    }
    /// Names a lob whose chunks are all in the store or in this writer, after verifying that they
    /// hash to it.
    pub fn add_manifest(&mut self, manifest: &Manifest) -> Result<()> {
        todo!()
    }
    /// Bytes added since the last sync.
    pub fn unsynced(&self) -> u64 {
        todo!()
    }
    /// Makes all that was added durable.
    pub fn sync(&mut self) -> Result<()> {
        todo!()
    }
    /// Makes all that was added durable and visible. The writer can go on.
    pub fn publish(&mut self) -> Result<()> {
        todo!()
    }
    /// Publishes and removes the stage.
    pub fn finish(self) -> Result<()> {
        todo!()
    }
}
