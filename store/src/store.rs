//! A store: packs, their tables, the index over them and the roots that make them visible.

mod durable;
mod format;
mod listing;
mod lookup;
mod merge;
pub(crate) mod sealed;
mod tables;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::disk::{self, Disk, Noting, Refused};
use crate::epoch::epoch;
use crate::error::{Error, Result};
use crate::id::{ChunkId, Epoch, LobId, PackId, StoreId};
use crate::index::Kind;
use crate::limits::TAIL_PACKS_MAX;
use crate::manifest::Manifest;
use crate::pack::{self, Packs};
use crate::read::Recent;
use crate::roots::{self, Cursor, News, Root};
use crate::stage::{self, Writer};
use crate::view::{Ranges, View};
use durable::{Durable, above, sync_name};

pub(crate) use format::find_id;
use format::{is_foreign, read_format, write_format};

/// What a store knows of a lob without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LobInfo {
    /// Its id.
    pub id: LobId,
    /// Its length in bytes.
    pub size: u64,
}

/// The directories of a store.
pub(crate) const DIRECTORIES: [&str; 5] = ["state", "packs", "index", "roots", "stage"];
/// Who takes packs out of a store holds it: a prune, a repack or a repair. Nobody ever waits for it.
pub(crate) const PRUNE_LOCK: &str = "state/prune.lock";
/// Who merges runs of the index holds it, and nobody ever waits for it.
pub(crate) const INDEX_LOCK: &str = "state/index.lock";
/// A table in the making, under the lock of prunes.
pub(crate) const NEW_TABLE: &str = "state/table.new";
/// Where a repair puts damaged packs. Nobody reads them there, and nobody deletes them.
pub(crate) const DAMAGED: &str = "damaged";

/// A store in a directory. Share it by reference: all its methods take `&self` and any thread.
#[derive(Debug)]
pub struct Store {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    id: StoreId,
    packs: Packs,
    recent: Recent,
    view: RwLock<Arc<View>>,
    durable: Mutex<Durable>,
    refused: Refused,
    /// Whether nothing may be written that nobody asked for.
    is_examined: bool,
}

impl Store {
    /// Makes a new store in `root`, which must be missing or empty.
    pub fn create(disk: Arc<dyn Disk>, root: &Path) -> Result<Store> {
        if !create_dirs(disk.as_ref(), root)? {
            // It may be of somebody who was killed before its name was durable.
            sync_name(disk.as_ref(), root)?;
        }
        // A store that was being made when its maker was killed has directories and no format yet.
        let entries = disk.list(root).map_err(Error::at(root))?;
        if entries.iter().any(is_foreign) {
            return Err(Error::Occupied(root.to_path_buf()));
        }
        if !create_missing(disk.as_ref(), root)? {
            // A maker may have made them who was killed before he synced them.
            disk.sync_dir(root).map_err(Error::at(root))?;
        }
        let state = root.join("state");
        let lock = state.join("lock");
        let turn = disk.lock(&lock, true).map_err(Error::at(&lock))?;
        let format = state.join("format");
        if disk.len(&format).map_err(Error::at(&format))?.is_none() {
            let id = StoreId::random().map_err(Error::at(&format))?;
            write_format(disk.as_ref(), root, &id)?;
        }
        drop(turn);
        Store::open(disk, root)
    }

    /// Opens the store in `root`. What a writer that was killed had staged is taken in first.
    pub fn open(disk: Arc<dyn Disk>, root: &Path) -> Result<Store> {
        let id = read_format(disk.as_ref(), root)?;
        let mut store = Store::examined(disk, root, id)?;
        store.is_examined = false;
        stage::salvage_dead(&store);
        Ok(store)
    }

    /// Opens the store in `root` to look at it as it is: reading changes nothing.
    pub(crate) fn examined(disk: Arc<dyn Disk>, root: &Path, id: StoreId) -> Result<Store> {
        let refused = Refused::default();
        let disk: Arc<dyn Disk> = Arc::new(Noting::new(disk, refused.clone()));
        let packs = Packs::new(disk.clone(), root.join("packs"));
        let view = View::load(disk.as_ref(), root, &packs, Ranges::new())?;
        Ok(Store {
            disk,
            root: root.to_path_buf(),
            id,
            packs,
            recent: Recent::default(),
            view: RwLock::new(Arc::new(view)),
            durable: Mutex::default(),
            refused,
            is_examined: true,
        })
    }

    /// Opens the store in `root`, or makes it where there is nothing yet.
    pub fn open_or_create(disk: Arc<dyn Disk>, root: &Path) -> Result<Store> {
        match Store::open(disk.clone(), root) {
            Err(Error::NotAStore(_)) => Store::create(disk, root),
            opened => opened,
        }
    }

