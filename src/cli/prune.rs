//! `lob prune`: what is not needed here and is safe elsewhere gives its space back.

mod shared;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{SystemTime, UNIX_EPOCH};

use lob_store::{Fate, LobId, LobInfo, Prune, PruneCost, PrunePlan, Store, Swept};
use serde::Serialize;

use super::Outcome;
use super::grace::Grace;
use super::transfer::{lobs, local};
use crate::git::Repo;
use crate::remote::{Access, Freed, Sum};
use crate::sync::keep::{self, Needed, Stay};
use crate::sync::proof::prove;
use crate::sync::{Error, Home, Target};
use crate::ui::bytes::Size;
use crate::ui::{Exit, Explain, Failure, Ui, escape, json};

/// Give back the space of lobs that are not needed here
///
/// Removes lobs from the local store that nothing here needs, and that a remote holds. Needed is what
/// the current checkout, the index and every other work tree hold; what any checkout of recent branches
/// and versions needs (lob.pruneRefsDays and its neighbours say what is recent: at least what lob fetch
/// --recent brings); all stashes; what a merge, rebase, cherry-pick or bisect that is not finished needs;
/// commits that no branch of a remote has; and commits that only a reflog leads to.
///
/// The remote proves in this run that it holds what goes: it lists every chunk, and hands out some of
/// them to be compared. What it cannot prove stays. With --dry-run the plan is printed and nothing is
/// removed. Whatever is removed comes back by lob fetch, or when it is checked out.
///
/// A store that several clones share (lob.store) is pruned with --shared, in any of them: each clone is
/// asked what it needs, and the default remotes of all of them are asked for proof. Nothing goes while a
/// clone cannot be asked. One that is not there is waited for, for lob.pruneClonesDays from the first run
/// that misses it, and then done without; --forget does without it at once.
///
/// Git and other lob commands may go on meanwhile. With --json: an event "lob" for each ("action" is drop
/// or keep, "reason" why it is kept), one event "plan", and after the run one event "summary".
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lob prune --dry-run            what would go, and why the rest stays
  lob prune --dry-run --verbose  the same for each lob
  lob prune                      the default remote holds all that goes
  lob prune --verify-remote '*'  any remote may hold it
  lob prune --shared --dry-run   in a store that several clones share")]
pub(super) struct Args {
    /// Show what would go and why the rest stays, and remove nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// The remote, or the path or URL of a store, that must hold what goes; * for any remote
    #[arg(long, value_name = "REMOTE")]
    verify_remote: Option<String>,
    /// Prune a store that several clones share (lob.store), by what all of them need
    #[arg(long)]
    shared: bool,
    /// With --shared: forget a clone that is gone or was moved, by the place that an earlier run named
    #[arg(long, value_name = "PLACE", requires = "shared")]
    forget: Vec<String>,
    /// Leave alone what was stored or found again in this time: minutes, or with an h or d after it
    /// hours or days
    #[arg(long, value_name = "TIME", default_value = "60")]
    grace: Grace,
}

pub(super) fn run(args: Args, ui: &Ui) -> Outcome {
    let local = local()?;
    let repo = local.repo();
    // A window that is too short must not wait for something to remove.
    repo.settings()?;
    let home = Home::of(repo)?;
    shared::check(&args, &home)?;
    let Some(store) = home.look()? else {
        ui.say("nothing to prune: there is no store here yet");
        return Ok(Exit::Done);
    };
    let now = SystemTime::now();
    let Some(mut prune) = store.prune(args.grace.before(now))? else {
        ui.say("another lob prune is at work here");
        return Ok(Exit::Done);
    };
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let sharers = match args.shared {
        true => Some(shared::ask(&args, repo, &store, seconds, ui)?),
        false => None,
    };
    let alone = match &sharers {
        Some(_) => Vec::new(),
        None => keep::needed(repo, i64::try_from(seconds).unwrap_or(i64::MAX))?,
    };
    let needed = sharers.as_ref().map_or(&alone, |sharers| &sharers.needed);
    for want in needed {
        prune.keep(&want.id)?;
    }
    let clones = sharers.as_ref().map(|sharers| sharers.clones.as_slice());
    let unproven = keep_unproven(&args, repo, clones, &store, &mut prune, ui)?;
    warn_of_damage(&prune, ui);
    let plan = prune.plan()?;
    let report = Report::of(&plan, needed, &unproven, ui)?;
    report.tell(&args, plan.cost(), ui)?;
    if args.dry_run {
        return Ok(Exit::Done);
    }
    let done = carry_out(plan, &report, ui)?;
    if let Some(sharers) = &sharers {
        shared::release(sharers, &store)?;
    }
    Ok(done)
}

