//! A disk on which somebody looks before every change.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use lob_store::disk::{Disk, DiskFile, Entry, Lock, Map, SimDisk};

type Look = Arc<dyn Fn(&str) + Send + Sync>;

/// A simulated disk, and what is done before it changes.
#[derive(Clone)]
pub struct Watched {
    disk: SimDisk,
    look: Look,
}

impl Watched {
    /// Calls `look` with the next change before it is made.
    pub fn new(disk: SimDisk, look: impl Fn(&str) + Send + Sync + 'static) -> Watched {
        let look = Arc::new(look);
        Watched { disk, look }
    }

    fn before(&self, what: &str, path: &Path) {
        (self.look)(&format!("{what} {}", path.display()));
    }

    fn file(&self, path: &Path, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        Box::new(WatchedFile {
            file,
            path: path.to_path_buf(),
            disk: self.clone(),
        })
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.disk.fmt(f)
    }
}

impl Disk for Watched {
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.disk.open(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.before("create", path);
        Ok(self.file(path, self.disk.create(path)?))
    }

    fn reopen(&self, path: &Path, len: u64) -> io::Result<Box<dyn DiskFile>> {
        self.before("reopen", path);
        Ok(self.file(path, self.disk.reopen(path, len)?))
    }

    fn map(&self, path: &Path) -> io::Result<Map> {
        self.disk.map(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.before("rename", to);
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.before("remove", path);
        self.disk.remove(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.before("create directory", path);
        self.disk.create_dir(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.before("remove directory", path);
        self.disk.remove_dir(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.disk.list(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.before("sync directory", dir);
        self.disk.sync_dir(dir)
    }

    fn len(&self, path: &Path) -> io::Result<Option<u64>> {
        self.disk.len(path)
    }

    fn modified(&self, path: &Path) -> io::Result<SystemTime> {
        self.disk.modified(path)
    }

    fn touch(&self, path: &Path) -> io::Result<()> {
        self.before("touch", path);
        self.disk.touch(path)
    }

    fn sync_time(&self, path: &Path) -> io::Result<()> {
        self.before("sync time of", path);
        self.disk.sync_time(path)
    }

    fn lock(&self, path: &Path, wait: bool) -> io::Result<Option<Lock>> {
        self.before("lock", path);
        self.disk.lock(path, wait)
    }

    fn free_space(&self, path: &Path) -> io::Result<Option<u64>> {
        self.disk.free_space(path)
    }
}

#[derive(Debug)]
struct WatchedFile {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    disk: Watched,
}

impl DiskFile for WatchedFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.file.read_at(offset, buf)
    }

    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.disk.before("append to", &self.path);
        self.file.append(bytes)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.before("sync", &self.path);
        self.file.sync()
    }
}
