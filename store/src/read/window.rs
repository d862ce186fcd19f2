//! Decoding the chunks of a stretch of a lob, each frame once, on all cores.

use std::collections::HashMap;
use std::ops::Range;

use crate::error::{Error, Result};
use crate::frame::verify_chunk;
use crate::id::{ChunkId, PackId};
use crate::store::Store;
use crate::view::is_absent;

use super::bases::Trust;
use super::{Bases, Group, group_of, range_of};

/// Verified chunks of one frame.
pub(super) struct Decoded {
    raw: Vec<u8>,
    /// Where in `raw` each of them is.
    parts: Vec<Range<usize>>,
}

impl Decoded {
    /// The bytes of part number `n`.
    pub(super) fn part(&self, n: usize) -> Option<&[u8]> {
        self.raw.get(self.parts.get(n)?.clone())
    }

    /// The chunks, one after the other.
    pub(super) fn join(&self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.parts.iter().map(Range::len).sum());
        for part in &self.parts {
            all.extend_from_slice(&self.raw[part.clone()]);
        }
        all
    }
}

/// The verified bytes of a stretch of a lob.
pub(crate) struct Window {
    frames: Vec<Decoded>,
    /// For each chunk in the order of the lob.
    order: Vec<InFrame>,
}

/// The number of a frame, and of the part of it.
pub(super) type InFrame = (usize, usize);

impl Window {
    /// The bytes of each chunk, in the order of the lob.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.order.len()).filter_map(|n| self.chunk(n))
    }

    /// The bytes of chunk number `n`.
    pub(crate) fn chunk(&self, n: usize) -> Option<&[u8]> {
        let &(frame, part) = self.order.get(n)?;
        self.frames.get(frame)?.part(part)
    }

    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.frames.iter().map(|frame| frame.raw.capacity()).sum()
    }
}

impl Store {
    /// Decodes and verifies the chunks of a stretch of a lob in parallel.
    pub(crate) fn decode_window(&self, chunks: &[(ChunkId, u32)]) -> Result<Window> {
        match self.decode_window_with(chunks, Trust::Bases) {
            // What comes out right was made of what is right. Otherwise each base is looked at, and
            // taken from elsewhere if need be.
            Err(error) if is_absent(&error) => self.decode_window_with(chunks, Trust::Nothing),
            window => window,
        }
    }

    /// The same, where what is in `trust` is not verified.
    pub(super) fn decode_window_with(
        &self,
        chunks: &[(ChunkId, u32)],
        trust: Trust,
    ) -> Result<Window> {
        let (groups, order) = self.groups_of(chunks)?;
        let frames = self.decode_groups(&groups, 0, trust)?;
        let frames = frames.into_iter().collect::<Result<_>>()?;
        Ok(Window { frames, order })
    }

    /// The frames of a stretch of a lob, and the order of its chunks in them.
    pub(super) fn groups_of(
        &self,
        chunks: &[(ChunkId, u32)],
    ) -> Result<(Vec<Group>, Vec<InFrame>)> {
        let mut groups: Vec<Group> = Vec::new();
        let mut frames: HashMap<(PackId, u32), usize> = HashMap::new();
        let mut seen: HashMap<ChunkId, (u32, (usize, usize))> = HashMap::new();
        let mut order = Vec::with_capacity(chunks.len());
        for (id, len) in chunks {
            let (found, at) = match seen.get(id) {
                Some(&known) => known,
                None => {
                    let place = self.need_chunk(id)?;
                    let frame = *frames
                        .entry((place.pack, place.entry.frame))
                        .or_insert(groups.len());
                    let at = match groups.get_mut(frame) {
                        Some(group) => {
                            group.chunks.push(place.entry);
                            (frame, group.chunks.len() - 1)
                        }
                        None => {
                            groups.push(group_of(&place)?);
                            (frame, 0)
                        }
                    };
                    *seen.entry(*id).or_insert((place.entry.len, at))
                }
            };
            if found != *len {
                return Err(Error::damaged(
                    format!("chunk {id}"),
                    "it has another length than listed",
                ));
            }
            order.push(at);
        }
        Ok((groups, order))
    }

