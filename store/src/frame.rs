//! Frames: one or more chunks compressed together.

use std::cell::RefCell;

use zstd::bulk::Compressor;
use zstd::zstd_safe::{self, CParameter, DCtx, SafeResult};

use crate::error::{Error, Result};
use crate::id::ChunkId;
use crate::limits::ZSTD_WINDOW_LOG_MAX;
use crate::limits::{CHUNK_MAX, DELTA_DEPTH_MAX, FRAME_BASES_MAX, FRAME_CHUNKS_MAX, FRAME_RAW_MAX};
use crate::limits::{FRAME_STORED_MAX, PREFIX_HASH_LOG, PREFIX_WINDOW_LOG, ZSTD_LEVEL};

/// How the bytes of a frame are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Codec {
    /// As they are.
    Raw = 0,
    /// One zstd frame.
    Zstd = 1,
    /// One zstd frame with the base chunks, concatenated, as its prefix.
    ZstdPrefix = 2,
}

impl Codec {
    /// The codec of this number in a pack.
    pub(crate) fn from_number(number: u8) -> Option<Codec> {
        [Codec::Raw, Codec::Zstd, Codec::ZstdPrefix]
            .into_iter()
            .find(|&codec| codec as u8 == number)
    }
}

/// A frame as it is stored and as it moves between stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// How `stored` is encoded.
    pub codec: Codec,
    /// Length of the longest chain of bases behind this frame; 0 for a plain frame.
    pub depth: u8,
    /// The chunks in it, in order, with their lengths in bytes.
    pub chunks: Vec<(ChunkId, u32)>,
    /// The chunks whose bytes are the prefix, in order. Empty for a plain frame.
    pub bases: Vec<ChunkId>,
    /// The encoded bytes.
    pub stored: Vec<u8>,
}

/// Saved bytes below which compression does not pay: one in this many.
const WORTH_ONE_IN: usize = 64;

thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<DCtx<'static>>> = const { RefCell::new(None) };
}

impl Frame {
    /// A plain frame of `chunks`, whose bytes, one after the other, are `raw`.
    pub fn plain(chunks: Vec<(ChunkId, u32)>, raw: &[u8]) -> Frame {
        Frame::plain_at(chunks, raw, ZSTD_LEVEL)
    }

    /// The same, compressed at a level of zstd.
    pub(crate) fn plain_at(chunks: Vec<(ChunkId, u32)>, raw: &[u8], level: i32) -> Frame {
        let worth = raw.len() - raw.len() / WORTH_ONE_IN;
        let (codec, stored) = match compressed_at(level, raw) {
            Some(packed) if packed.len() < worth => (Codec::Zstd, packed),
            _ => (Codec::Raw, raw.to_vec()),
        };
        Frame {
            codec,
            depth: 0,
            chunks,
            bases: Vec::new(),
            stored,
        }
    }

    /// Length of the chunks, decoded.
    pub fn raw_len(&self) -> usize {
        self.chunks.iter().map(|&(_, len)| len as usize).sum()
    }

    /// About how much memory it takes.
    pub(crate) fn held_bytes(&self) -> usize {
        let ids = self.chunks.len() + self.bases.len();
        size_of::<Frame>() + self.stored.len() + ids * size_of::<(ChunkId, u32)>()
    }

    /// Fails if the frame is over a limit or contradicts itself.
    pub(crate) fn check(&self) -> Result<()> {
        let bad = |why: &str| Err(Error::damaged("frame", why));
        if self.chunks.is_empty() || self.chunks.len() > FRAME_CHUNKS_MAX {
            return bad("its number of chunks is out of bounds");
        }
        if self
            .chunks
            .iter()
            .any(|&(_, len)| len == 0 || len as usize > CHUNK_MAX)
        {
            return bad("a chunk's length is out of bounds");
        }
        if self.raw_len() > FRAME_RAW_MAX || self.stored.len() > FRAME_STORED_MAX {
            return bad("its length is out of bounds");
        }
        if self.codec == Codec::Raw && self.stored.len() != self.raw_len() {
            return bad("a raw frame of another length than its chunks");
        }
        let delta = self.codec == Codec::ZstdPrefix;
        if delta == self.bases.is_empty() || delta != (self.depth > 0) {
            return bad("its codec and its bases disagree");
        }
        if self.bases.len() > FRAME_BASES_MAX || self.depth > DELTA_DEPTH_MAX {
            return bad("its bases are out of bounds");
        }
        Ok(())
    }

