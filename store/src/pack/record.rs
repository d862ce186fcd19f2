//! Records: what stands in a pack between its header and its table. Each has a header of its own,
//! so that a pack without its table is read forward, even one that was cut off.

use crate::chunk::PARAMETER_SET;
use crate::decode::Decoder;
use crate::error::{Error, Result};
use crate::frame::{Codec, Frame};
use crate::id::{ChunkId, ID_LEN};
use crate::limits::{FRAME_CHUNKS_MAX, MANIFEST_MAX};
use crate::manifest::{CHUNK_ITEM, Manifest, decode_chunks};

use super::{Nonce, VERSION};

/// Length of the header of a pack.
pub(crate) const PACK_HEADER: usize = 32;
/// Length of the header of a record.
pub(crate) const RECORD_HEADER: usize = 32;

const PACK_MAGIC: &[u8; 8] = b"LOBPACK\n";
pub(super) const RECORD_MAGIC: &[u8; 4] = b"LREC";
const KIND_FRAME: u8 = 1;
const KIND_MANIFEST: u8 = 2;
/// Readers skip records of unknown kinds from here up, and refuse those below.
const KIND_OPTIONAL: u8 = 0x80;

impl Frame {
    /// Bytes of the fixed part of its record, with which that begins.
    pub const HEADER: usize = RECORD_HEADER;

    /// Bytes that it takes in a pack, with its ids and its header.
    pub fn record_len(&self) -> u64 {
        (frame_head(self.chunks.len(), self.bases.len()) + self.stored.len()) as u64
    }

    /// The bytes of its record up to `stored`, with which the record ends (docs/format.md).
    pub fn head(&self) -> Vec<u8> {
        encode_frame_head(self)
    }

    /// How many bytes of the record of a frame, which begins with `header`, come before its stored ones.
    ///
    /// # Errors
    /// [`Error::Damaged`] where it is no record, and [`Error::Later`] where a later program wrote it.
    pub fn head_len(header: &[u8; Frame::HEADER]) -> Result<usize> {
        Ok(RecordHeader::decode(header)?.head_len())
    }

    /// The frame with this head, of as many bytes as [`Frame::head_len`] says, and these stored bytes. Its
    /// limits hold; its chunks are not verified.
    ///
    /// # Errors
    /// As of [`Frame::head_len`].
    pub fn of_record(head: &[u8], stored: Vec<u8>) -> Result<Frame> {
        let header = head.get(..RECORD_HEADER);
        let header = header.ok_or_else(|| Error::damaged("record", "it is cut off"))?;
        match RecordHeader::decode(header)?.decode_record(head, stored)? {
            Record::Frame(frame) => Ok(frame),
            _ => Err(Error::damaged("record", "it is not of a frame")),
        }
    }
}

/// Length of a frame record up to its stored bytes.
pub(super) fn frame_head(chunks: usize, bases: usize) -> usize {
    RECORD_HEADER + chunks * CHUNK_ITEM + bases * ID_LEN
}

/// One record.
#[derive(Debug)]
pub(crate) enum Record {
    /// Chunks.
    Frame(Frame),
    /// A lob.
    Manifest(Manifest),
    /// Something that this version does not know and need not know.
    Skipped,
}

/// The fixed part of a record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordHeader {
    kind: u8,
    codec: u8,
    depth: u8,
    bases: u8,
    chunks: u32,
    stored: u32,
    /// First 8 bytes of BLAKE3 over the 16 header bytes before it and the part of the body that
    /// [`RecordHeader::decode_record`] checks.
    check: [u8; 8],
}

/// The header of a pack.
pub(crate) fn pack_header(nonce: &Nonce) -> [u8; PACK_HEADER] {
    let mut header = [0; PACK_HEADER];
    header[..8].copy_from_slice(PACK_MAGIC);
    header[8..10].copy_from_slice(&VERSION.to_le_bytes());
    header[10..12].copy_from_slice(&PARAMETER_SET.to_le_bytes());
    header[16..].copy_from_slice(nonce);
    header
}

/// The nonce in the header of a pack.
pub(crate) fn decode_pack_header(bytes: &[u8]) -> Result<Nonce> {
    let mut d = Decoder::new("pack header", bytes);
    d.magic(PACK_MAGIC)?;
    d.version(VERSION)?;
    // Chunks cut with other parameters are read all the same: only writers care for the set.
    let _parameter_set = d.u16()?;
    d.zeros(4)?;
    let nonce = d.bytes16()?;
    d.end()?;
    Ok(nonce)
}

/// The bytes of a frame record up to its stored bytes.
pub(crate) fn encode_frame_head(frame: &Frame) -> Vec<u8> {
    let mut lists = Vec::with_capacity(frame.chunks.len() * CHUNK_ITEM);
    for (id, len) in &frame.chunks {
        lists.extend_from_slice(id.as_bytes());
        lists.extend_from_slice(&len.to_le_bytes());
    }
    for base in &frame.bases {
        lists.extend_from_slice(base.as_bytes());
    }
    let kinds = [
        KIND_FRAME,
        frame.codec as u8,
        frame.depth,
        frame.bases.len() as u8,
    ];
    let header = encode_header(kinds, frame.chunks.len(), frame.stored.len(), &lists);
    [header.as_slice(), &lists].concat()
}

