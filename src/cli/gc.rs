//! `lob gc`: a store that others use gives up what none of them needs.

use std::time::SystemTime;

use lob_store::{LobId, Store};

use super::grace::Grace;
use super::prune::{Report, Sum, run_plan, tell_swept, warn_of_damage};
use super::transfer::{lobs, local, named};
use super::{Outcome, store_of};
use crate::git::Repo;
use crate::remote::Access;
use crate::sync::claims::Claims;
use crate::sync::users::Users;
use crate::sync::{Error, Home, Target};
use crate::ui::bytes::Size;
use crate::ui::{Exit, Failure, Ui};

/// Clean a remote store, or that of a bare repository, up
///
/// Sets aside the lobs of a store that no commit needs any more: none that a ref or a reflog of the git
/// remote leads to that the store belongs to, nor one of this repository, nor of anybody else who has
/// pushed to the store. Where somebody of them cannot be asked from here, nothing is done, unless --force.
///
/// What is set aside stays for the grace period, and comes back when it is pushed again, or when somebody
/// asks for it. A later lob gc brings back what is referenced again, and deletes the rest. Others may push
/// and fetch meanwhile. A run that would set aside more than half of the store stops and asks for --force.
///
/// Without --remote, in a bare repository, it cleans the store in it. For the store of a clone there is lob
/// prune. With --json: an event "lob" for each ("action" is drop or keep, "reason" why it is kept), one
/// event "plan", and after the run one event "summary".
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lob gc --remote origin --dry-run   what would go, and why the rest stays
  lob gc --remote origin
  lob gc                             in a bare repository")]
pub(super) struct Args {
    /// The remote, or the path or URL of a store, to be cleaned up
    #[arg(long, value_name = "REMOTE")]
    remote: Option<String>,
    /// Show what would go and why the rest stays, and change nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Leave alone what was stored or pushed again in this time, and keep what is set aside for as long:
    /// minutes, or with an h or d after it hours or days
    #[arg(long, value_name = "TIME", default_value = "14d")]
    grace: Grace,
    /// Go on though somebody who uses the store cannot be asked, or though most of it goes
    #[arg(long)]
    force: bool,
    /// Forget one who has used the store and is gone for good, by the place that an earlier run named
    #[arg(long, value_name = "PLACE")]
    forget: Vec<String>,
}

/// Less than this may always go.
const FLOOR: Sum = Sum {
    lobs: 10,
    size: 64 << 20,
};

pub(super) fn run(args: Args, ui: &Ui) -> Outcome {
    let local = local()?;
    let repo = local.repo();
    let target = named(repo, args.remote.as_deref(), Access::Write)?;
    let Some(store) = open(repo, target.as_ref())? else {
        ui.say("nothing to clean up: there is no store here yet");
        return Ok(Exit::Done);
    };
    forget(&args.forget, args.dry_run, &store, ui)?;
    let claims = Claims::of(repo, target.as_ref(), store.root())?;
    complain(&claims, &args, ui)?;
    if !args.dry_run {
        bring_back(&store, &claims, ui)?;
    }
    let Some(mut prune) = store.prune(args.grace.before(SystemTime::now()))? else {
        ui.say("another lob gc or lob prune is at work there");
        return Ok(Exit::Done);
    };
    prune.set_aside(args.grace.0);
    for want in &claims.needed {
        prune.keep(&want.id)?;
    }
    warn_of_damage(&prune, ui);
    let plan = prune.plan()?;
    let report = Report::of(&plan, &claims.needed, &Default::default(), ui)?;
    report.say_what_stays(ui);
    report.event(plan.cost(), ui)?;
    let goes = lobs(report.goes.lobs, report.goes.size);
    let brake = brake(&report);
    if args.dry_run {
        ui.say(match report.goes.lobs {
            0 => "nothing would be set aside".to_string(),
            _ => format!("{goes} would be set aside for {}", args.grace),
        });
        brake.iter().for_each(|brake| ui.warn(brake.message()));
        return Ok(Exit::Done);
    }
    if let Some(brake) = brake.filter(|_| !args.force) {
        return Err(brake);
    }
    let swept = run_plan(plan, ui)?;
    // Refs that came meanwhile may need what has just gone.
    let claims = Claims::of(repo, target.as_ref(), store.root())?;
    bring_back(&store, &claims, ui)?;
    match (report.goes.lobs, swept.bytes) {
        (0, 0) => ui.say("nothing to clean up"),
        (0, _) => {}
        _ => ui.say(format_args!("set aside {goes}, for {}", args.grace)),
    }
    if swept.bytes > 0 {
        ui.say(format_args!("{} given back", Size(swept.bytes)));
    }
    if swept.aside > 0 {
        ui.say(format_args!(
            "{} are set aside, and come back when lob gc is run later",
            Size(swept.aside)
        ));
    }
    tell_swept(&report, &swept, "lob gc", ui)
}

