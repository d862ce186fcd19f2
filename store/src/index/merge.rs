//! Writing a run: a merge of tables and older runs, in memory that does not grow with them.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};
use std::path::Path;
use std::sync::Arc;

use crate::disk::{self, Disk, DiskFile};
use crate::error::{Error, Result};
use crate::id::PackId;
use crate::pack::Table;
use crate::roots::Cursor;

use super::run::{ENTRY, HEADER, Kind, MAGIC, Run, VERSION};

/// Something sorted that a run is made from.
pub(crate) trait Source {
    /// The packs that it has entries of.
    fn packs(&self) -> Vec<PackId>;
    /// How many entries it has.
    fn count(&self, kind: Kind) -> usize;
    /// Entry `n` in the order of prefixes: prefix, number of the pack in [`Source::packs`], number
    /// in the table of that pack.
    fn entry(&self, kind: Kind, n: usize) -> (u64, u32, u32);
}

impl Source for Run {
    fn packs(&self) -> Vec<PackId> {
        self.packs.clone()
    }

    fn count(&self, kind: Kind) -> usize {
        Run::count(self, kind)
    }

    fn entry(&self, kind: Kind, n: usize) -> (u64, u32, u32) {
        Run::entry(self, kind, n)
    }
}

/// The table of one pack.
impl Source for (PackId, Arc<Table>) {
    fn packs(&self) -> Vec<PackId> {
        vec![self.0]
    }

    fn count(&self, kind: Kind) -> usize {
        match kind {
            Kind::Chunk => self.1.chunk_count(),
            Kind::Lob => self.1.lob_count(),
        }
    }

    fn entry(&self, kind: Kind, n: usize) -> (u64, u32, u32) {
        match kind {
            Kind::Chunk => (self.1.chunk(n).id.prefix(), 0, n as u32),
            Kind::Lob => (self.1.lob(n).id.prefix(), 0, n as u32),
        }
    }
}

/// Entries to a bucket of the fan-out.
const BUCKET: usize = 16;

/// The packs of a new run, and for each source the new number of each of its packs.
struct Numbering {
    packs: Vec<PackId>,
    maps: Vec<Vec<Option<u32>>>,
}

impl Numbering {
    fn new(sources: &[&dyn Source], gone: &Gone) -> Numbering {
        let mut numbers = HashMap::new();
        let mut packs = Vec::new();
        let mut number = |id: &PackId| {
            (!gone.holds(id)).then(|| {
                *numbers.entry(*id).or_insert_with(|| {
                    packs.push(*id);
                    packs.len() as u32 - 1
                })
            })
        };
        let maps = sources
            .iter()
            .map(|s| s.packs().iter().map(&mut number).collect())
            .collect();
        Numbering { packs, maps }
    }

    /// How many entries will be left, which the header says before they are written.
    fn count(&self, sources: &[&dyn Source], kind: Kind) -> u64 {
        let kept = sources.iter().zip(&self.maps).map(|(source, map)| {
            if map.iter().all(Option::is_some) {
                source.count(kind)
            } else {
                (0..source.count(kind))
                    .filter(|&n| {
                        map.get(source.entry(kind, n).1 as usize)
                            .is_some_and(Option::is_some)
                    })
                    .count()
            }
        });
        kept.sum::<usize>() as u64
    }
}

/// Packs that are left out of a run.
#[derive(Debug, Default)]
pub(crate) struct Gone {
    /// The run says of these that they were dropped.
    pub(crate) dropped: BTreeSet<PackId>,
    /// Of these nothing need be said any longer.
    pub(crate) forgotten: BTreeSet<PackId>,
}

impl Gone {
    fn holds(&self, id: &PackId) -> bool {
        self.dropped.contains(id) || self.forgotten.contains(id)
    }
}

/// Writes the run over the roots `from + 1 ..= to.seq` as `path`, by way of `temporary`, of which
/// nothing stays where that fails. What was dropped is left out of the entries, and is known to be
/// dropped to whoever reads the run. Sources must hold: nobody could tell later that they did not.
pub(crate) fn build(
    disk: &dyn Disk,
    temporary: &Path,
    path: &Path,
    range: (u64, Cursor),
    sources: &[&dyn Source],
    gone: &Gone,
) -> Result<()> {
    if disk.len(temporary).map_err(Error::at(temporary))?.is_some() {
        disk.remove(temporary).map_err(Error::at(temporary))?;
    }
    let file = disk.create(temporary).map_err(Error::at(temporary))?;
    let written = write_run(file.as_ref(), range, sources, gone)
        .map_err(Error::at(temporary))
        .and_then(|()| {
            disk::publish(disk, file.as_ref(), temporary, path).map_err(Error::at(path))
        });
    if written.is_err() {
        // Gone already where only the sync of its new name failed.
        let _ = disk.remove(temporary);
    }
    written
}

