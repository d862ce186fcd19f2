//! Reading lobs and frames: located, decoded and verified on all cores, in bounded windows.

mod bases;
mod recent;
mod stored;
mod whole;
mod window;

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::mpsc;

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::frame::{Codec, Frame, decode, verify_chunk};
use crate::id::{ChunkId, LobId, PackId};
use crate::limits::{CHUNK_MAX, READ_WINDOW, WINDOW_ITEMS_MAX};
use crate::manifest::{Manifest, Parts, Segment};
use crate::pack::{self, ChunkEntry, FrameEntry};
use crate::store::Store;
use crate::view::{Place, is_absent};

pub(crate) use bases::{Bases, batches};
pub(crate) use recent::Recent;
pub use stored::Stored;

thread_local! {
    static PREFIX: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// What the frame of a chunk stands on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kin {
    /// Length of the longest chain of bases behind the frame; 0 for a plain one.
    pub depth: u8,
    /// Its base chunks, in order.
    pub bases: Vec<ChunkId>,
}

/// Those of `lists` that touch `range`, with their offsets; the first of all is at `at`.
fn touching<'a>(
    mut at: u64,
    lists: &'a [Segment],
    range: &Range<u64>,
) -> impl Iterator<Item = (u64, &'a Segment)> {
    let Range { start, end } = *range;
    let placed = lists.iter().map(move |list| {
        at += list.bytes;
        (at - list.bytes, list)
    });
    placed.filter(move |(at, list)| at + list.bytes > start && *at < end)
}

/// Is called with an offset in a lob and the chunks that follow from there.
type EachRun<'a> = &'a mut dyn FnMut(u64, &[(ChunkId, u32)]) -> Result<()>;

/// Chunks of one frame that are read together.
struct Group {
    place: Place<FrameEntry>,
    chunks: Vec<ChunkEntry>,
    /// Whether the frame moves as it is stored.
    copied: bool,
}

impl Store {
    /// Bytes `offset .. offset + len` of a lob, cut at its end. Chunks are verified, the whole is not.
    pub fn read_range(&self, id: &LobId, offset: u64, len: usize) -> Result<Vec<u8>> {
        let manifest = self.manifest(id)?.ok_or(Error::NoLob(*id))?;
        let end = manifest.size.min(offset.saturating_add(len as u64));
        let mut out = Vec::new();
        let mut at = 0;
        self.each_run(&manifest, offset..end, &mut |start, chunks| {
            at = start;
            for &(id, len) in chunks {
                let next = at + u64::from(len);
                if next > offset && at < end {
                    let bytes = self.chunk(&id)?;
                    let from = offset.saturating_sub(at) as usize;
                    let to = (end.min(next) - at) as usize;
                    out.extend_from_slice(bytes.get(from..to).unwrap_or_default());
                }
                at = next;
            }
            Ok(())
        })?;
        Ok(out)
    }

    /// Calls `each` with the offset and the chunks of each run of a manifest that touches `range`.
    pub(crate) fn each_run(
        &self,
        manifest: &Manifest,
        range: Range<u64>,
        each: EachRun<'_>,
    ) -> Result<()> {
        match &manifest.parts {
            Parts::Chunks(chunks) => each(0, chunks),
            Parts::Segments(segments) => touching(0, segments, &range)
                .try_for_each(|(at, segment)| each(at, &self.listed(segment)?)),
            Parts::Groups(groups) => touching(0, groups, &range).try_for_each(|(at, group)| {
                touching(at, &self.listed_group(group)?, &range)
                    .try_for_each(|(at, segment)| each(at, &self.listed(segment)?))
            }),
        }
    }

    /// All segments of a long lob; none of one that has none.
    pub fn segments(&self, manifest: &Manifest) -> Result<Vec<Segment>> {
        match &manifest.parts {
            Parts::Chunks(_) => Ok(Vec::new()),
            Parts::Segments(segments) => Ok(segments.clone()),
            Parts::Groups(groups) => {
                let mut segments = Vec::new();
                for group in groups {
                    segments.extend(self.listed_group(group)?);
                }
                Ok(segments)
            }
        }
    }

    /// The chunks that list what a long lob is made of, with their lengths; none of one without lists.
    pub fn lists(&self, manifest: &Manifest) -> Result<Vec<(ChunkId, u32)>> {
        let mut lists = match &manifest.parts {
            Parts::Groups(_) => manifest.named_chunks(),
            _ => Vec::new(),
        };
        let segments = self.segments(manifest)?;
        lists.extend(segments.iter().map(Segment::named));
        Ok(lists)
    }

    fn listed(&self, segment: &Segment) -> Result<Vec<(ChunkId, u32)>> {
        segment.decode_list(&self.chunk(&segment.id)?)
    }