    /// Fails unless every chunk of a plain frame hashes to its id.
    pub(crate) fn verify_plain(&self) -> Result<()> {
        self.check()?;
        let decoded;
        let raw = match self.codec {
            Codec::Raw if self.stored.len() == self.raw_len() => &self.stored,
            codec => {
                decoded = decode(codec, &self.stored, self.raw_len(), &mut Vec::new())?;
                &decoded
            }
        };
        let mut rest = raw.as_slice();
        for (id, len) in &self.chunks {
            let (bytes, tail) = rest.split_at(*len as usize);
            verify_chunk(id, bytes)?;
            rest = tail;
        }
        Ok(())
    }
}

/// Fails unless `bytes` hash to `id`.
pub(crate) fn verify_chunk(id: &ChunkId, bytes: &[u8]) -> Result<()> {
    if ChunkId::of(bytes) == *id {
        Ok(())
    } else {
        Err(Error::damaged(
            format!("chunk {id}"),
            "its bytes hash to something else",
        ))
    }
}

/// Decodes `stored` to exactly `raw_len` bytes; `prefix` is what a delta frame's bases hold, and in
/// memory what is decoded is put after it: zstd copies within one piece faster than from another.
/// What comes back is not verified yet.
pub(crate) fn decode(
    codec: Codec,
    stored: &[u8],
    raw_len: usize,
    prefix: &mut Vec<u8>,
) -> Result<Vec<u8>> {
    let bad = |why: &str| Error::damaged("frame", why);
    if raw_len > FRAME_RAW_MAX {
        return Err(bad("its length is out of bounds"));
    }
    if codec == Codec::Raw {
        return match stored.len() == raw_len {
            true => Ok(stored.to_vec()),
            false => Err(bad("a raw frame of another length than declared")),
        };
    }
    // One whole zstd frame of a declared size and nothing after it: no bombs, no skippable frames.
    if !stored.starts_with(&zstd_safe::zstd_sys::ZSTD_MAGICNUMBER.to_le_bytes())
        || zstd_safe::get_frame_content_size(stored).ok().flatten() != Some(raw_len as u64)
        || zstd_safe::find_frame_compressed_size(stored) != Ok(stored.len())
        || !window_fits(stored)
    {
        return Err(bad("not one zstd frame of the declared length"));
    }
    let mut raw = Vec::with_capacity(raw_len);
    let decoded = DECOMPRESSOR.with_borrow_mut(|slot| {
        let context = slot.get_or_insert_with(DCtx::create);
        match codec {
            Codec::ZstdPrefix => decode_with_prefix(context, stored, prefix, &mut raw),
            _ => context.decompress(&mut raw, stored),
        }
    });
    match decoded {
        Ok(n) if n == raw_len && raw.len() == raw_len => Ok(raw),
        Ok(_) => Err(bad("it decodes to another length than declared")),
        Err(code) => Err(bad(zstd_safe::get_error_name(code))),
    }
}

/// Whether the header of a zstd frame asks for no larger window than readers must have. Decoding in
/// one go needs none and does not look at it, but other readers may not.
fn window_fits(stored: &[u8]) -> bool {
    const SINGLE_SEGMENT: u8 = 0x20;
    let (Some(descriptor), Some(window)) = (stored.get(4), stored.get(5)) else {
        return false;
    };
    let base = 1u64 << (10 + (window >> 3));
    descriptor & SINGLE_SEGMENT != 0
        || base + base / 8 * u64::from(window & 7) <= 1 << ZSTD_WINDOW_LOG_MAX
}

