//! The packs of a store, opened when they are asked for.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::disk::{self, Disk, DiskFile, Entry, Map};
use crate::error::{Error, Result};
use crate::id::PackId;
use crate::limits::{OPEN_PACKS_MAX, OPEN_TABLES_MAX};

use super::Table;
use super::reader::read_table;

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

    /// Whether there is any pack in `dir`.
    pub(crate) fn has_any(disk: &dyn Disk, dir: &Path) -> bool {
        let is_pack = |entry: &Entry| pack_id(entry).is_some();
        disk.list(dir)
            .is_ok_and(|entries| entries.iter().any(is_pack))
    }

    /// Whether the file of a pack is there.
    pub(crate) fn is_there(&self, id: &PackId) -> Result<bool> {
        let path = self.path(id);
        let len = self.disk.len(&path).map_err(Error::at(&path))?;
        Ok(len.is_some())
    }

    /// The packs of which any file is in the directory.
    pub(crate) fn with_files(&self) -> Result<HashSet<PackId>> {
        let entries = disk::entries(self.disk.as_ref(), &self.dir).map_err(Error::at(&self.dir))?;
        let id = |entry: &Entry| entry.name.to_str()?.split_once('.')?.0.parse().ok();
        Ok(entries.iter().filter_map(id).collect())
    }

    /// The packs beside which there is no table.
    pub(crate) fn without_table(&self) -> Result<HashSet<PackId>> {
        let entries = disk::entries(self.disk.as_ref(), &self.dir).map_err(Error::at(&self.dir))?;
        let names: HashSet<_> = entries.iter().map(|entry| entry.name.as_os_str()).collect();
        let bare = entries.iter().filter_map(pack_id);
        let bare = bare.filter(|id| !names.contains(OsStr::new(&format!("{id}.idx"))));
        Ok(bare.collect())
    }

    /// The packs that are in the directory, named by a root or not, with their lengths in bytes.
    pub(crate) fn on_disk(&self) -> Result<Vec<(PackId, u64)>> {
        let entries = disk::entries(self.disk.as_ref(), &self.dir).map_err(Error::at(&self.dir))?;
        let pack = |entry: &Entry| pack_id(entry).map(|id| (id, entry.len));
        Ok(entries.iter().filter_map(pack).collect())
    }

    /// Puts the tables of these packs beside them where there are none, by way of `temporary`, which
    /// is the caller's alone. Packs whose own tables cannot be read stay as they are. Durable once
    /// the directory is synced.
    pub(crate) fn complete(&self, packs: &[(PackId, u64)], temporary: &Path) -> Result<()> {
        let disk = self.disk.as_ref();
        for (id, _) in packs {
            let (pack, path) = (self.path(id), self.table_path(id));
            if disk.len(&path).map_err(Error::at(&path))?.is_some() {
                continue;
            }
            let bytes = match read_table(self.file(id)?.as_ref(), &pack) {
                Ok(bytes) => bytes,
                Err(Error::Damaged { .. }) => continue,
                Err(error) => return Err(error),
            };
            if disk.len(temporary).map_err(Error::at(temporary))?.is_some() {
                disk.remove(temporary).map_err(Error::at(temporary))?;
            }
            let file = disk.create(temporary).map_err(Error::at(temporary))?;
            let done = { file.append(&bytes) }
                .and_then(|()| file.sync())
                .and_then(|()| disk.rename(temporary, &path));
            if let Err(error) = done {
                // Nobody else may come to look for it, and there may be no room.
                let _ = disk.remove(temporary);
                return Err(Error::at(&path)(error));
            }
        }
        Ok(())
    }

    /// Closes a pack and its table: a file that is removed takes up room for as long as it is open.
    pub(crate) fn close(&self, id: &PackId) {
        let (tables, files) = (self.tables.lock(), self.files.lock());
        let _ = tables.unwrap_or_else(PoisonError::into_inner).remove(id);
        let _ = files.unwrap_or_else(PoisonError::into_inner).remove(id);
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

    /// The table of a pack: its `.idx`, or where that is lost or damaged, the one in the pack. A
    /// table alone is nothing: what it lists would be taken for stored. So the pack must be there,
    /// and as long as its records are at least.
    pub(crate) fn table(&self, id: &PackId) -> Result<Arc<Table>> {
        cached(&self.tables, id, OPEN_TABLES_MAX, || {
            let pack = self.path(id);
            let len = self.disk.len(&pack).map_err(Error::at(&pack))?;
            let len = len.ok_or(Error::NoPack(*id))?;
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
                    let bytes = read_table(self.file(id)?.as_ref(), &pack)?;
                    Table::open(Map::from(bytes), &pack.display().to_string())?
                }
            };
            if table.records_end() > len {
                return Err(Error::damaged(pack.display(), "it is cut off"));
            }
            Ok(Arc::new(table))
        })
    }
}

/// The pack that is in the file of this name.
fn pack_id(entry: &Entry) -> Option<PackId> {
    let id = entry.name.to_str()?.strip_suffix(".pack")?.parse().ok();
    id.filter(|_| !entry.is_dir)
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
