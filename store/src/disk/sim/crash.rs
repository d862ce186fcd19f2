//! All that a power loss may leave of a disk.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use super::SimDisk;
use super::content::Remains;
use super::state::{Inode, ROOT, State};

/// Up to so many pending changes of names, every subset of them is tried.
const ALL_SUBSETS: usize = 12;

/// A disk after a power loss.
#[derive(Debug)]
pub struct Crash {
    /// How many changes were done before.
    pub at: usize,
    /// What is on the disk now: the durable part and some of what was pending.
    pub disk: SimDisk,
    /// A hash of all names, contents and times on it: two disks that look the same have the same.
    pub fingerprint: u128,
    names: Vec<bool>,
    bytes: Fate,
}

/// Which of the [remains](super::content::Content::remains) of each unsynced file are left.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// The same for all files: from nothing of what was written to all of it.
    Same(usize),
    /// Another for each file.
    Mixed(u64),
}

/// `remains` has at most so many entries.
const SAME_FATES: usize = 5;

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: String = self
            .names
            .iter()
            .map(|&kept| if kept { '1' } else { '0' })
            .collect();
        let (at, bytes) = (self.at, self.bytes);
        write!(
            f,
            "power lost after {at} changes; pending names kept: [{names}], bytes: {bytes:?}"
        )
    }
}

/// The different states that a power loss may leave, one after the other. The extremes come first;
/// where there are many, those after the first are a sample, the same each time.
#[derive(Debug)]
pub(super) struct Crashes {
    state: State,
    at: usize,
    /// What may be left of each file with unsynced bytes or an unsynced time.
    dirty: Vec<(Inode, Vec<Remains>)>,
    /// What the clock says to whoever comes after it.
    clock: u64,
    random: Random,
    choices: std::vec::IntoIter<(Subset, Fate)>,
    /// Whether the choices are not just the telling ones.
    all: bool,
    seen: HashSet<u128>,
    hashes: Hashes,
}

impl Crashes {
    /// After `at` changes, which led to `state`, at the time `clock`.
    pub(super) fn new(state: State, at: usize, clock: u64) -> Crashes {
        let dirty = state
            .dirty_files()
            .map(|(inode, content)| (inode, content.remains()))
            .collect();
        let mut random = Random(at as u64);
        let choices = combined(telling(state.pending_names()), 2, &mut random);
        Crashes {
            clock,
            state,
            at,
            dirty,
            random,
            choices: choices.into_iter(),
            all: false,
            seen: HashSet::new(),
            hashes: Hashes::default(),
        }
    }

    fn choice(&mut self) -> Option<(Subset, Fate)> {
        let next = self.choices.next();
        if next.is_some() || self.all {
            return next;
        }
        self.all = true;
        let subsets = rest(self.state.pending_names(), &mut self.random);
        self.choices = combined(subsets, 0, &mut self.random).into_iter();
        self.choices.next()
    }
}

impl Iterator for Crashes {
    type Item = Crash;

    fn next(&mut self) -> Option<Crash> {
        loop {
            let (subset, bytes) = self.choice()?;
            if self.dirty.is_empty() && !matches!(bytes, Fate::Same(0)) {
                continue;
            }
            let names = subset.names(self.state.pending_names());
            let remains = self.dirty.iter();
            let remains: Vec<_> = remains
                .map(|(inode, remains)| (*inode, bytes.pick(*inode, remains)))
                .collect();
            let after = self.state.crashed(&names, &remains);
            let fingerprint = self.hashes.fingerprint(&after);
            if self.seen.insert(fingerprint) {
                return Some(Crash {
                    at: self.at,
                    disk: SimDisk::holding(after, self.clock),
                    fingerprint,
                    names,
                    bytes,
                });
            }
        }
    }
}

impl Fate {
    fn pick(self, inode: Inode, remains: &[Remains]) -> Remains {
        let last = remains.len() - 1;
        let index = match self {
            // The last is the whole of the new content, for all files.
            Fate::Same(index) if index + 1 == SAME_FATES => last,
            Fate::Same(index) => index.min(last),
            Fate::Mixed(seed) => Random(seed ^ inode as u64).below(remains.len()),
        };
        remains[index].clone()
    }
}

