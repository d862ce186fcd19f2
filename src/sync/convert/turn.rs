//! Who fills the files of a checkout: the filter while there is one, else the hooks.

use std::fs::{self, File, TryLockError};
use std::path::PathBuf;

use crate::git::Repo;

/// Held by the filter of a git that populates this work tree. It ends with the process.
///
/// What a filter leaves for the time when git has ended, git takes for done: it does not ask again. So
/// the file of the lock says while there is something left, and whoever has the turn after a filter
/// that was killed does it.
#[derive(Debug)]
pub struct Turn {
    file: File,
    was_cut: bool,
}

impl Turn {
    /// Takes the turn; `None` where another git has it or there are no locks.
    pub fn take(repo: &Repo) -> Option<Turn> {
        let mut options = File::options();
        let file = options.create(true).truncate(false).write(true);
        let file = file.open(place(repo)).ok()?;
        file.try_lock().ok()?;
        let was_cut = file.metadata().is_ok_and(|meta| meta.len() > 0);
        Some(Turn { file, was_cut })
    }

    /// Whether the one before did not come to its end.
    pub fn was_cut(&self) -> bool {
        self.was_cut
    }

    /// Notes that something is left for the end. Where that can't be noted it is done all the same,
    /// unless this process is killed.
    pub fn leave(&self) {
        // A length alone takes no room on the disk.
        let _ = self.file.set_len(1);
    }

    /// Notes that nothing is left.
    pub fn end(self) {
        let _ = self.file.set_len(0);
    }
}

/// Whether a filter serves a checkout of this work tree at this moment: it fills the files that it
/// answered with pointers when git has ended, and a hook that git runs before has nothing to do.
pub fn is_populating(repo: &Repo) -> bool {
    let file = File::options().write(true).open(place(repo));
    file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// Whether a filter was killed that had left files for its end.
pub fn was_cut(repo: &Repo) -> bool {
    fs::metadata(place(repo)).is_ok_and(|meta| meta.len() > 0)
}

/// One for each work tree, and so beside its index.
fn place(repo: &Repo) -> PathBuf {
    repo.git_dir().join("lob-checkout.lock")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::fixture::Fixture;

    #[test]
    fn one_has_the_turn_until_it_ends() {
        let fixture = Fixture::new();
        let repo = fixture.repo();
        assert!(!is_populating(&repo));
        let turn = Turn::take(&repo);
        assert!(turn.is_some() && is_populating(&repo));
        assert!(Turn::take(&repo).is_none());
        drop(turn);
        assert!(!is_populating(&repo));
    }

    #[test]
    fn the_next_one_knows_of_a_turn_that_was_cut() {
        let fixture = Fixture::new();
        let repo = fixture.repo();
        let turn = Turn::take(&repo).unwrap();
        assert!(!turn.was_cut());
        turn.leave();
        turn.leave();
        drop(turn);
        assert!(was_cut(&repo));
        let next = Turn::take(&repo).unwrap();
        assert!(next.was_cut());
        next.end();
        assert!(!was_cut(&repo) && !Turn::take(&repo).unwrap().was_cut());
    }
}
