//! Writing a pack, record by record, in a stage.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Disk, DiskFile};
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::id::PackId;
use crate::limits::{PACK_ENTRIES_MAX, PACK_HARD};
use crate::manifest::Manifest;

use super::record::{RECORD_HEADER, encode_frame_head, encode_manifest, pack_header};
use super::table::{LobEntry, TableBuilder};
use super::{Nonce, TRAILER_MAGIC};

/// Bytes kept free for the table of a pack, which a full one does not need.
const TABLE_ROOM: u64 = 8 << 20;

/// Bytes that are gathered before they are written: records of small lobs are many and short.
const BUFFER: usize = 64 << 10;
/// Bytes of a pack that wait for the disk: it is kept busy, and the memory of a cold pack free, from the start.
const WRITE_BEHIND: usize = 8 << 20;

/// A pack that is being written. What was appended is in the file after [`PackWriter::flush`].
#[derive(Debug)]
pub(crate) struct PackWriter {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: Box<dyn DiskFile>,
    nonce: Nonce,
    buffer: Vec<u8>,
    hasher: blake3::Hasher,
    len: u64,
    table: TableBuilder,
    /// Whether the pack is not read here soon once it is written.
    cold: bool,
    /// Bytes in the file that were not synced.
    behind: usize,
    /// Those of them that the disk was not told to write.
    waiting: usize,
}

/// A pack that is complete and synced, with its table beside it, under names in the stage.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) id: PackId,
    /// Length of the pack in bytes.
    pub(crate) len: u64,
    pub(crate) pack: PathBuf,
    pub(crate) table: PathBuf,
}

/// A nonce that begins with the number of a stage: a pack of it is known for one wherever it is found.
pub(super) fn new_nonce(stage: u64) -> std::io::Result<Nonce> {
    let mut nonce = [0; 16];
    let (first, random) = nonce.split_at_mut(8);
    first.copy_from_slice(&stage.to_le_bytes());
    getrandom::fill(random).map_err(std::io::Error::other)?;
    Ok(nonce)
}

impl PackWriter {
    /// Begins a pack in the new file `path`, which is made in the stage of this number.
    pub(crate) fn create(disk: Arc<dyn Disk>, path: &Path, stage: u64) -> Result<PackWriter> {
        let nonce = new_nonce(stage).map_err(Error::at(path))?;
        let file = disk.create(path).map_err(Error::at(path))?;
        let mut pack = PackWriter {
            disk,
            path: path.to_path_buf(),
            file,
            nonce,
            buffer: Vec::new(),
            hasher: blake3::Hasher::new(),
            len: 0,
            table: TableBuilder::default(),
            cold: false,
            behind: 0,
            waiting: 0,
        };
        pack.append(&pack_header(&nonce))?;
        Ok(pack)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.len += bytes.len() as u64;
        if self.buffer.len() + bytes.len() > BUFFER {
            self.flush()?;
        }
        if bytes.len() >= BUFFER {
            return self.write(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.append(bytes).map_err(Error::at(&self.path))?;
        let _ = self.hasher.update(bytes);
        self.behind += bytes.len();
        self.waiting += bytes.len();
        if self.waiting < WRITE_BEHIND {
            return Ok(());
        }
        self.waiting = 0;
        match self.cold {
            true => self.sync_file(),
            false => {
                self.file.hasten(
                    self.len
                        .saturating_sub(WRITE_BEHIND as u64 + bytes.len() as u64),
                );
                Ok(())
            }
        }
    }

    fn sync_file(&mut self) -> Result<()> {
        (self.behind, self.waiting) = (0, 0);
        self.file.sync().map_err(Error::at(&self.path))?;
        if self.cold {
            self.file.release();
        }
        Ok(())
    }

    /// Bytes in the file that were not synced.
    pub(crate) fn behind(&self) -> usize {
        self.behind
    }

    /// Writes what was gathered: it survives the end of this process, though not yet of power.
    pub(crate) fn flush(&mut self) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        self.write(&buffer)?;
        buffer.clear();
        self.buffer = buffer;
        Ok(())
    }

    /// Appends a frame whose chunks the caller has verified or made.
    pub(crate) fn frame(&mut self, frame: &Frame) -> Result<()> {
        frame.check()?;
        let offset = self.len;
        let record = encode_frame_head(frame);
        let head = record.len();
        self.append(&record)?;
        self.append(&frame.stored)?;
        self.table.frame(offset, head, frame);
        Ok(())
    }

    /// Appends a manifest whose chunks are all in this pack or in the store.
    pub(crate) fn manifest(&mut self, manifest: &Manifest) -> Result<()> {
        let offset = self.len;
        let record = encode_manifest(manifest)?;
        self.append(&record)?;
        self.table.lob(LobEntry {
            id: manifest.id,
            size: manifest.size,
            offset,
            len: record.len() as u32,
        });
        Ok(())
    }

    /// Once sealed, this pack is not read here soon.
    pub(crate) fn set_cold(&mut self, cold: bool) {
        self.cold = cold;
    }

    /// Whether it is time to seal this pack and begin another, where packs are to be of `soft` bytes.
    pub(crate) fn is_full(&self, soft: u64) -> bool {
        self.len >= soft || self.table.entries() >= PACK_ENTRIES_MAX / 4
    }

    /// Whether a manifest, which may be longer than a whole pack should be, fits into this one.
    pub(crate) fn has_room(&self, manifest: &Manifest) -> bool {
        let record = RECORD_HEADER + manifest.encoded_len();
        self.len + record as u64 <= PACK_HARD - TABLE_ROOM
    }

    /// Makes what was appended durable.
    pub(crate) fn sync(&mut self) -> Result<()> {
        self.flush()?;
        self.sync_file()
    }

    /// Closes the pack with its table, writes the table beside it, and syncs both.
    pub(crate) fn seal(mut self) -> Result<Sealed> {
        let table = std::mem::take(&mut self.table).encode(&self.nonce);
        let mut tail = Vec::with_capacity(table.len() + 24);
        tail.extend_from_slice(&table);
        tail.extend_from_slice(&self.len.to_le_bytes());
        tail.extend_from_slice(&(table.len() as u64).to_le_bytes());
        tail.extend_from_slice(TRAILER_MAGIC);
        self.append(&tail)?;
        if self.len > PACK_HARD {
            return Err(Error::OverLimit {
                what: self.path.display().to_string(),
                limit: PACK_HARD,
            });
        }
        self.sync()?;
        let table_path = self.path.with_extension("idx");
        let file = self
            .disk
            .create(&table_path)
            .map_err(Error::at(&table_path))?;
        file.append(&table).map_err(Error::at(&table_path))?;
        file.sync().map_err(Error::at(&table_path))?;
        Ok(Sealed {
            id: self.hasher.finalize().into(),
            len: self.len,
            pack: self.path,
            table: table_path,
        })
    }
}
