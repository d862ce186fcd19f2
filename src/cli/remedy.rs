//! The way out of an error: what the libraries know of it, and what the system's errors mean.

use std::collections::HashSet;
use std::error::Error;
use std::io::{self, ErrorKind};
use std::iter::successors;
use std::path::Path;

use crate::git::index_file::IndexError;
use crate::git::version::{Feature, Version};
use crate::git::{Git, GitError};
use crate::sync::checkout;
use crate::ui::{Failure, Ui};
use crate::{remote, sync};

/// Adds what is known of the way out.
pub(super) fn advise(failure: Failure) -> Failure {
    let known = failure.errors().next().map(known);
    let hints = known.unwrap_or_default().into_iter().chain(old_git());
    hints.fold(failure, Failure::hint)
}

/// A git that is too old fails in many ways, of which none says so.
fn old_git() -> Option<String> {
    let version = Version::of(&Git::new(Path::new(".")).ok()?).ok()?;
    let error = version.require(Feature::Base).err()?;
    Some(error.to_string())
}

/// Says what is known of the way out of errors that the run goes on after, each thing once.
pub(super) fn show<'e>(errors: impl IntoIterator<Item = &'e (dyn Error + 'static)>, ui: &Ui) {
    let mut said = HashSet::new();
    for hint in errors.into_iter().flat_map(known) {
        if said.insert(hint.clone()) {
            ui.hint(hint);
        }
    }
}

/// What is known of the way out of an error, and of what caused it.
fn known<'e>(error: &'e (dyn Error + 'static)) -> Vec<String> {
    let causes = successors(Some(error), |&error: &&'e (dyn Error + 'static)| {
        error.source()
    });
    let mut hints: Vec<String> = causes.filter_map(hint).collect();
    hints.dedup();
    hints
}

fn hint(error: &(dyn Error + 'static)) -> Option<String> {
    let git = error.downcast_ref().map(GitError::hint);
    let index = || error.downcast_ref().map(IndexError::hint);
    let remote = || error.downcast_ref().map(remote::Error::hint);
    let sync = || error.downcast_ref().map(sync::Error::hint);
    let checkout = || error.downcast_ref().map(checkout::Error::hint);
    let store = || error.downcast_ref().map(lob_store::Error::hint);
    let system = || error.downcast_ref().map(of_system);
    let library = git.or_else(index).or_else(remote).or_else(sync);
    library.or_else(checkout).or_else(store).or_else(system)?
}

/// What the user can do about an error of the system's.
fn of_system(error: &io::Error) -> Option<String> {
    let way = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room on that disk",
        ErrorKind::FileTooLarge => "raise the limit on the size of files (ulimit -f)",
        ErrorKind::ReadOnlyFilesystem => "mount it so that it can be written to",
        ErrorKind::PermissionDenied => "see to it that you may use it",
        _ => return None,
    };
    Some(format!(
        "{way}, then run the same command again: what was kept before is not lost"
    ))
}
