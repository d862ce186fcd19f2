//! Marks: a bit for each chunk and each lob of every pack, set for what is to stay.
//!
//! What is in several packs counts where a lookup finds it; other copies stay without a mark.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use crate::error::{Error, Result};
use crate::id::{ChunkId, LobId, PackId};
use crate::index::Kind;
use crate::limits::PRUNE_TABLES;
use crate::pack::{ChunkEntry, Table};
use crate::reach::Reach;
use crate::store::Store;
use crate::view::{Listed, Place, Ranges, View, is_absent};

use super::bits::Bits;

/// A pack and what of it is to stay.
#[derive(Debug)]
pub(crate) struct Marked {
    pub(crate) id: PackId,
    /// Bytes of its files.
    pub(crate) len: u64,
    /// When it was last written to or touched.
    modified: SystemTime,
    /// Whether it is young.
    pub(crate) young: bool,
    /// Whether it stays as it is, with all that its lobs need: it is young, or holds things that
    /// this program does not know.
    pub(crate) stays: bool,
    /// Whether it was dropped by now.
    pub(crate) gone: bool,
    pub(crate) chunks: Bits,
    pub(crate) lobs: Bits,
    /// Lobs that the caller asked to keep.
    pub(crate) kept: Bits,
}

impl Marked {
    /// Whether nothing of it is to stay.
    pub(crate) fn is_dead(&self) -> bool {
        !self.stays && self.chunks.is_empty() && self.lobs.is_empty()
    }
}

/// Is called with the marks and a chunk that something needs.
pub(crate) type EachNeed<'a> = &'a mut dyn FnMut(&mut Marks<'_>, &ChunkId) -> Result<()>;

/// Bytes that a look at one entry of a table, and at its frame, brings into memory: systems map a few
/// pages around each.
const LOOK: usize = 128 << 10;

/// Tables that were read, so that not all of them stay in memory for ever.
#[derive(Debug, Default)]
struct Recent {
    tables: HashMap<*const Table, (Arc<Table>, u64)>,
    bytes: u64,
}

impl Recent {
    fn read(&mut self, view: &View, table: &Arc<Table>, bytes: usize) {
        let (_, read) = self
            .tables
            .entry(Arc::as_ptr(table))
            .or_insert_with(|| (table.clone(), 0));
        let more = (table.len() as u64).saturating_sub(*read).min(bytes as u64);
        *read += more;
        self.bytes += more;
        if self.bytes > PRUNE_TABLES {
            self.release(view);
        }
    }

    fn release(&mut self, view: &View) {
        self.tables
            .drain()
            .for_each(|(_, (table, _))| table.release());
        view.runs.iter().for_each(|run| run.release());
        self.bytes = 0;
    }
}

/// The marks of all packs that one view has.
#[derive(Debug)]
pub(crate) struct Marks<'s> {
    pub(crate) store: &'s Store,
    pub(crate) view: Arc<View>,
    /// Oldest first.
    pub(crate) packs: Vec<Marked>,
    numbers: HashMap<PackId, usize>,
    recent: RefCell<Recent>,
    /// Lobs that are kept and cannot be followed, each with the reason.
    pub(crate) damaged: Vec<(LobId, String)>,
    /// Packs that stay because something in them cannot be read.
    pub(crate) unreadable: u64,
}

