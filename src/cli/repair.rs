//! `lob repair`: a damaged store is made whole, and what it lost comes back from elsewhere.

mod report;

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use lob_store::disk::OsDisk;
use lob_store::fsck::{Depth, Finding, Gravity, examine};
use lob_store::repair::{RepairPlan, Repaired, Step, plan};
use lob_store::{LobId, PackId, Store};

use super::transfer::local;
use super::{Outcome, remedy};
use crate::git::Repo;
use crate::remote::Access;
use crate::sync::convert::said;
use crate::sync::repair::Traceless;
use crate::sync::wanted::Want;
use crate::sync::{Home, Target, fsck, repair};
use crate::ui::{Exit, Explain, Failure, Ui};

use report::Report;

/// Make a damaged store whole, and bring back what it lost
///
/// Reads the whole local store. What is good of a damaged pack moves to a new pack; a pack of which
/// something cannot be read is then set aside in .git/lob/damaged, where nothing deletes it. Tables, the
/// index and roots are written anew, and packs that no root names become part of the store. What is lost
/// comes back from files of the work tree that have that content still, and from remotes: only that moves,
/// and of it not what a file that was changed since still has.
///
/// Where packs are gone with all that told what they held, what the index and recent commits need comes
/// back, and with --from whatever branches, tags and stashes lead to; what no remote of this repository
/// holds is lost in any case. What a remote holds beyond that is got when it is needed, as in any clone.
///
/// The plan is printed first; with --dry-run nothing else is done. Git and other lob commands may go on
/// meanwhile, and a repair that was killed is simply run again. The exit code is 3 where something
/// could not be had: run it again when another remote or clone can be asked.
///
/// With --json: an event "step" for each step ("action", "object"), an event "lob" for each lob that is
/// lost ("source" is file, the name of a remote, or null), an event "lost" for each that could not be
/// had, and one event "summary".
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lob repair --dry-run          what would be done
  lob repair                    ask every remote for what is lost
  lob repair --from /mnt/usb    ask only this store")]
pub(super) struct Args {
    /// Show what would be done, and do nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Remotes, or paths or URLs of stores, that are asked for what is lost, instead of all remotes
    #[arg(long, value_name = "REMOTE", num_args = 1..)]
    from: Vec<String>,
}

pub(super) fn run(args: Args, ui: &Ui) -> Outcome {
    let local = local()?;
    let repo = local.repo();
    let home = Home::of(repo)?;
    if home.is_missing()? {
        ui.say("nothing to repair: there is no store here yet");
        return Ok(Exit::Done);
    }
    let remotes = match args.from.as_slice() {
        [] => Target::sources(repo)?,
        names => {
            let named = names.iter();
            let named = named.map(|name| Target::named(repo, name, Access::Read));
            named.collect::<Result<Vec<_>, _>>()?
        }
    };
    let mut job = Repair {
        repo,
        dir: home.dir(),
        asked: fsck::asked_here(repo)?,
        remotes,
        are_named: !args.from.is_empty(),
        report: Report::new(ui),
        ui,
    };
    let found = job.examine(repair::Losses::default())?;
    if args.dry_run {
        return job.show(&found);
    }
    job.carry_out(found)
}

/// How often a store is examined when each time something was set aside or could not be examined: what
/// one failure of the disk hid the next examination finds, and a disk that goes on to fail is told of.
const ROUNDS: u32 = 3;

/// A repair of the local store.
struct Repair<'a> {
    repo: &'a Repo,
    dir: &'a Path,
    asked: Vec<Want>,
    remotes: Vec<Target>,
    /// Whether the user named these remotes.
    are_named: bool,
    report: Report<'a>,
    ui: &'a Ui,
}

/// What an examination came to.
struct Found {
    plan: RepairPlan,
    losses: repair::Losses,
    is_open: bool,
}

impl Found {
    /// What could not be examined.
    fn unseen(&self) -> impl Iterator<Item = &Finding> {
        let others = self.plan.others().iter();
        others.filter(|finding| finding.gravity <= Gravity::Damage)
    }

    /// Whether this was all there is to find: the roots tell what packs there are only when they are
    /// whole.
    fn is_certain(&self) -> bool {
        let mut steps = self.plan.steps();
        let are_roots_whole = !steps.any(|s| matches!(s, Step::Roots | Step::Format));
        self.is_open && are_roots_whole && self.unseen().next().is_none()
    }
}

