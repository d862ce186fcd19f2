//! Single files: what is made anew, set aside or deleted.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{self, Disk, Map};
use crate::error::{Error, Result};
use crate::id::{LobId, PackId, StoreId};
use crate::index;
use crate::pack::{self, Record, Table};
use crate::store::{DAMAGED, Store};

use super::{had, index_turn};

/// Removes a run of the index. Readers do without: they follow the roots.
pub(super) fn remove_run(store: &Store, (from, to): (u64, u64)) -> Result<()> {
    let _turn = index_turn(store)?;
    let dir = store.root().join("index");
    let disk = store.disk().as_ref();
    remove(disk, &dir.join(index::run_name(from, to)))?;
    disk.sync_dir(&dir).map_err(Error::at(&dir))
}

/// Deletes a file in the making or one that nothing refers to, unless somebody makes use of it now.
pub(super) fn delete(store: &Store, path: &Path) -> Result<()> {
    let lock = match path.to_str() {
        Some("state/format.new") => Some("state/lock"),
        Some("roots/new") => Some("state/roots.lock"),
        Some("index/new") => Some("state/index.lock"),
        _ if path.starts_with("stage") => Some("state/stages.lock"),
        // The caller holds the lock of prunes.
        _ => None,
    };
    let disk = store.disk().as_ref();
    let turn = match lock.map(|lock| store.root().join(lock)) {
        Some(lock) => disk.lock(&lock, false).map_err(Error::at(&lock))?,
        None => None,
    };
    if lock.is_some() && turn.is_none() {
        return Err(Error::Busy);
    }
    let path = store.root().join(path);
    // The lock of a stage that is there again is not a leftover, and the table of a pack neither.
    let stage = path.extension().is_some_and(|end| end == "lock")
        && disk.list(&path.with_extension("")).is_ok();
    let pack = path.with_extension("pack");
    if stage || disk.len(&pack).map_err(Error::at(&pack))?.is_some() {
        return Ok(());
    }
    remove(disk, &path)
}

fn remove(disk: &dyn Disk, path: &Path) -> Result<()> {
    match disk.len(path).map_err(Error::at(path))? {
        Some(_) => disk.remove(path).map_err(Error::at(path)),
        None => Ok(()),
    }
}

/// Moves the files of a pack to where nobody reads them. Returns their paths there, in the store.
pub(super) fn set_aside(store: &Store, id: &PackId) -> Result<Vec<PathBuf>> {
    let (disk, packs) = (store.disk().as_ref(), store.packs());
    let dir = store.root().join(DAMAGED);
    disk.create_dir(&dir).map_err(Error::at(&dir))?;
    disk.sync_dir(store.root())
        .map_err(Error::at(store.root()))?;
    let mut moved = Vec::new();
    for from in [packs.table_path(id), packs.path(id)] {
        if disk.len(&from).map_err(Error::at(&from))?.is_none() {
            continue;
        }
        let name = from.file_name().unwrap_or_default().to_string_lossy();
        let name = free_name(disk, &dir, &name)?;
        let to = dir.join(&name);
        // It needs no sync: that its bytes are damaged is all that is known of them.
        disk::publish_all(disk, &[(&from, &to)]).map_err(Error::at(&to))?;
        moved.push(Path::new(DAMAGED).join(name));
    }
    // Should the old names come back, they are those of a dropped pack, and go once more.
    Ok(moved)
}

/// Lobs that packs held which were set aside, as far as these tell, and that the store in
/// `root` does not hold any more: a repair that was killed did not come to bring them back.
pub(super) fn once_held(disk: &Arc<dyn Disk>, root: &Path, id: StoreId) -> Result<BTreeSet<LobId>> {
    let dir = root.join(DAMAGED);
    let mut held = BTreeSet::new();
    let entries = disk::entries(disk.as_ref(), &dir).map_err(Error::at(&dir))?;
    for path in entries.iter().map(|entry| dir.join(&entry.name)) {
        held.extend(told_by(disk.as_ref(), &path)?);
    }
    if !held.is_empty() {
        let store = Store::examined(disk.clone(), root, id)?;
        let gone = |id: &LobId| store.lob(id).map(|lob| lob.is_none());
        let open = held.into_iter().map(|id| Ok((id, gone(&id)?)));
        let open: Vec<_> = open.collect::<Result<_>>()?;
        held = open
            .into_iter()
            .filter_map(|(id, gone)| gone.then_some(id))
            .collect();
    }
    Ok(held)
}

/// The lobs that a file tells of which was set aside: a table, or a pack by its own, or by the manifests
/// that are left where that cannot be read.
fn told_by(disk: &dyn Disk, path: &Path) -> Result<Vec<LobId>> {
    let all = |table: Table| (0..table.lob_count()).map(|n| table.lob(n).id).collect();
    if path.extension().is_some_and(|end| end == "idx") {
        let map = had(disk.map(path).map_err(Error::at(path)))?;
        let table = map
            .map(|map| had(Table::open(map, "a table")))
            .transpose()?;
        return Ok(table.flatten().map(all).unwrap_or_default());
    }
    let Some(file) = had(disk.open(path).map_err(Error::at(path)))? else {
        return Ok(Vec::new());
    };
    let table = pack::read_table(file.as_ref(), path).map(Map::from);
    if let Some(table) = had(table.and_then(|map| Table::open(map, "a table")))? {
        return Ok(all(table));
    }
    let mut lobs = Vec::new();
    let found = pack::rescue(file.as_ref(), path, &mut |record| {
        if let Record::Manifest(manifest) = record {
            lobs.push(manifest.id);
        }
        Ok(())
    });
    had(found)?;
    Ok(lobs)
}

/// A name that nothing has yet: what was set aside before stays.
fn free_name(disk: &dyn Disk, dir: &Path, name: &str) -> Result<String> {
    for n in 0u32.. {
        let tried = match n {
            0 => name.to_string(),
            n => format!("{n}.{name}"),
        };
        let path = dir.join(&tried);
        if disk.len(&path).map_err(Error::at(&path))?.is_none() {
            return Ok(tried);
        }
    }
    Err(Error::Busy)
}
