//! What is good of a damaged pack moves to a new one.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{DiskFile, Map};
use crate::epoch;
use crate::error::{Error, Result};
use crate::frame::{Frame, decode, verify_chunk};
use crate::id::{ChunkId, LobId, PackId};
use crate::limits::DELTA_DEPTH_MAX;
use crate::manifest::Manifest;
use crate::pack::{self, ChunkEntry, FrameEntry, Record, Table};
use crate::progress::Progress;
use crate::reach::{Reach, part};
use crate::roots::Root;
use crate::stage::Writer;
use crate::store::Store;
use crate::view::Place;

use super::file::set_aside;
use super::had;

/// Moves what is good of a pack to new ones, and drops it. Returns what was set aside.
pub(super) fn rewrite(store: &Store, id: &PackId, progress: &dyn Progress) -> Result<Vec<PathBuf>> {
    let _ = store.refresh()?;
    if store.view().dropped.contains(id) || !store.packs().is_there(id)? {
        return Ok(Vec::new());
    }
    let path = store.packs().path(id);
    let mut rescue = Rescue {
        store,
        id,
        file: store.packs().file(id)?,
        path: &path,
        writer: store.writer()?,
        chunks: HashSet::new(),
        lobs: HashSet::new(),
        whole: true,
        progress,
    };
    let tables = rescue.tables()?;
    rescue.move_frames(&tables)?;
    rescue.move_lobs(&tables)?;
    let is_all = rescue.is_all(&tables)?;
    rescue.writer.finish()?;
    let aside = match is_all {
        // All that it held is visible elsewhere; its files go when nobody can be using them.
        true => Vec::new(),
        false => {
            epoch::begin(store.disk().as_ref(), store.root())?;
            set_aside(store, id)?
        }
    };
    let _ = store.refresh()?;
    let root = Root {
        added: Vec::new(),
        dropped: vec![*id],
    };
    let cursor = store.view().cursor;
    let _ = store.publish_root(&root, &cursor, &mut |_| Ok(true))?;
    Ok(aside)
}

/// A pack that is being read as far as it goes, and what of it was moved.
struct Rescue<'s> {
    store: &'s Store,
    id: &'s PackId,
    file: Arc<dyn DiskFile>,
    path: &'s Path,
    writer: Writer<'s>,
    chunks: HashSet<ChunkId>,
    lobs: HashSet<LobId>,
    /// Whether nothing was found until now that could not be moved.
    whole: bool,
    progress: &'s dyn Progress,
}

