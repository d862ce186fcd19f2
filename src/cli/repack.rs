//! `lob repack`: old versions become the difference from newer ones, and the newest gets rid of bases.

use std::collections::HashMap;
use std::str::FromStr;
use std::time::{Duration, Instant};

use lob_store::{Effort, LobId, LobInfo, RepackCost, RepackPlan, Repacked, Turn};
use serde::Serialize;

use super::transfer::{count, local, named};
use super::{Outcome, background, store_of};
use crate::git::Repo;
use crate::remote::Access;
use crate::sync::Target;
use crate::sync::background::{Run, Work, is_running};
use crate::sync::bases::{History, histories};
use crate::ui::bytes::{Size, duration};
use crate::ui::{Exit, Explain, Failure, Ui, escape, json};

/// Make a store small, and its newest versions quick to read
///
/// A push sends a new version as the difference from the one before, so the newest stands on all those
/// before it. This turns it round: the newest version of each file is stored without any base, and each
/// older one as the difference from a newer one, with no more than two on top of each other. Which version
/// came after which is told by the paths in the index and in all commits that are here.
///
/// Without --remote it is the store of this repository, where `git add` has stored every version as it is.
/// What was done stays done: a later run takes up what has come since. With --deep all is compressed as
/// well as can be, however long that takes; later runs without it leave that alone.
///
/// Nothing leaves the store. Packs are written anew a few at a time, and each few take the place of the
/// old ones at once: a run that is killed has lost no more than the work on those, and is simply run again.
/// Git and other lob commands may go on meanwhile, except that one lob prune, lob gc or lob repack is at
/// work in a store at a time.
///
/// With --json: an event "version" for each that is written anew ("action" is plain or delta), one event
/// "plan", and after the run one event "summary".
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lob repack --dry-run                what would be written anew
  lob repack                          the store of this repository
  lob repack --deep --remote origin   a remote, as small as can be
  lob repack --budget 10min           stop after ten minutes; a later run goes on
  lob repack --background             go on when the command has ended")]
pub(super) struct Args {
    /// The remote, or the path or URL of a store, to be repacked
    #[arg(long, value_name = "REMOTE")]
    remote: Option<String>,
    /// Compress as well as can be, also what was repacked without this
    #[arg(long)]
    deep: bool,
    /// Show what would be written anew, and change nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Stop after so much time (90s, 30min, 2h) or so many bytes of packs (500MB, 2GiB)
    #[arg(long, value_name = "TIME|BYTES")]
    budget: Option<Budget>,
    /// Go on in the background, at low priority
    #[arg(long, conflicts_with = "dry_run")]
    background: bool,
    /// This is the process in the background
    #[arg(long, hide = true)]
    detached: bool,
}

/// Where a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Budget {
    Time(Duration),
    Bytes(u64),
}

impl FromStr for Budget {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Budget, &'static str> {
        for (unit, seconds) in [("min", 60), ("s", 1), ("h", 3600)] {
            if let Some(number) = text.strip_suffix(unit)
                && let Ok(number) = number.trim_end().parse::<u32>()
            {
                return Ok(Budget::Time(Duration::from_secs(
                    u64::from(number) * seconds,
                )));
            }
        }
        let size = text.parse::<Size>();
        let size = size.map_err(|_| "expected a time (90s, 30min, 2h) or a size (500MB, 2GiB)");
        Ok(Budget::Bytes(size?.0))
    }
}

impl Budget {
    /// Whether there is more of it.
    fn lasts(self, started: Instant, bytes: u64) -> bool {
        match self {
            Budget::Time(time) => started.elapsed() < time,
            Budget::Bytes(most) => bytes < most,
        }
    }

    fn text(self) -> String {
        match self {
            Budget::Time(time) => format!("{}s", time.as_secs()),
            Budget::Bytes(bytes) => bytes.to_string(),
        }
    }
}

