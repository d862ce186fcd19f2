//! What a remote holds, as a set that can be compared with another.

use std::io;

use lob_store::LobInfo;
use lob_store::reconcile::LobSet;

use super::Remote;
use super::error::Error;

/// The lobs of a remote. Each time that somebody goes through them it is asked again.
#[derive(Debug, Clone, Copy)]
pub struct Lobs<'a>(pub &'a dyn Remote);

impl LobSet for Lobs<'_> {
    fn each(
        &self,
        each: &mut dyn FnMut(LobInfo) -> lob_store::Result<()>,
    ) -> lob_store::Result<()> {
        let done = self.0.each_lob(&mut |lob| Ok(each(lob)?));
        done.map_err(into_store)
    }
}

/// An error of a remote as one of the engine, which called it.
pub fn into_store(error: Error) -> lob_store::Error {
    match error {
        Error::Store(error) => error,
        error => lob_store::Error::Source(io::Error::other(error)),
    }
}