impl Rescue<'_> {
    /// The tables of the pack that can be read: the one in it and the one beside it.
    fn tables(&self) -> Result<Vec<Arc<Table>>> {
        let beside = self.store.packs().table_path(self.id);
        let open = |map: Result<Map>| map.and_then(|map| Table::open(map, "a table"));
        let inside = pack::read_table(self.file.as_ref(), self.path).map(Map::from);
        let alone = self.store.disk().map(&beside).map_err(Error::at(&beside));
        let mut tables: Vec<Arc<Table>> = Vec::new();
        for table in [open(inside), open(alone)] {
            if let Some(table) = had(table)?
                && tables.iter().all(|known| known.bytes() != table.bytes())
            {
                tables.push(Arc::new(table));
            }
        }
        // One beside it may be that of another pack.
        let own = pack::nonce_of(self.file.as_ref(), self.path).ok();
        if tables.iter().any(|table| Some(table.nonce()) == own) {
            tables.retain(|table| Some(table.nonce()) == own);
        }
        Ok(tables)
    }

    /// Moves every frame whose chunks hash to their ids, and good chunks of others. They are visible
    /// when this returns.
    fn move_frames(&mut self, tables: &[Arc<Table>]) -> Result<()> {
        for table in tables {
            let mut chunks = vec![Vec::new(); table.frame_count()];
            for chunk in (0..table.chunk_count()).map(|n| table.chunk(n)) {
                if let Some(chunks) = chunks.get_mut(chunk.frame as usize) {
                    chunks.push(chunk);
                }
            }
            for (n, chunks) in chunks.iter_mut().enumerate() {
                self.go_on()?;
                chunks.sort_by_key(|chunk| chunk.offset);
                match table.frame(n) {
                    Some(entry) => self.move_frame(table, entry, chunks)?,
                    None => self.whole = false,
                }
            }
        }
        // Not all that is there need be in a table. A base must be visible before what is based on it.
        let mut deepest = 0;
        for depth in 0..=DELTA_DEPTH_MAX {
            if depth <= deepest {
                self.writer.publish()?;
                self.each_record(&mut |rescue, record| match record {
                    Record::Frame(frame) => {
                        deepest = deepest.max(frame.depth);
                        match frame.depth == depth {
                            true => rescue.move_record(frame),
                            false => Ok(()),
                        }
                    }
                    _ => Ok(()),
                })?;
            }
        }
        self.writer.publish()
    }

    fn each_record(&mut self, each: &mut dyn FnMut(&mut Self, Record) -> Result<()>) -> Result<()> {
        let (file, path) = (self.file.clone(), self.path);
        pack::rescue(file.as_ref(), path, &mut |record| {
            self.go_on()?;
            each(self, record)
        })
    }

    /// Moves a frame that a table lists: as it is stored, or else what can be read of it.
    fn move_frame(
        &mut self,
        table: &Arc<Table>,
        entry: FrameEntry,
        chunks: &[ChunkEntry],
    ) -> Result<()> {
        if chunks.iter().all(|chunk| self.chunks.contains(&chunk.id)) {
            return Ok(());
        }
        let stored = pack::read_frame(self.file.as_ref(), self.path, &entry);
        let whole = stored.and_then(|frame| {
            self.store.verify_frame(&frame)?;
            Ok(frame)
        });
        if let Some(frame) = had(whole)? {
            return self.take(frame);
        }
        // Readers find chunks by the table alone, whatever the record says of itself.
        let view = self.store.view();
        let reach = Reach {
            store: self.store,
            view: &view,
        };
        let place = Place {
            pack: *self.id,
            table: table.clone(),
            entry,
        };
        let Some(raw) = had(reach.raw(&place))? else {
            return Ok(());
        };
        let good = chunks.iter().filter_map(|chunk| {
            let bytes = part(&raw, chunk).ok()?;
            Some((chunk.id, bytes))
        });
        self.take_good(good.collect())
    }

    /// Moves a frame that was found by reading forward, or what is good of it.
    fn move_record(&mut self, frame: Frame) -> Result<()> {
        if frame.chunks.iter().all(|(id, _)| self.chunks.contains(id)) {
            return Ok(());
        }
        if had(self.store.verify_frame(&frame))?.is_some() {
            return self.take(frame);
        }
        let bases = frame.bases.iter().map(|base| self.store.chunk(base));
        let raw = bases.collect::<Result<Vec<_>>>().and_then(|bases| {
            let mut prefix = bases.concat();
            decode(frame.codec, &frame.stored, frame.raw_len(), &mut prefix)
        });
        let Some(raw) = had(raw)? else {
            return Ok(());
        };
        let mut rest = raw.as_slice();
        let mut good = Vec::new();
        for (id, len) in &frame.chunks {
            let (bytes, tail) = rest.split_at((*len as usize).min(rest.len()));
            rest = tail;
            if verify_chunk(id, bytes).is_ok() {
                good.push((*id, bytes));
            }
        }
        self.take_good(good)
    }

    fn take_good(&mut self, good: Vec<(ChunkId, &[u8])>) -> Result<()> {
        let new = good.into_iter().filter(|(id, _)| !self.chunks.contains(id));
        let (mut list, mut raw) = (Vec::new(), Vec::new());
        for (id, bytes) in new {
            list.push((id, bytes.len() as u32));
            raw.extend_from_slice(bytes);
        }
        match list.is_empty() {
            true => Ok(()),
            false => self.take(Frame::plain(list, &raw)),
        }
    }

    fn take(&mut self, frame: Frame) -> Result<()> {
        self.chunks.extend(frame.chunks.iter().map(|(id, _)| *id));
        self.progress.bytes(frame.stored.len() as u64);
        self.writer.move_frame(frame)
    }

    /// Moves every manifest of which the whole lob can be read.
    fn move_lobs(&mut self, tables: &[Arc<Table>]) -> Result<()> {
        for table in tables {
            for lob in (0..table.lob_count()).map(|n| table.lob(n)) {
                self.go_on()?;
                let read = pack::read_manifest(self.file.as_ref(), self.path, &lob);
                if let Some(manifest) = had(read)? {
                    self.move_lob(&manifest)?;
                }
            }
        }
        self.each_record(&mut |rescue, record| match record {
            Record::Manifest(manifest) => rescue.move_lob(&manifest),
            Record::Skipped => {
                rescue.whole = false;
                Ok(())
            }
            Record::Frame(_) => Ok(()),
        })
    }

    fn move_lob(&mut self, manifest: &Manifest) -> Result<()> {
        if self.lobs.contains(&manifest.id) {
            return Ok(());
        }
        let out = &mut std::io::sink();
        match had(self.store.write_manifest(manifest, out, &()))? {
            Some(_) => {
                let _ = self.lobs.insert(manifest.id);
                self.writer.move_manifest(manifest)
            }
            None => {
                self.whole = false;
                Ok(())
            }
        }
    }

    /// Whether all that was ever in the pack was moved.
    fn is_all(&self, tables: &[Arc<Table>]) -> Result<bool> {
        let len = self.file.len().map_err(Error::at(self.path))?;
        let moved = |table: &Arc<Table>| {
            let mut chunks = (0..table.chunk_count()).map(|n| table.chunk(n).id);
            let mut lobs = (0..table.lob_count()).map(|n| table.lob(n).id);
            chunks.all(|id| self.chunks.contains(&id))
                && lobs.all(|id| self.lobs.contains(&id))
                && table.is_all_of(len)
        };
        Ok(self.whole && !tables.is_empty() && tables.iter().all(moved))
    }

    fn go_on(&self) -> Result<()> {
        match self.progress.cancelled() {
            true => Err(Error::Interrupted),
            false => Ok(()),
        }
    }
}
