//! Where in the base the content of a chunk that changed was.
//!
//! A feature is the hash of 16 bytes at a place that the bytes themselves choose, one in 256 or, in
//! a long base, fewer. Equal features of chunk and base vote for the distance between their places;
//! the distance with most votes wins. (Content-chosen anchors: Manber, "Finding Similar Files in a
//! Large File System", 1994.)

use rayon::prelude::*;

use crate::limits::FEATURES_MAX;

/// Bytes of a feature.
pub(super) const FEATURE: usize = 16;
/// One place in so many is a feature, as a power of two, unless the base is long.
const SPARSE: u32 = 8;
/// A feature that stands in the base more often than this says nothing about places.
const REPEATED: usize = 4;
/// Distances this close to each other are votes for the same: edits in between move them.
const NEAR: i64 = 4096;
/// A vote alone may be chance.
const VOTES_MIN: usize = 2;
/// Of each so many bytes of a chunk that asks, the features of the first half are votes enough.
const ASKED: usize = 4 << 10;
/// The bits of a key by which its place in the list is found.
const FAN_BITS: u32 = 14;

const CHOOSE: u64 = 0x9e37_79b9_7f4a_7c15;
const MIX: u64 = 0xd6e8_feb8_6659_fd93;

/// The features of a base and where they are.
#[derive(Debug)]
pub(crate) struct Features {
    sparse: u32,
    /// By key, then place.
    places: Vec<(u64, u64)>,
    /// Where in the list those begin whose key begins with these bits; one more for the end.
    fan: Vec<u32>,
}

/// How sparse features are in a base of `len` bytes.
pub(crate) fn sparseness(len: u64) -> u32 {
    let mut sparse = SPARSE;
    while len >> sparse > FEATURES_MAX as u64 {
        sparse += 1;
    }
    sparse
}

/// The features of `bytes` with their offsets in them.
pub(crate) fn features(bytes: &[u8], sparse: u32) -> Vec<(u64, u64)> {
    let mut found = Vec::with_capacity(bytes.len() >> sparse);
    for (at, window) in bytes.windows(FEATURE).enumerate() {
        let (Some(first), Some(last)) = (window.first_chunk::<8>(), window.last_chunk::<8>())
        else {
            continue;
        };
        let first = u64::from_le_bytes(*first);
        // A run of zeros would be nothing but features.
        if first.wrapping_mul(CHOOSE) >> (u64::BITS - sparse) == 0 && first != 0 {
            let last = u64::from_le_bytes(*last);
            let key = (first ^ last.wrapping_mul(MIX).rotate_left(29)).wrapping_mul(CHOOSE);
            found.push((key, at as u64));
        }
    }
    found
}

impl Features {
    /// The features that were found in a base.
    pub(crate) fn new(mut places: Vec<(u64, u64)>, sparse: u32) -> Features {
        places.par_sort_unstable();
        let mut kept = Vec::with_capacity(places.len());
        for same in places.chunk_by(|a, b| a.0 == b.0) {
            if same.len() <= REPEATED {
                kept.extend_from_slice(same);
            }
        }
        let fan = (0..=1 << FAN_BITS).map(|bits: u64| {
            kept.partition_point(|&(key, _)| key >> (u64::BITS - FAN_BITS) < bits) as u32
        });
        Features {
            sparse,
            fan: fan.collect(),
            places: kept,
        }
    }

    /// Where this feature stands in the base.
    fn places(&self, key: u64) -> impl Iterator<Item = u64> {
        let bits = (key >> (u64::BITS - FAN_BITS)) as usize;
        let some = &self.places[self.fan[bits] as usize..self.fan[bits + 1] as usize];
        let first = some.partition_point(|&(other, _)| other < key);
        let same = some[first..].iter().take_while(move |(k, _)| *k == key);
        same.map(|&(_, place)| place)
    }

    /// How far `bytes`, which stand at `offset`, are from where they were in the base: what must be
    /// added to a place in the new file. `None` without a majority worth the name.
    pub(super) fn distance(&self, bytes: &[u8], offset: u64) -> Option<i64> {
        let mut votes = Vec::new();
        for start in (0..bytes.len()).step_by(ASKED) {
            let asked = &bytes[start..bytes.len().min(start + ASKED / 2 + FEATURE - 1)];
            let here = offset + start as u64;
            for (key, at) in features(asked, self.sparse) {
                let places = self.places(key);
                votes.extend(places.map(|place| place as i64 - (here + at) as i64));
            }
        }
        votes.sort_unstable();
        let mut best = 0..0;
        let mut start = 0;
        for end in 1..=votes.len() {
            while votes[end - 1] - votes[start] > NEAR {
                start += 1;
            }
            if end - start > best.len() {
                best = start..end;
            }
        }
        (best.len() >= VOTES_MIN).then(|| votes[best.start + best.len() / 2])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::tests::noise;

    fn features_of(base: &[u8]) -> Features {
        Features::new(features(base, SPARSE), SPARSE)
    }

    #[test]
    fn moved_content_is_found() {
        let base = noise(1, 1 << 20);
        let known = features_of(&base);
        let mut moved = base[500_000..560_000].to_vec();
        moved.splice(30_000..30_000, noise(2, 100));
        assert_eq!(known.distance(&moved[..25_000], 0), Some(500_000));
        let near = known.distance(&moved, 700_000).unwrap();
        assert!((near + 200_000).abs() <= 100, "{near}");
    }

    #[test]
    fn what_is_new_or_says_nothing_gets_no_votes() {
        let mut base = noise(1, 1 << 18);
        base.resize(1 << 20, 0);
        let repeated = b"the same line again and again\n".repeat(3000);
        base.extend_from_slice(&repeated);
        let known = features_of(&base);
        assert_eq!(known.distance(&noise(2, 60_000), 0), None);
        assert_eq!(known.distance(&vec![0; 60_000], 0), None);
        assert_eq!(known.distance(&repeated[..60_000], 0), None);
        assert_eq!(known.distance(b"short", 0), None);
    }

    #[test]
    fn long_bases_have_no_more_features() {
        assert_eq!(sparseness(0), SPARSE);
        assert_eq!(sparseness((FEATURES_MAX as u64) << SPARSE), SPARSE);
        assert_eq!(sparseness(1 << 44), 24);
    }
}