    /// The random id that the store got when it was made.
    pub fn id(&self) -> StoreId {
        self.id
    }

    /// The epoch that it is in now: another one before lobs leave it.
    pub fn epoch(&self) -> Result<Epoch> {
        epoch(self.disk.as_ref(), &self.root)
    }

    /// Its directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Makes the directories that the store lacks, because it is a copy that left out empty ones.
    pub(crate) fn complete(&self) -> Result<()> {
        create_missing(self.disk.as_ref(), &self.root).map(drop)
    }

    pub(crate) fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// What of it this process could not sync.
    pub(crate) fn refused(&self) -> &Refused {
        &self.refused
    }

    pub(crate) fn packs(&self) -> &Packs {
        &self.packs
    }

    pub(crate) fn recent(&self) -> &Recent {
        &self.recent
    }

    pub(crate) fn view(&self) -> Arc<View> {
        self.view
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Takes in what other processes have published since. Returns whether anything is new.
    pub fn refresh(&self) -> Result<bool> {
        let old = self.view();
        let dir = self.root.join("roots");
        match roots::next(self.disk.as_ref(), &dir, &old.cursor) {
            Ok(None) => return Ok(false),
            // Broken as it was, and all packs were looked for then.
            Err(Error::Damaged { .. }) if old.broken.is_some() && self.is_on_chain(&old) => {
                return Ok(false);
            }
            // Broken, or another chain since somebody mended it.
            Ok(Some(_)) | Err(Error::Damaged { .. }) => {}
            Err(e) => return Err(e),
        }
        // From the start, so that the index runs that were merged meanwhile replace a long tail.
        self.reload(&Ranges::new())?;
        Ok(true)
    }

    /// Whether the roots that a view has seen are those that are there.
    fn is_on_chain(&self, view: &View) -> bool {
        let dir = self.root.join("roots");
        view.cursor.seq == 0 || roots::is_there(self.disk.as_ref(), &dir, &view.cursor)
    }

    /// Loads the view anew, from now on without these runs of the index if they do not hold.
    pub(crate) fn reload(&self, distrusted: &Ranges) -> Result<()> {
        loop {
            let distrusted = &self.view().distrusted | distrusted;
            let new = View::load(self.disk.as_ref(), &self.root, &self.packs, distrusted)?;
            let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
            if !view.distrusted.is_subset(&new.distrusted) {
                // Another thread has found out about more meanwhile.
                continue;
            }
            // Another thread may have been quicker and have seen more.
            let older = new.cursor.seq < view.cursor.seq;
            if !older || new.broken.is_some() || view.broken.is_some() {
                *view = Arc::new(new);
            }
            return Ok(());
        }
    }

    /// Why the roots of this store cannot all be followed, where some are lost or damaged. All packs
    /// are found nevertheless, and the next writer to publish something makes the roots whole.
    pub fn broken_roots(&self) -> Option<String> {
        self.view().broken.clone()
    }

    /// Where the sequence of roots stands: two equal cursors mean an unchanged store.
    pub fn cursor(&self) -> Result<Cursor> {
        let _ = self.refresh()?;
        Ok(self.view().cursor)
    }

    /// What is known of a lob; `None` when the store does not hold it.
    pub fn lob(&self, id: &LobId) -> Result<Option<LobInfo>> {
        Ok(self.lobs(&[*id])?.pop().flatten())
    }

    /// What is known of each of these lobs. However many are not held, what others have published
    /// meanwhile is looked for once.
    pub fn lobs(&self, ids: &[LobId]) -> Result<Vec<Option<LobInfo>>> {
        let mut found = self.lobs_in(&self.view(), ids)?;
        if found.contains(&None) && self.refresh()? {
            found = self.lobs_in(&self.view(), ids)?;
        }
        if found.contains(&None) && self.distrust(Kind::Lob)? {
            found = self.lobs_in(&self.view(), ids)?;
        }
        Ok(found)
    }

    fn lobs_in(&self, view: &View, ids: &[LobId]) -> Result<Vec<Option<LobInfo>>> {
        let info = |id: &LobId| {
            let place = view.find(&self.packs, id)?;
            Ok(place.map(|place| LobInfo {
                id: *id,
                size: place.entry.size,
            }))
        };
        ids.iter().map(info).collect()
    }

    /// For each id whether the store holds that chunk (full ids confirmed). This is asked for every
    /// chunk that is added or sent, and costs no more than the lookup: where a part of the index is
    /// damaged, or others have just published something, it may say no of a chunk that is there. So
    /// a yes is certain, and for a no the chunk may be stored once more.
    pub fn has_chunks(&self, ids: &[ChunkId]) -> Result<Vec<bool>> {
        let view = self.view();
        ids.iter().map(|id| view.holds(&self.packs, id)).collect()
    }

    /// The manifest of a lob; `None` when the store does not hold it.
    pub fn manifest(&self, id: &LobId) -> Result<Option<Manifest>> {
        let Some(place) = self.need(id)? else {
            return Ok(None);
        };
        let read = self.read_any(id, &place, |place| {
            let file = self.packs.file(&place.pack)?;
            let path = self.packs.path(&place.pack);
            pack::read_manifest(file.as_ref(), &path, &place.entry)
        });
        match read {
            // It was pruned since the view was loaded that said where it is.
            Err(Error::NoPack(_)) if self.view().find(&self.packs, id)?.is_none() => Ok(None),
            read => read.map(Some),
        }
    }

    /// Starts writing: a stage of its own under a kernel lock. Many writers may be active at once.
    pub fn writer(&self) -> Result<Writer<'_>> {
        Ok(Writer::new(self))
    }

