//! The machine: [`Disk`] over the standard library.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{Disk, DiskFile, Entry, Lock, Map, group, lock, named};

/// The file system of the machine. Modes are the usual ones less the umask, and in the directory of a
/// group all is the group's too, so that a store can be shared by those who share its directory.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsDisk;

impl Disk for OsDisk {
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        OsFile::open(path, OpenOptions::new().read(true))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        let _ = options.read(true).append(true).create_new(true);
        let file = options.open(path).map_err(named(path))?;
        group::share_file(path, &file).map_err(named(path))?;
        Ok(Box::new(OsFile {
            file,
            path: path.to_path_buf(),
        }))
    }

    fn reopen(&self, path: &Path, len: u64) -> io::Result<Box<dyn DiskFile>> {
        cut(path, len).map_err(named(path))?;
        OsFile::open(path, OpenOptions::new().read(true).append(true))
    }

    fn map(&self, path: &Path) -> io::Result<Map> {
        File::open(path)
            .and_then(|file| Map::of(&file))
            .map_err(named(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to).map_err(|error| {
            let mut both = from.as_os_str().to_owned();
            both.push(" -> ");
            both.push(to);
            named(Path::new(&both))(error)
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path).map_err(named(path))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        match fs::create_dir(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            Ok(()) => group::share_dir(path).map_err(named(path)),
            result => result.map_err(named(path)),
        }
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path).map_err(named(path))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        entries(dir).map_err(named(dir))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        sync_names(dir).map_err(named(dir))
    }

    fn len(&self, path: &Path) -> io::Result<Option<u64>> {
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => Err(named(path)(ErrorKind::IsADirectory.into())),
            Ok(found) => Ok(Some(found.len())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(named(path)(error)),
        }
    }

    fn modified(&self, path: &Path) -> io::Result<SystemTime> {
        let found = fs::metadata(path).and_then(|found| found.modified());
        found.map_err(named(path))
    }

    fn touch(&self, path: &Path) -> io::Result<()> {
        set_modified_now(path).map_err(named(path))
    }

    fn sync_time(&self, path: &Path) -> io::Result<()> {
        // Unlike fdatasync, fsync writes the times too.
        let file = OpenOptions::new()
            .read(true)
            .write(cfg!(windows))
            .open(path);
        file.and_then(|file| file.sync_all()).map_err(named(path))
    }

    fn lock(&self, path: &Path, wait: bool) -> io::Result<Option<Lock>> {
        lock::lock_file(path, wait).map_err(named(path))
    }

    #[cfg(unix)]
    fn is_exposed(&self, path: &Path) -> io::Result<bool> {
        use std::os::unix::fs::PermissionsExt;
        let found = fs::metadata(path).map_err(named(path))?;
        Ok(found.permissions().mode() & 0o002 != 0)
    }

    fn free_space(&self, path: &Path) -> io::Result<Option<u64>> {
        space(path).map_err(named(path))
    }
}

/// An open file of the machine.
#[derive(Debug)]
struct OsFile {
    file: File,
    path: PathBuf,
}

impl OsFile {
    fn open(path: &Path, options: &OpenOptions) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(OsFile {
            file: options.open(path).map_err(named(path))?,
            path: path.to_path_buf(),
        }))
    }
}

impl DiskFile for OsFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        read_exact_at(&self.file, offset, buf).map_err(named(&self.path))
    }

    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        // Goes on after short writes and interrupts.
        (&self.file).write_all(bytes).map_err(named(&self.path))
    }

    fn len(&self) -> io::Result<u64> {
        match self.file.metadata() {
            Ok(found) => Ok(found.len()),
            Err(error) => Err(named(&self.path)(error)),
        }
    }

    fn sync(&self) -> io::Result<()> {
        // The length counts as data: fdatasync writes whatever reading back needs. On Apple systems
        // this is F_FULLFSYNC, which reaches the platter.
        self.file.sync_data().map_err(named(&self.path))
    }

    #[cfg(target_os = "linux")]
    fn hasten(&self, offset: u64) {
        // Linux begins to write what it would let go of, and keeps what is not written.
        let _ = rustix::fs::fadvise(&self.file, offset, None, rustix::fs::Advice::DontNeed);
    }

    #[cfg(target_os = "linux")]
    fn release(&self) {
        // A hint: the system may do with it what it likes.
        let _ = rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::DontNeed);
    }
}

