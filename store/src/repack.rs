//! Repack: old versions are written anew in terms of newer ones, and the newest without any base.
//!
//! ```text
//! walk the versions, newest first  ->  plan which packs are written anew, in units
//!   ->  fill a unit: the newest plainly, older ones against newer ones, all else as it was
//!   ->  one root puts its packs in the place of the old ones  ->  delete the files of those
//! ```
//!
//! What makes that safe (P2, P4, P7), and how it is the step of a prune that keeps everything:
//!
//! - Everything in a pack that goes is in a new one, read and verified, before one root exchanges
//!   them. So a kill loses no more than the work on one unit.
//! - The bases of a frame are at a lower depth than it, wherever a lookup finds them, before the root
//!   and after it: so nothing comes to be based on itself. A chunk that something stands on which
//!   stays where it is does not get any deeper (`unit.rs`), and when others publish meanwhile what
//!   stands on it, it is left plain as well.
//! - No lob leaves the store, and what comes instead of its pack is younger. So nobody has to be asked,
//!   and writers who rely on it find it.

mod carry;
mod choice;
mod exchange;
mod placed;
mod plan;
mod shape;
mod unit;

#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

use crate::disk::Lock;
use crate::error::{Error, Result};
use crate::id::LobId;
use crate::limits::REPACK_STEP;
use crate::progress::Progress;
use crate::prune::marks::Marks;
use crate::prune::{step, sweep};
use crate::store::{LobInfo, PRUNE_LOCK, Store, sealed};
use crate::view::is_absent;

pub(crate) use placed::NEW;
use placed::Turned;
use plan::Plan;
use unit::Unit;

/// How much a repack does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// What was not done yet, at the speed of a push.
    Fast,
    /// Everything, as small as can be.
    Deep,
}

/// What becomes of a version that is written anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It gets rid of its bases.
    Plain,
    /// It becomes the difference from a newer one, where that helps.
    Older,
}

/// What a plan comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RepackCost {
    /// The newest versions that are written without bases.
    pub newest: u64,
    /// Older versions that are written in terms of newer ones.
    pub older: u64,
    /// Packs that are written anew.
    pub packs: u64,
    /// Bytes of these.
    pub stored: u64,
    /// Bytes of what is in them.
    pub raw: u64,
}

/// What a repack did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Repacked {
    /// Versions that were written anew.
    pub versions: u64,
    /// Packs that were written anew.
    pub packs: u64,
    /// Bytes of these.
    pub before: u64,
    /// Bytes of what came in their place.
    pub after: u64,
    /// Bytes of files that wait for running commands to end.
    pub waiting: u64,
    /// Units that the caller left for another time.
    pub left: u64,
    /// Packs that stay because something in them cannot be read.
    pub unreadable: u64,
    /// Versions that are not as they are to be because something could not be read. The next repack
    /// tries them again.
    pub passed: u64,
}

/// A repack that is ready to be carried out: the only one of its store, and no prune goes on meanwhile.
#[derive(Debug)]
pub struct RepackPlan<'s> {
    plan: Plan<'s>,
    units: Vec<Vec<usize>>,
    cost: RepackCost,
    _only: Lock,
}

impl Store {
    /// Plans to write versions of files anew. Each of `chains` lists those of one file, newest first;
    /// what the store does not hold is passed over. `None` where a prune or another repack is at work.
    pub fn repack(&self, chains: &[Vec<LobId>], effort: Effort) -> Result<Option<RepackPlan<'_>>> {
        self.repack_in_steps(chains, effort, REPACK_STEP)
    }

    /// The same in units of so many bytes instead of [`REPACK_STEP`]: so that tests need not move
    /// gigabytes to see many of them.
    #[doc(hidden)]
    pub fn repack_in_steps(
        &self,
        chains: &[Vec<LobId>],
        effort: Effort,
        step: u64,
    ) -> Result<Option<RepackPlan<'_>>> {
        let lock = self.root().join(PRUNE_LOCK);
        let only = self.disk().lock(&lock, false).map_err(Error::at(&lock))?;
        let Some(only) = only else {
            return Ok(None);
        };
        // Whoever has found something in a pack finds it in the one that comes in its place: no pack
        // is too young.
        let never = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40);
        let mut marks = Marks::new(self, never)?;
        marks.mark_all()?;
        let plan = Plan::of(marks, chains, effort == Effort::Deep)?;
        let units = plan.units(step)?;
        let cost = plan.cost(&units);
        Ok(Some(RepackPlan {
            plan,
            units,
            cost,
            _only: only,
        }))
    }
}

