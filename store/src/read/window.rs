//! Decoding the chunks of a stretch of a lob, each frame once, on all cores, to where they are to stand.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::frame::verify_chunk;
use crate::id::{ChunkId, PackId};
use crate::pack::ChunkEntry;
use crate::store::Store;
use crate::view::is_absent;

use super::spare::Buffer;
use super::{Bases, Group, group_of, range_of};

/// The verified bytes of a stretch of a lob.
pub(crate) struct Window {
    bytes: Buffer,
    /// Where in them each chunk is, in the order of the lob.
    places: Vec<Range<usize>>,
}

impl Window {
    /// The bytes of each chunk, in the order of the lob.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.places.len()).filter_map(|n| self.chunk(n))
    }

    /// The bytes of chunk number `n`.
    pub(crate) fn chunk(&self, n: usize) -> Option<&[u8]> {
        self.bytes.get(self.places.get(n)?.clone())
    }
}

/// Chunks side by side, each once, and the frames that they come from.
#[derive(Default)]
pub(super) struct Layout {
    pub(super) groups: Vec<Group>,
    /// The group of each chunk that is laid out, and where it begins.
    order: Vec<(usize, usize)>,
    /// For each chunk that was asked for, where it is.
    pub(super) places: Vec<Range<usize>>,
    pub(super) len: usize,
}

impl Layout {
    /// What each group fills of `bytes`, which has room for all.
    pub(super) fn slots<'b>(&self, mut bytes: &'b mut [u8]) -> Vec<Vec<Slot<'b>>> {
        let mut slots: Vec<Vec<Slot<'b>>> = self.groups.iter().map(|_| Vec::new()).collect();
        let mut rest = self.order.as_slice();
        while let [(group, start), ..] = rest {
            let run = rest.iter().take_while(|(other, _)| other == group).count();
            rest = &rest[run..];
            let end = rest.first().map_or(self.len, |(_, start)| *start);
            let (here, later) = bytes.split_at_mut(end - start);
            bytes = later;
            let first = slots[*group].last().map_or(0, |slot| slot.chunks.end);
            slots[*group].push(Slot {
                chunks: first..first + run,
                bytes: here,
            });
        }
        slots
    }
}

/// The place for some chunks of a group, which follow each other in it.
pub(super) struct Slot<'b> {
    pub(super) chunks: Range<usize>,
    pub(super) bytes: &'b mut [u8],
}

impl Slot<'_> {
    /// Whether it is the place for a whole frame as it decodes.
    fn is_whole(&self, group: &Group) -> bool {
        let mut at = 0;
        let follow = group.chunks[self.chunks.clone()].iter().all(|chunk| {
            let follows = chunk.offset as usize == at;
            at += range_of(chunk).len();
            follows
        });
        follow && at == group.place.entry.raw as usize && at == self.bytes.len()
    }

    /// Calls `each` for its chunks with their places.
    fn each_chunk(
        &mut self,
        group: &Group,
        mut each: impl FnMut(&ChunkEntry, &mut [u8]) -> Result<()>,
    ) -> Result<()> {
        let mut rest = &mut *self.bytes;
        group.chunks[self.chunks.clone()]
            .iter()
            .try_for_each(|chunk| {
                let (here, later) = std::mem::take(&mut rest).split_at_mut(range_of(chunk).len());
                rest = later;
                each(chunk, here)
            })
    }
}

impl Store {
    /// Decodes and verifies the chunks of a stretch of a lob in parallel.
    pub(crate) fn decode_window(&self, chunks: &[(ChunkId, u32)]) -> Result<Window> {
        let layout = self.layout(chunks)?;
        let decode = |trusting| {
            let (bytes, decoded) = self.decode_groups(&layout, 0, trusting)?;
            decoded.into_iter().collect::<Result<()>>().map(|()| bytes)
        };
        // What comes out right was made of what is right. Otherwise each base is looked at, and taken
        // from elsewhere if need be.
        let bytes = match decode(true) {
            Err(error) if is_absent(&error) => decode(false)?,
            decoded => decoded?,
        };
        let places = layout.places;
        Ok(Window { bytes, places })
    }