/// Keeps what no remote proves to hold. Returns what that is.
fn keep_unproven(
    args: &Args,
    repo: &Repo,
    clones: Option<&[Repo]>,
    store: &Store,
    prune: &mut Prune<'_>,
    ui: &Ui,
) -> Result<HashSet<LobId>, Failure> {
    let mut open: Vec<LobInfo> = Vec::new();
    prune.each_other(&mut |lob| {
        open.push(lob);
        Ok(())
    })?;
    let witnesses = match open.is_empty() {
        true => Vec::new(),
        false => witnesses(args, repo, clones, ui)?,
    };
    for (clone, target) in witnesses {
        if open.is_empty() {
            break;
        }
        match ask(&target, clone, store, &open, ui) {
            Ok(held) => open.retain(|lob| !held.contains(&lob.id)),
            // Of many remotes some may be away.
            Err(error) if clones.is_some() || args.verify_remote.as_deref() == Some("*") => {
                let name = &target.name;
                ui.warn(format_args!(
                    "{name} cannot be asked: {}",
                    crate::sync::convert::said(&error)
                ));
            }
            Err(error) => return Err(error.into()),
        }
    }
    for lob in &open {
        prune.keep(&lob.id)?;
    }
    Ok(open.into_iter().map(|lob| lob.id).collect())
}

/// The remotes that may prove to hold what goes, each with a clone that knows it.
fn witnesses<'r>(
    args: &Args,
    repo: &'r Repo,
    clones: Option<&'r [Repo]>,
    ui: &Ui,
) -> Result<Vec<(&'r Repo, Target)>, Failure> {
    if let Some(name) = args.verify_remote.as_deref().filter(|name| *name != "*") {
        return Ok(vec![(repo, Target::named(repo, name, Access::Read)?)]);
    }
    let mut witnesses: Vec<(&Repo, Target)> = Vec::new();
    for clone in std::iter::once(repo).chain(clones.unwrap_or_default()) {
        let targets = match args.verify_remote {
            Some(_) => Target::sources(clone)?,
            None => match Target::default(clone, Access::Read) {
                Err(Error::NoRemote) => Vec::new(),
                Err(error) if clones.is_some() => {
                    let place = clone.common_dir().display();
                    let why = crate::sync::convert::said(&error);
                    ui.warn(format_args!("the remote of {place} cannot be asked: {why}"));
                    Vec::new()
                }
                target => vec![target?],
            },
        };
        for target in targets {
            let place = target.dir(clone).ok();
            let is_known = |(other, known): &(&Repo, Target)| {
                place.is_some() && known.dir(other).ok() == place
            };
            if !witnesses.iter().any(is_known) {
                witnesses.push((clone, target));
            }
        }
    }
    if witnesses.is_empty() && args.verify_remote.is_none() {
        let who = match clones {
            None => "this repository has no remote",
            Some(_) => "no clone that shares this store has a remote",
        };
        ui.warn(format_args!("{who}, so nothing is safe elsewhere"));
        ui.hint("name a store that holds it all: lob prune --verify-remote PATH");
    }
    Ok(witnesses)
}

/// What a remote proves to hold.
fn ask(
    target: &Target,
    repo: &Repo,
    store: &Store,
    open: &[LobInfo],
    ui: &Ui,
) -> Result<HashSet<LobId>, Error> {
    let remote = target.connect(repo, Access::Read)?;
    let own = std::fs::canonicalize(store.root());
    if own.is_ok_and(|own| std::fs::canonicalize(remote.describe()).is_ok_and(|dir| dir == own)) {
        ui.warn(format_args!(
            "{} is this store itself, and proves nothing",
            target.name
        ));
        return Ok(Default::default());
    }
    let proof = prove(store, remote.as_ref(), open)?;
    if let Some(doubt) = proof.doubt {
        ui.warn(format_args!(
            "{} is not believed: {doubt}\nall that it should hold stays here",
            target.name
        ));
        ui.hint("what is whole here can be sent there again, into a new store: lob push PATH");
    }
    Ok(proof.held)
}

/// Tells of lobs that are needed and damaged.
fn warn_of_damage(prune: &Prune<'_>, ui: &Ui) {
    for (id, why) in prune.damaged() {
        ui.warn(format_args!("{id} is needed and damaged: {why}"));
    }
    if !prune.damaged().is_empty() {
        ui.hint("what no other lob accounts for stays, as it may belong to it: see lob fsck");
    }
}

/// What becomes of all lobs.
#[derive(Default)]
pub(super) struct Report {
    pub(super) goes: Sum,
    pub(super) stays: BTreeMap<Stay, Sum>,
}

/// The event `lob`.
#[derive(Serialize)]
struct Lob<'a> {
    action: &'static str,
    id: String,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(flatten)]
    path: json::Path<'a>,
}

impl Report {
    /// Goes through the plan; prints what goes, and with `--verbose` what stays.
    fn of(
        plan: &PrunePlan<'_>,
        needed: &[Needed],
        unproven: &HashSet<LobId>,
        ui: &Ui,
    ) -> Result<Report, Failure> {
        let wants: HashMap<LobId, &Needed> =
            needed.iter().rev().map(|want| (want.id, want)).collect();
        let mut report = Report::default();
        let mut failed = None;
        let listed = plan.each_lob(&mut |lob, fate| {
            let want = wants.get(&lob.id).copied();
            let stay = match (fate, want) {
                (Fate::Goes, _) => None,
                (_, Some(want)) => Some(want.stay),
                (Fate::Young, None) => Some(Stay::Young),
                (_, None) if unproven.contains(&lob.id) => Some(Stay::Unproven),
                (_, None) => Some(Stay::Left),
            };
            match stay {
                None => report.goes.add(lob.size),
                Some(stay) => report.stays.entry(stay).or_default().add(lob.size),
            }
            let path: &[u8] = want.map_or(&[], |want| &want.path);
            print(&lob, stay, path, ui).map_err(|failure| {
                failed = Some(failure);
                lob_store::Error::Interrupted
            })
        });
        match failed {
            Some(failure) => Err(failure),
            None => Ok(listed.map(|()| report)?),
        }
    }