pub(super) fn run(args: Args, ui: &Ui) -> Outcome {
    let local = local()?;
    let repo = local.repo();
    let target = named(repo, args.remote.as_deref(), Access::Write)?;
    if args.background && is_running(repo, Work::Repack) {
        ui.say("a repack is already running; lob status shows how far it is");
        return Ok(Exit::Done);
    }
    if args.background {
        background::start(&args.words())?;
        ui.say("repacking in the background; lob status shows how far it is");
        return Ok(Exit::Done);
    }
    if !args.detached {
        return repack(repo, target.as_ref(), &args, None, ui).map(|(exit, _)| exit);
    }
    background::leave_the_terminal();
    // The file that tells how far it is stands beneath the store.
    local.store()?;
    let place = target.as_ref().map_or("", |target| &target.name);
    let run = Run::start(repo, Work::Repack, place).because("cannot write down how far it is")?;
    let Some(run) = run else {
        return Ok(Exit::Done);
    };
    let done = repack(repo, target.as_ref(), &args, Some(&run), ui);
    background::end(run, done)
}

/// Returns how it went, and one line about it.
fn repack(
    repo: &Repo,
    target: Option<&Target>,
    args: &Args,
    run: Option<&Run>,
    ui: &Ui,
) -> Result<(Exit, String), Failure> {
    let store = match target {
        Some(target) => Some(target.open(repo)?),
        None => store_of(repo)?,
    };
    let nothing = |why: &str| {
        ui.say(why);
        Ok((Exit::Done, why.to_string()))
    };
    let Some(store) = store else {
        return nothing("nothing to repack: there is no store here yet");
    };
    let histories = histories(repo, &store)?;
    let chains: Vec<Vec<LobId>> = histories.iter().map(|one| one.versions.clone()).collect();
    let effort = match args.deep {
        true => Effort::Deep,
        false => Effort::Fast,
    };
    let Some(plan) = store.repack(&chains, effort)? else {
        return nothing("a lob prune, lob gc or another lob repack is at work there");
    };
    show(&plan, &histories, args.dry_run, ui)?;
    match args.dry_run {
        true => Ok((Exit::Done, String::new())),
        false => carry_out(plan, args, run, ui),
    }
}

impl Args {
    /// What the process in the background is started with.
    fn words(&self) -> Vec<String> {
        let mut words = vec!["repack".into(), "--detached".into(), "--quiet".into()];
        if self.deep {
            words.push("--deep".into());
        }
        words.extend(self.remote.iter().map(|name| format!("--remote={name}")));
        words.extend(
            self.budget
                .iter()
                .map(|one| format!("--budget={}", one.text())),
        );
        words
    }
}

/// The event `version`.
#[derive(Serialize)]
struct Version<'a> {
    action: &'static str,
    id: String,
    size: u64,
    #[serde(flatten)]
    path: json::Path<'a>,
}

/// The event `plan`.
#[derive(Serialize)]
struct Planned {
    newest: u64,
    older: u64,
    packs: u64,
    bytes: u64,
    raw: u64,
}

/// Prints the plan.
fn show(plan: &RepackPlan<'_>, histories: &[History], dry: bool, ui: &Ui) -> Result<(), Failure> {
    let mut paths: HashMap<LobId, &[u8]> = HashMap::new();
    for one in histories {
        paths.extend(one.versions.iter().map(|lob| (*lob, &*one.path)));
    }
    let mut failed = None;
    let listed = plan.each_version(&mut |lob, turn| {
        let path = paths.get(&lob.id).copied().unwrap_or_default();
        print(&lob, turn, path, dry, ui).map_err(|failure| {
            failed = Some(failure);
            lob_store::Error::Interrupted
        })
    });
    if let Some(failure) = failed {
        return Err(failure);
    }
    listed?;
    let cost = plan.cost();
    let RepackCost {
        newest,
        older,
        packs,
        stored,
        raw,
    } = cost;
    if dry {
        ui.say(match packs {
            0 => "nothing to repack".to_string(),
            _ => format!(
                "would write {} without bases and {} as differences: {} with {} of content, stored in {}",
                count(newest, "newest version"),
                count(older, "older one"),
                count(packs, "pack"),
                Size(raw),
                Size(stored)
            ),
        });
    }
    ui.event(
        "plan",
        Planned {
            newest,
            older,
            packs,
            bytes: stored,
            raw,
        },
    )
}

