//! What the blocks of a file hash to: enough to make a delta for whoever has the file.
//!
//! (Tridgell, "Efficient Algorithms for Sorting and Synchronization", 1999, chapter 3.) The hashes
//! are those of librsync's signatures, and `fast_rsync` computes them, eight blocks at a time. Of that
//! crate nothing else is used: it trusts what a signature says of itself, and MD4 is broken. So a
//! signature is checked here before anything is made of it, and what is made with it is verified by
//! BLAKE3.

use std::io::Read;

use fast_rsync::SignatureOptions;
use rayon::prelude::*;

use crate::decode::Decoder;
use crate::error::{Error, Result};
use crate::id::LobId;
use crate::limits::{ADD_WINDOW, LOB_MAX};
use crate::limits::{SIGNATURE_BLOCK_MAX, SIGNATURE_BLOCK_MIN, SIGNATURE_BLOCKS_MAX};
use crate::progress::Progress;

/// The first bytes of a signature.
pub(super) const MAGIC: &[u8; 8] = b"LOBSIGNA";
/// The version of the format.
const VERSION: u16 = 1;
/// Bytes before the part that is librsync's: magic, version, reserved, length and hash of the base,
/// hash of its last bytes.
const HEADER_LEN: usize = 88;
/// Bytes before the blocks in librsync's part: magic, length of a block, length of its long hash.
const RSYNC_LEN: usize = 12;
/// The magic of librsync's signatures with MD4, most significant byte first as all in that part.
const RSYNC_MAGIC: u32 = 0x7273_0136;
/// Bytes of the short hash, which rolls.
const WEAK: usize = 4;
/// Shortest and longest long hash.
const STRONG: std::ops::RangeInclusive<usize> = 8..=16;
/// Bits of a long hash beyond those by which some two of all blocks and places are equal by chance.
const SPARE_BITS: u32 = 24;
/// Bytes of the file that are hashed at a time, on all cores: so many are in memory.
const AT_A_TIME: usize = 8 * ADD_WINDOW;

/// The hashes of the blocks of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    base: LobId,
    base_len: u64,
    /// The hash of what follows the last whole block.
    tail: LobId,
    hashing: Hashing,
    /// The hashes of each whole block: short, long.
    blocks: Vec<u8>,
}

/// How blocks are hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hashing {
    /// Bytes of a block.
    pub(super) block: usize,
    /// Bytes of its long hash.
    strong: usize,
}

impl Hashing {
    /// For a file of so many bytes. A block is half the square root of it, so that the hashes take
    /// about as much as the blocks that a few edits touch; from 256 GiB on it is longer, so that there
    /// are no more than [`SIGNATURE_BLOCKS_MAX`] of them.
    fn of(len: u64) -> Hashing {
        let mut block = SIGNATURE_BLOCK_MIN as u64;
        while (4 * block).pow(2) <= len || len / block > SIGNATURE_BLOCKS_MAX {
            block *= 2;
        }
        let bits = len.max(1).ilog2() + (len / block).max(1).ilog2() + SPARE_BITS;
        Hashing {
            block: block as usize,
            strong: (bits.div_ceil(8) as usize).clamp(*STRONG.start(), *STRONG.end()),
        }
    }

    /// The hashes of the blocks that `bytes` are, one after the other.
    pub(super) fn blocks(self, bytes: &[u8]) -> Hashes {
        let options = SignatureOptions {
            block_size: self.block as u32,
            crypto_hash_size: self.strong as u32,
        };
        let whole = &bytes[..bytes.len() - bytes.len() % self.block];
        let signature = fast_rsync::Signature::calculate(whole, options);
        Hashes(signature.into_serialized())
    }

    /// Bytes of the hashes of a block.
    pub(super) fn width(self) -> usize {
        WEAK + self.strong
    }
}

/// The hashes of some blocks.
pub(super) struct Hashes(Vec<u8>);

impl std::ops::Deref for Hashes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0[RSYNC_LEN..]
    }
}

/// The short and the long hash out of those of a block.
pub(super) fn parts(hashes: &[u8]) -> (u32, &[u8]) {
    match hashes.split_first_chunk::<WEAK>() {
        Some((weak, strong)) => (u32::from_be_bytes(*weak), strong),
        None => (0, hashes),
    }
}

impl Signature {
    /// That of what `base` gives, which has `len` bytes. It is read once, and 32 MiB of it are in
    /// memory at a time.
    ///
    /// # Errors
    /// When it can't be read, is not that long, or is longer than a lob may be.
    pub fn of(base: &mut dyn Read, len: u64, progress: &dyn Progress) -> Result<Signature> {
        if len > LOB_MAX {
            let what = "the length of the file".to_string();
            let limit = LOB_MAX;
            return Err(Error::OverLimit { what, limit });
        }
        let hashing = Hashing::of(len);
        let piece = ADD_WINDOW.max(hashing.block);
        let batch = AT_A_TIME.next_multiple_of(piece);
        let mut whole = blake3::Hasher::new();
        let mut tail = LobId::of(b"");
        let mut blocks = Vec::new();
        let mut buffer = Vec::new();
        let mut left = len;
        while left > 0 {
            let want = left.min(batch as u64);
            buffer.clear();
            let read = base.take(want).read_to_end(&mut buffer);
            if read.map_err(Error::Source)? as u64 != want {
                return Err(Error::Source(std::io::ErrorKind::UnexpectedEof.into()));
            }
            left -= want;
            let (_, hashes) = rayon::join(
                || whole.update(&buffer).count(),
                || {
                    let pieces = buffer.par_chunks(piece);
                    pieces
                        .map(|some| hashing.blocks(some))
                        .collect::<Vec<Hashes>>()
                },
            );
            hashes
                .iter()
                .for_each(|some| blocks.extend_from_slice(some));
            if left == 0 {
                tail = LobId::of(&buffer[buffer.len() - buffer.len() % hashing.block..]);
            }
            progress.bytes(want);
            if progress.cancelled() {
                return Err(Error::Interrupted);
            }
        }
        Ok(Signature {
            base: whole.finalize().into(),
            base_len: len,
            tail,
            hashing,
            blocks,
        })
    }

