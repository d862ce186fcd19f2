//! Files beneath the top of a work tree, through handles of directories: no component of a path is
//! followed when it is a symbolic link, whoever puts one there and whenever.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir as List, Mode, OFlags, mkdirat, openat, renameat, unlinkat};
use rustix::io::Errno;

use crate::git::TreePath;

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);
/// A pipe must not block who opens it, nor a terminal become ours.
const FILE: OFlags = OFlags::NOFOLLOW
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// The top of a work tree.
#[derive(Debug)]
pub struct Top(OwnedFd);

impl Top {
    /// Opens the directory, which may itself be reached through links: the user named it.
    pub fn open(top: &Path) -> io::Result<Top> {
        Ok(Top(openat(CWD, top, DIRECTORY, Mode::empty())?))
    }

    /// The directory that a path's file is in.
    pub fn dir_of(&self, path: &TreePath) -> io::Result<Dir> {
        let (dir, _) = path.split();
        if dir.is_empty() {
            return Ok(Dir(openat(&self.0, c".", DIRECTORY, Mode::empty())?));
        }
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Some(found) = at_once(&self.0, dir) {
            return Ok(Dir(found?));
        }
        one_by_one(&self.0, dir, false).map(Dir)
    }

    /// The same, where directories that are missing are made.
    pub fn make_dir_of(&self, path: &TreePath) -> io::Result<Dir> {
        match self.dir_of(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                one_by_one(&self.0, path.split().0, true).map(Dir)
            }
            other => other,
        }
    }
}

/// One system call for the whole path; `None` where the kernel has none, or a sandbox forbids it.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn at_once(top: &OwnedFd, dir: &[u8]) -> Option<io::Result<OwnedFd>> {
    use rustix::fs::{ResolveFlags, openat2};
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..8 {
        match openat2(top, dir, DIRECTORY, Mode::empty(), beneath) {
            // Something was renamed meanwhile, and the kernel can't tell whether it mattered.
            Err(Errno::AGAIN) => {}
            Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => return None,
            other => return Some(other.map_err(said)),
        }
    }
    None
}

fn one_by_one(top: &OwnedFd, dir: &[u8], make: bool) -> io::Result<OwnedFd> {
    let mut found: Option<OwnedFd> = None;
    for component in dir
        .split(|&byte| byte == b'/')
        .filter(|name| !name.is_empty())
    {
        let at = found.as_ref().unwrap_or(top);
        let open = || openat(at, component, DIRECTORY | OFlags::NOFOLLOW, Mode::empty());
        let next = match open() {
            Err(Errno::NOENT) if make => match mkdirat(at, component, Mode::from_raw_mode(0o777)) {
                Ok(()) | Err(Errno::EXIST) => open().map_err(said)?,
                Err(error) => return Err(error.into()),
            },
            other => other.map_err(said)?,
        };
        found = Some(next);
    }
    match found {
        Some(found) => Ok(found),
        None => Ok(top.try_clone()?),
    }
}

/// What an open says about a link or another special file, in one word for all of them.
fn said(error: Errno) -> io::Error {
    match error {
        Errno::LOOP | Errno::MLINK | Errno::XDEV | Errno::NXIO | Errno::NOTDIR => io::Error::new(
            io::ErrorKind::NotADirectory,
            "a link or another special file is there",
        ),
        error => error.into(),
    }
}

/// An open directory of the work tree.
#[derive(Debug)]
pub struct Dir(OwnedFd);

impl Dir {
    /// Opens what has this name in the directory for reading. A link is not followed, it is an
    /// error.
    pub fn open(&self, name: &[u8]) -> io::Result<File> {
        let found = openat(&self.0, name, OFlags::RDONLY | FILE, Mode::empty());
        Ok(found.map_err(said)?.into())
    }

    /// Creates a file for writing, where nothing has this name, with a mode that the umask cuts.
    pub fn create_new(&self, name: &[u8], mode: u32) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | FILE;
        Ok(openat(&self.0, name, flags, Mode::from_raw_mode(mode as _))?.into())
    }

    /// Creates a file without a name, which nobody sees and of which nothing is left when this
    /// process is killed; `None` where the system or the file system has none.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn create_unnamed(&self, mode: u32) -> Option<File> {
        // Without it there is no way to give a name later.
        if !Path::new("/proc/self/fd").is_dir() {
            return None;
        }
        let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
        let file = openat(&self.0, c".", flags, Mode::from_raw_mode(mode as _));
        file.ok().map(File::from)
    }

    /// Gives a file without a name one.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn name(&self, file: &File, name: &[u8]) -> io::Result<()> {
        use std::os::fd::AsRawFd;
        let link = format!("/proc/self/fd/{}", file.as_raw_fd());
        let follow = AtFlags::SYMLINK_FOLLOW;
        Ok(rustix::fs::linkat(CWD, link, &self.0, name, follow)?)
    }

    /// Here every file has a name from the start.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub fn create_unnamed(&self, _: u32) -> Option<File> {
        None
    }

    /// Here every file has a name from the start.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub fn name(&self, _: &File, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Puts one file in the place of another.
    pub fn rename(&self, from: &[u8], to: &[u8]) -> io::Result<()> {
        Ok(renameat(&self.0, from, &self.0, to)?)
    }

    /// Removes a file.
    pub fn remove(&self, name: &[u8]) -> io::Result<()> {
        Ok(unlinkat(&self.0, name, AtFlags::empty())?)
    }

    /// Calls `each` with every name in the directory.
    pub fn each_name(&self, each: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        for entry in List::read_from(&self.0)? {
            each(entry?.file_name().to_bytes());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is used where the kernel or a sandbox has no `openat2`.
    #[test]
    fn step_by_step_no_link_is_followed_either() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        std::os::unix::fs::symlink("b", dir.path().join("a/link")).unwrap();
        let Top(top) = Top::open(dir.path()).unwrap();
        for found in ["a", "a/b"] {
            one_by_one(&top, found.as_bytes(), false).unwrap();
        }
        one_by_one(&top, b"a/b/c/d", true).unwrap();
        assert!(dir.path().join("a/b/c/d").is_dir());
        for (refused, kind) in [
            ("a/link", io::ErrorKind::NotADirectory),
            ("a/link/c", io::ErrorKind::NotADirectory),
            ("a/x", io::ErrorKind::NotFound),
        ] {
            let error = one_by_one(&top, refused.as_bytes(), false).unwrap_err();
            assert_eq!(error.kind(), kind, "{refused}");
        }
    }
}
