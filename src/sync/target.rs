//! Which store a remote means.

use std::fs;
use std::path::{Path, PathBuf};

use lob_store::StoreId;

use super::contact::Contacts;
use super::error::{Error, Result};
use super::state::State;
use crate::git::settings::lob_url;
use crate::git::{Config, Repo};
use crate::remote::{Access, Location, Remote, open_dir};

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
    /// A git repository that has the store inside.
    GitRepository(Location),
}

impl Target {
    /// The remote of this name, or the store at this path or URL.
    pub fn named(repo: &Repo, name: &str, access: Access) -> Result<Target> {
        let config = repo.config()?;
        if config.remotes().contains(&name.as_bytes()) {
            let url = git_url(config, name, access)?;
            return Target::of(repo, name, &url);
        }
        if !name.contains(['/', '\\']) && !name.starts_with(['.', '~']) {
            return Err(Error::UnknownRemote(name.into()));
        }
        Ok(Target {
            name: name.into(),
            place: Place::Store(locate(repo, name)?),
        })
    }

    /// The store of a remote whose git URL is known, as git's pre-push hook is told.
    pub fn of(repo: &Repo, name: &str, url: &str) -> Result<Target> {
        let place = match lob_url(repo.config()?, name)? {
            Some(own) => Place::Store(locate(repo, own)?),
            None => Place::GitRepository(locate(repo, url)?),
        };
        Ok(Target {
            name: name.into(),
            place,
        })
    }

    /// The remote that is meant where none is named.
    pub fn default(repo: &Repo, access: Access) -> Result<Target> {
        let name = default_name(repo, access)?.ok_or(Error::NoRemote)?;
        Target::named(repo, &name, access)
    }

