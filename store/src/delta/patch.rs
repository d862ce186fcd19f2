//! Applying a delta. It may come from anywhere: nothing in it is believed before it was checked.

use std::io::{BufRead, Read, Write};

use crate::decode::Decoder;
use crate::error::{Error, Result};
use crate::frame::{Codec, decode};
use crate::id::LobId;
use crate::limits::{ADD_WINDOW, CHUNK_MAX, FRAME_RAW_MAX, LOB_MAX, PREFIX_MAX};
use crate::progress::Progress;

use super::patchwork::Patchwork;
use super::{Base, COPY, END, HEADER_LEN, MAGIC, PATCHWORK, PREFIXED, RAW, VERSION, ZSTD};

/// What a delta says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The length of its base in bytes.
    pub base_len: u64,
    /// The hash of its base.
    pub base: LobId,
    /// The length of what it makes in bytes.
    pub size: u64,
}

/// A delta that is read.
#[derive(Debug)]
pub struct Patch<R> {
    delta: R,
    header: Header,
}

impl<R: BufRead> Patch<R> {
    /// Reads the header of a delta.
    ///
    /// # Errors
    /// When it can't be read or is none.
    pub fn open(mut delta: R) -> Result<Patch<R>> {
        let header = read(&mut delta, HEADER_LEN)?;
        let mut d = Decoder::new(WHAT, &header);
        d.magic(MAGIC)?;
        d.version(VERSION)?;
        d.zeros(6)?;
        let header = Header {
            base_len: d.u64()?,
            size: d.u64()?,
            base: LobId::from_bytes(d.id()?),
        };
        if header.size > LOB_MAX {
            return Err(d.bad("what it makes is too long"));
        }
        d.end()?;
        Ok(Patch { delta, header })
    }

    /// What it says of itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The same, unless it makes more than so many bytes: for whoever does not trust the one that made it.
    ///
    /// # Errors
    /// When it announces more.
    pub fn at_most(self, limit: u64) -> Result<Patch<R>> {
        if self.header.size > limit {
            let what = "what the delta makes".to_string();
            return Err(Error::OverLimit { what, limit });
        }
        Ok(self)
    }

    /// Writes what the delta makes of `base` to `out`, and gives its hash. What was written counts
    /// only when this returns `Ok`; it is never longer than the header says.
    ///
    /// # Errors
    /// When `base` is another than the one that the delta was made for, the delta is damaged, or one
    /// of the three fails.
    pub fn apply(
        mut self,
        base: &Base<'_>,
        out: &mut dyn Write,
        progress: &dyn Progress,
    ) -> Result<LobId> {
        if base.len() != self.header.base_len {
            return Err(Error::damaged(WHAT, OTHER_BASE));
        }
        let mut made = Made {
            out,
            hasher: blake3::Hasher::new(),
            left: self.header.size,
            progress,
        };
        let done = self.instructions(base, &mut made);
        match done {
            // Of all that may be wrong this is the likeliest, and the one that the user can mend.
            Err(Error::Damaged { .. }) if base.id()? != self.header.base => {
                Err(Error::damaged(WHAT, OTHER_BASE))
            }
            done => done,
        }
    }

    fn instructions(&mut self, base: &Base<'_>, made: &mut Made<'_>) -> Result<LobId> {
        loop {
            match self.byte()? {
                END => break,
                COPY => {
                    let (at, len) = (self.u64()?, self.u64()?);
                    if len == 0 {
                        return Err(bad(NOT_THERE));
                    }
                    self.copy(base, at, len, made)?;
                }
                RAW => {
                    let len = self.len(CHUNK_MAX)?;
                    let raw = read(&mut self.delta, len)?;
                    made.put(&raw)?;
                }
                ZSTD => {
                    let (raw, stored) = (self.len(CHUNK_MAX)?, self.len(CHUNK_MAX)?);
                    let stored = read(&mut self.delta, stored)?;
                    made.put(&decode(Codec::Zstd, &stored, raw, &mut Vec::new())?)?;
                }
                PATCHWORK => {
                    let [count, raw] = [self.len(FRAME_RAW_MAX)?, self.len(FRAME_RAW_MAX)?];
                    let stored = self.len(raw)?;
                    let stored = read(&mut self.delta, stored)?;
                    self.patchwork(base, &Patchwork::decode(count, raw, stored)?, made)?;
                }
                PREFIXED => {
                    let (raw, stored) = (self.len(CHUNK_MAX)?, self.len(CHUNK_MAX)?);
                    let (at, len) = (self.u64()?, self.len(PREFIX_MAX)?);
                    let mut prefix = base.read(at, len)?;
                    if prefix.len() != len {
                        return Err(bad("it needs what the base does not have"));
                    }
                    let stored = read(&mut self.delta, stored)?;
                    made.put(&decode(Codec::ZstdPrefix, &stored, raw, &mut prefix)?)?;
                }
                other => return Err(bad(&format!("unknown instruction {other}"))),
            }
        }
        let id = read(&mut self.delta, 32)?;
        if !self.delta.fill_buf().map_err(Error::Source)?.is_empty() {
            return Err(bad("there are bytes behind its end"));
        }
        made.finish(&id)
    }

