//! What a writer relies on that is in the store already, and that a prune may take meanwhile.
//!
//! A prune drops packs by a root, and deletes their files only when every stage is gone whose writer
//! had not seen that root. A writer makes its stage before it first looks what is there. So whatever
//! it found can still be read when it publishes: there, under the lock of the roots, it learns that
//! packs were dropped since, and brings back what its lobs lack (P2, P7). Dying before that changes
//! nothing: its stage is still there, and whoever takes it over does the same.
//!
//! A lob that was found whole leaves nothing in the stage that would tell of it. Its pack is touched
//! before the caller hears of it, and a prune leaves alone what is young: it looks at the times under
//! the same lock under which this writer then makes sure that the pack was not dropped before.

use std::collections::{BTreeSet, HashSet};
use std::io::ErrorKind;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::id::{ChunkId, LobId, PackId};
use crate::manifest::Manifest;
use crate::pack::Table;
use crate::prune::aside;
use crate::reach::Reach;
use crate::roots::Cursor;
use crate::store::{LobInfo, Store};
use crate::view::{Listed, View, is_absent};

use super::Writer;

/// What one writer relies on.
#[derive(Debug, Default)]
pub(super) struct Reliance {
    /// Where the roots stood when nothing that it relied on was gone.
    pub(super) since: Cursor,
    /// Lobs that it was asked to add and found.
    lobs: HashSet<LobId>,
    /// The packs of these, each touched.
    touched: HashSet<PackId>,
    /// Whether packs were dropped since it began. Chunks in them may be of lobs that it has yet to
    /// name, of which nothing is in what it publishes first.
    pub(super) is_bereft: bool,
}

impl Reliance {
    pub(super) fn is_empty(&self) -> bool {
        self.lobs.is_empty()
    }

    /// Nothing that was published until `cursor` lacks anything, whatever comes after that.
    pub(super) fn settled(&mut self, cursor: Cursor) {
        *self = Reliance {
            since: cursor,
            is_bereft: self.is_bereft,
            ..Reliance::default()
        };
    }
}

impl Writer<'_> {
    /// What the store holds of these lobs. That stays while this writer is there, and when it has
    /// [finished](Writer::finish) it is durable and as young as if it had just been stored.
    pub fn hold(&mut self, ids: &[LobId]) -> Result<Vec<Option<LobInfo>>> {
        self.guarded(|writer| {
            let mut held = writer.store.lobs(ids)?;
            for lob in &mut held {
                if let Some(found) = *lob
                    && !writer.has_lob(&found.id)?
                {
                    *lob = None;
                }
            }
            Ok(held)
        })
    }

    /// Whether there is a lob of this id. One that is there stays so.
    pub(super) fn has_lob(&mut self, id: &LobId) -> Result<bool> {
        if self.lobs.contains(id) || self.reliance.lobs.contains(id) {
            return Ok(true);
        }
        while !self.moving {
            let view = self.store.view();
            let Some(place) = view.find(self.store.packs(), id)? else {
                break;
            };
            if self.holds_on_to(&place.pack, &view)? {
                let _ = self.reliance.touched.insert(place.pack);
                return Ok(self.reliance.lobs.insert(*id));
            }
            if !self.store.refresh()? {
                break;
            }
        }
        Ok(false)
    }

    /// Makes a pack young that is part of the store; `false` where it may not be any longer.
    fn holds_on_to(&self, pack: &PackId, view: &View) -> Result<bool> {
        if self.reliance.touched.contains(pack) {
            return Ok(true);
        }
        let path = self.store.packs().path(pack);
        match self.store.disk().touch(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            touched => allow(touched.map_err(Error::at(&path)))?,
        };
        let news = allow(self.store.news(&view.cursor))?;
        Ok(view.broken.is_some() || news.is_none_or(|news| !news.drops))
    }

    /// Brings back what was dropped of all that this writer relies on.
    pub(super) fn restore(&mut self) -> Result<()> {
        let _ = self.store.refresh()?;
        self.reliance.since = self.store.view().cursor;
        self.reliance.is_bereft = true;
        let moved: Vec<_> = self.moved.iter().map(|(id, _)| *id).collect();
        let mut lost = Lost::new(self.store, &moved)?;
        for pack in &moved {
            lost.look_behind_pack(pack)?;
        }
        for lob in &self.reliance.lobs {
            lost.look_for_lob(lob)?;
        }
        lost.bring_back()
    }
}

