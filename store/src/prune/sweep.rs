//! Deleting the files of packs that were dropped.

use std::collections::HashMap;

use crate::disk;
use crate::error::{Error, Result};
use crate::stage;
use crate::store::Store;

/// What a sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Bytes of files that were deleted.
    pub bytes: u64,
    /// Bytes of files that wait for running commands to end.
    pub waiting: u64,
}

/// Deletes the files of dropped packs when no writer is left that may rely on them: none whose stage
/// is older than the root that dropped them. Tables go first, so that whoever goes on after a crash
/// still finds the packs.
pub(super) fn sweep(store: &Store) -> Result<Swept> {
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
    let tables = view.dropped.iter().map(|id| packs.table_path(id));
    let files = view.dropped.iter().map(|id| packs.path(id));
    let [tables, files] = [tables.collect::<Vec<_>>(), files.collect()].map(|paths| {
        paths
            .into_iter()
            .filter_map(|path| Some((len(&path)?, path)))
            .collect::<Vec<_>>()
    });
    let bytes = tables.iter().chain(&files).map(|(len, _)| len).sum();
    if bytes == 0 {
        return Ok(Swept::default());
    }
    if stage::seen_by_all(store)?.is_some_and(|seen| seen < view.last_drop) {
        return Ok(Swept {
            bytes: 0,
            waiting: bytes,
        });
    }
    for paths in [tables, files].iter().filter(|paths| !paths.is_empty()) {
        for (_, path) in paths {
            disk.remove(path).map_err(Error::at(path))?;
        }
        disk.sync_dir(&dir).map_err(Error::at(&dir))?;
    }
    Ok(Swept { bytes, waiting: 0 })
}
