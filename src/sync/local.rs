//! The repository and its store, opened when they are first needed.

use std::path::Path;
use std::sync::OnceLock;

use lob_store::Store;

use super::error::Result;
use super::home::Home;
use crate::git::hooks::Hooks;
use crate::git::{GitError, Repo};

/// A repository and its store.
#[derive(Debug)]
pub struct Local {
    repo: Repo,
    store: OnceLock<Store>,
}

impl Local {
    /// The repository around `dir`, or the one that git runs this process for.
    pub fn discover(dir: &Path) -> Result<Local, GitError> {
        Ok(Local::of(Repo::discover(dir)?))
    }

    /// This repository.
    pub fn of(repo: Repo) -> Local {
        Local {
            repo,
            store: OnceLock::new(),
        }
    }

    /// The repository.
    pub fn repo(&self) -> &Repo {
        &self.repo
    }

    /// Its store. Where there is none yet, as in a fresh clone, it is made, and the hooks are set.
    pub fn store(&self) -> Result<&Store> {
        if let Some(store) = self.store.get() {
            return Ok(store);
        }
        let is_new = !self.repo.lob_dir().join("state").exists();
        let store = Home::of(&self.repo)?.open(&self.repo)?;
        if is_new && self.repo.work_tree().is_some() {
            // Where they can't be set, as they would replace somebody's, `lob doctor` tells.
            let _ = Hooks::of(&self.repo).and_then(|hooks| hooks.install(false));
        }
        Ok(self.store.get_or_init(|| store))
    }
}
