//! One unit of a repack: what comes in the place of some packs.
//!
//! Depths are those that hold once these packs have gone: that of a chunk in one of them is what it was
//! written at here, and until then it is no base for anything. A chunk on which a frame elsewhere stands
//! is *pinned*, and so are its bases: none of them gets deeper than it is.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, HashSet};

use rayon::prelude::*;

use crate::against::Aim;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::id::{ChunkId, LobId};
use crate::limits::{
    DEEP_LEVELS, DELTA_LEVEL, FRAME_TARGET, REPACK_DEPTH, REPACK_TURNED_MAX, ZSTD_LEVEL,
};
use crate::manifest::Manifest;
use crate::pack::ChunkEntry;
use crate::progress::Progress;
use crate::prune::bits::Bits;
use crate::prune::step::{self, Moved};
use crate::read::Kin;
use crate::stage::Writer;
use crate::view::{Listed, Place, is_absent};

use super::Turned;
use super::choice::{self, Bases, out_of_reach};
use super::exchange::{Done, Filled};
use super::plan::Plan;
use super::shape::{Shape, Version};

/// Lists of a long lob that are read together: a few MiB.
const SEGMENTS_TOGETHER: usize = 128;

/// A unit that is being filled.
pub(super) struct Unit<'u, 's> {
    pub(super) plan: &'u Plan<'s>,
    going: HashSet<usize>,
    pinned: HashMap<usize, Bits>,
    /// The depths of the chunks that were written.
    pub(super) written: RefCell<HashMap<ChunkId, u8>>,
    writer: RefCell<Writer<'s>>,
    /// Whether the writer has refused something: then it is not all there.
    has_lost: Cell<bool>,
    turned: Vec<Done>,
    /// Whether something could not be read that the version at hand was to be turned with.
    has_passed: Cell<bool>,
    /// Versions of which this holds.
    passed: u64,
    progress: &'u dyn Progress,
}

