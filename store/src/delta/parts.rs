//! What of a base each chunk of a new version is like.

use std::ops::Range;

use rayon::prelude::*;

use crate::error::Result;
use crate::id::ChunkId;

use super::align::Features;
use super::base::Chunks;

/// Where the content of a chunk was in the base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// The base has this very chunk at this place.
    Known(u64),
    /// Between two known chunks; this is what the base has there.
    Gap(Range<u64>),
    /// By its features, or else next to what the chunk before is like.
    Like(Range<u64>),
}

/// A chunk of the new version.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chunk<'a> {
    pub(crate) id: ChunkId,
    pub(crate) len: u64,
    /// Its bytes; empty where they are not at hand, since nobody wants to know what it is like.
    pub(crate) bytes: &'a [u8],
}

/// Goes through a new version in windows of chunks.
#[derive(Debug)]
pub(crate) struct Aligner<'a> {
    chunks: &'a Chunks,
    /// The longest gap that is taken whole for so many new bytes.
    gap_max: fn(u64) -> u64,
    /// Offset of the window in the new version.
    at: u64,
    /// Where in the base its content is expected.
    expected: u64,
}

impl<'a> Aligner<'a> {
    /// At the start of a version that is held against a base of these chunks.
    pub(crate) fn new(chunks: &'a Chunks, gap_max: fn(u64) -> u64) -> Aligner<'a> {
        Aligner {
            chunks,
            gap_max,
            at: 0,
            expected: 0,
        }
    }

    /// What each chunk of the next window is like, `features` are those of the base, and are
    /// asked for only where they are needed.
    pub(crate) fn window<'f>(
        &mut self,
        chunks: &[Chunk<'_>],
        features: &dyn Fn() -> Result<&'f Features>,
    ) -> Result<Vec<Part>> {
        let known = self.known(chunks);
        let mut parts = Vec::with_capacity(chunks.len());
        while let Some(place) = known.get(parts.len()) {
            let n = parts.len();
            if let Some(place) = place {
                self.expected = place + chunks[n].len;
                self.at += chunks[n].len;
                parts.push(Part::Known(*place));
                continue;
            }
            let run = known[n..].iter().take_while(|place| place.is_none());
            let run = &chunks[n..n + run.count()];
            let next = known.get(n + run.len()).copied().flatten();
            match next.and_then(|next| self.gap(run, next)) {
                Some(gap) => parts.extend(run.iter().map(|_| Part::Gap(gap.clone()))),
                None => self.like(run, features()?, &mut parts),
            }
            self.at += run.iter().map(|chunk| chunk.len).sum::<u64>();
        }
        Ok(parts)
    }

    /// Where the base has each chunk.
    fn known(&self, chunks: &[Chunk<'_>]) -> Vec<Option<u64>> {
        let mut expected = self.expected;
        let place = |chunk: &Chunk<'_>| {
            let found = self.chunks.find(&chunk.id, expected);
            expected = found.unwrap_or(expected) + chunk.len;
            found
        };
        chunks.iter().map(place).collect()
    }

    /// The part of the base between what was known last and what is known next, from `next` on; `None`
    /// where it is not about what a run of new chunks replaced.
    fn gap(&self, run: &[Chunk<'_>], next: u64) -> Option<Range<u64>> {
        let gap = self.expected..next;
        let most = (self.gap_max)(run.iter().map(|chunk| chunk.len).sum());
        (gap.start <= gap.end && gap.end - gap.start <= most).then_some(gap)
    }

    /// What each chunk of a run is like.
    fn like(&mut self, run: &[Chunk<'_>], features: &Features, parts: &mut Vec<Part>) {
        let mut here = self.at;
        let places: Vec<_> = run
            .iter()
            .map(|chunk| {
                here += chunk.len;
                here - chunk.len
            })
            .collect();
        let distances: Vec<_> = run
            .par_iter()
            .zip(&places)
            .map(|(chunk, place)| features.distance(chunk.bytes, *place))
            .collect();
        for ((chunk, place), distance) in run.iter().zip(places).zip(distances) {
            if let Some(distance) = distance {
                self.expected = place.saturating_add_signed(distance);
            }
            let like = self.expected..self.expected + chunk.len;
            self.expected = like.end;
            parts.push(Part::Like(like));
        }
    }
}
