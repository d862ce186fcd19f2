//! What a store must keep for all who use it: everything that their refs, reflogs and indexes lead to.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use lob_store::LobId;

use super::error::{Error, Result};
use super::keep::{self, Needed, Stay};
use super::target::Target;
use super::users::{Known, Use, User, Users, now};
use super::wanted;
use crate::git::remotes::{self, Direction};
use crate::git::{Pointer, Repo, Seen, scan};
use crate::remote::Unknown;

/// What is claimed of a store.
#[derive(Debug, Default)]
pub struct Claims {
    /// Each lob once.
    pub needed: Vec<Needed>,
    /// Who uses the store and cannot be asked from here.
    pub unknown: Vec<Unknown>,
    known: HashSet<LobId>,
    repos: HashSet<PathBuf>,
    remotes: HashSet<String>,
}

fn users_of(root: &Path) -> Result<Vec<Known>> {
    let users = Users::of(root).list();
    users.map_err(Error::state(&root.join("state/users")))
}

fn without_password(url: &str) -> String {
    let (scheme, rest) = url.split_at(url.find("://").map_or(0, |at| at + 3));
    match rest.split_once('@') {
        Some((login, rest)) if login.contains(':') && !login.contains('/') => {
            let user = login.split(':').next().unwrap_or_default();
            format!("{scheme}{user}@{rest}")
        }
        _ => url.into(),
    }
}

/// The name of the remote with this URL.
fn name_of(here: &Repo, url: &[u8]) -> Result<Option<String>> {
    let mut names = remotes::names(here)?.into_iter();
    Ok(names.find(|name| {
        let found = remotes::url(here, name, Direction::Push);
        found.is_ok_and(|found| found == url)
    }))
}

/// All that a repository leads to by its refs, reflogs and indexes.
pub fn of_repo(repo: &Repo) -> Result<Vec<Needed>> {
    let mut claims = Claims::default();
    claims.add_repo(repo)?;
    Ok(claims.needed)
}

impl Claims {
    /// Asks all who use the store of `target`, or the one in the bare repository `repo`.
    ///
    /// # Errors
    /// [`Error::Unfetched`] where a remote has commits that are not here.
    pub fn of(repo: &Repo, target: Option<&Target>, root: &Path) -> Result<Claims> {
        let mut claims = Claims::default();
        // Whatever is needed here is needed, whoever else there is.
        claims.add_repo(repo)?;
        let users = users_of(root)?;
        match target.map(|target| (target, target.git_url())) {
            None => claims.whole(repo)?,
            Some((target, Some(url))) => claims.add_url(Some(repo), &url, Some(&target.name))?,
            Some((target, None)) => {
                if let Some(url) = target.git_remote(repo)? {
                    claims.add_url(Some(repo), &url, Some(&target.name))?;
                } else if users.is_empty() {
                    claims.unsigned(root);
                }
            }
        }
        for known in users {
            claims.add_user(Some(repo), &known.user)?;
        }
        Ok(claims)
    }

    /// Asks, where the store in `root` is, all who use it, but those at the places that others vouch for,
    /// whose needs, and more, are `needed`.
    pub fn there(root: &Path, needed: &[[u8; 32]], vouched: &[String]) -> Result<Claims> {
        let mut claims = Claims::default();
        let around = root.parent().filter(|dir| remotes::is_git_dir(dir));
        let around = around.map(Repo::elsewhere).transpose()?;
        if let Some(repo) = &around {
            claims.add_repo(repo)?;
            claims.whole(repo)?;
        }
        let users = users_of(root)?;
        if around.is_none() && users.is_empty() && vouched.is_empty() {
            claims.unsigned(root);
        }
        for known in users {
            let User { host, place, .. } = &known.user;
            if !(host.is_empty() && vouched.contains(place)) {
                claims.add_user(around.as_ref(), &known.user)?;
            }
        }
        for id in needed {
            claims.add(LobId::from_bytes(*id), Box::default());
        }
        Ok(claims)
    }

    /// What can be told here of who uses a store behind a service: what is needed here, and what the git
    /// remote leads to whose commits need it, unless that has the store inside.
    ///
    /// # Errors
    /// [`Error::Unfetched`] where that remote has commits that are not here.
    pub fn here(repo: &Repo, target: &Target) -> Result<Claims> {
        let mut claims = Claims::default();
        claims.add_repo(repo)?;
        if target.is_elsewhere(repo)?
            && let Some(url) = target.git_remote(repo)?
        {
            claims.add_url(Some(repo), &url, Some(&target.name))?;
            // Also where it is a repository of this machine, of which others know nothing.
            let _ = claims
                .remotes
                .insert(String::from_utf8_lossy(&url).into_owned());
        }
        Ok(claims)
    }

    /// Asks those of `unknown` that are remotes here, and were not asked before. Whether there were any.
    pub fn vouch(&mut self, repo: &Repo, unknown: &[Unknown]) -> Result<bool> {
        let before = self.remotes.len();
        for one in unknown {
            if let Some(name) = name_of(repo, one.place.as_bytes())? {
                self.add_url(Some(repo), one.place.as_bytes(), Some(&name))?;
            }
        }
        Ok(self.remotes.len() > before)
    }

