//! Repair: a store is made whole from what is left of it, and what is lost is named.
//!
//! ```text
//! examine  ->  plan  ->  format, roots, index  ->  adopt packs, rewrite packs  ->  tables, leftovers
//! ```
//!
//! Readers and writers go on meanwhile, a prune does not. What makes it safe (P2, P4):
//!
//! - What is good of a damaged pack is verified, written into new packs and visible there before
//!   anything else happens to that pack, and lobs get names there only if all of them is whole.
//! - A pack of which something could not be read leaves the store by a rename into `damaged/`, where
//!   nobody reads it and nobody deletes it. After that a root drops it.
//! - What a root dropped does not come back, whatever files are there.
//! - Each step looks again whether it is still to be done; killed anywhere, a repair is begun anew.
//!
//! What is lost has to come from elsewhere: [`RepairPlan::lost`] names it, and any
//! [`Writer`](crate::Writer) takes it in after the run. Packs that are missing stay named until
//! [`Store::forget`]: so they count again if their files come back.

mod adopt;
mod file;
mod rewrite;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Disk, Lock};
use crate::epoch;
use crate::error::{Error, Result};
use crate::fsck::{self, Depth, Finding, Gravity, Object, Remedy};
use crate::id::{LobId, PackId, StoreId};
use crate::progress::Progress;
use crate::prune::{Swept, sweep};
use crate::roots::{Cursor, Root};
use crate::store::{DAMAGED, INDEX_LOCK, NEW_TABLE, PRUNE_LOCK, Store, find_id};
use crate::view::is_absent;

/// One thing that a repair does. They are done in this order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Step {
    /// `state/format`, which says that this is a store, is written anew.
    Format,
    /// What a killed writer left in its stage is taken in.
    TakeIn(PathBuf),
    /// Roots that are lost or damaged are written anew.
    Roots,
    /// The run of the index over these roots is removed, and made anew when it is worth it.
    Run(u64, u64),
    /// A pack that no root names becomes part of the store, or what is good of it.
    Adopt(PackId),
    /// What is good of a damaged pack moves to a new one.
    Rewrite(PackId),
    /// The table beside a pack is written anew.
    Table(PackId),
    /// A file in the making, or one that nothing refers to, is deleted.
    Delete(PathBuf),
    /// The files of a dropped pack are deleted, when no running command can rely on them.
    Sweep(PackId),
}

/// What is going to be done to a store.
#[derive(Debug)]
pub struct RepairPlan {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    id: StoreId,
    steps: BTreeSet<Step>,
    lost: BTreeSet<LobId>,
    missing: BTreeSet<PackId>,
    others: Vec<Finding>,
}

/// What a repair did.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Repaired {
    /// Steps that were done, or had been done by others.
    pub done: Vec<Step>,
    /// Steps that failed, and why. They changed nothing that counts.
    pub failed: Vec<(Step, Error)>,
    /// Files that were set aside, as paths in the store.
    pub aside: Vec<PathBuf>,
    /// What became of the files of dropped packs.
    pub swept: Swept,
}

/// Plans the repair of the store in `root` by an examination to this depth. Changes nothing. `known` is
/// the id of the store, for when nothing in it tells that any longer. `progress` hears of the
/// examination.
///
/// # Errors
/// As [`fsck::examine`].
pub fn plan(
    disk: Arc<dyn Disk>,
    root: &Path,
    depth: Depth,
    known: Option<StoreId>,
    progress: &dyn Progress,
) -> Result<RepairPlan> {
    let id = match (find_id(disk.as_ref(), root)?, known) {
        (Some(id), _) | (None, Some(id)) => id,
        (None, None) => StoreId::random().map_err(Error::at(root))?,
    };
    let mut plan = RepairPlan {
        disk: disk.clone(),
        root: root.to_path_buf(),
        id,
        steps: BTreeSet::new(),
        lost: BTreeSet::new(),
        missing: BTreeSet::new(),
        others: Vec::new(),
    };
    let _ = fsck::examine(disk, root, depth, progress, &mut |finding| {
        plan.take_in(finding);
    })?;
    let rewritten = |id| plan.steps.contains(&Step::Rewrite(id));
    let needless = |step: &Step| matches!(step, Step::Table(id) if rewritten(*id));
    let needless: Vec<_> = plan.steps.iter().filter(|step| needless(step)).collect();
    let needless: Vec<_> = needless.into_iter().cloned().collect();
    for step in needless {
        let _ = plan.steps.remove(&step);
    }
    plan.lost.extend(file::once_held(&plan.disk, root, id)?);
    Ok(plan)
}

impl RepairPlan {
    fn take_in(&mut self, finding: Finding) {
        use Remedy::{Adopt, Delete, Fetch, Open, Prune, Rebuild, Rewrite, System};
        let step = match (&finding.object, finding.remedy) {
            (Object::File(path), Rebuild) if path == Path::new("state/format") => Step::Format,
            (Object::File(path), Open) => Step::TakeIn(path.clone()),
            (Object::File(path), Delete) if !path.starts_with(DAMAGED) => {
                Step::Delete(path.clone())
            }
            (Object::Root(_), Rebuild | System) => Step::Roots,
            (Object::Run(from, to), Rebuild | System | Delete) => Step::Run(*from, *to),
            (Object::Pack(id), Adopt) => Step::Adopt(*id),
            (Object::Pack(id), Rewrite | System) => Step::Rewrite(*id),
            (Object::Chunk(_, id), Rewrite | Fetch | System) => Step::Rewrite(*id),
            (Object::Pack(id) | Object::Table(id), Prune) => Step::Sweep(*id),
            (Object::Table(id), Rebuild | System) => Step::Table(*id),
            (Object::Table(id), Delete) => Step::Delete(format!("packs/{id}.idx").into()),
            (Object::Pack(id), Fetch) => {
                let _ = self.missing.insert(*id);
                return;
            }
            (Object::Lob(id), _) if finding.gravity == Gravity::Loss => {
                let _ = self.lost.insert(*id);
                return;
            }
            // Of a manifest that another pack has too: its own pack is damaged, and was reported.
            (Object::Lob(_), Rewrite) => return,
            _ => return self.others.push(finding),
        };
        let _ = self.steps.insert(step);
    }

