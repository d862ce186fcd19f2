//! Requests and answers as bytes. All numbers are little-endian; docs/reconcile.md describes them.

use std::ops::Range;

use super::sketch::{Cell, Head, Key, Mark, Sketch};
use crate::decode::Decoder;
use crate::error::{Error, Result};
use crate::id::{ID_LEN, LobId};
use crate::limits::{LOB_MAX, SKETCH_ANSWER_MAX, SKETCH_FOUND_MAX, SKETCH_MAX};
use crate::store::LobInfo;

const VERSION: u16 = 1;
/// Kinds of messages: those of answers have the highest bit.
const SKETCH: u16 = 1;
const FIND: u16 = 2;
const SKETCHED: u16 = 0x8001;
const FOUND: u16 = 0x8002;

/// Bytes of version and kind.
const START_LEN: usize = 4;
const HEAD_LEN: usize = 40;
/// Bytes of a cell.
pub(super) const CELL_LEN: usize = 14;
/// Bytes of a lob.
pub(super) const LOB_LEN: usize = ID_LEN + 8;

/// Longest request.
pub const REQUEST_MAX: usize = START_LEN + 32 + 4 + SKETCH_FOUND_MAX * 8;
/// Longest answer.
pub const ANSWER_MAX: usize = {
    let (cells, lobs) = (sketched_len(SKETCH_ANSWER_MAX), found_len(SKETCH_FOUND_MAX));
    if cells > lobs { cells } else { lobs }
};

/// What an initiator asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    /// Cells of a sketch, unless both sets are the same.
    Sketch {
        key: Key,
        /// The set of who asks.
        mine: Head,
        cells: Range<usize>,
    },
    /// The lobs with these symbols, which ascend.
    Find { key: Key, symbols: Vec<u64> },
}

fn start(kind: u16, len: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(START_LEN + len);
    out.extend(VERSION.to_le_bytes());
    out.extend(kind.to_le_bytes());
    out
}

fn put_head(head: &Head, out: &mut Vec<u8>) {
    out.extend(head.count.to_le_bytes());
    out.extend(head.digest.to_bytes());
}

fn head(d: &mut Decoder<'_>) -> Result<Head> {
    Ok(Head {
        count: d.u64()?,
        digest: Mark::from_bytes(&d.id()?),
    })
}

impl Request {
    /// Its bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Request::Sketch { key, mine, cells } => {
                let mut out = start(SKETCH, key.len() + HEAD_LEN + 8);
                out.extend(key);
                put_head(mine, &mut out);
                out.extend((cells.start as u32).to_le_bytes());
                out.extend((cells.end as u32).to_le_bytes());
                out
            }
            Request::Find { key, symbols } => {
                let mut out = start(FIND, key.len() + 4 + 8 * symbols.len());
                out.extend(key);
                out.extend((symbols.len() as u32).to_le_bytes());
                out.extend(symbols.iter().flat_map(|symbol| symbol.to_le_bytes()));
                out
            }
        }
    }

    /// Reads one that came from somebody.
    pub(super) fn decode(bytes: &[u8]) -> Result<Request> {
        let mut d = Decoder::new("a request for what differs", bytes);
        d.version(VERSION)?;
        let request = match d.u16()? {
            SKETCH => Request::Sketch {
                key: d.id()?,
                mine: head(&mut d)?,
                cells: range(&mut d)?,
            },
            FIND => Request::Find {
                key: d.id()?,
                symbols: symbols(&mut d)?,
            },
            kind => return Err(d.later(format!("kind {kind}"))),
        };
        d.end()?;
        Ok(request)
    }
}

fn range(d: &mut Decoder<'_>) -> Result<Range<usize>> {
    let (from, to) = (d.u32()? as usize, d.u32()? as usize);
    if from > to {
        return Err(d.bad("a range that ends before it begins"));
    }
    at_most("the end of the cells", to, SKETCH_MAX)?;
    at_most("the number of cells", to - from, SKETCH_ANSWER_MAX)?;
    Ok(from..to)
}

