//! The lists of a long lob against those of the version before: most of the ids in them are the same.

use std::collections::{HashMap, HashSet};

use crate::error::Result;
use crate::id::ChunkId;
use crate::limits::FRAME_BASES_MAX;
use crate::manifest::{Manifest, Parts, Segment};
use crate::store::Store;

use super::Missed;

/// Segments that are read at once.
pub(super) const TOGETHER: usize = 64;
/// A segment of the base counts as like another where at least one part in so many is at its place.
const OVERLAP: u64 = 16;

/// Each list of `new` with those of `base` that list about the same part of the lob.
fn pairs(new: &[Segment], base: &[Segment]) -> Vec<(ChunkId, Vec<ChunkId>)> {
    let starts = starts(base);
    let known: HashMap<ChunkId, usize> = base
        .iter()
        .enumerate()
        .map(|(n, segment)| (segment.id, n))
        .collect();
    let mut pairs = Vec::new();
    // Where the base goes on after what both have.
    let mut base_at = 0;
    for segment in new {
        // Of a list of zeros there may be many: the one that is expected counts.
        let next = starts.binary_search(&base_at).ok();
        let next = next.filter(|n| base[*n].id == segment.id);
        match next.or_else(|| known.get(&segment.id).copied()) {
            Some(n) => base_at = starts[n],
            None => pairs.push((segment.id, like(base, &starts, base_at, segment.bytes))),
        }
        base_at += segment.bytes;
    }
    pairs
}

/// Offset of each segment in the lob.
fn starts(segments: &[Segment]) -> Vec<u64> {
    let mut at = 0;
    let start = |segment: &Segment| {
        let start = at;
        at += segment.bytes;
        start
    };
    segments.iter().map(start).collect()
}

/// The segments that hold so many bytes from here on, but for what is little.
fn like(base: &[Segment], starts: &[u64], from: u64, len: u64) -> Vec<ChunkId> {
    let to = from.saturating_add(len);
    let first = starts
        .partition_point(|start| *start <= from)
        .saturating_sub(1);
    let near = base.iter().zip(starts).skip(first);
    let near = near.take_while(|(_, start)| **start < to);
    let counts = near.filter(|(segment, start)| {
        let end = **start + segment.bytes;
        let common = end.min(to).saturating_sub(from.max(**start));
        common >= len.min(segment.bytes).div_ceil(OVERLAP)
    });
    let counts = counts.map(|(segment, _)| segment.id);
    counts.take(FRAME_BASES_MAX).collect()
}

impl Store {
    /// The lists of a long lob that another one has not, with those of the other one that are like them.
    pub(super) fn list_pairs(
        &self,
        new: &Manifest,
        base: &Manifest,
    ) -> Result<Vec<(ChunkId, Vec<ChunkId>)>> {
        let mut all = match (&new.parts, &base.parts) {
            (Parts::Groups(new), Parts::Groups(base)) => pairs(new, base),
            _ => Vec::new(),
        };
        all.extend(pairs(&self.segments(new)?, &self.segments(base)?));
        Ok(all)
    }

    /// Those of some segments that the receiver lacks, as chunks to be sent.
    pub(super) fn missed_segments(
        &self,
        pairs: &[(ChunkId, Vec<ChunkId>)],
        lacking: &HashSet<ChunkId>,
    ) -> Result<Vec<Missed>> {
        let missed = pairs
            .iter()
            .filter(|(id, like)| !like.is_empty() && lacking.contains(id));
        let read = missed.map(|(id, like)| Ok(Missed::new(*id, self.chunk(id)?, like.clone())));
        read.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Segments with these names and lengths.
    fn segments(segments: &[(u8, u64)]) -> Vec<Segment> {
        let segment = |&(name, bytes): &(u8, u64)| Segment {
            id: ChunkId::from_bytes([name; 32]),
            items: 100,
            bytes,
        };
        segments.iter().map(segment).collect()
    }

    fn names(new: &[(u8, u64)], base: &[(u8, u64)]) -> Vec<(u8, Vec<u8>)> {
        let name = |id: &ChunkId| id.as_bytes()[0];
        let pairs = pairs(&segments(new), &segments(base));
        let named =
            |(id, like): &(ChunkId, Vec<ChunkId>)| (name(id), like.iter().map(name).collect());
        pairs.iter().map(named).collect()
    }

    const BASE: [(u8, u64); 4] = [(1, 100), (2, 200), (3, 300), (4, 400)];

    #[test]
    fn what_changed_is_like_what_was_there() {
        assert_eq!(names(&BASE, &BASE), []);
        let edited = [(1, 100), (9, 200), (3, 300), (8, 400)];
        assert_eq!(names(&edited, &BASE), [(9, vec![2]), (8, vec![4])]);
    }

    #[test]
    fn what_is_behind_an_insertion_is_found_again() {
        let longer = [(9, 104), (2, 200), (3, 300), (8, 400)];
        assert_eq!(names(&longer, &BASE), [(9, vec![1]), (8, vec![4])]);
        let split = [(1, 100), (7, 90), (8, 115), (3, 300), (4, 400)];
        assert_eq!(names(&split, &BASE), [(7, vec![2]), (8, vec![2])]);
        let merged = [(1, 100), (9, 490), (4, 400)];
        assert_eq!(names(&merged, &BASE), [(9, vec![2, 3])]);
    }

    #[test]
    fn the_same_lists_again_and_again_do_not_mislead() {
        let same = [(1, 100); 6];
        let mut edited = same;
        edited[3] = (9, 100);
        assert_eq!(names(&edited, &same), [(9, vec![1])]);
    }

    #[test]
    fn there_may_be_nothing_to_be_like() {
        let grown = [(1, 100), (2, 200), (3, 300), (4, 400), (5, 500)];
        assert_eq!(names(&grown, &BASE), [(5, vec![])]);
        assert_eq!(names(&[(9, 5000)], &BASE), [(9, vec![1, 2, 3, 4])]);
        let many: Vec<_> = (1..200).map(|n| (n, 10)).collect();
        assert_eq!(names(&[(255, 5000)], &many)[0].1.len(), FRAME_BASES_MAX);
    }
}
