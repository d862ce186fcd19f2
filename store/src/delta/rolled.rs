//! Making a delta for whoever sent a signature: of the base nothing else is known.
//!
//! Where blocks of the base follow each other in the new file as in the base they are hashed eight at
//! a time and compared with what is expected. Only where that ends does the short hash roll over the
//! bytes.

use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::id::LobId;
use crate::limits::ADD_WINDOW;
use crate::progress::Progress;

use super::END;
use super::blocks::{Blocks, Roll};
use super::make::{Delta, head};
use super::patchwork::{Patchwork, Quilt};
use super::signature::Signature;

/// Bytes that are searched at a time, on all cores: about so many are in memory, and as many of the delta.
/// The result depends on it.
const AT_A_TIME: usize = 8 * ADD_WINDOW;
/// Blocks that are hashed together where one is expected, and the most after each success.
const AHEAD: usize = 8;
const AHEAD_MAX: usize = 64;
/// Places that are looked at to learn whether anything is alike, and how much more than a block is
/// looked at in each.
const SAMPLES: u64 = 64;
const SAMPLE: usize = 16 << 10;

/// A part of the new file that the base has too.
#[derive(Debug, Clone, Copy)]
struct Match {
    /// Where in what was searched.
    start: usize,
    len: usize,
    /// Where in the base.
    at: u64,
}

/// Whether a delta of `new`, which has `size` bytes, is likely to copy anything. Looks for blocks of
/// the signature in at most 64 places of it: of two files that share a tenth, one in a thousand seems
/// to share nothing. Leaves `new` at its begin.
///
/// # Errors
/// When it can't be read.
pub fn worth<N: Read + Seek>(signature: &Signature, new: &mut N, size: u64) -> Result<bool> {
    let blocks = Blocks::new(signature);
    // So much of any place holds a whole block of the base, wherever that begins.
    let long = 2 * signature.block_len() + SAMPLE;
    let mut found = size < SAMPLES * long as u64;
    let mut bytes = Vec::new();
    for sample in 0..SAMPLES {
        if found {
            break;
        }
        let at = (size - long as u64) / (SAMPLES - 1) * sample;
        let _ = new.seek(SeekFrom::Start(at)).map_err(Error::Source)?;
        bytes.clear();
        let read = new.by_ref().take(long as u64).read_to_end(&mut bytes);
        let _ = read.map_err(Error::Source)?;
        found = Roll::new(&blocks, &bytes, long)
            .next(0..bytes.len())
            .is_some();
    }
    new.rewind().map_err(Error::Source)?;
    Ok(found)
}

/// Writes the delta that makes `new`, which has `size` bytes, from the file that the signature is of,
/// to `out`. Without `is_alike` nothing is looked for, and all of `new` is compressed for itself. The
/// same signature and content always give the same delta.
///
/// # Errors
/// When one of the two fails, or `new` does not have that many bytes.
pub fn make_from(
    signature: &Signature,
    new: &mut dyn Read,
    size: u64,
    is_alike: bool,
    out: &mut (dyn Write + Send),
    progress: &dyn Progress,
) -> Result<Delta> {
    let block = signature.block_len();
    let window = ADD_WINDOW.max(block);
    let batch = AT_A_TIME.next_multiple_of(window);
    let blocks = is_alike.then(|| Blocks::new(signature));
    let mut whole = blake3::Hasher::new();
    let mut made = Made {
        out,
        written: 0,
        copied: 0,
        quilt: Quilt::default(),
        done: 0,
    };
    made.put(&head(signature.base(), signature.base_len(), size))?;
    let mut buffer = Vec::new();
    let mut left = size;
    let mut distance = 0i64;
    let mut at = 0u64;
    while left > 0 || !buffer.is_empty() {
        let want = left.min((batch + block - buffer.len()) as u64);
        let before = buffer.len();
        let read = new.take(want).read_to_end(&mut buffer);
        if read.map_err(Error::Source)? as u64 != want {
            return Err(Error::Source(std::io::ErrorKind::UnexpectedEof.into()));
        }
        left -= want;
        let used = match left {
            0 => buffer.len(),
            _ => batch,
        };
        let (_, mut found) = rayon::join(
            || whole.update(&buffer[before..]).count(),
            || match &blocks {
                Some(blocks) => search(blocks, &buffer, used, window, at, distance),
                None => Vec::new(),
            },
        );
        if left == 0 && is_alike {
            found.extend(tail(signature, &buffer));
        }
        if let Some(last) = found.last() {
            distance = last.at as i64 - (at + last.start as u64) as i64;
        }
        made.window(&buffer[..used], at, &found)?;
        let _ = buffer.drain(..used);
        at += used as u64;
        progress.bytes(used as u64);
        if progress.cancelled() {
            return Err(Error::Interrupted);
        }
    }
    let last = made.quilt.take_all();
    made.write(&last)?;
    let id: LobId = whole.finalize().into();
    made.put(&[&[END][..], id.as_bytes()].concat())?;
    Ok(Delta {
        base: signature.base(),
        id,
        size,
        copied: made.copied,
        stored: made.written,
    })
}

/// What of the first `used` bytes the base has too, in order; the last of it may end behind them, and
/// overlap what follows it. `at` is where they stand in the new file.
fn search(
    blocks: &Blocks<'_>,
    bytes: &[u8],
    used: usize,
    window: usize,
    at: u64,
    distance: i64,
) -> Vec<Match> {
    let block = blocks.hashing().block;
    let starts: Vec<_> = (0..used).step_by(window).collect();
    let found: Vec<Vec<Match>> = starts
        .par_iter()
        .map(|&start| {
            let most = (start + window + block - 1).min(bytes.len());
            let limit = (start + window).min(used);
            let mut search = Search {
                blocks,
                bytes: &bytes[..most],
                roll: Roll::new(blocks, &bytes[..most], limit - start),
                found: Vec::new(),
            };
            search.window(start..limit, at, distance);
            search.found
        })
        .collect();
    found.concat()
}

