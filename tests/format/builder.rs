//! Stores made by hand, from docs/format.md alone, also ones that no engine would write.

use std::fs;
use std::path::{Path, PathBuf};

use zstd::zstd_safe::{CCtx, CParameter};

use super::pack::{Id, hash};

/// What a frame record says, true or not.
#[derive(Debug, Clone, Default)]
pub struct Frame {
    pub codec: u8,
    pub depth: u8,
    pub chunks: Vec<(Id, u32)>,
    pub bases: Vec<Id>,
    pub stored: Vec<u8>,
}

impl Frame {
    /// A raw frame of these chunks.
    pub fn raw(chunks: &[&[u8]]) -> Frame {
        Frame {
            chunks: listed(chunks),
            stored: chunks.concat(),
            ..Frame::default()
        }
    }

    /// A frame of these chunks as one zstd frame.
    pub fn zstd(chunks: &[&[u8]]) -> Frame {
        Frame {
            codec: 1,
            stored: zstd::bulk::compress(&chunks.concat(), 3).unwrap(),
            ..Frame::raw(chunks)
        }
    }

    /// A delta frame of these chunks on those bases.
    pub fn delta(depth: u8, chunks: &[&[u8]], bases: &[&[u8]]) -> Frame {
        Frame {
            codec: 2,
            depth,
            bases: bases.iter().map(|base| hash(base)).collect(),
            stored: compress(&chunks.concat(), &bases.concat()),
            ..Frame::raw(chunks)
        }
    }
}

/// A segment or a group: the id of the chunk that lists it, how much that is, and its bytes.
pub type List = (Id, u32, u64);

/// The bytes of a segment in a list.
pub fn list_item((id, count, len): &List) -> Vec<u8> {
    [id.as_slice(), &count.to_le_bytes(), &len.to_le_bytes()].concat()
}

/// Chunks with their ids and lengths.
pub fn listed(chunks: &[&[u8]]) -> Vec<(Id, u32)> {
    let listed = chunks.iter().map(|chunk| (hash(chunk), chunk.len() as u32));
    listed.collect()
}

/// One zstd frame of `raw` with `prefix` before it.
pub fn compress(raw: &[u8], prefix: &[u8]) -> Vec<u8> {
    let mut context = CCtx::create();
    context.set_parameter(CParameter::WindowLog(22)).unwrap();
    context.ref_prefix(prefix).unwrap();
    let mut stored = Vec::with_capacity(raw.len() + 1000);
    context.compress2(&mut stored, raw).unwrap();
    stored
}

/// A pack in the making.
#[derive(Debug, Clone)]
pub struct Pack {
    pub bytes: Vec<u8>,
    nonce: [u8; 16],
    frames: Vec<u8>,
    bases: Vec<u8>,
    chunks: Vec<Vec<u8>>,
    lobs: Vec<Vec<u8>>,
    sections: Vec<u8>,
    count: u32,
}

impl Pack {
    pub fn new(nonce: [u8; 16]) -> Pack {
        let mut bytes = b"LOBPACK\n\x01\0\x01\0\0\0\0\0".to_vec();
        bytes.extend(nonce);
        Pack {
            bytes,
            nonce,
            frames: Vec::new(),
            bases: Vec::new(),
            chunks: Vec::new(),
            lobs: Vec::new(),
            sections: Vec::new(),
            count: 4,
        }
    }

    /// Appends a record: kind, codec, depth, B; the number of chunks; what is between the header and
    /// the stored bytes; the stored bytes.
    pub fn record(&mut self, head: [u8; 4], chunks: usize, meta: &[u8], stored: &[u8]) {
        let mut record = b"LREC".to_vec();
        record.extend(head);
        record.extend((chunks as u32).to_le_bytes());
        record.extend((stored.len() as u32).to_le_bytes());
        let covered = if head[0] == 1 { &[] } else { stored };
        let check = hash(&[&record, meta, covered].concat());
        record.extend(&check[..8]);
        record.extend([0; 8]);
        self.bytes.extend([&record, meta, stored].concat());
    }

    pub fn frame(&mut self, frame: &Frame) -> &mut Pack {
        let (at, number) = (self.bytes.len() as u64, self.frames.len() / 32);
        let mut meta = Vec::new();
        let mut raw = 0u32;
        for (id, len) in &frame.chunks {
            meta.extend(id);
            meta.extend(len.to_le_bytes());
            let place = [number as u32, raw, *len].map(u32::to_le_bytes).concat();
            self.chunks.push([id.as_slice(), &place].concat());
            raw = raw.wrapping_add(*len);
        }
        meta.extend(frame.bases.concat());
        let bases = frame.bases.len() as u8;
        let head = [1, frame.codec, frame.depth, bases];
        self.record(head, frame.chunks.len(), &meta, &frame.stored);
        let first = (self.bases.len() / 32) as u32;
        self.bases.extend(frame.bases.concat());
        self.frames.extend(at.to_le_bytes());
        let lengths = [32 + meta.len() as u32, raw, frame.stored.len() as u32];
        self.frames.extend(lengths.map(u32::to_le_bytes).concat());
        self.frames.extend([frame.codec, frame.depth, bases, 0]);
        let numbers = [first, frame.chunks.len() as u32];
        self.frames.extend(numbers.map(u32::to_le_bytes).concat());
        self
    }