impl<'u, 's> Unit<'u, 's> {
    /// Writes all that is in these packs anew.
    pub(super) fn fill(
        plan: &'u Plan<'s>,
        going: &[usize],
        progress: &'u dyn Progress,
    ) -> Result<Filled<'s>> {
        let mut unit = Unit {
            plan,
            going: going.iter().copied().collect(),
            pinned: HashMap::new(),
            written: RefCell::default(),
            writer: RefCell::new(plan.marks.store.writer()?),
            has_lost: Cell::new(false),
            turned: Vec::new(),
            has_passed: Cell::new(false),
            passed: 0,
            progress,
        };
        let filled = unit.pin(going).and_then(|()| unit.write(going));
        let writer = unit.writer.into_inner();
        match filled {
            Ok(()) => Ok(Filled {
                writer,
                going: going.to_vec(),
                written: unit.written.into_inner(),
                turned: unit.turned,
                passed: unit.passed,
            }),
            Err(error) => {
                // All of it is where it was as well, and takes up room.
                let _ = writer.discard();
                Err(error)
            }
        }
    }

    fn write(&mut self, going: &[usize]) -> Result<()> {
        self.carry_plain(going)?;
        let chains = self.plan.chains_of(going);
        for chain in &chains {
            self.plain(&self.plan.chains[*chain as usize][0].id)?;
        }
        for chain in chains {
            self.walk(&self.plan.chains[chain as usize])?;
        }
        self.carry_rest(going)?;
        let mut moved: BTreeMap<usize, Moved> = BTreeMap::new();
        for &p in going {
            let lobs = Bits::none(self.plan.marks.packs[p].lobs.len());
            let moved = moved.entry(p).or_default();
            moved.lobs = lobs;
            step::move_lobs(&self.plan.marks, p, moved, &mut self.writer.borrow_mut())?;
        }
        self.check(going)
    }

    /// Nothing that counts in these packs is forgotten.
    fn check(&self, going: &[usize]) -> Result<()> {
        let written = self.written.borrow();
        for &p in going {
            let (table, pack) = (self.plan.marks.table_of(p)?, &self.plan.marks.packs[p]);
            let mut chunks = (0..table.chunk_count()).filter(|n| pack.chunks.has(*n));
            if !chunks.all(|n| written.contains_key(&table.chunk(n).id)) {
                let what = format!("pack {}", pack.id);
                return Err(Error::damaged(what, "not all of it could be moved"));
            }
        }
        Ok(())
    }

    /// Pins what stands on these packs from elsewhere.
    fn pin(&mut self, going: &[usize]) -> Result<()> {
        let marks = &self.plan.marks;
        let standing = going.iter().flat_map(|p| self.plan.standing_on(*p));
        let elsewhere = |p: &&usize| !self.going.contains(*p) && !marks.packs[**p].gone;
        let standing: HashSet<usize> = standing.filter(elsewhere).copied().collect();
        for p in standing {
            let table = marks.table_of(p)?;
            let frames = (0..table.frame_count()).filter_map(|n| table.frame(n));
            let mut next: Vec<_> = frames.flat_map(|frame| table.bases(&frame)).collect();
            while let Some(id) = next.pop() {
                let Some((p, n, place)) = marks.chunk_at(&id)? else {
                    continue;
                };
                let len = marks.packs[p].chunks.len();
                if self.going.contains(&p)
                    && self
                        .pinned
                        .entry(p)
                        .or_insert_with(|| Bits::none(len))
                        .insert(n)
                {
                    next.extend(marks.reach().bases(&place));
                }
            }
        }
        Ok(())
    }

    pub(super) fn is_pinned(&self, p: usize, n: usize) -> bool {
        self.pinned.get(&p).is_some_and(|pinned| pinned.has(n))
    }

    /// The place of a chunk that is to be written and was not yet.
    pub(super) fn waiting(
        &self,
        id: &ChunkId,
    ) -> Result<Option<(usize, usize, Place<ChunkEntry>)>> {
        if self.written.borrow().contains_key(id) {
            return Ok(None);
        }
        let found = self.plan.marks.chunk_at(id)?;
        Ok(found.filter(|(p, ..)| self.going.contains(p)))
    }

    /// What stands behind a chunk once this unit is published; `None` of one that is to be turned now.
    fn kin(&self, id: &ChunkId) -> Result<Option<Kin>> {
        let bases = Vec::new();
        if let Some(&depth) = self.written.borrow().get(id) {
            return Ok(Some(Kin { depth, bases }));
        }
        let marks = &self.plan.marks;
        Ok(match marks.chunk_at(id)? {
            Some((p, n, _)) if self.going.contains(&p) => {
                let is_free = self.plan.is_turned(p, n) && !self.is_pinned(p, n);
                (!is_free).then(out_of_reach)
            }
            Some((_, _, place)) => Some(Kin {
                depth: ChunkId::depth(&place.table, &place.entry),
                bases: marks.reach().bases(&place),
            }),
            None => Some(out_of_reach()),
        })
    }

    /// The depth of a frame with these bases; more than any may have where one is out of reach.
    pub(super) fn depth_on(&self, bases: &[ChunkId]) -> Result<u8> {
        let mut depth = 0;
        for base in bases {
            let kin = self.kin(base)?.unwrap_or_else(out_of_reach);
            depth = depth.max(kin.depth.saturating_add(1));
        }
        Ok(depth)
    }

    pub(super) fn put(&self, frame: Frame) -> Result<()> {
        if self.progress.cancelled() {
            return Err(Error::Interrupted);
        }
        let depth = self.depth_on(&frame.bases)?;
        let frame = Frame { depth, ..frame };
        let mut written = self.written.borrow_mut();
        written.extend(frame.chunks.iter().map(|(id, _)| (*id, depth)));
        self.progress.bytes(frame.raw_len() as u64);
        let taken = self.writer.borrow_mut().place_frame(frame);
        self.has_lost.set(self.has_lost.get() || taken.is_err());
        taken
    }

    /// What cannot be read for one purpose may be had for another, or stays where it is.
    pub(super) fn passing<T: Default>(&self, done: Result<T>) -> Result<T> {
        match done {
            Err(error) if is_absent(&error) && !self.has_lost.get() => {
                self.has_passed.set(true);
                Ok(T::default())
            }
            done => done,
        }
    }

    pub(super) fn manifest(&self, lob: &LobId) -> Result<Option<Manifest>> {
        self.passing(self.plan.marks.reach().manifest(lob))
    }

    /// The versions of one file from the newest on, each as it is to be.
    fn walk(&mut self, versions: &'u [Version]) -> Result<()> {
        let (mut shape, mut bases) = (Shape::default(), Bases::default());
        let mut blocked = false;
        for (n, version) in versions.iter().enumerate() {
            let marks = &self.plan.marks;
            let here = version.packs.iter().any(|p| self.going.contains(p));
            let whole = version.packs.iter();
            let whole = { whole }.all(|p| self.going.contains(p) || marks.packs[*p].gone);
            let done = |turned| Done {
                lob: version.id,
                turned,
                whole,
                here,
            };
            if n == 0 {
                shape.take(version.id, None);
                if whole {
                    let turned = self.plan.turned(None, None);
                    self.turned.push(done(turned));
                }
            } else if let Some(turned) = version.settled {
                self.carry(&version.id)?;
                shape.take(version.id, turned.parent);
            } else if blocked {
                self.carry(&version.id)?;
            } else if here {
                self.has_passed.set(false);
                let turned = match self.plan.begun.get(&version.id) {
                    Some(turned) => *turned,
                    None => self.choose(&version.id, &shape, &mut bases)?,
                };
                if let Some(parent) = turned.parent {
                    self.turn(&version.id, &parent, &shape, &mut bases)?;
                }
                self.plain(&version.id)?;
                shape.take(version.id, turned.parent);
                // What is not written down is tried again.
                match self.has_passed.get() {
                    false => self.turned.push(done(turned)),
                    true => self.passed += 1,
                }
            } else if whole && !version.packs.is_empty() {
                let turned = self.plan.placed.get(&version.id);
                shape.take(version.id, turned.and_then(|turned| turned.parent));
            }
            // What is newer and not as it is to be is no base.
            blocked |= !whole;
        }
        Ok(())
    }

    fn choose(&self, lob: &LobId, shape: &Shape, bases: &mut Bases<'s>) -> Result<Turned> {
        let none = self.plan.turned(None, shape.root);
        let (Some(root), Some(manifest)) = (shape.root, self.manifest(lob)?) else {
            return Ok(none);
        };
        let store = self.plan.marks.store;
        let mut chosen = || -> Result<Option<LobId>> {
            let wants = |id: &ChunkId| Ok(self.kin(id)?.is_none());
            let sample = choice::sample(store, &manifest, &wants)?;
            let alone = choice::alone(store, sample.iter())?;
            let mut by = |base: LobId| -> Result<Option<(LobId, usize)>> {
                let Some(version) = bases.get(store, &base, shape)? else {
                    self.has_passed.set(true);
                    return Ok(None);
                };
                let cost = choice::cost(store, &manifest, version, &sample, &|id| self.kin(id))?;
                Ok(Some((base, cost)))
            };
            let hub = shape.hub.map(&mut by).transpose()?.flatten();
            Ok(by(root)?.and_then(|root| choice::parent(root, hub, alone)))
        };
        let parent = self.passing(chosen())?;
        Ok(self.plan.turned(parent, shape.root))
    }

    /// Writes what waits of a version as the difference from another one, where that helps.
    fn turn(
        &self,
        lob: &LobId,
        parent: &LobId,
        shape: &Shape,
        bases: &mut Bases<'s>,
    ) -> Result<()> {
        let store = self.plan.marks.store;
        let (Some(manifest), Some(version)) =
            (self.manifest(lob)?, bases.get(store, parent, shape)?)
        else {
            self.has_passed.set(true);
            return Ok(());
        };
        let aim = Aim {
            level: if self.plan.deep {
                DEEP_LEVELS.1
            } else {
                DELTA_LEVEL
            },
            depth: REPACK_DEPTH,
            most: REPACK_TURNED_MAX,
        };
        let mut kin = |ids: &[ChunkId]| ids.iter().map(|id| self.kin(id)).collect();
        let done = store.deltas(&manifest, version, aim, &mut kin, &mut |frame| {
            self.put(frame)
        });
        self.passing(done).map(drop)
    }

    /// Writes what waits of a version without bases.
    fn plain(&self, lob: &LobId) -> Result<()> {
        let Some(manifest) = self.manifest(lob)? else {
            return Ok(());
        };
        let done = self.each_window(&manifest, &mut |chunks| {
            let mut seen = HashSet::new();
            let mut list = Vec::new();
            for (id, len) in chunks {
                if self.waiting(&id)?.is_some() && seen.insert(id) {
                    list.push((id, len));
                }
            }
            self.put_plain(&list)
        });
        self.passing(done)
    }

    /// Calls `each` with the lists of a long lob, and then with its content.
    pub(super) fn each_window(
        &self,
        manifest: &Manifest,
        each: &mut dyn FnMut(Vec<(ChunkId, u32)>) -> Result<()>,
    ) -> Result<()> {
        let lists = self.plan.marks.store.lists(manifest)?;
        lists
            .chunks(SEGMENTS_TOGETHER)
            .try_for_each(|some| each(some.to_vec()))?;
        self.plan.marks.store.each_window(manifest, each)
    }

    fn put_plain(&self, list: &[(ChunkId, u32)]) -> Result<()> {
        let window = self.plan.marks.store.decode_window(list)?;
        let level = if self.plan.deep {
            DEEP_LEVELS.0
        } else {
            ZSTD_LEVEL
        };
        let (mut frames, mut raw, mut first) = (Vec::new(), Vec::new(), 0);
        for n in 0..list.len() {
            let bytes = window.chunk(n);
            let bytes = bytes.ok_or_else(|| Error::damaged(list[n].0, "it is not there"))?;
            raw.extend_from_slice(bytes);
            if raw.len() >= FRAME_TARGET || n + 1 == list.len() {
                frames.push((list[first..=n].to_vec(), std::mem::take(&mut raw)));
                first = n + 1;
            }
        }
        let frames = frames.into_par_iter();
        let frames = frames.map(|(chunks, raw)| Frame::plain_at(chunks, &raw, level));
        let frames: Vec<Frame> = frames.collect();
        frames.into_iter().try_for_each(|frame| self.put(frame))
    }
}
