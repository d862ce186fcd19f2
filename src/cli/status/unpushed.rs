//! What the remote is not known to hold.

use crate::git::refs;
use crate::git::{Oid, Repo};
use crate::remote::Access;
use crate::sync::ledger::{Horizon, Ledger};
use crate::sync::state::State;
use crate::sync::wanted::{self, Want};
use crate::sync::{Error, Result, Target};

/// The lobs of commits that were not pushed to the remote that a push would go to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unpushed {
    /// The name of the remote; `None` where the repository has none.
    pub(super) remote: Option<String>,
    /// The lobs, as their pointers name them.
    pub(super) lobs: Vec<Want>,
}

/// Finds them without touching the remote: commits count as pushed when the ledger says so, or when
/// git has them on a branch of the remote, since lobs go before commits.
pub(super) fn find(repo: &Repo) -> Result<Unpushed> {
    let target = match Target::default(repo, Access::Write) {
        Ok(target) => target,
        Err(Error::NoRemote) => {
            return Ok(Unpushed {
                remote: None,
                lobs: Vec::new(),
            });
        }
        Err(error) => return Err(error),
    };
    let tips = wanted::tips(repo)?;
    let known = known(repo, &target)?;
    let is_news = tips.iter().any(|tip| !known.contains(tip));
    let lobs = match is_news {
        true => wanted::committed(repo, &tips, &known)?,
        false => Vec::new(),
    };
    Ok(Unpushed {
        remote: Some(target.name),
        lobs,
    })
}

fn known(repo: &Repo, target: &Target) -> Result<Vec<Oid>> {
    let mut known = Vec::new();
    if let Some(store) = target.met(repo)? {
        let ledger = Ledger::load(&State::of(&repo.lob_dir()), store, Horizon::of(repo));
        known.extend_from_slice(ledger.tips());
    }
    // A mirror has the remote's branches in the place of its own.
    let fetched = format!("remote.{}.fetch", target.name);
    let is_mirror = |spec: &[u8]| spec == b"+refs/*:refs/*";
    let branches = match repo.config()?.get_all(fetched).any(is_mirror) {
        true => "refs".into(),
        false => format!("refs/remotes/{}", target.name),
    };
    let branches = refs::list(repo, &[&branches])?;
    known.extend(branches.iter().map(|one| one.oid));
    Ok(known)
}
