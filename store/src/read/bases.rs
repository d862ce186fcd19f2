//! The bases of delta frames: those that a stretch of a lob needs are decoded together, each once.

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::frame::{Frame, decode, verify_chunk};
use crate::id::ChunkId;
use crate::limits::{BASES_TOGETHER_MAX, BEHIND_MAX, DELTA_DEPTH_MAX, READ_DEPTH_MAX};
use crate::store::Store;
use crate::view::is_absent;

use super::spare::Buffer;
use super::window::Layout;
use super::{Group, Kin};

/// Base chunks at hand, and how far their frames are from what was asked for: so a cycle ends.
pub(crate) struct Bases {
    depth: u8,
    /// Whether they are not verified, because what is made of them is.
    trusting: bool,
    /// Their bytes, in the order in which they were named: what is named next to each other is the prefix
    /// of a frame as it stands here.
    bytes: Option<Buffer>,
    places: HashMap<ChunkId, Range<usize>>,
    /// Those that cannot be had, with what is damaged and why; `None` where they are not here.
    failed: HashMap<ChunkId, Option<(String, String)>>,
}

impl Bases {
    /// None at hand, for frames that are opened for the sake of others, `depth` of them in a row.
    pub(super) fn none(depth: u8, trusting: bool) -> Bases {
        Bases {
            depth,
            trusting,
            bytes: None,
            places: HashMap::new(),
            failed: HashMap::new(),
        }
    }

    /// How many frames were opened for the sake of which these are needed.
    pub(super) fn depth(&self) -> u8 {
        self.depth
    }

    /// Whether they are for frames that are bases themselves and not verified.
    pub(super) fn is_for_trusted(&self) -> bool {
        self.trusting && self.depth > 0
    }

    fn get(&self, id: &ChunkId) -> Option<&[u8]> {
        self.bytes.as_ref()?.get(self.places.get(id)?.clone())
    }

    /// The bytes of these, one after the other; `None` where one is not at hand.
    pub(crate) fn join(&self, named: &[ChunkId]) -> Option<Cow<'_, [u8]>> {
        let places: Option<Vec<_>> = named.iter().map(|id| self.places.get(id)).collect();
        let places = places?;
        if places.windows(2).all(|two| two[0].end == two[1].start) {
            let (first, last) = (places.first()?, places.last()?);
            let bytes = self.bytes.as_ref()?.get(first.start..last.end);
            return bytes.map(Cow::Borrowed);
        }
        let parts: Option<Vec<_>> = named.iter().map(|id| self.get(id)).collect();
        Some(Cow::Owned(parts?.concat()))
    }
}

impl Store {
    /// Decodes frames to where their chunks are to stand, and verifies those that were asked for, on all
    /// cores. What they are based on is decoded before, each frame once: otherwise the work would grow
    /// with every base of every base. Bases are verified too, unless what is made of them is to tell
    /// whether they are right.
    pub(super) fn decode_groups(
        &self,
        layout: &Layout,
        depth: u8,
        trusting: bool,
    ) -> Result<(Buffer, Vec<Result<()>>)> {
        // Most lobs are small: one plain frame is not worth waking another core.
        if let [group] = &layout.groups[..]
            && group.bases().is_empty()
        {
            let mut bytes = self.spare().buffer(layout.len);
            let bases = Bases::none(depth, trusting);
            let slots = layout.slots(&mut bytes).pop();
            let done = self.decode_group(group, &mut slots.unwrap_or_default(), &bases);
            return Ok((bytes, vec![done]));
        }
        let bases_of =
            |some: &[Group]| self.bases_for(some.iter().flat_map(Group::bases), depth, trusting);
        let batches: Vec<_> = batches(&layout.groups, Group::bases).collect();
        // Before there is a place for what they serve: so few are there at once, however many stand on
        // each other.
        let mut first = batches.first().map(|some| bases_of(some)).transpose()?;
        let mut bytes = self.spare().buffer(layout.len);
        let mut slots = layout.slots(&mut bytes);
        let mut rest = &mut slots[..];
        let mut decoded = Vec::with_capacity(layout.groups.len());
        for some in batches {
            let (slots, later) = rest.split_at_mut(some.len());
            rest = later;
            let bases = first.take().map_or_else(|| bases_of(some), Ok)?;
            let each = some.par_iter().zip(slots);
            let done = each.map(|(group, slots)| self.decode_group(group, slots, &bases));
            decoded.extend(done.collect::<Vec<_>>());
        }
        Ok((bytes, decoded))
    }

    /// These base chunks, for frames that are opened for the sake of others, `depth` of them in a row.
    /// One that cannot be had is noted: it matters to a few frames only, which will say so.
    pub(crate) fn bases(&self, named: impl Iterator<Item = ChunkId>, depth: u8) -> Result<Bases> {
        self.bases_for(named, depth, false)
    }

    fn bases_for(
        &self,
        named: impl Iterator<Item = ChunkId>,
        depth: u8,
        trusting: bool,
    ) -> Result<Bases> {
        let mut bases = Bases::none(depth, trusting);
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
        let layout = match self.layout(&list) {
            Err(error) if is_absent(&error) => return Ok(bases),
            layout => layout?,
        };
        let (bytes, decoded) = self.decode_groups(&layout, depth + 1, trusting)?;
        bases.bytes = Some(bytes);
        for (group, done) in layout.groups.iter().zip(decoded) {
            match done {
                Err(error) if is_absent(&error) => {
                    let why = match error {
                        Error::Damaged { what, why } => Some((what, why)),
                        _ => None,
                    };
                    let ids = group.chunks.iter().map(|chunk| (chunk.id, why.clone()));
                    bases.failed.extend(ids);
                }
                done => done?,
            }
        }
        let ids = list.into_iter().map(|(id, _)| id);
        bases.places = ids.zip(layout.places).collect();
        bases.places.retain(|id, _| !bases.failed.contains_key(id));
        Ok(bases)
    }

    /// The bytes before those of a frame with these bases.
    pub(super) fn prefix<'b>(&self, named: &[ChunkId], bases: &'b Bases) -> Result<Cow<'b, [u8]>> {
        if bases.depth >= READ_DEPTH_MAX {
            return Err(Error::damaged("a frame", "its bases are too deep"));
        }
        if let Some(prefix) = bases.join(named) {
            return Ok(prefix);
        }
        let mut prefix = Vec::new();
        for id in named {
            match (bases.get(id), bases.failed.get(id)) {
                (Some(bytes), _) => prefix.extend_from_slice(bytes),
                // Looking again would be in vain, at every depth.
                (None, Some(None)) => return Err(Error::NoChunk(*id)),
                (None, Some(Some((what, why)))) => return Err(Error::damaged(what, why)),
                (None, None) => prefix.extend(self.chunk_at_depth(id, bases.depth + 1)?),
            }
        }
        Ok(Cow::Owned(prefix))
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
        let prefix = self.prefix(&frame.bases, bases)?;
        decode(frame.codec, &frame.stored, frame.raw_len(), &prefix)
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