    /// Bytes that all packs and tables take.
    pub fn stored_bytes(&self) -> Result<u64> {
        let dir = self.root.join("packs");
        let entries = disk::entries(self.disk.as_ref(), &dir).map_err(Error::at(&dir))?;
        Ok(entries.iter().map(|entry| entry.len).sum())
    }

    /// Bytes that this process may still write to the file system that the store is on, if that can
    /// be told.
    pub fn free_space(&self) -> Result<Option<u64>> {
        self.disk
            .free_space(&self.root)
            .map_err(Error::at(&self.root))
    }

    /// What the roots bring that come after `seen`.
    pub(crate) fn news(&self, seen: &Cursor) -> Result<News> {
        let lock = self.root.join("state/roots.lock");
        roots::news(self.disk.as_ref(), &self.root.join("roots"), &lock, seen)
    }

    /// Makes packs that are in place visible, or takes packs out of the store, and keeps the index
    /// short. Nothing is done, and `None` is returned, where `agree` says no to what came after
    /// `seen`. A root that says nothing is not written.
    pub(crate) fn publish_root(
        &self,
        root: &Root,
        seen: &Cursor,
        agree: &mut dyn FnMut(News) -> Result<bool>,
    ) -> Result<Option<Cursor>> {
        let dir = self.root.join("roots");
        let lock = self.root.join("state/roots.lock");
        let packs = self.root.join("packs");
        let all = || {
            let there = self.packs.on_disk()?;
            let own = |(id, _): &(PackId, u64)| root.added.iter().any(|(added, _)| added == id);
            if !there.iter().all(own) {
                // Of writers who may have died before the tables were beside them, or durable.
                self.packs.complete(&there, &dir.join("new"))?;
                self.disk.sync_dir(&packs).map_err(Error::at(&packs))?;
            }
            Ok(there)
        };
        let disk = self.disk.as_ref();
        let Some(last) = roots::append(disk, &dir, &lock, seen, root, &all, agree)? else {
            return Ok(None);
        };
        if !root.says_nothing() {
            let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
            durable.roots = durable.roots.max(last.seq);
        }
        let _ = self.refresh()?;
        if self.view().tail.len() > TAIL_PACKS_MAX {
            // What was to be done is done, and durable; the next one to publish tries again.
            let _ = self.merge_index();
        }
        Ok(Some(last))
    }
}

/// Creates a directory and those above it that are missing, each durable. Returns whether it was
/// missing.
fn create_dirs(disk: &dyn Disk, dir: &Path) -> Result<bool> {
    match disk.list(dir) {
        Ok(_) => return Ok(false),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(Error::at(dir)(e)),
    }
    let _ = create_dirs(disk, above(dir))?;
    disk.create_dir(dir).map_err(Error::at(dir))?;
    sync_name(disk, dir).map(|()| true)
}

/// Makes the directories that the store in `root` lacks, durably. Returns whether it lacks any.
fn create_missing(disk: &dyn Disk, root: &Path) -> Result<bool> {
    let there = disk.list(root).map_err(Error::at(root))?;
    let mut missing = DIRECTORIES
        .into_iter()
        .filter(|name| there.iter().all(|entry| entry.name != **name))
        .peekable();
    if missing.peek().is_none() {
        return Ok(false);
    }
    missing.try_for_each(|name| disk.create_dir(&root.join(name)).map_err(Error::at(root)))?;
    disk.sync_dir(root).map_err(Error::at(root))?;
    Ok(true)
}
