//! Moving a clone from one store to another: its lobs go with it.
//!
//! They are copied before the clone remembers its new store, and once more after that, for commands that
//! ran meanwhile had opened the old one. Killed anywhere, it leaves all lobs in one of the two.

use std::time::SystemTime;

use lob_store::{LobId, Store};

use super::claims;
use super::complete::everything;
use super::error::{Error, Result};
use super::home::Home;
use super::plan::{Asking, Plan};
use super::run::Sides;
use super::users::{User, Users};
use super::wanted::{Reason, Want};
use crate::git::Repo;

/// A store that a clone leaves.
#[derive(Debug)]
pub struct Leaving {
    home: Home,
    store: Store,
    since: SystemTime,
}

impl Leaving {
    /// The stores that have lobs of this clone, where it is to use `goal`. With `abandon` one that
    /// cannot be opened is left behind.
    pub fn all(repo: &Repo, goal: &Home, abandon: bool) -> Result<Vec<Leaving>> {
        let since = SystemTime::now();
        let (now, own) = (Home::of(repo)?, Home::own(repo));
        let mut homes = vec![now];
        if homes.iter().all(|home| !home.is_at(&own)) && own.holds_lobs() {
            homes.push(own);
        }
        let mut all = Vec::new();
        for home in homes.into_iter().filter(|home| !home.is_at(goal)) {
            match home.look() {
                Ok(Some(store)) => all.push(Leaving { home, store, since }),
                Ok(None) => {}
                Err(_) if abandon => {}
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Plans to bring to another store what is this clone's: of its own one everything, of one that is
    /// shared what it needs.
    pub fn plan(&self, repo: &Repo, to: &Store) -> Result<Plan> {
        if !self.home.is_shared() {
            return everything(Asking::ToPush, &self.store, to);
        }
        let ids: Vec<LobId> = claims::of_repo(repo)?.iter().map(|want| want.id).collect();
        let held = self.store.lobs(&ids)?.into_iter().flatten();
        let wants = held.map(|lob| Want::bare(lob, Reason::Held));
        Ok(Plan::make(Asking::ToPush, wants, &self.store, to)?)
    }

    /// The two ends of the move.
    pub fn sides<'a>(&'a self, repo: &Repo, to: &'a Store) -> Result<Sides<'a>> {
        Ok(Sides {
            local: &self.store,
            remote: to,
            reserve: repo.settings()?.reserve,
        })
    }

    /// Gives back what the clone does not need any more, since all of it is elsewhere. Returns whether
    /// nothing is left of it here.
    pub fn end(self, repo: &Repo) -> Result<bool> {
        if self.home.is_shared() {
            let users = self.store.root().join("state/users");
            let gone =
                User::sharing(repo).and_then(|user| Users::of(self.store.root()).forget(&user));
            return gone.map(|()| true).map_err(Error::state(&users));
        }
        // What came since the plan was made is young.
        if let Some(prune) = self.store.prune(self.since)? {
            let _ = prune.plan()?.run(&())?;
        }
        Ok(!self.home.holds_lobs())
    }
}