/// The right to write is enough on Unix, where it need not be the owner's.
#[cfg(unix)]
fn set_modified_now(path: &Path) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, utimensat};
    let at = |tv_nsec| Timespec { tv_sec: 0, tv_nsec };
    let times = Timestamps {
        last_access: at(UTIME_OMIT),
        last_modification: at(UTIME_NOW),
    };
    Ok(utimensat(CWD, path, &times, AtFlags::empty())?)
}

#[cfg(not(unix))]
fn set_modified_now(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_modified(SystemTime::now())
}

/// Shortens a file to `len` bytes, through a handle of its own: the right to append does not include
/// the right to cut on every system.
fn cut(path: &Path, len: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    let found = file.metadata()?.len();
    if found < len {
        let text = format!("has {found} bytes, {len} were expected");
        return Err(io::Error::new(ErrorKind::UnexpectedEof, text));
    }
    match found > len {
        true => file.set_len(len),
        false => Ok(()),
    }
}

fn entries(dir: &Path) -> io::Result<Vec<Entry>> {
    let mut list = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let found = match entry.metadata() {
            Ok(found) => found,
            // Removed by another process since it was read: not there.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let is_dir = found.is_dir();
        list.push(Entry {
            name: entry.file_name(),
            is_dir,
            len: if is_dir { 0 } else { found.len() },
        });
    }
    list.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(list)
}