    fn listed_group(&self, group: &Segment) -> Result<Vec<Segment>> {
        group.decode_group(&self.chunk(&group.id)?)
    }

    /// Calls `each` with all chunks of a lob in order, a bounded number of bytes at a time.
    pub(crate) fn each_window(
        &self,
        manifest: &Manifest,
        each: &mut dyn FnMut(Vec<(ChunkId, u32)>) -> Result<()>,
    ) -> Result<()> {
        let mut window = Vec::new();
        let mut bytes = 0;
        self.each_run(manifest, 0..manifest.size, &mut |_, chunks| {
            for &(id, len) in chunks {
                window.push((id, len));
                bytes += len as usize;
                if bytes >= READ_WINDOW || window.len() >= WINDOW_ITEMS_MAX {
                    bytes = 0;
                    each(std::mem::take(&mut window))?;
                }
            }
            Ok(())
        })?;
        if window.is_empty() {
            Ok(())
        } else {
            each(window)
        }
    }

    /// The verified bytes of one chunk.
    pub fn chunk(&self, id: &ChunkId) -> Result<Vec<u8>> {
        self.chunk_at_depth(id, 0)
    }

    fn chunk_at_depth(&self, id: &ChunkId, depth: u8) -> Result<Vec<u8>> {
        let place = self.need_chunk(id)?;
        self.read_any(id, &place, |place| self.chunk_in(place, depth))
    }

    /// The verified bytes of a chunk at this place.
    fn chunk_in(&self, place: &Place<ChunkEntry>, depth: u8) -> Result<Vec<u8>> {
        let id = &place.entry.id;
        let group = group_of(place)?;
        let bases = self.bases(group.bases().into_iter(), depth)?;
        let raw = self.decode_frame(&group.place, &bases)?;
        let part = range_of(&place.entry);
        let whole = match raw.get(part) {
            Some(bytes) => verify_chunk(id, bytes).map(|()| bytes.to_vec()),
            None => Err(Error::damaged(id, "its frame is too short")),
        };
        self.in_pack(&place.pack, whole)
    }

    /// Names the pack in an error about damage of a part of it.
    fn in_pack<T>(&self, pack: &PackId, read: Result<T>) -> Result<T> {
        read.map_err(|error| match error {
            Error::Damaged { what, why } => {
                let path = self.packs().path(pack);
                Error::damaged(path.display(), format_args!("{what}: {why}"))
            }
            other => other,
        })
    }

    /// Decodes a frame; its chunks are not verified yet. Those of its bases that are not among `bases`
    /// are read for it alone.
    fn decode_frame(&self, place: &Place<FrameEntry>, bases: &Bases) -> Result<Vec<u8>> {
        let file = self.packs().file(&place.pack)?;
        let path = self.packs().path(&place.pack);
        let stored = pack::read_frame_payload(file.as_ref(), &path, &place.entry)?;
        let (codec, raw_len) = (place.entry.codec, place.entry.raw as usize);
        let raw = match codec {
            Codec::Raw if stored.len() == raw_len => Ok(stored),
            Codec::Raw | Codec::Zstd => decode(codec, &stored, raw_len, &mut Vec::new()),
            Codec::ZstdPrefix => {
                // One for all frames of a thread: the system takes long to give memory anew.
                let mut prefix = PREFIX.take();
                prefix.clear();
                self.prefix(&place.table.bases(&place.entry), bases, &mut prefix)?;
                let raw = decode(codec, &stored, raw_len, &mut prefix);
                PREFIX.set(prefix);
                raw
            }
        };
        self.in_pack(&place.pack, raw)
    }

    /// For each chunk what its frame stands on; `None` where the store does not hold it.
    pub fn kin(&self, chunks: &[ChunkId]) -> Result<Vec<Option<Kin>>> {
        let view = self.view();
        let kin = |id: &ChunkId| {
            let place = view.find(self.packs(), id)?;
            Ok(place.map(|place| {
                let frame = place.table.frame(place.entry.frame as usize);
                frame.map_or_else(Kin::default, |frame| Kin {
                    depth: frame.depth,
                    bases: place.table.bases(&frame),
                })
            }))
        };
        chunks.iter().map(kin).collect()
    }

