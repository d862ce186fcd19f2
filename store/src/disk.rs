//! The only door to the file system.
//!
//! [`Disk`] has two implementations: [`OsDisk`], which is the machine's, and [`SimDisk`], which
//! loses power, returns errors and runs out of space on purpose. Nothing else in the engine opens,
//! renames or removes a file, and a name becomes visible only through [`publish`].

mod group;
mod lock;
mod map;
mod os;
mod publish;
mod refused;
mod sim;

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

pub use group::share_file;
pub use lock::Lock;
pub use map::Map;
pub use os::OsDisk;
pub use publish::{publish, publish_all};
pub(crate) use refused::{Noting, Refused};
pub use sim::{Crash, NameChange, Ops, SimDisk, Spoiled, Synced};

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

/// An error of a file operation with the path that it happened at. This is what the [`io::Error`]s
/// of a [`Disk`] carry inside; [`bare`] takes it off again.
#[derive(Debug)]
pub struct PathError {
    path: PathBuf,
    error: io::Error,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.error)
    }
}

// No `source()`: the cause is in the text already, and a report of causes would say it twice.
impl std::error::Error for PathError {}

/// A closure for `map_err` that names the path and keeps the kind.
fn named(path: &Path) -> impl FnOnce(io::Error) -> io::Error {
    move |error| {
        let path = path.to_path_buf();
        io::Error::new(error.kind(), PathError { path, error })
    }
}

/// What the system said, without the path that a [`Disk`] added: for callers that name the path
/// themselves, and for `raw_os_error`.
pub fn bare(error: io::Error) -> io::Error {
    match error.downcast::<PathError>() {
        Ok(named) => named.error,
        Err(other) => other,
    }
}

/// Whether an error of reading says that the content of a file cannot be had, as a bad sector or a
/// lost name do; and not that this process may not or cannot read it now.
pub fn is_lost(error: &io::Error) -> bool {
    use io::ErrorKind::{
        Interrupted, OutOfMemory, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull,
        TimedOut, WouldBlock,
    };
    let now = [
        Interrupted,
        OutOfMemory,
        PermissionDenied,
        TimedOut,
        WouldBlock,
        // Of writing what was read.
        StorageFull,
        QuotaExceeded,
        ReadOnlyFilesystem,
    ];
    !now.contains(&error.kind()) && !lacks_handles(error)
}

/// Whether there are too many open files.
fn lacks_handles(error: &io::Error) -> bool {
    #[cfg(unix)]
    {
        use rustix::io::Errno;
        let inside = error
            .get_ref()
            .and_then(|inside| inside.downcast_ref::<PathError>());
        let errno = Errno::from_io_error(inside.map_or(error, |named| &named.error));
        errno.is_some_and(|errno| [Errno::MFILE, Errno::NFILE].contains(&errno))
    }
    #[cfg(not(unix))]
    {
        let _ = error;
        false
    }
}

/// The entries of a directory, sorted by name; none where there is no directory. Copies of a store by
/// other programs may lack directories that were empty.
pub fn entries(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<Entry>> {
    match disk.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries,
    }
}

/// A file system, as small as the engine can do with. All errors name the path and keep the kind
/// of the cause; see [`bare`].
///
/// Paths name files of a store and nothing else. Symbolic links are followed on the way to a name,
/// but [`list`](Disk::list) shows a link as a file, so that nobody walks or clears what is behind it.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Opens an existing file for reading.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Creates a new file for reading and appending; fails if the name exists.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens an existing file for reading and appending, cut to `len` bytes first. A file that is
    /// shorter is an `UnexpectedEof` error: this never makes bytes up.
    fn reopen(&self, path: &Path, len: u64) -> io::Result<Box<dyn DiskFile>>;
    /// Maps a whole file that will never change. An empty file maps to an empty slice. Whoever
    /// shortens or rewrites a mapped file breaks its readers: map only what was published.
    fn map(&self, path: &Path) -> io::Result<Map>;
    /// Renames a file (not a directory), replacing the target. Not durable before `sync_dir` of both
    /// directories; the file is never without a name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Creates one directory; it is no error if it exists.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// The entries of a directory, sorted by name.
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;
    /// Makes all changes to the names in a directory durable. After an error the names may be lost,
    /// and a second call proves nothing.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// The length of a file, or `None` where there is none. A directory is an error.
    fn len(&self, path: &Path) -> io::Result<Option<u64>>;
    /// When a file was last written to or [touched](Disk::touch).
    fn modified(&self, path: &Path) -> io::Result<SystemTime>;
    /// Makes a file count as written now. A power loss may take that back before
    /// [`sync_time`](Disk::sync_time).
    fn touch(&self, path: &Path) -> io::Result<()>;
    /// Makes durable when a file was last written to or touched, which [`DiskFile::sync`] leaves out
    /// where nothing else changed. Of many files, all are best touched before the first of these: most
    /// systems then write them together.
    fn sync_time(&self, path: &Path) -> io::Result<()>;
    /// Takes the kernel lock of a lock file, which is created where missing. Waits for it when
    /// `wait`; otherwise `None` means that another process or handle holds it. The lock ends with
    /// its value or its process, whichever is first.
    ///
    /// The lock belongs to the file, not to the name. Where others may remove a lock file (as stages
    /// are), check after locking that the name is still there, or the lock excludes nobody.
    fn lock(&self, path: &Path, wait: bool) -> io::Result<Option<Lock>>;
    /// Whether everybody on the machine may write to a file or directory, where that can be told.
    fn is_exposed(&self, path: &Path) -> io::Result<bool> {
        let _ = path;
        Ok(false)
    }
    /// Bytes that this process may still write to the file system of `path`, if that can be told.
    fn free_space(&self, path: &Path) -> io::Result<Option<u64>>;
}

#[expect(
    clippy::len_without_is_empty,
    reason = "nobody asks a file whether it is empty"
)]
/// An open file: read anywhere, append at its end.
pub trait DiskFile: fmt::Debug + Send + Sync {
    /// Fills `buf` from `offset`; an end before that is an `UnexpectedEof` error.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;
    /// Appends all of `bytes`. After an error any first part of them may be at the end of the file.
    /// Appends from several threads do not overwrite each other, but may interleave.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;
    /// The length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Makes the bytes and the length durable. After an error the file must not be used again.
    fn sync(&self) -> io::Result<()>;
    /// Lets the disk begin to write what was appended from `offset` on, so that a sync has less to wait for.
    /// A hint, which waits for nothing and does nothing where it is not known.
    fn hasten(&self, _offset: u64) {}
    /// Lets go of the memory that synced bytes are cached in: nobody here is going to read them
    /// soon. A hint, which does nothing where it is not known.
    fn release(&self) {}
}