impl RepackPlan<'_> {
    /// What it comes to.
    pub fn cost(&self) -> RepackCost {
        self.cost
    }

    /// Calls `each` for every version that is written anew.
    pub fn each_version(&self, each: &mut dyn FnMut(LobInfo, Turn) -> Result<()>) -> Result<()> {
        for chain in &self.plan.chains {
            for (n, version) in chain.iter().enumerate() {
                let (id, size) = (version.id, version.size);
                let turn = if n == 0 { Turn::Plain } else { Turn::Older };
                if !version.packs.is_empty() {
                    each(LobInfo { id, size }, turn)?;
                }
            }
        }
        Ok(())
    }

    /// Does it, and deletes what can be deleted. Before each unit `go_on` is called with the bytes of
    /// packs that were written anew until then; where it says no, the rest is left. What is interrupted
    /// is done as far as it came, and the next repack goes on.
    ///
    /// # Errors
    /// [`Error::Busy`] where others wrote so much that it never got its turn.
    pub fn run(
        mut self,
        go_on: &mut dyn FnMut(u64) -> bool,
        progress: &dyn Progress,
    ) -> Result<Repacked> {
        let store = self.plan.marks.store;
        let mut done = Repacked {
            passed: self.plan.passed,
            ..Repacked::default()
        };
        let units = std::mem::take(&mut self.units);
        let _ = sweep(store, None)?;
        // What one left that was killed with nothing more to do than to write that down.
        sealed::clear(store.disk().as_ref(), &store.root().join(NEW))?;
        for (n, unit) in units.iter().enumerate() {
            if !go_on(done.before) {
                done.left = (units.len() - n) as u64;
                break;
            }
            self.carry_out(unit, &mut done, progress)?;
            self.plan.placed.save(store)?;
            done.waiting = sweep(store, None)?.waiting;
        }
        done.unreadable = self.plan.marks.unreadable;
        Ok(done)
    }

    /// One unit. Packs in which something cannot be read stay, and it is taken up again without them.
    fn carry_out(
        &mut self,
        unit: &[usize],
        done: &mut Repacked,
        progress: &dyn Progress,
    ) -> Result<()> {
        loop {
            let packs = &self.plan.marks.packs;
            let going: Vec<usize> = unit.iter().copied().filter(|p| !packs[*p].stays).collect();
            if going.is_empty() {
                return Ok(());
            }
            for &p in &going {
                step::check_others(&mut self.plan.marks, p)?;
            }
            match self.exchange(&going, done, progress) {
                Err(error) if is_absent(&error) => self.keep_unreadable(&going, error)?,
                done => return done,
            }
        }
    }

    fn exchange(
        &mut self,
        going: &[usize],
        done: &mut Repacked,
        progress: &dyn Progress,
    ) -> Result<()> {
        let unit = Unit::fill(&self.plan, going, progress)?;
        let turned = unit.publish(&mut self.plan)?;
        done.versions += turned.versions;
        done.passed += turned.passed;
        done.packs += going.len() as u64;
        done.before += going
            .iter()
            .map(|p| self.plan.marks.packs[*p].len)
            .sum::<u64>();
        done.after += turned.bytes;
        for (lob, turned) in turned.lobs {
            self.plan.placed.insert(lob, turned);
        }
        Ok(())
    }

    /// Lets the packs stay that something in them was in the way of.
    fn keep_unreadable(&mut self, going: &[usize], error: Error) -> Result<()> {
        let mut any = false;
        for &p in going {
            if !self.plan.is_readable(p)? {
                self.plan.marks.stay(p)?;
                self.plan.marks.unreadable += 1;
                any = true;
            }
        }
        if any { Ok(()) } else { Err(error) }
    }
}
