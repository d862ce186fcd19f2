//! Directories of a group: what is made there is for all of it.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// In a directory that is a group's, to write to and to hand down (`chmod g+ws`, as git makes them with
/// `core.sharedRepository`), the mode `made` of something new, with the group's rights like the owner's.
/// `None` elsewhere, or where it has them already: the umask may leave them.
#[cfg(unix)]
fn for_group(made: &Path, mode: u32) -> io::Result<Option<u32>> {
    use std::os::unix::fs::PermissionsExt;
    const GROUPS: u32 = 0o2020;
    let Some(dir) = made.parent() else {
        return Ok(None);
    };
    let wanted = mode | ((mode & 0o700) >> 3);
    if wanted == mode || fs::metadata(dir)?.permissions().mode() & GROUPS != GROUPS {
        return Ok(None);
    }
    Ok(Some(wanted))
}

/// Gives a file that was just made at `path`, in a directory of a group, to the group. [`OsDisk`] does so
/// with all that it makes; this is for what is kept beside that.
///
/// [`OsDisk`]: super::OsDisk
///
/// # Errors
/// Those of the system; that a file of somebody else stays as it is.
#[cfg(unix)]
pub fn share_file(path: &Path, file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = file.metadata()?.permissions().mode();
    match for_group(path, mode)? {
        Some(mode) => file.set_permissions(fs::Permissions::from_mode(mode)),
        None => Ok(()),
    }
}

/// A directory that was just made at `path`.
#[cfg(unix)]
pub(super) fn share_dir(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(path)?.permissions().mode();
    match for_group(path, mode)? {
        Some(mode) => fs::set_permissions(path, fs::Permissions::from_mode(mode)),
        None => Ok(()),
    }
}

/// There are no groups.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn share_file(_path: &Path, _file: &File) -> io::Result<()> {
    Ok(())
}

#[cfg(not(unix))]
pub(super) fn share_dir(_path: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use crate::disk::{Disk, OsDisk};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_group_gets_what_is_made_in_its_directories_and_no_other() {
        for (of_dir, is_groups) in [
            (0o2770, true),
            (0o755, false),
            (0o775, false),
            (0o1777, false),
        ] {
            let dir = tempfile::tempdir().unwrap();
            fs::set_permissions(dir.path(), fs::Permissions::from_mode(of_dir)).unwrap();
            let at = |name: &str| dir.path().join(name);
            OsDisk.create_dir(&at("dir")).unwrap();
            drop(OsDisk.create(&at("dir/file")).unwrap());
            drop(OsDisk.lock(&at("dir/lock"), true).unwrap().unwrap());
            let plain = tempfile::tempdir().unwrap();
            fs::create_dir(plain.path().join("dir")).unwrap();
            File::create(plain.path().join("file")).unwrap();
            let (dir, file) = (
                mode(&plain.path().join("dir")),
                mode(&plain.path().join("file")),
            );
            let expected = match is_groups {
                true => (dir | 0o2070, file | 0o060),
                false => (dir, file),
            };
            assert_eq!(
                (mode(&at("dir")), mode(&at("dir/file"))),
                expected,
                "{of_dir:o}"
            );
            assert_eq!(mode(&at("dir/lock")), expected.1, "{of_dir:o}");
        }
    }
}