#[cfg(unix)]
fn read_exact_at(file: &File, offset: u64, buf: &mut [u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buf, offset)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut offset: u64, mut buf: &mut [u8]) -> io::Result<()> {
    use std::os::windows::fs::FileExt;
    while !buf.is_empty() {
        match file.seek_read(buf, offset) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                buf = &mut buf[count..];
                offset += count as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(unix)]
fn sync_names(dir: &Path) -> io::Result<()> {
    match File::open(dir)?.sync_all() {
        Err(error) if cannot_sync_dirs(&error) => Ok(()),
        result => result,
    }
}

/// Windows writes names through its journal and has no call for it.
#[cfg(not(unix))]
fn sync_names(dir: &Path) -> io::Result<()> {
    match fs::metadata(dir)?.is_dir() {
        true => Ok(()),
        false => Err(ErrorKind::NotADirectory.into()),
    }
}

/// Whether a file system said that syncing directories is not for it (some network file systems,
/// FAT), as opposed to having failed at it.
#[cfg(unix)]
fn cannot_sync_dirs(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let refusals = [Errno::INVAL, Errno::NOTSUP, Errno::OPNOTSUPP];
    Errno::from_io_error(error).is_some_and(|errno| refusals.contains(&errno))
}

#[cfg(unix)]
fn space(path: &Path) -> io::Result<Option<u64>> {
    let found = rustix::fs::statvfs(path)?;
    // File systems without a limit, and some that are far away, say that they have no blocks at all.
    let told = found.f_blocks > 0;
    Ok(told.then(|| found.f_bavail.saturating_mul(found.f_frsize)))
}

#[cfg(not(unix))]
fn space(_path: &Path) -> io::Result<Option<u64>> {
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::bare;

    fn dir() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn a_file_is_created_once_appended_and_read_anywhere() {
        let dir = dir();
        let path = dir.path().join("file");
        let file = OsDisk.create(&path).unwrap();
        file.append(b"hello ").unwrap();
        file.append(b"").unwrap();
        file.append(b"world").unwrap();
        file.sync().unwrap();
        assert_eq!(file.len().unwrap(), 11);

        let mut buf = [0; 5];
        for file in [file, OsDisk.open(&path).unwrap()] {
            file.read_at(6, &mut buf).unwrap();
            assert_eq!(&buf, b"world");
            let error = file.read_at(7, &mut buf).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        }
        let error = OsDisk.create(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert_eq!(&OsDisk.map(&path).unwrap()[..], b"hello world");
    }

    #[test]
    fn reading_does_not_move_the_end() {
        let dir = dir();
        let file = OsDisk.create(&dir.path().join("file")).unwrap();
        let mut buf = [0; 1];
        file.append(b"ab").unwrap();
        file.read_at(0, &mut buf).unwrap();
        file.append(b"c").unwrap();
        let mut all = [0; 3];
        file.read_at(0, &mut all).unwrap();
        assert_eq!(&all, b"abc");
    }

    #[test]
    fn reopening_cuts_and_goes_on_at_the_end() {
        let dir = dir();
        let path = dir.path().join("file");
        OsDisk.create(&path).unwrap().append(b"whole torn").unwrap();
        OsDisk.reopen(&path, 6).unwrap().append(b"again").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole again");

        let error = OsDisk.reopen(&path, 12).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        assert_eq!(fs::read(&path).unwrap(), b"whole again");
        let error = OsDisk.reopen(&dir.path().join("no"), 0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }

    #[test]
    fn directories_are_made_listed_in_order_and_removed() {
        let dir = dir();
        let sub = dir.path().join("b");
        OsDisk.create_dir(&sub).unwrap();
        OsDisk.create_dir(&sub).unwrap();
        for name in ["c", "a"] {
            let file = OsDisk.create(&dir.path().join(name)).unwrap();
            file.append(name.repeat(3).as_bytes()).unwrap();
        }
        let found = OsDisk.list(dir.path()).unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|e| (e.name.to_str().unwrap(), e.is_dir, e.len))
            .collect();
        assert_eq!(found, [("a", false, 3), ("b", true, 0), ("c", false, 3)]);

        let error = OsDisk.create_dir(&dir.path().join("a")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        fs::write(sub.join("x"), b"").unwrap();
        let error = OsDisk.remove_dir(&sub).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DirectoryNotEmpty);
        OsDisk.remove(&sub.join("x")).unwrap();
        OsDisk.remove_dir(&sub).unwrap();
        assert!(!sub.exists());
    }

    #[test]
    fn renaming_replaces() {
        let dir = dir();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        fs::write(&a, b"new").unwrap();
        fs::write(&b, b"old").unwrap();
        OsDisk.rename(&a, &b).unwrap();
        assert_eq!(fs::read(&b).unwrap(), b"new");
        assert_eq!(OsDisk.len(&a).unwrap(), None);
        assert_eq!(OsDisk.len(&b).unwrap(), Some(3));
        let error = OsDisk.rename(&a, &b).unwrap_err().to_string();
        assert!(error.contains(a.to_str().unwrap()), "{error}");
        assert!(error.contains(b.to_str().unwrap()), "{error}");
    }

    #[test]
    fn errors_name_the_path_and_keep_kind_and_code() {
        let dir = dir();
        let path = dir.path().join("missing");
        let no_file = |result: io::Result<()>| {
            let error = result.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound);
            let text = error.to_string();
            assert_eq!(text.matches(path.to_str().unwrap()).count(), 1, "{text}");
        };
        no_file(OsDisk.open(&path).map(drop));
        no_file(OsDisk.map(&path).map(drop));
        no_file(OsDisk.remove(&path));
        no_file(OsDisk.remove_dir(&path));
        no_file(OsDisk.list(&path).map(drop));
        no_file(OsDisk.sync_dir(&path));
        no_file(OsDisk.lock(&path.join("lock"), false).map(drop));
        no_file(OsDisk.create(&path.join("file")).map(drop));

        let error = bare(OsDisk.open(&path).unwrap_err());
        assert!(error.raw_os_error().is_some());
        assert!(!error.to_string().contains("missing"));
        let error = OsDisk.len(dir.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::IsADirectory);
    }

    #[test]
    fn directories_sync() {
        let dir = dir();
        fs::write(dir.path().join("file"), b"").unwrap();
        OsDisk.sync_dir(dir.path()).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn only_a_refusal_to_sync_directories_is_tolerated() {
        use rustix::io::Errno;
        assert!(cannot_sync_dirs(&Errno::INVAL.into()));
        assert!(cannot_sync_dirs(&Errno::NOTSUP.into()));
        for errno in [Errno::IO, Errno::NOSPC, Errno::DQUOT, Errno::ROFS] {
            assert!(!cannot_sync_dirs(&errno.into()));
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_are_listed_as_files() {
        let dir = dir();
        fs::create_dir(dir.path().join("real")).unwrap();
        std::os::unix::fs::symlink("real", dir.path().join("link")).unwrap();
        let found = OsDisk.list(dir.path()).unwrap();
        let found: Vec<_> = found.iter().map(|entry| entry.is_dir).collect();
        assert_eq!(found, [false, true]);
    }

    #[cfg(unix)]
    #[test]
    fn what_everybody_may_write_to_is_exposed() {
        use std::os::unix::fs::PermissionsExt;
        let dir = dir();
        let path = dir.path().join("file");
        fs::write(&path, b"").unwrap();
        for (mode, exposed) in [(0o640, false), (0o664, false), (0o646, true)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(OsDisk.is_exposed(&path).unwrap(), exposed, "{mode:o}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn free_space_is_known() {
        let dir = dir();
        assert!(OsDisk.free_space(dir.path()).unwrap().unwrap() > 0);
        #[cfg(target_os = "linux")]
        assert_eq!(OsDisk.free_space(Path::new("/proc")).unwrap(), None);
    }
}
