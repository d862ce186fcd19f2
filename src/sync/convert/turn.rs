//! Who fills the files of a checkout: the filter while there is one, else the hooks.

use std::fs::{File, TryLockError};
use std::path::PathBuf;

use crate::git::Repo;

/// Held by the filter of a git that populates this work tree. It ends with the process.
#[derive(Debug)]
pub struct Turn(#[expect(dead_code, reason = "the lock lasts as long as the file is open")] File);

impl Turn {
    /// Takes the turn; `None` where another git has it or there are no locks.
    pub fn take(repo: &Repo) -> Option<Turn> {
        let mut options = File::options();
        let file = options.create(true).truncate(false).write(true);
        let file = file.open(place(repo)).ok()?;
        file.try_lock().is_ok().then_some(Turn(file))
    }
}

/// Whether a filter serves a checkout of this work tree at this moment: it fills the files that it
/// answered with pointers when git has ended, and a hook that git runs before has nothing to do.
pub fn is_populating(repo: &Repo) -> bool {
    let file = File::options().write(true).open(place(repo));
    file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
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
}