impl Repair<'_> {
    /// Plans, and prints the plan: not again what is known to be lost.
    fn examine(&mut self, mut known: repair::Losses) -> Result<Found, Failure> {
        let bar = self.ui.bar("Examining", None, None);
        let plan = plan(Arc::new(OsDisk), self.dir, Depth::Deep, None, &bar)?;
        bar.finish();
        let before: HashSet<LobId> = known.list.iter().map(|one| one.want.id).collect();
        let lost = plan.lost().filter(|id| !before.contains(id));
        let lost: Vec<LobId> = lost.copied().collect();
        // One that does not open says nothing of what it holds.
        let store = Store::open(Arc::new(OsDisk), self.dir).ok();
        let wants = repair::wants(store.as_ref(), &lost, &self.asked)?;
        let are_missing = plan.missing().next().is_some();
        let traceless = match &store {
            Some(store) => {
                Traceless::of(self.repo, store, &self.asked, are_missing, self.are_named)?
            }
            None => Traceless::default(),
        };
        let mut new = repair::locate(self.repo, wants, &traceless, &self.remotes)?;
        for step in plan.steps() {
            self.report.step(step)?;
        }
        new.list.retain(|loss| !before.contains(&loss.want.id));
        for loss in &new.list {
            self.report.loss(loss, &self.remotes)?;
        }
        known.list.append(&mut new.list);
        known.trouble = new.trouble;
        Ok(Found {
            plan,
            losses: known,
            is_open: store.is_some(),
        })
    }

    /// Ends a dry run.
    fn show(&self, found: &Found) -> Outcome {
        self.tell_trouble(&found.losses);
        found.unseen().for_each(|finding| self.ui.warn(finding));
        self.report.planned();
        let mut losses = found.losses.list.iter();
        let is_lost = losses.any(|loss| loss.source == repair::Source::Nowhere);
        match is_lost || found.unseen().next().is_some() {
            true => Ok(Exit::Incomplete),
            false => Ok(Exit::Done),
        }
    }

    fn tell_trouble(&self, losses: &repair::Losses) {
        for (name, error) in &losses.trouble {
            self.ui
                .warn(format_args!("{name} cannot be asked: {}", said(error)));
        }
        remedy::show(losses.trouble.iter().map(|(_, error)| error as _), self.ui);
    }

    fn carry_out(mut self, mut found: Found) -> Outcome {
        let mut repaired = self.mend(&found.plan)?;
        let mut is_certain = found.is_certain() && repaired.aside.is_empty();
        for _ in 1..ROUNDS {
            if is_certain {
                break;
            }
            found = self.examine(found.losses)?;
            let again = self.mend(&found.plan)?;
            is_certain = found.is_certain() && again.aside.is_empty();
            repaired.aside.extend(again.aside);
            // What failed before and is still to be done was tried again.
            repaired.failed = again.failed;
        }
        self.report.repaired(&repaired);
        let store = Store::open(Arc::new(OsDisk), self.dir)?;
        let lost = self.bring_back(&store, &mut found.losses)?;
        let missing: Vec<PackId> = found.plan.missing().copied().collect();
        if lost.is_empty() {
            store.forget(&missing)?;
        }
        let mut rest = self.look_again()?;
        let unseen = found.unseen().map(ToString::to_string);
        rest.extend(unseen.filter(|one| !rest.contains(one)).collect::<Vec<_>>());
        self.report.finish(found.losses.list.len(), &lost, &rest)
    }

    fn mend(&self, plan: &RepairPlan) -> Result<Repaired, Failure> {
        let why = "the repair did not come to its end";
        let done = match plan.steps().next() {
            None => plan.run(&()).because(why)?,
            Some(_) => {
                let bar = self.ui.bar("Repairing", None, None);
                let done = plan.run(&bar).because(why)?;
                bar.finish();
                done
            }
        };
        done.ok_or_else(|| {
            Failure::new("another lob prune or lob repair is at work here")
                .hint("run this again when it has ended")
        })
    }

    /// Brings back what is lost; returns what could not be had.
    fn bring_back(&self, store: &Store, losses: &mut repair::Losses) -> Result<Vec<Want>, Failure> {
        if losses.list.is_empty() {
            return Ok(Vec::new());
        }
        let size = losses.list.iter().map(|loss| loss.want.size).sum();
        let count = losses.list.len() as u64;
        let bar = self.ui.bar("Receiving", Some(size), Some(count));
        let lost = repair::bring_back(self.repo, store, losses, &self.remotes, &bar)?;
        bar.finish();
        self.tell_trouble(losses);
        Ok(lost)
    }

    /// What is lost or damaged still, as a quick examination tells.
    fn look_again(&self) -> Result<Vec<String>, Failure> {
        let mut rest = Vec::new();
        let disk = Arc::new(OsDisk);
        let _ = examine(disk, self.dir, Depth::Quick, &(), &mut |finding| {
            if finding.gravity <= Gravity::Damage {
                rest.push(finding.to_string());
            }
        })?;
        Ok(rest)
    }
}
