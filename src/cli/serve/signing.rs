//! Who uses the stores that are served, and what they need of them.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::git::remotes::is_git_dir;
use crate::remote::{self, Access, Cleaning, Listener, open_dir};
use crate::serve::{CareError, Change, Cleaner, Log, Witness};
use crate::sync::claims::Claims;
use crate::sync::convert::said;
use crate::sync::users::{User, Users};
use crate::sync::{Error, gc};

/// Signs stores for those who push to them, and asks those who have signed before one is cleaned up.
pub(super) struct Signing(pub(super) Arc<Log>);

impl Witness for Signing {
    fn relied_on(&self, dir: &Path, elsewhere: bool) -> io::Result<()> {
        // By whose refs a store inside a git repository is cleaned up is known, unless they go elsewhere.
        match dir.parent().is_some_and(is_git_dir) && !elsewhere {
            true => Ok(()),
            false => Users::of(dir).add(&User::served()),
        }
    }

    fn changed(&self, change: &Change<'_>) -> io::Result<()> {
        self.0.changed(change)
    }
}

impl Cleaner for Signing {
    fn clean(
        &self,
        dir: &Path,
        asked: &Cleaning,
        listener: &dyn Listener,
    ) -> Result<(), CareError> {
        let store = open_dir(dir, Access::Read, Some(asked.store)).map_err(CareError::Store)?;
        let claim = || Claims::there(dir, &asked.needed, &asked.vouched);
        gc::clean(&store, &asked.order, &claim, listener).map_err(|error| match error {
            Error::Store(error) => CareError::Store(remote::Error::Store(error)),
            Error::Remote(error) => CareError::Store(error),
            error => CareError::Other(said(&error)),
        })
    }
}
