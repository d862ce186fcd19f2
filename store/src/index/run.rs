//! One run of the index, read in place from its memory map.

use std::ops::Range;
use std::path::Path;
use std::sync::OnceLock;

use crate::decode::Decoder;
use crate::disk::{self, Disk, Map};
use crate::error::{Error, Result};
use crate::id::{ID_LEN, PackId};
use crate::roots::Cursor;

/// The version that is written, and the latest that is read. In the first one lists had no hashes.
pub(super) const VERSION: u16 = 2;
pub(super) const MAGIC: &[u8; 8] = b"LOBINDX\n";
/// Bytes of one entry: prefix, pack, number in the table of the pack.
pub(super) const ENTRY: usize = 16;
/// Length of the header before the lists of packs.
pub(super) const HEADER: usize = 80;

/// What an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Chunk,
    Lob,
}

/// A sorted list of entries with its fan-out.
#[derive(Debug)]
struct List {
    entries: Range<usize>,
    /// `2^bits + 1` numbers: how many entries come before each value of the first `bits` bits.
    fan: Range<usize>,
    bits: u32,
    /// The hash of both, where the run has one.
    hash: Option<Range<usize>>,
    /// Whether it holds, once that was asked.
    holds: OnceLock<bool>,
}

impl List {
    /// The list of `count` entries that begins at `start`.
    fn at(start: usize, count: u64, bits: u32, hashed: bool) -> List {
        let entries = start..start + count as usize * ENTRY;
        let fan = entries.end..entries.end + ((1 << bits) + 1) * 4;
        let hash = hashed.then_some(fan.end..fan.end + ID_LEN);
        let holds = OnceLock::new();
        List {
            entries,
            fan,
            bits,
            hash,
            holds,
        }
    }

    fn end(&self) -> usize {
        self.hash.as_ref().map_or(self.fan.end, |hash| hash.end)
    }
}

/// A run.
#[derive(Debug)]
pub(crate) struct Run {
    bytes: Map,
    /// The number of the last root before those that it covers.
    pub(crate) from: u64,
    /// Where a reader of the roots stands who knows this run.
    pub(crate) to: Cursor,
    /// Its packs.
    pub(crate) packs: Vec<PackId>,
    /// Packs of earlier runs that its roots dropped.
    pub(crate) dropped: Vec<PackId>,
    chunks: List,
    lobs: List,
}

/// The file name of the run over the roots `from + 1 ..= to`.
pub(crate) fn run_name(from: u64, to: u64) -> String {
    format!("{from:016x}-{to:016x}.run")
}

/// The range of roots in the file name of a run.
pub(super) fn parse_name(name: &str) -> Option<(u64, u64)> {
    let (from, to) = name.strip_suffix(".run")?.split_once('-')?;
    let range = (
        u64::from_str_radix(from, 16).ok()?,
        u64::from_str_radix(to, 16).ok()?,
    );
    (run_name(range.0, range.1) == name && range.0 < range.1).then_some(range)
}

/// The runs in a directory, good or not, by their ranges of roots.
pub(crate) fn ranges(disk: &dyn Disk, dir: &Path) -> Result<Vec<(u64, u64)>> {
    let entries = disk::entries(disk, dir).map_err(Error::at(dir))?;
    let names = entries.iter().filter_map(|entry| entry.name.to_str());
    Ok(names.filter_map(parse_name).collect())
}

/// Whether a file of this name is a run.
pub(crate) fn is_run(name: &str) -> bool {
    parse_name(name).is_some()
}

impl Run {
    /// The runs in `dir` that together cover the longest range of roots from the first on, of those
    /// that count: in a copy that was made while the store grew, the index may be ahead of the
    /// roots. Runs that are damaged are passed over: they are only a cache.
    pub(crate) fn open_all(
        disk: &dyn Disk,
        dir: &Path,
        counts: &dyn Fn(&Run) -> bool,
    ) -> Result<Vec<Run>> {
        let mut names = ranges(disk, dir)?;
        // Of the runs that begin at a place, the longest first.
        names.sort_by_key(|&(from, to)| (from, std::cmp::Reverse(to)));
        let mut runs: Vec<Run> = Vec::new();
        for (from, to) in names {
            if from == runs.last().map_or(0, |run| run.to.seq) {
                let run = Run::open(disk, &dir.join(run_name(from, to))).ok();
                let fits = |run: &Run| run.range() == (from, to) && counts(run);
                runs.extend(run.filter(fits));
            }
        }
        Ok(runs)
    }

    /// Opens one run, checking all but its entries.
    pub(crate) fn open(disk: &dyn Disk, path: &Path) -> Result<Run> {
        let bytes = disk.map(path).map_err(Error::at(path))?;
        Run::decode(bytes, &path.display().to_string())
    }

