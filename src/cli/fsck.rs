//! `lob fsck`: whether all is there that pointers ask for, and whether it is what it must be.

mod report;

use std::collections::HashMap;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use lob_store::disk::OsDisk;
use lob_store::fsck::{Depth, Fault, Finding, Gravity, Object, Remedy, examine};
use lob_store::{LobId, Progress, Store};

use super::transfer::{local, named};
use super::{Outcome, remedy};
use crate::git::Repo;
use crate::remote::{self, Access};
use crate::sync::convert::said;
use crate::sync::{self, Home, Target, fsck};
use crate::ui::{Exit, Failure, Ui};

use report::Report;

/// Check that nothing is missing and nothing is damaged
///
/// Examines the local store, and looks in it for every lob that the indexes of all work trees, branches,
/// tags, stashes and every HEAD ask for. What is not here is looked for at all remotes: what one of them
/// holds is counted, and listed with --verbose; what none of them holds is lost. With --remote the store
/// of that remote is examined too, and must hold all that its branches ask for.
///
/// Without --deep and --sample the tables and the index are read, and of the content itself that it is
/// there. Nothing is changed, and git and other lob commands may go on meanwhile. The exit code is 3
/// where something is lost or damaged.
///
/// A store behind ssh or HTTP is examined there, by the lob that serves it, for who has the right admin
/// (docs/serve.md).
///
/// With --json: an event "finding" for each ("store" is the remote, or null; "object", "name", "fault",
/// "why", "gravity" is loss, damage, leftover or note, "remedy" is what can be done), and one event
/// "summary".
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lob fsck                 tables, the index, and what pointers ask for
  lob fsck --deep          and read every byte
  lob fsck --sample 5%     and read a part of it, each time another
  lob fsck --remote origin the store of a remote too")]
pub(super) struct Args {
    /// Examine this remote, or the store at this path or URL, too
    #[arg(long, value_name = "REMOTE")]
    remote: Option<String>,
    /// Read, decode and hash everything
    #[arg(long, conflicts_with = "sample")]
    deep: bool,
    /// Read, decode and hash so much of everything, picked at random
    #[arg(long, value_name = "PERCENT")]
    sample: Option<Percent>,
}

/// A share, as `5%` or `5`.
#[derive(Debug, Clone, Copy)]
struct Percent(u8);

impl FromStr for Percent {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Percent, &'static str> {
        let number = text.strip_suffix('%').unwrap_or(text).parse();
        let share = number.ok().filter(|share| (1..=100).contains(share));
        share.map(Percent).ok_or("expected 1% to 100%")
    }
}

impl Args {
    fn depth(&self) -> Result<Depth, Failure> {
        Ok(match self.sample {
            Some(Percent(percent)) => {
                let seed = getrandom::u64().map_err(std::io::Error::other)?;
                Depth::Sample { percent, seed }
            }
            None if self.deep => Depth::Deep,
            None => Depth::Quick,
        })
    }
}

pub(super) fn run(args: Args, ui: &Ui) -> Outcome {
    let (local, depth) = (local()?, args.depth()?);
    let repo = local.repo();
    let target = named(repo, args.remote.as_deref(), Access::Read)?;
    let wants = fsck::asked_here(repo)?;
    let mut report = Report::new(ui, fsck::paths(&wants));
    let bar = ui.bar("Examining", None, None);
    let store = here(repo, depth, &bar, &mut report)?;
    report.pointers += wants.len();
    let search = fsck::search(repo, store.as_ref(), &wants, target.as_ref())?;
    for absent in &search.absent {
        report.absent(None, absent)?;
    }
    if let Some(target) = &target {
        there(repo, target, depth, &bar, &mut report)?;
    }
    bar.finish();
    for (name, error) in &search.trouble {
        ui.warn(format_args!("{name} cannot be asked: {}", said(error)));
    }
    let errors = search.trouble.iter().map(|(_, error)| error as _);
    remedy::show(errors, ui);
    report.finish()
}

/// Examines the local store, and then opens it, which takes in what killed commands left.
fn here(
    repo: &Repo,
    depth: Depth,
    progress: &dyn Progress,
    report: &mut Report<'_>,
) -> Result<Option<Store>, Failure> {
    let home = Home::of(repo)?;
    let dir = home.dir();
    if home.is_missing()? {
        return Ok(None);
    }
    match examine_store(None, dir, depth, progress, report) {
        Err(lob_store::Error::NotAStore(_)) => {
            // One whose maker was killed holds nothing yet.
            if holds_packs(dir) {
                report.finding(None, not_a_store())?;
            }
            return Ok(None);
        }
        examined => examined?,
    }
    report.check()?;
    match Store::open(Arc::new(OsDisk), dir) {
        Ok(store) => Ok(Some(store)),
        // What is wrong with it was found.
        Err(_) if report.is_bad() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Examines the store of a remote, and looks in it for what its branches ask for.
fn there(
    repo: &Repo,
    target: &Target,
    depth: Depth,
    progress: &dyn Progress,
    report: &mut Report<'_>,
) -> Result<(), Failure> {
    let wants = fsck::asked_there(repo, &target.name)?;
    report.know(fsck::paths(&wants));
    let name = Some(target.name.as_str());
    let examined = match target.care(repo)? {
        None => examine_store(name, &target.dir(repo)?, depth, progress, report)
            .map_err(remote::Error::from),
        Some(care) => {
            let expected = target.met(repo)?;
            let each = &mut |finding| report.take(name, finding);
            let examined = care.examine(expected, depth, progress, each);
            report.end_group();
            examined.map(|examined| report.examined(examined))
        }
    };
    report.check()?;
    // Where it may not be examined, nothing else is of use.
    if let Err(error @ remote::Error::Refused { .. }) = examined {
        return Err(error.into());
    }
    let store = match target.connect(repo, Access::Read) {
        Err(sync::Error::Remote(remote::Error::Store(_)))
            if examined.is_ok() && report.is_bad() =>
        {
            return Ok(());
        }
        // Also says what is there where no store is.
        connected => connected?,
    };
    examined?;
    report.pointers += wants.len();
    let mut absent = fsck::compare(Some(store.as_ref()), &wants)?;
    fsck::look_aside(store.as_ref(), &mut absent)?;
    for absent in &absent {
        report.absent(name, absent)?;
    }
    Ok(())
}

fn examine_store(
    name: Option<&str>,
    dir: &Path,
    depth: Depth,
    progress: &dyn Progress,
    report: &mut Report<'_>,
) -> Result<(), lob_store::Error> {
    let disk = Arc::new(OsDisk);
    let examined = examine(disk, dir, depth, progress, &mut |finding| {
        report.take(name, finding);
    });
    report.end_group();
    report.examined(examined?);
    Ok(())
}

fn not_a_store() -> Finding {
    Finding {
        object: Object::File("state/format".into()),
        fault: Fault::Damaged("it does not say that this is a store".into()),
        gravity: Gravity::Loss,
        remedy: Remedy::Rebuild,
    }
}

fn holds_packs(dir: &Path) -> bool {
    let packs = std::fs::read_dir(dir.join("packs"));
    packs.is_ok_and(|mut packs| packs.next().is_some())
}

/// The paths of pointers, by what they ask for.
type Paths = HashMap<LobId, Box<[u8]>>;

/// How the run ends.
fn exit(bad: bool) -> Exit {
    match bad {
        true => Exit::Incomplete,
        false => Exit::Done,
    }
}
