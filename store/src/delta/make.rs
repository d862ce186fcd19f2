//! Making a delta: the new file goes by once, in windows.

use std::io::{Read, Write};
use std::ops::Range;

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::frame;
use crate::id::{ChunkId, LobId};
use crate::limits::{ADD_WINDOW, CHUNK_MAX, PREFIX_MAX, ZSTD_LEVEL};
use crate::progress::Progress;

use super::base::{Base, cut};
use super::parts::{Aligner, Chunk, Part};
use super::{COPY, END, MAGIC, PREFIXED, RAW, VERSION, ZSTD};

/// Bytes of the base on both sides of where a chunk was that serve as its prefix too: an edit in it
/// moves what follows, and code is like the code around it.
const AROUND: u64 = 96 << 10;
/// A delta below one part in so many of a chunk is good enough not to try without the base.
const CLEARLY: usize = 8;

/// What a delta came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delta {
    /// The hash of the base.
    pub base: LobId,
    /// The hash of the new content.
    pub id: LobId,
    /// Its length in bytes.
    pub size: u64,
    /// Bytes of it that are copied from the base.
    pub copied: u64,
    /// Bytes of the delta.
    pub stored: u64,
}

/// Writes the delta that makes `new`, which has `size` bytes, from `base` to `out`. The same two
/// contents always give the same delta.
///
/// # Errors
/// When one of the three fails, or `new` does not have that many bytes.
pub fn make(
    base: &Base<'_>,
    new: &mut dyn Read,
    size: u64,
    out: &mut (dyn Write + Send),
    progress: &dyn Progress,
) -> Result<Delta> {
    let chunks = base.chunks(progress)?;
    let mut writer = Instructions {
        out,
        written: 0,
        copied: 0,
        copy: 0..0,
    };
    writer.put(&head(chunks.id, base.len(), size))?;
    let mut maker = Maker {
        base,
        aligner: Aligner::new(&chunks, |run| (2 * run + AROUND).min(PREFIX_MAX as u64 / 2)),
    };
    let mut whole = blake3::Hasher::new();
    let mut buffer = Vec::with_capacity(ADD_WINDOW + CHUNK_MAX);
    let mut left = size;
    while left > 0 || !buffer.is_empty() {
        let want = left.min((ADD_WINDOW + CHUNK_MAX - buffer.len()) as u64);
        let before = buffer.len();
        let read = new.take(want).read_to_end(&mut buffer);
        if read.map_err(Error::Source)? as u64 != want {
            return Err(Error::Source(std::io::ErrorKind::UnexpectedEof.into()));
        }
        left -= want;
        let parts = cut(&buffer, left == 0);
        let used = parts.last().map_or(0, |&(start, len)| start + len);
        let (_, done) = rayon::join(
            || whole.update(&buffer[before..]).count(),
            || maker.window(&buffer, &parts, &mut writer),
        );
        done?;
        let _ = buffer.drain(..used);
        progress.bytes(used as u64);
        if progress.cancelled() {
            return Err(Error::Interrupted);
        }
    }
    writer.end_copy()?;
    let id: LobId = whole.finalize().into();
    writer.put(&[&[END][..], id.as_bytes()].concat())?;
    Ok(Delta {
        base: chunks.id,
        id,
        size,
        copied: writer.copied,
        stored: writer.written,
    })
}

/// What a delta begins with.
pub(super) fn head(base: LobId, base_len: u64, size: u64) -> Vec<u8> {
    let lengths = [base_len.to_le_bytes(), size.to_le_bytes()].concat();
    let version = VERSION.to_le_bytes();
    [MAGIC, &version[..], &[0; 6], &lengths, base.as_bytes()].concat()
}

/// What codes the windows of the new file.
struct Maker<'a> {
    base: &'a Base<'a>,
    aligner: Aligner<'a>,
}

