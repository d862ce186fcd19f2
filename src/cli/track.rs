//! `lob track`: which files are lobs.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Outcome;
use crate::git::attributes::{self, Attributes, Rule};
use crate::git::path::{bytes, git_bytes};
use crate::git::scan::index_pointers;
use crate::git::{Oid, Repo, Seen, index_file};
use crate::ui::{Exit, Failure, Ui, escape, json};

/// Choose the files that lob keeps, or list the patterns
///
/// Patterns are those of .gitattributes and go into that file of the current directory: quote them, or
/// the shell expands them. Without a pattern all patterns of the repository are listed, with --json
/// as events "pattern" with "pattern", "file" and "line". Git's own files, such as
/// .gitattributes, stay git's whatever the pattern.
///
/// Files that were added before stay in git whole until they are added anew; they are named.
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

/// Names that are shown of a list, unless --verbose.
const NAMES_MAX: usize = 10;

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
        name_plain_files(&repo, ui)?;
    }
    Ok(Exit::Done)
}

/// Names the files that the patterns now make lobs and that git holds whole.
fn name_plain_files(repo: &Repo, ui: &Ui) -> Result<(), Failure> {
    let plain = plain_files(repo)?;
    if plain.is_empty() {
        return Ok(());
    }
    ui.say("these files are in git whole, since they were added before:");
    let shown = if ui.verbosity() > 0 {
        plain.len()
    } else {
        NAMES_MAX
    };
    for path in plain.iter().take(shown) {
        ui.say(format_args!("  {}", escape::path(path)));
    }
    if let more @ 1.. = plain.len().saturating_sub(shown) {
        ui.say(format_args!("  and {more} more"));
    }
    ui.hint("make them lobs from the next commit on: git add --renormalize .");
    Ok(())
}

/// The files of the index that are lobs by their attributes and whose content git holds itself.
pub(super) fn plain_files(repo: &Repo) -> Result<Vec<Vec<u8>>, Failure> {
    let mut seen = Seen::open(repo);
    let pointers = index_pointers(repo, &mut seen)?;
    // Losing it costs another look next time.
    let _ = seen.save();
    let pointers: HashSet<Vec<u8>> = pointers.into_iter().map(|lob| lob.path).collect();
    let empty = Oid::of_blob(b"", repo.object_len());
    let entries = index_file::entries(repo)?.into_iter();
    let files = entries.filter(|entry| entry.is_file() && Some(entry.oid) != empty);
    let mut plain: Vec<Vec<u8>> = files.map(|entry| entry.path).collect();
    plain.retain(|path| !pointers.contains(path));
    plain.dedup();
    let mut is_lob = attributes::is_lob(repo.git(), plain.iter().map(Vec::as_slice))?.into_iter();
    plain.retain(|_| is_lob.next() == Some(true));
    Ok(plain)
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
