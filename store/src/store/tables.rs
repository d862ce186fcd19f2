//! Tables beside packs, made anew.

use std::path::Path;

use crate::disk::{self, Map};
use crate::error::{Error, Result};
use crate::id::PackId;
use crate::pack::{self, Table};

use super::Store;

impl Store {
    /// Writes the table beside a pack by what the pack says, by way of `new`, which is the caller's.
    pub(crate) fn write_table(&self, id: &PackId, new: &Path) -> Result<()> {
        let (disk, path) = (self.disk().as_ref(), self.packs().path(id));
        let file = disk.open(&path).map_err(Error::at(&path))?;
        let bytes = pack::read_table(file.as_ref(), &path)?;
        let _ = Table::open(Map::from(bytes.clone()), &path.display().to_string())?;
        if disk.len(new).map_err(Error::at(new))?.is_some() {
            disk.remove(new).map_err(Error::at(new))?;
        }
        let file = disk.create(new).map_err(Error::at(new))?;
        let to = self.packs().table_path(id);
        let done = file.append(&bytes).map_err(Error::at(new));
        let done = done
            .and_then(|()| disk::publish(disk, file.as_ref(), new, &to).map_err(Error::at(&to)));
        if done.is_err() {
            // Nobody else may come to look for it, and there may be no room.
            let _ = disk.remove(new);
        }
        done
    }
}
