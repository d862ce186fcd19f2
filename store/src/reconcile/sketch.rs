//! Sketches: sums over a set of lobs, in cells of which each lob is in fewer the further one goes.

use std::ops::{BitXor, Range};

use rayon::prelude::*;

use super::LobSet;
use crate::error::Result;
use crate::id::ID_LEN;
use crate::limits::SKETCH_AHEAD;
use crate::store::LobInfo;

/// Lobs that are taken in at a time, by all cores.
const BATCH: usize = 1 << 14;
/// Most copies of the cells that are asked for, one for each core.
const PARTS_MAX: usize = 8;
/// The step of SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators",
/// OOPSLA 2014).
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
/// Tells the check of a symbol from the numbers that choose its cells.
const CHECK: u64 = 0x6c6f_6220_6365_6c6c;

/// What is drawn for one run.
pub(super) type Key = [u8; 32];

/// A set in 40 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Head {
    /// Lobs in it.
    pub(super) count: u64,
    /// The sum (exclusive or) of [`Mark`]s: to find two sets with the same takes the key, which is
    /// drawn when they are there.
    pub(super) digest: Mark,
}

/// What a key makes of a lob, as four little-endian numbers; or a sum of such.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Mark(pub(super) [u64; 4]);

impl Mark {
    /// That of a lob: keyed BLAKE3 over its id and its length (8 bytes, little-endian).
    pub(super) fn of(key: &Key, lob: &LobInfo) -> Mark {
        let mut bytes = [0; ID_LEN + 8];
        bytes[..ID_LEN].copy_from_slice(lob.id.as_bytes());
        bytes[ID_LEN..].copy_from_slice(&lob.size.to_le_bytes());
        Mark::from_bytes(blake3::keyed_hash(key, &bytes).as_bytes())
    }

    /// The mark with these bytes.
    pub(super) fn from_bytes(bytes: &[u8; 32]) -> Mark {
        let mut mark = [0; 4];
        for (number, bytes) in mark.iter_mut().zip(bytes.chunks_exact(8)) {
            *number = u64::from_le_bytes(bytes.try_into().unwrap_or_default());
        }
        Mark(mark)
    }

    /// Its bytes.
    pub(super) fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (bytes, number) in bytes.chunks_exact_mut(8).zip(self.0) {
            bytes.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    /// What stands for the lob in cells: its first number.
    pub(super) fn symbol(self) -> u64 {
        self.0[0]
    }
}

impl BitXor for Mark {
    type Output = Mark;

    fn bitxor(self, other: Mark) -> Mark {
        let mut sum = self.0;
        sum.iter_mut().zip(other.0).for_each(|(a, b)| *a ^= b);
        Mark(sum)
    }
}

/// Mixes a number so that each bit of it counts in each bit of what comes out (SplitMix64).
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Tells a cell with one symbol from one in which several add up to something.
pub(super) fn check(symbol: u64) -> u32 {
    (mix(symbol ^ CHECK) >> 32) as u32
}

/// The cells that a symbol is in, ascending: cell 0, and cell `i` with the likelihood `2 / (i + 2)`.
///
/// The skip from one to the next is that of the paper (section 4.2), `(i + 1.5) * (1 / sqrt(u) - 1)` for
/// a random `u` of 0 to 1, rounded up. The larger of two random numbers is distributed as the root of one;
/// so it is worked out with whole numbers, which are the same everywhere.
#[derive(Debug)]
pub(super) struct Places {
    next: u64,
    random: u64,
}

impl Places {
    pub(super) fn of(symbol: u64) -> Places {
        Places {
            next: 0,
            random: symbol,
        }
    }

    /// Those before cell `end`.
    pub(super) fn before(self, end: usize) -> impl Iterator<Item = usize> {
        self.map(|place| usize::try_from(place).unwrap_or(usize::MAX))
            .take_while(move |place| *place < end)
    }
}

impl Iterator for Places {
    type Item = u64;

    /// Ends after those that 32 bits can count.
    fn next(&mut self) -> Option<u64> {
        let place = self.next;
        if place > u64::from(u32::MAX) {
            return None;
        }
        self.random = self.random.wrapping_add(STEP);
        let random = mix(self.random);
        let larger = (random >> 32).max(random & u64::from(u32::MAX)) + 1;
        // In units of 2^-32; it does not wait for the place to be known.
        let factor = (((1 << 32) - larger) << 32) / larger;
        let skip = (u128::from(2 * place + 3) * u128::from(factor)) >> 33;
        self.next = u64::try_from(u128::from(place) + skip + 1).unwrap_or(u64::MAX);
        Some(place)
    }
}

/// A sum over the lobs that are in it. Of a difference, what one side alone has counts negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Cell {
    /// The sum (exclusive or) of their symbols.
    pub(super) symbols: u64,
    /// The sum (exclusive or) of their checks.
    pub(super) checks: u32,
    /// How many they are, modulo 65,536.
    pub(super) count: u16,
}

