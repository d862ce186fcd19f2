//! `lob gc`: a store that others use gives up what none of them needs.

mod telling;

use lob_store::Store;

use super::grace::Grace;
use super::transfer::{local, named};
use super::{Outcome, store_of};
use crate::git::Repo;
use crate::remote::{Access, Care, Cleaned, End, Listener, Order};
use crate::sync::claims::Claims;
use crate::sync::{Home, Target, gc};
use crate::ui::{Exit, Failure, Ui};
use telling::{Telling, WithPaths};

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
/// A store behind ssh or HTTP is cleaned up there, by the lob that serves it, for who has the right admin
/// (docs/serve.md): by the refs and reflogs of the git repository around it, by all who signed it, and by what
/// is needed here. Who goes away before the end stops it at the next safe point.
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

impl Args {
    fn order(&self, ui: &Ui) -> Order {
        Order {
            grace: self.grace.0,
            dry_run: self.dry_run,
            force: self.force,
            lists: ui.is_json() || ui.verbosity() > 0,
            forget: self.forget.clone(),
        }
    }
}

pub(super) fn run(args: Args, ui: &Ui) -> Outcome {
    let local = local()?;
    let repo = local.repo();
    let target = named(repo, args.remote.as_deref(), Access::Write)?;
    if let Some(target) = &target
        && let Some(care) = target.care(repo)?
    {
        return far(&args, repo, target, &care, ui);
    }
    let Some(store) = open(repo, target.as_ref())? else {
        ui.say("nothing to clean up: there is no store here yet");
        return Ok(Exit::Done);
    };
    let telling = Telling::new(ui, &args);
    let claim = || Claims::of(repo, target.as_ref(), store.root());
    let done = gc::clean(&store, &args.order(ui), &claim, &telling);
    telling.end(done.map_err(Failure::from))
}

/// Has the store of a remote cleaned up by the service that has it.
fn far(args: &Args, repo: &Repo, target: &Target, care: &Care, ui: &Ui) -> Outcome {
    let expected = target.met(repo)?;
    // Whoever may not is told before all that is needed here is looked for.
    care.may_clean(expected)?;
    let mut claims = Claims::here(repo, target)?;
    let mut order = args.order(ui);
    loop {
        let telling = Telling::new(ui, args);
        for one in &claims.unknown {
            telling.hear(Cleaned::Unknown(one.clone()))?;
        }
        if !claims.unknown.is_empty() && !order.force {
            telling.hear(Cleaned::Ended(End::Unknown))?;
            return telling.end(Ok(()));
        }
        let needed = claims.needed.iter().map(|want| *want.id.as_bytes());
        let needed: Vec<[u8; 32]> = needed.collect();
        let paths = claims.needed.iter().rev();
        let with_paths = WithPaths {
            telling: &telling,
            paths: paths.map(|want| (want.id, &*want.path)).collect(),
        };
        let done = care.clean(expected, &order, (needed, claims.vouched()), &with_paths);
        drop(with_paths);
        // Those whom only the service cannot ask may be remotes here.
        if done.is_ok() && claims.vouch(repo, &telling.unknown())? {
            if !order.dry_run {
                order.forget.clear();
            }
            continue;
        }
        return telling.end(done.map_err(Failure::from));
    }
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