/// A subset of the pending names, in the order in which they came to pend.
#[derive(Debug, Clone, Copy)]
enum Subset {
    None,
    All,
    /// The first so many.
    First(usize),
    AllBut(usize),
    Just(usize),
    /// Those of the bits that are set.
    Bits(usize),
    Random(u64),
}

impl Subset {
    /// For each of `count` names whether it is in the subset.
    fn names(self, count: usize) -> Vec<bool> {
        let mut random = Random(match self {
            Subset::Random(seed) => seed,
            _ => 0,
        });
        let mut holds = |i| match self {
            Subset::None => false,
            Subset::All => true,
            Subset::First(many) => i < many,
            Subset::AllBut(one) => i != one,
            Subset::Just(one) => i == one,
            Subset::Bits(set) => set >> i & 1 == 1,
            Subset::Random(_) => random.below(2) == 1,
        };
        (0..count).map(&mut holds).collect()
    }
}

/// The subsets of `count` pending names that tell most.
fn telling(count: usize) -> Vec<Subset> {
    let mut subsets = vec![Subset::None, Subset::All];
    for one in 0..count {
        subsets.extend([Subset::First(one), Subset::AllBut(one), Subset::Just(one)]);
    }
    subsets
}

/// All subsets of `count` pending names, or a sample.
fn rest(count: usize, random: &mut Random) -> Vec<Subset> {
    match count <= ALL_SUBSETS {
        true => (0..1 << count).map(Subset::Bits).collect(),
        false => {
            let seeds = (0..1 << ALL_SUBSETS).map(|_| Subset::Random(random.next()));
            seeds.collect()
        }
    }
}

/// Subsets combined with the fates of the bytes. The first few stay the first; the others are mixed,
/// so that a small sample is not all about the oldest names.
fn combined(subsets: Vec<Subset>, first: usize, random: &mut Random) -> Vec<(Subset, Fate)> {
    let mut choices = Vec::with_capacity(subsets.len() * (SAME_FATES + 1));
    for subset in subsets {
        choices.extend((0..SAME_FATES).map(|index| (subset, Fate::Same(index))));
        choices.push((subset, Fate::Mixed(random.next())));
    }
    shuffle(&mut choices[first * (SAME_FATES + 1)..], random);
    choices
}

fn shuffle<T>(items: &mut [T], random: &mut Random) {
    for last in (1..items.len()).rev() {
        items.swap(last, random.below(last + 1));
    }
}

/// The hashes of contents, each computed once.
#[derive(Debug, Default)]
struct Hashes(HashMap<usize, (Arc<Vec<u8>>, blake3::Hash)>);

impl Hashes {
    fn of(&mut self, bytes: &Arc<Vec<u8>>) -> blake3::Hash {
        let new = || (bytes.clone(), blake3::hash(bytes));
        // What is held on to keeps its address.
        self.0
            .entry(Arc::as_ptr(bytes).addr())
            .or_insert_with(new)
            .1
    }

    /// A hash of what a program can tell two disks by: all names, and what is behind them.
    fn fingerprint(&mut self, state: &State) -> u128 {
        let mut all = blake3::Hasher::new();
        state.walk(ROOT, &mut |depth, name, inode| {
            let name = name.as_encoded_bytes();
            let _ = all.update(&[depth as u8, name.len() as u8]).update(name);
            if let Ok(content) = state.content(inode) {
                let _ = all
                    .update(b"file")
                    .update(&content.time().to_le_bytes())
                    .update(self.of(content.live()).as_bytes());
            }
        });
        let mut first = [0; 16];
        first.copy_from_slice(&all.finalize().as_bytes()[..16]);
        u128::from_le_bytes(first)
    }
}

/// Numbers that look random and are always the same (SplitMix64).
#[derive(Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}
