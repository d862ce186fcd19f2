//! `lob pull`: fetch what the checkout needs, and put it into the work tree.

use lob_store::Progress;

use super::push::sources;
use super::transfer::{How, carry_out, local, waiting, worse};
use super::{Outcome, remedy};
use crate::git::index_file::Settle;
use crate::sync::checkout::{self, Absent, PointerFile};
use crate::sync::convert::said;
use crate::sync::worktree::{Checkout, fillable};
use crate::sync::{Local, fetch};
use crate::ui::bytes::Size;
use crate::ui::{Exit, Ui, escape};

/// Get what the current checkout needs, and fill its files
///
/// Gets the lobs that the checkout lacks and replaces pointers in the work tree by their content. A
/// file is replaced only while it is exactly its pointer; changed files are never touched.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lob pull
  lob pull backup --bwlimit 10M")]
pub(super) struct Args {
    /// The remote, or the path or URL of a store
    remote: Option<String>,
    #[command(flatten)]
    how: How,
}

pub(super) fn run(args: Args, ui: &Ui) -> Outcome {
    let local = local()?;
    let targets = sources(local.repo(), args.remote.as_deref())?;
    let needs = Checkout::read(local.repo())?;
    let job = fetch::from_all(&local, targets, needs.wants, &waiting(ui))?;
    let fetched = carry_out(ui, &local, job, &args.how)?;
    let filled = fill(ui, &local, needs.files, &args.how)?;
    Ok(worse(fetched, filled))
}

/// Replaces files that are still their pointers by what the local store has.
pub(super) fn fill(ui: &Ui, local: &Local, files: Vec<PointerFile>, how: &How) -> Outcome {
    if files.is_empty() {
        return Ok(Exit::Done);
    }
    if how.dry_run {
        for file in &files {
            ui.line(format_args!(
                "fill {:>9} {}",
                Size(file.size),
                escape::path(&file.path)
            ))?;
        }
        return Ok(Exit::Done);
    }
    let store = local.store()?;
    let files = fillable(store, files)?;
    if files.is_empty() {
        return Ok(Exit::Done);
    }
    let size = files.iter().map(|file| file.size).sum();
    let bar = ui.bar("Filling", Some(size), Some(files.len() as u64));
    let progress: &dyn Progress = &bar;
    let report = checkout::expand(
        local.repo(),
        store,
        &files,
        Absent::Leave,
        Settle::Wait,
        progress,
    )?;
    bar.finish();
    tell(ui, &report)
}

fn tell(ui: &Ui, report: &checkout::Report) -> Outcome {
    if report.written > 0 {
        let files = match report.written {
            1 => "1 file".to_string(),
            n => format!("{n} files"),
        };
        ui.say(format_args!("filled {files}, {}", Size(report.bytes)));
    }
    for (path, error) in &report.failed {
        ui.warn(format_args!("{}: {}", escape::path(path), said(error)));
    }
    if let Some(error) = &report.index {
        ui.warn(format_args!(
            "git's index could not be told: {}",
            said(error)
        ));
    }
    remedy::show(report.errors(), ui);
    if report.interrupted {
        return Err(lob_store::Error::Interrupted.into());
    }
    Ok(match report.failed.is_empty() {
        true => Exit::Done,
        false => Exit::Incomplete,
    })
}
