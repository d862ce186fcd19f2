//! `lob init`: a repository set up for lob.

use std::path::Path;
use std::sync::Arc;

use lob_store::Store;
use lob_store::disk::OsDisk;

use super::Outcome;
use super::install::{self, Scope};
use crate::git::hooks::Hooks;
use crate::git::{Config, Repo, attributes};
use crate::ui::{Exit, Explain, Failure, Ui};

/// Set this repository up for lob
///
/// Makes the store in .git/lob, sets the hooks that keep pushes complete and checkouts whole, and the
/// filter where 'lob install' was not run for this user. Running it again mends what is missing. A
/// hook of somebody else's is kept, and the line to add to it is shown, unless --force.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  lob init && lob track '*.psd'")]
pub(super) struct Args {
    /// Replace hooks and filter settings that are not lob's; hooks are kept beside the new ones
    #[arg(long)]
    force: bool,
}

pub(super) fn run(args: Args, ui: &Ui) -> Outcome {
    let repo = Repo::discover(Path::new("."))?;
    let mut made = Vec::new();
    if set_filter(&repo, args.force)? {
        made.push("filter");
    }
    let dir = repo.lob_dir();
    let is_new = !dir.exists();
    Store::open_or_create(Arc::new(OsDisk), &dir).because("cannot make the store")?;
    if is_new {
        made.push("store");
    }
    // Last, since this is what others may be in the way of: the rest works without.
    if !Hooks::of(&repo)?.install(args.force)?.is_empty() {
        made.push("hooks");
    }
    let place = repo.work_tree().unwrap_or(repo.git_dir()).display();
    match made.as_slice() {
        [] => ui.say(format_args!("lob is set up in {place} already")),
        made => ui.say(format_args!("set up lob in {place}: {}", made.join(", "))),
    }
    if repo.work_tree().is_some() && !attributes::list(&repo)?.iter().any(|rule| rule.is_lob) {
        ui.hint("choose the files that lob keeps: lob track '*.psd'");
    }
    Ok(Exit::Done)
}

/// Sets the filter in this repository, unless it is set for the user or the machine.
fn set_filter(repo: &Repo, force: bool) -> Result<bool, Failure> {
    let config = Config::parse(&repo.git().output(["config", "--list", "-z"])?);
    if install::is_complete(&config) {
        return Ok(false);
    }
    install::set_filter(repo.git(), Scope::LOCAL, force)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::fixture::Fixture;

    #[test]
    fn the_filter_is_set_here_unless_it_is_set_for_all() {
        let fixture = Fixture::new();
        assert!(set_filter(&fixture.repo(), false).unwrap());
        assert!(!set_filter(&fixture.repo(), false).unwrap());
        let git = fixture.git();
        for (key, _) in install::FILTER {
            git.unset_config(key).unwrap();
        }
        let global = fixture.beside("global");
        std::fs::write(&global, "").unwrap();
        let git = git.clone().with_env("GIT_CONFIG_GLOBAL", &global);
        assert!(install::set_filter(&git, Scope::default(), false).unwrap());
        let repo = Repo::find(git).unwrap();
        assert!(!set_filter(&repo, false).unwrap());
    }
}
