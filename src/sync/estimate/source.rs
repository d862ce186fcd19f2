//! Reading versions, wherever they are.

use std::fs::File;
use std::io::{self, pipe};
use std::path::Path;
use std::thread;

use lob_store::{Added, LobId, Progress, Store, Writer};

use super::windows::Windows;
use super::{Estimator, Source, Version};
use crate::git::Oid;
use crate::git::scan::Contents;
use crate::sync::error::{Error, Result};

/// Adds versions to a store, in the order in which they are announced.
pub(super) struct Reading<'a> {
    store: Option<&'a Store>,
    blobs: Option<Contents>,
    /// The most of one version.
    piece: u64,
    progress: &'a dyn Progress,
}

/// What became of a version: why it cannot be read, where that is so.
type Fate = Result<lob_store::Result<Added>, String>;

impl<'a> Reading<'a> {
    /// Begins to read these.
    pub(super) fn of<'v>(
        about: &Estimator<'a>,
        piece: u64,
        progress: &'a dyn Progress,
        versions: impl Iterator<Item = &'v Version>,
    ) -> Result<Reading<'a>> {
        let blobs = versions.filter_map(|version| match version.source {
            Source::Blob(oid) => Some(oid),
            Source::File(_) | Source::Lob(_) => None,
        });
        let blobs: Vec<Oid> = blobs.collect();
        let blobs = match about.repo {
            Some(repo) if !blobs.is_empty() => Some(Contents::of(repo, &blobs)?),
            _ => None,
        };
        Ok(Reading {
            store: about.store,
            blobs,
            piece,
            progress,
        })
    }

    /// Adds the next version. The reason where it cannot be read, which is no error.
    pub(super) fn add(
        &mut self,
        version: &Version,
        writer: &mut Writer<'_>,
    ) -> Result<Result<Added, String>> {
        let (progress, extent) = (self.progress, (version.size, self.piece));
        let fate = match (&version.source, &mut self.blobs, self.store) {
            (Source::Blob(oid), Some(blobs), _) => {
                // A git that fails says so itself.
                Ok(blobs.next(oid, |content| {
                    writer.add(&mut Windows::of(content, extent.0, extent.1), progress)
                })?)
            }
            (Source::File(path), ..) => add_file(path, extent, writer, progress),
            (Source::Lob(id), _, Some(store)) => add_lob(store, id, extent, writer, progress),
            _ => Err("there is nothing to read it from".into()),
        };
        match fate {
            Ok(Err(lob_store::Error::Source(error))) => Ok(Err(error.to_string())),
            Ok(added) => Ok(Ok(added.map_err(Error::from)?)),
            Err(why) => Ok(Err(why)),
        }
    }
}

fn add_file(
    path: &Path,
    (len, most): (u64, u64),
    writer: &mut Writer<'_>,
    progress: &dyn Progress,
) -> Fate {
    let file = File::open(path).map_err(|error| error.to_string())?;
    Ok(writer.add(&mut Windows::of(file, len, most), progress))
}

fn add_lob(
    store: &Store,
    id: &LobId,
    (len, most): (u64, u64),
    writer: &mut Writer<'_>,
    progress: &dyn Progress,
) -> Fate {
    let (reader, mut sender) = pipe().map_err(|error: io::Error| error.to_string())?;
    thread::scope(|scope| {
        let sending = scope.spawn(move || store.write_to(id, &mut sender, &()));
        // The reader is gone when this ends, and the sender with it.
        let added = writer.add(&mut Windows::of(reader, len, most), progress);
        let sent = sending
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        match sent {
            // Windows end before the content does.
            Err(error) if len <= most && added.is_ok() => Err(error.to_string()),
            _ => Ok(added),
        }
    })
}
