//! A disk that changes under its reader.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use lob_store::disk::{Disk, DiskFile, Entry, Lock, Map, SimDisk};

/// What somebody did to a disk, as one sees it who reads meanwhile.
#[derive(Debug, Clone)]
pub struct Moving {
    states: Arc<[SimDisk]>,
    at: usize,
    pace: (usize, usize),
    reads: Arc<AtomicUsize>,
}

impl Moving {
    /// All that was done to `disk` since change number `start`.
    pub fn new(disk: &SimDisk, start: usize) -> Moving {
        let states = (start..=disk.changes()).map(|at| disk.killed(at));
        Moving {
            states: states.collect(),
            at: 0,
            pace: (0, 1),
            reads: Arc::default(),
        }
    }

    /// How many changes there are.
    pub fn len(&self) -> usize {
        self.states.len() - 1
    }

    /// Begins after the first `at` of them, and goes on by so many after each so many reads.
    pub fn from(&self, at: usize, pace: (usize, usize)) -> Moving {
        Moving {
            at,
            pace,
            reads: Arc::default(),
            ..self.clone()
        }
    }

    fn now(&self) -> &SimDisk {
        let reads = self.reads.fetch_add(1, Ordering::Relaxed);
        let (changes, per_reads) = self.pace;
        let at = self.at + reads / per_reads * changes;
        &self.states[at.min(self.states.len() - 1)]
    }
}

/// Nobody who reads calls the rest.
impl Disk for Moving {
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.now().open(path)
    }

    fn map(&self, path: &Path) -> io::Result<Map> {
        self.now().map(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.now().list(dir)
    }

    fn len(&self, path: &Path) -> io::Result<Option<u64>> {
        self.now().len(path)
    }

    fn modified(&self, path: &Path) -> io::Result<SystemTime> {
        self.now().modified(path)
    }

    fn touch(&self, path: &Path) -> io::Result<()> {
        panic!("touch {}", path.display())
    }

    fn sync_time(&self, path: &Path) -> io::Result<()> {
        panic!("sync time of {}", path.display())
    }

    fn lock(&self, path: &Path, wait: bool) -> io::Result<Option<Lock>> {
        assert!(!wait, "{}", path.display());
        self.now().lock(path, false)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        panic!("create {}", path.display())
    }

    fn reopen(&self, path: &Path, _: u64) -> io::Result<Box<dyn DiskFile>> {
        panic!("reopen {}", path.display())
    }

    fn rename(&self, from: &Path, _: &Path) -> io::Result<()> {
        panic!("rename {}", from.display())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        panic!("remove {}", path.display())
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        panic!("create {}", path.display())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        panic!("remove {}", path.display())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        panic!("sync {}", dir.display())
    }

    fn free_space(&self, path: &Path) -> io::Result<Option<u64>> {
        panic!("ask for space in {}", path.display())
    }
}
