//! Who has a store in common, and what each of them needs of it: for a prune by one of them.
//!
//! Every clone is asked by git itself, as it would ask for its own prune. One that cannot be asked stops
//! the prune, for lobs carry no owner. Who pushes to the store as to a remote needs all that he pushed.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use lob_store::LobId;

use super::claims::Claims;
use super::error::{Error, Result};
use super::keep::{self, Needed, Stay};
use super::users::{Known, Use, User, Users};
use crate::git::Repo;
use crate::remote::Unknown;

const DAY: u64 = 86_400;

/// All who use a shared store.
#[derive(Debug)]
pub struct Sharers {
    /// What they need, each lob once.
    pub needed: Vec<Needed>,
    /// The other clones that were asked.
    pub clones: Vec<Repo>,
    /// Who cannot be asked.
    pub unknown: Vec<Unknown>,
    /// Clones that are not there, and of whom nobody knew that yet.
    pub away: Vec<User>,
    /// Clones that are there again.
    pub back: Vec<User>,
    /// Clones that were not there for so long that they are done without.
    pub released: Vec<Known>,
    claims: Claims,
    known: HashSet<LobId>,
    dirs: HashSet<PathBuf>,
    grace: u64,
    now: u64,
}

impl Sharers {
    /// Asks all who use the store in `root`, `repo` first, save those at the places in `forgotten`.
    /// `now` is in seconds since 1970.
    pub fn ask(repo: &Repo, root: &Path, forgotten: &[String], now: u64) -> Result<Sharers> {
        let mut all = Sharers {
            needed: Vec::new(),
            clones: Vec::new(),
            unknown: Vec::new(),
            away: Vec::new(),
            back: Vec::new(),
            released: Vec::new(),
            claims: Claims::default(),
            known: HashSet::new(),
            dirs: HashSet::new(),
            grace: u64::from(repo.settings()?.prune_clones_days) * DAY,
            now,
        };
        let _ = all.keep(repo, None)?;
        let (users, mut asked) = (Users::of(root), HashSet::new());
        // Who came while others were asked is asked too.
        loop {
            let mut list = users
                .list()
                .map_err(Error::state(&root.join("state/users")))?;
            list.retain(|known| {
                !forgotten.contains(&known.user.place) && asked.insert(known.user.clone())
            });
            if list.is_empty() {
                break;
            }
            for known in list {
                match known.user.by {
                    Use::Share => all.clone_at(known)?,
                    Use::Clone | Use::Remote | Use::Served => {
                        all.claims.add_user(Some(repo), &known.user)?
                    }
                }
            }
        }
        let claimed = std::mem::take(&mut all.claims);
        all.unknown.extend(claimed.unknown);
        for needed in claimed.needed {
            all.add(needed);
        }
        Ok(all)
    }

    fn clone_at(&mut self, known: Known) -> Result<()> {
        let place = PathBuf::from(&known.user.place);
        let meta = place.symlink_metadata();
        let is_gone = meta.is_err_and(|error| {
            matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
        });
        if is_gone && known.user.is_here() {
            self.is_away(known);
            return Ok(());
        }
        let way = |hint: Option<String>| {
            let forget = format!("if it is gone for good: --forget {:?}", known.user.place);
            hint.map_or(forget.clone(), |hint| format!("{hint}; {forget}"))
        };
        let found = known.user.repository();
        let kept = found.map(|repo| self.keep(&repo, Some(Stay::Clone)).map(|new| (repo, new)));
        let (why, hint) = match kept {
            Ok(Ok((repo, new))) => {
                self.clones.extend(new.then_some(repo));
                self.back.extend(known.away.map(|_| known.user));
                return Ok(());
            }
            Ok(Err(error)) if error.is_interrupted() => return Err(error),
            Ok(Err(error)) => (error.to_string(), error.hint()),
            Err((why, hint)) => (why, hint),
        };
        self.refuse(&known.user, why, way(hint));
        Ok(())
    }

    /// A clone that is not where it was.
    fn is_away(&mut self, known: Known) {
        let since = known.away.unwrap_or(self.now);
        let gone = self.now.saturating_sub(since);
        if gone >= self.grace {
            self.released.push(known);
            return;
        }
        let rest = (self.grace - gone).div_ceil(DAY);
        let why = match gone / DAY {
            0 => "it is not there".to_string(),
            1 => "it is not there since yesterday".to_string(),
            days => format!("it is not there since {days} days"),
        };
        let way = format!(
            "is its disk mounted? It is waited for, for {rest} more days (lob.pruneClonesDays); if it is gone or was moved: --forget {:?}",
            known.user.place
        );
        self.refuse(&known.user, why, way);
        if known.away.is_none() {
            self.away.push(known.user);
        }
    }

    fn refuse(&mut self, user: &User, why: String, way: String) {
        self.unknown.push(Unknown {
            place: user.place.clone(),
            why: format!("{}: {why}", user.describe()),
            way,
        });
    }

    /// Takes in what a clone needs, for a reason that is given or each for its own. Returns whether it
    /// was not asked before.
    fn keep(&mut self, repo: &Repo, stay: Option<Stay>) -> Result<bool> {
        let dir = repo.common_dir();
        let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_path_buf());
        if !self.dirs.insert(dir) {
            return Ok(false);
        }
        let now = i64::try_from(self.now).unwrap_or(i64::MAX);
        for mut needed in keep::needed(repo, now)? {
            needed.stay = stay.unwrap_or(needed.stay);
            self.add(needed);
        }
        Ok(true)
    }

    fn add(&mut self, needed: Needed) {
        if self.known.insert(needed.id) {
            self.needed.push(needed);
        }
    }
}
