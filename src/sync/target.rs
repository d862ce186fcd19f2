//! Which store a remote means.

use std::path::PathBuf;

use lob_store::disk::OsDisk;
use lob_store::{Epoch, Store, StoreId};

use super::contact::Contacts;
use super::error::{Error, Result};
use super::home::Home;
use super::state::State;
use super::users::{User, Users};
use crate::git::path::path_buf;
use crate::git::remotes::{self, Direction};
use crate::git::settings::lob_url;
use crate::git::{GitError, Repo};
use crate::remote::http;
use crate::remote::{self, Access, Care, Location, Remote, Served, open_dir};

/// A remote and the place of its store. Making one touches no remote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The name of the git remote, or the path or URL that was given in its place.
    pub name: String,
    place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// The store itself.
    Store(Location),
    /// A git repository that has the store inside, by the URL that git uses.
    Inside(Vec<u8>),
    /// The same on another machine, where a service is asked.
    Beyond(Vec<u8>, http::Place),
}

impl Target {
    /// The remote of this name, or the store at this path or URL.
    pub fn named(repo: &Repo, name: &str, access: Access) -> Result<Target> {
        if remotes::names(repo)?.iter().any(|known| known == name) {
            if let Some(own) = lob_url(repo.config()?, name)? {
                return Target::at(repo, name, own);
            }
            let url = remotes::url(repo, name, direction(access))?;
            return Target::inside(repo, name, url);
        }
        if !name.contains(['/', '\\', ':']) && !name.starts_with(['.', '~']) {
            return Err(Error::UnknownRemote(name.into()));
        }
        Target::at(repo, name, name)
    }

    /// The store of a remote whose git URL is known, as git's pre-push hook is told.
    pub fn of(repo: &Repo, name: &str, url: &[u8]) -> Result<Target> {
        match lob_url(repo.config()?, name)? {
            Some(own) => Target::at(repo, name, own),
            None => Target::inside(repo, name, url.to_vec()),
        }
    }

    /// The remote that is meant where none is named.
    pub fn default(repo: &Repo, access: Access) -> Result<Target> {
        let name = remotes::default_remote(repo, direction(access))?.ok_or(Error::NoRemote)?;
        Target::named(repo, &name, access)
    }

    /// Every remote to fetch from, by what that costs: `remote.<name>.lobCost`, else those in this file
    /// system before those of this machine or its own network, and these before others. Of equal ones the
    /// default comes first. Those that cannot be reached by any transport of this version are left out.
    pub fn sources(repo: &Repo) -> Result<Vec<Target>> {
        let mut names = remotes::names(repo)?;
        if let Some(default) = remotes::default_remote(repo, Direction::Fetch)? {
            names.retain(|name| *name != default);
            names.insert(0, default);
        }
        let targets = names
            .iter()
            .map(|name| Target::named(repo, name, Access::Read));
        let targets = targets.filter_map(Result::ok);
        let priced = targets.map(|target| Ok((target.cost(repo)?, target)));
        let mut priced: Vec<(i64, Target)> = priced.collect::<Result<_>>()?;
        priced.sort_by_key(|(cost, _)| *cost);
        Ok(priced.into_iter().map(|(_, target)| target).collect())
    }

    /// What fetching from it costs, as git-annex counts: what is here 100, what is far 200.
    fn cost(&self, repo: &Repo) -> Result<i64> {
        let usual = match self.served() {
            None => 100,
            Some(place) if place.is_near() => 150,
            Some(_) => 200,
        };
        let key = format!("remote.{}.lobCost", self.name);
        Ok(repo.config()?.int(key)?.unwrap_or(usual))
    }

    fn at(repo: &Repo, name: &str, place: &str) -> Result<Target> {
        Ok(Target {
            name: name.into(),
            place: Place::Store(locate(repo, place)?),
        })
    }

    fn inside(repo: &Repo, name: &str, url: Vec<u8>) -> Result<Target> {
        let place = match remotes::local_path(&url) {
            Some(_) => Place::Inside(url),
            None => match locate(repo, &String::from_utf8_lossy(&url))? {
                Location::Served(place) => Place::Beyond(url, place),
                Location::Dir(_) => Place::Inside(url),
            },
        };
        Ok(Target {
            name: name.into(),
            place,
        })
    }

    /// The store that this remote was when it was last met, found without touching it.
    pub fn met(&self, repo: &Repo) -> Result<Option<StoreId>> {
        let key = format!("remote.{}.lobStoreId", self.name);
        match repo.config()?.text(&key)? {
            Some("none") => Ok(None),
            Some(id) => id.parse().map(Some).map_err(|_| {
                GitError::value(key, id.as_bytes(), "expected the id of a store, or none").into()
            }),
            None => {
                let contacts = Contacts::load(&State::of(&repo.lob_dir()));
                Ok(contacts.store(&self.name, &self.describe()))
            }
        }
    }

    /// The epoch of the store, as far as that can be told without opening it.
    pub fn epoch(&self, repo: &Repo) -> Option<Epoch> {
        let dir = self.dir(repo).ok()?;
        // A store that is not there has no epoch; one without the file is in its first.
        dir.join("state").is_dir().then_some(())?;
        lob_store::epoch(&OsDisk, &dir).ok()
    }