    /// Calls `each` for frames that together hold all of `chunks` (which the store must hold), in
    /// their order, reading on all cores and never holding more than a bounded window.
    /// Frames are as stored; one of which less than half is asked for, and one with a base that is
    /// not among `relied`, the chunks that the receiver has, comes newly made of just what is asked
    /// for. Chunks of frames as stored are not verified unless another pack could serve:
    /// [`Writer::add_frame`](crate::Writer::add_frame) does that.
    pub fn each_frame(
        &self,
        chunks: &[ChunkId],
        relied: &HashSet<ChunkId>,
        each: &mut dyn FnMut(Frame) -> Result<()>,
    ) -> Result<()> {
        let mut groups = self.group_by_frame(chunks)?;
        groups.iter_mut().for_each(|group| group.copy_if(relied));
        std::thread::scope(|scope| {
            let (sender, receiver) = mpsc::sync_channel::<Vec<Frame>>(1);
            let ahead = scope.spawn(move || {
                // Those that are copied need no bases here.
                let needed = |group: &Group| match group.copied {
                    true => Vec::new(),
                    false => group.bases(),
                };
                for window in windows(&groups) {
                    for some in batches(window, needed) {
                        let bases = self.bases(some.iter().flat_map(needed), 0)?;
                        let frame = |group| self.frame_of(group, &bases);
                        let frames: Result<_> = some.par_iter().map(frame).collect();
                        sender.send(frames?).map_err(|_| Error::Interrupted)?;
                    }
                }
                Ok(())
            });
            for frames in receiver {
                frames.into_iter().try_for_each(&mut *each)?;
            }
            ahead
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn group_by_frame(&self, chunks: &[ChunkId]) -> Result<Vec<Group>> {
        let mut groups: Vec<Group> = Vec::new();
        let mut known: HashMap<(PackId, u32), usize> = HashMap::new();
        for id in chunks {
            let place = self.need_chunk(id)?;
            let number = *known
                .entry((place.pack, place.entry.frame))
                .or_insert(groups.len());
            match groups.get_mut(number) {
                Some(group) => group.chunks.push(place.entry),
                None => groups.push(group_of(&place)?),
            }
        }
        for group in &mut groups {
            group.chunks.sort_by_key(|chunk| chunk.offset);
            group.chunks.dedup_by_key(|chunk| chunk.offset);
        }
        Ok(groups)
    }

    fn frame_of(&self, group: &Group, bases: &Bases) -> Result<Frame> {
        if group.copied {
            match self.stored_frame(group) {
                Err(error) if is_absent(&error) => {}
                done => return done,
            }
        }
        let raw = self.decode_group(group, bases)?.join();
        Ok(Frame::plain(
            group.chunks.iter().map(|c| (c.id, c.len)).collect(),
            &raw,
        ))
    }

    /// A frame as it is stored; verified where another pack could serve in its place.
    fn stored_frame(&self, group: &Group) -> Result<Frame> {
        let file = self.packs().file(&group.place.pack)?;
        let path = self.packs().path(&group.place.pack);
        let frame = pack::read_frame(file.as_ref(), &path, &group.place.entry)?;
        let view = self.view();
        for chunk in &group.chunks {
            if view.find_all(self.packs(), &chunk.id, 2)?.len() > 1 {
                self.verify_frame(&frame)?;
                break;
            }
        }
        Ok(frame)
    }
}

impl Group {
    /// Bytes of its chunks.
    fn wanted(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.len as usize).sum()
    }

    /// The bases of its frame.
    fn bases(&self) -> Vec<ChunkId> {
        self.place.table.bases(&self.place.entry)
    }

    /// Lets the frame move as it is stored, if that pays and the receiver has its bases.
    fn copy_if(&mut self, relied: &HashSet<ChunkId>) {
        let frame = &self.place.entry;
        self.copied = 2 * self.wanted() >= frame.raw as usize
            && self.bases().iter().all(|base| relied.contains(base));
    }

    /// Bytes that its frame takes in memory, at most.
    fn moved_bytes(&self) -> usize {
        let frame = &self.place.entry;
        let bytes = if self.copied {
            frame.stored as usize
        } else {
            self.wanted()
        };
        bytes + frame.chunks as usize * size_of::<(ChunkId, u32)>()
    }
}

fn group_of(place: &Place<ChunkEntry>) -> Result<Group> {
    let entry = place
        .table
        .frame(place.entry.frame as usize)
        .ok_or_else(|| Error::damaged(format!("chunk {}", place.entry.id), "it is in no frame"))?;
    Ok(Group {
        place: Place {
            pack: place.pack,
            table: place.table.clone(),
            entry,
        },
        chunks: vec![place.entry],
        copied: false,
    })
}

fn range_of(chunk: &ChunkEntry) -> Range<usize> {
    let start = chunk.offset as usize;
    start..start + (chunk.len as usize).min(CHUNK_MAX)
}

/// Runs of groups of which each is about a window of bytes in memory.
fn windows(groups: &[Group]) -> impl Iterator<Item = &[Group]> {
    let mut rest = groups;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let mut n = 0;
        while let Some(group) = rest.get(n).filter(|_| bytes < READ_WINDOW) {
            bytes += group.moved_bytes();
            n += 1;
        }
        let (window, tail) = rest.split_at(n);
        rest = tail;
        (!window.is_empty()).then_some(window)
    })
}