    /// The frames of a stretch of a lob, and where its chunks are to stand: as they do in the lob, so that
    /// what follows each other in a frame or is the prefix of one need not be put together.
    pub(super) fn layout(&self, chunks: &[(ChunkId, u32)]) -> Result<Layout> {
        let mut layout = Layout::default();
        let mut frames: HashMap<(PackId, u32), usize> = HashMap::new();
        let mut seen: HashMap<ChunkId, Range<usize>> = HashMap::new();
        for (id, len) in chunks {
            let place = match seen.get(id) {
                Some(known) => known.clone(),
                None => {
                    let place = self.need_chunk(id)?;
                    let frame = (place.pack, place.entry.frame);
                    let group = *frames.entry(frame).or_insert(layout.groups.len());
                    match layout.groups.get_mut(group) {
                        Some(group) => group.chunks.push(place.entry),
                        None => layout.groups.push(group_of(&place)?),
                    }
                    layout.order.push((group, layout.len));
                    let start = layout.len;
                    layout.len += range_of(&place.entry).len();
                    seen.entry(*id).or_insert(start..layout.len).clone()
                }
            };
            if place.len() != *len as usize {
                return Err(Error::damaged(
                    format!("chunk {id}"),
                    "it has another length than listed",
                ));
            }
            layout.places.push(place);
        }
        Ok(layout)
    }

    /// Decodes one frame to where the chunks of it are to stand that were asked for, and verifies them.
    /// Those that cannot be had there come from other packs.
    pub(super) fn decode_group(
        &self,
        group: &Group,
        slots: &mut [Slot<'_>],
        bases: &Bases,
    ) -> Result<()> {
        match self.decode_here(group, slots, bases) {
            Err(error) if is_absent(&error) => match self.decode_apart(group, slots, bases)? {
                true => Ok(()),
                false => Err(error),
            },
            done => done,
        }
    }

    /// Whether all could be had.
    fn decode_apart(&self, group: &Group, slots: &mut [Slot<'_>], bases: &Bases) -> Result<bool> {
        // Of a frame that is damaged some chunks may be good. Each tells by its hash.
        let here = self.decode_frame(&group.place, bases).unwrap_or_default();
        let mut all = true;
        for slot in slots {
            slot.each_chunk(group, |chunk, bytes| {
                let good = |bytes: &&[u8]| verify_chunk(&chunk.id, bytes).is_ok();
                if let Some(found) = here.get(range_of(chunk)).filter(good) {
                    bytes.copy_from_slice(found);
                } else if all {
                    let read = |place: &_| self.chunk_in(place, bases.depth());
                    let found = self.read_elsewhere(&chunk.id, &group.place.pack, read)?;
                    match found.filter(|found| found.len() == bytes.len()) {
                        Some(found) => bytes.copy_from_slice(&found),
                        None => all = false,
                    }
                }
                Ok(())
            })?;
        }
        Ok(all)
    }

    fn decode_here(&self, group: &Group, slots: &mut [Slot<'_>], bases: &Bases) -> Result<()> {
        let verify = |chunk: &ChunkEntry, bytes: &[u8]| match bases.is_for_trusted() {
            true => Ok(()),
            false => verify_chunk(&chunk.id, bytes),
        };
        if let [slot] = &mut *slots
            && slot.is_whole(group)
        {
            self.decode_frame_to(&group.place, bases, slot.bytes)?;
            let done = slot.each_chunk(group, |chunk, bytes| verify(chunk, bytes));
            return self.in_pack(&group.place.pack, done);
        }
        let raw = self.decoded(group, bases)?;
        let done = slots.iter_mut().try_for_each(|slot| {
            slot.each_chunk(group, |chunk, bytes| {
                let found = raw.get(range_of(chunk)).ok_or_else(|| {
                    Error::damaged(format!("chunk {}", chunk.id), "its frame is too short")
                })?;
                bytes.copy_from_slice(found);
                verify(chunk, bytes)
            })
        });
        self.in_pack(&group.place.pack, done)
    }

    /// The frame of a group.
    fn decoded(&self, group: &Group, bases: &Bases) -> Result<Arc<Vec<u8>>> {
        let decode = || self.decode_frame(&group.place, bases);
        if 2 * group.wanted() >= group.place.entry.raw as usize {
            return decode().map(Arc::new);
        }
        // Small lobs share frames, and are read one after the other.
        let key = (group.place.pack, group.place.entry.offset);
        self.recent().frame(key, decode)
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
        let layout = store.layout(&chunks).expect("finds all");
        assert_eq!(layout.groups.len(), 4, "each frame is decoded once");
        assert!(window.bytes.len() <= 2 * 4 * 3);
    }
}
