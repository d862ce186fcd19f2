//! The table that closes a pack, and that stands alone beside it as its `.idx`.

use std::ops::Range;

use crate::decode::Decoder;
use crate::disk::Map;
use crate::error::{Error, Result};
use crate::frame::{Codec, Frame};
use crate::id::{ChunkId, ID_LEN, LobId};
use crate::limits::{CHUNK_MAX, DELTA_DEPTH_MAX, FRAME_BASES_MAX, FRAME_CHUNKS_MAX, FRAME_RAW_MAX};
use crate::limits::{FRAME_STORED_MAX, LOB_MAX, MANIFEST_MAX, PACK_ENTRIES_MAX, PACK_HARD};

use super::record::{PACK_HEADER, RECORD_HEADER, frame_head};
use super::{Nonce, VERSION};

const TABLE_MAGIC: &[u8; 8] = b"LOBTABL\n";
/// The sections, in the order in which they are written.
const SECTIONS: [&[u8; 4]; 4] = [b"FRMS", b"BASE", b"CHNK", b"LOBS"];
/// Bytes of one entry in each.
const ITEMS: [usize; 4] = [32, ID_LEN, 44, 56];
const FRAME_ITEM: usize = ITEMS[0];
const CHUNK_ITEM: usize = ITEMS[2];
const LOB_ITEM: usize = ITEMS[3];
/// Copies of a table: in the pack, and beside it.
const COPIES: usize = 2;
/// Bytes that the tables say of one chunk.
pub(crate) const CHUNK_COST: u64 = (COPIES * CHUNK_ITEM) as u64;
/// Bit of a section's flags: a reader that does not know the section may skip it.
const OPTIONAL: u32 = 1;

/// Where a frame is in its pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameEntry {
    /// Of its record, from the start of the pack.
    pub(crate) offset: u64,
    /// From the start of the record to the stored bytes.
    pub(crate) head: u32,
    /// Length decoded.
    pub(crate) raw: u32,
    /// Length encoded.
    pub(crate) stored: u32,
    /// How it is encoded.
    pub(crate) codec: Codec,
    /// Of its bases.
    pub(crate) depth: u8,
    /// How many bases it names.
    pub(crate) bases: u16,
    /// The first of them in the list of bases.
    pub(crate) first_base: u32,
    /// How many chunks are in it.
    pub(crate) chunks: u32,
}

impl FrameEntry {
    /// Bytes that it takes: its record, and what the tables say of it and of its bases.
    pub(crate) fn cost(&self) -> u64 {
        let listed = COPIES * (FRAME_ITEM + usize::from(self.bases) * ID_LEN);
        u64::from(self.head) + u64::from(self.stored) + listed as u64
    }

    /// The first byte behind its record.
    fn end(&self) -> u64 {
        self.offset
            .saturating_add(u64::from(self.head) + u64::from(self.stored))
    }
}

/// Where a chunk is in its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChunkEntry {
    pub(crate) id: ChunkId,
    /// The number of its frame.
    pub(crate) frame: u32,
    /// From the start of the decoded frame.
    pub(crate) offset: u32,
    /// In bytes.
    pub(crate) len: u32,
}

/// Where the manifest of a lob is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LobEntry {
    pub(crate) id: LobId,
    /// Of the lob, in bytes.
    pub(crate) size: u64,
    /// Of its manifest record, from the start of the pack.
    pub(crate) offset: u64,
    /// Of the record, header included.
    pub(crate) len: u32,
}

impl LobEntry {
    /// Bytes that it takes: its manifest, and what the tables say of it.
    pub(crate) fn cost(&self) -> u64 {
        u64::from(self.len) + (COPIES * LOB_ITEM) as u64
    }
}

/// What is in a pack, gathered while it is written.
#[derive(Debug, Default)]
pub(crate) struct TableBuilder {
    frames: Vec<FrameEntry>,
    bases: Vec<ChunkId>,
    chunks: Vec<ChunkEntry>,
    lobs: Vec<LobEntry>,
}

impl TableBuilder {
    /// A frame whose record begins at `offset`, its stored bytes `head` bytes later.
    pub(crate) fn frame(&mut self, offset: u64, head: usize, frame: &Frame) {
        let number = self.frames.len() as u32;
        self.frames.push(FrameEntry {
            offset,
            head: head as u32,
            raw: frame.raw_len() as u32,
            stored: frame.stored.len() as u32,
            codec: frame.codec,
            depth: frame.depth,
            bases: frame.bases.len() as u16,
            first_base: self.bases.len() as u32,
            chunks: frame.chunks.len() as u32,
        });
        self.bases.extend_from_slice(&frame.bases);
        let mut offset = 0;
        for &(id, len) in &frame.chunks {
            self.chunks.push(ChunkEntry {
                id,
                frame: number,
                offset,
                len,
            });
            offset += len;
        }
    }

