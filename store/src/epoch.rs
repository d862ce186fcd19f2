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
    // Of one who was killed.
    if disk.len(&new).map_err(Error::at(&new))?.is_some() {
        disk.remove(&new).map_err(Error::at(&new))?;
    }
    let random = getrandom::u64()
        .map_err(std::io::Error::other)
        .map_err(Error::at(&path))?;
    let file = disk.create(&new).map_err(Error::at(&new))?;
    let text = format!("lob epoch\nnumber {random:016x}\n");
    file.append(text.as_bytes()).map_err(Error::at(&new))?;
    disk::publish(disk, file.as_ref(), &new, &path).map_err(Error::at(&path))
}
