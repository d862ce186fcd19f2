//! A reader of stores, written from docs/format.md alone. It shares no code with the engine.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fs;
use std::path::Path;

use zstd::zstd_safe::{DCtx, find_frame_compressed_size, get_frame_content_size};

use super::pack::{Contents, Fields, Id, Result, closed, hash, nonce_of, records, require};
use super::pack::{table, table_of};

/// How a reader finds what is in a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// By the table in the `.idx`, which must be that of the pack.
    Tables,
    /// By the records, read forward.
    Records,
}

/// The number of a pack, and of a frame in it.
type Place = (usize, usize);

/// A store.
pub struct Reader {
    packs: Vec<(Vec<u8>, Contents)>,
    /// The frame that was decoded last.
    last: RefCell<Option<(Place, Vec<u8>)>>,
}

impl Reader {
    /// Reads all that the roots of a store name.
    pub fn open(dir: &Path, by: By) -> Result<Reader> {
        let read = |name: String| fs::read(dir.join(&name)).map_err(|e| format!("{name}: {e}"));
        let format = read("state/format".into())?;
        require(
            format.starts_with(b"lob store\nformat 1\nid "),
            "state/format",
        )?;
        let mut packs = Vec::new();
        for id in roots(dir)? {
            let name: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
            let pack = read(format!("packs/{name}.pack"))?;
            require(hash(&pack) == id, "a pack hashes to its name")?;
            let contents = match by {
                By::Records => records(&pack)?,
                By::Tables => {
                    let alone = read(format!("packs/{name}.idx"))?;
                    require(alone == table_of(&pack)?, "the table alone and in the pack")?;
                    let (nonce, contents) = table(&alone)?;
                    require(nonce == nonce_of(&pack)?, "the nonce of the table")?;
                    contents
                }
            };
            packs.push((pack, contents));
        }
        let last = RefCell::default();
        Ok(Reader { packs, last })
    }

    /// What is in each pack, in order of arrival.
    pub fn contents(&self) -> impl Iterator<Item = &Contents> {
        self.packs.iter().map(|(_, contents)| contents)
    }

    /// The ids of all lobs.
    pub fn lobs(&self) -> HashSet<Id> {
        let ids = self.contents().flat_map(|contents| contents.lobs.keys());
        ids.copied().collect()
    }

    /// The content of a lob, every chunk and the whole of it verified.
    pub fn lob(&self, id: &Id) -> Result<Vec<u8>> {
        let found = self.packs.iter().rev().find_map(|(pack, contents)| {
            let &(size, at, len) = contents.lobs.get(id)?;
            Some((size, pack.get(at..at + len)?))
        });
        let (size, manifest) = found.ok_or("no such lob")?;
        let mut f = Fields(manifest);
        require(f.id()? == *id && f.number(8)? == size, "another manifest")?;
        let form = f.number(1)?;
        f.expect(&[0; 3])?;
        let count = f.number(4)?;
        let mut whole = Vec::new();
        for _ in 0..count {
            let (part, n) = (f.id()?, f.number(4)?);
            match form {
                0 => whole.extend(self.chunk_of(&part, n as usize)?),
                1 => whole.extend(self.segment(&part, n as usize, f.number(8)?)?),
                2 => {
                    let end = whole.len() as u64 + f.number(8)?;
                    let list = self.chunk_of(&part, 44 * n as usize)?;
                    for mut f in list.chunks_exact(44).map(Fields) {
                        let (part, n) = (f.id()?, f.number(4)?);
                        whole.extend(self.segment(&part, n as usize, f.number(8)?)?);
                    }
                    require(whole.len() as u64 == end, "the bytes of a group")?;
                }
                _ => return Err("the form of a manifest".into()),
            }
        }
        require(f.0.is_empty(), "the end of a manifest")?;
        require(whole.len() as u64 == size, "the size of the lob")?;
        require(hash(&whole) == *id, "the hash of the lob")?;
        Ok(whole)
    }