    /// A lob whose manifest record is where the entry says.
    pub(crate) fn lob(&mut self, entry: LobEntry) {
        self.lobs.push(entry);
    }

    /// How many entries the longest of its lists has.
    pub(crate) fn entries(&self) -> usize {
        self.chunks.len().max(self.lobs.len())
    }

    /// The bytes of the table. Of equal ids the first stays.
    pub(crate) fn encode(mut self, nonce: &Nonce) -> Vec<u8> {
        self.chunks.sort_by_key(|c| c.id);
        self.chunks.dedup_by_key(|c| c.id);
        self.lobs.sort_by_key(|l| l.id);
        self.lobs.dedup_by_key(|l| l.id);
        let mut out = Vec::new();
        out.extend_from_slice(TABLE_MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&(SECTIONS.len() as u32).to_le_bytes());
        out.extend_from_slice(nonce);
        let bodies: [Vec<u8>; 4] = [
            self.frames.iter().flat_map(encode_frame).collect(),
            self.bases.iter().flat_map(|id| *id.as_bytes()).collect(),
            self.chunks.iter().flat_map(encode_chunk).collect(),
            self.lobs.iter().flat_map(encode_lob).collect(),
        ];
        for (tag, body) in SECTIONS.iter().zip(bodies) {
            out.extend_from_slice(*tag);
            out.extend_from_slice(&0u32.to_le_bytes());
            out.extend_from_slice(&(body.len() as u64).to_le_bytes());
            out.extend_from_slice(&body);
        }
        let hash = blake3::hash(&out);
        out.extend_from_slice(hash.as_bytes());
        out
    }
}

fn encode_frame(f: &FrameEntry) -> Vec<u8> {
    let mut out = Vec::with_capacity(FRAME_ITEM);
    out.extend_from_slice(&f.offset.to_le_bytes());
    out.extend_from_slice(&f.head.to_le_bytes());
    out.extend_from_slice(&f.raw.to_le_bytes());
    out.extend_from_slice(&f.stored.to_le_bytes());
    out.extend_from_slice(&[f.codec as u8, f.depth]);
    out.extend_from_slice(&f.bases.to_le_bytes());
    out.extend_from_slice(&f.first_base.to_le_bytes());
    out.extend_from_slice(&f.chunks.to_le_bytes());
    out
}

fn encode_chunk(c: &ChunkEntry) -> Vec<u8> {
    let mut out = Vec::with_capacity(CHUNK_ITEM);
    out.extend_from_slice(c.id.as_bytes());
    for number in [c.frame, c.offset, c.len] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out
}

