//! The view: what a reader of a store knows of its packs at one moment.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::disk::{Disk, DiskFile, Entry, Map};
use crate::error::{Error, Result};
use crate::id::{ChunkId, LobId, PackId};
use crate::index::{Kind, Run};
use crate::limits::{OPEN_PACKS_MAX, OPEN_TABLES_MAX};
use crate::pack::{self, ChunkEntry, LobEntry, Table};
use crate::roots::{self, Cursor};

/// Where something is: the pack, its table, and what the table says of it.
#[derive(Debug, Clone)]
pub(crate) struct Place<T> {
    pub(crate) pack: PackId,
    pub(crate) table: Arc<Table>,
    pub(crate) entry: T,
}

/// Open tables and packs, kept for the next use, and never more than a bounded number of them.
#[derive(Debug)]
pub(crate) struct Packs {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    tables: Mutex<HashMap<PackId, Arc<Table>>>,
    files: Mutex<HashMap<PackId, Arc<dyn DiskFile>>>,
}

impl Packs {
    /// Over the packs in `dir`.
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: PathBuf) -> Packs {
        Packs {
            disk,
            dir,
            tables: Mutex::default(),
            files: Mutex::default(),
        }
    }

    /// The file of a pack.
    pub(crate) fn path(&self, id: &PackId) -> PathBuf {
        self.dir.join(format!("{id}.pack"))
    }

    /// The file of its table.
    pub(crate) fn table_path(&self, id: &PackId) -> PathBuf {
        self.dir.join(format!("{id}.idx"))
    }

    /// The packs that are in the directory, named by a root or not, with their lengths in bytes.
    pub(crate) fn on_disk(&self) -> Result<Vec<(PackId, u64)>> {
        let entries = self.disk.list(&self.dir).map_err(Error::at(&self.dir))?;
        let pack = |entry: &Entry| {
            let id = entry.name.to_str()?.strip_suffix(".pack")?.parse().ok()?;
            (!entry.is_dir).then_some((id, entry.len))
        };
        Ok(entries.iter().filter_map(pack).collect())
    }

    /// The open file of a pack.
    pub(crate) fn file(&self, id: &PackId) -> Result<Arc<dyn DiskFile>> {
        cached(&self.files, id, OPEN_PACKS_MAX, || {
            let path = self.path(id);
            match self.disk.open(&path) {
                Ok(file) => Ok(Arc::from(file)),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(Error::NoPack(*id)),
                Err(e) => Err(Error::at(&path)(e)),
            }
        })
    }

    /// The table of a pack: its `.idx`, or where that is lost or damaged, the one in the pack.
    pub(crate) fn table(&self, id: &PackId) -> Result<Arc<Table>> {
        cached(&self.tables, id, OPEN_TABLES_MAX, || {
            let path = self.table_path(id);
            let alone = self
                .disk
                .map(&path)
                .map_err(Error::at(&path))
                .and_then(|map| Table::open(map, &path.display().to_string()));
            let table = match alone {
                Ok(table) => table,
                Err(later @ Error::Later { .. }) => return Err(later),
                Err(_) => {
                    let path = self.path(id);
                    let bytes = pack::read_table(self.file(id)?.as_ref(), &path)?;
                    Table::open(Map::from(bytes), &path.display().to_string())?
                }
            };
            Ok(Arc::new(table))
        })
    }
}

fn cached<T: ?Sized>(
    cache: &Mutex<HashMap<PackId, Arc<T>>>,
    id: &PackId,
    most: usize,
    open: impl FnOnce() -> Result<Arc<T>>,
) -> Result<Arc<T>> {
    if let Some(found) = cache.lock().unwrap_or_else(PoisonError::into_inner).get(id) {
        return Ok(found.clone());
    }
    // Opened outside the lock: two threads may both open it, and one of the two is dropped.
    let opened = open()?;
    let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
    if cache.len() >= most {
        cache.clear();
    }
    let _ = cache.insert(*id, opened.clone());
    Ok(opened)
}

/// The index runs, and the packs that came after them.
#[derive(Debug, Default)]
pub(crate) struct View {
    pub(crate) runs: Vec<Arc<Run>>,
    /// Packs of the roots after the last run, oldest first.
    pub(crate) tail: Vec<(PackId, Arc<Table>)>,
    /// Packs that a root took out of the store again.
    pub(crate) dropped: HashSet<PackId>,
    /// Packs that a root names and that are not there.
    pub(crate) absent: Vec<PackId>,
    /// Where the sequence of roots stood.
    pub(crate) cursor: Cursor,
}

impl View {
    /// What the store in `root` holds now.
    pub(crate) fn load(disk: &dyn Disk, root: &Path, packs: &Packs) -> Result<View> {
        let roots = root.join("roots");
        let is_root = |cursor: &Cursor| roots::is_there(disk, &roots, cursor);
        let runs: Vec<_> = Run::open_all(disk, &root.join("index"), &is_root)?
            .into_iter()
            .map(Arc::new)
            .collect();
        let mut view = View {
            cursor: runs.last().map(|run| run.to).unwrap_or_default(),
            dropped: runs
                .iter()
                .flat_map(|run| run.dropped.iter().copied())
                .collect(),
            runs,
            ..View::default()
        };
        let _ = view.extend(disk, root, packs)?;
        Ok(view)
    }