/// The same for the raw frame of one chunk.
pub(crate) fn encode_chunk_head(id: &ChunkId, len: u32) -> Vec<u8> {
    let lists = [id.as_bytes().as_slice(), &len.to_le_bytes()].concat();
    let header = encode_header(
        [KIND_FRAME, Codec::Raw as u8, 0, 0],
        1,
        len as usize,
        &lists,
    );
    [header.as_slice(), &lists].concat()
}

/// The bytes of a manifest record.
pub(crate) fn encode_manifest(manifest: &Manifest) -> Result<Vec<u8>> {
    let body = manifest.encode();
    if body.len() > MANIFEST_MAX {
        return Err(Error::OverLimit {
            what: format!("the manifest of lob {}", manifest.id),
            limit: MANIFEST_MAX as u64,
        });
    }
    let header = encode_header([KIND_MANIFEST, 0, 0, 0], 0, body.len(), &body);
    Ok([header.as_slice(), &body].concat())
}

fn encode_header(
    kinds: [u8; 4],
    chunks: usize,
    stored: usize,
    checked: &[u8],
) -> [u8; RECORD_HEADER] {
    let mut header = [0; RECORD_HEADER];
    header[..4].copy_from_slice(RECORD_MAGIC);
    header[4..8].copy_from_slice(&kinds);
    header[8..12].copy_from_slice(&(chunks as u32).to_le_bytes());
    header[12..16].copy_from_slice(&(stored as u32).to_le_bytes());
    let check = checksum(&header[..16], &[checked]);
    header[16..24].copy_from_slice(&check);
    header
}

fn checksum(header: &[u8], checked: &[&[u8]]) -> [u8; 8] {
    let mut hasher = blake3::Hasher::new();
    let _ = hasher.update(header);
    for part in checked {
        let _ = hasher.update(part);
    }
    let mut check = [0; 8];
    check.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    check
}

impl RecordHeader {
    /// Reads a header; its lengths are in bounds, its checksum is not checked yet.
    pub(crate) fn decode(bytes: &[u8]) -> Result<RecordHeader> {
        let mut d = Decoder::new("record", bytes);
        d.magic(RECORD_MAGIC)?;
        let header = RecordHeader {
            kind: d.u8()?,
            codec: d.u8()?,
            depth: d.u8()?,
            bases: d.u8()?,
            chunks: d.u32()?,
            stored: d.u32()?,
            check: d.u64()?.to_le_bytes(),
        };
        d.zeros(8)?;
        if header.chunks as usize > FRAME_CHUNKS_MAX || header.stored as usize > MANIFEST_MAX {
            return Err(d.bad("its lengths are out of bounds"));
        }
        Ok(header)
    }

    /// Length of the header and the lists that follow it.
    pub(crate) fn head_len(&self) -> usize {
        frame_head(self.chunks as usize, self.bases.into())
    }

    /// Length of the stored bytes behind them.
    pub(crate) fn stored_len(&self) -> usize {
        self.stored as usize
    }

    /// Reads the record that begins with `self`: `head` are its bytes up to the stored ones. The
    /// checksum holds over all but the stored bytes of a frame, for which the chunk ids answer.
    pub(crate) fn decode_record(&self, head: &[u8], stored: Vec<u8>) -> Result<Record> {
        let bad = |why: &str| Error::damaged("record", why);
        if head.len() != self.head_len() || stored.len() != self.stored_len() {
            return Err(bad("it is cut off"));
        }
        let (header, lists) = head.split_at(RECORD_HEADER);
        let checked: &[u8] = match self.kind {
            KIND_FRAME => &[],
            _ => &stored,
        };
        if checksum(&header[..16], &[lists, checked]) != self.check {
            return Err(bad("its checksum does not hold"));
        }
        match self.kind {
            KIND_FRAME => self.decode_frame(lists, stored).map(Record::Frame),
            KIND_MANIFEST if header[5..12] != [0; 7] => {
                Err(bad("the header of a manifest with fields of a frame"))
            }
            KIND_MANIFEST => Manifest::decode(&stored).map(Record::Manifest),
            KIND_OPTIONAL.. => Ok(Record::Skipped),
            // Only now, because the checksum has ruled out that the kind is damaged.
            kind => Err(Decoder::new("record", &[]).later(format!("kind {kind}"))),
        }
    }

    fn decode_frame(&self, meta: &[u8], stored: Vec<u8>) -> Result<Frame> {
        let mut d = Decoder::new("frame", meta);
        let codec = Codec::from_number(self.codec)
            .ok_or_else(|| d.later(format!("codec {}", self.codec)))?;
        let chunks = decode_chunks(&mut d, self.chunks as usize)?;
        let bases = (0..self.bases)
            .map(|_| d.id().map(ChunkId::from_bytes))
            .collect::<Result<_>>()?;
        d.end()?;
        let frame = Frame {
            codec,
            depth: self.depth,
            chunks,
            bases,
            stored,
        };
        frame.check()?;
        Ok(frame)
    }
}
