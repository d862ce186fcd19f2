//! `lob push`: what commits reference goes to a remote.

use super::Outcome;
use super::transfer::{How, carry_out, local, waiting};
use crate::git::Repo;
use crate::remote::Access;
use crate::sync::{Target, push, wanted};
use crate::ui::Ui;

/// Send what commits reference to a remote
///
/// Sends the lobs of all branches and tags, or of REFs, that the remote lacks. git push does the same
/// for what it pushes, so this is for sending ahead. Lobs that no commit references stay here.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lob push                 # to the remote that git would push to
  lob push backup main v1.0
  lob push --dry-run")]
pub(super) struct Args {
    /// The remote, or the path or URL of a store
    remote: Option<String>,
    /// Branches, tags or commits, with all their history; all branches and tags where none is named
    refs: Vec<String>,
    #[command(flatten)]
    how: How,
}

pub(super) fn run(args: Args, ui: &Ui) -> Outcome {
    let local = local()?;
    let repo = local.repo();
    let target = target(repo, args.remote.as_deref(), Access::Write)?;
    let tips = match args.refs.is_empty() {
        true => wanted::tips(repo)?,
        false => wanted::commits(repo, &args.refs, &target.name)?,
    };
    let job = push::committed(&local, target, tips, args.how.dry_run, &waiting(ui))?;
    carry_out(ui, &local, job, &args.how)
}

/// The remotes to fetch from: the one that is named, or all, by what that costs.
pub(super) fn sources(repo: &Repo, name: Option<&str>) -> Result<Vec<Target>, crate::ui::Failure> {
    if name.is_none() {
        let all = Target::sources(repo)?;
        if !all.is_empty() {
            return Ok(all);
        }
    }
    // Where there is none it says why.
    Ok(vec![target(repo, name, Access::Read)?])
}

/// The remote that is named, or that is meant where none is.
pub(super) fn target(
    repo: &Repo,
    name: Option<&str>,
    access: Access,
) -> Result<Target, crate::ui::Failure> {
    Ok(match name {
        Some(name) => Target::named(repo, name, access)?,
        None => Target::default(repo, access)?,
    })
}
