//! The simulation: [`Disk`] in memory, for tests. It loses power, fails and fills up on purpose.
//!
//! Every change (create, reopen with a cut, append, touch, rename, remove, sync) has a number, counted
//! from 0 and kept in a log. [`SimDisk::crash_states`] gives what a power loss after any number of them
//! may leave; [`SimDisk::killed`] what the death of the process leaves. The model is harsher than
//! real file systems: nothing is durable that was not synced, in no order but that of dependence.

mod content;
mod crash;
mod faults;
mod file;
mod machine;
mod ops;
mod state;
#[cfg(test)]
mod tests;

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use crash::Crash;
pub use faults::Spoiled;
pub use machine::{NameChange, Synced};
pub use ops::Ops;

use super::{Disk, DiskFile, Entry, Lock, Map, named};
use crash::Crashes;
use faults::{Failure, OpenFault, SyncFault};
use file::SimFile;
use machine::Machine;
use state::{Inode, Op, State};

/// A simulated disk, empty but for its root directory `/`. Clones are handles of the same disk.
#[derive(Debug, Clone, Default)]
pub struct SimDisk {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    machine: Mutex<Machine>,
    unlocked: Condvar,
}

impl SimDisk {
    /// An empty disk.
    pub fn new() -> SimDisk {
        SimDisk::default()
    }

    /// A disk with this on it, on which nothing was done yet, at the time `clock`.
    fn holding(state: State, clock: u64) -> SimDisk {
        let machine = Machine {
            start: state.clone(),
            now: state,
            clock,
            ..Machine::default()
        };
        SimDisk {
            shared: Arc::new(Shared {
                machine: Mutex::new(machine),
                unlocked: Condvar::new(),
            }),
        }
    }

    /// How many changes were asked for until now: the number of the next one.
    pub fn changes(&self) -> usize {
        self.machine().log.len()
    }

    /// The changes, in words.
    pub fn log(&self) -> Vec<String> {
        let machine = self.machine();
        machine.log.iter().map(|(_, words)| words.clone()).collect()
    }

    /// The operations that were asked for since the start or the last [`SimDisk::reset_ops`].
    pub fn ops(&self) -> Ops {
        self.machine().ops
    }

    /// Counts operations from 0 again. The numbers of the changes go on.
    pub fn reset_ops(&self) {
        self.machine().ops = Ops::default();
    }

    /// Makes change number `at` fail. Of a failing append half is written, and what a failing sync
    /// should have written is lost for good.
    pub fn fail_at(&self, at: usize, kind: ErrorKind) {
        self.machine().faults.change = Some(Failure {
            at,
            for_good: false,
            kind,
        });
    }

    /// Makes change number `at` and all later ones fail.
    pub fn fail_from(&self, at: usize, kind: ErrorKind) {
        self.machine().faults.change = Some(Failure {
            at,
            for_good: true,
            kind,
        });
    }

    /// Makes read number `at` fail: opening, reading, mapping, listing and asking for lengths count.
    pub fn fail_read_at(&self, at: usize, kind: ErrorKind) {
        self.machine().faults.read = Some(Failure {
            at,
            for_good: false,
            kind,
        });
    }

    /// Makes the opening of these files fail for reading from now on, as on a disk that goes bad.
    pub fn fail_opens(&self, of: impl Fn(&Path) -> bool + Send + 'static) {
        self.machine().faults.open = Some(OpenFault::new(of));
    }

    /// Does this, instead of what they should, in all syncs from now on that `of` accepts.
    pub fn spoil_syncs(&self, how: Spoiled, of: impl FnMut(&Synced) -> bool + Send + 'static) {
        self.machine().faults.sync = Some(SyncFault::new(how, Box::new(of)));
    }

    /// All syncs until now, of files and directories.
    pub fn syncs(&self) -> Vec<Synced> {
        self.machine().syncs.clone()
    }

    /// Limits the bytes in all files together. An append beyond it writes what there is room for.
    pub fn set_capacity(&self, capacity: Option<u64>) {
        self.machine().faults.capacity = capacity;
    }

