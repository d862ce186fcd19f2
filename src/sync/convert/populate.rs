//! Files that lob writes itself when git has ended.
//!
//! Git holds each file that a filter gives it in memory, and writes one after the other. So large
//! files get their pointers first; when git closes the pipe it has written its index and waits for
//! the filter to exit, and the pointers are replaced in parallel.

use std::sync::Arc;

use lob_store::LobInfo;

use super::turn::Turn;
use super::{Because, Converter};
use crate::git::filter::Failure;
use crate::git::hooks::{Hook, Hooks, State};
use crate::git::index_file::Settle;
use crate::git::{Repo, Smudge};
use crate::sync::checkout::{self, Absent, PointerFile};
use crate::sync::wanted::Want;
use crate::sync::worktree::Checkout;

/// Bytes from which on it is worth to let a second end (at most one is waited for), so that git
/// never reads the files again: it would read them several times meanwhile.
const SETTLE_FROM: u64 = 128 << 20;

/// Whether git runs programs of others after a checkout or a merge, before it ends: they must find
/// the files.
fn has_foreign_hooks(repo: &Repo) -> bool {
    let Ok(hooks) = Hooks::of(repo) else {
        return true;
    };
    [Hook::PostCheckout, Hook::PostMerge].iter().any(|hook| {
        !matches!(
            hooks.state(*hook),
            Ok(State::Missing | State::Ours | State::OursOlder)
        )
    })
}

impl Converter<'_> {
    /// Whether what this git writes may wait for its end: nobody may look at the work tree before.
    pub(super) fn may_populate(&mut self) -> bool {
        let repo = self.local.repo();
        // In a rebase programs of the user run between the checkouts.
        let busy = ["rebase-merge", "rebase-apply"];
        let busy = busy.iter().any(|name| repo.git_dir().join(name).exists());
        let undisturbed = || repo.work_tree().is_some() && !has_foreign_hooks(repo);
        !busy && *self.undisturbed.get_or_insert_with(undisturbed)
    }

    /// Adds the files that a killed filter had left: those that are still their pointers.
    fn take_over(&mut self) -> Result<(), Failure> {
        let repo = self.local.repo();
        let smudge = repo.settings()?.smudge;
        if smudge == Smudge::Pointer {
            return Ok(());
        }
        for file in Checkout::read(repo)?.files {
            let PointerFile { path, id, size, .. } = file;
            let lob = LobInfo { id, size };
            if smudge == Smudge::Fetch || self.find(lob)? {
                self.populate.entry(path).or_insert(lob);
            }
        }
        Ok(())
    }

    /// Writes the files that were left for the end.
    pub(super) fn populate(&mut self) {
        if self.turn.as_ref().is_some_and(Turn::was_cut) {
            // What can't be read now is for the user to repair, as is all that can't be had.
            let _ = self.take_over();
        }
        let files = std::mem::take(&mut self.populate);
        if files.is_empty() {
            return;
        }
        let wanted: Vec<Want> = files
            .iter()
            .map(|(path, lob)| Want::asked(path, *lob))
            .collect();
        self.fetch(&wanted);
        let (files, missing): (Vec<_>, Vec<_>) = files
            .into_iter()
            .partition(|(_, lob)| self.find(*lob).unwrap_or(true));
        for (path, lob) in missing {
            self.miss(&path, lob);
        }
        if files.is_empty() {
            return;
        }
        let files: Vec<PointerFile> = files
            .into_iter()
            .map(|(path, lob)| PointerFile {
                path,
                id: lob.id,
                size: lob.size,
                executable: false,
            })
            .collect();
        let bytes = files.iter().map(|file| file.size).sum();
        let settle = match bytes >= SETTLE_FROM {
            true => Settle::Wait,
            false => Settle::No,
        };
        let progress = self.around.begin("Writing", bytes, files.len() as u64);
        let repo = self.local.repo();
        let expanded = match self.local.store() {
            Ok(store) => checkout::expand(
                repo,
                store,
                &files,
                Absent::Leave,
                settle,
                progress.as_ref(),
            )
            .map_err(|error| Arc::new(error) as Because),
            Err(error) => Err(Arc::new(error) as Because),
        };
        match expanded {
            Ok(mut report) => {
                for file in &report.missing {
                    self.summary.missing.add(&file.path);
                }
                for (path, error) in report.failed.drain(..) {
                    self.summary.blame(&path, Arc::new(error));
                }
                self.summary.populated = Some(report);
            }
            Err(error) => {
                for file in &files {
                    self.summary.blame(&file.path, error.clone());
                }
            }
        }
    }
}