/// The store that is meant.
fn open(repo: &Repo, target: Option<&Target>) -> Result<Option<Store>, Failure> {
    let Some(target) = target else {
        if repo.work_tree().is_some() {
            return Err(
                Failure::usage("lob gc cleans remote stores up, and bare repositories")
                    .hint("name the remote: lob gc --remote origin")
                    .hint("for the store of this repository: lob prune"),
            );
        }
        return Ok(store_of(repo)?);
    };
    let store = target.open(repo)?;
    let real = |path: &std::path::Path| std::fs::canonicalize(path).ok();
    if repo.work_tree().is_some() && real(store.root()) == real(Home::of(repo)?.dir()) {
        let what = format!("{} is the store of this repository itself", target.name);
        return Err(Failure::usage(what).hint("lob prune knows what is needed here, and lob prune --shared in all clones that share it"));
    }
    Ok(Some(store))
}

/// Forgets those who were at these places; in a dry run it is only looked whether there are any.
pub(super) fn forget(
    places: &[String],
    is_dry: bool,
    store: &Store,
    ui: &Ui,
) -> Result<(), Failure> {
    let users = Users::of(store.root());
    let failed = || Error::state(&store.root().join("state/users"));
    for place in places {
        let known = users.list().map_err(failed())?.into_iter();
        let meant: Vec<_> = known.filter(|known| known.user.place == *place).collect();
        if meant.is_empty() {
            return Err(
                Failure::usage(format_args!("nobody at {place:?} uses this store"))
                    .hint("run it without --forget: it names those who cannot be asked"),
            );
        }
        for known in meant.iter().filter(|_| !is_dry) {
            users.forget(&known.user).map_err(failed())?;
            ui.say(format_args!("{} is forgotten", known.user.describe()));
        }
    }
    Ok(())
}

/// Stops where somebody cannot be asked.
fn complain(claims: &Claims, args: &Args, ui: &Ui) -> Result<(), Failure> {
    let open = claims.unknown.iter();
    let open: Vec<_> = open
        .filter(|one| !(args.dry_run && args.forget.contains(&one.place)))
        .collect();
    if open.is_empty() {
        return Ok(());
    }
    for one in &open {
        ui.warn(format_args!(
            "it cannot be told what is needed: {}",
            one.why
        ));
        ui.hint(&one.way);
    }
    if args.force {
        return Ok(());
    }
    let what = "somebody who uses this store cannot be asked what must stay";
    Err(Failure::new(what).hint("to do without them: --force"))
}

/// Brings back what was set aside and is needed.
fn bring_back(store: &Store, claims: &Claims, ui: &Ui) -> Result<(), Failure> {
    let ids: Vec<LobId> = claims.needed.iter().map(|want| want.id).collect();
    let held = store.lobs(&ids)?.into_iter();
    let gone = ids.into_iter().zip(held).filter(|(_, held)| held.is_none());
    let gone: Vec<LobId> = gone.map(|(id, _)| id).collect();
    match store.bring_back(&gone)? {
        0 => {}
        n => ui.say(format_args!(
            "lobs that are needed again and came back: {n}"
        )),
    }
    Ok(())
}

/// What stops a run that takes an unusual share.
fn brake(report: &Report) -> Option<Failure> {
    let mut all = report.goes;
    for stays in report.stays.values() {
        all.lobs += stays.lobs;
        all.size += stays.size;
    }
    let goes = report.goes;
    let is_small = goes.lobs <= FLOOR.lobs && goes.size <= FLOOR.size;
    if is_small || goes.lobs * 2 <= all.lobs && goes.size * 2 <= all.size {
        return None;
    }
    let (goes, all) = (lobs(goes.lobs, goes.size), lobs(all.lobs, all.size));
    let what = format!("{goes} of {all} would go: is this the right store?");
    Some(Failure::new(what).hint("see which they are with --dry-run; to set them aside: --force"))
}
