//! The only door to the file system.
//!
//! [`Disk`] has two implementations: [`OsDisk`], which is the machine's, and [`SimDisk`], which
//! loses power, returns errors and runs out of space on purpose. Nothing else in the engine opens,
//! renames or removes a file, and a name becomes visible only through [`publish`].

mod lock;
mod map;
mod os;
mod publish;
mod sim;

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::Path;

pub use lock::Lock;
pub use map::Map;
pub use os::OsDisk;
pub use publish::{publish, publish_all};
pub use sim::{Crash, SimDisk};

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name, without the directory.
    pub name: OsString,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Its length in bytes; 0 for a directory.
    pub len: u64,
}

/// A file system, as small as the engine can do with. All errors name the path.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Opens an existing file for reading.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Creates a new file for reading and appending; fails if the name exists.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens an existing file for reading and appending, cut to `len` bytes first.
    fn reopen(&self, path: &Path, len: u64) -> io::Result<Box<dyn DiskFile>>;
    /// Maps a whole file that will never change. An empty file maps to an empty slice.
    fn map(&self, path: &Path) -> io::Result<Map>;
    /// Renames a file, replacing the target. Not durable before `sync_dir` of both directories.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Creates one directory; it is no error if it exists.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// The entries of a directory, sorted by name.
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;
    /// Makes all changes to the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// The length of a file, or `None` where there is none.
    fn len(&self, path: &Path) -> io::Result<Option<u64>>;
    /// Takes the kernel lock of a lock file, which is created where missing. Waits for it when
    /// `wait`; otherwise `None` means that another process or handle holds it. The lock ends with
    /// its value or its process, whichever is first.
    fn lock(&self, path: &Path, wait: bool) -> io::Result<Option<Lock>>;
    /// Bytes that this process may still write to the file system of `path`, if that can be told.
    fn free_space(&self, path: &Path) -> io::Result<Option<u64>>;
}

/// An open file: read anywhere, append at its end.
pub trait DiskFile: fmt::Debug + Send + Sync {
    /// Fills `buf` from `offset`; an end before that is an `UnexpectedEof` error.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;
    /// Appends all of `bytes`.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;
    /// The length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Makes the bytes and the length durable. After an error the file must not be used again.
    fn sync(&self) -> io::Result<()>;
}
