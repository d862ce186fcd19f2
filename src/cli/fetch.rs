//! `lob fetch`: lobs that are wanted here come from a remote.

use std::time::{SystemTime, UNIX_EPOCH};

use super::Outcome;
use super::push::{sources, target};
use super::transfer::{How, carry_out, local, waiting};
use crate::git::Repo;
use crate::remote::Access;
use crate::sync::wanted::{self, Want};
use crate::sync::worktree::Checkout;
use crate::sync::{self, Target, fetch};
use crate::ui::Ui;

/// Get lobs from a remote into the local store
///
/// Gets what the current checkout needs and lacks; what checkouts of REFs need; or with --recent what
/// is likely to be needed next (lob.fetchRefsDays and its neighbours say what). A bare repository has
/// no checkout: it gets what all its commits reference. What the file at the path of a lob has of it
/// already does not move. Files of the work tree stay as they are: lob pull fills them too.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lob fetch
  lob fetch origin v1.0 feature
  lob fetch --recent")]
pub(super) struct Args {
    /// The remote, or the path or URL of a store
    remote: Option<String>,
    /// Branches, tags or commits; the current checkout where none is named
    refs: Vec<String>,
    /// Get what checkouts of recent branches and recent versions need too
    #[arg(long)]
    recent: bool,
    #[command(flatten)]
    how: How,
}

pub(super) fn run(args: Args, ui: &Ui) -> Outcome {
    let local = local()?;
    let repo = local.repo();
    let targets = sources(repo, args.remote.as_deref())?;
    let mut wants = match (args.refs.is_empty(), repo.work_tree()) {
        (false, _) => named(
            repo,
            &target(repo, args.remote.as_deref(), Access::Read)?,
            &args.refs,
        )?,
        (true, Some(_)) => Checkout::read(repo)?.wants,
        (true, None) => wanted::everywhere(repo)?,
    };
    if args.recent {
        wants.extend(recent(repo)?);
    }
    let job = fetch::from_all(&local, targets, wants, &waiting(ui))?;
    carry_out(ui, &local, job, &args.how)
}

fn named(repo: &Repo, target: &Target, refs: &[String]) -> sync::Result<Vec<Want>> {
    wanted::snapshots(repo, &wanted::commits(repo, refs, &target.name)?)
}

/// What is likely to be needed next, as of now.
pub(super) fn recent(repo: &Repo) -> sync::Result<Vec<Want>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
    wanted::recent(repo, &repo.settings()?.fetch, now)
}