fn encode_lob(l: &LobEntry) -> Vec<u8> {
    let mut out = Vec::with_capacity(LOB_ITEM);
    out.extend_from_slice(l.id.as_bytes());
    out.extend_from_slice(&l.size.to_le_bytes());
    out.extend_from_slice(&l.offset.to_le_bytes());
    out.extend_from_slice(&l.len.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out
}

/// A table, read in place: nothing is copied out of the map but what is asked for.
#[derive(Debug)]
pub(crate) struct Table {
    bytes: Map,
    frames: Range<usize>,
    bases: Range<usize>,
    chunks: Range<usize>,
    lobs: Range<usize>,
}

impl Table {
    /// Reads a table, checking its hash and every entry of it.
    pub(crate) fn open(bytes: Map, what: &str) -> Result<Table> {
        let bad = |why: &str| Error::damaged(what, why);
        let body = match bytes.len().checked_sub(ID_LEN) {
            Some(body) if bytes.len() as u64 <= PACK_HARD => body,
            _ => return Err(bad("a table of impossible length")),
        };
        if blake3::hash(&bytes[..body]).as_bytes() != &bytes[body..] {
            return Err(bad("its hash does not hold"));
        }
        let mut d = Decoder::new(what, &bytes[..body]);
        d.magic(TABLE_MAGIC)?;
        d.version(VERSION)?;
        d.zeros(2)?;
        let sections = d.u32()?;
        let _nonce = d.bytes16()?;
        let mut found = [const { None }; 4];
        for _ in 0..sections {
            let tag = d.take(4)?;
            let flags = d.u32()?;
            let len = usize::try_from(d.u64()?).map_err(|_| bad("a section too long"))?;
            let start = body - d.left();
            let _ = d.take(len)?;
            match SECTIONS.iter().position(|known| *known == tag) {
                Some(which) if found[which].is_some() => return Err(bad("a section twice")),
                Some(which) if flags == 0 => found[which] = Some(start..start + len),
                None if flags & OPTIONAL != 0 => {}
                _ => {
                    let tag = tag.escape_ascii();
                    return Err(d.later(format!("section {tag} with flags {flags}")));
                }
            }
        }
        d.end()?;
        let [Some(frames), Some(bases), Some(chunks), Some(lobs)] = found else {
            return Err(bad("a section is missing"));
        };
        let table = Table {
            bytes,
            frames,
            bases,
            chunks,
            lobs,
        };
        if let Some(codec) = table.unknown_codec() {
            return Err(Decoder::new(what, &[]).later(format!("codec {codec}")));
        }
        match table.fault() {
            Some(why) => Err(bad(why)),
            None => Ok(table),
        }
    }

    /// All of it.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The nonce of its pack.
    pub(crate) fn nonce(&self) -> Nonce {
        let mut nonce = Nonce::default();
        nonce.copy_from_slice(&self.bytes[16..32]);
        nonce
    }

    fn unknown_codec(&self) -> Option<u8> {
        let frames = self.bytes[self.frames.clone()].chunks_exact(FRAME_ITEM);
        frames
            .map(|item| item[20])
            .find(|&codec| Codec::from_number(codec).is_none())
    }

    /// What is wrong with the entries, if anything.
    fn fault(&self) -> Option<&'static str> {
        let most = [1, FRAME_BASES_MAX, 1, 1].map(|n| n * PACK_ENTRIES_MAX);
        for (n, range) in [&self.frames, &self.bases, &self.chunks, &self.lobs]
            .into_iter()
            .enumerate()
        {
            if range.len() % ITEMS[n] != 0 || range.len() / ITEMS[n] > most[n] {
                return Some("a section of impossible length");
            }
        }
        let mut end = PACK_HEADER as u64;
        for n in 0..self.frame_count() {
            match self.frame(n) {
                Some(f) if f.offset >= end && self.frame_fits(&f) => end = f.end(),
                _ => return Some("a frame out of bounds or out of order"),
            }
        }
        let chunks_fit = (0..self.chunk_count()).all(|n| {
            let c = self.chunk(n);
            let end = u64::from(c.offset) + u64::from(c.len);
            let frame = self.frame(c.frame as usize);
            (1..=CHUNK_MAX).contains(&(c.len as usize))
                && frame.is_some_and(|f| end <= u64::from(f.raw))
        });
        if !chunks_fit {
            return Some("a chunk out of bounds");
        }
        if !(0..self.lob_count()).all(|n| self.lob_fits(n)) {
            return Some("a lob out of bounds");
        }
        let chunks_sorted =
            (1..self.chunk_count()).all(|n| self.chunk(n - 1).id < self.chunk(n).id);
        let lobs_sorted = (1..self.lob_count()).all(|n| self.lob(n - 1).id < self.lob(n).id);
        (!chunks_sorted || !lobs_sorted).then_some("its ids are not in order")
    }

    /// Whether an entry with a known codec is one that a pack can hold.
    fn frame_fits(&self, f: &FrameEntry) -> bool {
        let (chunks, bases) = (f.chunks as usize, usize::from(f.bases));
        let (raw, stored) = (f.raw as usize, f.stored as usize);
        (1..=FRAME_CHUNKS_MAX).contains(&chunks)
            && bases <= FRAME_BASES_MAX
            && f.head as usize == frame_head(chunks, bases)
            && (chunks..=FRAME_RAW_MAX.min(chunks * CHUNK_MAX)).contains(&raw)
            && (1..=FRAME_STORED_MAX).contains(&stored)
            && (f.codec != Codec::Raw || stored == raw)
            && (f.codec == Codec::ZstdPrefix) == (bases > 0)
            && (f.depth > 0) == (bases > 0)
            && f.depth <= DELTA_DEPTH_MAX
            && f.first_base as usize + bases <= self.bases.len() / ID_LEN
            && f.end() <= PACK_HARD
    }

    fn lob_fits(&self, n: usize) -> bool {
        let lob = self.lob(n);
        let reserved = &self.bytes[self.lobs.start + n * LOB_ITEM..][52..LOB_ITEM];
        (1..=LOB_MAX).contains(&lob.size)
            && lob.offset >= PACK_HEADER as u64
            && (RECORD_HEADER..=RECORD_HEADER + MANIFEST_MAX).contains(&(lob.len as usize))
            && lob.offset.saturating_add(u64::from(lob.len)) <= PACK_HARD
            && reserved == [0; 4]
    }

    /// Lets go of its memory until it is read again.
    pub(crate) fn release(&self) {
        self.bytes.release();
    }

    /// Its own length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether a pack of `len` bytes is nothing but the records that this table lists, and the table
    /// nothing but what this program knows.
    pub(crate) fn is_all_of(&self, len: u64) -> bool {
        let sections = [&self.frames, &self.bases, &self.chunks, &self.lobs];
        let lists: usize = sections.iter().map(|section| 16 + section.len()).sum();
        let frames = (0..self.frame_count()).filter_map(|n| self.frame(n));
        let frames = frames.map(|frame| u64::from(frame.head) + u64::from(frame.stored));
        let lobs = (0..self.lob_count()).map(|n| u64::from(self.lob(n).len));
        let records = frames.sum::<u64>() + lobs.sum::<u64>();
        let table = 32 + lists + ID_LEN;
        self.len() == table && len == PACK_HEADER as u64 + records + table as u64 + 24
    }

    /// The first byte behind all records that it lists.
    pub(crate) fn records_end(&self) -> u64 {
        let frames = (0..self.frame_count()).filter_map(|n| self.frame(n));
        let lobs = (0..self.lob_count()).map(|n| self.lob(n));
        let ends = frames.map(|frame| frame.end());
        ends.chain(lobs.map(|lob| lob.offset.saturating_add(u64::from(lob.len))))
            .max()
            .unwrap_or_default()
    }

    /// How many frames it lists.
    pub(crate) fn frame_count(&self) -> usize {
        self.frames.len() / FRAME_ITEM
    }

    /// How many chunks it lists.
    pub(crate) fn chunk_count(&self) -> usize {
        self.chunks.len() / CHUNK_ITEM
    }

    /// How many lobs it lists.
    pub(crate) fn lob_count(&self) -> usize {
        self.lobs.len() / LOB_ITEM
    }

    fn item(&self, section: &Range<usize>, n: usize, size: usize) -> Option<&[u8]> {
        self.bytes[section.clone()].chunks_exact(size).nth(n)
    }

    /// Frame number `n`; `None` when there is none or its codec is unknown.
    pub(crate) fn frame(&self, n: usize) -> Option<FrameEntry> {
        let item = self.item(&self.frames, n, FRAME_ITEM)?;
        Some(FrameEntry {
            offset: u64_at(item, 0),
            head: u32_at(item, 8),
            raw: u32_at(item, 12),
            stored: u32_at(item, 16),
            codec: Codec::from_number(item[20])?,
            depth: item[21],
            bases: u16::from_le_bytes([item[22], item[23]]),
            first_base: u32_at(item, 24),
            chunks: u32_at(item, 28),
        })
    }

    /// The bases that a frame names.
    pub(crate) fn bases(&self, frame: &FrameEntry) -> Vec<ChunkId> {
        let first = frame.first_base as usize;
        (first..first + usize::from(frame.bases))
            .filter_map(|n| self.item(&self.bases, n, ID_LEN))
            .map(|item| ChunkId::from_bytes(id_at(item)))
            .collect()
    }

    /// Chunk number `n` in the order of ids, which must be below [`Table::chunk_count`].
    pub(crate) fn chunk(&self, n: usize) -> ChunkEntry {
        let item = &self.bytes[self.chunks.start + n * CHUNK_ITEM..][..CHUNK_ITEM];
        ChunkEntry {
            id: ChunkId::from_bytes(id_at(item)),
            frame: u32_at(item, 32),
            offset: u32_at(item, 36),
            len: u32_at(item, 40),
        }
    }

    /// Lob number `n` in the order of ids, which must be below [`Table::lob_count`].
    pub(crate) fn lob(&self, n: usize) -> LobEntry {
        let item = &self.bytes[self.lobs.start + n * LOB_ITEM..][..LOB_ITEM];
        LobEntry {
            id: LobId::from_bytes(id_at(item)),
            size: u64_at(item, 32),
            offset: u64_at(item, 40),
            len: u32_at(item, 48),
        }
    }

    /// The number of the chunk of this id.
    pub(crate) fn find_chunk(&self, id: &ChunkId) -> Option<usize> {
        find(&self.bytes[self.chunks.clone()], CHUNK_ITEM, id.as_bytes())
    }

    /// The number of the lob of this id.
    pub(crate) fn find_lob(&self, id: &LobId) -> Option<usize> {
        find(&self.bytes[self.lobs.clone()], LOB_ITEM, id.as_bytes())
    }
}

/// The number of the entry that begins with `id` in a sorted list of entries of `size` bytes.
fn find(entries: &[u8], size: usize, id: &[u8; ID_LEN]) -> Option<usize> {
    let (mut low, mut high) = (0, entries.len() / size);
    while low < high {
        let middle = low.midpoint(high);
        match entries[middle * size..][..ID_LEN].cmp(id) {
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Greater => high = middle,
            std::cmp::Ordering::Equal => return Some(middle),
        }
    }
    None
}

fn id_at(item: &[u8]) -> [u8; ID_LEN] {
    let mut id = [0; ID_LEN];
    id.copy_from_slice(&item[..ID_LEN]);
    id
}

fn u32_at(item: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([item[at], item[at + 1], item[at + 2], item[at + 3]])
}

fn u64_at(item: &[u8], at: usize) -> u64 {
    u64::from(u32_at(item, at)) | u64::from(u32_at(item, at + 4)) << 32
}