    /// The git remotes, by their URLs, all of whose needs are here. A password in one is nobody else's
    /// business.
    pub fn vouched(&self) -> Vec<String> {
        let urls = self.remotes.iter();
        urls.map(|url| without_password(url)).collect()
    }

    fn unsigned(&mut self, root: &Path) {
        let way = "name the git remote that its lobs are of, with this store as its lobUrl";
        self.refuse("", format!("nobody has signed {}", root.display()), way);
    }

    fn refuse(&mut self, place: &str, why: String, way: impl Into<String>) {
        self.unknown.push(Unknown {
            place: place.into(),
            why,
            way: way.into(),
        });
    }

    /// What one who has signed the store needs.
    pub(super) fn add_user(&mut self, here: Option<&Repo>, user: &User) -> Result<()> {
        if user.by == Use::Served {
            let way = format!(
                "if all that they need is claimed by others too: --forget {:?}",
                user.place
            );
            let why = "others push to it through lob serve, and cannot be asked".into();
            self.refuse(&user.place, why, way);
            return Ok(());
        }
        if user.host.is_empty() {
            return self.add_url(here, user.place.as_bytes(), None);
        }
        match user.repository() {
            Ok(repo) => {
                self.add_repo(&repo)?;
                match user.by {
                    // What others pushed to it, they find there.
                    Use::Remote => self.whole(&repo),
                    Use::Clone | Use::Share | Use::Served => Ok(()),
                }
            }
            Err((why, _)) => {
                let way = format!("if it is gone for good: --forget {:?}", user.place);
                let why = format!("{}: {why}", user.describe());
                self.refuse(&user.place, why, way);
                Ok(())
            }
        }
    }

    /// A git repository by its URL; `name` where it is a remote of this name.
    fn add_url(&mut self, here: Option<&Repo>, url: &[u8], name: Option<&str>) -> Result<()> {
        if let Some(path) = remotes::local_path(url) {
            let path = crate::git::path::path_buf(&path);
            let path = here.map_or(path.clone(), |here| here.git().dir().join(path));
            let repo = Repo::elsewhere(&path)?;
            self.add_repo(&repo)?;
            return self.whole(&repo);
        }
        let text = String::from_utf8_lossy(url).into_owned();
        let name = match (name, here) {
            (Some(name), _) => Some(name.to_string()),
            (None, Some(here)) => name_of(here, url)?,
            (None, None) => None,
        };
        match (name, here) {
            (Some(name), Some(here)) => {
                if self.remotes.insert(text) {
                    self.add_remote(here, &name)?;
                }
            }
            _ => {
                let way = format!(
                    "make it known: git remote add NAME {text:?} && git fetch NAME; if it is gone for good: --forget {text:?}"
                );
                self.refuse(&text.clone(), format!("{text} is no remote here"), way);
            }
        }
        Ok(())
    }

    /// All that the refs of a remote lead to, as it has them now.
    fn add_remote(&mut self, here: &Repo, name: &str) -> Result<()> {
        self.whole(here)?;
        let tips = remotes::tips(here, name)?;
        let missing = scan::missing(here, &tips)?;
        if let Some(example) = missing.first() {
            return Err(Error::Unfetched {
                remote: name.into(),
                count: missing.len(),
                example: example.to_string(),
            });
        }
        for want in wanted::committed(here, &tips, &[])? {
            self.add(want.id, want.path);
        }
        Ok(())
    }

    /// All that a repository of this file system leads to.
    fn add_repo(&mut self, repo: &Repo) -> Result<()> {
        let dir = repo.common_dir();
        let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_path_buf());
        if !self.repos.insert(dir) {
            return Ok(());
        }
        let mut seen = Seen::open(repo);
        let mut indexed = Vec::new();
        for tree in repo.work_trees()? {
            indexed.extend(scan::index_pointers(&tree, &mut seen)?);
        }
        for want in wanted::everywhere(repo)? {
            self.add(want.id, want.path);
        }
        let now = i64::try_from(now()).unwrap_or(i64::MAX);
        for needed in keep::needed(repo, now)? {
            self.add(needed.id, needed.path);
        }
        for file in indexed {
            if let Pointer::Lob { id, .. } = file.pointer {
                self.add(id, file.path.into());
            }
        }
        Ok(())
    }

    fn add(&mut self, id: LobId, path: Box<[u8]>) {
        if self.known.insert(id) {
            let stay = Stay::Referenced;
            self.needed.push(Needed { id, path, stay });
        }
    }

    /// Whether all that the refs of a repository lead to can be seen in it.
    fn whole(&mut self, repo: &Repo) -> Result<()> {
        if let Some(why) = scan::partial(repo)? {
            let place = repo.common_dir().display().to_string();
            self.refuse("", format!("{place}: {why}"), "run this with full clones");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_told_to_others() {
        for (url, told) in [
            ("https://me:secret@host/x", "https://me@host/x"),
            ("https://me@host/x:y@z", "https://me@host/x:y@z"),
            ("https://host/a:b@c", "https://host/a:b@c"),
            ("git@host:x", "git@host:x"),
            ("/srv/a.git", "/srv/a.git"),
        ] {
            assert_eq!(without_password(url), told);
        }
    }
}
