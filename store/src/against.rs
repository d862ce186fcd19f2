//! Delta frames for a receiver: what it lacks of a lob, against another version that it has.

mod segments;
mod version;

use std::collections::{HashMap, HashSet};

use rayon::prelude::*;

use crate::delta::{Aligner, Chunk, Part};
use crate::error::Result;
use crate::frame::{self, Codec, Frame};
use crate::id::ChunkId;
use crate::limits::{DELTA_DEPTH_MAX, DELTA_LEVEL, FRAME_BASES_MAX, FRAME_TARGET};
use crate::manifest::Manifest;
use crate::read::{Kin, batches};
use crate::store::Store;

pub(crate) use version::Version;

/// Tells of chunks what their frames at the receiver stand on; `None` where it lacks them.
pub type AskKin<'a> = &'a mut dyn FnMut(&[ChunkId]) -> Result<Vec<Option<Kin>>>;

/// A delta below this share of what samples take without a base is good enough not to try that with all,
const CLEARLY: (usize, usize) = (7, 8);
/// unless they get shorter than this share without one: text may compress to anything.
const DENSE: (usize, usize) = (1, 4);
/// How many samples, and bytes of each.
const SAMPLES: (usize, usize) = (2, 8 << 10);
/// Otherwise it must be smaller than this share of what the chunk takes without one.
const SHARE: (usize, usize) = (15, 16);
/// How deep the bases are that a chunk goes back to where those at hand are at the bound already,
/// so that the next versions have room.
const BACK: u8 = DELTA_DEPTH_MAX / 2;
/// Bases that are not as deep may cost this much more, as a share.
const BACK_COST: (usize, usize) = (115, 100);
/// The longest part of the base between two chunks that both have that is taken for what was
/// replaced by what is between them: a frame may name all chunks that it is in.
const GAP_MAX: u64 = 160 << 10;
/// Chunks of a lob that are sent so, and remembered: 4 GiB of what is new in it.
const SENT_MAX: usize = 64 << 10;
/// Chunks after which a base that served for few of them is given up.
const TRIES: usize = 64;

/// What delta frames are to be like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Aim {
    /// The level of zstd.
    pub(crate) level: i32,
    /// The longest chain of bases that may stand behind one.
    pub(crate) depth: u8,
    /// Chunks that are made into such frames, at most.
    pub(crate) most: usize,
}

impl Store {
    /// Calls `each` for delta frames of chunks of `new` that the receiver lacks, against chunks of
    /// `base` that it has. Returns the chunks in these frames; the others are better sent without a
    /// base. Both lobs must be in this store. The same contents and the same receiver always give the
    /// same frames.
    ///
    /// # Errors
    /// When one of the lobs cannot be read, and what `kin` and `each` return.
    pub fn each_delta(
        &self,
        new: &Manifest,
        base: Manifest,
        kin: AskKin<'_>,
        each: &mut dyn FnMut(Frame) -> Result<()>,
    ) -> Result<HashSet<ChunkId>> {
        self.each_delta_at(DELTA_LEVEL, new, base, kin, each)
    }

    /// The same at another level of zstd: for benches.
    #[doc(hidden)]
    pub fn each_delta_at(
        &self,
        level: i32,
        new: &Manifest,
        base: Manifest,
        kin: AskKin<'_>,
        each: &mut dyn FnMut(Frame) -> Result<()>,
    ) -> Result<HashSet<ChunkId>> {
        let aim = Aim {
            level,
            depth: DELTA_DEPTH_MAX,
            most: SENT_MAX,
        };
        self.deltas(new, &Version::of(self, base)?, aim, kin, each)
    }

