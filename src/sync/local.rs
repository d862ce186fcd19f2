//! The repository and its store, opened when they are first needed.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use lob_store::Store;
use lob_store::disk::OsDisk;

use crate::git::{GitError, Repo};

/// A repository and the store in it.
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

    /// Its store, which is made where there is none yet.
    pub fn store(&self) -> lob_store::Result<&Store> {
        if let Some(store) = self.store.get() {
            return Ok(store);
        }
        let store = Store::open_or_create(Arc::new(OsDisk), &self.repo.lob_dir())?;
        Ok(self.store.get_or_init(|| store))
    }
}
