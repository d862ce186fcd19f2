//! The only way to make a name visible: sync the file, rename it, sync the directory.
//!
//! In this order a crash at any point leaves either no file of that name or the whole of it. Only
//! the directory of the *new* name is synced. That of the old one is a stage: if a power loss brings
//! the old name back, the whole file is there under both names, and the stage is cleared or salvaged
//! by whoever opens the store next.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use super::{Disk, DiskFile};

/// Makes `file`, which was written as `from`, visible and durable as `to`. When this returns, its
/// bytes and its name survive a power loss.
pub fn publish(disk: &dyn Disk, file: &dyn DiskFile, from: &Path, to: &Path) -> io::Result<()> {
    file.sync()?;
    publish_all(disk, &[(from, to)])
}

/// Makes files visible and durable under their second names, in the given order, with one sync for
/// each target directory.
///
/// Every file must have been synced ([`DiskFile::sync`]) since its last append: this is for files
/// that were synced by threads in the background, or through a handle that is closed by now.
/// Otherwise use [`publish`], which cannot forget it. After a power loss in between any of the names
/// may be there, each with its whole content; where one file refers to another, publish the other
/// one first, by a call of its own.
pub fn publish_all(disk: &dyn Disk, moves: &[(&Path, &Path)]) -> io::Result<()> {
    let mut dirs = BTreeSet::new();
    for (from, to) in moves {
        disk.rename(from, to)?;
        dirs.extend(to.parent());
    }
    for dir in dirs {
        disk.sync_dir(dir)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::OsDisk;

    #[test]
    fn a_published_file_has_its_new_name_only() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("stage"), dir.path().join("pack"));
        let file = OsDisk.create(&from).unwrap();
        file.append(b"content").unwrap();
        publish(&OsDisk, &*file, &from, &to).unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), b"content");
        assert!(!from.exists());
    }

    #[test]
    fn a_failed_rename_stops_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("b"), b"b").unwrap();
        let result = publish_all(
            &OsDisk,
            &[(&path("missing"), &path("one")), (&path("b"), &path("two"))],
        );
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(path("b").exists() && !path("two").exists());
    }
}