    /// [`Store::each_delta`] with frames of a certain kind.
    pub(crate) fn deltas(
        &self,
        new: &Manifest,
        version: &Version<'_>,
        aim: Aim,
        kin: AskKin<'_>,
        each: &mut dyn FnMut(Frame) -> Result<()>,
    ) -> Result<HashSet<ChunkId>> {
        let mut receiver = Receiver::new(self, aim, kin);
        let mut sent = HashSet::new();
        let lists = self.list_pairs(new, &version.manifest)?;
        for some in lists.chunks(segments::TOGETHER) {
            let lacking = receiver.lacks(some.iter().map(|(id, _)| *id))?;
            let missed = self.missed_segments(some, &lacking)?;
            receiver.send(version, missed, &mut sent, each)?;
        }
        let lists = sent.len();
        let mut aligner = Aligner::new(&version.chunks, |_| GAP_MAX);
        let mut tried = 0;
        self.each_window(new, &mut |chunks| {
            let served = sent.len() - lists;
            if tried >= TRIES && served * 8 < tried || served >= aim.most {
                return Ok(());
            }
            let mut lacking = receiver.lacks(chunks.iter().map(|(id, _)| *id))?;
            lacking.retain(|id| !sent.contains(id));
            let missed = self.missed(version, &mut aligner, &chunks, &lacking)?;
            tried += missed
                .iter()
                .map(|missed| missed.chunks.len())
                .sum::<usize>();
            receiver.send(version, missed, &mut sent, each)
        })?;
        Ok(sent)
    }

    /// The lacking chunks of a window, each once, with the base chunks that are like them. Those side by
    /// side are one frame as long as what they are like is not too much for one: it is looked through
    /// once for all of them, and they are compressed together as they would be without a base.
    fn missed(
        &self,
        version: &Version<'_>,
        aligner: &mut Aligner<'_>,
        chunks: &[(ChunkId, u32)],
        lacking: &HashSet<ChunkId>,
    ) -> Result<Vec<Missed>> {
        let wanted = |(id, _): &&(ChunkId, u32)| lacking.contains(id);
        let list: Vec<_> = chunks.iter().filter(wanted).copied().collect();
        let window = self.decode_window(&list)?;
        let mut next = 0;
        let all: Vec<_> = chunks
            .iter()
            .map(|(id, len)| {
                let mut bytes: &[u8] = &[];
                if lacking.contains(id) {
                    bytes = window.chunk(next).unwrap_or_default();
                    next += 1;
                }
                let (id, len) = (*id, u64::from(*len));
                Chunk { id, len, bytes }
            })
            .collect();
        let parts = aligner.window(&all, &|| version.features())?;
        let mut seen = HashSet::new();
        let mut missed: Vec<Missed> = Vec::new();
        // Whether the last one ends where the next chunk begins.
        let mut is_open = false;
        for (chunk, part) in all.iter().zip(parts) {
            let like = match part {
                Part::Gap(part) | Part::Like(part) => version.at(&part),
                Part::Known(_) => Vec::new(),
            };
            if like.is_empty() || !lacking.contains(&chunk.id) || !seen.insert(chunk.id) {
                is_open = false;
                continue;
            }
            let open = missed.last_mut().filter(|_| is_open);
            if !open.is_some_and(|open| open.takes(chunk, &like)) {
                missed.push(Missed::new(chunk.id, chunk.bytes.to_vec(), like));
            }
            is_open = true;
        }
        Ok(missed)
    }
}

/// Chunks to be sent in one frame.
struct Missed {
    chunks: Vec<(ChunkId, u32)>,
    /// Theirs, one after the other.
    bytes: Vec<u8>,
    /// The base chunks that are like each of them.
    likes: Vec<Vec<ChunkId>>,
}

/// What is known of the chunks of the receiver.
struct Receiver<'a, 'k> {
    store: &'a Store,
    aim: Aim,
    ask: AskKin<'k>,
    kin: HashMap<ChunkId, Option<Kin>>,
}

impl<'a, 'k> Receiver<'a, 'k> {
    fn new(store: &'a Store, aim: Aim, ask: AskKin<'k>) -> Receiver<'a, 'k> {
        Receiver {
            store,
            aim,
            ask,
            kin: HashMap::new(),
        }
    }

    /// Those of `chunks` that it lacks. What is known of others before them is forgotten.
    fn lacks(&mut self, chunks: impl Iterator<Item = ChunkId>) -> Result<HashSet<ChunkId>> {
        self.kin.clear();
        let ids: Vec<_> = chunks.collect();
        let kin = (self.ask)(&ids)?;
        let lacking = ids.into_iter().zip(kin).filter(|(_, kin)| kin.is_none());
        Ok(lacking.map(|(id, _)| id).collect())
    }

