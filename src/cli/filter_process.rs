//! `lob filter-process`: answers git for as long as one git runs.

use std::path::Path;

use lob_store::{LobInfo, Progress};

use super::{Outcome, remedy};
use crate::git::filter::{self, Failure as Because};
use crate::git::pipes;
use crate::sync::convert::{Converter, Paths, Summary, Surroundings, Unkept, said};
use crate::sync::wanted::Want;
use crate::sync::{self, Local, fetch};
use crate::ui::{Exit, Failure, Ui, escape};

/// Paths that a message names.
const NAMED: usize = 5;

/// Answer git's requests for the content of files (git runs this)
///
/// Git starts it once for each of its commands that reads or writes tracked files, and speaks its
/// long-running filter protocol with it on stdin and stdout.
#[derive(Debug, clap::Args)]
#[command(
    hide = true,
    after_help = "\
Example:
  git config filter.lob.process 'lob filter-process'"
)]
pub(super) struct Args {}

pub(super) fn run(_: Args, ui: &Ui) -> Outcome {
    let local = here()?;
    let around = Around { ui };
    let mut converter = Converter::new(&local, &around);
    let served = filter::serve(pipes::input()?, pipes::output()?, &mut converter);
    // Also when git is gone: what it was told is kept has to be kept.
    let finished = converter.finish();
    match finished {
        Ok(summary) => tell(&summary, ui),
        Err(error) => return Err(unpublished(&error)),
    }
    served?;
    Ok(Exit::Done)
}

/// The repository that git runs the filter for.
pub(super) fn here() -> Result<Local, Failure> {
    Ok(Local::discover(Path::new("."))?)
}

/// Content that git holds pointers to could not be made visible.
pub(super) fn unpublished(error: &Because) -> Failure {
    if let Some(unkept) = error.downcast_ref::<Unkept>() {
        let files = listed(&unkept.paths);
        return Failure::new(said(error.as_ref()))
            .because(format!("the content of {files} is not safe on disk"))
            .hint("the disk failed: see to it, then run `git add --renormalize` on these files");
    }
    Failure::new(said(error.as_ref()))
        .because("what was added could not be written to the store")
        .hint("it is kept in .git/lob/stage; make room there if the disk is full, then run `lob doctor`")
}

/// The program around a conversion: talk goes to stderr, as stdout is git's.
pub(super) struct Around<'a> {
    pub(super) ui: &'a Ui,
}

/// Why lobs that a checkout needs did not come.
#[derive(Debug, thiserror::Error)]
#[error("{work} failed")]
struct Stopped {
    work: String,
    source: sync::Error,
}

impl Surroundings for Around<'_> {
    fn fetch(&self, local: &Local, wanted: &[Want]) -> Result<Vec<(LobInfo, u64)>, Because> {
        let size = wanted.iter().map(|want| want.size).sum();
        let bar = self
            .ui
            .bar("Receiving", Some(size), Some(wanted.len() as u64));
        let stopped = |work, source| Err(Stopped { work, source }.into());
        let fetched = match fetch::lobs(local, wanted, &bar) {
            Ok(fetched) => fetched,
            Err(error) => return stopped("fetching".into(), error),
        };
        bar.finish();
        // Trouble with one remote matters only where no other one had it all.
        match fetched.trouble.into_iter().next() {
            Some((remote, error)) if !fetched.missing.is_empty() => {
                stopped(format!("fetching from {remote}"), error)
            }
            _ => Ok(fetched.other_size),
        }
    }

    fn begin(&self, task: &'static str, bytes: u64, lobs: u64) -> Box<dyn Progress + '_> {
        Box::new(self.ui.bar(task, Some(bytes), Some(lobs)))
    }

    fn failed(&self, path: &[u8], failure: &Because) {
        let (path, why) = (escape::path(path), said(failure.as_ref()));
        self.ui.warn(format_args!("{path}: {why}"));
        remedy::show([failure.as_ref() as _], self.ui);
    }
}

/// Says once, at the end, which files are not what the user expects, and the way out.
pub(super) fn tell(summary: &Summary, ui: &Ui) {
    if let Some(failure) = &summary.fetch {
        ui.warn(said(failure.as_ref()));
    }
    for (why, paths) in &summary.failed {
        let (files, text) = (listed(paths), said(why.as_ref()));
        ui.warn(format_args!("no content for {files}: {text}"));
    }
    if summary.missing.count > 0 {
        let files = listed(&summary.missing);
        let why = match summary.fetch {
            Some(_) => "it can't be had now",
            None => "no remote has it",
        };
        ui.warn(format_args!("no content for {files}: {why}"));
    }
    let fetch = summary.fetch.iter().map(|why| why.as_ref() as _);
    let failed = summary.failed.iter().map(|(why, _)| why.as_ref() as _);
    remedy::show(fetch.chain(failed), ui);
    if summary.missing.count > 0 || !summary.failed.is_empty() {
        ui.hint(
            "pointers are in place; `lob sync --mode fixup` fills them when the content can be had",
        );
    }
    if summary.uncached.count > 0 {
        let files = listed(&summary.uncached);
        ui.say(format_args!(
            "left {files} as pointers: the content is not here, and lob.smudge is cached"
        ));
        ui.hint("`lob pull` gets it");
    }
    if summary.lfs.count > 0 {
        let files = listed(&summary.lfs);
        ui.say(format_args!(
            "left {files} as Git LFS pointers, which lob does not fetch"
        ));
    }
    if summary.git_lob.count > 0 {
        let files = listed(&summary.git_lob);
        ui.say(format_args!(
            "left {files} as pointers of git-lob 2015, which lob does not fetch"
        ));
    }
    let populated = summary.populated.as_ref();
    if let Some(error) = populated.and_then(|report| report.index.as_ref()) {
        ui.warn(format_args!(
            "git's index could not be told of the new files: {}",
            said(error)
        ));
        remedy::show([error as _], ui);
        ui.hint("where git takes them for modified, `lob checkout` puts that right");
    }
}

/// `3 files (a, b, c)`.
fn listed(paths: &Paths) -> String {
    let named = paths.first.iter().take(NAMED);
    let named: Vec<_> = named.map(|path| name(path)).collect();
    let more = if paths.count > named.len() {
        ", ..."
    } else {
        ""
    };
    let files = if paths.count == 1 { "file" } else { "files" };
    format!("{} {files} ({}{more})", paths.count, named.join(", "))
}

/// A path, which the one-shot filters need not be given.
fn name(path: &[u8]) -> String {
    match path {
        b"" => "stdin".into(),
        path => escape::path(path).to_string(),
    }
}