impl<'s> Marks<'s> {
    /// No marks but those of packs that are not older than `young`.
    pub(crate) fn new(store: &'s Store, young: SystemTime) -> Result<Marks<'s>> {
        let mut marks = Marks {
            store,
            view: trusted_view(store)?,
            packs: Vec::new(),
            numbers: HashMap::new(),
            recent: RefCell::default(),
            damaged: Vec::new(),
            unreadable: 0,
        };
        marks.take_in(&|modified| modified >= young)?;
        marks.unreadable = marks.unopened();
        Ok(marks)
    }

    /// How many packs are there of which not even the table can be read.
    fn unopened(&self) -> u64 {
        let known = self.view.packs().chain(self.view.absent.iter().copied());
        let unknown = known.filter(|id| !self.numbers.contains_key(id));
        let is_there = |id: &PackId| !matches!(self.store.packs().is_there(id), Ok(false));
        unknown.filter(is_there).count() as u64
    }

    /// Takes in packs that came since, which are young whatever the clock says, and finds out which
    /// were touched. Returns whether anything changed.
    pub(crate) fn update(&mut self) -> Result<bool> {
        self.view = trusted_view(self.store)?;
        let new = self.take_in(&|_| true)?;
        let touched = self.touched()?;
        for &p in &touched {
            self.packs[p].young = true;
            self.stay(p)?;
        }
        Ok(new || !touched.is_empty())
    }

    /// Takes in packs that came since, which stay. Returns their numbers.
    pub(crate) fn take_in_new(&mut self) -> Result<std::ops::Range<usize>> {
        self.view = trusted_view(self.store)?;
        let first = self.packs.len();
        let _ = self.take_in(&|_| true)?;
        Ok(first..self.packs.len())
    }

    /// Marks everything: each chunk and each lob where a lookup finds it.
    pub(crate) fn mark_all(&mut self) -> Result<()> {
        for p in 0..self.packs.len() {
            let table = self.table_of(p)?;
            for n in 0..table.chunk_count() {
                let found = self.chunk_at(&table.chunk(n).id)?;
                if found.is_some_and(|(at, m, _)| (at, m) == (p, n)) {
                    let _ = self.packs[p].chunks.insert(n);
                }
            }
            for n in 0..table.lob_count() {
                if self.lob_at(&table.lob(n).id)? == Some((p, n)) {
                    let _ = self.packs[p].lobs.insert(n);
                }
            }
        }
        Ok(())
    }

    /// Looks anew, without any of the tables that it has open.
    pub(crate) fn close_tables(&mut self) -> Result<()> {
        self.store.reload(&Ranges::new())?;
        self.view = trusted_view(self.store)?;
        self.recent.take();
        Ok(())
    }

    /// Packs that somebody has come to rely on since their times were read.
    pub(crate) fn touched(&self) -> Result<Vec<usize>> {
        let mut touched = Vec::new();
        for (p, pack) in self.packs.iter().enumerate() {
            let counts = !pack.stays && !pack.gone;
            if counts && self.modified(&pack.id)? != pack.modified {
                touched.push(p);
            }
        }
        Ok(touched)
    }

    fn modified(&self, pack: &PackId) -> Result<SystemTime> {
        let path = self.store.packs().path(pack);
        let disk = self.store.disk();
        disk.modified(&path).map_err(Error::at(&path))
    }

    fn take_in(&mut self, young: &dyn Fn(SystemTime) -> bool) -> Result<bool> {
        let new: Vec<_> = self
            .view
            .packs()
            .filter(|id| !self.numbers.contains_key(id))
            .collect();
        let first = self.packs.len();
        let mut stay = Vec::new();
        for id in new {
            let Some((table, len)) = self.table(&id)? else {
                // Nothing of it can be had, so nothing of it is touched.
                continue;
            };
            let modified = self.modified(&id)?;
            let young = young(modified);
            if young || !table.is_all_of(len) {
                stay.push(self.packs.len());
            }
            let _ = self.numbers.insert(id, self.packs.len());
            self.packs.push(Marked {
                id,
                len: len + table.len() as u64,
                modified,
                young,
                stays: false,
                gone: false,
                chunks: Bits::none(table.chunk_count()),
                lobs: Bits::none(table.lob_count()),
                kept: Bits::none(table.lob_count()),
            });
        }
        stay.into_iter().try_for_each(|p| self.stay(p))?;
        Ok(self.packs.len() > first)
    }

    fn table(&self, id: &PackId) -> Result<Option<(Arc<Table>, u64)>> {
        let packs = self.store.packs();
        let found = packs.table(id).and_then(|table| {
            // It was verified just now, which read all of it.
            self.recent
                .borrow_mut()
                .read(&self.view, &table, table.len());
            let path = packs.path(id);
            let len = packs.file(id)?.len().map_err(Error::at(&path))?;
            Ok((table, len))
        });
        match found {
            Err(error) if is_absent(&error) => Ok(None),
            found => found.map(Some),
        }
    }

    /// The table of a pack that has marks.
    pub(crate) fn table_of(&self, p: usize) -> Result<Arc<Table>> {
        let table = self.store.packs().table(&self.packs[p].id)?;
        self.recent
            .borrow_mut()
            .read(&self.view, &table, table.len());
        Ok(table)
    }

    /// Gives back the memory of the tables that were read.
    pub(crate) fn release_tables(&self) {
        self.recent.borrow_mut().release(&self.view);
    }

    /// What is read by way of the view that the marks are of.
    pub(crate) fn reach(&self) -> Reach<'_> {
        Reach {
            store: self.store,
            view: &self.view,
        }
    }

