//! What a lob reaches: its manifest, the segments and chunks in it, and the bases of their frames,
//! as one view has them.

use std::collections::{HashMap, HashSet};

use crate::error::{Error, Result};
use crate::frame::{decode, verify_chunk};
use crate::id::{ChunkId, LobId, PackId};
use crate::limits::{BEHIND_MAX, CHUNK_MAX, PLACES_MAX, READ_DEPTH_MAX};
use crate::manifest::{Manifest, Parts, Segment};
use crate::pack::{self, ChunkEntry, FrameEntry, LobEntry};
use crate::store::Store;
use crate::view::{Place, View, is_absent};

/// Base chunks that were read for the sake of one frame: bases have bases in common.
type Known = HashMap<ChunkId, Vec<u8>>;

/// A store as one view has it: what is read through it does not change with the roots.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reach<'a> {
    pub(crate) store: &'a Store,
    pub(crate) view: &'a View,
}

impl Reach<'_> {
    /// The manifest of a lob, of whichever pack has a good one.
    pub(crate) fn manifest(&self, id: &LobId) -> Result<Option<Manifest>> {
        let places = self.view.find_all(self.store.packs(), id, PLACES_MAX)?;
        let mut failed = None;
        for place in &places {
            match self.manifest_at(place) {
                Err(error) if is_absent(&error) => failed = Some(error),
                done => return done.map(Some),
            }
        }
        failed.map_or(Ok(None), Err)
    }

    /// The manifest at this place.
    pub(crate) fn manifest_at(&self, place: &Place<LobEntry>) -> Result<Manifest> {
        let packs = self.store.packs();
        let file = packs.file(&place.pack)?;
        pack::read_manifest(file.as_ref(), &packs.path(&place.pack), &place.entry)
    }

    /// Calls `each` for every chunk that a manifest needs: before those of a list the chunk that
    /// lists them.
    pub(crate) fn each_chunk(
        &self,
        manifest: &Manifest,
        each: &mut dyn FnMut(&ChunkId) -> Result<()>,
    ) -> Result<()> {
        match &manifest.parts {
            Parts::Chunks(chunks) => chunks.iter().try_for_each(|(id, _)| each(id)),
            Parts::Segments(segments) => self.each_listed(segments, each),
            Parts::Groups(groups) => groups.iter().try_for_each(|group| {
                each(&group.id)?;
                self.each_listed(&group.decode_group(&self.bytes(&group.id)?)?, each)
            }),
        }
    }

    fn each_listed(
        &self,
        segments: &[Segment],
        each: &mut dyn FnMut(&ChunkId) -> Result<()>,
    ) -> Result<()> {
        segments.iter().try_for_each(|segment| {
            each(&segment.id)?;
            let list = segment.decode_list(&self.bytes(&segment.id)?)?;
            list.iter().try_for_each(|(id, _)| each(id))
        })
    }

    /// The chunks on which the frame of a chunk is based.
    pub(crate) fn bases(&self, place: &Place<ChunkEntry>) -> Vec<ChunkId> {
        let frame = place.table.frame(place.entry.frame as usize);
        frame.map_or_else(Vec::new, |frame| place.table.bases(&frame))
    }

    /// The verified bytes of a chunk.
    pub(crate) fn bytes(&self, id: &ChunkId) -> Result<Vec<u8>> {
        self.any_bytes(id, 0, &mut Known::new())
    }

    fn any_bytes(&self, id: &ChunkId, depth: u8, known: &mut Known) -> Result<Vec<u8>> {
        if let Some(bytes) = known.get(id) {
            return Ok(bytes.clone());
        }
        let mut failed = Error::NoChunk(*id);
        for place in self.view.find_all(self.store.packs(), id, PLACES_MAX)? {
            match self.bytes_for(&place, depth, known) {
                Err(error) if is_absent(&error) => failed = error,
                done => return done,
            }
        }
        Err(failed)
    }

    /// The verified bytes of the chunk at this place.
    pub(crate) fn bytes_at(&self, place: &Place<ChunkEntry>) -> Result<Vec<u8>> {
        self.bytes_for(place, 0, &mut Known::new())
    }

    /// `depth` counts the frames that were opened for the sake of this one.
    fn bytes_for(
        &self,
        place: &Place<ChunkEntry>,
        depth: u8,
        known: &mut Known,
    ) -> Result<Vec<u8>> {
        let id = &place.entry.id;
        let frame = place.table.frame(place.entry.frame as usize);
        let place_of_frame = Place {
            pack: place.pack,
            table: place.table.clone(),
            entry: frame.ok_or_else(|| Error::damaged(id, "it is in no frame"))?,
        };
        let raw = self.raw_for(&place_of_frame, depth, known)?;
        let bytes = part(&raw, &place.entry)?.to_vec();
        if depth > 0 && known.len() < BEHIND_MAX {
            let _ = known.insert(*id, bytes.clone());
        }
        Ok(bytes)
    }

    /// A frame decoded, and nothing of it verified.
    pub(crate) fn raw(&self, place: &Place<FrameEntry>) -> Result<Vec<u8>> {
        self.raw_for(place, 0, &mut Known::new())
    }

    fn raw_for(&self, place: &Place<FrameEntry>, depth: u8, known: &mut Known) -> Result<Vec<u8>> {
        let (frame, packs) = (&place.entry, self.store.packs());
        let (file, path) = (packs.file(&place.pack)?, packs.path(&place.pack));
        let stored = pack::read_frame_payload(file.as_ref(), &path, frame)?;
        let bases = place.table.bases(frame);
        if depth >= READ_DEPTH_MAX && !bases.is_empty() {
            let why = "a frame whose bases are too deep";
            return Err(Error::damaged(path.display(), why));
        }
        let mut prefix = Vec::new();
        for base in &bases {
            prefix.extend(self.any_bytes(base, depth + 1, known)?);
        }
        decode(frame.codec, &stored, frame.raw as usize, &mut prefix)
    }
}

