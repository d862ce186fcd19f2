//! `lob untrack`: which files are lobs no more.

use std::ffi::OsString;
use std::path::Path;

use super::Outcome;
use super::track::patterns;
use crate::git::attributes::{self, Attributes};
use crate::git::{GitError, Repo};
use crate::ui::{Exit, Failure, Ui, escape};

/// Let git keep files again
///
/// Takes patterns out of .gitattributes in the current directory. Files that are committed as lobs
/// stay lobs until they are added anew.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  lob untrack '*.svg' && git add --renormalize .")]
pub(super) struct Args {
    /// Patterns as 'lob track' lists them
    #[arg(value_name = "PATTERN", required = true)]
    patterns: Vec<OsString>,
    /// Take the arguments as names of files, not as patterns
    #[arg(long)]
    literal: bool,
    /// Change nothing, say what would change
    #[arg(short = 'n', long)]
    dry_run: bool,
}

pub(super) fn run(args: Args, ui: &Ui) -> Outcome {
    let repo = Repo::discover(Path::new("."))?;
    repo.need_work_tree()?;
    let here = std::env::current_dir()?;
    let mut file = Attributes::open(&here)?;
    let patterns = patterns(&args.patterns, args.literal);
    for pattern in &patterns {
        if !file.untrack(pattern) {
            return Err(unknown(&repo, pattern)?);
        }
    }
    let done = match args.dry_run {
        true => "would untrack",
        false => "no longer tracking",
    };
    if !args.dry_run {
        let is_known = ["ls-files", "--error-unmatch", "--", attributes::FILE];
        match repo.git().clone().in_dir(&here).status(is_known)? {
            0 => file.save_empty()?,
            _ => file.save()?,
        }
    }
    for pattern in &patterns {
        ui.say(format_args!("{done} {}", escape::path(pattern)));
    }
    if !args.dry_run {
        ui.hint("files that are committed as lobs stay so until: git add --renormalize .");
    }
    Ok(Exit::Done)
}

/// The failure of a pattern that is not in the file, which says where it is instead.
fn unknown(repo: &Repo, pattern: &[u8]) -> Result<Failure, GitError> {
    let failure = Failure::new(format_args!(
        "{} is not tracked by {} of this directory; nothing was changed",
        escape::path(pattern),
        attributes::FILE,
    ));
    let rules = attributes::list(repo)?;
    let elsewhere = rules
        .iter()
        .find(|rule| rule.is_lob && rule.pattern == pattern);
    Ok(match elsewhere {
        Some(rule) => failure.hint(format_args!("it is in {}", rule.file.display())),
        None => failure.hint("lob track lists the patterns"),
    })
}