    /// Sets the clock, in seconds since 1970. It stands still by itself, and begins at 0; a crash leaves
    /// it as it is.
    pub fn set_clock(&self, seconds: u64) {
        self.machine().clock = seconds;
    }

    /// How many faults really happened: errors, skipped syncs and appends without room. A test that
    /// asks for faults must see that it got them.
    pub fn injected(&self) -> usize {
        self.machine().faults.injected()
    }

    /// The different states of the disk after a power loss when `at` changes were done: all subsets
    /// of the pending changes of names (a sample, beyond 12 of them), combined with what may be left
    /// of unsynced bytes: nothing, half, all, or the length with zeros or garbage; a time of a file that
    /// was not synced is the new one or the one before. Extremes come
    /// first, and the order is always the same. Nobody holds a lock on the new disks, and they have
    /// no faults.
    pub fn crashes(&self, at: usize) -> impl Iterator<Item = Crash> + use<> {
        Crashes::new(self.replay(at), at, self.machine().clock)
    }

    /// At most `most` of [`SimDisk::crashes`].
    pub fn crash_states(&self, at: usize, most: usize) -> Vec<Crash> {
        self.crashes(at).take(most).collect()
    }

    /// The disk as the next process finds it when this one is killed after `at` changes: all that
    /// was written is there, unsynced as it was, and nobody holds a lock.
    pub fn killed(&self, at: usize) -> SimDisk {
        SimDisk::holding(self.replay(at), self.machine().clock)
    }