fn print(lob: &LobInfo, turn: Turn, path: &[u8], dry: bool, ui: &Ui) -> Result<(), Failure> {
    let action = match turn {
        Turn::Plain => "plain",
        Turn::Older => "delta",
    };
    if ui.is_json() {
        let (id, size, path) = (lob.id.to_string(), lob.size, json::Path(path));
        return ui.record(
            "version",
            Version {
                action,
                id,
                size,
                path,
            },
        );
    }
    if !dry {
        return Ok(());
    }
    let (size, path) = (Size(lob.size), escape::path(path));
    ui.line(format_args!("{action} {size:>9} {path} {}", lob.id))
}

/// The event `summary`.
#[derive(Serialize)]
struct Summary {
    versions: u64,
    packs: u64,
    before: u64,
    after: u64,
    waiting: u64,
    left: u64,
    unreadable: u64,
    passed: u64,
    seconds: f64,
}

fn carry_out(
    plan: RepackPlan<'_>,
    args: &Args,
    run: Option<&Run>,
    ui: &Ui,
) -> Result<(Exit, String), Failure> {
    let started = Instant::now();
    let RepackCost {
        raw, newest, older, ..
    } = plan.cost();
    let go_on = &mut |bytes| args.budget.is_none_or(|one| one.lasts(started, bytes));
    let why = "it did not come to its end";
    let done = match (raw, run) {
        (_, Some(run)) => {
            run.expect(newest + older, raw)
                .because("cannot write down how far it is")?;
            plan.run(go_on, run).because(why)?
        }
        (0, None) => plan.run(go_on, &()).because(why)?,
        (_, None) => {
            let bar = ui.bar("Repacking", Some(raw), None);
            let done = plan.run(go_on, &bar).because(why)?;
            bar.finish();
            done
        }
    };
    tell(&done, started.elapsed(), ui)
}

fn tell(done: &Repacked, time: Duration, ui: &Ui) -> Result<(Exit, String), Failure> {
    let summary = match (done.packs, done.left) {
        (0, 0) => "nothing to repack".to_string(),
        (0, _) => "nothing was done".to_string(),
        _ => format!(
            "repacked {}: {} became {}, {}",
            count(done.versions, "version"),
            Size(done.before),
            Size(done.after),
            duration(time)
        ),
    };
    ui.say(&summary);
    if done.left > 0 {
        ui.say("stopped at the budget: run it again to go on");
    }
    if done.waiting > 0 {
        ui.say(format_args!(
            "{} come back when commands that run now have ended, at the next lob repack or lob prune",
            Size(done.waiting)
        ));
    }
    if done.unreadable > 0 {
        ui.warn(format_args!(
            "packs that stay as they are, since something in them cannot be read: {}",
            done.unreadable
        ));
    }
    if done.passed > 0 {
        ui.warn(format_args!(
            "versions that take more than they might, since something could not be read: {}",
            done.passed
        ));
    }
    let all = done.unreadable + done.passed == 0;
    if !all {
        ui.hint("lob repair brings back what another store or a work tree has");
    }
    ui.event(
        "summary",
        Summary {
            versions: done.versions,
            packs: done.packs,
            before: done.before,
            after: done.after,
            waiting: done.waiting,
            left: done.left,
            unreadable: done.unreadable,
            passed: done.passed,
            seconds: time.as_secs_f64(),
        },
    )?;
    let exit = match all {
        true => Exit::Done,
        false => Exit::Incomplete,
    };
    Ok((exit, summary))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_a_time_or_a_size() {
        for (text, expected) in [
            ("90s", Budget::Time(Duration::from_secs(90))),
            ("30min", Budget::Time(Duration::from_secs(1800))),
            ("2h", Budget::Time(Duration::from_secs(7200))),
            ("500MB", Budget::Bytes(500_000_000)),
            ("2GiB", Budget::Bytes(2 << 30)),
            ("0", Budget::Bytes(0)),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
            assert_eq!(expected.text().parse(), Ok(expected), "in the background");
        }
        for text in ["", "s", "-1s", "1.5h", "much"] {
            assert!(text.parse::<Budget>().is_err(), "{text}");
        }
    }
}
