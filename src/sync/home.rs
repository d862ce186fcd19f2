//! Which store a clone uses: the one in its git directory, or one that it shares with others
//! (`lob.store`).
//!
//! A clone stays with the store that holds its lobs, and remembers which one that is: only `lob init`
//! moves it, and brings the lobs along. So a change of the configuration makes nothing invisible, and a
//! disk that is not mounted is not taken for a new store.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lob_store::disk::{Disk, OsDisk};
use lob_store::{Store, StoreId};

use super::error::{Error, Result};
use super::state::State;
use super::users::{User, Users};
use crate::git::settings::{Kind, STORE};
use crate::git::{GitError, Repo, path::path_buf};
use crate::remote::{self, Access, open_dir};

const FILE: &str = "home";
const HEADING: &str = "lob home 1";

/// The store of a clone, whether it is there or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    dir: PathBuf,
    is_shared: bool,
    /// The store that it was when this clone first used it.
    met: Option<StoreId>,
}

impl Home {
    /// The store of a repository. Where it has kept nothing yet the configuration says which one.
    pub fn of(repo: &Repo) -> Result<Home> {
        let own = repo.lob_dir();
        if let Some((id, dir)) = load(&own) {
            let moved = match is_store(&dir) {
                true => None,
                false => asked(repo)?.filter(|new| id_of(new) == Some(id)),
            };
            return Ok(Home::shared(moved.unwrap_or(dir), Some(id)));
        }
        match holds_lobs(&own) {
            true => Ok(Home::own(repo)),
            false => Home::asked(repo),
        }
    }

    /// The store that the configuration asks for.
    pub fn asked(repo: &Repo) -> Result<Home> {
        Ok(match asked(repo)? {
            None => Home::own(repo),
            Some(dir) => match load(&repo.lob_dir()).filter(|(_, known)| *known == dir) {
                Some((id, dir)) => Home::shared(dir, Some(id)),
                None => Home::shared(dir, None),
            },
        })
    }

    /// The one in the git directory.
    pub fn own(repo: &Repo) -> Home {
        Home {
            dir: repo.lob_dir(),
            is_shared: false,
            met: None,
        }
    }

    fn shared(dir: PathBuf, met: Option<StoreId>) -> Home {
        Home {
            dir,
            is_shared: true,
            met,
        }
    }

    /// The directory of the store that the repository uses whose own one would be in `lob_dir`.
    pub fn behind(lob_dir: PathBuf) -> PathBuf {
        load(&lob_dir).map_or(lob_dir, |(_, dir)| dir)
    }

    /// The same place, whatever store was there before.
    #[must_use]
    pub fn anew(self) -> Home {
        Home { met: None, ..self }
    }

    /// What keeps the lobs of a repository apart from the store that it asks for, where something does.
    pub fn unsettled(repo: &Repo) -> Result<Option<String>> {
        let (now, asked, own) = (Home::of(repo)?, Home::asked(repo)?, Home::own(repo));
        let place = now.dir.display();
        Ok(match (now.is_at(&asked), asked.is_shared) {
            (false, true) => Some(format!(
                "{STORE} is {}, but the lobs of this clone are in {place}",
                asked.dir.display()
            )),
            (false, false) => Some(format!(
                "{STORE} is not set any more, but the lobs of this clone are in {place}"
            )),
            (true, true) if own.holds_lobs() => Some(format!(
                "lobs were left in {} that the shared store may lack",
                own.dir.display()
            )),
            (true, _) => None,
        })
    }

    /// The directory of the store.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether other clones may use it too.
    pub fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// Whether it is the same place.
    pub fn is_at(&self, other: &Home) -> bool {
        real(&self.dir) == real(&other.dir)
    }

    /// Whether there are lobs in it, as far as that can be told without opening it.
    pub fn holds_lobs(&self) -> bool {
        holds_lobs(&self.dir)
    }

    /// Whether there is nothing there yet.
    ///
    /// # Errors
    /// [`Error::Shared`] where a store was there before, [`Error::Foreign`] where it is another user's.
    pub fn is_missing(&self) -> Result<bool> {
        let is_missing = match self.is_shared {
            false => !{ self.dir.try_exists() }.map_err(lob_store::Error::at(&self.dir))?,
            true => OsDisk.list(&self.dir).map_or_else(
                |error| error.kind() == std::io::ErrorKind::NotFound,
                |entries| entries.is_empty(),
            ),
        };
        if self.is_shared && !is_missing {
            check_owner(&self.dir)?;
        }
        match self.met.filter(|_| is_missing) {
            None => Ok(is_missing),
            Some(expected) => Err(self.failed()(remote::Error::Gone {
                path: self.dir.clone(),
                expected,
            })),
        }
    }

    /// Opens it, if it is there.
    pub fn look(&self) -> Result<Option<Store>> {
        if self.is_missing()? {
            return Ok(None);
        }
        if !self.is_shared {
            return Ok(Some(Store::open(Arc::new(OsDisk), &self.dir)?));
        }
        let store = open_dir(&self.dir, Access::Read, self.met);
        store.map(Some).map_err(self.failed())
    }

