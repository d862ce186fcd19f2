//! `lob status`: what is staged, not pushed, missing, or still a pointer.

mod report;
mod staged;
mod unpushed;
mod work_tree;

use std::path::Path;
use std::thread;

use super::ls_files::is_present;
use super::{Outcome, store_of};
use crate::git::patterns::Patterns;
use crate::git::scan::{Tracked, index_pointers};
use crate::git::{Pointer, Repo, Seen};
use crate::sync::{Home, prefetch};
use crate::ui::{Exit, Failure, Ui};
use report::Report;
use staged::Staged;

/// Show what is staged, not pushed, missing, or still a pointer
///
/// Looks at this repository alone and touches no remote: what is pushed is what lob and git remember
/// of it. Each list is cut after ten names, unless --verbose. With --json: events "staged",
/// "missing" and "pointer" with "path", "id" and "size", an event "prefetch" where one ran in the
/// background, and one event "status" with the totals.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  lob status --verbose")]
pub(super) struct Args {}

pub(super) fn run(_: Args, ui: &Ui) -> Outcome {
    let repo = &Repo::discover(Path::new("."))?;
    let mut seen = Seen::open(repo);
    // These two wait for git most of the time.
    let (staged, unpushed, lobs) = thread::scope(|scope| {
        let staged = scope.spawn(|| staged::raw(repo));
        let unpushed = scope.spawn(|| unpushed::find(repo));
        let lobs = index_pointers(repo, &mut seen);
        (join(staged), join(unpushed), lobs)
    });
    let lobs = lobs?;
    let staged = Staged::judge(&staged?, &lobs, &mut seen);
    let is_lob = |one: &Tracked| matches!(one.pointer, Pointer::Lob { .. });
    let (lobs, foreign): (Vec<_>, Vec<_>) = lobs.into_iter().partition(is_lob);
    // Losing it costs another look next time.
    let _ = seen.save();
    let report = Report {
        total: total(&lobs),
        staged,
        unpushed: unpushed?,
        held: Held::look(repo, lobs)?,
        foreign,
        background: prefetch::Status::last(repo),
    };
    report.print(ui)?;
    if let Some(why) = Home::unsettled(repo)? {
        ui.warn(why);
        ui.hint("lob init brings them over");
    }
    Ok(Exit::Done)
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// How many lobs of the index there are, and their bytes.
fn total(lobs: &[Tracked]) -> (usize, u64) {
    let sizes = lobs.iter().filter_map(|lob| lob.pointer.size());
    (lobs.len(), sizes.sum())
}

/// The lobs of the index by whether their content is here.
#[derive(Debug, Default)]
struct Held {
    /// Content that is wanted and not here.
    missing: Vec<Tracked>,
    /// Content that is not here and, by the settings, is not wanted.
    unwanted: Vec<Tracked>,
    /// Files of the work tree that are pointers though their content is here.
    pointers: Vec<Tracked>,
}

impl Held {
    fn look(repo: &Repo, lobs: Vec<Tracked>) -> Result<Held, Failure> {
        let store = store_of(repo)?;
        let patterns = Patterns::of(repo.settings()?)?;
        let mut held = Held::default();
        let mut here = Vec::new();
        for lob in lobs.into_iter().filter(|lob| !lob.skip_worktree) {
            if is_present(store.as_ref(), &lob.pointer)? {
                here.push(lob);
            } else if patterns.wants(&lob.path) {
                held.missing.push(lob);
            } else {
                held.unwanted.push(lob);
            }
        }
        held.pointers = match repo.work_tree() {
            Some(top) => work_tree::pointers(top, here),
            None => Vec::new(),
        };
        Ok(held)
    }
}
