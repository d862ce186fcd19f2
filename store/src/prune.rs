//! Prune: what nobody needs goes, and its space comes back.
//!
//! ```text
//! mark what stays  ->  plan which packs go  ->  move what stays of them, drop them by a root
//!                  ->  delete their files, once no running writer can rely on them
//! ```
//!
//! Readers and writers go on meanwhile. What makes that safe (P4, P7):
//!
//! - At every root, all that is visible can be read (`plan.rs`).
//! - A root drops packs under the lock of the roots, after a look at what came meanwhile: packs that
//!   are new, and packs that somebody touched because he found in them what he was to add. They stay
//!   with all that they need. What comes later finds out that packs were dropped, and brings back what
//!   it relied on (`stage/reliance.rs`), from files that stay until its stage is gone (`sweep.rs`).
//! - What must not go at once is set aside: it is dropped, and its files stay for a time in which it
//!   comes back where somebody asks for it (`aside.rs`).
//! - What is in several packs is counted once, and the copy that counts is read before another goes.
//!
//! A full disk is where a prune is needed most: what is dead as a whole goes first, and needs no room
//! that is not there (`cramped.rs`). What that gives is room for the rest.

pub(crate) mod aside;
pub(crate) mod bits;
mod cramped;
pub(crate) mod marks;
pub(crate) mod plan;
pub(crate) mod step;
mod sweep;

use std::time::{Duration, SystemTime};

use crate::disk::Lock;
use crate::error::{Error, Result};
use crate::id::LobId;
use crate::limits::PRUNE_STEP;
use crate::progress::Progress;
use crate::store::{LobInfo, PRUNE_LOCK, Store};

use aside::Aside;
use marks::Marks;
use plan::Batches;
pub use sweep::Swept;
pub(crate) use sweep::sweep;

/// A prune that is being prepared: the only one of its store.
#[derive(Debug)]
pub struct Prune<'s> {
    marks: Marks<'s>,
    step: u64,
    grace: Option<Duration>,
    _only: Lock,
}

/// What a prune is going to do.
#[derive(Debug)]
pub struct PrunePlan<'s> {
    marks: Marks<'s>,
    batches: Batches,
    cost: PruneCost,
    grace: Option<Duration>,
    _only: Lock,
}

/// What a plan comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PruneCost {
    /// Packs that go.
    pub packs: u64,
    /// Bytes that come back, about.
    pub freed: u64,
    /// Bytes that are written anew for that, about.
    pub moved: u64,
}

/// What becomes of a lob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It goes.
    Goes,
    /// It stays: the caller keeps it.
    Kept,
    /// It stays: it was stored, or found to be there already, too short a time ago.
    Young,
    /// It stays for now: to take it out would not be worth writing anew what is beside it.
    Left,
}

impl Store {
    /// Prepares to remove what is not needed. Packs that were written or touched at `young` or later
    /// stay, with all that is in them. `None` where another process is at it.
    pub fn prune(&self, young: SystemTime) -> Result<Option<Prune<'_>>> {
        let lock = self.root().join(PRUNE_LOCK);
        let only = self.disk().lock(&lock, false).map_err(Error::at(&lock))?;
        let Some(only) = only else {
            return Ok(None);
        };
        // What goes makes room for what is moved next.
        let step = self.free_space()?.map_or(PRUNE_STEP, |free| free / 2);
        Ok(Some(Prune {
            marks: Marks::new(self, young)?,
            step: PRUNE_STEP.min(step),
            grace: None,
            _only: only,
        }))
    }
}

impl<'s> Prune<'s> {
    /// Keeps a lob. Returns whether it is there. Where one is damaged, so that what it needs cannot be
    /// told, everything stays that no other lob accounts for.
    pub fn keep(&mut self, id: &LobId) -> Result<bool> {
        self.marks.keep(id)
    }

    /// The lobs that are kept and damaged, each with the reason.
    pub fn damaged(&self) -> &[(LobId, String)] {
        &self.marks.damaged
    }

    /// Sets aside what goes, so that until `grace` has passed [`Store::bring_back`] finds it. What was
    /// set aside before goes for good when it has been for so long.
    pub fn set_aside(&mut self, grace: Duration) {
        self.grace = Some(grace);
    }

