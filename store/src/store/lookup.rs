//! Looking for what cannot be done without: everything is tried before it counts as lost.

use crate::error::{Error, Result};
use crate::id::{ChunkId, PackId};
use crate::index::Kind;
use crate::limits::PLACES_MAX;
use crate::pack::ChunkEntry;
use crate::view::{Listed, Place, Ranges, is_absent};

use super::Store;

impl Store {
    /// A place of what somebody needs. Where none is found, what others have published since is
    /// taken in, and then the index is believed only as far as it holds.
    pub(crate) fn need<I: Listed>(&self, id: &I) -> Result<Option<Place<I::Entry>>> {
        let mut found = self.view().find(self.packs(), id)?;
        if found.is_none() && self.refresh()? {
            found = self.view().find(self.packs(), id)?;
        }
        if found.is_none() && self.distrust(I::KIND)? {
            found = self.view().find(self.packs(), id)?;
        }
        Ok(found)
    }

    /// A place of a chunk that something refers to.
    pub(crate) fn need_chunk(&self, id: &ChunkId) -> Result<Place<ChunkEntry>> {
        self.need(id)?.ok_or(Error::NoChunk(*id))
    }

    /// What `read` finds at `place` or, where nothing can be had there, at another place of `id`.
    pub(crate) fn read_any<I: Listed, T>(
        &self,
        id: &I,
        place: &Place<I::Entry>,
        read: impl Fn(&Place<I::Entry>) -> Result<T>,
    ) -> Result<T> {
        match read(place) {
            Err(error) if is_absent(&error) => {
                let elsewhere = self.read_elsewhere(id, &place.pack, read)?;
                elsewhere.ok_or(error)
            }
            done => done,
        }
    }

    /// What `read` finds at a place of `id` in another pack than the one that failed.
    pub(crate) fn read_elsewhere<I: Listed, T>(
        &self,
        id: &I,
        failed: &PackId,
        read: impl Fn(&Place<I::Entry>) -> Result<T>,
    ) -> Result<Option<T>> {
        // Packs may have been written anew meanwhile, and a damaged index may hide places.
        let _ = self.refresh()?;
        let _ = self.distrust(I::KIND)?;
        let places = self.view().find_all(self.packs(), id, PLACES_MAX)?;
        for place in places.iter().filter(|place| place.pack != *failed) {
            match read(place) {
                Err(error) if is_absent(&error) => {}
                done => return done.map(Some),
            }
        }
        Ok(None)
    }

    /// Goes on without the runs of the index that do not hold, which may hide what is there: their
    /// packs are looked into one by one. Rebuilds them where it can. Returns whether there are any.
    /// Each run is read the first time, and that it holds is remembered.
    pub(crate) fn distrust(&self, kind: Kind) -> Result<bool> {
        let mut any = false;
        loop {
            let view = self.view();
            let bad = view.runs.iter().filter(|run| !run.holds(kind));
            let bad: Ranges = bad.map(|run| run.range()).collect();
            if bad.is_empty() {
                break;
            }
            any = true;
            self.reload(&bad)?;
        }
        if any {
            // Where this process may not write, others will.
            let _ = self.merge_index();
        }
        Ok(any)
    }
}