impl Store {
    /// Those of `ids` that are here and cannot be read, because packs are gone that held something of
    /// them. Costs little where no pack is gone. Damage in packs that are there is not noticed.
    pub fn torn(&self, ids: &[LobId]) -> Result<Vec<LobId>> {
        loop {
            let _ = self.refresh()?;
            let view = self.view();
            let there: HashSet<PackId> = self
                .packs()
                .on_disk()?
                .into_iter()
                .map(|(id, _)| id)
                .collect();
            if view.absent.is_empty() && view.packs().all(|id| there.contains(&id)) {
                return Ok(Vec::new());
            }
            let reach = Reach {
                store: self,
                view: &view,
            };
            let mut torn = Vec::new();
            for id in ids {
                if reach.is_torn(id, &there)? {
                    torn.push(*id);
                }
            }
            // A prune may have taken packs whose content it moved before.
            if torn.is_empty() || !self.refresh()? {
                return Ok(torn);
            }
        }
    }
}

impl Reach<'_> {
    /// Whether a lob that is shown needs anything that is in none of the packs that are `there`.
    fn is_torn(&self, id: &LobId, there: &HashSet<PackId>) -> Result<bool> {
        let mut next = Vec::new();
        let listed = self.manifest(id).and_then(|manifest| match manifest {
            Some(manifest) => self.each_chunk(&manifest, &mut |id| {
                next.push(*id);
                Ok(())
            }),
            None => Ok(()),
        });
        match listed {
            Err(error) if is_absent(&error) => return Ok(true),
            listed => listed?,
        }
        let mut seen: HashSet<ChunkId> = next.iter().copied().collect();
        while let Some(id) = next.pop() {
            let places = self.view.find_all(self.store.packs(), &id, PLACES_MAX)?;
            let Some(place) = places.iter().find(|place| there.contains(&place.pack)) else {
                return Ok(true);
            };
            let bases = self.bases(place).into_iter();
            next.extend(bases.filter(|base| seen.insert(*base)));
        }
        Ok(false)
    }
}

/// The verified bytes of a chunk of the decoded frame `raw`.
pub(crate) fn part<'r>(raw: &'r [u8], chunk: &ChunkEntry) -> Result<&'r [u8]> {
    let start = chunk.offset as usize;
    let bytes = raw
        .get(start..start + (chunk.len as usize).min(CHUNK_MAX))
        .ok_or_else(|| Error::damaged(chunk.id, "its frame is too short"))?;
    verify_chunk(&chunk.id, bytes)?;
    Ok(bytes)
}