fn write_run(
    file: &dyn DiskFile,
    (from, to): (u64, Cursor),
    sources: &[&dyn Source],
    gone: &Gone,
) -> std::io::Result<()> {
    let numbering = Numbering::new(sources, gone);
    let counts = [Kind::Chunk, Kind::Lob].map(|kind| numbering.count(sources, kind));
    let bits = counts.map(|n| (n / BUCKET as u64).checked_ilog2().unwrap_or(0).min(24));
    let mut head = Vec::with_capacity(HEADER + numbering.packs.len() * 32);
    head.extend_from_slice(MAGIC);
    head.extend_from_slice(&VERSION.to_le_bytes());
    head.extend_from_slice(&bits.map(|b| b as u8));
    head.extend_from_slice(&(numbering.packs.len() as u32).to_le_bytes());
    head.extend_from_slice(&(gone.dropped.len() as u32).to_le_bytes());
    head.extend_from_slice(&[0; 4]);
    head.extend_from_slice(&from.to_le_bytes());
    head.extend_from_slice(&to.seq.to_le_bytes());
    head.extend_from_slice(&to.hash);
    head.extend_from_slice(&counts[0].to_le_bytes());
    head.extend_from_slice(&counts[1].to_le_bytes());
    head.extend_from_slice(&[0; 8]);
    for id in numbering.packs.iter().chain(&gone.dropped) {
        head.extend_from_slice(id.as_bytes());
    }
    let hash = blake3::hash(&head);
    head.extend_from_slice(hash.as_bytes());
    let mut out = Buffered {
        file,
        bytes: head,
        hashed: 0,
        hasher: blake3::Hasher::new(),
    };
    for (kind, bits) in [Kind::Chunk, Kind::Lob].into_iter().zip(bits) {
        out.begin();
        write_list(&mut out, kind, bits, sources, &numbering.maps)?;
        out.end();
    }
    out.flush()
}

/// Appends in large pieces, and hashes lists on the way.
struct Buffered<'a> {
    file: &'a dyn DiskFile,
    bytes: Vec<u8>,
    /// How many of these are in the hash already, or in no list.
    hashed: usize,
    hasher: blake3::Hasher,
}

impl Buffered<'_> {
    fn put(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() >= 1 << 20 {
            self.flush()
        } else {
            Ok(())
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.hash();
        self.file.append(&self.bytes)?;
        self.bytes.clear();
        self.hashed = 0;
        Ok(())
    }

    fn hash(&mut self) {
        let _ = self.hasher.update(&self.bytes[self.hashed..]);
        self.hashed = self.bytes.len();
    }

    /// A list begins here.
    fn begin(&mut self) {
        self.hashed = self.bytes.len();
        let _ = self.hasher.reset();
    }

    /// Puts the hash of the list that ends here.
    fn end(&mut self) {
        self.hash();
        self.bytes
            .extend_from_slice(self.hasher.finalize().as_bytes());
    }
}

/// Merges the sorted sources into one sorted list, and puts its fan-out after it.
fn write_list(
    out: &mut Buffered<'_>,
    kind: Kind,
    bits: u32,
    sources: &[&dyn Source],
    maps: &[Vec<Option<u32>>],
) -> std::io::Result<()> {
    let mut fan = vec![0u32; (1 << bits) + 1];
    let mut heap = BinaryHeap::new();
    for (s, source) in sources.iter().enumerate() {
        if source.count(kind) > 0 {
            heap.push(Reverse((source.entry(kind, 0), s, 0)));
        }
    }
    while let Some(Reverse(((prefix, pack, number), s, n))) = heap.pop() {
        let pack = maps
            .get(s)
            .and_then(|map| map.get(pack as usize))
            .copied()
            .flatten();
        if let Some(pack) = pack {
            let mut entry = [0; ENTRY];
            entry[..8].copy_from_slice(&prefix.to_le_bytes());
            entry[8..12].copy_from_slice(&pack.to_le_bytes());
            entry[12..].copy_from_slice(&number.to_le_bytes());
            out.put(&entry)?;
            let bucket = if bits == 0 { 0 } else { prefix >> (64 - bits) };
            fan[bucket as usize + 1] += 1;
        }
        if let Some(source) = sources.get(s)
            && n + 1 < source.count(kind)
        {
            heap.push(Reverse((source.entry(kind, n + 1), s, n + 1)));
        }
    }
    let mut before = 0;
    for count in &fan {
        before += count;
        out.put(&before.to_le_bytes())?;
    }
    Ok(())
}
