//! Pushing: what commits reference goes to a remote before they do.

use std::collections::{HashMap, HashSet};

use lob_store::{Cursor, Epoch, LobId, StoreId};

use super::bases;
use super::complete;
use super::error::{Error, Result};
use super::job::{Job, Link};
use super::ledger::{Horizon, Ledger};
use super::local::Local;
use super::plan::{Asking, Plan};
use super::state::State;
use super::target::Target;
use super::wanted::{self, Want};
use crate::git::{Oid, refs};

/// Plans to bring to a remote what it lacks of all that `tips` reference. The history is scanned
/// first, from where the ledger ends, and the remote is touched only if pointers are in it. With `dry`
/// no store is made there; the job must not be run then.
pub fn committed<'a>(
    local: &'a Local,
    target: Target,
    tips: Vec<Oid>,
    dry: bool,
    waiting: &dyn Fn(),
) -> Result<Job<'a>> {
    let met = target.met(local.repo())?;
    // Where the store cannot be reached, what it held last counts: refs that nothing new goes with
    // need it no more than before.
    let now = target.epoch(local.repo());
    let ledger = met.map(|store| ledger(local, store));
    let ledger = ledger.filter(|ledger| now.is_none_or(|now| now == ledger.epoch()));
    let wants = unknown(local, &tips, ledger.as_ref())?;
    if wants.is_empty() {
        if let Some(ledger) = ledger.filter(|ledger| !knows(ledger, &tips)) {
            // A repository that can't be written to costs a scan the next time, and no more.
            let _ = learn(local, ledger, &tips, None);
        }
        return Ok(Job::nothing(local, target, Asking::ToPush));
    }
    let link = Link::to_write(local, &target, dry, waiting)?;
    let remote = link.remote.as_ref();
    let mut now = self::ledger(local, remote.store_id());
    let forgotten = now.meet(remote.cursor()?, link.epoch);
    if forgotten && !dry {
        save(local, &now)?;
    }
    let known = !forgotten
        && ledger
            .as_ref()
            .is_none_or(|ledger| *ledger.tips() == *now.tips());
    let wants = match known {
        true => wants,
        // What was left out of the scan may be missing there after all.
        false => unknown(local, &tips, Some(&now))?,
    };
    let bases = match dry {
        true => HashMap::new(),
        // Hints: a push goes without them too.
        false => {
            bases::versions(local.repo(), local.store()?, &wants, now.tips()).unwrap_or_default()
        }
    };
    let mut plan = Plan::make(asking(dry), wants, local.store()?, remote)?;
    plan.bases = bases;
    Ok(Job::planned(local, target, plan, link, tips))
}

/// Plans what has to reach a remote before git pushes these refs: `lines` is the input of git's
/// pre-push hook, `LOCAL-REF LOCAL-OID REMOTE-REF REMOTE-OID` each, where an id of zeros deletes.
///
/// # Errors
/// [`Error::Unsendable`] where a lob of a new commit is on neither side: then the refs must not go
/// either.
pub fn before_refs<'a>(
    local: &'a Local,
    name: &str,
    url: &[u8],
    lines: &[u8],
    waiting: &dyn Fn(),
) -> Result<Option<Job<'a>>> {
    let mut tips = Vec::new();
    for line in lines
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        let tip = local_oid(line).ok_or_else(|| Error::bad_hook_line(line))?;
        if !tip.is_zero() && !tips.contains(&tip) {
            tips.push(tip);
        }
    }
    if tips.is_empty() {
        return Ok(None);
    }
    let target = match Target::of(local.repo(), name, url) {
        Ok(target) => target,
        // Where no store can be, only a push of pointers is wrong.
        Err(_) if news(local, name, &tips)?.is_empty() => return Ok(None),
        Err(error) => return Err(error),
    };
    let job = committed(local, target, tips.clone(), false, waiting)?;
    let mut missing = job.plan().missing.clone();
    if !missing.is_empty() {
        // What went without its lobs before is there already, and stopping would help nobody.
        let new: HashSet<LobId> = news(local, name, &tips)?
            .iter()
            .map(|want| want.id)
            .collect();
        missing.retain(|missing| new.contains(&missing.want.id));
    }
    match missing.as_slice() {
        [] => Ok(Some(job)),
        missing => Err(Error::unsendable(missing)),
    }
}

