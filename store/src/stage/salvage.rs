//! Making stages, and taking over what killed writers left in theirs.

use std::path::{Path, PathBuf};

use crate::disk::{self, Lock};
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::limits::DELTA_DEPTH_MAX;
use crate::pack::{self, Record};
use crate::roots::{Cursor, Root};
use crate::store::Store;

use super::lost::Lost;
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
    let above = store.root().join("stage");
    let number = getrandom::u64()
        .map_err(std::io::Error::other)
        .map_err(Error::at(&above))?;
    let dir = above.join(format!("{number:016x}"));
    let lock_path = dir.with_extension("lock");
    let lock = disk.lock(&lock_path, true).map_err(Error::at(&lock_path))?;
    let lock = lock.ok_or(Error::Interrupted)?;
    disk.create_dir(&dir).map_err(Error::at(&dir))?;
    Ok(Stage {
        number,
        dir,
        lock_path,
        _lock: lock,
    })
}

const SEEN: &str = "seen-";

impl Stage {
    /// Notes up to which root this writer has seen what was dropped: files that later roots drop stay
    /// until the stage is gone.
    pub(super) fn has_seen(&self, store: &Store, cursor: Cursor) -> Result<()> {
        let path = self.dir.join(format!("{SEEN}{:016x}", cursor.seq));
        let created = store.disk().create(&path).map_err(Error::at(&path));
        created.map(drop)
    }
}

