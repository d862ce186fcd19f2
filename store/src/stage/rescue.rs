//! The end of a writer that could not publish: what it acknowledged is to last all the same.

use std::path::Path;

use crate::disk;
use crate::error::{Error, Result};
use crate::id::LobId;
use crate::store::Store;

use super::{Stage, Writer, salvage};

impl Writer<'_> {
    /// Ends a writer whose caller has told others of what [`Writer::add`] returned. Publishes as
    /// [`Writer::finish`] does, also after an error. Where that cannot be done, what was added is made
    /// durable in the stage, where the next one to open the store takes it in; and what the disk
    /// would not sync there is written anew.
    ///
    /// # Errors
    /// [`Error::Unkept`] where a power loss may take what was acknowledged. Any other error is why it
    /// is not visible yet.
    pub fn keep(mut self) -> Result<()> {
        let Err(error) = self.publish() else {
            return self.finish();
        };
        self.stop();
        let stage = self.stage.take();
        let Err(refused) = sync_in_place(self.store, stage.as_ref()) else {
            return Err(error);
        };
        let unnamed = self.naming;
        let lobs = self.lobs.drain().map(|(id, _)| id);
        let lobs = lobs.filter(|id| Some(*id) != unnamed);
        match stage {
            Some(stage) if write_anew(self.store, &stage, lobs.collect()).is_ok() => {
                // Whoever opens the store next would do it too.
                let _ = salvage::remove(self.store, &stage.dir, &stage.lock_path);
                Ok(())
            }
            _ => Err(Error::Unkept(Box::new(refused))),
        }
    }
}

/// Makes durable what is in a stage, and what it relies on.
fn sync_in_place(store: &Store, stage: Option<&Stage>) -> Result<()> {
    store.settle()?;
    let (disk, above) = (store.disk().as_ref(), store.root().join("stage"));
    let mut dirs = vec![store.root().join("packs")];
    if let Some(stage) = stage {
        for entry in disk::entries(disk, &stage.dir).map_err(Error::at(&stage.dir))? {
            let path = stage.dir.join(&entry.name);
            // The rest can be made again from these.
            let is_pack = path
                .extension()
                .is_some_and(|extension| extension == "pack");
            if is_pack && !store.refused().any(|refused| refused == path) {
                let file = disk.reopen(&path, entry.len).map_err(Error::at(&path))?;
                file.sync().map_err(Error::at(&path))?;
            }
        }
        dirs.extend([stage.dir.clone(), above.clone()]);
    }
    for dir in &dirs {
        disk.sync_dir(dir).map_err(Error::at(dir))?;
    }
    let own = |path: &Path| stage.is_some_and(|stage| path.starts_with(&stage.dir));
    let elsewhere = |path: &Path| path.starts_with(&above) && path != above;
    match store.refused().any(|path| own(path) || !elsewhere(path)) {
        true => Err(sync_failed(&above)),
        false => Ok(()),
    }
}

/// Publishes what can be read of a stage whose files may not last, all of these lobs among it.
fn write_anew(store: &Store, stage: &Stage, lobs: Vec<LobId>) -> Result<()> {
    salvage::salvage(store, &stage.dir)?;
    let above = store.root().join("stage");
    if store.refused().any(|path| !path.starts_with(&above)) {
        // Names that this relies on as well.
        return Err(sync_failed(store.root()));
    }
    let found = store.lobs(&lobs)?;
    match lobs.iter().zip(found).find(|(_, found)| found.is_none()) {
        Some((lob, _)) => Err(Error::NoLob(*lob)),
        None => Ok(()),
    }
}

fn sync_failed(path: &Path) -> Error {
    Error::at(path)(std::io::Error::other("an earlier sync failed"))
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::sync::Arc;

    use super::*;
    use crate::chunk::tests::noise;
    use crate::disk::SimDisk;

    const ROOT: &str = "/store";

    /// What became of lobs that were added to a disk with a fault, all of whose pointers went out.
    struct Trial {
        disk: SimDisk,
        acknowledged: Vec<(LobId, Vec<u8>)>,
        ended: Result<()>,
    }

    fn add_all(fault: impl FnOnce(&SimDisk)) -> Trial {
        let disk = SimDisk::new();
        let store = Store::create(Arc::new(disk.clone()), Path::new(ROOT)).unwrap();
        let mut writer = store.writer().unwrap();
        writer.set_pack_soft(200 << 10);
        writer.set_sync_behind(40 << 10);
        fault(&disk);
        let lens = [300, 70_000, 5000, 1_100_000, 60_000, 90_000, 20];
        let mut acknowledged = Vec::new();
        for (n, len) in (0..).zip(lens) {
            let content = noise(n, len);
            match writer.add(&mut content.as_slice(), &()) {
                Ok(added) => acknowledged.push((added.id, content)),
                Err(_) => break,
            }
        }
        let ended = writer.keep();
        Trial {
            disk,
            acknowledged,
            ended,
        }
    }

    /// Loses power now, in several ways.
    fn survives(trial: &Trial) {
        for crash in trial.disk.crash_states(trial.disk.changes(), 4) {
            let store = Store::open(Arc::new(crash.disk.clone()), Path::new(ROOT));
            let store = store.unwrap_or_else(|error| panic!("{crash}: {error}"));
            for (id, content) in &trial.acknowledged {
                let mut read = Vec::new();
                let done = store.write_to(id, &mut read, &());
                assert!(
                    done.is_ok(),
                    "{crash}: {done:?}; it ended {:?}",
                    trial.ended
                );
                assert!(read == *content);
            }
        }
    }

    #[test]
    fn p2_what_was_acknowledged_before_the_disk_was_full_outlasts_a_power_loss() {
        let mut full = 0;
        for capacity in (0..).map(|n| n * 50_000) {
            let trial = add_all(|disk| disk.set_capacity(Some(capacity)));
            survives(&trial);
            match trial.ended {
                Ok(()) if trial.acknowledged.len() == 7 => break,
                Err(Error::Unkept(_)) => panic!("a full disk syncs"),
                _ => full += 1,
            }
        }
        assert!(full > 10, "{full}");
    }

    #[test]
    fn p2_what_was_acknowledged_before_an_error_outlasts_a_power_loss_or_is_named() {
        let (mut saved, mut unkept) = (0, 0);
        for at in 0.. {
            let trial = add_all(|disk| disk.fail_at(disk.changes() + at, ErrorKind::Other));
            if trial.disk.injected() == 0 {
                break;
            }
            match &trial.ended {
                Err(Error::Unkept(_)) => {
                    // Of names nothing is left to write anew.
                    let log = trial.disk.log();
                    let dir = log.iter().any(|words| words.contains("sync directory"));
                    assert!(dir, "{log:?}");
                    unkept += 1;
                }
                _ => {
                    survives(&trial);
                    saved += 1;
                }
            }
        }
        assert!(saved > 5 * unkept && unkept > 0, "{saved}, {unkept}");
    }

    #[test]
    fn p2_where_nothing_can_be_synced_any_more_it_is_said() {
        let mut unkept = 0;
        for at in 0.. {
            let trial = add_all(|disk| disk.fail_from(disk.changes() + at, ErrorKind::Other));
            if trial.disk.injected() == 0 {
                break;
            }
            match &trial.ended {
                Err(Error::Unkept(_)) => unkept += 1,
                _ => survives(&trial),
            }
        }
        assert!(unkept > 10, "{unkept}");
    }
}