    /// Calls `each` for every lob that nothing keeps until now.
    pub fn each_other(&self, each: &mut dyn FnMut(LobInfo) -> Result<()>) -> Result<()> {
        for p in 0..self.marks.packs.len() {
            let table = self.marks.table_of(p)?;
            for lob in (0..table.lob_count()).map(|n| table.lob(n)) {
                let found = self.marks.lob_at(&lob.id)?;
                let here = found.filter(|(at, _)| *at == p);
                if here.is_some_and(|(_, n)| !self.marks.packs[p].lobs.has(n)) {
                    let (id, size) = (lob.id, lob.size);
                    each(LobInfo { id, size })?;
                }
            }
        }
        Ok(())
    }

    /// Moves so many bytes at a time instead of [`PRUNE_STEP`]: so that tests need not move gigabytes
    /// to see many steps.
    #[doc(hidden)]
    pub fn set_step(&mut self, bytes: u64) {
        self.step = bytes;
    }

    /// Decides what goes.
    pub fn plan(mut self) -> Result<PrunePlan<'s>> {
        if !self.marks.damaged.is_empty() {
            self.marks.keep_unaccounted()?;
        }
        let batches = plan::decide(&mut self.marks, self.step)?;
        let mut cost = PruneCost::default();
        for &p in batches.iter().flatten() {
            let pack = &self.marks.packs[p];
            let freed = match pack.is_dead() {
                true => pack.len,
                false => plan::dead_bytes(&self.marks, p)?,
            };
            cost.packs += 1;
            cost.freed += freed;
            cost.moved += pack.len.saturating_sub(freed);
        }
        Ok(PrunePlan {
            marks: self.marks,
            batches,
            cost,
            grace: self.grace,
            _only: self._only,
        })
    }
}

impl PrunePlan<'_> {
    /// What it comes to.
    pub fn cost(&self) -> PruneCost {
        self.cost
    }

    /// Calls `each` for every lob, with what becomes of it.
    pub fn each_lob(&self, each: &mut dyn FnMut(LobInfo, Fate) -> Result<()>) -> Result<()> {
        for (p, pack) in self.marks.packs.iter().enumerate() {
            let table = self.marks.table_of(p)?;
            for lob in (0..table.lob_count()).map(|n| table.lob(n)) {
                let Some((_, n)) = self.marks.lob_at(&lob.id)?.filter(|(at, _)| *at == p) else {
                    continue;
                };
                let fate = match pack {
                    _ if pack.kept.has(n) => Fate::Kept,
                    _ if pack.young => Fate::Young,
                    _ if pack.lobs.has(n) => Fate::Left,
                    _ => Fate::Goes,
                };
                let (id, size) = (lob.id, lob.size);
                each(LobInfo { id, size }, fate)?;
            }
        }
        Ok(())
    }

    /// Does it, and deletes what can be deleted. What is interrupted is done as far as it came, and
    /// the next prune goes on.
    ///
    /// # Errors
    /// [`Error::Busy`] where others wrote so much that it never got its turn. That there is no room to
    /// move what stays comes after all that could be done without.
    pub fn run(mut self, progress: &dyn Progress) -> Result<Swept> {
        let store = self.marks.store;
        let mut swept = sweep(store, self.grace)?;
        let batches = std::mem::take(&mut self.batches);
        if plan::loses(&self.marks, &batches) {
            cramped::begin_epoch(&mut self.marks)?;
        }
        let mut no_room = None;
        for batch in &batches {
            if self.grace.is_some() {
                Aside::put(store, batch.iter().map(|p| self.marks.packs[*p].id))?;
            }
            match cramped::carry_out(&mut self.marks, batch, progress) {
                Err(error) if error.is_full() => {
                    batch.iter().try_for_each(|p| self.marks.stay(*p))?;
                    no_room = Some(error);
                    continue;
                }
                done => done?,
            }
            let more = sweep(store, self.grace)?;
            swept = Swept {
                bytes: swept.bytes + more.bytes,
                ..more
            };
        }
        swept.unreadable = self.marks.unreadable;
        if no_room.is_some() {
            cramped::put_tables_back(&self.marks);
        }
        no_room.map_or(Ok(swept), Err)
    }
}
