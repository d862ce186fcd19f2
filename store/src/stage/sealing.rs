//! Closing packs in the background, and making them visible.

use std::path::PathBuf;

use crate::disk;
use crate::error::{Error, Result};
use crate::limits::PUBLISH_BATCH;
use crate::pack::{PackWriter, Sealed};

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
            let sealed = sealing
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            self.sealed.push(sealed);
        }
        Ok(())
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

    /// Packs, then tables, then the root (P4).
    pub(super) fn publish_sealed(&mut self) -> Result<()> {
        let sealed = std::mem::take(&mut self.sealed);
        if sealed.is_empty() {
            return Ok(());
        }
        let packs = self.store.packs();
        let moves = |target: &dyn Fn(&Sealed) -> (PathBuf, PathBuf)| {
            sealed.iter().map(target).collect::<Vec<_>>()
        };
        let mut pairs = moves(&|s| (s.pack.clone(), packs.path(&s.id)));
        pairs.extend(moves(&|s| (s.table.clone(), packs.table_path(&s.id))));
        let borrowed: Vec<_> = pairs
            .iter()
            .map(|(from, to)| (from.as_path(), to.as_path()))
            .collect();
        let dir = self.store.root().join("packs");
        disk::publish_all(self.store.disk().as_ref(), &borrowed).map_err(Error::at(&dir))?;
        self.store
            .publish_root(sealed.iter().map(|s| (s.id, s.len)).collect())?;
        let last = self.serial - (self.sealing.len() + usize::from(self.pack.is_some())) as u32;
        self.chunks.retain(|_, pending| pending.pack > last);
        Ok(())
    }
}
