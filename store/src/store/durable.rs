//! What is durable of a store, whoever made it.

use std::path::Path;
use std::sync::PoisonError;

use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::roots::Root;

use super::Store;

/// What of a store this process knows to be durable, whoever made it.
#[derive(Debug, Default)]
pub(super) struct Durable {
    /// The names of its directory and of what is in it, and its format.
    pub(super) store: bool,
    /// So many roots.
    pub(super) roots: u64,
}

impl Store {
    /// Makes durable what is visible already and was made by others: they may have been killed
    /// between making a name and syncing it, and what is acknowledged may rely on it. Where packs
    /// are visible only because the roots are broken, these are made whole.
    pub(crate) fn settle(&self) -> Result<()> {
        if self.view().broken.is_some() {
            let cursor = self.view().cursor;
            let _ = self.publish_root(&Root::default(), &cursor, &mut |_| Ok(true))?;
        }
        let seen = self.view().cursor.seq;
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        let sync = |dir: &Path| self.disk.sync_dir(dir).map_err(Error::at(dir));
        if !durable.store {
            sync_name(self.disk.as_ref(), &self.root)?;
            sync(&self.root)?;
            sync(&self.root.join("state"))?;
            durable.store = true;
        }
        if durable.roots < seen {
            sync(&self.root.join("roots"))?;
            durable.roots = seen;
        }
        Ok(())
    }
}

/// The directory that a directory is in.
pub(super) fn above(dir: &Path) -> &Path {
    match dir.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => dir,
    }
}

/// Makes the name of a directory durable, where this process may look into the one above it.
pub(super) fn sync_name(disk: &dyn Disk, dir: &Path) -> Result<()> {
    let parent = above(dir);
    match disk.sync_dir(parent) {
        Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => Ok(()),
        synced => synced.map_err(Error::at(parent)),
    }
}