impl Store {
    /// Brings back those of `ids` that are not here any longer, as far as they are whole in packs that
    /// are set aside. Returns how many.
    pub fn bring_back(&self, ids: &[LobId]) -> Result<u64> {
        if !aside::is_any(self)? {
            return Ok(0);
        }
        let _ = self.refresh()?;
        let mut lost = Lost::new(self, &[])?;
        let (mut writer, mut back) = (Writer::new(self), 0);
        if !lost.is_possible() {
            return Ok(0);
        }
        for id in ids {
            let gone = lost.there.find(self.packs(), id)?.is_none();
            if !gone || lost.ever.find(self.packs(), id)?.is_none() {
                continue;
            }
            let found = lost.look_for_lob(id);
            match found.and_then(|()| lost.write_to(&mut writer)) {
                Err(error) if is_absent(&error) => {}
                Err(error) if is_refused(&error) => return Ok(0),
                done => {
                    done?;
                    back += 1;
                }
            }
            lost.clear();
        }
        match writer.finish() {
            // Whoever may only read here finds what is there.
            Err(error) if is_refused(&error) => Ok(0),
            done => done.map(|()| back),
        }
    }

    /// For each of `ids` whether it is not here any longer and [`Store::bring_back`] would find it, as
    /// far as tables and manifests tell. Changes nothing.
    pub fn are_aside(&self, ids: &[LobId]) -> Result<Vec<bool>> {
        let mut are_aside = vec![false; ids.len()];
        if !aside::is_any(self)? {
            return Ok(are_aside);
        }
        let _ = self.refresh()?;
        let mut lost = Lost::new(self, &[])?;
        for (id, is_aside) in ids.iter().zip(&mut are_aside) {
            let gone = lost.there.find(self.packs(), id)?.is_none();
            if gone && lost.ever.find(self.packs(), id)?.is_some() {
                *is_aside = match lost.look_for_lob(id) {
                    Err(error) if is_absent(&error) => false,
                    found => found.and_then(|()| lost.can_come_back())?,
                };
                lost.clear();
            }
        }
        Ok(are_aside)
    }
}

/// What lobs need and is no longer visible, and where it can still be read.
pub(super) struct Lost<'s> {
    store: &'s Store,
    /// What is part of the store, and what is about to be.
    there: View,
    /// That, and the packs that were dropped and whose files are still there.
    ever: View,
    chunks: BTreeSet<ChunkId>,
    lobs: Vec<Manifest>,
}

impl<'s> Lost<'s> {
    /// Nothing yet. `coming` are packs in their places that no root names yet.
    pub(super) fn new(store: &'s Store, coming: &[PackId]) -> Result<Lost<'s>> {
        let view = store.view();
        let coming = tables(store, coming)?;
        let dropped: Vec<_> = store
            .packs()
            .on_disk()?
            .into_iter()
            .map(|(id, _)| id)
            .filter(|id| view.dropped.contains(id))
            .collect();
        let there = view.with(coming);
        Ok(Lost {
            store,
            ever: there.with(tables(store, &dropped)?),
            there,
            chunks: BTreeSet::new(),
            lobs: Vec::new(),
        })
    }

    /// Whether there is anything from which something could come back.
    pub(super) fn is_possible(&self) -> bool {
        self.ever.tail.len() > self.there.tail.len()
    }

    fn ever(&self) -> Reach<'_> {
        Reach {
            store: self.store,
            view: &self.ever,
        }
    }