fn decode_with_prefix(
    context: &mut DCtx<'_>,
    stored: &[u8],
    prefix: &mut Vec<u8>,
    raw: &mut Vec<u8>,
) -> SafeResult {
    // What begins as a dictionary of zstd does would be taken for one, and not for its bytes. A context
    // that is told otherwise can't be used again.
    if prefix.starts_with(&zstd_safe::zstd_sys::ZSTD_MAGIC_DICTIONARY.to_le_bytes()) {
        let mut context = DCtx::create();
        let _ = context.ref_prefix(prefix)?;
        return context.decompress(raw, stored);
    }
    let at = prefix.len();
    prefix.resize(at + raw.capacity(), 0);
    let (prefix, room) = prefix.split_at_mut(at);
    let decoded = context.decompress_using_dict(room, stored, prefix)?;
    raw.extend_from_slice(&room[..decoded]);
    Ok(decoded)
}

/// `None` where the output would be no shorter than the input.
fn compress(raw: &[u8], level: i32) -> Option<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|slot| {
        let compressor = match slot {
            Some(compressor) => compressor,
            None => slot.insert(Compressor::new(level).ok()?),
        };
        compressor
            .set_parameter(CParameter::CompressionLevel(level))
            .ok()?;
        let mut packed = Vec::with_capacity(raw.len());
        compressor.compress_to_buffer(raw, &mut packed).ok()?;
        Some(packed)
    })
}

/// These bytes as one zstd frame; `None` where that would be no shorter or would hardly be.
pub(crate) fn compressed(raw: &[u8]) -> Option<Vec<u8>> {
    compressed_at(ZSTD_LEVEL, raw)
}

/// The same at another level.
pub(crate) fn compressed_at(level: i32, raw: &[u8]) -> Option<Vec<u8>> {
    if looks_random(raw) {
        None
    } else {
        compress(raw, level)
    }
}

/// What follows the first `prefix` bytes of `bytes` as one zstd frame with these as its prefix; `None`
/// where that would be no shorter.
///
/// In memory the one follows the other, since zstd searches one piece faster than two. It would
/// choose its tables by the length of what it compresses, and not find what is in a longer prefix.
#[doc(hidden)]
pub fn compress_with_prefix(bytes: &[u8], prefix: usize, level: i32) -> Option<Vec<u8>> {
    let (prefix, raw) = bytes.split_at(prefix);
    let mut context = zstd_safe::CCtx::create();
    let all = bytes.len().next_power_of_two().ilog2();
    let log = all.clamp(*PREFIX_HASH_LOG.start(), *PREFIX_HASH_LOG.end());
    for parameter in [
        CParameter::CompressionLevel(level),
        CParameter::WindowLog(PREFIX_WINDOW_LOG),
        CParameter::HashLog(log),
        CParameter::ChainLog(log),
        CParameter::ContentSizeFlag(true),
    ] {
        let _ = context.set_parameter(parameter).ok()?;
    }
    let _ = context.ref_prefix(prefix).ok()?;
    let mut packed = Vec::with_capacity(raw.len());
    let _ = context.compress2(&mut packed, raw).ok()?;
    Some(packed)
}