    fn tell(&self, args: &Args, cost: PruneCost, ui: &Ui) -> Result<(), Failure> {
        self.say_what_stays(ui);
        let goes = lobs(self.goes.lobs, self.goes.size);
        if args.dry_run {
            ui.say(match cost.packs {
                0 => "nothing would go".to_string(),
                _ => format!("{goes} would go, and give back about {}", Size(cost.freed)),
            });
        }
        self.event(cost.freed, cost.moved, ui)
    }

    pub(super) fn say_what_stays(&self, ui: &Ui) {
        for (stay, sum) in &self.stays {
            let text = stay.text();
            ui.say(format_args!("{} stay: {text}", lobs(sum.lobs, sum.size)));
        }
    }

    /// The event `plan`.
    pub(super) fn event(&self, freed: u64, moved: u64, ui: &Ui) -> Result<(), Failure> {
        ui.event(
            "plan",
            Planned {
                lobs: self.goes.lobs,
                size: self.goes.size,
                bytes: freed,
                rewritten: moved,
                stays: self
                    .stays
                    .iter()
                    .map(|(stay, sum)| (stay.name(), sum.lobs))
                    .collect(),
            },
        )
    }
}

/// Prints what becomes of a lob, for which a pointer at `path` asks where one does.
pub(super) fn print(
    lob: &LobInfo,
    stay: Option<Stay>,
    path: &[u8],
    ui: &Ui,
) -> Result<(), Failure> {
    if ui.is_json() {
        return ui.record(
            "lob",
            Lob {
                action: if stay.is_some() { "keep" } else { "drop" },
                id: lob.id.to_string(),
                size: lob.size,
                reason: stay.map(Stay::name),
                path: json::Path(path),
            },
        );
    }
    let size = Size(lob.size);
    match stay {
        None => ui.line(format_args!("drop {size:>9} {}", lob.id)),
        Some(stay) if ui.verbosity() > 0 => ui.line(format_args!(
            "keep {size:>9} {} {} ({})",
            lob.id,
            escape::path(path),
            stay.name()
        )),
        Some(_) => Ok(()),
    }
}

/// The event `plan`.
#[derive(Serialize)]
struct Planned {
    lobs: u64,
    size: u64,
    bytes: u64,
    rewritten: u64,
    stays: BTreeMap<&'static str, u64>,
}

/// The event `summary`.
#[derive(Serialize)]
struct Summary {
    lobs: u64,
    size: u64,
    bytes: u64,
    waiting: u64,
    aside: u64,
}

fn carry_out(plan: PrunePlan<'_>, report: &Report, ui: &Ui) -> Outcome {
    let swept = run_plan(plan, ui)?;
    let goes = lobs(report.goes.lobs, report.goes.size);
    ui.say(match (report.goes.lobs, swept.bytes) {
        (0, 0) => "nothing to prune".to_string(),
        (_, bytes) => format!("pruned {goes}: {} given back", Size(bytes)),
    });
    tell_swept(report, &swept.into(), "lob prune", ui)
}

/// Carries a plan out.
fn run_plan(plan: PrunePlan<'_>, ui: &Ui) -> Result<Swept, Failure> {
    let why = "it did not come to its end";
    let moved = plan.cost().moved;
    if moved == 0 {
        return plan.run(&()).because(why);
    }
    let bar = ui.bar("Rewriting", Some(moved), None);
    let swept = plan.run(&bar).because(why)?;
    bar.finish();
    Ok(swept)
}

/// Tells what waits and what stays after a run, and the event `summary`.
pub(super) fn tell_swept(report: &Report, swept: &Freed, verb: &str, ui: &Ui) -> Outcome {
    if swept.waiting > 0 {
        ui.say(format_args!(
            "{} more come back when commands that run now have ended: run {verb} again then",
            Size(swept.waiting)
        ));
    }
    if swept.unreadable > 0 {
        ui.warn(format_args!(
            "packs that stay as they are, since something in them cannot be read: {}",
            swept.unreadable
        ));
        ui.hint("see what is damaged: lob fsck --deep");
    }
    ui.event(
        "summary",
        Summary {
            lobs: report.goes.lobs,
            size: report.goes.size,
            bytes: swept.bytes,
            waiting: swept.waiting,
            aside: swept.aside,
        },
    )?;
    Ok(match swept.unreadable {
        0 => Exit::Done,
        _ => Exit::Incomplete,
    })
}