    /// The content of a segment of `n` chunks.
    fn segment(&self, id: &Id, n: usize, bytes: u64) -> Result<Vec<u8>> {
        let list = self.chunk_of(id, 36 * n)?;
        let mut whole = Vec::new();
        for mut f in list.chunks_exact(36).map(Fields) {
            whole.extend(self.chunk_of(&f.id()?, f.number(4)? as usize)?);
        }
        require(whole.len() as u64 == bytes, "the bytes of a segment")?;
        Ok(whole)
    }

    fn chunk_of(&self, id: &Id, len: usize) -> Result<Vec<u8>> {
        let chunk = self.chunk(id, 0)?;
        require(chunk.len() == len, "the length of a chunk")?;
        Ok(chunk)
    }

    /// A chunk that is needed `deep` delta frames below the one that was asked for.
    fn chunk(&self, id: &Id, deep: usize) -> Result<Vec<u8>> {
        let mut packs = self.packs.iter().enumerate().rev();
        let (pack, (frame, at, len)) = packs
            .find_map(|(n, (_, contents))| Some((n, *contents.chunks.get(id)?)))
            .ok_or("no such chunk")?;
        let key = (pack, frame);
        let known = self.last.take().filter(|(last, _)| *last == key);
        let raw = match known {
            Some((_, raw)) => raw,
            None => self.decode(key, deep)?,
        };
        let chunk = raw
            .get(at..at + len)
            .ok_or("outside of its frame")?
            .to_vec();
        self.last.replace(Some((key, raw)));
        require(hash(&chunk) == *id, "the hash of a chunk")?;
        Ok(chunk)
    }

    fn decode(&self, (pack, frame): Place, deep: usize) -> Result<Vec<u8>> {
        let (bytes, contents) = &self.packs[pack];
        let frame = contents.frames.get(frame).ok_or("no such frame")?;
        let stored = bytes
            .get(frame.at..frame.at + frame.stored)
            .ok_or("cut off")?;
        require(frame.raw <= 1 << 20, "the length of a frame")?;
        if frame.codec == 0 {
            require(stored.len() == frame.raw, "the length of a raw frame")?;
            return Ok(stored.to_vec());
        }
        let size = get_frame_content_size(stored).ok().flatten();
        require(
            size == Some(frame.raw as u64),
            "the size that zstd declares",
        )?;
        let end = find_frame_compressed_size(stored);
        require(end == Ok(stored.len()), "one zstd frame and no more")?;
        let mut prefix = Vec::new();
        for base in &frame.bases {
            require(deep < 16, "bases too deep")?;
            prefix.extend(self.chunk(base, deep + 1)?);
        }
        let mut raw = Vec::with_capacity(frame.raw);
        let mut context = DCtx::create();
        if frame.codec == 2 {
            context.ref_prefix(&prefix).map_err(|_| "a prefix")?;
        }
        let done = context.decompress(&mut raw, stored);
        require(done == Ok(frame.raw), "zstd")?;
        Ok(raw)
    }
}

/// The packs of a store, in order of arrival.
fn roots(dir: &Path) -> Result<Vec<Id>> {
    let (mut packs, mut last): (Vec<Id>, Vec<u8>) = (Vec::new(), vec![0; 16]);
    let mut dropped = HashSet::new();
    for seq in 1u64.. {
        let Ok(bytes) = fs::read(dir.join(format!("roots/{seq:016x}"))) else {
            break;
        };
        let mut f = Fields(closed(&bytes)?);
        f.expect(b"LOBROOT\n\x01\0\0\0\0\0\0\0")?;
        f.expect(&seq.to_le_bytes())?;
        f.expect(&last)?;
        for _ in 0..f.number(4)? {
            packs.push(f.id()?);
            let _length = f.number(8)?;
        }
        for _ in 0..f.number(4)? {
            dropped.insert(f.id()?);
        }
        require(f.0.is_empty(), "bytes behind a root")?;
        last = bytes[bytes.len() - 32..][..16].to_vec();
    }
    packs.retain(|pack| !dropped.contains(pack));
    Ok(packs)
}
