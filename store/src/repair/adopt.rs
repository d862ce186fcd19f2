//! Packs that no root names.

use std::collections::HashSet;
use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::id::{ChunkId, PackId};
use crate::pack::{self, ChunkEntry};
use crate::progress::Progress;
use crate::reach::Reach;
use crate::roots::{self, Root};
use crate::store::{NEW_TABLE, Store};
use crate::view::{Listed, Place, is_absent};

use super::rewrite::rewrite;

/// Makes a pack part of the store that is whole and of which everything can be read; of another one
/// what is good. Not if a root dropped it once, or its writer is about to name it.
pub(super) fn adopt(store: &Store, id: &PackId, progress: &dyn Progress) -> Result<Vec<PathBuf>> {
    if is_being_published(store, id)? {
        return Ok(Vec::new());
    }
    let _ = store.refresh()?;
    let known = store.view().known_packs().contains(id);
    if known || !store.packs().is_there(id)? || dropped_ever(store)?.contains(id) {
        return Ok(Vec::new());
    }
    match is_whole(store, id, progress) {
        Ok(true) => {}
        Err(error) if !is_absent(&error) => return Err(error),
        _ => return rewrite(store, id, progress),
    }
    let path = store.packs().table_path(id);
    if store.disk().map(&path).is_err() {
        store.write_table(id, &store.root().join(NEW_TABLE))?;
    }
    let path = store.packs().path(id);
    let len = store.disk().len(&path).map_err(Error::at(&path))?;
    let dir = store.root().join("packs");
    store.disk().sync_dir(&dir).map_err(Error::at(&dir))?;
    let root = Root {
        added: vec![(*id, len.ok_or(Error::NoPack(*id))?)],
        dropped: Vec::new(),
    };
    let cursor = store.view().cursor;
    let agreed = store.publish_root(&root, &cursor, &mut |news| Ok(!news.drops))?;
    agreed.map(|_| Vec::new()).ok_or(Error::Busy)
}

/// Whether the stage that a pack was made in is there: its writer, or who takes that over, names it.
fn is_being_published(store: &Store, id: &PackId) -> Result<bool> {
    let (file, path) = (store.packs().file(id)?, store.packs().path(id));
    match pack::stage_of(file.as_ref(), &path) {
        Ok(number) => {
            let stage = store.root().join(format!("stage/{number:016x}"));
            Ok(store.disk().list(&stage).is_ok())
        }
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Lets a pack count as dropped of which the index has forgotten that: it had no files for a while.
pub(super) fn drop_again(store: &Store, id: &PackId) -> Result<()> {
    let _ = store.refresh()?;
    if store.view().known_packs().contains(id) || !dropped_ever(store)?.contains(id) {
        return Ok(());
    }
    let root = Root {
        added: Vec::new(),
        dropped: vec![*id],
    };
    let cursor = store.view().cursor;
    let _ = store.publish_root(&root, &cursor, &mut |_| Ok(true))?;
    Ok(())
}

/// Every pack that any root dropped, however long ago.
fn dropped_ever(store: &Store) -> Result<HashSet<PackId>> {
    let mut dropped = HashSet::new();
    let dir = store.root().join("roots");
    let _ = roots::each_root(store.disk().as_ref(), &dir, &mut |_, root| {
        dropped.extend(root.into_iter().flat_map(|root| root.dropped));
    })?;
    Ok(dropped)
}

/// Whether a pack hashes to its name, and all that its lobs and frames need is there or in it.
fn is_whole(store: &Store, id: &PackId, progress: &dyn Progress) -> Result<bool> {
    let (file, path) = (store.packs().file(id)?, store.packs().path(id));
    let found = pack::hash_of(file.as_ref(), &path, &mut |bytes| {
        progress.bytes(bytes);
        match progress.cancelled() {
            true => Err(Error::Interrupted),
            false => Ok(()),
        }
    })?;
    let table = store.packs().table(id)?;
    let view = store.view().with(vec![(*id, table.clone())]);
    let reach = Reach { store, view: &view };
    let need = |chunk: &ChunkId| match view.find(store.packs(), chunk)? {
        Some(_) => Ok(()),
        None => Err(Error::NoChunk(*chunk)),
    };
    let depth_of = |place: &Place<ChunkEntry>| ChunkId::depth(&place.table, &place.entry);
    for frame in (0..table.frame_count()).filter_map(|n| table.frame(n)) {
        for base in table.bases(&frame) {
            need(&base)?;
            let place = view.find(store.packs(), &base)?;
            if place.is_some_and(|place| depth_of(&place) >= frame.depth) {
                return Ok(false);
            }
        }
    }
    for n in 0..table.lob_count() {
        let lob = table.lob(n).id;
        let manifest = reach.manifest(&lob)?.ok_or(Error::NoLob(lob))?;
        reach.each_chunk(&manifest, &mut |chunk| need(chunk))?;
    }
    Ok(found == *id)
}