fn symbols(d: &mut Decoder<'_>) -> Result<Vec<u64>> {
    let count = d.count(8)?;
    at_most("the number of symbols", count, SKETCH_FOUND_MAX)?;
    let symbols: Vec<u64> = (0..count).map(|_| d.u64()).collect::<Result<_>>()?;
    match symbols.is_sorted_by(|a, b| a < b) {
        true => Ok(symbols),
        false => Err(d.bad("symbols that do not ascend")),
    }
}

fn at_most(what: &str, number: usize, limit: usize) -> Result<()> {
    match number <= limit {
        true => Ok(()),
        false => Err(Error::OverLimit {
            what: format!("{what} in a request for what differs"),
            limit: limit as u64,
        }),
    }
}

/// Most bytes of the answer with so many cells.
pub(super) const fn sketched_len(cells: usize) -> usize {
    START_LEN + HEAD_LEN + 4 + cells * CELL_LEN
}

/// The answer to [`Request::Sketch`].
pub(super) fn encode_sketched(theirs: &Sketch) -> Vec<u8> {
    let mut out = start(SKETCHED, sketched_len(theirs.cells.len()));
    put_head(&theirs.head, &mut out);
    out.extend((theirs.cells.len() as u32).to_le_bytes());
    for cell in &theirs.cells {
        out.extend(cell.symbols.to_le_bytes());
        out.extend(cell.checks.to_le_bytes());
        out.extend(cell.count.to_le_bytes());
    }
    out
}

/// Reads the answer to a request for `cells` cells of who holds `mine`.
pub(super) fn decode_sketched(bytes: &[u8], mine: &Head, cells: usize) -> Result<Sketch> {
    let mut d = Decoder::new("the answer to what differs", bytes);
    d.version(VERSION)?;
    if d.u16()? != SKETCHED {
        return Err(d.bad("another kind than was asked for"));
    }
    let head = head(&mut d)?;
    let expected = if head == *mine { 0 } else { cells };
    let count = d.count(CELL_LEN)?;
    if count != expected {
        return Err(d.bad(format!("{count} cells, not {expected}")));
    }
    let cell = |d: &mut Decoder<'_>| {
        Ok(Cell {
            symbols: d.u64()?,
            checks: d.u32()?,
            count: d.u16()?,
        })
    };
    let cells = (0..count).map(|_| cell(&mut d)).collect::<Result<_>>()?;
    d.end()?;
    Ok(Sketch { head, cells })
}

/// Most bytes of the answer with so many lobs.
pub(super) const fn found_len(lobs: usize) -> usize {
    START_LEN + 4 + lobs * LOB_LEN
}

/// The answer to [`Request::Find`].
pub(super) fn encode_found(lobs: &[LobInfo]) -> Vec<u8> {
    let mut out = start(FOUND, found_len(lobs.len()));
    out.extend((lobs.len() as u32).to_le_bytes());
    for lob in lobs {
        out.extend(lob.id.as_bytes());
        out.extend(lob.size.to_le_bytes());
    }
    out
}

/// Reads the answer to a request for up to `most` lobs.
pub(super) fn decode_found(bytes: &[u8], most: usize) -> Result<Vec<LobInfo>> {
    let mut d = Decoder::new("the answer to what differs", bytes);
    d.version(VERSION)?;
    if d.u16()? != FOUND {
        return Err(d.bad("another kind than was asked for"));
    }
    let count = d.count(LOB_LEN)?;
    if count > most {
        return Err(d.bad(format!("{count} lobs, not {most}")));
    }
    let lob = |d: &mut Decoder<'_>| {
        Ok(LobInfo {
            id: LobId::from_bytes(d.id()?),
            size: d.u64()?,
        })
    };
    let lobs: Vec<LobInfo> = (0..count).map(|_| lob(&mut d)).collect::<Result<_>>()?;
    if lobs.iter().any(|lob| lob.size > LOB_MAX) {
        return Err(d.bad("a lob that is too long"));
    }
    if !lobs.is_sorted_by(|a, b| a.id < b.id) {
        return Err(d.bad("lobs that do not ascend"));
    }
    d.end()?;
    Ok(lobs)
}