    /// What is going to be done, in order.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter()
    }

    /// Lobs that cannot be read from this store and must come from elsewhere, as far as the
    /// examination looked; those too that packs held which were set aside before. What is not told by
    /// any table or manifest that is left is not among them.
    pub fn lost(&self) -> impl Iterator<Item = &LobId> {
        self.lost.iter()
    }

    /// Packs of which nothing is there.
    pub fn missing(&self) -> impl Iterator<Item = &PackId> {
        self.missing.iter()
    }

    /// What was found and is not for a repair to mend. Where that is damage, something could not be
    /// examined: what is lost beyond it is not known.
    pub fn others(&self) -> &[Finding] {
        &self.others
    }

    /// Does it. `None` where a prune or another repair is at work. What fails stops nothing else.
    ///
    /// # Errors
    /// [`Error::Interrupted`], and what keeps the store from being opened.
    pub fn run(&self, progress: &dyn Progress) -> Result<Option<Repaired>> {
        let mut repaired = Repaired::default();
        if self.steps.is_empty() {
            return Ok(Some(repaired));
        }
        if self.steps.contains(&Step::Format) {
            Store::restore_format(self.disk.as_ref(), &self.root, &self.id)?;
        }
        let store = Store::open(self.disk.clone(), &self.root)?;
        store.complete()?;
        let Some(_only) = only(&store)? else {
            return Ok(None);
        };
        // What a repair that was killed has removed must not come back when this one says that all is
        // well.
        let index = self.root.join("index");
        self.disk.sync_dir(&index).map_err(Error::at(&index))?;
        for step in &self.steps {
            if progress.cancelled() {
                return Err(Error::Interrupted);
            }
            match carry_out(&store, step, progress) {
                Ok(aside) => {
                    repaired.aside.extend(aside);
                    repaired.done.push(step.clone());
                }
                Err(Error::Interrupted) => return Err(Error::Interrupted),
                Err(error) => repaired.failed.push((step.clone(), error)),
            }
        }
        // What became dead by this, and was before.
        repaired.swept = sweep(&store, None)?;
        // What was to be done is done; readers do without an index, and the next writer tries again.
        let _ = store.merge_index();
        Ok(Some(repaired))
    }
}

/// Does one step. Returns what it set aside.
fn carry_out(store: &Store, step: &Step, progress: &dyn Progress) -> Result<Vec<PathBuf>> {
    match step {
        // Done before the store was opened, and by opening it.
        Step::Format | Step::TakeIn(_) => Ok(()),
        Step::Sweep(id) => adopt::drop_again(store, id),
        Step::Roots => mend_roots(store),
        Step::Run(from, to) => file::remove_run(store, (*from, *to)),
        Step::Adopt(id) => return adopt::adopt(store, id, progress),
        Step::Rewrite(id) => return rewrite::rewrite(store, id, progress),
        Step::Table(id) => store.write_table(id, &store.root().join(NEW_TABLE)),
        Step::Delete(path) => file::delete(store, path),
    }
    .map(|()| Vec::new())
}

/// Follows the roots from the first one on, and writes anew what cannot be followed.
fn mend_roots(store: &Store) -> Result<()> {
    let nothing = Root::default();
    let _ = store.publish_root(&nothing, &Cursor::default(), &mut |_| Ok(true))?;
    store.settle()
}

impl Store {
    /// Gives up packs that roots name and that are not there: nobody misses them any longer, and
    /// should their files come back, they do not count. To be called when all that they held is here
    /// again, or is known to be gone for good.
    ///
    /// # Errors
    /// [`Error::Busy`] where a prune or a repair is at work.
    pub fn forget(&self, packs: &[PackId]) -> Result<()> {
        let absent = |id: &&PackId| matches!(self.packs().is_there(id), Ok(false));
        let dropped: Vec<_> = packs.iter().filter(absent).copied().collect();
        if dropped.is_empty() {
            return Ok(());
        }
        let _only = only(self)?.ok_or(Error::Busy)?;
        epoch::begin(self.disk().as_ref(), self.root())?;
        let _ = self.refresh()?;
        let root = Root {
            added: Vec::new(),
            dropped,
        };
        let cursor = self.view().cursor;
        let _ = self.publish_root(&root, &cursor, &mut |_| Ok(true))?;
        // Their tables may be there.
        sweep(self, None).map(drop)
    }
}

/// Takes the turn of those who take packs out of a store; `None` where somebody else has it.
fn only(store: &Store) -> Result<Option<Lock>> {
    let path = store.root().join(PRUNE_LOCK);
    store.disk().lock(&path, false).map_err(Error::at(&path))
}

/// Takes the turn of those who merge the index, unless somebody else has it.
fn index_turn(store: &Store) -> Result<Lock> {
    let path = store.root().join(INDEX_LOCK);
    let lock = store.disk().lock(&path, false).map_err(Error::at(&path))?;
    lock.ok_or(Error::Busy)
}

/// `None` for what cannot be had for good. What a damaged pack says of later formats is damage too.
fn had<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Err(Error::WrongContent { .. } | Error::NoLob(_) | Error::Later { .. }) => Ok(None),
        Err(error) if is_absent(&error) => Ok(None),
        read => read.map(Some),
    }
}
