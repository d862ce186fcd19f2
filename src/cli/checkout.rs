//! `lob checkout`: files in the place of pointers, from what is here.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::Path;

use lob_store::Progress;
use serde::Serialize;

use super::{Outcome, remedy};
use crate::git::Repo;
use crate::git::index_file::Settle;
use crate::sync::checkout::{Absent, PointerFile, Report, expand, pointer_files, unfinished};
use crate::sync::convert::said;
use crate::sync::local::Local;
use crate::ui::bytes::Size;
use crate::ui::{Exit, Failure, Ui, escape, json};

/// Fill files that are pointers from the local store
///
/// Fetches nothing ('lob pull' does). A file is replaced only while it is exactly its pointer: changed
/// files are never touched. Files that were deleted come back when they are named. With --json the
/// end is the event "checkout" with "written", "bytes", "missing" and "failed", after an event
/// "missing" with "path", "oid" and "size" for each file whose content is not here.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lob checkout
  lob checkout movies/ 'music/*.wav'")]
pub(super) struct Args {
    /// Only these files and directories, as pathspecs of git
    #[arg(value_name = "PATH")]
    paths: Vec<OsString>,
}

/// The event `checkout`.
#[derive(Serialize)]
struct Done {
    written: usize,
    bytes: u64,
    missing: usize,
    failed: usize,
}

/// The event `missing`.
#[derive(Serialize)]
struct Missing<'a> {
    #[serde(flatten)]
    path: json::Path<'a>,
    oid: String,
    size: u64,
}

pub(super) fn run(args: Args, ui: &Ui) -> Outcome {
    let local = Local::discover(Path::new("."))?;
    let repo = local.repo();
    repo.need_work_tree()?;
    let files = pointer_files(repo)?;
    let (files, absent) = match args.paths.as_slice() {
        [] => (unfinished(repo, files), Absent::Leave),
        paths => (named(repo, files, paths)?, Absent::Restore),
    };
    let report = match files.as_slice() {
        [] => Report::default(),
        files => {
            let store = local.store()?;
            let bytes = files.iter().map(|file| file.size).sum();
            let bar = ui.bar("Writing", Some(bytes), Some(files.len() as u64));
            let progress: &dyn Progress = &bar;
            expand(repo, store, files, absent, Settle::Wait, progress)?
        }
    };
    tell(&report, ui)
}

/// Those of `files` that the user named.
fn named(
    repo: &Repo,
    files: Vec<PointerFile>,
    paths: &[OsString],
) -> Result<Vec<PointerFile>, Failure> {
    let here = std::env::current_dir()?;
    let words = ["ls-files", "-z", "--full-name", "--error-unmatch", "--"];
    let words = words
        .iter()
        .map(OsString::from)
        .chain(paths.iter().cloned());
    let listed = repo.git().clone().in_dir(&here).output(words)?;
    let listed: HashSet<&[u8]> = listed.split(|&byte| byte == 0).collect();
    let is_named = |file: &PointerFile| listed.contains(file.path.as_slice());
    Ok(files.into_iter().filter(is_named).collect())
}

fn tell(report: &Report, ui: &Ui) -> Outcome {
    for file in &report.missing {
        ui.record(
            "missing",
            Missing {
                path: json::Path(&file.path),
                oid: format!("blake3:{}", file.id),
                size: file.size,
            },
        )?;
    }
    for (path, error) in &report.failed {
        ui.warn(format_args!("{}: {}", escape::path(path), said(error)));
    }
    if let Some(error) = &report.index {
        ui.warn(format_args!(
            "git's index could not be told of the new files: {}",
            said(error)
        ));
    }
    remedy::show(report.errors(), ui);
    let (written, bytes) = (report.written, report.bytes);
    let (missing, failed) = (report.missing.len(), report.failed.len());
    ui.event(
        "checkout",
        Done {
            written,
            bytes,
            missing,
            failed,
        },
    )?;
    match (written, missing + failed) {
        (0, 0) => ui.say("nothing to write: no file of the checkout is a pointer"),
        (_, 0) => ui.say(format_args!("wrote {}, {}", files(written), Size(bytes))),
        (_, left) => {
            let (written, left) = (files(written), files(left));
            ui.say(format_args!(
                "wrote {written}, {}; {left} still pointers",
                Size(bytes)
            ));
        }
    }
    if report.interrupted {
        return Err(lob_store::Error::Interrupted.into());
    }
    if missing > 0 {
        let are = if missing == 1 { "is" } else { "are" };
        ui.hint(format_args!(
            "{missing} of them {are} not here: `lob pull` gets what is missing"
        ));
    }
    Ok(match missing + failed {
        0 => Exit::Done,
        _ => Exit::Incomplete,
    })
}

fn files(count: usize) -> String {
    match count {
        1 => "1 file".into(),
        _ => format!("{count} files"),
    }
}