    /// Looks for all that the lobs and the frames of a pack need.
    pub(super) fn look_behind_pack(&mut self, pack: &PackId) -> Result<()> {
        let table = self.store.packs().table(pack)?;
        for frame in (0..table.frame_count()).filter_map(|n| table.frame(n)) {
            for base in table.bases(&frame) {
                self.look_for_chunk(&base)?;
                let place = self.there.find(self.store.packs(), &base)?;
                // What is left of it may be deeper than what the depth of the frame was set by.
                if place.is_some_and(|at| ChunkId::depth(&at.table, &at.entry) >= frame.depth) {
                    let _ = self.chunks.insert(base);
                }
            }
        }
        for n in 0..table.lob_count() {
            let id = table.lob(n).id;
            let manifest = self.ever().manifest(&id)?.ok_or(Error::NoLob(id))?;
            self.look_behind(&manifest)?;
        }
        Ok(())
    }

    /// Looks for a lob and all that it needs.
    pub(super) fn look_for_lob(&mut self, id: &LobId) -> Result<()> {
        let manifest = self.ever().manifest(id)?.ok_or(Error::NoLob(*id))?;
        if self.there.find(self.store.packs(), id)?.is_none() {
            self.lobs.push(manifest.clone());
        }
        self.look_behind(&manifest)
    }

    /// Looks for all that a lob needs.
    pub(super) fn look_behind(&mut self, manifest: &Manifest) -> Result<()> {
        let mut chunks = Vec::new();
        self.ever().each_chunk(manifest, &mut |id| {
            chunks.push(*id);
            Ok(())
        })?;
        chunks.iter().try_for_each(|id| self.look_for_chunk(id))
    }

    /// Looks for a chunk and all that its frame stands on.
    pub(super) fn look_for_chunk(&mut self, id: &ChunkId) -> Result<()> {
        let mut next = vec![*id];
        let mut seen = HashSet::new();
        while let Some(id) = next.pop() {
            let Some(place) = self.there.find(self.store.packs(), &id)? else {
                let _ = self.chunks.insert(id);
                continue;
            };
            let reach = Reach {
                store: self.store,
                view: &self.there,
            };
            next.extend(
                reach
                    .bases(&place)
                    .into_iter()
                    .filter(|base| seen.insert(*base)),
            );
        }
        Ok(())
    }

    /// Whether tables tell where all is that was found lacking, and all that its frames stand on.
    fn can_come_back(&self) -> Result<bool> {
        let mut next: Vec<ChunkId> = self.chunks.iter().copied().collect();
        let mut seen = self.chunks.clone();
        while let Some(id) = next.pop() {
            let Some(place) = self.ever.find(self.store.packs(), &id)? else {
                return Ok(false);
            };
            let bases = self.ever().bases(&place).into_iter();
            next.extend(bases.filter(|base| seen.insert(*base)));
        }
        Ok(true)
    }

    /// Writes all that was found lacking into packs of the store.
    pub(super) fn bring_back(self) -> Result<()> {
        if self.chunks.is_empty() && self.lobs.is_empty() {
            return Ok(());
        }
        let mut writer = Writer::new(self.store);
        self.write_to(&mut writer)?;
        writer.finish()
    }

    fn write_to(&self, writer: &mut Writer<'_>) -> Result<()> {
        for id in &self.chunks {
            let bytes = self.ever().bytes(id)?;
            writer.move_frame(Frame::plain(vec![(*id, bytes.len() as u32)], &bytes))?;
        }
        let mut lobs = self.lobs.iter();
        lobs.try_for_each(|manifest| writer.move_manifest(manifest))
    }

    /// Begins anew with what is lacking.
    fn clear(&mut self) {
        self.chunks.clear();
        self.lobs.clear();
    }
}

