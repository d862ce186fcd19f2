//! The journal: the records of a pack without a table, which is never published.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Disk, DiskFile};
use crate::error::{Error, Result};
use crate::id::ChunkId;
use crate::manifest::Manifest;

use super::record::{encode_chunk_head, encode_manifest, pack_header};
use super::writer::new_nonce;

/// A file that keeps what is gathered for a pack across a kill. Whoever takes over the stage reads
/// it as a pack that was cut off.
#[derive(Debug)]
pub(crate) struct Journal {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: Box<dyn DiskFile>,
    buffer: Vec<u8>,
    written: usize,
}

/// Bytes after which a journal is followed by another: its memory is used again soon, and yet few
/// files are made.
const LENGTH: usize = 4 << 20;

impl Journal {
    /// Begins a journal in the new file `path`, of the stage of this number.
    pub(crate) fn create(disk: Arc<dyn Disk>, path: &Path, stage: u64) -> Result<Journal> {
        let nonce = new_nonce(stage).map_err(Error::at(path))?;
        let file = disk.create(path).map_err(Error::at(path))?;
        Ok(Journal {
            disk,
            path: path.to_path_buf(),
            file,
            buffer: pack_header(&nonce).to_vec(),
            written: 0,
        })
    }

    /// Adds a chunk.
    pub(crate) fn chunk(&mut self, id: &ChunkId, bytes: &[u8]) {
        let head = encode_chunk_head(id, bytes.len() as u32);
        self.buffer.extend_from_slice(&head);
        self.buffer.extend_from_slice(bytes);
    }

    /// Adds a lob whose chunks are there.
    pub(crate) fn manifest(&mut self, manifest: &Manifest) -> Result<()> {
        self.buffer.extend_from_slice(&encode_manifest(manifest)?);
        Ok(())
    }

    /// Writes what was added: it survives the end of this process, though not yet of power.
    pub(crate) fn flush(&mut self) -> Result<()> {
        if !self.buffer.is_empty() {
            self.file
                .append(&self.buffer)
                .map_err(Error::at(&self.path))?;
            self.written += self.buffer.len();
            self.buffer.clear();
        }
        Ok(())
    }

    /// Whether it is time for another.
    pub(crate) fn is_full(&self) -> bool {
        self.written >= LENGTH
    }

    /// Removes the file.
    pub(crate) fn discard(self) -> Result<()> {
        self.disk.remove(&self.path).map_err(Error::at(&self.path))
    }
}
