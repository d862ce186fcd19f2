//! The bases of delta frames: those that a stretch of a lob needs are decoded together, each once.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::frame::{Frame, decode, verify_chunk};
use crate::id::ChunkId;
use crate::limits::{BASES_TOGETHER_MAX, BEHIND_MAX, DELTA_DEPTH_MAX, READ_DEPTH_MAX};
use crate::store::Store;
use crate::view::is_absent;

use super::window::{Decoded, InFrame};
use super::{Group, Kin};

/// Which chunks are not verified when they are decoded, because what is made of them is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// None.
    Nothing,
    /// Those that frames stand on.
    Bases,
    /// These too: the whole is hashed.
    All,
}

/// Base chunks at hand, and how far their frames are from what was asked for: so a cycle ends.
pub(crate) struct Bases {
    depth: u8,
    trust: Trust,
    frames: Vec<Option<Decoded>>,
    places: HashMap<ChunkId, InFrame>,
    /// Those that cannot be had, with what is damaged and why; `None` where they are not here.
    failed: HashMap<ChunkId, Option<(String, String)>>,
}

impl Bases {
    /// None at hand, for frames that are opened for the sake of others, `depth` of them in a row.
    pub(super) fn none(depth: u8, trust: Trust) -> Bases {
        Bases {
            depth,
            trust,
            frames: Vec::new(),
            places: HashMap::new(),
            failed: HashMap::new(),
        }
    }

    /// How many frames were opened for the sake of which these are needed.
    pub(super) fn depth(&self) -> u8 {
        self.depth
    }

    /// Whether what is made of them is not verified either.
    pub(super) fn make_trusted(&self) -> bool {
        match self.trust {
            Trust::Nothing => false,
            Trust::Bases => self.depth > 0,
            Trust::All => true,
        }
    }

    pub(crate) fn get(&self, id: &ChunkId) -> Option<&[u8]> {
        let &(frame, part) = self.places.get(id)?;
        self.frames.get(frame)?.as_ref()?.part(part)
    }
}

impl Store {
    /// Decodes frames, and verifies the chunks of them that were asked for, on all cores. What they are
    /// based on is decoded before, each frame once: otherwise the work would grow with every base of
    /// every base. What is in `trust` is not verified.
    pub(super) fn decode_groups(
        &self,
        groups: &[Group],
        depth: u8,
        trust: Trust,
    ) -> Result<Vec<Result<Decoded>>> {
        // Most lobs are small: one plain frame is not worth waking another core.
        if let [group] = groups
            && group.bases().is_empty()
        {
            return Ok(vec![self.decode_group(group, &Bases::none(depth, trust))]);
        }
        let mut decoded = Vec::with_capacity(groups.len());
        for some in batches(groups, Group::bases) {
            let bases = self.bases_for(some.iter().flat_map(Group::bases), depth, trust)?;
            let decode = |group: &Group| self.decode_group(group, &bases);
            decoded.extend(some.par_iter().map(decode).collect::<Vec<_>>());
        }
        Ok(decoded)
    }

    /// These base chunks, for frames that are opened for the sake of others, `depth` of them in a row.
    /// One that cannot be had is noted: it matters to a few frames only, which will say so.
    pub(crate) fn bases(&self, named: impl Iterator<Item = ChunkId>, depth: u8) -> Result<Bases> {
        self.bases_for(named, depth, Trust::Nothing)
    }

    fn bases_for(
        &self,
        named: impl Iterator<Item = ChunkId>,
        depth: u8,
        trust: Trust,
    ) -> Result<Bases> {
        let mut bases = Bases::none(depth, trust);
        let mut seen = HashSet::new();
        let mut list = Vec::new();
        for id in named {
            if seen.insert(id) {
                // Others may have published it meanwhile, or the index be damaged.
                match self.need(&id)? {
                    Some(place) => list.push((id, place.entry.len)),
                    None => drop(bases.failed.insert(id, None)),
                }
            }
        }
        if list.is_empty() || depth >= READ_DEPTH_MAX {
            return Ok(bases);
        }
        let (groups, order) = match self.groups_of(&list) {
            Err(error) if is_absent(&error) => return Ok(bases),
            groups => groups?,
        };
        let decoded = self.decode_groups(&groups, depth + 1, trust)?;
        for (group, frame) in groups.iter().zip(decoded) {
            match frame {
                Err(error) if is_absent(&error) => {
                    let why = match error {
                        Error::Damaged { what, why } => Some((what, why)),
                        _ => None,
                    };
                    let ids = group.chunks.iter().map(|chunk| (chunk.id, why.clone()));
                    bases.failed.extend(ids);
                    bases.frames.push(None);
                }
                frame => bases.frames.push(Some(frame?)),
            }
        }
        bases.places = list.into_iter().map(|(id, _)| id).zip(order).collect();
        Ok(bases)
    }