/// The tables of packs, those left out that cannot be had.
fn tables(store: &Store, packs: &[PackId]) -> Result<Vec<(PackId, Arc<Table>)>> {
    let mut found = Vec::with_capacity(packs.len());
    for id in packs {
        match store.packs().table(id) {
            Ok(table) => found.push((*id, table)),
            Err(error) if is_absent(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Whether the file system lets this process change nothing, or has no room for it.
pub(super) fn is_refused(error: &Error) -> bool {
    use ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let kinds = [
        PermissionDenied,
        QuotaExceeded,
        ReadOnlyFilesystem,
        StorageFull,
    ];
    matches!(error, Error::Io { source, .. } if kinds.contains(&source.kind()))
}

/// What was done, or nothing where the file system allows nothing.
fn allow<T>(done: Result<T>) -> Result<Option<T>> {
    match done {
        Err(error) if is_refused(&error) => Ok(None),
        done => done.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Cursor, Read};
    use std::path::Path;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::chunk::tests::noise;
    use crate::disk::OsDisk;
    use crate::progress::Progress;

    fn open(dir: &Path) -> Store {
        Store::open_or_create(Arc::new(OsDisk), dir).expect("a store")
    }

    /// Another process at the same store drops all but these lobs.
    fn prune(dir: &Path, kept: &[LobId]) -> crate::Swept {
        let store = open(dir);
        let young = SystemTime::now() + Duration::from_secs(1000);
        let prune = store.prune(young).expect("begins");
        let mut prune = prune.expect("nobody else prunes");
        for id in kept {
            assert!(prune.keep(id).expect("marks"), "{id} is there");
        }
        prune.plan().expect("plans").run(&()).expect("prunes")
    }

    /// How much of a content was looked at.
    #[derive(Default)]
    struct Looked(AtomicU64);

    impl Progress for Looked {
        fn bytes(&self, n: u64) {
            let _ = self.0.fetch_add(n, Ordering::SeqCst);
        }
    }

    /// Content during which, once the beginning was looked at, something happens.
    struct Eventful<'a, E: FnMut()> {
        content: Cursor<&'a [u8]>,
        looked: &'a Looked,
        event: Option<E>,
    }

    impl<E: FnMut()> Read for Eventful<'_, E> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            // The first window is on its way, and this is for the second one.
            if self.content.position() > 4 << 20
                && let Some(mut event) = self.event.take()
            {
                while self.looked.0.load(Ordering::SeqCst) == 0 {
                    std::thread::yield_now();
                }
                event();
            }
            let most = buffer.len().min(64 << 10);
            self.content.read(&mut buffer[..most])
        }
    }

    #[test]
    fn p7_what_a_long_lob_relies_on_outlasts_what_is_published_before_its_end() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = open(dir.path());
        let old = noise(1, 6 << 20);
        let mut writer = store.writer().expect("a writer");
        let _ = writer.add(&mut old.as_slice(), &()).expect("adds");
        writer.finish().expect("publishes");

        let new = [old, noise(2, 24 << 20)].concat();
        let looked = Looked::default();
        let mut source = Eventful {
            content: Cursor::new(&new),
            looked: &looked,
            event: Some(|| assert!(prune(dir.path(), &[]).waiting > 6 << 20)),
        };
        let mut writer = store.writer().expect("a writer");
        writer.set_pack_soft(1 << 20);
        let added = writer.add(&mut source, &looked).expect("adds");
        assert!(source.event.is_none());
        assert!(added.new_bytes < 25 << 20, "its beginning was there");
        assert!(store.cursor().expect("a cursor").seq > 2, "published early");
        writer.finish().expect("publishes");
        for _ in 0..2 {
            let mut out = Vec::new();
            let read = open(dir.path()).write_to(&added.id, &mut out, &());
            assert_eq!(read.expect("reads"), added.size);
            assert!(out == new);
            let _ = prune(dir.path(), &[added.id]);
        }
    }
}