impl Maker<'_> {
    /// Writes what makes the chunks of a window, given as (start, length).
    fn window(
        &mut self,
        bytes: &[u8],
        cuts: &[(usize, usize)],
        out: &mut Instructions<'_>,
    ) -> Result<()> {
        let chunks: Vec<_> = cuts
            .par_iter()
            .map(|&(start, len)| {
                let bytes = &bytes[start..start + len];
                let (id, len) = (ChunkId::of(bytes), len as u64);
                Chunk { id, len, bytes }
            })
            .collect();
        let parts = self.aligner.window(&chunks, &|| self.base.features())?;
        let coded: Result<Vec<_>> = parts
            .par_iter()
            .zip(&chunks)
            .map(|(part, chunk)| self.code(part, chunk.bytes))
            .collect();
        for ((part, coded), &(_, len)) in parts.iter().zip(coded?).zip(cuts) {
            match part {
                Part::Known(place) => out.copy(*place, len as u64)?,
                Part::Gap(_) | Part::Like(_) => out.code(&coded)?,
            }
        }
        Ok(())
    }

    /// This part of the base and some of what is around it.
    fn around(&self, part: Range<u64>) -> Range<u64> {
        let end = (part.end + AROUND).min(self.base.len());
        part.start.saturating_sub(AROUND).min(end)..end
    }

    /// The instruction that makes a chunk; nothing for one that is copied.
    fn code(&self, part: &Part, raw: &[u8]) -> Result<Vec<u8>> {
        let near = match part {
            Part::Known(_) => return Ok(Vec::new()),
            Part::Gap(range) | Part::Like(range) => self.around(range.clone()),
        };
        let prefixed = match near {
            range if range.is_empty() => None,
            range => {
                let len = (range.end - range.start) as usize;
                let mut bytes = self.base.read(range.start, len)?;
                let prefix = bytes.len();
                bytes.extend_from_slice(raw);
                frame::compress_with_prefix(&bytes, prefix, ZSTD_LEVEL).map(|packed| {
                    let place = [
                        &range.start.to_le_bytes()[..],
                        &(prefix as u32).to_le_bytes(),
                    ];
                    (packed, place.concat())
                })
            }
        };
        let lengths = |stored: usize| {
            let (raw, stored) = (raw.len() as u32, stored as u32);
            [raw.to_le_bytes(), stored.to_le_bytes()].concat()
        };
        let limit = match prefixed {
            Some((packed, place)) if packed.len() < raw.len() / CLEARLY => {
                return Ok([&[PREFIXED][..], &lengths(packed.len()), &place, &packed].concat());
            }
            ref other => other.as_ref().map_or(raw.len(), |(packed, _)| packed.len()),
        };
        Ok(match (frame::compressed(raw), prefixed) {
            (Some(packed), _) if packed.len() < limit.min(raw.len()) => {
                [&[ZSTD][..], &lengths(packed.len()), &packed].concat()
            }
            (_, Some((packed, place))) if packed.len() < raw.len() => {
                [&[PREFIXED][..], &lengths(packed.len()), &place, &packed].concat()
            }
            _ => [&[RAW][..], &(raw.len() as u32).to_le_bytes(), raw].concat(),
        })
    }
}

/// The instructions as they are written, copies of what follows each other as one.
struct Instructions<'a> {
    out: &'a mut (dyn Write + Send),
    written: u64,
    copied: u64,
    copy: Range<u64>,
}

impl Instructions<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.written += bytes.len() as u64;
        self.out.write_all(bytes).map_err(Error::Sink)
    }

    fn copy(&mut self, place: u64, len: u64) -> Result<()> {
        if self.copy.end != place {
            self.end_copy()?;
            self.copy = place..place;
        }
        self.copy.end += len;
        self.copied += len;
        Ok(())
    }

    fn end_copy(&mut self) -> Result<()> {
        let copy = std::mem::take(&mut self.copy);
        if copy.is_empty() {
            return Ok(());
        }
        let len = copy.end - copy.start;
        self.put(&[&[COPY][..], &copy.start.to_le_bytes(), &len.to_le_bytes()].concat())
    }

    fn code(&mut self, coded: &[u8]) -> Result<()> {
        self.end_copy()?;
        self.put(coded)
    }
}
