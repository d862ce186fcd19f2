//! Fetching: lobs that are wanted here come from a remote that has them.

use std::collections::HashSet;

use lob_store::{LobId, LobInfo, Progress};

use super::complete;
use super::error::{Error, Result};
use super::job::{Job, Link};
use super::local::Local;
use super::plan::{Asking, Direction, Missing, Plan, Why};
use super::push;
use super::run::{Sides, carry_out};
use super::target::Target;
use super::wanted::Want;
use crate::remote::{self, Access, Pace};

/// Plans to bring here what of `wants` is lacking. Where nothing is, the remote is not touched. What is
/// here in part alone, since packs are gone, is missing: a fetch takes what the tables tell for true.
pub fn wanted<'a>(
    local: &'a Local,
    target: Target,
    wants: Vec<Want>,
    waiting: &dyn Fn(),
) -> Result<Job<'a>> {
    let torn = torn(local, &wants)?;
    let lacking = lacking(local, wants)?;
    if lacking.is_empty() {
        return Ok(Job::nothing(local, target, Asking::ToPull).without(torn));
    }
    let link = Link::to_read(local, &target, waiting)?;
    let mut plan = Plan::make(
        Asking::ToPull,
        lacking,
        link.remote.as_ref(),
        local.store()?,
    )?;
    plan.missing.extend(torn);
    Ok(Job::planned(local, target, plan, link, Vec::new()))
}

/// As [`wanted`], from the first of these remotes that can be asked; what it does not have, or cannot give,
/// comes from those behind it.
///
/// # Errors
/// That of the first, where none can be asked.
pub fn from_all<'a>(
    local: &'a Local,
    targets: Vec<Target>,
    wants: Vec<Want>,
    waiting: &dyn Fn(),
) -> Result<Job<'a>> {
    let mut trouble = Vec::new();
    let mut targets = targets.into_iter();
    while let Some(target) = targets.next() {
        let name = target.name.clone();
        match wanted(local, target, wants.clone(), waiting) {
            Ok(job) => return Ok(job.with_others(targets.collect(), trouble)),
            Err(error) if error.is_interrupted() => return Err(error),
            Err(error) => trouble.push((name, error)),
        }
    }
    let first = trouble.into_iter().next();
    Err(first.map_or(Error::NoRemote, |(_, error)| error))
}

/// Plans to bring here everything that a remote holds, referenced or not.
pub fn complete<'a>(local: &'a Local, target: Target, waiting: &dyn Fn()) -> Result<Job<'a>> {
    let link = Link::to_read(local, &target, waiting)?;
    let (store, state) = (local.store()?, push::state(local));
    let plan = complete::plan(Asking::ToPull, store, link.remote.as_ref(), &state)?;
    Ok(Job::planned(local, target, plan, link, Vec::new()))
}

/// Those of `wants` that the local store holds, and not whole.
fn torn(local: &Local, wants: &[Want]) -> Result<Vec<Missing>> {
    if wants.is_empty() {
        return Ok(Vec::new());
    }
    let store = local.store()?;
    let ids: Vec<LobId> = wants.iter().map(|want| want.id).collect();
    let torn: HashSet<LobId> = store.torn(&ids)?.into_iter().collect();
    let torn = wants.iter().filter(|want| torn.contains(&want.id));
    let why = Why::Damaged {
        what: store.root().display().to_string(),
        why: "a pack is gone that held a part of it".into(),
    };
    Ok(torn
        .map(|want| Missing {
            want: want.clone(),
            why: why.clone(),
        })
        .collect())
}

/// Those of `wants` that the local store does not hold.
pub(super) fn lacking(local: &Local, wants: Vec<Want>) -> Result<Vec<Want>> {
    if wants.is_empty() {
        return Ok(wants);
    }
    let store = local.store()?;
    let mut lacking = Vec::new();
    for want in wants {
        if store.lob(&want.id)?.is_none() {
            lacking.push(want);
        }
    }
    Ok(lacking)
}

/// What became of lobs that a checkout asked for.
#[derive(Debug, Default)]
pub struct Fetched {
    /// Lobs that came.
    pub lobs: u64,
    /// Bytes that moved for them.
    pub bytes: u64,
    /// Lobs that no remote has, by what their pointers say of them.
    pub missing: Vec<LobInfo>,
    /// Those of them that a remote has with another length, and that length.
    pub other_size: Vec<(LobInfo, u64)>,
    /// Why remotes could not be asked, each with its name.
    pub trouble: Vec<(String, Error)>,
}

/// Brings lobs here that a checkout needs and lacks, from the first remote that has them, by what they
/// cost. Trouble with a remote is part of the answer and stops nothing; the
/// turn at the remote is not waited for, as a checkout should not wait for longer transfers.
///
/// # Errors
/// Trouble on this side: with the local store, git or the configuration; or an interruption.
pub fn lobs(local: &Local, wanted: &[Want], progress: &dyn Progress) -> Result<Fetched> {
    let mut fetched = Fetched::default();
    // A pointer that lies about the length must not stand in the way of one that does not.
    let mut wanted = wanted.to_vec();
    wanted.sort_by_key(|want| (want.id, want.size));
    wanted.dedup_by_key(|want| want.info());
    let mut wants = lacking(local, wanted)?;
    let pace = Pace::of(local.repo().settings()?.bwlimit);
    for target in Target::sources(local.repo())? {
        if wants.is_empty() {
            break;
        }
        match from_one(local, &target, &wants, &pace, progress) {
            Ok((report, left)) => {
                fetched.lobs += report.0;
                fetched.bytes += report.1;
                for Missing { want, why } in &left {
                    match why {
                        Why::OtherSize { found } => {
                            fetched.other_size.push((want.info(), *found));
                        }
                        Why::Damaged { what, why } => {
                            let error = lob_store::Error::damaged(what, why).into();
                            fetched.trouble.push((target.name.clone(), error));
                        }
                        Why::Nowhere | Why::Aside => {}
                    }
                }
                wants = left.into_iter().map(|missing| missing.want).collect();
            }
            // Nothing was ever pushed there, which is no trouble but an answer.
            Err(Error::Remote(remote::Error::NoStore(_))) => {}
            Err(error) if error.is_interrupted() => return Err(error),
            Err(error) => fetched.trouble.push((target.name.clone(), error)),
        }
        // What came before the trouble is here.
        wants = lacking(local, wants)?;
    }
    fetched.missing = wants.iter().map(Want::info).collect();
    Ok(fetched)
}

/// The lobs and bytes that came, and what is still wanted.
type Took = ((u64, u64), Vec<Missing>);

fn from_one(
    local: &Local,
    target: &Target,
    wants: &[Want],
    pace: &Pace,
    progress: &dyn Progress,
) -> Result<Took> {
    let remote = target.connect(local.repo(), Access::Read)?;
    let sides = Sides {
        local: local.store()?,
        remote: remote.as_ref(),
        reserve: local.repo().settings()?.reserve,
    };
    let (from, to) = sides.ends(Direction::Pull);
    let mut plan = Plan::make(Asking::ToPull, wants.to_vec(), from, to)?;
    let mut came = (0, 0);
    if !plan.is_empty() {
        plan.rely(local, remote.as_ref());
        let report = carry_out(&mut plan, sides, pace, progress)?;
        came = (report.lobs, report.bytes);
    }
    Ok((came, plan.missing))
}
