//! Kernel locks: they end with their process, so that none is ever stale.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

use super::group;

/// A held lock. Dropping it releases it.
pub struct Lock {
    _held: Box<dyn Send + Sync>,
}

impl Lock {
    /// A lock that lasts as long as `held` is not dropped.
    pub fn new(held: impl Send + Sync + 'static) -> Lock {
        Lock {
            _held: Box::new(held),
        }
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lock")
    }
}

/// A locked file. Closing it would not do while another thread starts a program: until that runs, it
/// has all files of this process, with their locks.
struct Held(File);

impl Drop for Held {
    fn drop(&mut self) {
        // Where that fails closing it is what is left.
        let _ = self.0.unlock();
    }
}

/// Takes the kernel lock of the file at `path`. The kernel releases it with its process.
pub(super) fn lock_file(path: &Path, wait: bool) -> io::Result<Option<Lock>> {
    // Writable, because network file systems lock exclusively only what is open for writing.
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    match group::share_file(path, &file) {
        // Who has made it was another member of the group, or is none any longer.
        Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(error),
        _ => {}
    }
    loop {
        let result = match wait {
            true => file.lock(),
            false => match file.try_lock() {
                Ok(()) => Ok(()),
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => Err(error),
            },
        };
        match result {
            Ok(()) => return Ok(Some(Lock::new(Held(file)))),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if lacks_locks(&error) => return Err(no_locks(error)),
            Err(error) => return Err(error),
        }
    }
}

/// Whether the file system said that it does not do locks at all.
fn lacks_locks(error: &io::Error) -> bool {
    #[cfg(unix)]
    {
        use rustix::io::Errno;
        let without = [Errno::NOTSUP, Errno::OPNOTSUPP, Errno::NOSYS, Errno::NOLCK];
        Errno::from_io_error(error).is_some_and(|errno| without.contains(&errno))
    }
    #[cfg(not(unix))]
    {
        error.kind() == io::ErrorKind::Unsupported
    }
}

fn no_locks(error: io::Error) -> io::Error {
    let text = format!("the file system does not support locks ({error})");
    io::Error::new(io::ErrorKind::Unsupported, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_lock_ends_with_its_value_although_another_has_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let file = File::create(&path).unwrap();
        file.lock().unwrap();
        // As a program that is about to be started has it.
        let other = file.try_clone().unwrap();
        drop(Held(file));
        assert!(lock_file(&path, false).unwrap().is_some());
        drop(other);
    }

    #[test]
    fn two_handles_exclude_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = lock_file(&path, false).unwrap();
        assert!(first.is_some());
        assert!(lock_file(&path, false).unwrap().is_none());
        drop(first);
        assert!(lock_file(&path, false).unwrap().is_some());
    }

    #[test]
    fn waiting_ends_with_the_holder() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = lock_file(&path, true).unwrap().unwrap();
        let (sender, receiver) = mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let second = lock_file(&path, true).unwrap();
                sender.send("second").unwrap();
                drop(second);
            });
            assert!(receiver.try_recv().is_err(), "the lock did not exclude");
            drop(first);
            assert_eq!(receiver.recv().unwrap(), "second");
        });
    }

    #[test]
    fn locking_keeps_the_content_of_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        std::fs::write(&path, b"content").unwrap();
        drop(lock_file(&path, true).unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), b"content");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_system_without_locks_is_told_apart() {
        use rustix::io::Errno;
        for errno in [Errno::NOTSUP, Errno::NOSYS, Errno::NOLCK] {
            let error = io::Error::from(errno);
            assert!(lacks_locks(&error));
            let error = no_locks(error);
            assert_eq!(error.kind(), io::ErrorKind::Unsupported);
            assert!(error.to_string().contains("does not support locks"));
        }
        assert!(!lacks_locks(&io::Error::from(Errno::IO)));
    }
}