    /// A lob of these chunks.
    pub fn lob(&mut self, id: Id, chunks: &[(Id, u32)]) -> &mut Pack {
        let size: u64 = chunks.iter().map(|&(_, len)| u64::from(len)).sum();
        let items = chunks
            .iter()
            .map(|(id, len)| [id.as_slice(), &len.to_le_bytes()].concat());
        self.manifest(id, size, 0, &items.collect::<Vec<_>>())
    }

    /// A lob of these segments (form 1) or groups of them (form 2).
    pub fn lob_of_lists(&mut self, id: Id, form: u8, segments: &[List]) -> &mut Pack {
        let size = segments
            .iter()
            .fold(0, |size: u64, (.., len)| size.wrapping_add(*len));
        let items: Vec<_> = segments.iter().map(list_item).collect();
        self.manifest(id, size, form, &items)
    }

    fn manifest(&mut self, id: Id, size: u64, form: u8, items: &[Vec<u8>]) -> &mut Pack {
        let mut body = [id.as_slice(), &size.to_le_bytes(), &[form, 0, 0, 0]].concat();
        body.extend((items.len() as u32).to_le_bytes());
        body.extend(items.concat());
        let at = self.bytes.len() as u64;
        self.record([2, 0, 0, 0], 0, &[], &body);
        let mut item = [id.as_slice(), &size.to_le_bytes(), &at.to_le_bytes()].concat();
        item.extend((32 + body.len() as u32).to_le_bytes());
        item.extend([0; 4]);
        self.lobs.push(item);
        self
    }

    /// The lob of these chunks, of which the bytes are known.
    pub fn lob_of(&mut self, chunks: &[&[u8]]) -> Id {
        let id = hash(&chunks.concat());
        self.lob(id, &listed(chunks));
        id
    }

    /// Adds a section to the table.
    pub fn section(&mut self, tag: &[u8; 4], flags: u32, items: &[u8]) {
        self.count += 1;
        self.sections.extend(section(tag, flags, items));
    }

    /// The bytes of the pack and of its table.
    pub fn close(&self) -> (Vec<u8>, Vec<u8>) {
        let sorted = |items: &[Vec<u8>]| {
            let mut items = items.to_vec();
            items.sort_by(|a, b| a[..32].cmp(&b[..32]));
            items.dedup_by(|a, b| a[..32] == b[..32]);
            items.concat()
        };
        let mut table = b"LOBTABL\n\x01\0\0\0".to_vec();
        table.extend(self.count.to_le_bytes());
        table.extend(self.nonce);
        table.extend(section(b"FRMS", 0, &self.frames));
        table.extend(section(b"BASE", 0, &self.bases));
        table.extend(section(b"CHNK", 0, &sorted(&self.chunks)));
        table.extend(section(b"LOBS", 0, &sorted(&self.lobs)));
        table.extend(&self.sections);
        table.extend(hash(&table));
        let mut pack = [self.bytes.as_slice(), &table].concat();
        pack.extend((self.bytes.len() as u64).to_le_bytes());
        pack.extend((table.len() as u64).to_le_bytes());
        pack.extend(b"LOBDONE\n");
        (pack, table)
    }
}

fn section(tag: &[u8; 4], flags: u32, items: &[u8]) -> Vec<u8> {
    let len = (items.len() as u64).to_le_bytes();
    [tag.as_slice(), &flags.to_le_bytes(), &len, items].concat()
}

/// The root that follows `before`, the closing hash of the last one, and adds these packs.
pub fn root(seq: u64, before: &[u8; 16], packs: &[(Id, u64)]) -> Vec<u8> {
    let mut root = b"LOBROOT\n\x01\0\0\0\0\0\0\0".to_vec();
    root.extend(seq.to_le_bytes());
    root.extend(before);
    root.extend((packs.len() as u32).to_le_bytes());
    for (id, len) in packs {
        root.extend(id);
        root.extend(len.to_le_bytes());
    }
    root.extend([0; 4]);
    root.extend(hash(&root));
    root
}

/// Makes a store of these packs in `dir`, all named by one root.
pub fn store(dir: &Path, packs: &[&Pack]) {
    for name in ["state", "packs", "roots"] {
        fs::create_dir_all(dir.join(name)).unwrap();
    }
    let format = format!("lob store\nformat 1\nid {}\n", "5a".repeat(32));
    fs::write(dir.join("state/format"), format).unwrap();
    let mut added = Vec::new();
    for pack in packs {
        let (bytes, table) = pack.close();
        let id = hash(&bytes);
        let name: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        fs::write(dir.join(format!("packs/{name}.pack")), &bytes).unwrap();
        fs::write(dir.join(format!("packs/{name}.idx")), table).unwrap();
        added.push((id, bytes.len() as u64));
    }
    let name = format!("roots/{:016x}", 1);
    fs::write(dir.join(name), root(1, &[0; 16], &added)).unwrap();
}

/// An alias as the page reserves it: a hash, a lob, an algorithm.
pub fn alias(hash: &[u8], lob: &Id, algorithm: u8) -> Vec<u8> {
    let mut item = hash.to_vec();
    item.resize(32, 0);
    item.extend(lob);
    item.push(algorithm);
    item.resize(72, 0);
    item
}

/// Puts a pack that was not finished into the stage of a writer that is gone.
pub fn leave_in_stage(dir: &Path, pack: &[u8]) -> PathBuf {
    let stage = dir.join("stage/00000000000000aa");
    fs::create_dir_all(&stage).unwrap();
    fs::write(stage.join("00000001.pack"), pack).unwrap();
    stage
}