    /// Appends the bytes before those of a frame with these bases.
    pub(super) fn prefix(
        &self,
        named: &[ChunkId],
        bases: &Bases,
        prefix: &mut Vec<u8>,
    ) -> Result<()> {
        if bases.depth >= READ_DEPTH_MAX {
            return Err(Error::damaged("a frame", "its bases are too deep"));
        }
        for id in named {
            match (bases.get(id), bases.failed.get(id)) {
                (Some(bytes), _) => prefix.extend_from_slice(bytes),
                // Looking again would be in vain, at every depth.
                (None, Some(None)) => return Err(Error::NoChunk(*id)),
                (None, Some(Some((what, why)))) => return Err(Error::damaged(what, why)),
                (None, None) => prefix.extend(self.chunk_at_depth(id, bases.depth + 1)?),
            }
        }
        Ok(())
    }

    /// Fails unless every chunk of a frame from elsewhere hashes to its id. The bases of a delta
    /// frame must be in this store already.
    pub(crate) fn verify_frame(&self, frame: &Frame) -> Result<()> {
        self.verify_with(frame, &self.bases(frame.bases.iter().copied(), 0)?)
    }

    /// [`Store::verify_frame`] for many, on all cores.
    pub(crate) fn verify_frames(&self, frames: &[Frame]) -> Result<()> {
        for some in batches(frames, |frame| frame.bases.clone()) {
            let named = some.iter().flat_map(|frame| frame.bases.iter().copied());
            let bases = self.bases(named, 0)?;
            some.par_iter()
                .try_for_each(|frame| self.verify_with(frame, &bases))?;
        }
        Ok(())
    }

    fn verify_with(&self, frame: &Frame, bases: &Bases) -> Result<()> {
        if frame.bases.is_empty() {
            return frame.verify_plain();
        }
        let raw = self.raw_of(frame, bases)?;
        let mut rest = raw.as_slice();
        frame.chunks.iter().try_for_each(|(id, len)| {
            let (bytes, tail) = rest.split_at(*len as usize);
            rest = tail;
            verify_chunk(id, bytes)
        })
    }

    fn raw_of(&self, frame: &Frame, bases: &Bases) -> Result<Vec<u8>> {
        frame.check()?;
        let mut prefix = Vec::new();
        self.prefix(&frame.bases, bases, &mut prefix)?;
        decode(frame.codec, &frame.stored, frame.raw_len(), &mut prefix)
    }

    /// A verified delta frame as it is to be stored here: at the depth that its bases have in this
    /// store, or plain where that is too deep or too much would have to be read for it. `known` is
    /// what was found out for frames before it.
    pub(crate) fn rooted(&self, frame: Frame, known: &mut HashMap<ChunkId, Kin>) -> Result<Frame> {
        let mut behind: HashSet<ChunkId> = frame.bases.iter().copied().collect();
        let mut next = frame.bases.clone();
        let mut deepest = 0;
        while let Some(base) = next.pop().filter(|_| behind.len() <= BEHIND_MAX) {
            let kin = match known.entry(base) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let kin = self.kin(&[base])?.pop().flatten();
                    new.insert(kin.ok_or(Error::NoChunk(base))?)
                }
            };
            deepest = deepest.max(kin.depth);
            next.extend(kin.bases.iter().filter(|base| behind.insert(**base)));
        }
        if deepest < DELTA_DEPTH_MAX && behind.len() <= BEHIND_MAX {
            let depth = deepest + 1;
            return Ok(Frame { depth, ..frame });
        }
        let bases = self.bases(frame.bases.iter().copied(), 0)?;
        let raw = self.raw_of(&frame, &bases)?;
        Ok(Frame::plain(frame.chunks, &raw))
    }
}

/// Runs of frames that together name so many bases that these can be held.
pub(crate) fn batches<T>(
    frames: &[T],
    bases: impl Fn(&T) -> Vec<ChunkId>,
) -> impl Iterator<Item = &[T]> {
    let mut rest = frames;
    std::iter::from_fn(move || {
        let mut named = HashSet::new();
        let mut n = 0;
        while let Some(frame) = rest.get(n).filter(|_| named.len() < BASES_TOGETHER_MAX) {
            named.extend(bases(frame));
            n += 1;
        }
        let (batch, tail) = rest.split_at(n);
        rest = tail;
        (!batch.is_empty()).then_some(batch)
    })
}
