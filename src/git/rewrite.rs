//! Replacing a small file of the user's at once: whoever reads it sees all of the old or all of the
//! new content.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::error::{GitError, Result};

/// Most bytes that are read of a file that is to be edited.
const MAX: u64 = 16 << 20;

/// The content of a file to be edited; empty where there is none. Refuses what is no regular file:
/// git doesn't follow a link here either.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let meta = match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        meta => meta.map_err(GitError::at(path))?,
    };
    if !meta.is_file() {
        return Err(GitError::NotAFile(path.to_path_buf()));
    }
    if meta.len() > MAX {
        let error = io::Error::from(io::ErrorKind::FileTooLarge);
        return Err(GitError::at(path)(error));
    }
    fs::read(path).map_err(GitError::at(path))
}

/// Puts `content` in the place of a file, which keeps its mode; `executable` makes it a program.
pub fn write(path: &Path, content: &[u8], executable: bool) -> Result<()> {
    let (temporary, mut file) = create_beside(path).map_err(GitError::at(path))?;
    let written = file
        .write_all(content)
        .and_then(|()| set_mode(&file, path, executable))
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // What is left over is the smaller of two problems.
        let _ = fs::remove_file(&temporary);
    }
    written.map_err(GitError::at(path))
}

fn create_beside(path: &Path) -> io::Result<(PathBuf, File)> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    for number in 0..100 {
        let mut temporary = std::ffi::OsString::from(".");
        temporary.push(name);
        temporary.push(format!(".lob-{}-{number}", std::process::id()));
        let temporary = path.with_file_name(temporary);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&temporary);
        match file {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            file => return Ok((temporary, file?)),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn set_mode(file: &File, old: &Path, executable: bool) -> io::Result<()> {
    if let Ok(meta) = old.metadata() {
        file.set_permissions(meta.permissions())?;
    }
    #[cfg(unix)]
    if executable {
        use std::os::unix::fs::PermissionsExt;
        let mode = file.metadata()?.permissions().mode();
        // Everybody who may read it may run it.
        file.set_permissions(PermissionsExt::from_mode(mode | (mode & 0o444) >> 2))?;
    }
    #[cfg(not(unix))]
    let _ = executable;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_made_and_replaced_and_nothing_is_left_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        assert_eq!(read(&path).unwrap(), b"");
        write(&path, b"one", false).unwrap();
        write(&path, b"two", false).unwrap();
        assert_eq!(read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn modes_are_kept_and_programs_can_be_run() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        write(&path, b"x", false).unwrap();
        assert_eq!(mode(), 0o640);
        write(&path, b"x", true).unwrap();
        assert_eq!(mode(), 0o750);
    }

    #[test]
    fn a_failure_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub");
        fs::create_dir_all(path.join("full")).unwrap();
        let error = write(&path, b"x", false).unwrap_err().to_string();
        assert!(error.ends_with("sub"), "{error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(matches!(read(&path), Err(GitError::NotAFile(_))));
    }
}