    /// Every remote to fetch from, the default one first. Those of transports that are not
    /// supported are left out.
    pub fn sources(repo: &Repo) -> Result<Vec<Target>> {
        let config = repo.config()?;
        let mut names: Vec<String> = default_name(repo, Access::Read)?.into_iter().collect();
        for name in config.remotes() {
            let name = String::from_utf8_lossy(name).into_owned();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let targets = names
            .iter()
            .map(|name| Target::named(repo, name, Access::Read));
        Ok(targets.filter_map(Result::ok).collect())
    }

    /// The store that this remote was when it was last met, found without touching it.
    pub fn met(&self, repo: &Repo) -> Result<Option<StoreId>> {
        let key = format!("remote.{}.lobStoreId", self.name);
        match repo.config()?.text(&key)? {
            Some("none") => Ok(None),
            Some(id) => id.parse().map(Some).map_err(|_| {
                crate::git::GitError::value(key, id.as_bytes(), "expected a store id or none")
                    .into()
            }),
            None => Ok(Contacts::load(&State::of(&repo.lob_dir())).store(&self.name, &self.key())),
        }
    }

    /// Opens the store, and writes down which one it is.
    pub fn connect(&self, repo: &Repo, access: Access) -> Result<Box<dyn Remote>> {
        let dir = self.dir()?;
        let store = open_dir(&dir, access, self.met(repo)?)?;
        let state = State::of(&repo.lob_dir());
        // A local store that can't be written to is still good to read into a checkout from.
        let recorded = Contacts::record(&state, &self.name, &self.key(), store.id());
        if access == Access::Write {
            recorded.map_err(Error::state(&repo.lob_dir().join("state")))?;
        }
        Ok(Box::new(store))
    }

    /// The place for messages, found without touching it.
    pub fn describe(&self) -> String {
        match &self.place {
            Place::Store(location) => location.text(),
            Place::GitRepository(location) => format!("{} (lob/)", location.text()),
        }
    }

    /// What the store is remembered by.
    fn key(&self) -> String {
        self.describe()
    }

    fn dir(&self) -> Result<PathBuf> {
        match &self.place {
            Place::Store(Location::Dir(dir)) => Ok(dir.clone()),
            Place::GitRepository(Location::Dir(dir)) => {
                let found = git_dir(dir).ok_or_else(|| Error::NoGitRepository(dir.clone()))?;
                Ok(found.join("lob"))
            }
        }
    }
}

fn locate(repo: &Repo, text: &str) -> Result<Location> {
    let home = repo.git().env("HOME").map(PathBuf::from);
    Ok(Location::parse(text, repo.git().dir(), home.as_deref())?)
}

/// The URL that git uses for a remote, after its rules for rewriting.
fn git_url(config: &Config, name: &str, access: Access) -> Result<String> {
    let url = config.text(format!("remote.{name}.url"))?;
    let own = match access {
        Access::Write => config.text(format!("remote.{name}.pushUrl"))?,
        Access::Read => None,
    };
    let url = own.or(url).ok_or_else(|| Error::NoUrl(name.into()))?;
    if access == Access::Write
        && own.is_none()
        && let Some(url) = rewritten(config, url, ".pushinsteadof")
    {
        return Ok(url);
    }
    Ok(rewritten(config, url, ".insteadof").unwrap_or_else(|| url.into()))
}

/// The longest prefix that a rule names is replaced.
fn rewritten(config: &Config, url: &str, rule: &str) -> Option<String> {
    let mut best: Option<(usize, String)> = None;
    for key in config.keys() {
        let key = std::str::from_utf8(key).ok()?;
        let Some(base) = key
            .strip_prefix("url.")
            .and_then(|key| key.strip_suffix(rule))
        else {
            continue;
        };
        for prefix in config.get_all(key) {
            let prefix = String::from_utf8_lossy(prefix);
            let longer = best.as_ref().is_none_or(|(len, _)| prefix.len() > *len);
            if let (Some(rest), true) = (url.strip_prefix(&*prefix), longer) {
                best = Some((prefix.len(), format!("{base}{rest}")));
            }
        }
    }
    best.map(|(_, url)| url)
}

/// `lob.remote`, else what git would use on this branch, else `origin`, else the only one.
fn default_name(repo: &Repo, access: Access) -> Result<Option<String>> {
    let config = repo.config()?;
    if let Some(name) = &repo.settings()?.remote {
        return Ok(Some(name.clone()));
    }
    let branch = current_branch(repo, config);
    let of_branch = |variable| match &branch {
        Some(branch) => config.text(format!("branch.{branch}.{variable}")),
        None => Ok(None),
    };
    let mut name = None;
    if access == Access::Write {
        name = of_branch("pushRemote")?.or(config.text("remote.pushDefault")?);
    }
    if name.is_none() {
        // A branch may follow another one of the same repository.
        name = of_branch("remote")?.filter(|name| *name != ".");
    }
    let remotes = config.remotes();
    let fallback = match remotes.as_slice() {
        _ if remotes.contains(&&b"origin"[..]) => Some("origin".to_string()),
        [only] => Some(String::from_utf8_lossy(only).into_owned()),
        _ => None,
    };
    Ok(name.map(str::to_string).or(fallback))
}

fn current_branch(repo: &Repo, config: &Config) -> Option<String> {
    // Most repositories have one remote, and then it does not matter where HEAD is.
    if config.remotes().len() < 2 {
        return None;
    }
    let head = repo.git().line(["symbolic-ref", "-q", "--short", "HEAD"]);
    String::from_utf8(head.ok()?).ok()
}

/// The git directory that a path means to git, with the one that all its work trees share.
fn git_dir(path: &Path) -> Option<PathBuf> {
    let with_suffix = |suffix: &str| {
        let mut text = path.as_os_str().to_os_string();
        text.push(suffix);
        PathBuf::from(text)
    };
    let candidates = ["/.git", "", ".git/.git", ".git"].map(with_suffix);
    candidates.iter().find_map(|candidate| {
        if candidate.is_file() {
            let text = short_text(candidate)?;
            let target = text.strip_prefix("gitdir: ")?;
            return common_dir(&candidate.parent()?.join(target));
        }
        common_dir(candidate)
    })
}

fn common_dir(dir: &Path) -> Option<PathBuf> {
    if !dir.join("HEAD").exists() {
        return None;
    }
    let common = match short_text(&dir.join("commondir")) {
        Some(text) => dir.join(text),
        None => dir.to_path_buf(),
    };
    common.join("objects").is_dir().then_some(common)
}

fn short_text(file: &Path) -> Option<String> {
    let meta = fs::metadata(file).ok()?;
    if !meta.is_file() || meta.len() > 64 << 10 {
        return None;
    }
    let text = fs::read_to_string(file).ok()?;
    Some(text.trim_end_matches(['\n', '\r']).to_string())
}

#[cfg(test)]
mod tests;
