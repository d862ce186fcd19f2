//! The file that says that a directory is a store, of which version, and which one.

use std::path::Path;

use crate::disk::{self, Disk};
use crate::error::{Error, Result};
use crate::id::StoreId;
use crate::pack::Packs;

use super::{DAMAGED, DIRECTORIES, Store, create_missing};

/// The version of the structure of stores.
const FORMAT: u32 = 1;

impl Store {
    /// Says anew that `root` is a store, where the file that says so is lost or damaged, and makes the
    /// directories that it lacks.
    pub(crate) fn restore_format(disk: &dyn Disk, root: &Path, id: &StoreId) -> Result<()> {
        create_missing(disk, root)?;
        let lock = root.join("state/lock");
        let _turn = disk.lock(&lock, true).map_err(Error::at(&lock))?;
        match read_format(disk, root) {
            // Somebody was quicker.
            Ok(_) => Ok(()),
            Err(Error::NotAStore(_)) => write_format(disk, root, id),
            Err(error) => Err(error),
        }
    }
}

/// Whether a store has no such name in its directory.
pub(super) fn is_foreign(entry: &disk::Entry) -> bool {
    let known = DIRECTORIES.into_iter().chain([DAMAGED]);
    known.into_iter().all(|known| entry.name != *known)
}

/// The id of the store in `root`; `None` where nothing says that it is one, although there are packs
/// in it and nothing of anybody else's.
pub(crate) fn find_id(disk: &dyn Disk, root: &Path) -> Result<Option<StoreId>> {
    let error = match read_format(disk, root) {
        Err(error @ Error::NotAStore(_)) => error,
        read => return read.map(Some),
    };
    let entries = disk::entries(disk, root).map_err(Error::at(root))?;
    let packs = Packs::has_any(disk, &root.join("packs"));
    match !entries.iter().any(is_foreign) && packs {
        true => Ok(None),
        false => Err(error),
    }
}

/// Writes `state/format` in the place of what may be there. The caller holds `state/lock`.
pub(super) fn write_format(disk: &dyn Disk, root: &Path, id: &StoreId) -> Result<()> {
    let (format, new) = (root.join("state/format"), root.join("state/format.new"));
    if disk.len(&new).map_err(Error::at(&new))?.is_some() {
        disk.remove(&new).map_err(Error::at(&new))?;
    }
    let file = disk.create(&new).map_err(Error::at(&new))?;
    let text = format!("lob store\nformat {FORMAT}\nid {id}\n");
    file.append(text.as_bytes()).map_err(Error::at(&new))?;
    disk::publish(disk, file.as_ref(), &new, &format).map_err(Error::at(&format))
}

/// The id of the store in `root`.
pub(super) fn read_format(disk: &dyn Disk, root: &Path) -> Result<StoreId> {
    let path = root.join("state/format");
    let not_a_store = || Error::NotAStore(root.to_path_buf());
    let file = match disk.open(&path) {
        Ok(file) => file,
        Err(e)
            if matches!(
                e.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            return Err(not_a_store());
        }
        Err(e) => return Err(Error::at(&path)(e)),
    };
    let len = file.len().map_err(Error::at(&path))?;
    if len > 4096 {
        return Err(not_a_store());
    }
    let mut bytes = vec![0; len as usize];
    file.read_at(0, &mut bytes).map_err(Error::at(&path))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| not_a_store())?;
    let rest = text
        .strip_prefix("lob store\nformat ")
        .ok_or_else(not_a_store)?;
    let (number, rest) = rest.split_once('\n').ok_or_else(not_a_store)?;
    let found = match number.parse() {
        Ok(found) if found > 0 && number == format!("{found}") => found,
        _ => return Err(not_a_store()),
    };
    if found > FORMAT {
        return Err(Error::Newer {
            path: root.to_path_buf(),
            found,
            known: FORMAT,
        });
    }
    // More lines may follow, which say nothing that a reader must know.
    rest.strip_prefix("id ")
        .and_then(|rest| rest.split_once('\n'))
        .and_then(|(id, _)| id.parse().ok())
        .ok_or_else(not_a_store)
}