    fn replay(&self, at: usize) -> State {
        let machine = self.machine();
        let mut state = machine.start.clone();
        for (op, _) in machine.log.iter().take(at) {
            state.apply(op);
        }
        state
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        // A panic in a test leaves the model whole: every change of it is one call.
        let machine = self.shared.machine.lock();
        machine.unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs one operation under the lock of the machine, and names the path in its error.
    fn run<T>(
        &self,
        path: &Path,
        how: impl FnOnce(&mut Machine) -> io::Result<T>,
    ) -> io::Result<T> {
        how(&mut self.machine()).map_err(named(path))
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.run(path, |machine| {
            machine.ops.opens += 1;
            machine.read()?;
            let inode = machine.now.find(path)?;
            machine.now.content(inode)?;
            machine.faults.at_open(path)?;
            Ok(SimFile::boxed(self, path, inode, false))
        })
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.run(path, |machine| {
            machine.ops.creates += 1;
            let inode = machine.create(path)?;
            Ok(SimFile::boxed(self, path, inode, true))
        })
    }

    fn reopen(&self, path: &Path, len: u64) -> io::Result<Box<dyn DiskFile>> {
        self.run(path, |machine| {
            machine.ops.reopens += 1;
            let inode = machine.now.find(path)?;
            let found = machine.now.content(inode)?.len();
            if found < len {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            if found > len {
                let words = format!("cut {} to {len}", path.display());
                let clock = machine.clock;
                machine.change(Op::Cut(inode, len as usize, clock), words)?;
            }
            Ok(SimFile::boxed(self, path, inode, true))
        })
    }

    fn map(&self, path: &Path) -> io::Result<Map> {
        self.run(path, |machine| {
            machine.ops.maps += 1;
            machine.read()?;
            let inode = machine.now.find(path)?;
            Ok(machine.now.content(inode)?.bytes().to_vec().into())
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.run(from, |machine| {
            machine.ops.renames += 1;
            machine.now.place(from)?;
            let target = machine.now.place(to)?;
            let (dir, name, inode) = machine.existing(from)?;
            machine.now.content(inode)?;
            if let Ok(replaced) = machine.now.child(target.0, &target.1) {
                machine.now.content(replaced)?;
            }
            let words = format!("rename {} -> {}", from.display(), to.display());
            machine.change(Op::Rename((dir, name), target), words)
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.run(path, |machine| {
            machine.ops.removes += 1;
            let (dir, name, inode) = machine.existing(path)?;
            machine.now.content(inode)?;
            machine.change(Op::Remove(dir, name), format!("remove {}", path.display()))
        })
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.run(path, |machine| {
            machine.ops.create_dirs += 1;
            match machine.now.find(path) {
                Ok(inode) if machine.now.names(inode).is_ok() => return Ok(()),
                Ok(_) => return Err(ErrorKind::AlreadyExists.into()),
                Err(_) => {}
            }
            let (dir, name) = machine.now.place(path)?;
            let words = format!("create directory {}", path.display());
            machine.change(Op::CreateDir(dir, name), words)
        })
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.run(path, |machine| {
            machine.ops.remove_dirs += 1;
            let (dir, name, inode) = machine.existing(path)?;
            if !machine.now.names(inode)?.is_empty() {
                return Err(ErrorKind::DirectoryNotEmpty.into());
            }
            let words = format!("remove directory {}", path.display());
            machine.change(Op::Remove(dir, name), words)
        })
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.run(dir, |machine| {
            machine.ops.lists += 1;
            machine.read()?;
            let names = machine.now.names(machine.now.find(dir)?)?;
            let entries = names.iter().map(|(name, &inode)| {
                let content = machine.now.content(inode).ok();
                Entry {
                    name: name.clone(),
                    is_dir: content.is_none(),
                    len: content.map_or(0, |content| content.len()),
                }
            });
            Ok(entries.collect())
        })
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.run(dir, |machine| {
            machine.ops.dir_syncs += 1;
            let inode = machine.now.find(dir)?;
            machine.now.names(inode)?;
            let words = format!("sync directory {}", dir.display());
            machine.sync(Op::SyncDir(inode), words)
        })
    }

    fn len(&self, path: &Path) -> io::Result<Option<u64>> {
        self.run(path, |machine| {
            machine.ops.lens += 1;
            machine.read()?;
            match machine.now.find(path) {
                Ok(inode) => Ok(Some(machine.now.content(inode)?.len())),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            }
        })
    }

    fn modified(&self, path: &Path) -> io::Result<SystemTime> {
        self.run(path, |machine| {
            machine.read()?;
            let inode = machine.now.find(path)?;
            let time = machine
                .now
                .content(inode)
                .map_or(0, |content| content.time());
            Ok(UNIX_EPOCH + Duration::from_secs(time))
        })
    }

    fn touch(&self, path: &Path) -> io::Result<()> {
        self.run(path, |machine| {
            let inode = machine.now.find(path)?;
            let clock = machine.clock;
            machine.change(Op::Touch(inode, clock), format!("touch {}", path.display()))
        })
    }

    fn sync_time(&self, path: &Path) -> io::Result<()> {
        self.run(path, |machine| {
            machine.ops.syncs += 1;
            let inode = machine.now.find(path)?;
            let words = format!("sync time of {}", path.display());
            machine.sync(Op::SyncAll(inode), words)
        })
    }

    fn lock(&self, path: &Path, wait: bool) -> io::Result<Option<Lock>> {
        let mut machine = self.machine();
        machine.ops.locks += 1;
        let inode = match machine.now.find(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => machine.create(path),
            found => found,
        }
        .map_err(named(path))?;
        machine.now.content(inode).map_err(named(path))?;
        while machine.locked.contains(&inode) {
            if !wait {
                return Ok(None);
            }
            let woken = self.shared.unlocked.wait(machine);
            machine = woken.unwrap_or_else(PoisonError::into_inner);
        }
        machine.locked.insert(inode);
        Ok(Some(Lock::new(Held {
            disk: self.clone(),
            inode,
        })))
    }

    fn free_space(&self, path: &Path) -> io::Result<Option<u64>> {
        self.run(path, |machine| {
            machine.now.find(path)?;
            let capacity = machine.faults.capacity;
            Ok(capacity.map(|bytes| bytes.saturating_sub(machine.now.used())))
        })
    }
}

/// A lock of a simulated file.
struct Held {
    disk: SimDisk,
    inode: Inode,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.disk.machine().locked.remove(&self.inode);
        self.disk.shared.unlocked.notify_all();
    }
}
