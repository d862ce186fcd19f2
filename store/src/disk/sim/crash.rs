//! All that a power loss may leave of a disk.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fmt;
use std::sync::Arc;

use super::SimDisk;
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

/// At most `most` different states that a power loss after `at` changes, which led to `state`, may
/// leave. The extremes come first; where there are more, the rest is a sample, the same each time.
pub(super) fn crashes(state: &State, at: usize, most: usize) -> Vec<Crash> {
    let mut random = Random(at as u64);
    let dirty: Vec<(Inode, Vec<Arc<Vec<u8>>>)> = state
        .dirty_files()
        .map(|(inode, content)| (inode, content.remains()))
        .collect();
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    let count = state.pending_names();
    for (subset, bytes) in choices(count, &mut random) {
        if found.len() >= most {
            break;
        }
        if dirty.is_empty() && !matches!(bytes, Fate::Same(0)) {
            continue;
        }
        let names = subset.names(count);
        let remains: Vec<_> = dirty
            .iter()
            .map(|(inode, remains)| (*inode, bytes.pick(*inode, remains)))
            .collect();
        let after = state.crashed(&names, &remains);
        if seen.insert(visible(&after)) {
            let disk = SimDisk::holding(after);
            found.push(Crash {
                at,
                disk,
                names,
                bytes,
            });
        }
    }
    found
}

impl Fate {
    fn pick(self, inode: Inode, remains: &[Arc<Vec<u8>>]) -> Arc<Vec<u8>> {
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

/// Combinations of subsets of `count` pending names with fates of the bytes, the telling ones first.
fn choices(count: usize, random: &mut Random) -> Vec<(Subset, Fate)> {
    let mut subsets = vec![Subset::None, Subset::All];
    for one in 0..count {
        subsets.extend([Subset::First(one), Subset::AllBut(one), Subset::Just(one)]);
    }
    let telling = subsets.len();
    if count <= ALL_SUBSETS {
        subsets.extend((0..1 << count).map(Subset::Bits));
    } else {
        subsets.extend((0..1 << ALL_SUBSETS).map(|_| Subset::Random(random.next())));
    }
    let mut choices = Vec::new();
    for subset in subsets {
        choices.extend((0..SAME_FATES).map(|index| (subset, Fate::Same(index))));
        choices.push((subset, Fate::Mixed(random.next())));
    }
    // The first two stay the first. The others are mixed, so that a small sample is not all about
    // the oldest names.
    let fates = SAME_FATES + 1;
    let (first, rest) = choices.split_at_mut(telling * fates);
    shuffle(&mut first[2 * fates..], random);
    shuffle(rest, random);
    choices
}

fn shuffle<T>(items: &mut [T], random: &mut Random) {
    for last in (1..items.len()).rev() {
        items.swap(last, random.below(last + 1));
    }
}

/// What a program can tell two disks by. The contents stand for themselves by address: those of one
/// crash point are made once.
fn visible(state: &State) -> Vec<(Inode, OsString, Inode, *const u8)> {
    let mut all = Vec::new();
    state.walk(ROOT, &mut |dir, name, inode| {
        let bytes = state
            .content(inode)
            .map_or(&[][..], |content| content.bytes());
        all.push((dir, name.to_owned(), inode, bytes.as_ptr()));
    });
    all
}

/// Numbers that look random and are always the same (SplitMix64).
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
