//! `lob uninstall`: the filter out of git's configuration.

use std::path::Path;

use super::Outcome;
use super::install::{FILTER, Scope};
use crate::git::hooks::{Hook, Hooks};
use crate::git::{Git, Repo};
use crate::ui::{Exit, Failure, Ui};

/// Remove lob from git's configuration
///
/// Undoes 'lob install', and with --local also the hooks of 'lob init', whose place is given back to
/// the hooks that were there before. What is not lob's stays. The content in .git/lob stays too, and
/// so do the pointers that git has committed: with lob gone, a checkout shows the pointers.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  lob uninstall --local")]
pub(super) struct Args {
    #[command(flatten)]
    scope: Scope,
}

pub(super) fn run(args: Args, ui: &Ui) -> Outcome {
    let git = args.scope.git()?;
    let whom = args.scope.whom();
    if args.scope.local {
        let removed = Hooks::of(&Repo::discover(Path::new("."))?)?.uninstall()?;
        if !removed.is_empty() {
            let names: Vec<_> = removed.into_iter().map(Hook::name).collect();
            ui.say(format_args!("removed the hooks {}", names.join(", ")));
        }
    }
    match unset_filter(&git, args.scope)? {
        0 => ui.say(format_args!("nothing of lob is set in git {whom}")),
        _ => ui.say(format_args!("git no longer knows lob, {whom}")),
    }
    Ok(Exit::Done)
}

/// Removes what `lob install` sets, as far as it is lob's, and returns how many keys those were.
fn unset_filter(git: &Git, scope: Scope) -> Result<usize, Failure> {
    let found = scope.read(git)?;
    let ours = FILTER.iter().copied().chain([("lob.smudge", "pointer")]);
    let mut removed = 0;
    for (key, value) in ours {
        if found.get_all(key).eq([value.as_bytes()]) {
            scope.unset(git, key)?;
            removed += 1;
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::super::install::set_filter;
    use super::*;
    use crate::git::fixture::Fixture;

    #[test]
    fn it_leaves_the_configuration_as_it_was_before_install() {
        let fixture = Fixture::new();
        let file = fixture.path().join(".git/config");
        let before = std::fs::read(&file).unwrap();
        set_filter(fixture.git(), Scope::LOCAL, false).unwrap();
        assert_eq!(
            unset_filter(fixture.git(), Scope::LOCAL).unwrap(),
            FILTER.len()
        );
        assert_eq!(std::fs::read(&file).unwrap(), before);
        assert_eq!(unset_filter(fixture.git(), Scope::LOCAL).unwrap(), 0);
    }

    #[test]
    fn what_somebody_else_set_stays() {
        let fixture = Fixture::new();
        let git = fixture.git();
        git.set_config("filter.lob.clean", "other %f").unwrap();
        assert_eq!(unset_filter(git, Scope::LOCAL).unwrap(), 0);
        assert_eq!(
            git.config_value("filter.lob.clean").unwrap().as_deref(),
            Some(&b"other %f"[..])
        );
    }
}
