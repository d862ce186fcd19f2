//! Reading packs, from docs/format.md alone: by their tables, or by their records.

use std::collections::{BTreeMap, HashMap};

pub type Id = [u8; 32];
pub type Result<T> = std::result::Result<T, String>;

/// Bytes that are taken from the front, as the tables of the page go.
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    pub fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n).ok_or("cut off")?;
        self.0 = rest;
        Ok(head)
    }

    pub fn number(&mut self, bytes: usize) -> Result<u64> {
        let bytes = self.take(bytes)?.iter().rev();
        Ok(bytes.fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    pub fn id(&mut self) -> Result<Id> {
        Ok(self.take(32)?.try_into().unwrap())
    }

    pub fn expect(&mut self, what: &[u8]) -> Result<()> {
        let found = self.take(what.len())?;
        require(found == what, &format!("{found:?} where {what:?} must be"))
    }
}

pub fn require(holds: bool, what: &str) -> Result<()> {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

pub fn hash(bytes: &[u8]) -> Id {
    *blake3::hash(bytes).as_bytes()
}

/// The part before a closing hash, which must hold.
pub fn closed(bytes: &[u8]) -> Result<&[u8]> {
    let at = bytes.len().checked_sub(32).ok_or("too short")?;
    require(hash(&bytes[..at]) == bytes[at..], "the closing hash")?;
    Ok(&bytes[..at])
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Of the stored bytes in the pack.
    pub at: usize,
    pub stored: usize,
    pub raw: usize,
    pub codec: u8,
    pub bases: Vec<Id>,
}

/// What is in a pack, however it was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Contents {
    pub frames: Vec<Frame>,
    /// For each chunk its frame, its offset there and its length.
    pub chunks: BTreeMap<Id, (usize, usize, usize)>,
    /// For each lob its size and where the stored bytes of its manifest record are.
    pub lobs: BTreeMap<Id, (u64, usize, usize)>,
}

/// Reads the records of a pack, up to its table or the place where it was cut off.
pub fn records(pack: &[u8]) -> Result<Contents> {
    let mut contents = Contents::default();
    nonce_of(pack)?;
    let mut at = 32;
    while pack[at..].starts_with(b"LREC") {
        let mut f = Fields(&pack[at + 4..]);
        let [kind, codec, _depth, bases] = *f.take(4)? else {
            unreachable!("four were taken")
        };
        let [chunks, stored] = [f.number(4)?, f.number(4)?];
        let check = f.take(8)?;
        f.expect(&[0; 8])?;
        require(chunks <= 4096 && stored <= 48 << 20, "limits of a record")?;
        let meta = 36 * chunks as usize + 32 * usize::from(bases);
        let len = meta + stored as usize;
        let body = f.take(len)?;
        let checked = if kind == 1 { &body[..meta] } else { body };
        let sum = hash(&[&pack[at..at + 16], checked].concat());
        require(sum[..8] == *check, "the check of a record")?;
        let (begin, mut f) = (at + 32 + meta, Fields(body));
        match kind {
            1 => {
                require(codec <= 2, "a codec that needs a newer lob")?;
                let mut raw = 0;
                for _ in 0..chunks {
                    let (id, len) = (f.id()?, f.number(4)? as usize);
                    let place = (contents.frames.len(), raw, len);
                    contents.chunks.entry(id).or_insert(place);
                    raw += len;
                }
                contents.frames.push(Frame {
                    at: begin,
                    stored: stored as usize,
                    raw,
                    codec,
                    bases: (0..bases).map(|_| f.id()).collect::<Result<_>>()?,
                });
            }
            2 => {
                let place = (f.id()?, f.number(8)?);
                let lob = (place.1, begin, stored as usize);
                contents.lobs.entry(place.0).or_insert(lob);
            }
            0x80.. => {}
            _ => return Err(format!("kind {kind} needs a newer lob")),
        }
        at += 32 + len;
    }
    Ok(contents)
}

/// The nonce in the header of a pack.
pub fn nonce_of(pack: &[u8]) -> Result<&[u8]> {
    let mut f = Fields(pack);
    f.expect(b"LOBPACK\n\x01\0")?;
    let _parameter_set = f.number(2)?;
    f.expect(&[0; 4])?;
    f.take(16)
}

/// Where the table of a whole pack is.
pub fn table_of(pack: &[u8]) -> Result<&[u8]> {
    let end = pack.len().checked_sub(24).ok_or("too short")?;
    let mut f = Fields(&pack[end..]);
    let (at, len) = (f.number(8)? as usize, f.number(8)? as usize);
    f.expect(b"LOBDONE\n")?;
    require(at.checked_add(len) == Some(end), "where the table is")?;
    Ok(&pack[at..end])
}

/// Reads a table; its nonce, and what it says.
pub fn table(bytes: &[u8]) -> Result<(&[u8], Contents)> {
    let mut f = Fields(closed(bytes)?);
    f.expect(b"LOBTABL\n\x01\0\0\0")?;
    let count = f.number(4)?;
    let nonce = f.take(16)?;
    let mut sections = HashMap::new();
    for _ in 0..count {
        let (tag, flags, len) = (f.take(4)?, f.number(4)?, f.number(8)?);
        let items = f.take(len as usize)?;
        let known = [b"FRMS", b"BASE", b"CHNK", b"LOBS"].contains(&tag.try_into().unwrap());
        require(known && flags == 0 || !known && flags & 1 == 1, "newer lob")?;
        require(sections.insert(tag, items).is_none() || !known, "twice")?;
    }
    require(f.0.is_empty(), "bytes behind the sections")?;
    let items = |tag: &[u8; 4], size| {
        let bytes: &[u8] = sections.get(tag.as_slice()).ok_or("no section")?;
        require(bytes.len().is_multiple_of(size), "half an item")?;
        Ok::<_, String>(bytes.chunks_exact(size).map(Fields))
    };
    let all_bases: Vec<_> = items(b"BASE", 32)?.map(|f| f.0).collect();
    let mut contents = Contents::default();
    for mut f in items(b"FRMS", 32)? {
        let (offset, head) = (f.number(8)? as usize, f.number(4)? as usize);
        let (raw, stored) = (f.number(4)? as usize, f.number(4)? as usize);
        let (codec, _depth) = (f.number(1)? as u8, f.number(1)?);
        require(codec <= 2, "a codec that needs a newer lob")?;
        let (bases, first) = (f.number(2)? as usize, f.number(4)? as usize);
        let named = all_bases.get(first..first + bases).ok_or("no base")?;
        require(head == 32 + 36 * f.number(4)? as usize + 32 * bases, "head")?;
        contents.frames.push(Frame {
            at: offset.saturating_add(head),
            stored,
            raw,
            codec,
            bases: named.iter().map(|id| (*id).try_into().unwrap()).collect(),
        });
    }
    for mut f in items(b"CHNK", 44)? {
        let id = f.id()?;
        let place = [f.number(4)?, f.number(4)?, f.number(4)?].map(|n| n as usize);
        contents.chunks.insert(id, place.into());
    }
    for mut f in items(b"LOBS", 56)? {
        let (id, size, at) = (f.id()?, f.number(8)?, f.number(8)? as usize);
        let len = f.number(4)? as usize;
        f.expect(&[0; 4])?;
        let stored = len.checked_sub(32).ok_or("a record without a header")?;
        contents
            .lobs
            .insert(id, (size, at.saturating_add(32), stored));
    }
    Ok((nonce, contents))
}
