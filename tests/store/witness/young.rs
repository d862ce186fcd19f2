//! What was said to count as stored just now, and whether a prune sees it so.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use lob_store::disk::SimDisk;
use lob_store::{Fate, LobId, Store};

use super::Witness;

impl Witness {
    /// Somebody found this content, and was told that it counts as stored at `time`.
    pub fn stays_young(&mut self, disk: &SimDisk, place: &'static str, content: &[u8], time: u64) {
        let young = (disk.changes(), place, LobId::of(content), time);
        self.young.push(young);
    }

    /// A prune leaves alone what counts as young.
    pub(super) fn compare_ages(&self, disk: &SimDisk, place: &str) -> Result<(), String> {
        let young = self.young.iter().filter(|(_, at, ..)| *at == place);
        let Some(time) = young.clone().map(|(.., time)| *time).min() else {
            return Ok(());
        };
        // On a copy: a prune that only looks makes a file for its lock.
        let copy = Arc::new(disk.killed(disk.changes()));
        let fates = Store::open(copy, Path::new(place)).and_then(|store| {
            let prune = store.prune(UNIX_EPOCH + Duration::from_secs(time))?;
            let mut fates = BTreeMap::new();
            prune
                .expect("the only one")
                .plan()?
                .each_lob(&mut |lob, fate| {
                    fates.insert(lob.id, fate);
                    Ok(())
                })?;
            Ok(fates)
        });
        let fates = fates.map_err(|e| format!("planning a prune: {e}"))?;
        match young
            .map(|(.., id, _)| id)
            .find(|id| fates.get(*id) != Some(&Fate::Young))
        {
            None => Ok(()),
            Some(id) => Err(format!("{id} is old: {:?}", fates.get(id))),
        }
    }
}