    /// The pack and the number of a lob.
    pub(crate) fn lob_at(&self, id: &LobId) -> Result<Option<(usize, usize)>> {
        Ok(self
            .look_up(id)?
            .and_then(|(pack, place)| Some((pack, place.table.find_lob(id)?))))
    }

    /// The pack and the number of a chunk, and its place.
    pub(crate) fn chunk_at(
        &self,
        id: &ChunkId,
    ) -> Result<Option<(usize, usize, Place<ChunkEntry>)>> {
        Ok(self
            .look_up(id)?
            .and_then(|(pack, place)| Some((pack, place.table.find_chunk(id)?, place))))
    }

    /// The number of the pack that something is in, and its place.
    fn look_up<I: Listed>(&self, id: &I) -> Result<Option<(usize, Place<I::Entry>)>> {
        let Some(place) = self.view.find(self.store.packs(), id)? else {
            return Ok(None);
        };
        self.recent
            .borrow_mut()
            .read(&self.view, &place.table, LOOK);
        let pack = self.numbers.get(&place.pack).copied();
        Ok(pack.map(|pack| (pack, place)))
    }

    /// Marks a lob that the caller keeps. Returns whether it is there.
    pub(crate) fn keep(&mut self, id: &LobId) -> Result<bool> {
        let Some((p, n)) = self.lob_at(id)? else {
            return Ok(false);
        };
        let _ = self.packs[p].kept.insert(n);
        match self.mark_lob_at(id, p, n) {
            Err(error) if is_absent(&error) => {
                self.damaged.push((*id, error.to_string()));
                self.stay(p)?;
            }
            marked => marked?,
        }
        Ok(true)
    }

    /// Marks all chunks that no lob accounts for, since a lob that is damaged may.
    pub(crate) fn keep_unaccounted(&mut self) -> Result<()> {
        let packs = self.packs.iter();
        let mut reached: Vec<_> = packs.map(|pack| Bits::none(pack.chunks.len())).collect();
        for p in 0..self.packs.len() {
            self.each_lob_of(p, &mut |_| true, &mut |marks, id| {
                if let Some((at, n, _)) = marks.chunk_at(id)? {
                    let _ = reached[at].insert(n);
                }
                Ok(())
            })?;
        }
        for (p, reached) in reached.iter().enumerate() {
            let table = self.table_of(p)?;
            for n in (0..table.chunk_count()).filter(|n| !reached.has(*n)) {
                let id = table.chunk(n).id;
                if self
                    .chunk_at(&id)?
                    .is_some_and(|(at, m, _)| (at, m) == (p, n))
                {
                    self.mark_chunk(&id)?;
                }
            }
        }
        Ok(())
    }