    /// Gives away those frames of missed chunks that are worth it.
    fn send(
        &mut self,
        version: &Version<'_>,
        missed: Vec<Missed>,
        sent: &mut HashSet<ChunkId>,
        each: &mut dyn FnMut(Frame) -> Result<()>,
    ) -> Result<()> {
        for frame in self.frames(version, missed)? {
            sent.extend(frame.chunks.iter().map(|(id, _)| *id));
            each(frame)?;
        }
        Ok(())
    }

    /// Those frames of missed chunks that are worth it. Where bases are too deep, what they are based on
    /// is more than one frame may name: then each chunk goes by itself.
    fn frames(&mut self, version: &Version<'_>, missed: Vec<Missed>) -> Result<Vec<Frame>> {
        let like = missed.iter().flat_map(|missed| missed.likes.concat());
        self.learn(like.collect())?;
        let most = self.aim.depth - 1;
        let (deep, mut missed): (Vec<_>, Vec<_>) = missed.into_iter().partition(|missed| {
            let mut kin = missed.likes.iter().flatten().map(|id| self.kin.get(id));
            kin.any(|kin| matches!(kin, Some(Some(kin)) if kin.depth > most))
        });
        missed.extend(deep.into_iter().flat_map(Missed::apart));
        let mut choices = Vec::with_capacity(missed.len());
        for missed in &missed {
            choices.push(self.choices(&missed.like())?);
        }
        let tried: Vec<_> = missed.iter().zip(choices).collect();
        let mut frames = Vec::with_capacity(missed.len());
        let level = self.aim.level;
        for some in batches(&tried, |(_, choices)| choices.concat()) {
            let named = some.iter().flat_map(|(_, choices)| choices.concat());
            let others = named.filter(|id| version.chunk(id).is_none());
            let others = self.store.bases(others, 0)?;
            let base = |id: &ChunkId| version.chunk(id).or_else(|| others.get(id));
            let best = some
                .par_iter()
                .map(|(missed, choices)| missed.frame(choices, base, level));
            frames.extend(best.collect::<Vec<_>>().into_iter().flatten());
        }
        Ok(frames)
    }

    /// The bases to be tried: those that are like the chunk, as far as they are not too deep; and where
    /// they are, also some further back.
    fn choices(&mut self, like: &[ChunkId]) -> Result<Vec<Vec<ChunkId>>> {
        let most = self.aim.depth - 1;
        let near = self.above(like, most)?;
        let mut choices = match near == *like {
            true => vec![near],
            false => vec![near, self.above(like, BACK.min(most))?],
        };
        choices.dedup();
        choices.retain(|bases| !bases.is_empty());
        Ok(choices)
    }

    /// These chunks, or instead of those that are deeper than `depth` what they are based on.
    fn above(&mut self, like: &[ChunkId], depth: u8) -> Result<Vec<ChunkId>> {
        let mut list = like.to_vec();
        for _ in 0..=DELTA_DEPTH_MAX {
            self.learn(list.clone())?;
            let mut next = Vec::with_capacity(list.len());
            for id in &list {
                match self.kin.get(id) {
                    Some(Some(kin)) if kin.depth > depth => next.extend_from_slice(&kin.bases),
                    Some(Some(_)) => next.push(*id),
                    _ => {}
                }
            }
            let mut seen = HashSet::new();
            next.retain(|id| seen.insert(*id));
            // Whatever a receiver says.
            let spare = next.len().saturating_sub(8 * FRAME_BASES_MAX);
            next = next.split_off(spare / 2);
            next.truncate(8 * FRAME_BASES_MAX);
            if next == list {
                break;
            }
            list = next;
        }
        // Those in the middle are the bases of the chunk in the middle.
        let spare = list.len().saturating_sub(FRAME_BASES_MAX);
        let list = list.into_iter().skip(spare / 2).take(FRAME_BASES_MAX);
        Ok(list
            .filter(|id| {
                let kin = self.kin.get(id).and_then(Option::as_ref);
                kin.is_some_and(|kin| kin.depth <= depth)
            })
            .collect())
    }

    fn learn(&mut self, mut ids: Vec<ChunkId>) -> Result<()> {
        let mut seen = HashSet::new();
        ids.retain(|id| !self.kin.contains_key(id) && seen.insert(*id));
        if ids.is_empty() {
            return Ok(());
        }
        let kin = (self.ask)(&ids)?;
        self.kin.extend(ids.into_iter().zip(kin));
        Ok(())
    }
}

