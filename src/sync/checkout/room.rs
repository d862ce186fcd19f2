//! Room for the files that are filled.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use lob_store::disk::{Disk, OsDisk};

use super::Error;

/// What is free on the disk of a work tree, asked once, less what was written since. So a file that
/// does not fit is not begun, and smaller ones still find their room.
pub(super) struct Room {
    free: u64,
    left: AtomicU64,
}

impl Room {
    /// The room in a work tree; without end where nobody can tell.
    pub(super) fn of(top: &Path) -> Room {
        Room::with(OsDisk.free_space(top).ok().flatten().unwrap_or(u64::MAX))
    }

    fn with(free: u64) -> Room {
        let left = AtomicU64::new(free);
        Room { free, left }
    }

    /// Does what takes so many bytes where it succeeds and returns something.
    pub(super) fn take<T>(
        &self,
        bytes: u64,
        write: impl FnOnce() -> Result<Option<T>, Error>,
    ) -> Result<Option<T>, Error> {
        let taken = |left: u64| left.checked_sub(bytes);
        if self.left.fetch_update(Relaxed, Relaxed, taken).is_err() {
            let free = self.free;
            return Err(Error::NoRoom { free });
        }
        let done = write();
        if !matches!(done, Ok(Some(_))) {
            let _ = self.left.fetch_add(bytes, Relaxed);
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn what_does_not_fit_leaves_room_for_what_does() {
        let room = Room::with(100);
        let fill = |bytes| room.take(bytes, || Ok(Some(())));
        assert!(fill(60).is_ok());
        let error = fill(41).unwrap_err();
        assert!(matches!(error, Error::NoRoom { free: 100 }), "{error}");
        let failed: Result<Option<()>, Error> =
            room.take(40, || Err(io::Error::other("a bad day").into()));
        assert!(matches!(failed, Err(Error::Io(_))));
        let none: Option<()> = room.take(40, || Ok(None)).unwrap();
        assert!(none.is_none());
        assert!(fill(40).is_ok(), "what was not written took no room");
        assert!(fill(0).is_ok());
        assert!(fill(1).is_err());
        let dir = tempfile::tempdir().unwrap();
        let fits = |dir: &Path, bytes| Room::of(dir).take(bytes, || Ok(Some(()))).is_ok();
        assert!(fits(dir.path(), 1) && !fits(dir.path(), 1 << 60));
        assert!(fits(&dir.path().join("none"), 1 << 60));
    }
}