/// The least that a writer with a stage has seen of the roots; `None` where there is no stage. A
/// stage that is being made, or was by an older lob, has seen nothing.
pub(crate) fn seen_by_all(store: &Store) -> Result<Option<u64>> {
    let disk = store.disk().as_ref();
    let above = store.root().join("stage");
    let list = |dir: &Path| disk::entries(disk, dir).map_err(Error::at(dir));
    let _turn = turn(store)?;
    let mut least = None;
    for stage in list(&above)?.iter().filter(|entry| entry.is_dir) {
        let inside = list(&above.join(&stage.name))?;
        let seen = |name: &str| u64::from_str_radix(name.strip_prefix(SEEN)?, 16).ok();
        let seen = inside.iter().filter_map(|entry| seen(entry.name.to_str()?));
        let seen = seen.max().unwrap_or_default();
        least = Some(least.map_or(seen, |least: u64| least.min(seen)));
    }
    Ok(least)
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

/// Publishes what is whole in the stages of writers that died, and removes them. What fails here
/// must not keep anybody from reading: a stage that cannot be taken in (the disk is full, the store
/// is read-only, a later lob wrote it) stays as it is, for the next one to open the store.
pub(crate) fn salvage_dead(store: &Store) {
    for (dir, lock_path, _lock) in lock_dead(store).unwrap_or_default() {
        if salvage(store, &dir).is_ok() {
            let _ = remove(store, &dir, &lock_path);
        }
    }
}

/// The stages whose locks nobody holds, with their locks.
fn lock_dead(store: &Store) -> Result<Vec<(PathBuf, PathBuf, Lock)>> {
    let disk = store.disk().as_ref();
    let above = store.root().join("stage");
    let list = || disk::entries(disk, &above).map_err(Error::at(&above));
    if list()?.is_empty() {
        return Ok(Vec::new());
    }
    let _turn = turn(store)?;
    let entries = list()?;
    let mut dead = Vec::new();
    for entry in &entries {
        let path = above.join(&entry.name);
        let lock_path = path.with_extension("lock");
        if !entry.is_dir {
            // The lock of a stage whose writer died before making or after removing it.
            let stage = entries
                .iter()
                .any(|e| e.is_dir && above.join(&e.name) == path.with_extension(""));
            if !stage {
                disk.remove(&path).map_err(Error::at(&path))?;
            }
        } else if let Some(lock) = disk
            .lock(&lock_path, false)
            .map_err(Error::at(&lock_path))?
        {
            dead.push((path, lock_path, lock));
        }
    }
    Ok(dead)
}

/// Gives the packs of this stage their root that were in their place already when its writer died.
/// All of them are whole: only sealed packs leave a stage.
fn adopt_moved(store: &Store, dir: &Path) -> Result<()> {
    let number = dir.file_name().and_then(|name| name.to_str());
    let Some(number) = number.and_then(|name| u64::from_str_radix(name, 16).ok()) else {
        return Ok(());
    };
    let _ = store.refresh()?;
    let known = store.view().known_packs();
    let bare = store.packs().without_table()?;
    let mut moved = Vec::new();
    for (id, len) in store.packs().on_disk()? {
        // Where there was no root yet, all packs are known. The table may be in the stage still,
        // which goes.
        let is_bare = bare.contains(&id);
        if known.contains(&id) && !is_bare {
            continue;
        }
        match pack::stage_of(store.packs().file(&id)?.as_ref(), &store.packs().path(&id)) {
            Ok(found) if found == number => {
                if is_bare {
                    passing(store.write_table(&id, &dir.join("salvaged.idx")))?;
                }
                if !known.contains(&id) {
                    moved.push((id, len));
                }
            }
            Ok(_) | Err(Error::Damaged { .. }) => {}
            Err(e) => return Err(e),
        }
    }
    if moved.is_empty() {
        return Ok(());
    }
    let packs = store.root().join("packs");
    store.disk().sync_dir(&packs).map_err(Error::at(&packs))?;
    let root = Root {
        added: moved,
        dropped: Vec::new(),
    };
    loop {
        let cursor = store.view().cursor;
        let mut lost = Lost::new(
            store,
            &root.added.iter().map(|(id, _)| *id).collect::<Vec<_>>(),
        )?;
        if lost.is_possible() {
            let looked = root
                .added
                .iter()
                .try_for_each(|(id, _)| lost.look_behind_pack(id));
            passing(looked)?;
            passing(lost.bring_back())?;
        }
        let agreed = store.publish_root(&root, &cursor, &mut |news| Ok(!news.drops))?;
        if agreed.is_some() {
            return Ok(());
        }
        let _ = store.refresh()?;
    }
}

/// What is lost for good must not keep the rest from being taken in.
fn passing(done: Result<()>) -> Result<()> {
    match done {
        Err(Error::NoChunk(_) | Error::NoLob(_) | Error::Damaged { .. }) => Ok(()),
        done => done,
    }
}

/// Brings back what a salvaged lob or frame needs of packs that were dropped before its writer died.
fn bring_back(store: &Store, look: impl FnOnce(&mut Lost<'_>) -> Result<()>) -> Result<()> {
    let _ = store.refresh()?;
    let mut lost = Lost::new(store, &[])?;
    if !lost.is_possible() {
        return Ok(());
    }
    passing(look(&mut lost))?;
    passing(lost.bring_back())
}

/// Adds what is whole in a dead stage to the store: every chunk that hashes to its id, and every
/// lob of which all chunks are there. [`Error::Later`] when there is more that only a later lob can
/// make sense of. Leaves nothing new where it fails.
pub(super) fn salvage(store: &Store, dir: &Path) -> Result<()> {
    store.settle()?;
    adopt_moved(store, dir)?;
    let mut writer = Writer::new(store);
    match take_over(store, dir, &mut writer) {
        Ok(()) => writer.finish(),
        Err(e) => {
            let _ = writer.discard();
            // Chunks without a lob were promised to nobody, and take up the room that is missing.
            if e.is_full() && !names_lobs(store, dir)? {
                Ok(())
            } else {
                Err(e)
            }
        }
    }
}

/// Whether a lob was acknowledged whose content may be in this stage alone.
fn names_lobs(store: &Store, dir: &Path) -> Result<bool> {
    let mut found = false;
    each_record(store, dir, &mut |record| {
        found |= matches!(record, Record::Manifest(_));
        Ok(())
    })?;
    Ok(found)
}

fn take_over(store: &Store, dir: &Path, writer: &mut Writer<'_>) -> Result<()> {
    let mut manifests = Vec::new();
    let mut whole = Ok(());
    let mut deepest = 0;
    // A base must be visible before the frames that name it can be verified.
    for depth in 0..=DELTA_DEPTH_MAX {
        if depth > deepest {
            break;
        }
        whole = each_record(store, dir, &mut |record| match record {
            Record::Frame(frame) => {
                deepest = deepest.max(frame.depth);
                if frame.depth == depth {
                    keep_whole(store, writer, frame)
                } else {
                    Ok(())
                }
            }
            Record::Manifest(manifest) if depth == 0 => {
                manifests.push(manifest);
                Ok(())
            }
            Record::Manifest(_) | Record::Skipped => Ok(()),
        });
        if !matches!(whole, Ok(()) | Err(Error::Later { .. })) {
            return whole;
        }
        writer.publish()?;
    }
    for manifest in manifests {
        // The id of a lob of one chunk is that of its chunk, which has been verified.
        bring_back(store, |lost| lost.look_behind(&manifest))?;
        let verified = match manifest.single() {
            Some(_) => Ok(0),
            None => store.write_manifest(&manifest, &mut std::io::sink(), &()),
        };
        match verified.and_then(|_| writer.add_own_manifest(&manifest)) {
            Ok(())
            | Err(Error::NoChunk(_) | Error::Damaged { .. } | Error::WrongContent { .. }) => {}
            Err(e) => return Err(e),
        }
    }
    writer.publish()?;
    whole
}

/// Calls `each` for the records of all packs in a stage. [`Error::Later`] comes after all that could
/// be read.
fn each_record(
    store: &Store,
    dir: &Path,
    each: &mut dyn FnMut(Record) -> Result<()>,
) -> Result<()> {
    let disk = store.disk().as_ref();
    let mut later = None;
    for entry in disk.list(dir).map_err(Error::at(dir))? {
        let path = dir.join(&entry.name);
        if path.extension().is_none_or(|extension| extension != "pack") {
            continue;
        }
        let file = disk.open(&path).map_err(Error::at(&path))?;
        match pack::salvage(file.as_ref(), &path, each) {
            Err(error @ Error::Later { .. }) => later = Some(error),
            read => read?,
        }
    }
    later.map_or(Ok(()), Err)
}

/// Takes over a frame unless a chunk of it is damaged, as the last one before a cut may be.
fn keep_whole(store: &Store, writer: &mut Writer<'_>, frame: Frame) -> Result<()> {
    let mut verified = store.verify_frame(&frame);
    if matches!(verified, Err(Error::NoChunk(_))) {
        let look = |lost: &mut Lost<'_>| {
            let mut bases = frame.bases.iter();
            bases.try_for_each(|base| lost.look_for_chunk(base))
        };
        bring_back(store, look)?;
        verified = store.verify_frame(&frame);
    }
    match verified {
        Ok(()) => writer.add_frame(frame),
        Err(Error::Damaged { .. } | Error::NoChunk(_)) => Ok(()),
        Err(e) => Err(e),
    }
}
