//! Making stages, and taking over what killed writers left in theirs.

use std::path::{Path, PathBuf};

use crate::disk::{self, Lock};
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::pack::{self, Record};
use crate::store::Store;

use super::{Stage, Writer};

/// Held for a moment while stages are made, looked for and removed: so that a stage that is being
/// made is not taken for one whose writer has died.
fn turn(store: &Store) -> Result<Lock> {
    let path = store.root().join("state/stages.lock");
    let lock = store.disk().lock(&path, true).map_err(Error::at(&path))?;
    lock.ok_or(Error::Interrupted)
}

/// Makes a new stage and takes its lock.
pub(super) fn create(store: &Store) -> Result<Stage> {
    let disk = store.disk().as_ref();
    let _turn = turn(store)?;
    store.complete()?;
    let mut nonce = [0; 8];
    let above = store.root().join("stage");
    getrandom::fill(&mut nonce)
        .map_err(std::io::Error::other)
        .map_err(Error::at(&above))?;
    let dir = above.join(format!("{:016x}", u64::from_le_bytes(nonce)));
    let lock_path = dir.with_extension("lock");
    let lock = disk.lock(&lock_path, true).map_err(Error::at(&lock_path))?;
    let lock = lock.ok_or(Error::Interrupted)?;
    disk.create_dir(&dir).map_err(Error::at(&dir))?;
    Ok(Stage {
        dir,
        lock_path,
        _lock: lock,
    })
}

/// Removes a stage whose lock the caller holds.
pub(super) fn remove(store: &Store, dir: &Path, lock_path: &Path) -> Result<()> {
    let disk = store.disk().as_ref();
    let _turn = turn(store)?;
    for entry in disk.list(dir).map_err(Error::at(dir))? {
        disk.remove(&dir.join(&entry.name))
            .map_err(Error::at(dir))?;
    }
    disk.remove_dir(dir).map_err(Error::at(dir))?;
    disk.remove(lock_path).map_err(Error::at(lock_path))
}

/// Publishes what is whole in the stages of writers that died, and removes them. In a store that
/// cannot be written to, they stay.
pub(crate) fn salvage_dead(store: &Store) -> Result<()> {
    let disk = store.disk().as_ref();
    let above = store.root().join("stage");
    let is_stage = |name: &std::ffi::OsStr| Path::new(name).extension().is_none();
    let stages = disk::entries(disk, &above).map_err(Error::at(&above))?;
    if !stages
        .iter()
        .any(|entry| entry.is_dir && is_stage(&entry.name))
    {
        return Ok(());
    }
    let dead = match lock_dead(store, &above) {
        Err(Error::Io { source, .. }) if cannot_write(&source) => return Ok(()),
        dead => dead?,
    };
    for (dir, lock_path, _lock) in dead {
        match salvage(store, &dir).and_then(|()| remove(store, &dir, &lock_path)) {
            // A full disk must not keep anybody from reading; the stage waits for better times.
            Err(Error::Io { source, .. }) if cannot_write(&source) => {}
            // Nor what a later lob left: that is for a later lob to take in.
            Err(Error::Later { .. }) => {}
            done => done?,
        }
    }
    Ok(())
}

fn cannot_write(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(
        error.kind(),
        PermissionDenied | ReadOnlyFilesystem | StorageFull | QuotaExceeded
    )
}

/// The stages whose locks nobody holds, with their locks.
fn lock_dead(store: &Store, above: &Path) -> Result<Vec<(PathBuf, PathBuf, Lock)>> {
    let disk = store.disk().as_ref();
    let _turn = turn(store)?;
    let mut dead = Vec::new();
    for entry in disk.list(above).map_err(Error::at(above))? {
        let dir = above.join(&entry.name);
        let lock_path = dir.with_extension("lock");
        if !entry.is_dir {
            continue;
        }
        if let Some(lock) = disk
            .lock(&lock_path, false)
            .map_err(Error::at(&lock_path))?
        {
            dead.push((dir, lock_path, lock));
        }
    }
    Ok(dead)
}

/// Adds what is whole in a dead stage to the store: every chunk that hashes to its id, and every
/// lob of which all chunks are there. [`Error::Later`] when there is more that only a later lob can
/// make sense of.
fn salvage(store: &Store, dir: &Path) -> Result<()> {
    let disk = store.disk().as_ref();
    let mut writer = Writer::new(store);
    let mut manifests = Vec::new();
    let mut later = None;
    for entry in disk.list(dir).map_err(Error::at(dir))? {
        let path = dir.join(&entry.name);
        if path.extension().is_none_or(|extension| extension != "pack") {
            continue;
        }
        let file = disk.open(&path).map_err(Error::at(&path))?;
        let read = pack::salvage(file.as_ref(), &path, &mut |record| match record {
            Record::Frame(frame) => keep_whole(store, &mut writer, frame),
            Record::Manifest(manifest) => {
                manifests.push(manifest);
                Ok(())
            }
            Record::Skipped => Ok(()),
        });
        match read {
            Err(error @ Error::Later { .. }) => later = Some(error),
            read => read?,
        }
    }
    writer.publish()?;
    for manifest in manifests {
        // The id of a lob of one chunk is that of its chunk, which has been verified.
        let whole = match manifest.single() {
            Some(_) => Ok(0),
            None => store.write_manifest(&manifest, &mut std::io::sink(), &()),
        };
        match whole.and_then(|_| writer.add_own_manifest(&manifest)) {
            Ok(())
            | Err(Error::NoChunk(_) | Error::Damaged { .. } | Error::WrongContent { .. }) => {}
            Err(e) => return Err(e),
        }
    }
    writer.finish()?;
    later.map_or(Ok(()), Err)
}

/// Takes over a frame unless a chunk of it is damaged, as the last one before a cut may be.
fn keep_whole(store: &Store, writer: &mut Writer<'_>, frame: Frame) -> Result<()> {
    match store.verify_frame(&frame) {
        Ok(()) => writer.add_frame(frame),
        Err(Error::Damaged { .. } | Error::NoChunk(_)) => Ok(()),
        Err(e) => Err(e),
    }
}