    /// The URL of the git repository that has the store inside; `None` where it is elsewhere.
    pub fn git_url(&self) -> Option<Vec<u8>> {
        match &self.place {
            Place::Store(_) => None,
            Place::Inside(url) | Place::Beyond(url, _) => Some(url.clone()),
        }
    }

    /// The URL of the git remote of this name, to which the commits go that need what is in the store;
    /// `None` where the store was named itself.
    pub fn git_remote(&self, repo: &Repo) -> Result<Option<Vec<u8>>> {
        match remotes::names(repo)?.contains(&self.name) {
            true => Ok(Some(remotes::url(repo, &self.name, Direction::Push)?)),
            false => Ok(None),
        }
    }

    /// Opens the store as it is.
    pub fn open(&self, repo: &Repo) -> Result<Store> {
        Ok(open_dir(&self.dir(repo)?, Access::Read, self.met(repo)?)?)
    }

    /// Tells a store that is in no git repository of its own who pushes to it.
    fn sign(&self, repo: &Repo, store: &Store) -> Result<()> {
        if self.git_url().is_some() {
            return Ok(());
        }
        let user = match self.git_remote(repo)? {
            Some(url) => User::remote(repo, &url),
            None => User::clone_of(repo),
        };
        let failed = Error::state(&store.root().join("state/users"));
        Users::of(store.root()).add(&user).map_err(failed)
    }

    /// Whether the commits that need what is in the store go to another repository than the one at its
    /// place, if one is there.
    pub fn is_elsewhere(&self, repo: &Repo) -> Result<bool> {
        let Place::Store(Location::Served(place)) = &self.place else {
            return Ok(false);
        };
        let url = self.git_remote(repo)?;
        let git = url.and_then(|url| http::Place::parse(&String::from_utf8_lossy(&url)).ok());
        Ok(!git.is_some_and(|git| git.is_same_repository(place)))
    }

    /// Opens the store, and writes down which one it is.
    pub fn connect(&self, repo: &Repo, access: Access) -> Result<Box<dyn Remote>> {
        let store: Box<dyn Remote> = match self.served() {
            Some(place) => {
                let means = (repo.git(), repo.config()?);
                let served = Served::at(place, means, access, self.met(repo)?)?;
                Box::new(served.used_from_elsewhere(self.is_elsewhere(repo)?))
            }
            None => {
                let store = open_dir(&self.dir(repo)?, access, self.met(repo)?)?;
                if access == Access::Write {
                    self.sign(repo, &store)?;
                }
                Box::new(store)
            }
        };
        let state = State::of(&repo.lob_dir());
        let recorded = Contacts::record(&state, &self.name, &self.describe(), store.store_id());
        // Where this can't be written down, reading is still good.
        if access == Access::Write {
            recorded.map_err(Error::state(&repo.lob_dir().join("state")))?;
        }
        Ok(store)
    }

    /// Reaches the service that has the store, for who looks after it; `None` where it is in this file
    /// system.
    pub fn care(&self, repo: &Repo) -> Result<Option<Care>> {
        let means = (repo.git(), repo.config()?);
        let care = self.served().map(|place| Care::at(place, means));
        Ok(care.transpose()?)
    }

    /// The service that has the store.
    fn served(&self) -> Option<&http::Place> {
        match &self.place {
            Place::Store(Location::Served(place)) | Place::Beyond(_, place) => Some(place),
            Place::Store(Location::Dir(_)) | Place::Inside(_) => None,
        }
    }

    /// The place for messages, and what its store is remembered by. Found without touching it.
    pub fn describe(&self) -> String {
        match &self.place {
            Place::Store(location) => location.text(),
            Place::Inside(url) => format!("lob/ in {}", String::from_utf8_lossy(url)),
            Place::Beyond(_, place) => format!("lob/ in {place}"),
        }
    }

    /// The directory of the store, whether one is there or not.
    ///
    /// # Errors
    /// [`remote::Error::NoFiles`] where it is behind a service.
    pub fn dir(&self, repo: &Repo) -> Result<PathBuf> {
        match &self.place {
            Place::Store(Location::Dir(dir)) => Ok(dir.clone()),
            Place::Store(Location::Served(place)) | Place::Beyond(_, place) => {
                Err(remote::Error::NoFiles(place.to_string()).into())
            }
            Place::Inside(url) => match remotes::behind(repo, url.clone()) {
                remotes::Location::Repository(dir) => Ok(Home::behind(dir)),
                remotes::Location::Absent(path) => Err(Error::NoGitRepository(path)),
                _ => Err(Error::NoGitRepository(path_buf(url))),
            },
        }
    }
}

fn direction(access: Access) -> Direction {
    match access {
        Access::Read => Direction::Fetch,
        Access::Write => Direction::Push,
    }
}

fn locate(repo: &Repo, text: &str) -> Result<Location> {
    let home = repo.git().env("HOME").map(PathBuf::from);
    Ok(Location::parse(text, repo.git().dir(), home.as_deref())?)
}

#[cfg(test)]
mod tests;