fn asking(dry: bool) -> Asking {
    match dry {
        true => Asking::ToSee,
        false => Asking::ToPush,
    }
}

/// What `tips` reference and no branch of the remote had when git last heard of it.
fn news(local: &Local, name: &str, tips: &[Oid]) -> Result<Vec<Want>> {
    let prefix = format!("refs/remotes/{name}");
    let known: Vec<Oid> = refs::list(local.repo(), &[&prefix])?
        .iter()
        .map(|one| one.oid)
        .collect();
    wanted::committed(local.repo(), tips, &known)
}

fn local_oid(line: &[u8]) -> Option<Oid> {
    let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    let [_, local, _, remote] = *words.as_slice() else {
        return None;
    };
    Oid::from_hex(remote)?;
    Oid::from_hex(local)
}

/// Plans to bring everything that the local store holds to a remote, referenced or not.
pub fn complete<'a>(
    local: &'a Local,
    target: Target,
    dry: bool,
    waiting: &dyn Fn(),
) -> Result<Job<'a>> {
    let link = Link::to_write(local, &target, dry, waiting)?;
    let store = local.store()?;
    let plan = complete::plan(asking(dry), store, link.remote.as_ref(), &state(local))?;
    Ok(Job::planned(local, target, plan, link, Vec::new()))
}

/// What `tips` reference and the ledger does not know to be there.
fn unknown(local: &Local, tips: &[Oid], ledger: Option<&Ledger>) -> Result<Vec<Want>> {
    if ledger.is_some_and(|ledger| knows(ledger, tips)) {
        return Ok(Vec::new());
    }
    let known = ledger.map(Ledger::tips).unwrap_or_default();
    wanted::committed(local.repo(), tips, known)
}

fn knows(ledger: &Ledger, tips: &[Oid]) -> bool {
    tips.iter().all(|tip| ledger.holds(tip))
}

/// Writes down that a remote store holds all that `tips` reference, as it said at `now`, in an epoch
/// that began before it was asked.
pub(super) fn learn(
    local: &Local,
    mut ledger: Ledger,
    tips: &[Oid],
    now: Option<(Cursor, Epoch)>,
) -> Result<()> {
    let (now, epoch) = now.unwrap_or((ledger.cursor(), ledger.epoch()));
    ledger.meet(now, epoch);
    let covered = covered(local, tips, ledger.tips())?;
    ledger.record(tips, &covered, now);
    save(local, &ledger)
}

fn save(local: &Local, ledger: &Ledger) -> Result<()> {
    let dir = local.repo().lob_dir();
    let saved = ledger.save(&State::of(&dir));
    saved.map_err(Error::state(&dir.join("state")))
}

/// Those of `old` that are direct ancestors of what `tips` added to them: `git rev-list` prints
/// them as the boundary, with a dash.
fn covered(local: &Local, tips: &[Oid], old: &[Oid]) -> Result<HashSet<Oid>> {
    if old.is_empty() {
        return Ok(HashSet::new());
    }
    let mut input = String::new();
    for tip in tips {
        input.push_str(&format!("{tip}\n"));
    }
    for tip in old {
        input.push_str(&format!("^{tip}\n"));
    }
    let words = ["rev-list", "--boundary", "--ignore-missing", "--stdin"];
    let answer = local.repo().git().feed(words, input.into_bytes())?;
    let boundary = answer.split(|&byte| byte == b'\n');
    Ok(boundary
        .filter_map(|line| Oid::from_hex(line.strip_prefix(b"-")?))
        .collect())
}

/// What is remembered between runs.
pub(super) fn state(local: &Local) -> State {
    State::of(&local.repo().lob_dir())
}

pub(super) fn ledger(local: &Local, store: StoreId) -> Ledger {
    Ledger::load(&state(local), store, Horizon::of(local.repo()))
}
