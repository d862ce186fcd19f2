//! `lob init`: a repository set up for lob.

use std::path::{Path, PathBuf};

use lob_store::Store;

use super::Outcome;
use super::install::{self, Scope};
use super::transfer::lobs;
use crate::git::hooks::Hooks;
use crate::git::path::os_string;
use crate::git::settings::STORE;
use crate::git::{Config, Repo, attributes};
use crate::sync::moving::Leaving;
use crate::sync::{Home, Pace, push_all};
use crate::ui::{Exit, Explain, Failure, Ui};

/// Set this repository up for lob
///
/// Makes the store in .git/lob, or with --store one that several clones share, sets the hooks that keep pushes complete and checkouts whole, and the
/// filter where 'lob install' was not run for this user. Running it again mends what is missing. A
/// hook of somebody else's is kept, and the line to add to it is shown, unless --force.
///
/// Clones of one user that share a store keep each lob once between them, and what one has added or fetched
/// the others have too; lob.store in the configuration of the user gives every new clone that store. A clone
/// that has lobs already stays with the store they are in until it is set up again: then they are brought
/// over first.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lob init && lob track '*.psd'
  lob init --store ~/lobs   share a store with other clones")]
pub(super) struct Args {
    /// The directory of a store to be shared with other clones on this machine; sets lob.store here
    #[arg(long, value_name = "PATH")]
    store: Option<PathBuf>,
    /// Replace hooks and filter settings that are not lob's; hooks are kept beside the new ones. And leave a
    /// store behind that is not there any more
    #[arg(long)]
    force: bool,
}

pub(super) fn run(args: Args, ui: &Ui) -> Outcome {
    let repo = Repo::discover(Path::new("."))?;
    let repo = match &args.store {
        None => repo,
        Some(dir) => ask_for(repo, dir)?,
    };
    let mut made = Vec::new();
    if set_filter(&repo, args.force)? {
        made.push("filter");
    }
    if settle(&repo, args.force, ui).because("cannot make the store")? {
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

/// Sets `lob.store`, and reads the configuration again.
fn ask_for(repo: Repo, dir: &Path) -> Result<Repo, Failure> {
    let dir = std::path::absolute(dir)?;
    let config = Config::parse(&repo.git().output(["config", "--list", "-z"])?);
    if config.bool("core.bare", false)? {
        return Err(Failure::usage(
            "a bare repository has a store of its own: others push into it",
        ));
    }
    let old = config.get(STORE).map(<[u8]>::to_vec);
    repo.git().set_config(STORE, &dir)?;
    let repo = Repo::discover(Path::new("."))?;
    match Home::asked(&repo) {
        Ok(_) => Ok(repo),
        // Whoever meant another directory has the one he had.
        Err(error) => {
            match old {
                Some(old) => repo.git().set_config(STORE, os_string(&old))?,
                None => repo.git().unset_config(STORE)?,
            }
            Err(error.into())
        }
    }
}

/// Makes the store that is asked for where there is none, and brings lobs there that are in another.
/// Returns whether it was made, or is another one than before.
fn settle(repo: &Repo, force: bool, ui: &Ui) -> Result<bool, Failure> {
    let mut goal = Home::asked(repo)?;
    if force {
        goal = goal.anew();
    }
    let mut is_new = goal.is_missing()?;
    let leaving = Leaving::all(repo, &goal, force)?;
    is_new |= !leaving.is_empty();
    let store = goal.enter(repo)?;
    for old in &leaving {
        bring(repo, old, &store, ui)?;
    }
    goal.settle(repo, &store)?;
    for old in leaving {
        // What came while it was copied.
        bring(repo, &old, &store, ui)?;
        let place = old.store().root().to_path_buf();
        if !old.end(repo)? {
            ui.say(format_args!(
                "some of {} is in use: run lob init again later to give its space back",
                place.display()
            ));
        }
    }
    Ok(is_new)
}

fn bring(repo: &Repo, old: &Leaving, to: &Store, ui: &Ui) -> Result<(), Failure> {
    let mut plan = old.plan(repo, to)?;
    if plan.is_empty() {
        return Ok(());
    }
    let bar = ui.bar("Moving", Some(plan.size()), Some(plan.lobs.len() as u64));
    let moved = push_all(&mut plan, old.sides(repo, to)?, &Pace::unlimited(), &bar)
        .because("the lobs of this clone could not be moved to the store that it asks for")
        .hint(
            "they are where they were, and are used there; what is damaged is mended by lob repair",
        )?;
    bar.finish();
    ui.say(format_args!(
        "brought over {} from {}",
        lobs(moved.lobs, moved.size),
        old.store().root().display()
    ));
    Ok(())
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
