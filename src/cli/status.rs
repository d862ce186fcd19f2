//! `lob status`: what is staged, not pushed, missing, or still a pointer.

mod report;
mod staged;
mod unpushed;
mod work_tree;

use std::collections::HashSet;
use std::path::Path;
use std::thread;

use lob_store::LobId;

use super::ls_files::is_present;
use super::stored::{Fields, Stored};
use super::{Outcome, store_of};
use crate::git::patterns::Patterns;
use crate::git::scan::{Tracked, index_pointers};
use crate::git::{Pointer, Repo, Seen};
use crate::sync::Home;
use crate::sync::background::{self, Work};
use crate::ui::{Exit, Failure, Ui};
use report::Report;
use staged::Staged;
use unpushed::Unpushed;

/// Show what is staged, not pushed, missing, or still a pointer
///
/// Looks at this repository alone and touches no remote: what is pushed is what lob and git remember
/// of it. Each list is cut after ten names, unless --verbose. With --json: events "staged",
/// "missing" and "pointer" with "path", "id" and "size", events "prefetch" and "repack" where one ran
/// in the background, and one event "status" with the totals.
///
/// With --size it also says what the lobs of the index take in the local store, compressed, each chunk
/// once and differences as differences, and behind each that is staged or not pushed what is there
/// for it alone: the price of that version. With --json the event "staged" has the fields "stored" and
/// "alone", and an event "stored" is about the index and has the bytes of the whole "store".
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lob status --verbose
  lob status --size")]
pub(super) struct Args {
    /// Show what the lobs take in the local store
    #[arg(long)]
    size: bool,
}

pub(super) fn run(args: Args, ui: &Ui) -> Outcome {
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
    let unpushed = unpushed?;
    let sizes = match args.size {
        true => Some(Sizes::look(ui, repo, &lobs, &unpushed)?),
        false => None,
    };
    let report = Report {
        total: total(&lobs),
        sizes,
        staged,
        unpushed,
        held: Held::look(repo, lobs)?,
        foreign,
        background: [Work::Prefetch, Work::Repack]
            .into_iter()
            .filter_map(|work| Some((work, background::Status::last(repo, work)?)))
            .collect(),
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

/// What lobs take in the local store.
#[derive(Debug)]
struct Sizes {
    /// Those of the index.
    index: Stored,
    /// Others that were not pushed.
    news: Stored,
}

impl Sizes {
    fn look(ui: &Ui, repo: &Repo, lobs: &[Tracked], unpushed: &Unpushed) -> Result<Sizes, Failure> {
        let store = store_of(repo)?;
        let index = || lobs.iter().map(|lob| &lob.pointer);
        let of_index: HashSet<LobId> = index().filter_map(Pointer::lob_id).collect();
        let news = unpushed.lobs.iter().map(|want| want.id);
        let mut news = news.filter(|id| !of_index.contains(id)).peekable();
        Ok(Sizes {
            index: Stored::look(ui, store.as_ref(), index())?,
            news: match news.peek() {
                Some(_) => Stored::of_ids(ui, store.as_ref(), news)?,
                None => Stored::default(),
            },
        })
    }

    /// What is said of one lob.
    fn of(&self, id: Option<LobId>) -> &Stored {
        match self.index.of(id) {
            Some(_) => &self.index,
            None => &self.news,
        }
    }

    /// The fields of its event.
    fn fields(&self, pointer: &Pointer) -> Fields {
        let id = pointer.lob_id();
        self.of(id).fields(id)
    }
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