    /// Takes in the roots that came since. Returns whether there were any.
    pub(crate) fn extend(&mut self, disk: &dyn Disk, root: &Path, packs: &Packs) -> Result<bool> {
        let before = self.cursor;
        let dir = root.join("roots");
        while let Some((root, after)) = roots::next(disk, &dir, &self.cursor)? {
            // A pack that was dropped never comes back: its file may be gone.
            let gone: HashSet<_> = root.dropped.into_iter().collect();
            if !gone.is_empty() {
                self.tail.retain(|(id, _)| !gone.contains(id));
                self.absent.retain(|id| !gone.contains(id));
                self.dropped.extend(gone);
            }
            for (id, _) in &root.added {
                if self.dropped.contains(id) {
                    continue;
                }
                match packs.table(id) {
                    Ok(table) => self.tail.push((*id, table)),
                    Err(Error::NoPack(_) | Error::Damaged { .. }) => self.absent.push(*id),
                    Err(e) => return Err(e),
                }
            }
            self.cursor = after;
        }
        Ok(before != self.cursor)
    }

    /// Where a chunk is.
    pub(crate) fn chunk(&self, packs: &Packs, id: &ChunkId) -> Result<Option<Place<ChunkEntry>>> {
        self.find(
            packs,
            Kind::Chunk,
            id.prefix(),
            &|table, number| match number {
                Some(n) => {
                    (n < table.chunk_count() && table.chunk(n).id == *id).then(|| table.chunk(n))
                }
                None => table.find_chunk(id).map(|n| table.chunk(n)),
            },
        )
    }

    /// Where the manifest of a lob is.
    pub(crate) fn lob(&self, packs: &Packs, id: &LobId) -> Result<Option<Place<LobEntry>>> {
        self.find(
            packs,
            Kind::Lob,
            id.prefix(),
            &|table, number| match number {
                Some(n) => (n < table.lob_count() && table.lob(n).id == *id).then(|| table.lob(n)),
                None => table.find_lob(id).map(|n| table.lob(n)),
            },
        )
    }

    /// Newest first: what was written last is asked for most. `confirm` compares the full id.
    fn find<T>(
        &self,
        packs: &Packs,
        kind: Kind,
        prefix: u64,
        confirm: &dyn Fn(&Table, Option<usize>) -> Option<T>,
    ) -> Result<Option<Place<T>>> {
        for (pack, table) in self.tail.iter().rev() {
            if let Some(entry) = confirm(table, None) {
                return Ok(Some(Place {
                    pack: *pack,
                    table: table.clone(),
                    entry,
                }));
            }
        }
        for run in self.runs.iter().rev() {
            for (pack, number) in run.find(kind, prefix) {
                let Some(pack) = run.packs.get(pack as usize) else {
                    continue;
                };
                if self.dropped.contains(pack) {
                    continue;
                }
                let table = match packs.table(pack) {
                    Ok(table) => table,
                    Err(Error::NoPack(_) | Error::Damaged { .. }) => continue,
                    Err(e) => return Err(e),
                };
                if let Some(entry) = confirm(&table, Some(number as usize)) {
                    return Ok(Some(Place {
                        pack: *pack,
                        table,
                        entry,
                    }));
                }
            }
        }
        Ok(None)
    }

    /// Every pack that a root says something of.
    pub(crate) fn known_packs(&self) -> HashSet<PackId> {
        let named = self.packs().chain(self.absent.iter().copied());
        named.chain(self.dropped.iter().copied()).collect()
    }

    /// All packs, oldest first.
    pub(crate) fn packs(&self) -> impl Iterator<Item = PackId> + '_ {
        let runs = self.runs.iter().flat_map(|run| run.packs.iter().copied());
        runs.chain(self.tail.iter().map(|(id, _)| *id))
            .filter(|id| !self.dropped.contains(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::OsDisk;
    use crate::roots::Root;
    use crate::store::Store;

    #[test]
    fn a_dropped_pack_is_neither_found_nor_missed() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::create(Arc::new(OsDisk), &dir.path().join("s")).expect("a store");
        let add = |content: &[u8]| {
            let mut writer = store.writer().expect("a writer");
            let added = writer.add(&mut &*content, &()).expect("adds");
            writer.finish().expect("publishes");
            added.id
        };
        let (gone, kept) = (add(b"gone"), add(b"kept"));
        let view = store.view();
        let first = view.packs().next().expect("a pack");
        let len = std::fs::metadata(store.packs().path(&first)).map(|m| m.len());
        let root = |added, dropped| {
            let lock = store.root().join("state/roots.lock");
            let roots = store.root().join("roots");
            let root = Root { added, dropped };
            roots::append(&OsDisk, &roots, &lock, &Cursor::default(), &root).expect("appends");
        };
        root(Vec::new(), vec![first]);
        // Nobody may add it again, and where somebody does, all readers agree on what holds.
        root(vec![(first, len.expect("a length"))], Vec::new());
        for file in [store.packs().path(&first), store.packs().table_path(&first)] {
            std::fs::remove_file(file).expect("was there");
        }
        let store = Store::open(Arc::new(OsDisk), store.root()).expect("opens");
        assert_eq!(store.view().absent, []);
        assert_eq!(store.lob(&gone).expect("looks"), None);
        assert!(store.lob(&kept).expect("looks").is_some());
        assert_eq!(store.view().cursor.seq, 4);
    }
}