/// The bytes behind the last whole block of the base, if they are the last ones here.
fn tail(signature: &Signature, bytes: &[u8]) -> Option<Match> {
    let len = signature.tail_of(bytes)?;
    Some(Match {
        start: bytes.len() - len,
        len,
        at: signature.base_len() - len as u64,
    })
}

/// The search of one window.
struct Search<'a> {
    blocks: &'a Blocks<'a>,
    bytes: &'a [u8],
    roll: Roll<'a>,
    found: Vec<Match>,
}

impl Search<'_> {
    /// Finds what begins in this part of the bytes, of which the first stands at `at` in the file.
    fn window(&mut self, part: Range<usize>, at: u64, distance: i64) {
        let block = self.blocks.hashing().block;
        // Where the next block of the base would begin, if all is as far off as it was before.
        let place = (at + part.start as u64).saturating_add_signed(distance);
        let next = place.div_ceil(block as u64);
        let mut here = part.start + (next * block as u64 - place) as usize;
        let mut expected = Some(next as usize);
        if here >= part.end {
            (here, expected) = (part.start, None);
        }
        let mut ahead = AHEAD;
        while here < part.end {
            if let Some(next) = expected {
                let room = (part.end - here).div_ceil(block).min(ahead);
                match self.expected(here, next, room) {
                    0 => {
                        expected = None;
                        here = self.end().max(part.start);
                    }
                    n => {
                        here += n * block;
                        expected = Some(next + n);
                        ahead = if n == room {
                            (2 * ahead).min(AHEAD_MAX)
                        } else {
                            AHEAD
                        };
                    }
                }
                continue;
            }
            let end = (part.end + block - 1).min(self.bytes.len());
            let Some((place, number)) = self.roll.next(here..end) else {
                break;
            };
            (here, expected) = (place, Some(number));
        }
    }

    /// Where what was found ends.
    fn end(&self) -> usize {
        self.found.last().map_or(0, |last| last.start + last.len)
    }

    /// Compares up to `count` blocks from `here` on with those from `next` on, and gives how many stand
    /// before the end of the last one that is equal. Between equal ones others were replaced: what they
    /// hold may have been elsewhere.
    fn expected(&mut self, here: usize, next: usize, count: usize) -> usize {
        let hashing = self.blocks.hashing();
        let block = hashing.block;
        let end = (here + count * block).min(self.bytes.len());
        let Some(bytes) = self.bytes.get(here..end) else {
            return 0;
        };
        let hashes = hashing.blocks(bytes);
        let here_and_there = hashes.chunks_exact(hashing.width());
        let pairs = here_and_there.zip(self.blocks.from(next));
        let mut done = 0;
        for (n, _) in pairs.enumerate().filter(|(_, (a, b))| a == b) {
            if n > done + 1 {
                self.gap(here + done * block..here + n * block);
            }
            self.push(here + n * block, (next + n) * block);
            done = n + 1;
        }
        done
    }

    /// Finds blocks from anywhere in this part of the bytes.
    fn gap(&mut self, part: Range<usize>) {
        let block = self.blocks.hashing().block;
        let mut here = part.start;
        while let Some((place, number)) = self.roll.next(here..part.end) {
            self.push(place, number * block);
            here = place + block;
        }
    }

    fn push(&mut self, start: usize, at: usize) {
        let (len, at) = (self.blocks.hashing().block, at as u64);
        match self.found.last_mut() {
            Some(last) if last.start + last.len == start && last.at + last.len as u64 == at => {
                last.len += len;
            }
            _ => self.found.push(Match { start, len, at }),
        }
    }
}

/// The delta as it is written.
struct Made<'a> {
    out: &'a mut (dyn Write + Send),
    written: u64,
    copied: u64,
    quilt: Quilt,
    /// How much of the new file is made.
    done: u64,
}

impl Made<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.written += bytes.len() as u64;
        self.out.write_all(bytes).map_err(Error::Sink)
    }

    fn write(&mut self, works: &[Patchwork]) -> Result<()> {
        let coded: Vec<_> = works.par_iter().map(Patchwork::encode).collect();
        coded.iter().try_for_each(|work| self.put(work))
    }

    /// Makes these bytes, which stand at `at` in the new file: copies what was found, as far as it is
    /// not made yet, and adds what is between.
    fn window(&mut self, bytes: &[u8], at: u64, found: &[Match]) -> Result<()> {
        for part in found {
            let start = at + part.start as u64;
            let made = self.done.saturating_sub(start);
            if made >= part.len as u64 {
                continue;
            }
            self.add(bytes, at, part.start);
            let len = part.len as u64 - made;
            self.quilt.copy(part.at + made, len);
            self.copied += len;
            self.done = start + part.len as u64;
        }
        self.add(bytes, at, bytes.len());
        let full = self.quilt.take_full();
        self.write(&full)
    }

    /// Adds the bytes up to `end` that are not made yet.
    fn add(&mut self, bytes: &[u8], at: u64, end: usize) {
        let start = self.done.saturating_sub(at) as usize;
        if let Some(new) = bytes.get(start..end.min(bytes.len())) {
            self.quilt.add(new);
            self.done += new.len() as u64;
        }
    }
}

#[cfg(test)]
mod tests;
