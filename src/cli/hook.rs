//! `lob hook`: what the hooks in a repository run.

use std::ffi::OsString;

use super::filter_process::{Around, tell, unpublished};
use super::transfer::{How, local};
use super::{Outcome, pre_push, prefetch, pull};
use crate::sync::Local;
use crate::sync::convert::{Converter, is_populating, was_cut};
use crate::sync::worktree::Checkout;
use crate::ui::{Exit, Ui};

/// Do the work of a hook
///
/// Git runs this through the hooks that lob init sets; nobody else needs to.
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub(super) struct Args {
    #[command(subcommand)]
    hook: Hook,
}

/// Which hook, with the arguments that git gives it.
#[derive(Debug, clap::Subcommand)]
enum Hook {
    /// Send what refs need before git pushes them
    PrePush {
        /// The name of the remote, or its URL
        remote: OsString,
        /// Its URL
        url: OsString,
    },
    /// Fill files that are still pointers after a checkout
    PostCheckout {
        /// The commits before and after, and whether a branch was checked out
        args: Vec<OsString>,
    },
    /// Fill files that are still pointers after a merge
    PostMerge {
        /// Whether it was a squash merge
        args: Vec<OsString>,
    },
}

pub(super) fn run(args: Args, ui: &Ui) -> Outcome {
    match args.hook {
        Hook::PrePush { remote, url } => pre_push::run(ui, &remote, &url),
        Hook::PostCheckout { .. } | Hook::PostMerge { .. } => {
            // Git would pass any other exit code on, and call its own work failed.
            match settle(ui) {
                Err(failure) if !failure.is_silent() => ui.fail(&failure),
                Ok(Exit::Done | Exit::Incomplete) | Err(_) => {}
            }
            Ok(Exit::Done)
        }
    }
}

/// What the filter left to be done: files whose lobs are here by now.
fn settle(ui: &Ui) -> Outcome {
    let local = local()?;
    if local.repo().work_tree().is_none() {
        return Ok(Exit::Done);
    }
    let filled = fill(ui, &local)?;
    if local.repo().settings()?.prefetch {
        let _ = prefetch::start(&local, &prefetch::Args::default(), ui)?;
    }
    Ok(filled)
}

fn fill(ui: &Ui, local: &Local) -> Outcome {
    // The filter fills what it left when this git has ended.
    if is_populating(local.repo()) {
        return Ok(Exit::Done);
    }
    // Whoever wants pointers has them.
    if local.repo().settings()?.smudge == crate::git::Smudge::Pointer {
        return Ok(Exit::Done);
    }
    if was_cut(local.repo()) {
        let resumed = Converter::new(local, &Around { ui }).resume();
        tell(&resumed.map_err(|error| unpublished(&error))?, ui);
        return Ok(Exit::Done);
    }
    let needs = Checkout::read(local.repo())?;
    pull::fill(ui, local, needs.files, &How::default())
}
