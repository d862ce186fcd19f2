//! Making a delta: the new file goes by once, in windows.

use std::io::{Read, Write};
use std::ops::Range;

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::frame;
use crate::id::{ChunkId, LobId};
use crate::limits::{ADD_WINDOW, CHUNK_MAX, PREFIX_MAX};
use crate::progress::Progress;

use super::base::{Base, Chunks, cut};
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
    base: &Base,
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
    let lengths = [base.len().to_le_bytes(), size.to_le_bytes()].concat();
    let version = VERSION.to_le_bytes();
    writer.put(&[MAGIC, &version[..], &[0; 6], &lengths, chunks.id.as_bytes()].concat())?;
    let mut maker = Maker {
        base,
        chunks: &chunks,
        at: 0,
        expected: 0,
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

/// Where in the new file and in the base the last window ended.
struct Maker<'a> {
    base: &'a Base,
    chunks: &'a Chunks,
    /// Offset of the window in the new file.
    at: u64,
    /// Where in the base its content is expected.
    expected: u64,
}

/// What becomes of a chunk.
enum Part {
    /// It is in the base, at this place.
    Known(u64),
    /// It is not, and this part of the base is like it.
    Near(Range<u64>),
    /// It is like nothing.
    New,
}

impl Maker<'_> {
    /// Writes what makes the chunks of a window, given as (start, length).
    fn window(
        &mut self,
        bytes: &[u8],
        cuts: &[(usize, usize)],
        out: &mut Instructions<'_>,
    ) -> Result<()> {
        let ids: Vec<_> = cuts
            .par_iter()
            .map(|&(start, len)| ChunkId::of(&bytes[start..start + len]))
            .collect();
        let known = self.known(&ids, cuts);
        let parts = self.parts(&known, cuts, bytes)?;
        let coded: Result<Vec<_>> = parts
            .par_iter()
            .zip(cuts)
            .map(|(part, &(start, len))| self.code(part, &bytes[start..start + len]))
            .collect();
        for ((part, coded), &(_, len)) in parts.iter().zip(coded?).zip(cuts) {
            match part {
                Part::Known(place) => out.copy(*place, len as u64)?,
                Part::Near(_) | Part::New => out.code(&coded)?,
            }
        }
        self.at += cuts.iter().map(|&(_, len)| len as u64).sum::<u64>();
        Ok(())
    }

    /// Where the base has each chunk.
    fn known(&mut self, ids: &[ChunkId], cuts: &[(usize, usize)]) -> Vec<Option<u64>> {
        let mut expected = self.expected;
        ids.iter()
            .zip(cuts)
            .map(|(id, &(_, len))| {
                let found = self.chunks.find(id, expected);
                expected = found.unwrap_or(expected) + len as u64;
                found
            })
            .collect()
    }

    /// Finds what each chunk is like.
    fn parts(
        &mut self,
        known: &[Option<u64>],
        cuts: &[(usize, usize)],
        bytes: &[u8],
    ) -> Result<Vec<Part>> {
        let mut parts = Vec::with_capacity(cuts.len());
        while let Some(place) = known.get(parts.len()) {
            let n = parts.len();
            if let Some(place) = place {
                self.expected = place + cuts[n].1 as u64;
                parts.push(Part::Known(*place));
                continue;
            }
            let run = known[n..].iter().take_while(|place| place.is_none());
            let run = &cuts[n..n + run.count()];
            let next = known.get(n + run.len()).copied().flatten();
            match next.and_then(|next| self.gap(run, next)) {
                Some(gap) => parts.extend(run.iter().map(|_| Part::Near(gap.clone()))),
                None => self.parts_of(run, bytes, &mut parts)?,
            }
        }
        Ok(parts)
    }

    /// The part of the base between what was copied last and what is copied next, from `next` on,
    /// with what is around it; `None` where it is not about what a run of new chunks replaced.
    fn gap(&self, run: &[(usize, usize)], next: u64) -> Option<Range<u64>> {
        let gap = self.expected..next;
        let replaced: u64 = run.iter().map(|&(_, len)| len as u64).sum();
        let most = (2 * replaced + AROUND).min(PREFIX_MAX as u64 / 2);
        (gap.start <= gap.end && gap.end - gap.start <= most).then(|| self.around(gap))
    }

    /// Finds what each chunk of a run is like: by its features, or else next to what the chunk before
    /// is like.
    fn parts_of(
        &mut self,
        run: &[(usize, usize)],
        bytes: &[u8],
        parts: &mut Vec<Part>,
    ) -> Result<()> {
        let features = self.base.features()?;
        let distances: Vec<_> = run
            .par_iter()
            .map(|&(start, len)| {
                features.distance(&bytes[start..start + len], self.at + start as u64)
            })
            .collect();
        for (&(start, len), distance) in run.iter().zip(distances) {
            let here = self.at + start as u64;
            if let Some(distance) = distance {
                self.expected = here.saturating_add_signed(distance);
            }
            let like = self.expected..self.expected + len as u64;
            self.expected = like.end;
            parts.push(match self.around(like) {
                nothing if nothing.is_empty() => Part::New,
                near => Part::Near(near),
            });
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
        let prefixed = match part {
            Part::Known(_) => return Ok(Vec::new()),
            Part::New => None,
            Part::Near(range) => {
                let prefix = self
                    .base
                    .read(range.start, (range.end - range.start) as usize)?;
                frame::compress_with_prefix(raw, &prefix).map(|packed| {
                    let place = [
                        &range.start.to_le_bytes()[..],
                        &(prefix.len() as u32).to_le_bytes(),
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