    /// Reads one, which may come from anywhere. No more memory is taken than there are bytes.
    ///
    /// # Errors
    /// When it can't be read, is none, or was damaged or cut off.
    pub fn read(from: &mut dyn Read) -> Result<Signature> {
        let mut bytes = Vec::new();
        more(from, HEADER_LEN + RSYNC_LEN, &mut bytes)?;
        let mut d = Decoder::new(WHAT, &bytes);
        d.magic(MAGIC)?;
        d.version(VERSION)?;
        d.zeros(6)?;
        let base_len = d.u64()?;
        let (base, tail) = (LobId::from_bytes(d.id()?), LobId::from_bytes(d.id()?));
        let rsync = [d.u32()?, d.u32()?, d.u32()?].map(u32::swap_bytes);
        d.end()?;
        let hashing = Hashing {
            block: rsync[1] as usize,
            strong: rsync[2] as usize,
        };
        if rsync[0] != RSYNC_MAGIC {
            return Err(bad("its hashes are of an unknown kind"));
        }
        if !(SIGNATURE_BLOCK_MIN..=SIGNATURE_BLOCK_MAX).contains(&hashing.block)
            || !STRONG.contains(&hashing.strong)
        {
            return Err(bad("the length of its blocks or hashes is out of bounds"));
        }
        let count = base_len / hashing.block as u64;
        if base_len > LOB_MAX || count > SIGNATURE_BLOCKS_MAX {
            return Err(bad("it has too many blocks"));
        }
        more(from, count as usize * hashing.width(), &mut bytes)?;
        let check = blake3::hash(&bytes);
        let mut end = Vec::new();
        more(from, blake3::OUT_LEN, &mut end)?;
        if check.as_bytes() != end.as_slice() {
            return Err(bad("its bytes hash to something else"));
        }
        if from.read(&mut [0]).map_err(Error::Source)? > 0 {
            return Err(bad("there are bytes behind its end"));
        }
        Ok(Signature {
            base,
            base_len,
            tail,
            hashing,
            blocks: bytes.split_off(HEADER_LEN + RSYNC_LEN),
        })
    }

    /// Whether `head`, the first bytes of a file, begin a signature.
    pub fn is_begun(head: &[u8]) -> bool {
        head.starts_with(MAGIC)
    }

    /// It as bytes, which [`Signature::read`] reads; docs/deltas.md describes them.
    pub fn to_bytes(&self) -> Vec<u8> {
        let version = VERSION.to_le_bytes();
        let head: [&[u8]; 6] = [
            MAGIC,
            &version,
            &[0; 6],
            &self.base_len.to_le_bytes(),
            self.base.as_bytes(),
            self.tail.as_bytes(),
        ];
        let (block, strong) = (self.hashing.block as u32, self.hashing.strong as u32);
        let rsync = [RSYNC_MAGIC, block, strong].map(u32::to_be_bytes).concat();
        let mut bytes = [&head.concat()[..], &rsync, &self.blocks].concat();
        let check = blake3::hash(&bytes);
        bytes.extend_from_slice(check.as_bytes());
        bytes
    }

    /// The hash of the file.
    pub fn base(&self) -> LobId {
        self.base
    }

    /// The length of the file in bytes.
    pub fn base_len(&self) -> u64 {
        self.base_len
    }

    /// Bytes of a block.
    pub fn block_len(&self) -> usize {
        self.hashing.block
    }

    pub(super) fn hashing(&self) -> Hashing {
        self.hashing
    }

    /// The hashes of each whole block.
    pub(super) fn blocks(&self) -> std::slice::ChunksExact<'_, u8> {
        self.blocks.chunks_exact(self.hashing.width())
    }

    /// The hashes of the blocks from `first` on, one after the other; none beyond the last.
    pub(super) fn from(&self, first: usize) -> std::slice::ChunksExact<'_, u8> {
        let width = self.hashing.width();
        let rest = self.blocks.get(first.saturating_mul(width)..);
        rest.unwrap_or_default().chunks_exact(width)
    }

    /// How many bytes follow the last whole block, if `end`, the last bytes of another file, ends with
    /// them.
    pub(super) fn tail_of(&self, end: &[u8]) -> Option<usize> {
        let len = (self.base_len % self.hashing.block as u64) as usize;
        let start = end.len().checked_sub(len)?;
        (len > 0 && LobId::of(&end[start..]) == self.tail).then_some(len)
    }
}

/// What a signature is called in errors.
const WHAT: &str = "the signature";

fn bad(why: &str) -> Error {
    Error::damaged(WHAT, why)
}

/// Appends `len` bytes that come from outside, as they come.
fn more(from: &mut dyn Read, len: usize, to: &mut Vec<u8>) -> Result<()> {
    match from.take(len as u64).read_to_end(to) {
        Ok(read) if read == len => Ok(()),
        Ok(_) => Err(bad("it ends too early")),
        Err(error) => Err(Error::Source(error)),
    }
}

#[cfg(test)]
mod tests;
