//! `lob estimate`: what files would take, before or after lob keeps them.

mod files;
mod gather;
mod report;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use lob_store::Progress;

use super::Outcome;
use crate::sync::estimate::Estimator;
use crate::ui::bytes::Size;
use crate::ui::{Bar, Failure, Ui};
use gather::Gathered;
use report::Report;

/// Show what files and their versions would take: whole, in chunks, and with lob
///
/// For those who wonder whether lob is worth it. Works in any git repository, with lob or Git LFS or
/// neither, and in a plain directory. Nothing is guessed: the files are added to a store and pushed to
/// another, both in the directory for temporary files (TMPDIR), as 'git add' and 'git push' would do
/// it, and what that took is shown for each extension. The repository is only read.
///
/// Without --history: the files of PATHS, or of this directory, as they are now; in a repository
/// without those that git ignores. With it: every version that branches, remote branches and tags
/// have, of the files of PATHS or of all. Pointers of lob and of Git LFS count by their content where
/// that is here.
///
/// Of each extension at most --sample is measured, and at most a quarter of that of one version of a
/// file, in pieces from all over it; all is then taken to be like that, and the output says so. What
/// files have in common with others that were not measured, or that have another extension, is not seen. Where neither compression nor the versions before
/// help, a warning says what can be done.
///
/// Columns: Git LFS is every version whole, which is what it keeps and moves. Chunks is what .git/lob
/// takes after 'git add'. Lob is what a remote takes after a push, with new versions as differences
/// from old ones. The last column is what a push moves for a new version of a file: whole, and with
/// lob. With --json: an event "extension" for each, with "extension", "files", "versions", "size",
/// "measured", "whole", "chunks", "stored", "moved", and of the versions after the first of each file
/// "later_versions", "later_whole", "later_chunks", "later_stored" and "later_moved", all in bytes but
/// the counts; "absent" and "absent_size" of versions whose content is not here; "compresses" and
/// "versions_alike" say whether at least 3 % is saved by compression and by versions being like those
/// before, null where that was not measured. An event "estimate" has the sums.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lob estimate --history
  lob estimate --history '*.psd' --sample 2G
  lob estimate ~/assets
  lob estimate --versions scene-1.blend scene-2.blend scene-3.blend")]
pub(super) struct Args {
    /// Files and directories; with --history patterns of git
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Look at all versions in git's history
    #[arg(long, conflicts_with = "versions")]
    history: bool,
    /// Take the files for versions of one file, the oldest first
    #[arg(long, requires = "paths")]
    versions: bool,
    /// Leave files out that are shorter than this
    #[arg(long, value_name = "SIZE", default_value = "100K")]
    min_size: Size,
    /// Measure at most so much of each extension; 0 is all
    #[arg(long, value_name = "SIZE", default_value = "512M")]
    sample: Size,
}

pub(super) fn run(args: Args, ui: &Ui) -> Outcome {
    let Size(min) = args.min_size;
    let gathered = match (args.history, args.versions) {
        (true, _) => gather::history(&args.paths, min, ui)?,
        (_, true) => gather::versions(&args.paths)?,
        _ => gather::now(&args.paths, min)?,
    };
    let stop = Stop::on_signals();
    let measured = measure(&args, &gathered, &stop, ui);
    if stop.is_set() {
        // Whatever came of it: git was interrupted too.
        return Err(lob_store::Error::Interrupted.into());
    }
    measured?.tell(&gathered, min, ui)
}

fn measure(args: &Args, gathered: &Gathered, stop: &Stop, ui: &Ui) -> Result<Report, Failure> {
    let Size(budget) = args.sample;
    let mut estimator = Estimator {
        repo: gathered.repo.as_ref(),
        store: gathered.store.as_ref(),
        budget: (budget > 0).then_some(budget),
        progress: &(),
    };
    let mut report = Report::default();
    if gathered.groups.is_empty() {
        return Ok(report);
    }
    let work = gathered.groups.values().map(|group| estimator.work(group));
    let bar = ui.bar("Measuring", Some(work.sum()), None);
    let watched = Watched { bar: &bar, stop };
    estimator.progress = &watched;
    for (extension, group) in &gathered.groups {
        report.add(extension.clone(), estimator.estimate(group)?);
    }
    bar.finish();
    Ok(report)
}

/// Set when the user wants no more: what was made for the estimate must go.
#[derive(Debug, Clone, Default)]
struct Stop(Arc<AtomicBool>);

impl Stop {
    fn on_signals() -> Stop {
        let stop = Stop::default();
        #[cfg(unix)]
        {
            use signal_hook::{consts::SIGINT, consts::SIGTERM, flag};
            for signal in [SIGINT, SIGTERM] {
                // Asked a second time it ends at once. Where this cannot be set, it does so the first time.
                let _ = flag::register_conditional_shutdown(signal, 130, stop.0.clone());
                let _ = flag::register(signal, stop.0.clone());
            }
        }
        stop
    }

    fn is_set(&self) -> bool {
        self.0.load(Relaxed)
    }
}

/// A bar, and whether to go on.
struct Watched<'a> {
    bar: &'a Bar<'a>,
    stop: &'a Stop,
}

impl Progress for Watched<'_> {
    fn bytes(&self, n: u64) {
        self.bar.bytes(n);
    }

    fn cancelled(&self) -> bool {
        self.stop.is_set()
    }
}
