//! Packs that were dropped and whose files stay for a while, so that what turns out to be needed comes
//! back: `state/aside` says since when.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::error::{Error, Result};
use crate::id::PackId;
use crate::store::{Store, sealed};

const FILE: &str = "state/aside";
pub(crate) const NEW: &str = "state/aside.new";
const HEADING: &str = "lob aside";
/// Longest such file that is read: some 700,000 packs.
const LEN_MAX: u64 = 64 << 20;

/// Since when, in seconds since 1970, each pack is set aside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Aside(BTreeMap<PackId, u64>);

impl Aside {
    /// What was written down. Where that cannot be read, all packs that were dropped are set aside
    /// now.
    pub(super) fn load(store: &Store) -> Result<Aside> {
        let path = store.root().join(FILE);
        let Some(lines) = sealed::read(store.disk().as_ref(), &path, HEADING, LEN_MAX)? else {
            return Ok(Aside::default());
        };
        if let Some(aside) = lines.as_deref().and_then(parse) {
            return Ok(aside);
        }
        let now = now();
        let dropped = store.view().dropped.iter().map(|id| (*id, now)).collect();
        let aside = Aside(dropped);
        aside.save(store).map(|()| aside)
    }

    /// Sets packs aside that are about to be dropped, durably.
    pub(super) fn put(store: &Store, packs: impl Iterator<Item = PackId>) -> Result<()> {
        let (mut aside, now) = (Aside::load(store)?, now());
        aside.0.extend(packs.map(|id| (id, now)));
        aside.save(store)
    }

    /// Whether a pack is set aside, and was not for so long yet.
    pub(super) fn has(&self, pack: &PackId, grace: Duration) -> bool {
        let now = now();
        let stays = |since: u64| since > now || since.saturating_add(grace.as_secs()) > now;
        self.0.get(pack).is_some_and(|since| stays(*since))
    }

    /// Makes sure that it is all of these packs and no other, durably.
    pub(super) fn settle(
        &mut self,
        store: &Store,
        packs: &HashSet<PackId>,
        all: bool,
    ) -> Result<()> {
        let before = self.clone();
        self.0.retain(|id, _| packs.contains(id));
        let now = now();
        for id in packs.iter().filter(|_| all) {
            let _ = self.0.entry(*id).or_insert(now);
        }
        match *self == before {
            true => Ok(()),
            false => self.save(store),
        }
    }

    fn save(&self, store: &Store) -> Result<()> {
        let (disk, path) = (store.disk().as_ref(), store.root().join(FILE));
        let new = store.root().join(NEW);
        if self.0.is_empty() {
            sealed::clear(disk, &new)?;
            return disk.remove(&path).map_err(Error::at(&path));
        }
        let mut lines = String::new();
        for (id, since) in &self.0 {
            // Writing to a String does not fail.
            let _ = writeln!(lines, "{id} {since}");
        }
        sealed::write(disk, &path, &new, HEADING, &lines)
    }
}

/// Whether any pack of a store is set aside.
pub(crate) fn is_any(store: &Store) -> Result<bool> {
    let path = store.root().join(FILE);
    Ok(store.disk().len(&path).map_err(Error::at(&path))?.is_some())
}

fn parse(lines: &str) -> Option<Aside> {
    let packs = lines.lines().map(|line| {
        let (id, since) = line.split_once(' ')?;
        Some((id.parse().ok()?, since.parse().ok()?))
    });
    packs.collect::<Option<_>>().map(Aside)
}

/// Seconds since 1970.
fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}
