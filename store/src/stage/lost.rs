//! What was dropped and is needed all the same: looking for it in the files that are still there, and
//! bringing it back.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::id::{ChunkId, LobId, PackId};
use crate::manifest::Manifest;
use crate::pack::Table;
use crate::prune::aside;
use crate::reach::Reach;
use crate::store::Store;
use crate::view::{Listed, View, is_absent};

use super::Writer;
use super::reliance::is_refused;

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

    pub(super) fn write_to(&self, writer: &mut Writer<'_>) -> Result<()> {
        for id in &self.chunks {
            let bytes = self.ever().bytes(id)?;
            writer.move_frame(Frame::plain(vec![(*id, bytes.len() as u32)], &bytes))?;
        }
        let mut lobs = self.lobs.iter();
        lobs.try_for_each(|manifest| writer.move_manifest(manifest))
    }

    /// Begins anew with what is lacking.
    pub(super) fn clear(&mut self) {
        self.chunks.clear();
        self.lobs.clear();
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
