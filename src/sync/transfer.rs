//! Copying lobs from one store to another.
//!
//! Work goes in windows, so that memory stays flat in the number and the size of lobs: manifests
//! of a window, the chunks that the other side lacks, their frames in order, then the manifests,
//! then publishing. What a cut run has published stays, and the next run sends only the rest.

use std::collections::{HashMap, HashSet};

use lob_store::{ChunkId, Frame, LobId, LobInfo, Manifest, Parts, Progress, Segment};

mod deltas;
mod lanes;
mod run;
mod streams;

use super::plan::Why;
use crate::remote::{Against, Error, Origin, Pace, Remote, Result, retrying};
use lanes::Lanes;
use run::{Run, SendRun};

/// Most lobs in one window.
pub const WINDOW_LOBS: usize = 16 << 10;
/// Chunks after which a run of frames is asked for: about 2 GiB of content, 2 MiB of ids.
const WINDOW_CHUNKS: usize = 32 << 10;
/// Segments of a long manifest that are read at once: at most 64 Ki chunks.
const WINDOW_SEGMENTS: usize = 64;
/// How often a receiver is asked what it has, while that leaves it again.
const LOOKS: u32 = 5;

/// What a copy did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Moved {
    /// Lobs that the receiver has now and lacked before.
    pub lobs: Vec<LobInfo>,
    /// Chunks that moved.
    pub chunks: u64,
    /// Bytes of frames that moved, with the ids in them.
    pub bytes: u64,
    /// Asked for, but not held by the sender any more.
    pub vanished: Vec<LobId>,
    /// Held by the sender, but damaged.
    pub damaged: Vec<(LobId, Why)>,
}

impl Moved {
    /// Bytes that the lobs hold as whole files.
    pub fn size(&self) -> u64 {
        self.lobs.iter().map(|lob| lob.size).sum()
    }

    /// Adds what another copy did.
    pub fn merge(&mut self, other: Moved) {
        self.lobs.extend(other.lobs);
        self.chunks += other.chunks;
        self.bytes += other.bytes;
        self.vanished.extend(other.vanished);
        self.damaged.extend(other.damaged);
    }
}

/// What a copy would do, in chunks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Chunks that the receiver lacks.
    pub chunks: u64,
    /// Their bytes before compression.
    pub bytes: u64,
}

/// How lobs are copied.
#[derive(Debug, Default)]
struct How {
    /// Without anything that the receiver has as a base.
    alone: bool,
    /// Whether anything went that stands on what the receiver has.
    relied: bool,
    /// How many streams carry it, if not one.
    streams: usize,
}

/// A copy from one store to another.
#[derive(Clone, Copy)]
pub struct Transfer<'a> {
    /// The sender.
    pub from: &'a dyn Remote,
    /// The receiver.
    pub to: &'a dyn Remote,
    /// Whether the sender is this repository's own store.
    pub origin: Origin,
    /// The version that came before each lob, where one is known: what the receiver lacks of a lob is
    /// sent as the difference from it, where it has that and it pays; for a fetch one that this repository
    /// holds whole.
    pub bases: &'a HashMap<LobId, LobId>,
    /// How fast.
    pub pace: &'a Pace,
    /// Who listens.
    pub progress: &'a dyn Progress,
}