    fn mark_lob_at(&mut self, id: &LobId, p: usize, n: usize) -> Result<()> {
        if !self.packs[p].lobs.insert(n) {
            return Ok(());
        }
        let view = self.view.clone();
        let reach = Reach {
            store: self.store,
            view: &view,
        };
        let manifest = reach.manifest(id)?.ok_or(Error::NoLob(*id))?;
        reach.each_chunk(&manifest, &mut |chunk| self.mark_chunk(chunk))
    }

    /// Marks a chunk, and what its frame is based on.
    pub(crate) fn mark_chunk(&mut self, id: &ChunkId) -> Result<()> {
        let mut next = vec![*id];
        while let Some(id) = next.pop() {
            if let Some((p, n, place)) = self.chunk_at(&id)?
                && self.packs[p].chunks.insert(n)
            {
                next.extend(self.reach().bases(&place));
            }
        }
        Ok(())
    }

    /// Lets a pack stay as it is, and all that its lobs and its frames need.
    pub(crate) fn stay(&mut self, p: usize) -> Result<()> {
        if std::mem::replace(&mut self.packs[p].stays, true) {
            return Ok(());
        }
        let table = self.table_of(p)?;
        for n in 0..table.chunk_count() {
            let _ = self.packs[p].chunks.insert(n);
        }
        self.each_need(p, &mut |marks, id| marks.mark_chunk(id))?;
        for n in 0..table.lob_count() {
            let _ = self.packs[p].lobs.insert(n);
        }
        Ok(())
    }

    /// Calls `each` with what lobs without a mark and all delta frames of a pack need: as long as the
    /// pack is there this must be there too, or something would be visible that cannot be read.
    pub(crate) fn each_need(&mut self, p: usize, each: EachNeed<'_>) -> Result<()> {
        let table = self.table_of(p)?;
        for n in 0..table.frame_count() {
            let frame = table.frame(n).filter(|frame| frame.bases > 0);
            let bases = frame.map_or_else(Vec::new, |frame| table.bases(&frame));
            bases.iter().try_for_each(|id| each(self, id))?;
        }
        self.each_lob_of(p, &mut |is_marked| !is_marked, each)
    }

    /// Calls `each` with the chunks of those lobs of a pack that `which` wants, by whether they have a
    /// mark.
    fn each_lob_of(
        &mut self,
        p: usize,
        which: &mut dyn FnMut(bool) -> bool,
        each: EachNeed<'_>,
    ) -> Result<()> {
        let (table, view) = (self.table_of(p)?, self.view.clone());
        let reach = Reach {
            store: self.store,
            view: &view,
        };
        for n in 0..table.lob_count() {
            if !which(self.packs[p].lobs.has(n)) {
                continue;
            }
            let place = Place {
                pack: self.packs[p].id,
                table: table.clone(),
                entry: table.lob(n),
            };
            let walked = reach
                .manifest_at(&place)
                .and_then(|manifest| reach.each_chunk(&manifest, &mut |id| each(self, id)));
            match walked {
                // One that cannot be read now cannot be broken further.
                Err(error) if is_absent(&error) => {}
                walked => walked?,
            }
        }
        Ok(())
    }
}

/// What the store holds now, by an index that was read whole: a lookup that misses would count what
/// is needed for dead.
fn trusted_view(store: &Store) -> Result<Arc<View>> {
    let _ = store.refresh()?;
    if store.view().broken.is_some() {
        store.settle()?;
    }
    loop {
        let _ = store.distrust(Kind::Chunk)?;
        let _ = store.distrust(Kind::Lob)?;
        let view = store.view();
        if let Some(why) = &view.broken {
            return Err(Error::damaged(store.root().display(), why));
        }
        if view.runs.iter().all(|run| run.holds_all()) {
            // All of them was read for that.
            view.runs.iter().for_each(|run| run.release());
            return Ok(view);
        }
    }
}
