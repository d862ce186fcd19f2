//! `lob track`: which files are lobs.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Outcome;
use crate::git::Repo;
use crate::git::attributes::{self, Attributes, Rule};
use crate::git::path::{bytes, git_bytes};
use crate::ui::{Exit, Failure, Ui, escape, json};

/// Choose the files that lob keeps, or list the patterns
///
/// Patterns are those of .gitattributes and go into that file of the current directory: quote them, or
/// the shell expands them. Without a pattern all patterns of the repository are listed, with --json
/// as events "pattern" with "pattern", "file" and "line". Git's own files, such as
/// .gitattributes, stay git's whatever the pattern.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lob track '*.psd' 'video/**'
  lob track --literal 'odd [name].bin'
  lob track                            # list")]
pub(super) struct Args {
    /// Patterns, relative to the current directory
    #[arg(value_name = "PATTERN")]
    patterns: Vec<OsString>,
    /// Take the arguments as names of files, not as patterns
    #[arg(long, requires = "patterns")]
    literal: bool,
    /// Change nothing, say what would change
    #[arg(short = 'n', long)]
    dry_run: bool,
}

/// The event `pattern`.
#[derive(Serialize)]
struct Listed<'a> {
    #[serde(flatten)]
    pattern: json::Bytes<'a>,
    file: String,
    line: usize,
}

pub(super) fn run(args: Args, ui: &Ui) -> Outcome {
    let repo = Repo::discover(Path::new("."))?;
    if args.patterns.is_empty() {
        for rule in attributes::list(&repo)?.iter().filter(|rule| rule.is_lob) {
            print(rule, ui)?;
        }
        return Ok(Exit::Done);
    }
    repo.need_work_tree()?;
    let patterns = patterns(&args.patterns, args.literal);
    let mut file = Attributes::open(&std::env::current_dir()?)?;
    for pattern in &patterns {
        let shown = escape::path(pattern);
        match (file.track(pattern)?, args.dry_run) {
            (true, false) => ui.say(format_args!("tracking {shown}")),
            (true, true) => ui.say(format_args!("would track {shown}")),
            (false, _) => ui.say(format_args!("{shown} is tracked already")),
        }
    }
    if !args.dry_run {
        file.save()?;
    }
    Ok(Exit::Done)
}

/// The patterns that the arguments of `lob track` and `lob untrack` mean.
pub(super) fn patterns(words: &[OsString], literal: bool) -> Vec<Vec<u8>> {
    let mut patterns = Vec::new();
    for word in words {
        let pattern = match literal {
            true => attributes::literal(&git_bytes(&PathBuf::from(word))),
            false => bytes(word),
        };
        // `./` is how a shell completes; git's patterns do not know it.
        let plain = pattern.strip_prefix(b"./").map(<[u8]>::to_vec);
        patterns.push(plain.unwrap_or(pattern));
    }
    patterns
}

fn print(rule: &Rule, ui: &Ui) -> Result<(), Failure> {
    let file = rule.file.to_string_lossy();
    if ui.is_json() {
        return ui.record(
            "pattern",
            Listed {
                pattern: json::Bytes("pattern", &rule.pattern),
                file: file.into_owned(),
                line: rule.line,
            },
        );
    }
    let place = escape::text(file.as_ref());
    let pattern = escape::path(&rule.pattern);
    ui.line(format_args!("{pattern}  ({place}:{})", rule.line))
}