    /// Opens it, and makes it where there is none. A store that is shared knows the repository before
    /// that relies on anything in it, and the repository remembers the store.
    pub fn open(&self, repo: &Repo) -> Result<Store> {
        let store = self.enter(repo)?;
        self.settle(repo, &store)?;
        Ok(store)
    }

    /// The same, save that the repository does not remember it yet.
    pub fn enter(&self, repo: &Repo) -> Result<Store> {
        if !self.is_shared {
            return Ok(Store::open_or_create(Arc::new(OsDisk), &self.dir)?);
        }
        check_owner(&self.dir)?;
        let store = open_dir(&self.dir, Access::Write, self.met).map_err(self.failed())?;
        let users = store.root().join("state/users");
        let signed = User::sharing(repo).and_then(|user| Users::of(store.root()).add(&user));
        signed.map_err(Error::state(&users))?;
        Ok(store)
    }

    /// Lets the repository use it from now on.
    pub fn settle(&self, repo: &Repo, store: &Store) -> Result<()> {
        let own = repo.lob_dir();
        let state = State::of(&own);
        let failed = Error::state(&own.join("state").join(FILE));
        if !self.is_shared {
            // A store that cannot be written to is read all the same.
            return match state.read(FILE) {
                Some(_) => state.remove(FILE).map_err(failed),
                None => Ok(()),
            };
        }
        let place = self.dir.to_string_lossy();
        let lines = format!(
            "{HEADING}\n{} {}\n",
            store.id(),
            serde_json::Value::from(&*place)
        );
        if state.read(FILE).is_some_and(|known| known == lines) {
            return Ok(());
        }
        let made = OsDisk
            .create_dir(&own)
            .and_then(|()| OsDisk.create_dir(&own.join("state")))
            .and_then(|()| OsDisk.sync_dir(&own))
            .and_then(|()| OsDisk.sync_dir(repo.common_dir()));
        made.and_then(|()| state.write(FILE, &lines))
            .map_err(failed)
    }

    fn failed(&self) -> impl FnOnce(remote::Error) -> Error + use<> {
        let path = self.dir.clone();
        move |why| match why {
            remote::Error::Store(error) => Error::Store(error),
            why => Error::Shared { path, why },
        }
    }
}

/// What `lob.store` says.
fn asked(repo: &Repo) -> Result<Option<PathBuf>> {
    let config = repo.config()?;
    let Some(value) = config.get(STORE).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    // Others push into the store inside a bare repository, and look for it there.
    if config.bool("core.bare", false)? {
        return Ok(None);
    }
    Kind::Path.check(STORE, Some(value))?;
    let dir = match path_buf(value) {
        dir if dir.is_absolute() => dir,
        _ => expanded(repo, value)?,
    };
    let is_own = real(&dir) == real(&repo.lob_dir());
    match dir.ancestors().find(|dir| is_git_dir(dir)) {
        _ if is_own => Ok(None),
        None => Ok(Some(dir)),
        Some(git_dir) => {
            let why = format!(
                "it is inside the git directory {}, which does not know that others use it",
                git_dir.display()
            );
            Err(GitError::value(STORE, value, why).into())
        }
    }
}

/// The path with its `~` expanded as git does it.
fn expanded(repo: &Repo, value: &[u8]) -> Result<PathBuf> {
    let words = ["config", "-z", "--type=path", "--get", STORE];
    let answer = repo.git().output(words)?;
    let dir = path_buf(answer.strip_suffix(b"\0").unwrap_or(&answer));
    match dir.is_absolute() && std::str::from_utf8(&answer).is_ok() {
        true => Ok(dir),
        false => Err(GitError::value(STORE, value, "expected an absolute path in UTF-8").into()),
    }
}

fn is_git_dir(dir: &Path) -> bool {
    dir.join("HEAD").symlink_metadata().is_ok() && dir.join("objects").is_dir()
}

/// What was written down in `lob_dir`.
fn load(lob_dir: &Path) -> Option<(StoreId, PathBuf)> {
    let text = State::of(lob_dir).read(FILE)?;
    let mut lines = text.lines();
    (lines.next()? == HEADING).then_some(())?;
    let (id, place) = lines.next()?.split_once(' ')?;
    let place: String = serde_json::from_str(place).ok()?;
    Some((id.parse().ok()?, PathBuf::from(place)))
}

fn is_store(dir: &Path) -> bool {
    dir.join("state/format").is_file()
}

fn id_of(dir: &Path) -> Option<StoreId> {
    let store = open_dir(dir, Access::Read, None).ok()?;
    Some(store.id())
}

fn holds_lobs(dir: &Path) -> bool {
    let any = |name| std::fs::read_dir(dir.join(name)).is_ok_and(|mut all| all.next().is_some());
    any("packs") || any("stage")
}

/// A store of somebody else's may be changed by him, whatever its packs say.
fn check_owner(dir: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let owner = dir.metadata().map(|meta| meta.uid());
        if owner.is_ok_and(|owner| owner != rustix::process::geteuid().as_raw()) {
            return Err(Error::Foreign(dir.to_path_buf()));
        }
    }
    Ok(())
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}