/// Whether three small samples say that compression is in vain. Media and archives are most of what
/// lob stores, and a full attempt on each costs more than hashing them.
fn looks_random(raw: &[u8]) -> bool {
    const SAMPLE: usize = 4 << 10;
    if raw.len() < 16 * SAMPLE {
        return false;
    }
    let mut sample = Vec::with_capacity(3 * SAMPLE);
    for start in [0, (raw.len() - SAMPLE) / 2, raw.len() - SAMPLE] {
        sample.extend_from_slice(&raw[start..start + SAMPLE]);
    }
    compress(&sample, 1).is_none_or(|packed| packed.len() > sample.len() - sample.len() / 50)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame_of(parts: &[&[u8]]) -> (Frame, Vec<u8>) {
        let chunks = parts
            .iter()
            .map(|p| (ChunkId::of(p), p.len() as u32))
            .collect();
        let raw = parts.concat();
        (Frame::plain(chunks, &raw), raw)
    }

    #[test]
    fn plain_frames_come_back() {
        for parts in [
            [b"hello ".as_slice(), &[b'x'; 5000]],
            [b"a".as_slice(), b"b"],
        ] {
            let (frame, raw) = frame_of(&parts);
            frame.verify_plain().expect("verifies");
            assert_eq!(
                decode(frame.codec, &frame.stored, raw.len(), &mut Vec::new()).expect("decodes"),
                raw
            );
        }
    }

    #[test]
    fn any_changed_byte_of_a_frame_is_noticed() {
        let (frame, _) = frame_of(&[b"some text, some text, some text, some text, some text"]);
        assert_eq!(frame.codec, Codec::Zstd);
        for at in 0..frame.stored.len() {
            for bit in 0..8 {
                let mut bad = frame.clone();
                bad.stored[at] ^= 1 << bit;
                // A few bits of a zstd header do not matter to the content; then it still verifies.
                if bad.verify_plain().is_ok() {
                    let raw = decode(bad.codec, &bad.stored, bad.raw_len(), &mut Vec::new())
                        .expect("decodes");
                    assert_eq!(ChunkId::of(&raw), frame.chunks[0].0);
                }
            }
        }
    }

    #[test]
    fn bombs_and_trailing_bytes_are_refused() {
        let bomb = zstd::bulk::compress(&vec![0; FRAME_RAW_MAX + 1], 3).expect("compresses");
        assert!(decode(Codec::Zstd, &bomb, FRAME_RAW_MAX + 1, &mut Vec::new()).is_err());
        assert!(decode(Codec::Zstd, &bomb, 1000, &mut Vec::new()).is_err());
        let mut trailing = zstd::bulk::compress(b"abc", 3).expect("compresses");
        trailing.push(0);
        assert!(decode(Codec::Zstd, &trailing, 3, &mut Vec::new()).is_err());
    }

    #[test]
    fn windows_are_bounded_and_dictionaries_refused() {
        // One raw block, by the format of zstd (RFC 8878).
        let frame = |descriptor: u8, fields: &[u8]| {
            let magic = zstd_safe::zstd_sys::ZSTD_MAGICNUMBER.to_le_bytes();
            let block = [3 << 3 | 1, 0, 0, b'a', b'b', b'c'];
            [&magic, [descriptor].as_slice(), fields, &block].concat()
        };
        let decoded = |stored: &[u8]| decode(Codec::Zstd, stored, 3, &mut Vec::new()).ok();
        let window = |log: u8| frame(0x80, &[(log - 10) << 3, 3, 0, 0, 0]);
        assert_eq!(decoded(&window(10)), Some(b"abc".to_vec()));
        assert_eq!(decoded(&window(23)), Some(b"abc".to_vec()));
        assert_eq!(decoded(&frame(0x80, &[13 << 3 | 1, 3, 0, 0, 0])), None);
        assert_eq!(decoded(&window(24)), None);
        assert_eq!(decoded(&frame(0x20, &[3])), Some(b"abc".to_vec()));
        assert_eq!(decoded(&frame(0x21, &[7, 3])), None);
    }

    #[test]
    fn a_delta_frame_decodes_with_its_prefix() {
        let mut base = crate::chunk::tests::noise(5, 100_000);
        // The same bytes behind what a dictionary of zstd begins with are bytes like others.
        for magic in [
            &[][..],
            &zstd_safe::zstd_sys::ZSTD_MAGIC_DICTIONARY.to_le_bytes(),
        ] {
            base.splice(..magic.len(), magic.iter().copied());
            let mut raw = base.clone();
            raw[5000] ^= 1;
            let both = [base.as_slice(), &raw].concat();
            let stored = compress_with_prefix(&both, base.len(), 3).expect("compresses");
            assert!(stored.len() < 1000);
            let back =
                decode(Codec::ZstdPrefix, &stored, raw.len(), &mut base.clone()).expect("decodes");
            assert_eq!(back, raw);
            let other = decode(
                Codec::ZstdPrefix,
                &stored,
                raw.len(),
                &mut base[1..].to_vec(),
            )
            .ok();
            assert_ne!(other, Some(raw));
        }
    }
}
