//! `lob install`: the filter in git's configuration.

use std::path::Path;

use super::Outcome;
use crate::git::{Config, Git, GitError, Repo};
use crate::ui::escape;
use crate::ui::{Exit, Failure, Ui};

/// What git must know to call lob. The merge driver fails on purpose: a merge of two versions of a
/// lob is a conflict in which ours stays in the work tree, instead of a pointer with conflict marks.
pub(super) const FILTER: &[(&str, &str)] = &[
    ("filter.lob.process", "lob filter-process"),
    ("filter.lob.clean", "lob clean -- %f"),
    ("filter.lob.smudge", "lob smudge -- %f"),
    ("filter.lob.required", "true"),
    ("merge.lob.name", "lob: keep ours, as a conflict"),
    ("merge.lob.driver", "false"),
];

/// Tell git about lob
///
/// Sets the filter "lob" in git's configuration, by default for all repositories of this user.
/// Run it once on each machine; a repository then needs 'lob init', or just a clone in which
/// .gitattributes names files for lob. Values that somebody else set are kept unless --force.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lob install
  lob install --local --skip-smudge   # this repository alone, and fetch nothing unasked")]
pub(super) struct Args {
    #[command(flatten)]
    scope: Scope,
    /// Replace values that are not lob's
    #[arg(long)]
    force: bool,
    /// Check out pointers and fetch nothing until asked: sets lob.smudge=pointer
    #[arg(long)]
    skip_smudge: bool,
}

/// Which of git's configuration files is meant; the user's own where none is named.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
#[group(multiple = false)]
pub(super) struct Scope {
    /// This repository's configuration
    #[arg(long)]
    pub(super) local: bool,
    /// This work tree's configuration (needs extensions.worktreeConfig)
    #[arg(long)]
    pub(super) worktree: bool,
    /// The configuration of all users of this machine
    #[arg(long)]
    pub(super) system: bool,
}

impl Scope {
    /// The repository's own configuration.
    pub(super) const LOCAL: Scope = Scope {
        local: true,
        worktree: false,
        system: false,
    };

    /// Git's option for it.
    pub(super) fn option(self) -> &'static str {
        match self {
            Scope { local: true, .. } => "--local",
            Scope { worktree: true, .. } => "--worktree",
            Scope { system: true, .. } => "--system",
            _ => "--global",
        }
    }

    /// For whom it holds, in a sentence.
    pub(super) fn whom(self) -> &'static str {
        match self.option() {
            "--local" => "for this repository",
            "--worktree" => "for this work tree",
            "--system" => "for all users of this machine",
            _ => "for you, in all repositories",
        }
    }

    /// Git where this scope is meant: in a repository for those that belong to one.
    pub(super) fn git(self) -> Result<Git, Failure> {
        if self.local || self.worktree {
            return Ok(Repo::discover(Path::new("."))?.git().clone());
        }
        Ok(Git::new(Path::new("."))?)
    }

    /// What lob has set in this scope, or somebody for it.
    pub(super) fn read(self, git: &Git) -> Result<Config, Failure> {
        let keys = r"^(filter|merge)\.lob\.|^lob\.smudge$";
        let args = ["config", self.option(), "-z", "--get-regexp", keys];
        match git.output(args) {
            Ok(list) => Ok(Config::parse(&list)),
            // Nothing matches, or the file does not exist.
            Err(GitError::Failed { code: Some(1), .. }) => Ok(Config::default()),
            Err(error) => Err(error.into()),
        }
    }

    /// Sets a key in place of all values that it has in this scope.
    pub(super) fn set(self, git: &Git, key: &str, value: &str) -> Result<(), Failure> {
        git.output(["config", self.option(), "--replace-all", key, value])?;
        Ok(())
    }

    /// Removes all values of a key from this scope.
    pub(super) fn unset(self, git: &Git, key: &str) -> Result<(), Failure> {
        git.output(["config", self.option(), "--unset-all", key])?;
        Ok(())
    }
}