    fn decode(bytes: Map, what: &str) -> Result<Run> {
        let bad = |why: &str| Error::damaged(what, why);
        let mut d = Decoder::new(what, &bytes);
        d.magic(MAGIC)?;
        let hashed = match d.u16()? {
            1 => false,
            VERSION => true,
            version => return Err(d.later(format!("version {version}"))),
        };
        let (chunk_bits, lob_bits) = (u32::from(d.u8()?), u32::from(d.u8()?));
        let (pack_count, dropped_count) = (d.u32()? as usize, d.u32()? as usize);
        d.zeros(4)?;
        let from = d.u64()?;
        let to = Cursor {
            seq: d.u64()?,
            hash: d.bytes16()?,
        };
        let (chunk_count, lob_count) = (d.u64()?, d.u64()?);
        d.zeros(8)?;
        let most = u64::from(u32::MAX);
        if chunk_bits > 24 || lob_bits > 24 || chunk_count > most || lob_count > most {
            return Err(bad("numbers out of bounds"));
        }
        if pack_count.saturating_add(dropped_count) > d.left() / ID_LEN {
            return Err(bad("it is cut off"));
        }
        let packs = (0..pack_count)
            .map(|_| d.id().map(PackId::from_bytes))
            .collect::<Result<_>>()?;
        let dropped = (0..dropped_count)
            .map(|_| d.id().map(PackId::from_bytes))
            .collect::<Result<_>>()?;
        let head = bytes.len() - d.left();
        if d.take(ID_LEN)? != blake3::hash(&bytes[..head]).as_bytes() {
            return Err(bad("its hash does not hold"));
        }
        let body = head + ID_LEN;
        let fans = ((1u64 << chunk_bits) + 1 + (1 << lob_bits) + 1) * 4;
        let hashes = if hashed { 2 * ID_LEN as u64 } else { 0 };
        let lists = (chunk_count + lob_count) * ENTRY as u64 + fans + hashes;
        if body as u64 + lists != bytes.len() as u64 {
            return Err(bad("it is not as long as it says"));
        }
        // Nothing overflows: the file is as long as all of it together.
        let chunks = List::at(body, chunk_count, chunk_bits, hashed);
        let lobs = List::at(chunks.end(), lob_count, lob_bits, hashed);
        Ok(Run {
            bytes,
            from,
            to,
            packs,
            dropped,
            chunks,
            lobs,
        })
    }

    fn list(&self, kind: Kind) -> &List {
        match kind {
            Kind::Chunk => &self.chunks,
            Kind::Lob => &self.lobs,
        }
    }

    /// Its range of roots, as in its name: after the first, up to the second.
    pub(crate) fn range(&self) -> (u64, u64) {
        (self.from, self.to.seq)
    }

    /// Whether a list is as it was written: only then does what it lacks tell something. Reads all of
    /// it the first time. No run of the first version holds, for nobody can tell.
    pub(crate) fn holds(&self, kind: Kind) -> bool {
        let list = self.list(kind);
        *list.holds.get_or_init(|| {
            let found = blake3::hash(&self.bytes[list.entries.start..list.fan.end]);
            list.hash
                .as_ref()
                .is_some_and(|hash| self.bytes[hash.clone()] == *found.as_bytes())
        })
    }

    /// Whether it is of a version that has hashes of lists.
    pub(crate) fn has_hashes(&self) -> bool {
        self.chunks.hash.is_some()
    }

    /// Whether both lists hold.
    pub(crate) fn holds_all(&self) -> bool {
        self.holds(Kind::Chunk) && self.holds(Kind::Lob)
    }

    /// Lets go of its memory until it is read again.
    pub(crate) fn release(&self) {
        self.bytes.release();
    }

    /// How many entries it has.
    pub(crate) fn count(&self, kind: Kind) -> usize {
        self.list(kind).entries.len() / ENTRY
    }

    /// Entry number `n`: prefix, pack, number in the table of the pack.
    pub(crate) fn entry(&self, kind: Kind, n: usize) -> (u64, u32, u32) {
        let item = &self.bytes[self.list(kind).entries.start + n * ENTRY..][..ENTRY];
        let word =
            |at: usize| u32::from_le_bytes([item[at], item[at + 1], item[at + 2], item[at + 3]]);
        (
            u64::from(word(0)) | u64::from(word(4)) << 32,
            word(8),
            word(12),
        )
    }

    /// The entries that begin with `prefix`, as (pack, number in its table); nearly always one or none.
    pub(crate) fn find(&self, kind: Kind, prefix: u64) -> impl Iterator<Item = (u32, u32)> + '_ {
        let list = self.list(kind);
        let fan = |bucket: u64| {
            let item = &self.bytes[list.fan.start + bucket as usize * 4..][..4];
            u32::from_le_bytes([item[0], item[1], item[2], item[3]]) as usize
        };
        let bucket = if list.bits == 0 {
            0
        } else {
            prefix >> (64 - list.bits)
        };
        // A damaged fan-out must not lead out of the list.
        let end = fan(bucket + 1).min(self.count(kind));
        let (mut low, mut high) = (fan(bucket).min(end), end);
        while low < high {
            let middle = low.midpoint(high);
            if self.entry(kind, middle).0 < prefix {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        (low..end)
            .map(move |n| self.entry(kind, n))
            .take_while(move |entry| entry.0 == prefix)
            .map(|(_, pack, number)| (pack, number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_names_are_runs() {
        assert_eq!(parse_name(&run_name(0, 17)), Some((0, 17)));
        for bad in [
            "0-11.run",
            "0000000000000000-0000000000000000.run",
            "x.run",
            "",
        ] {
            assert_eq!(parse_name(bad), None, "{bad}");
        }
    }
}
