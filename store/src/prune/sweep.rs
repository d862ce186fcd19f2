//! Deleting the files of packs that were dropped.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::disk;
use crate::error::{Error, Result};
use crate::limits::ASIDE_GRACE;
use crate::stage;
use crate::store::Store;

use super::aside::Aside;

/// What a sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Bytes of files that were deleted.
    pub bytes: u64,
    /// Bytes of files that wait for running commands to end.
    pub waiting: u64,
    /// Bytes of files that are set aside.
    pub aside: u64,
    /// Packs that stay because something in them cannot be read.
    pub unreadable: u64,
}

/// Deletes the files of dropped packs when no writer is left that may rely on them: none whose stage
/// is older than the root that dropped them. Tables go first, so that whoever goes on after a crash
/// still finds the packs. Packs that are set aside stay for `grace`, where it is given all that were
/// dropped are.
pub(crate) fn sweep(store: &Store, grace: Option<Duration>) -> Result<Swept> {
    let _ = store.refresh()?;
    let view = store.view();
    let (disk, dir) = (store.disk().as_ref(), store.root().join("packs"));
    let entries = disk::entries(disk, &dir).map_err(Error::at(&dir))?;
    let lens: HashMap<_, u64> = entries
        .into_iter()
        .map(|entry| (entry.name, entry.len))
        .collect();
    let len = |name: &std::path::Path| {
        let name = name.file_name().and_then(|name| lens.get(name));
        name.copied()
    };
    let packs = store.packs();
    let (mut files, mut bytes, mut swept) = ([Vec::new(), Vec::new()], 0, Swept::default());
    let dropped = view.dropped.iter();
    let there = |id| [packs.table_path(id), packs.path(id)].map(|path| (len(&path), path));
    let dropped = dropped.map(|id| (id, there(id)));
    let dropped: Vec<_> = dropped
        .filter(|(_, paths)| paths.iter().any(|(len, _)| len.is_some()))
        .collect();
    let mut aside = Aside::load(store)?;
    let mut names: HashSet<_> = dropped.iter().map(|(id, _)| **id).collect();
    aside.settle(store, &names, grace.is_some())?;
    for (id, paths) in &dropped {
        let stays = aside.has(id, grace.unwrap_or(ASIDE_GRACE));
        if !stays {
            let _ = names.remove(*id);
        }
        for (files, (len, path)) in files.iter_mut().zip(paths) {
            let Some(len) = len else { continue };
            match stays {
                true => swept.aside += len,
                false => {
                    bytes += len;
                    files.push(path);
                }
            }
        }
    }
    if bytes == 0 {
        return Ok(swept);
    }
    if stage::seen_by_all(store)?.is_some_and(|seen| seen < view.last_drop) {
        swept.waiting = bytes;
        return Ok(swept);
    }
    // Not synced: what a power loss brings back is dropped still, and goes with the next sweep.
    for path in files.iter().flatten() {
        disk.remove(path).map_err(Error::at(path))?;
    }
    let gone = dropped.iter().filter(|(id, _)| !names.contains(*id));
    gone.for_each(|(id, _)| packs.close(id));
    aside.settle(store, &names, false)?;
    swept.bytes = bytes;
    Ok(swept)
}