pub(super) fn run(args: Args, ui: &Ui) -> Outcome {
    let git = args.scope.git()?;
    let set = set_filter(&git, args.scope, args.force)?;
    if args.skip_smudge {
        args.scope.set(&git, "lob.smudge", "pointer")?;
    }
    let whom = args.scope.whom();
    match set {
        true => ui.say(format_args!("git now knows lob, {whom}")),
        false => ui.say(format_args!("git knows lob already, {whom}")),
    }
    if on_path().is_none() {
        ui.warn("lob is in no directory of PATH: git will not find it");
        ui.hint("add the directory of lob to PATH, or copy lob into one that is there");
    }
    Ok(Exit::Done)
}

/// Sets the filter in a scope. Returns whether anything changed; values that are not lob's stop it
/// before anything is written, unless `force`.
pub(super) fn set_filter(git: &Git, scope: Scope, force: bool) -> Result<bool, Failure> {
    let found = scope.read(git)?;
    let is_set = |key: &str, value: &str| found.get_all(key).eq([value.as_bytes()]);
    let missing: Vec<_> = FILTER
        .iter()
        .filter(|(key, value)| !is_set(key, value))
        .collect();
    if let Some((key, foreign)) = foreign(&found)
        && !force
    {
        return Err(Failure::new(format_args!(
            "{key} is set to `{}`, which is not lob's",
            escape::text(&foreign)
        ))
        .hint("replace it with --force"));
    }
    for (key, value) in &missing {
        scope.set(git, key, value)?;
    }
    Ok(!missing.is_empty())
}

/// Whether git calls lob with this configuration, whoever set it.
pub(super) fn is_complete(config: &Config) -> bool {
    let is_set = |(key, value): &(&str, &str)| config.get(key) == Some(value.as_bytes());
    FILTER.iter().all(is_set)
}

/// A key of the filter that has a value of somebody else's.
pub(super) fn foreign(found: &Config) -> Option<(&'static str, Vec<u8>)> {
    FILTER.iter().find_map(|(key, value)| {
        let mut values = found.get_all(key);
        let other = values.find(|other| *other != value.as_bytes())?;
        Some((*key, other.to_vec()))
    })
}

/// Where git finds lob.
pub(super) fn on_path() -> Option<std::path::PathBuf> {
    let name = format!("lob{}", std::env::consts::EXE_SUFFIX);
    let path = std::env::var_os("PATH")?;
    let mut places = std::env::split_paths(&path).map(|directory| directory.join(&name));
    places.find(|place| place.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::fixture::Fixture;

    fn filter(fixture: &Fixture) -> Config {
        Scope::LOCAL.read(fixture.git()).unwrap()
    }

    #[test]
    fn the_filter_is_set_once() {
        let fixture = Fixture::new();
        assert!(set_filter(fixture.git(), Scope::LOCAL, false).unwrap());
        for (key, value) in FILTER {
            assert_eq!(filter(&fixture).get(key), Some(value.as_bytes()), "{key}");
        }
        let file = std::fs::read(fixture.path().join(".git/config")).unwrap();
        assert!(!set_filter(fixture.git(), Scope::LOCAL, false).unwrap());
        let again = std::fs::read(fixture.path().join(".git/config")).unwrap();
        assert_eq!(file, again);
    }

    #[test]
    fn what_somebody_else_set_is_kept_unless_forced() {
        let fixture = Fixture::new();
        let git = fixture.git();
        git.set_config("filter.lob.clean", "other %f").unwrap();
        let failure = set_filter(git, Scope::LOCAL, false).unwrap_err();
        assert!(failure.message().contains("filter.lob.clean"));
        assert!(failure.hints()[0].contains("--force"));
        assert_eq!(filter(&fixture).get("filter.lob.process"), None);
        assert!(set_filter(git, Scope::LOCAL, true).unwrap());
        let values: Vec<_> = filter(&fixture)
            .get_all("filter.lob.clean")
            .map(<[u8]>::to_vec)
            .collect();
        assert_eq!(values, [b"lob clean -- %f"]);
    }
}