impl Missed {
    fn new(id: ChunkId, bytes: Vec<u8>, like: Vec<ChunkId>) -> Missed {
        Missed {
            chunks: vec![(id, bytes.len() as u32)],
            bytes,
            likes: vec![like],
        }
    }

    /// The base chunks that are like them, each once.
    fn like(&self) -> Vec<ChunkId> {
        let mut seen = HashSet::new();
        let like = self.likes.iter().flatten().copied();
        like.filter(|id| seen.insert(*id)).collect()
    }

    /// Takes the chunk that follows, if it is like what these are like.
    fn takes(&mut self, chunk: &Chunk<'_>, like: &[ChunkId]) -> bool {
        let known = self.like();
        let more = like.iter().filter(|id| !known.contains(id)).count();
        let fits = more < like.len()
            && known.len() + more <= FRAME_BASES_MAX
            && self.bytes.len() + chunk.bytes.len() <= FRAME_TARGET;
        if fits {
            self.likes.push(like.to_vec());
            self.chunks.push((chunk.id, chunk.len as u32));
            self.bytes.extend_from_slice(chunk.bytes);
        }
        fits
    }

    /// Each of the chunks by itself.
    fn apart(self) -> Vec<Missed> {
        let mut rest = self.bytes.as_slice();
        let each = self.chunks.into_iter().zip(self.likes);
        let each = each.map(|((id, len), like)| {
            let (bytes, tail) = rest.split_at(len as usize);
            rest = tail;
            Missed::new(id, bytes.to_vec(), like)
        });
        each.collect()
    }

    /// Whether a difference of so many bytes is worth it, by what samples take without a base.
    fn is_clearly_worth(&self, cost: usize) -> bool {
        let part = self.bytes.len().div_ceil(SAMPLES.0).max(1);
        let (mut all, mut packed) = (0, 0);
        for part in self.bytes.chunks(part) {
            let sample = &part[..part.len().min(SAMPLES.1)];
            all += sample.len();
            packed += frame::compressed_at(1, sample).map_or(sample.len(), |packed| packed.len());
        }
        let alone = packed * self.bytes.len() / all.max(1);
        let is_dense = alone * DENSE.1 < self.bytes.len() * DENSE.0;
        !is_dense && cost * CLEARLY.1 < alone * CLEARLY.0
    }

    /// Their frame with the best of these bases, if it is worth it.
    fn frame<'b>(
        &self,
        choices: &[Vec<ChunkId>],
        base: impl Fn(&ChunkId) -> Option<&'b [u8]>,
        level: i32,
    ) -> Option<Frame> {
        let mut best: Option<(Vec<u8>, &Vec<ChunkId>)> = None;
        for named in choices {
            let bases: Option<Vec<&[u8]>> = named.iter().map(&base).collect();
            // A base that is not here any more serves nobody.
            let Some(mut bytes) = bases else { continue };
            bytes.push(&self.bytes);
            let bytes = bytes.concat();
            let prefix = bytes.len() - self.bytes.len();
            let Some(packed) = frame::compress_with_prefix(&bytes, prefix, level) else {
                continue;
            };
            let limit = best.as_ref().map_or(usize::MAX, |(best, _)| {
                best.len() * BACK_COST.0 / BACK_COST.1
            });
            if packed.len() <= limit {
                best = Some((packed, named));
            }
        }
        let (stored, named) = best?;
        // With the ids of its bases, in the frame and in the table.
        let cost = stored.len() + 64 * named.len();
        if !self.is_clearly_worth(cost) {
            let plain = frame::compressed(&self.bytes).map_or(self.bytes.len(), |p| p.len());
            if cost * SHARE.1 >= plain.min(self.bytes.len()) * SHARE.0 {
                return None;
            }
        }
        Some(Frame {
            codec: Codec::ZstdPrefix,
            // Whoever stores it knows how deep it is there.
            depth: 1,
            chunks: self.chunks.clone(),
            bases: named.clone(),
            stored,
        })
    }
}

#[cfg(test)]
mod tests;