    /// Decodes one frame, and verifies the chunks of it that were asked for. Those that cannot be had
    /// there come from other packs.
    pub(super) fn decode_group(&self, group: &Group, bases: &Bases) -> Result<Decoded> {
        match self.decode_here(group, bases) {
            Err(error) if is_absent(&error) => self.decode_apart(group, bases)?.ok_or(error),
            done => done,
        }
    }

    fn decode_apart(&self, group: &Group, bases: &Bases) -> Result<Option<Decoded>> {
        // Of a frame that is damaged some chunks may be good. Each tells by its hash.
        let here = self.decode_frame(&group.place, bases).unwrap_or_default();
        let mut raw = Vec::with_capacity(group.wanted());
        let mut parts = Vec::with_capacity(group.chunks.len());
        for chunk in &group.chunks {
            let start = raw.len();
            let good = |bytes: &&[u8]| verify_chunk(&chunk.id, bytes).is_ok();
            if let Some(bytes) = here.get(range_of(chunk)).filter(good) {
                raw.extend_from_slice(bytes);
            } else {
                let read = |place: &_| self.chunk_in(place, bases.depth());
                match self.read_elsewhere(&chunk.id, &group.place.pack, read)? {
                    Some(bytes) => raw.extend_from_slice(&bytes),
                    None => return Ok(None),
                }
            }
            parts.push(start..raw.len());
        }
        Ok(Some(Decoded { raw, parts }))
    }

    fn decode_here(&self, group: &Group, bases: &Bases) -> Result<Decoded> {
        let parts: Vec<_> = group.chunks.iter().map(range_of).collect();
        let trusted = bases.make_trusted();
        if 2 * group.wanted() >= group.place.entry.raw as usize {
            let raw = self.decode_frame(&group.place, bases)?;
            self.in_pack(&group.place.pack, group.verify(&raw, trusted))?;
            return Ok(Decoded { raw, parts });
        }
        // Small lobs share frames, and are read one after the other.
        let key = (group.place.pack, group.place.entry.offset);
        let frame = self
            .recent()
            .frame(key, || self.decode_frame(&group.place, bases))?;
        self.in_pack(&group.place.pack, group.verify(&frame, trusted))?;
        let mut raw = Vec::with_capacity(group.wanted());
        let moved = parts.iter().map(|part| {
            raw.extend_from_slice(&frame[part.clone()]);
            raw.len() - part.len()..raw.len()
        });
        let parts = moved.collect();
        Ok(Decoded { parts, raw })
    }
}

impl Group {
    /// Fails unless each of the chunks that were asked for is in the decoded frame `raw`: something of
    /// its length, where it is `trusted`.
    fn verify(&self, raw: &[u8], trusted: bool) -> Result<()> {
        self.chunks.iter().try_for_each(|chunk| {
            let bytes = raw.get(range_of(chunk)).ok_or_else(|| {
                Error::damaged(format!("chunk {}", chunk.id), "its frame is too short")
            })?;
            if trusted {
                return Ok(());
            }
            verify_chunk(&chunk.id, bytes)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::disk::OsDisk;
    use crate::frame::Frame;

    /// A few bytes each of large frames, in turn: what is held follows the bytes asked for.
    #[test]
    fn a_window_holds_little_more_than_its_bytes() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::create(Arc::new(OsDisk), &dir.path().join("s")).expect("a store");
        let filler = vec![0; 255 << 10];
        let grains: Vec<_> = (1..5u8).map(|n| vec![n; 3]).collect();
        let mut writer = store.writer().expect("a writer");
        for grain in &grains {
            let parts = [&filler, &filler, grain, &filler, &filler];
            let chunks = parts.map(|part| (ChunkId::of(part), part.len() as u32));
            let frame = Frame::plain(chunks.to_vec(), &parts.map(Vec::as_slice).concat());
            writer.add_frame(frame).expect("takes");
        }
        writer.finish().expect("publishes");
        let content: Vec<_> = (0..1000).map(|n| &grains[n % 4]).collect();
        let chunks: Vec<_> = content
            .iter()
            .map(|grain| (ChunkId::of(grain), 3))
            .collect();
        let window = store.decode_window(&chunks).expect("decodes");
        assert!(
            window
                .chunks()
                .eq(content.iter().map(|grain| grain.as_slice()))
        );
        assert_eq!(window.frames.len(), 4, "each frame is decoded once");
        assert!(window.held_bytes() <= 2 * 4 * 3);
    }
}
