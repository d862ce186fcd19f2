//! Files beneath the top of a work tree where the system has no handles of directories: every
//! component is looked at before each step, so a link that was there is never followed.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::git::TreePath;
use crate::git::path::{bytes, path_buf};

/// The top of a work tree.
#[derive(Debug)]
pub struct Top(PathBuf);

impl Top {
    /// Opens the directory, which may itself be reached through links: the user named it.
    pub fn open(top: &Path) -> io::Result<Top> {
        let top = fs::canonicalize(top)?;
        fs::metadata(&top).map(|_| Top(top))
    }

    /// The directory that a path's file is in.
    pub fn dir_of(&self, path: &TreePath) -> io::Result<Dir> {
        self.dir(path, false)
    }

    /// The same, where directories that are missing are made.
    pub fn make_dir_of(&self, path: &TreePath) -> io::Result<Dir> {
        self.dir(path, true)
    }

    fn dir(&self, path: &TreePath, make: bool) -> io::Result<Dir> {
        let dir = Dir {
            top: self.0.clone(),
            beneath: path_buf(path.split().0),
        };
        dir.walk(make).map(|_| dir)
    }
}

/// A directory of the work tree.
#[derive(Debug)]
pub struct Dir {
    top: PathBuf,
    beneath: PathBuf,
}

impl Dir {
    /// Opens what has this name in the directory for reading. A link is not followed, it is an
    /// error.
    pub fn open(&self, name: &[u8]) -> io::Result<File> {
        let path = self.at(name)?;
        match fs::symlink_metadata(&path)?.is_file() {
            true => File::open(path),
            false => Err(not_plain(&path)),
        }
    }

    /// Creates a file for writing, where nothing has this name. This system knows no modes.
    pub fn create_new(&self, name: &[u8], _: u32) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).open(self.at(name)?)
    }

    /// Here every file has a name from the start.
    pub fn create_unnamed(&self, _: u32) -> Option<File> {
        None
    }

    /// Here every file has a name from the start.
    pub fn name(&self, _: &File, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Puts one file in the place of another.
    pub fn rename(&self, from: &[u8], to: &[u8]) -> io::Result<()> {
        fs::rename(self.at(from)?, self.at(to)?)
    }

    /// Removes a file.
    pub fn remove(&self, name: &[u8]) -> io::Result<()> {
        fs::remove_file(self.at(name)?)
    }

    /// Calls `each` with every name in the directory.
    pub fn each_name(&self, each: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        for entry in fs::read_dir(self.walk(false)?)? {
            each(&bytes(&entry?.file_name()));
        }
        Ok(())
    }

    fn at(&self, name: &[u8]) -> io::Result<PathBuf> {
        Ok(self.walk(false)?.join(path_buf(name)))
    }

    /// Looks at every component on the way.
    fn walk(&self, make: bool) -> io::Result<PathBuf> {
        let mut path = self.top.clone();
        for component in &self.beneath {
            path.push(component);
            match fs::symlink_metadata(&path) {
                Ok(meta) if meta.is_dir() => {}
                Ok(_) => return Err(not_plain(&path)),
                Err(error) if make && error.kind() == io::ErrorKind::NotFound => {
                    fs::create_dir(&path)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(path)
    }
}

fn not_plain(path: &Path) -> io::Error {
    io::Error::new(
        io::ErrorKind::NotADirectory,
        format!("{} is a link or another special file", path.display()),
    )
}
