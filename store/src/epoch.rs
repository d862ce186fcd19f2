//! The epoch of a store: an id that changes before lobs leave it.
//!
//! Whoever remembers what a store held remembers the epoch with it, and looks again in another one.

use std::io::ErrorKind;
use std::path::Path;

use crate::disk::{self, Disk};
use crate::error::{Error, Result};
use crate::id::{Epoch, ID_LEN};

const FILE: &str = "state/epoch";
pub(crate) const NEW: &str = "state/epoch.new";
/// No file that this program writes is longer.
const LEN_MAX: u64 = 4096;

/// The epoch of the store in `root`, which need not be opened for that. The first one, in which
/// nothing has left the store yet, has no file, and its id is all zeros.
pub fn epoch(disk: &dyn Disk, root: &Path) -> Result<Epoch> {
    let path = root.join(FILE);
    let file = match disk.open(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Ok(Epoch::from_bytes([0; ID_LEN]));
        }
        file => file.map_err(Error::at(&path))?,
    };
    let len = file.len().map_err(Error::at(&path))?.min(LEN_MAX);
    let mut bytes = vec![0; len as usize];
    file.read_at(0, &mut bytes).map_err(Error::at(&path))?;
    // Whatever is in the file, other content is another epoch.
    Ok(Epoch::of(&bytes))
}

/// Begins a new epoch, durably. For the one who prunes: nobody else writes here.
pub(crate) fn begin(disk: &dyn Disk, root: &Path) -> Result<()> {
    let (path, new) = (root.join(FILE), root.join(NEW));
    clear(disk, &new)?;
    let file = disk.create(&new).map_err(Error::at(&new))?;
    file.append(number(&path, "lob epoch\n")?.as_bytes())
        .map_err(Error::at(&new))?;
    disk::publish(disk, file.as_ref(), &new, &path).map_err(Error::at(&path))
}

/// Begins a new epoch where the disk is full: the file that is there becomes longer, by less than a
/// disk takes for it anyway, or one without content is made. Cut off anywhere it is the old epoch, in
/// which nothing has left the store, or another one.
pub(crate) fn begin_in_place(disk: &dyn Disk, root: &Path) -> Result<()> {
    let (path, state) = (root.join(FILE), root.join("state"));
    clear(disk, &root.join(NEW))?;
    let Some(len) = disk.len(&path).map_err(Error::at(&path))? else {
        let file = disk.create(&path).map_err(Error::at(&path))?;
        file.sync().map_err(Error::at(&path))?;
        return disk.sync_dir(&state).map_err(Error::at(&state));
    };
    let line = number(&path, "")?;
    if len + line.len() as u64 > LEN_MAX {
        return begin(disk, root);
    }
    let file = disk.reopen(&path, len).map_err(Error::at(&path))?;
    file.append(line.as_bytes()).map_err(Error::at(&path))?;
    file.sync().map_err(Error::at(&path))
}

fn clear(disk: &dyn Disk, new: &Path) -> Result<()> {
    // Of one who was killed.
    match disk.len(new).map_err(Error::at(new))? {
        Some(_) => disk.remove(new).map_err(Error::at(new)),
        None => Ok(()),
    }
}

/// A line that was never in the file before, after others.
fn number(path: &Path, others: &str) -> Result<String> {
    let random = getrandom::u64().map_err(std::io::Error::other);
    let random = random.map_err(Error::at(path))?;
    Ok(format!("{others}number {random:016x}\n"))
}
