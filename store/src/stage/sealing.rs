//! Closing packs in the background, and making them visible.

use std::thread::JoinHandle;

use crate::disk;
use crate::error::{Error, Result};
use crate::id::PackId;
use crate::limits::{BROKEN_ROOTS_TRIES, PUBLISH_BATCH};
use crate::pack::{PackWriter, Sealed};
use crate::roots::{Cursor, News, Root};

use super::reliance::is_refused;
use super::{SEALING_MAX, Writer};

impl Writer<'_> {
    pub(super) fn seal_if_full(&mut self) -> Result<()> {
        let full = |pack: &PackWriter| pack.is_full(self.pack_soft);
        if !self.pack.as_ref().is_some_and(full) {
            return Ok(());
        }
        self.seal()?;
        self.join_sealing(SEALING_MAX)?;
        if self.sealed.len() >= PUBLISH_BATCH {
            self.publish_sealed()
        } else {
            Ok(())
        }
    }

    pub(super) fn seal(&mut self) -> Result<()> {
        self.settle_batch()?;
        if let Some(mut pack) = self.pack.take() {
            // Here, and not in the thread: what was added counts as handed over when a call returns.
            pack.flush()?;
            self.sealing
                .push_back(std::thread::spawn(move || pack.seal()));
        }
        Ok(())
    }

    /// Waits until no more than `most` packs are being sealed.
    pub(super) fn join_sealing(&mut self, most: usize) -> Result<()> {
        while self.sealing.len() > most {
            let Some(sealing) = self.sealing.pop_front() else {
                break;
            };
            let sealed = self.outcome(sealing)?;
            self.sealed.push(sealed);
        }
        Ok(())
    }

    /// What a thread did with what was handed to it. After an error, of whatever kind, that is lost to
    /// this writer, which still counts on it.
    pub(super) fn outcome<T>(&mut self, job: JoinHandle<Result<T>>) -> Result<T> {
        let done = job.join();
        let done = done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        self.has_lost |= done.is_err();
        done
    }

    /// Whether it does no more: the errors of its calls were not all of what was added.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }

    pub(super) fn seal_and_publish(&mut self) -> Result<()> {
        self.seal()?;
        self.join_sealing(0)?;
        self.publish_sealed()?;
        self.chunks.clear();
        self.lobs.clear();
        self.small.published()?;
        self.unsynced = 0;
        Ok(())
    }

    /// Packs, then tables, then the root (P4). No lob gets its name here that lacks anything: where
    /// roots dropped packs since this writer first looked, what it relied on is looked at again, and
    /// brought back where it is gone.
    fn publish_sealed(&mut self) -> Result<()> {
        self.move_sealed()?;
        if self.moved.is_empty() && self.reliance.is_empty() {
            return Ok(());
        }
        if self.reliance.is_bereft {
            self.restore()?;
        }
        let mut broken = 0;
        while !self.publish_root(Vec::new(), &mut |news| Ok(!news.drops))? {
            self.restore()?;
            // Each round makes the roots whole. Where the disk does not give them back, none does.
            if let Some(why) = self.store.broken_roots() {
                broken += 1;
                if broken >= BROKEN_ROOTS_TRIES {
                    return Err(Error::damaged(self.store.root().display(), why));
                }
            }
        }
        Ok(())
    }

    /// Makes all that was moved visible in the place of these packs, which go, with one root. Does
    /// neither, and returns `false`, where `agree` says no to what came after `since`; to be called
    /// again then.
    pub(crate) fn publish_in_place_of(
        &mut self,
        dropped: Vec<PackId>,
        since: &Cursor,
        agree: &mut dyn FnMut(News) -> Result<bool>,
    ) -> Result<bool> {
        self.begin()?;
        self.lasting(|writer| {
            writer.write_received()?;
            writer.seal()?;
            writer.join_sealing(0)?;
            writer.move_sealed()?;
            writer.reliance.since = *since;
            writer.publish_root(dropped, agree)
        })
    }

    /// Gives the packs in their place their root, unless `agree` says no.
    fn publish_root(
        &mut self,
        dropped: Vec<PackId>,
        agree: &mut dyn FnMut(News) -> Result<bool>,
    ) -> Result<bool> {
        let root = Root {
            added: self.moved.clone(),
            dropped,
        };
        let since = self.reliance.since;
        let done = match self.store.publish_root(&root, &since, agree) {
            // Nobody who could not write here could drop anything either, or he is not this user.
            Err(error) if root.says_nothing() && is_refused(&error) => Some(since),
            done => done?,
        };
        let Some(cursor) = done else {
            return Ok(false);
        };
        // What a prune moves is not its own: those rely on it who named it.
        let published = std::mem::take(&mut self.moved).into_iter();
        let published = published.map(|(id, _)| id).filter(|_| !self.moving);
        self.reliance.settled(cursor, published);
        let last = self.serial - (self.sealing.len() + usize::from(self.pack.is_some())) as u32;
        self.chunks.retain(|_, pending| pending.pack > last);
        self.lobs.retain(|_, pack| *pack > last);
        Ok(true)
    }

    /// Puts sealed packs in their places, where they count once a root names them. One after the
    /// other, each durable before the next: lobs are named in the pack of their last chunk, so of
    /// what a power loss leaves of them no lob lacks anything, whoever takes them in.
    fn move_sealed(&mut self) -> Result<()> {
        let sealed = std::mem::take(&mut self.sealed);
        if sealed.is_empty() {
            return Ok(());
        }
        let disk = self.store.disk().as_ref();
        if self.store.view().cursor.seq == 0 {
            // Packs with neither a root nor a stage look like those of a store whose roots are lost.
            let above = self.store.root().join("stage");
            disk.sync_dir(&above).map_err(Error::at(&above))?;
        }
        let (packs, dir) = (self.store.packs(), self.store.root().join("packs"));
        for Sealed {
            id,
            len,
            pack,
            table,
            ..
        } in &sealed
        {
            // When this fails it may have left the stage all the same.
            self.moved.push((*id, *len));
            let (pack_to, table_to) = (packs.path(id), packs.table_path(id));
            let moves = [(pack.as_path(), pack_to.as_path()), (table, &table_to)];
            disk::publish_all(disk, &moves).map_err(Error::at(&dir))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::chunk::tests::noise;
    use crate::disk::SimDisk;
    use crate::store::Store;

    /// Other errors of these kinds leave a writer with all that it counts on.
    #[test]
    fn a_writer_whose_thread_failed_does_no_more_whatever_the_error() {
        let disk = Arc::new(SimDisk::new());
        let store = Store::create(disk, Path::new("/store")).expect("a store");
        for error in [
            Error::damaged("a pack", "on its way"),
            Error::OverLimit {
                what: "a pack".into(),
                limit: 1,
            },
        ] {
            let mut writer = store.writer().expect("a writer");
            writer.set_pack_soft(1);
            writer.sealing.push_back(std::thread::spawn(|| Err(error)));
            let mut failed = false;
            for n in 0..6 {
                let content = noise(n, 2_000_000);
                let added = writer.add(&mut content.as_slice(), &());
                assert!(!failed || added.is_err(), "it goes on");
                failed |= added.is_err();
            }
            assert!(failed, "nobody asked for the outcome");
            assert!(matches!(writer.publish(), Err(Error::WriterFailed)));
        }
    }
}