impl Transfer<'_> {
    /// Copies `lobs`, which the receiver lacks. Each window is tried again on transient errors. What
    /// another store holds damaged stays there, and stops nothing else.
    ///
    /// # Errors
    /// The first that lasts. What was published until then stays.
    pub fn run(&self, lobs: &[LobId]) -> Result<Moved> {
        let mut moved = Moved::default();
        for generation in deltas::generations(lobs, self.bases) {
            for window in generation.chunks(WINDOW_LOBS) {
                self.whole_of(window, &mut moved)?;
            }
        }
        Ok(moved)
    }

    /// Copies lobs, as many at once as have room in memory, or, where something in them is damaged, each
    /// half of them by itself.
    fn whole_of(&self, mut lobs: &[LobId], moved: &mut Moved) -> Result<()> {
        let mut how = How::default();
        let mut looks = 1..LOOKS;
        let error = loop {
            if lobs.is_empty() {
                return Ok(());
            }
            match retrying(|| self.window(lobs, &mut how)) {
                Ok((done, count)) => {
                    moved.merge(done);
                    lobs = &lobs[count..];
                    (how, looks) = (How::default(), 1..LOOKS);
                }
                // A base that is damaged there, or left, must stop nobody who can do without.
                Err(error) if how.relied && !how.alone && self.damage(&error).is_some() => {
                    how.alone = true;
                }
                // It is asked again what it has, and gets the rest.
                Err(Error::Left { .. }) if looks.next().is_some() => {}
                Err(error) => break error,
            }
        };
        match (self.damage(&error), self.origin, lobs) {
            (Some(why), Origin::Foreign, [lob]) => moved.damaged.push((*lob, why)),
            (Some(_), Origin::Foreign, _) => {
                let (one, two) = lobs.split_at(lobs.len() / 2);
                self.whole_of(one, moved)?;
                self.whole_of(two, moved)?;
            }
            // A push is whole or it is none, since refs follow it.
            _ if matches!(error, Error::Left { .. }) => return Err(error),
            (Some(Why::Damaged { what, why }), ..) => {
                return Err(lob_store::Error::damaged(what, why).into());
            }
            _ => return Err(error),
        }
        Ok(())
    }

    /// What [`Transfer::run`] would have to move. A chunk that two lobs share counts once.
    pub fn cost(&self, lobs: &[LobId]) -> Result<Cost> {
        let mut cost = Cost::default();
        let mut counted = Counted::default();
        let silent = Transfer {
            progress: &(),
            ..*self
        };
        let mut rest = lobs;
        while !rest.is_empty() {
            let asked = &rest[..rest.len().min(WINDOW_LOBS)];
            let (manifests, _, count) = silent.manifests(asked)?;
            rest = &rest[count..];
            silent.each_run(&manifests, &HashSet::new(), &mut |lacking| {
                for (id, len) in lacking {
                    if counted.first_time(id) {
                        cost.chunks += 1;
                        cost.bytes += u64::from(*len);
                    }
                }
                Ok(())
            })?;
        }
        Ok(cost)
    }

    /// Copies the first of these lobs, and returns how many of them.
    fn window(&self, window: &[LobId], how: &mut How) -> Result<(Moved, usize)> {
        let (manifests, vanished, count) = self.manifests(window)?;
        let mut moved = Moved {
            vanished,
            ..Moved::default()
        };
        let mut lanes = Lanes::open(self.to, self.origin)?;
        let sent = match how.alone {
            true => HashSet::new(),
            false => self.send_deltas(&manifests, &mut lanes, &mut moved)?,
        };
        let against = match how.alone {
            true => Against::default(),
            false => self.against(&manifests),
        };
        how.relied |= !sent.is_empty() || !against.versions.is_empty();
        how.streams = self.streams(&manifests);
        if sent.is_empty() && against.versions.is_empty() && how.streams <= 1 {
            self.expect(&manifests, &mut lanes)?;
        }
        let mut runs = 0;
        let filled = self.each_run(&manifests, &sent, &mut |lacking| {
            // So what a run needs is visible, and of what is not only one run has to be remembered.
            if runs > 0 {
                lanes.publish()?;
            }
            runs += 1;
            moved.chunks += lacking.len() as u64;
            moved.bytes += self.copy_frames(lacking, &against, &mut lanes, how)?;
            Ok(())
        });
        if let Err(error) = filled {
            let is_cancelled = matches!(error, Error::Store(lob_store::Error::Interrupted));
            // What a service got whole it keeps by itself.
            let is_here = self.origin == Origin::Foreign && !is_cancelled;
            if is_here || self.damage(&error).is_some() {
                // What came whole need not come again; where it does, nothing is lost.
                let _ = lanes.publish();
            }
            return Err(error);
        }
        let named = lanes.finish(&manifests, &mut |manifest| {
            self.check_cancelled()?;
            self.progress.lob();
            moved.lobs.push(LobInfo {
                id: manifest.id,
                size: manifest.size,
            });
            Ok(())
        });
        match named {
            Err(Error::Store(lob_store::Error::NoChunk(chunk))) => Err(Error::Left {
                place: self.to.describe(),
                chunk,
            }),
            named => named.map(|()| (moved, count)),
        }
    }

    /// How many streams carry lobs. Frames of long ones are in their order: parts of them share hardly any,
    /// as they would of many that are short.
    fn streams(&self, manifests: &[Manifest]) -> usize {
        let long = manifests.iter().filter(|lob| lob.single().is_none());
        let long: u64 = long.map(|lob| lob.size).sum();
        let all: u64 = manifests.iter().map(|lob| lob.size).sum();
        let round_trip = self.from.round_trip().or(self.to.round_trip());
        match 2 * long >= all {
            true => streams::streams(all, round_trip),
            false => 1,
        }
    }

    /// Announces those lobs that come whole in one run.
    fn expect(&self, manifests: &[Manifest], lanes: &mut Lanes) -> Result<()> {
        let chunks: Option<u64> = manifests.iter().map(Manifest::chunk_count).sum();
        if chunks.is_none_or(|chunks| chunks > WINDOW_CHUNKS as u64) {
            return Ok(());
        }
        let bytes = manifests.iter().map(|lob| lob.size).sum();
        let long = manifests.iter().filter(|lob| lob.single().is_none());
        let long: Vec<&Manifest> = long.collect();
        lanes.expect(&long, bytes)
    }

    /// The manifests of the first of `ids`, those of them that the sender does not hold, and how many
    /// these are together: at least one.
    fn manifests(&self, ids: &[LobId]) -> Result<(Vec<Manifest>, Vec<LobId>, usize)> {
        let mut vanished = Vec::new();
        let mut manifests = Vec::with_capacity(ids.len());
        let found = self.from.manifests(ids)?;
        let count = found.len().min(ids.len());
        if count == 0 {
            return Err(self.unasked("no answer about manifests".into()));
        }
        for (id, manifest) in ids.iter().zip(found) {
            match manifest {
                Some(manifest) if manifest.id == *id => manifests.push(manifest),
                Some(manifest) => return Err(self.unasked(format!("lob {}", manifest.id))),
                None => vanished.push(*id),
            }
        }
        Ok((manifests, vanished, count))
    }

    /// Calls `send` with runs of chunks that the receiver lacks, with the segments of long
    /// manifests among them, and without what was `sent` and is not visible there yet.
    fn each_run<'r>(
        &'r self,
        manifests: &[Manifest],
        sent: &'r HashSet<ChunkId>,
        send: &'r mut SendRun<'r>,
    ) -> Result<()> {
        let mut run = Run::new(self.to, sent, self.progress, send);
        for manifest in manifests {
            self.check_cancelled()?;
            match &manifest.parts {
                Parts::Chunks(chunks) => run.add(chunks)?,
                Parts::Segments(segments) => self.add_segments(segments, &mut run)?,
                Parts::Groups(groups) => {
                    for group in groups {
                        let mut segments = Vec::new();
                        let list = self.read_lists(&[*group], &mut |group, bytes| {
                            segments = group.decode_group(bytes)?;
                            Ok(())
                        })?;
                        run.add(&list)?;
                        self.add_segments(&segments, &mut run)?;
                    }
                }
            }
        }
        run.flush()
    }

    fn add_segments(&self, segments: &[Segment], run: &mut Run) -> Result<()> {
        // A list goes before what the one before it lists: both may share a frame.
        let mut behind = Vec::new();
        for some in segments.chunks(WINDOW_SEGMENTS) {
            let mut lists = Vec::with_capacity(some.len());
            let named = self.read_lists(some, &mut |segment, bytes| {
                lists.push(segment.decode_list(bytes)?);
                Ok(())
            })?;
            let mut listed = Vec::new();
            for (list, chunks) in named.into_iter().zip(lists) {
                listed.push(list);
                listed.append(&mut behind);
                behind = chunks;
            }
            run.add(&listed)?;
        }
        run.add(&behind)
    }

    /// Calls `take` with the bytes of each list. Returns the chunks that they are.
    fn read_lists(
        &self,
        lists: &[Segment],
        take: &mut dyn FnMut(&Segment, &[u8]) -> Result<()>,
    ) -> Result<Vec<(ChunkId, u32)>> {
        let ids: Vec<ChunkId> = lists.iter().map(|list| list.id).collect();
        let mut expected = lists.iter();
        let mut chunks = Vec::with_capacity(lists.len());
        self.from.each_chunk(&ids, &mut |id, bytes| {
            let list = expected.next().filter(|list| list.id == id);
            let (Some(list), true) = (list, ChunkId::of(bytes) == id) else {
                return Err(self.unasked(format!("chunk {id}")));
            };
            let len = u32::try_from(bytes.len())
                .map_err(|_| self.unasked(format!("a list of {} bytes", bytes.len())))?;
            take(list, bytes)?;
            chunks.push((id, len));
            Ok(())
        })?;
        Ok(chunks)
    }

    /// Returns the bytes that moved. Frames with bases go after those are visible.
    fn copy_frames(
        &self,
        chunks: &[(ChunkId, u32)],
        against: &Against,
        lanes: &mut Lanes,
        how: &mut How,
    ) -> Result<u64> {
        if how.alone {
            return self.copy_some(chunks, &HashSet::new(), (against, how.streams), lanes);
        }
        let mut bytes = 0;
        for (n, some) in self.by_depth(chunks)?.iter().enumerate() {
            if n > 0 {
                lanes.publish()?;
            }
            let relied = self.relied(some)?;
            how.relied |= !relied.is_empty();
            bytes += self.copy_some(&some.chunks, &relied, (against, how.streams), lanes)?;
        }
        Ok(bytes)
    }

    /// Each end reads, verifies and writes ahead by itself.
    fn copy_some(
        &self,
        chunks: &[(ChunkId, u32)],
        relied: &HashSet<ChunkId>,
        (against, streams): (&Against, usize),
        lanes: &mut Lanes,
    ) -> Result<u64> {
        let ids: Vec<ChunkId> = chunks.iter().map(|(id, _)| *id).collect();
        // A frame may have more in it than is asked for.
        let asked: HashSet<ChunkId> = ids.iter().copied().collect();
        let mut bytes = 0;
        let send = |take: &mut dyn FnMut(Frame) -> Result<()>| {
            let mut take = |frame: Frame| {
                self.check_cancelled()?;
                let len = frame.record_len();
                let of = frame.chunks.iter().filter(|(id, _)| asked.contains(id));
                let raw = of.map(|(_, len)| u64::from(*len)).sum();
                self.pace.take(len);
                take(frame)?;
                bytes += len;
                self.progress.bytes(raw);
                Ok(())
            };
            let ask = |some: &[ChunkId], take: &mut dyn FnMut(Frame) -> Result<()>| {
                self.from.each_frame_against(some, relied, against, take)
            };
            // What is sent from here is read by all cores already, and goes in lanes.
            let streams = match self.origin {
                Origin::Foreign => streams,
                Origin::Own => 1,
            };
            streams::each_frame(&ids, streams, &ask, &mut take)
        };
        lanes.fill(sum(chunks), Box::new(send))?;
        Ok(bytes)
    }

    fn check_cancelled(&self) -> Result<()> {
        if self.progress.cancelled() {
            return Err(lob_store::Error::Interrupted.into());
        }
        Ok(())
    }

    /// What is damaged, where that is the error: what the receiver verifies came from the sender.
    fn damage(&self, error: &Error) -> Option<Why> {
        use lob_store::Error::{Damaged, NoChunk, NoPack, WrongContent};
        let error = match error {
            Error::Store(error) => error,
            // Or it never came.
            Error::Left { chunk, .. } => &lob_store::Error::NoChunk(*chunk),
            _ => return None,
        };
        let (what, why) = match error {
            Damaged { what, why } if what.contains('/') => (what.clone(), why.clone()),
            Damaged { what, why } => (self.from.describe(), format!("{what}: {why}")),
            NoChunk(_) | NoPack(_) | WrongContent { .. } => {
                (self.from.describe(), error.to_string())
            }
            _ => return None,
        };
        Some(Why::Damaged { what, why })
    }

    fn unasked(&self, what: String) -> Error {
        Error::Unasked {
            place: self.from.describe(),
            what,
        }
    }
}

fn sum(chunks: &[(ChunkId, u32)]) -> u64 {
    chunks.iter().map(|(_, len)| u64::from(*len)).sum()
}

/// Chunks that were counted, by the prefixes of their ids: an estimate needs no more. Past its bound everything counts, so an estimate is then at most too high.
#[derive(Default)]
struct Counted(HashSet<u64>);

/// Entries that [`Counted`] remembers: 128 GiB of content, at most 64 MiB of memory.
const COUNTED_MAX: usize = 2 << 20;

impl Counted {
    fn first_time(&mut self, id: &ChunkId) -> bool {
        if self.0.len() < COUNTED_MAX {
            return self.0.insert(id.prefix());
        }
        !self.0.contains(&id.prefix())
    }
}

#[cfg(test)]
mod tests;