    fn patchwork(&self, base: &Base<'_>, work: &Patchwork, made: &mut Made<'_>) -> Result<()> {
        let mut rest = &work.new[..];
        for piece in &work.pieces {
            let Some((new, after)) = rest.split_at_checked(piece.new as usize) else {
                return Err(bad("it uses more than it holds"));
            };
            made.put(new)?;
            self.copy(base, piece.at, piece.len, made)?;
            rest = after;
        }
        Ok(())
    }

    fn copy(&self, base: &Base<'_>, mut at: u64, len: u64, made: &mut Made<'_>) -> Result<()> {
        let Some(end) = at.checked_add(len).filter(|&end| end <= base.len()) else {
            return Err(bad(NOT_THERE));
        };
        // Said before it is done: a long copy may be long in the making.
        if len > made.left {
            return Err(bad(MORE));
        }
        while at < end {
            let most = (end - at).min(ADD_WINDOW as u64) as usize;
            let bytes = base.read(at, most)?;
            made.put(&bytes)?;
            at += bytes.len() as u64;
        }
        Ok(())
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(read(&mut self.delta, 1)?[0])
    }

    fn u64(&mut self) -> Result<u64> {
        let bytes = read(&mut self.delta, 8)?;
        Decoder::new(WHAT, &bytes).u64()
    }

    /// A length from 1 to `most`.
    fn len(&mut self, most: usize) -> Result<usize> {
        let bytes = read(&mut self.delta, 4)?;
        match Decoder::new(WHAT, &bytes).u32()? as usize {
            len if (1..=most).contains(&len) => Ok(len),
            len => Err(bad(&format!("a length of {len}"))),
        }
    }
}

/// What a delta is called in errors.
const WHAT: &str = "the delta";
const NOT_THERE: &str = "it copies what the base does not have";
const MORE: &str = "it makes more than it says";
const OTHER_BASE: &str = "it was made for another base";

fn bad(why: &str) -> Error {
    Error::damaged(WHAT, why)
}

fn read(delta: &mut impl Read, len: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    match delta.read_exact(&mut bytes) {
        Ok(()) => Ok(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            Err(bad("it ends too early"))
        }
        Err(error) => Err(Error::Source(error)),
    }
}

/// What was made so far.
struct Made<'a> {
    out: &'a mut dyn Write,
    hasher: blake3::Hasher,
    left: u64,
    progress: &'a dyn Progress,
}

impl Made<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        let len = bytes.len() as u64;
        self.left = match self.left.checked_sub(len) {
            Some(left) => left,
            None => return Err(bad(MORE)),
        };
        let _ = self.hasher.update(bytes);
        self.out.write_all(bytes).map_err(Error::Sink)?;
        self.progress.bytes(len);
        if self.progress.cancelled() {
            return Err(Error::Interrupted);
        }
        Ok(())
    }

    fn finish(&self, id: &[u8]) -> Result<LobId> {
        if self.left > 0 {
            return Err(bad("it makes less than it says"));
        }
        let found: LobId = self.hasher.finalize().into();
        if found.as_bytes()[..] != *id {
            return Err(bad("what it makes hashes to something else"));
        }
        Ok(found)
    }
}
