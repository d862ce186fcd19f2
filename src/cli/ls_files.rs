//! `lob ls-files`: the lobs of the index or of a commit.

use std::path::{Path, PathBuf};

use lob_store::Store;
use serde::Serialize;

use super::stored::{Fields, Stored};
use super::{Outcome, store_of};
use crate::git::command::operand;
use crate::git::scan::{Tracked, index_pointers};
use crate::git::{Pointer, Repo, Seen};
use crate::ui::bytes::Size;
use crate::ui::{Exit, Explain, Failure, Ui, escape, json};

/// Digits of an id that are shown, unless --long.
const SHORT: usize = 12;

/// List the lobs of the index, or of a commit
///
/// One line for each: the id, * where the content is here and - where it is missing, the size, and the
/// path. With -z: the whole id, the mark and the size in bytes with a space between, a tab, and the
/// path as it is, ended by a zero byte. With --json: events "file" with "path", "kind" (lob, git-lob
/// or lfs), "id", "size", "present" and "stage".
///
/// With --stored two sizes follow that of the file: what the local store keeps for it, compressed, each
/// chunk once and differences as differences; and how much of that is there for this lob alone, and
/// for no other version or file. A line about all of them follows. With -z both are numbers of bytes
/// behind the size, - where the content is missing; with --json the fields "stored" and "alone", and
/// an event "stored" about all of them.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lob ls-files --missing
  lob ls-files --stored
  lob ls-files v1.0 --json")]
pub(super) struct Args {
    /// A commit or tree; the index where none is named
    rev: Option<String>,
    /// Only those whose content is not here
    #[arg(long)]
    missing: bool,
    /// Show whole ids
    #[arg(long)]
    long: bool,
    /// Show what each takes in the local store, and what it takes there alone
    #[arg(long, conflicts_with = "missing")]
    stored: bool,
    /// End lines with a zero byte, and leave paths as they are
    #[arg(short = 'z', conflicts_with = "json")]
    zero: bool,
}

/// The event `file`.
#[derive(Serialize)]
struct File<'a> {
    #[serde(flatten)]
    path: json::Path<'a>,
    kind: &'static str,
    id: String,
    size: Option<u64>,
    present: bool,
    stage: u8,
    #[serde(flatten)]
    cost: Option<Fields>,
}

pub(super) fn run(args: Args, ui: &Ui) -> Outcome {
    let repo = &Repo::discover(Path::new("."))?;
    let store = store_of(repo)?;
    let mut seen = Seen::open(repo);
    let lobs = match &args.rev {
        None => index_pointers(repo, &mut seen)?,
        Some(rev) => tree_pointers(repo, rev, &mut seen)?,
    };
    // Losing it costs another look next time.
    let _ = seen.save();
    let stored = match args.stored {
        true => {
            let pointers = lobs.iter().map(|lob| &lob.pointer);
            Some(Stored::look(ui, store.as_ref(), pointers)?)
        }
        false => None,
    };
    for lob in &lobs {
        let present = is_present(store.as_ref(), &lob.pointer)?;
        if !(args.missing && present) {
            print(&args, lob, present, stored.as_ref(), ui)?;
        }
    }
    if let Some(stored) = stored {
        stored.event(ui)?;
        ui.say(stored.line());
    }
    Ok(Exit::Done)
}

/// Whether the content of a pointer is in the store.
pub(super) fn is_present(store: Option<&Store>, pointer: &Pointer) -> lob_store::Result<bool> {
    let (Some(store), Pointer::Lob { id, size }) = (store, pointer) else {
        return Ok(false);
    };
    let held = store.lob(id)?;
    Ok(held.is_some_and(|held| held.size == *size))
}

fn print(
    args: &Args,
    lob: &Tracked,
    present: bool,
    stored: Option<&Stored>,
    ui: &Ui,
) -> Result<(), Failure> {
    let (kind, id) = name(&lob.pointer);
    let size = lob.pointer.size();
    let lob_id = lob.pointer.lob_id().filter(|_| present);
    if ui.is_json() {
        return ui.record(
            "file",
            File {
                path: json::Path(&lob.path),
                kind,
                id,
                size,
                present,
                stage: lob.stage,
                cost: stored.map(|stored| stored.fields(lob_id)),
            },
        );
    }
    let mark = if present { '*' } else { '-' };
    // The size of the file and, if asked for, of what is stored.
    let mut sizes = vec![size];
    if let Some(stored) = stored {
        let cost = stored.of(lob_id);
        sizes.extend([cost.map(|cost| cost.stored), cost.map(|cost| cost.alone)]);
    }
    if args.zero {
        let sizes = sizes.into_iter();
        let sizes = sizes.map(|size| size.map_or("-".to_owned(), |size| size.to_string()));
        let sizes = sizes.collect::<Vec<_>>().join(" ");
        ui.raw(format!("{id} {mark} {sizes}\t").as_bytes())?;
        ui.raw(&lob.path)?;
        return ui.raw(b"\0");
    }
    let id = match args.long {
        true => id.as_str(),
        false => id.get(..SHORT).unwrap_or(&id),
    };
    let sizes = sizes.into_iter();
    let sizes = sizes.map(|size| size.map_or("-".to_owned(), |size| Size(size).to_string()));
    let sizes: String = sizes.map(|size| format!(" {size:>9}")).collect();
    ui.line(format_args!(
        "{id} {mark}{sizes}  {}",
        escape::path(&lob.path)
    ))
}

/// What a pointer is, and the digits of its id.
fn name(pointer: &Pointer) -> (&'static str, String) {
    let digits = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    match pointer {
        Pointer::Lob { id, .. } => ("lob", id.to_string()),
        Pointer::GitLob { sha1 } => ("git-lob", digits(sha1)),
        Pointer::Lfs { sha256, .. } => ("lfs", digits(sha256)),
    }
}

/// The pointers of a commit: those of the index that its checkout would have.
fn tree_pointers(repo: &Repo, rev: &str, seen: &mut Seen) -> Result<Vec<Tracked>, Failure> {
    let tree = format!("{}^{{tree}}", operand(rev)?);
    let words = [
        "rev-parse",
        "--verify",
        "--quiet",
        "--end-of-options",
        &tree,
    ];
    let tree = repo.git().line(words);
    let tree = tree.because(format_args!(
        "there is no commit or tree named {}",
        escape::text(rev)
    ))?;
    let index = Scratch::beside(repo);
    let git = repo.git().clone().with_env("GIT_INDEX_FILE", &index.0);
    git.output([&b"read-tree"[..], &tree].map(crate::git::path::os_string))?;
    Ok(index_pointers(&Repo::find(git)?, seen)?)
}

/// An index that is removed with the value.
struct Scratch(PathBuf);

impl Scratch {
    fn beside(repo: &Repo) -> Scratch {
        let name = format!("lob-index-{}", std::process::id());
        Scratch(repo.git_dir().join(name))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Where it was never made there is nothing to remove.
        let _ = std::fs::remove_file(&self.0);
    }
}