impl Cell {
    /// Adds a symbol `sign` times.
    pub(super) fn add(&mut self, symbol: u64, check: u32, sign: u16) {
        self.symbols ^= symbol;
        self.checks ^= check;
        self.count = self.count.wrapping_add(sign);
    }

    /// This without what is in `other`.
    pub(super) fn minus(self, other: Cell) -> Cell {
        Cell {
            symbols: self.symbols ^ other.symbols,
            checks: self.checks ^ other.checks,
            count: self.count.wrapping_sub(other.count),
        }
    }
}

/// What a set is, and some cells of its sketch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sketch {
    pub(super) head: Head,
    pub(super) cells: Vec<Cell>,
}

impl Sketch {
    fn empty(cells: usize) -> Sketch {
        Sketch {
            head: Head::default(),
            cells: vec![Cell::default(); cells],
        }
    }

    /// Cells `range` of the sketch of a set. Goes through the set once, whatever the range; takes 16
    /// bytes for each cell and core, and for each lob some 0.1 to 0.3 us of one core.
    pub(super) fn of(set: &dyn LobSet, key: &Key, range: Range<usize>) -> Result<Sketch> {
        let mut parts = vec![Sketch::empty(range.len()); cores()];
        go_through(set, &mut parts, &|part, lob| {
            part.add(Mark::of(key, lob), &range)
        })?;
        let sum = parts.into_iter().reduce(Sketch::plus);
        Ok(sum.unwrap_or_else(|| Sketch::empty(range.len())))
    }

    /// The first cells, for who may ask for more of them: [`SKETCH_AHEAD`].
    pub(super) fn ahead(set: &dyn LobSet, key: &Key) -> Result<Sketch> {
        Sketch::of(set, key, 0..SKETCH_AHEAD)
    }

    /// Some of these cells, where they are all here.
    pub(super) fn part(&self, range: &Range<usize>) -> Option<Sketch> {
        let cells = self.cells.get(range.clone())?.to_vec();
        Some(Sketch {
            head: self.head,
            cells,
        })
    }

    fn add(&mut self, mark: Mark, range: &Range<usize>) {
        self.head.count += 1;
        self.head.digest = self.head.digest ^ mark;
        let symbol = mark.symbol();
        let check = check(symbol);
        for place in Places::of(symbol).before(range.end) {
            let cell = place.checked_sub(range.start);
            if let Some(cell) = cell.and_then(|place| self.cells.get_mut(place)) {
                cell.add(symbol, check, 1);
            }
        }
    }

    fn plus(mut self, other: Sketch) -> Sketch {
        self.head.count += other.head.count;
        self.head.digest = self.head.digest ^ other.head.digest;
        for (sum, cell) in self.cells.iter_mut().zip(other.cells) {
            sum.add(cell.symbols, cell.checks, cell.count);
        }
        self
    }
}

/// Those of a set whose symbols are among `symbols`, which are sorted; with their marks.
pub(super) fn find(set: &dyn LobSet, key: &Key, symbols: &[u64]) -> Result<Vec<(LobInfo, Mark)>> {
    let mut parts = vec![Vec::new(); cores()];
    go_through(set, &mut parts, &|part, lob| {
        let mark = Mark::of(key, lob);
        if symbols.binary_search(&mark.symbol()).is_ok() {
            part.push((*lob, mark));
        }
    })?;
    let mut found = parts.concat();
    found.sort_unstable_by_key(|(lob, _)| lob.id);
    Ok(found)
}

fn cores() -> usize {
    rayon::current_num_threads().clamp(1, PARTS_MAX)
}

/// Gives each lob of a set to one of `parts`, which all cores fill side by side.
fn go_through<P: Send>(
    set: &dyn LobSet,
    parts: &mut [P],
    take: &(dyn Fn(&mut P, &LobInfo) + Sync),
) -> Result<()> {
    let mut batch = Vec::with_capacity(BATCH);
    set.each(&mut |lob| {
        batch.push(lob);
        if batch.len() == BATCH {
            share(parts, &batch, take);
            batch.clear();
        }
        Ok(())
    })?;
    share(parts, &batch, take);
    Ok(())
}

fn share<P: Send>(parts: &mut [P], lobs: &[LobInfo], take: &(dyn Fn(&mut P, &LobInfo) + Sync)) {
    let each = lobs.len().div_ceil(parts.len().max(1)).max(1);
    parts
        .par_iter_mut()
        .zip(lobs.par_chunks(each))
        .for_each(|(part, lobs)| lobs.iter().for_each(|lob| take(part, lob)));
}
