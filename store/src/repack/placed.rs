//! What repacks have done to which lobs, so that the next one need not try it again: `state/repacked`.
//! Where it is lost, all is tried once more.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::id::LobId;
use crate::store::{Store, sealed};

const FILE: &str = "state/repacked";
pub(crate) const NEW: &str = "state/repacked.new";
const HEADING: &str = "lob repacked";
/// Longest such file that is read and written: some 300,000 lobs.
const LEN_MAX: usize = 64 << 20;

/// What a lob was turned into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turned {
    /// The newer version that it is based on; `None` where it stands for itself.
    pub(super) parent: Option<LobId>,
    /// The version that had no base when this was decided; `None` where it was that itself.
    pub(super) root: Option<LobId>,
    /// Whether all was done that can be.
    pub(super) deep: bool,
}

/// All that was turned.
#[derive(Debug, Default)]
pub(super) struct Placed {
    lobs: BTreeMap<LobId, Turned>,
    changed: bool,
}

impl Placed {
    /// What is written down of lobs that are there.
    pub(super) fn load(store: &Store) -> Result<Placed> {
        let path = store.root().join(FILE);
        let lines = sealed::read(store.disk().as_ref(), &path, HEADING, LEN_MAX as u64)?;
        let mut lobs = lines
            .flatten()
            .as_deref()
            .and_then(parse)
            .unwrap_or_default();
        let ids: Vec<_> = lobs.keys().copied().collect();
        for (id, held) in ids.iter().zip(store.lobs(&ids)?) {
            if held.is_none() {
                let _ = lobs.remove(id);
            }
        }
        let changed = false;
        Ok(Placed { lobs, changed })
    }

    pub(super) fn get(&self, lob: &LobId) -> Option<Turned> {
        self.lobs.get(lob).copied()
    }

    pub(super) fn insert(&mut self, lob: LobId, turned: Turned) {
        self.changed |= self.lobs.insert(lob, turned) != Some(turned);
    }

    /// Writes it down, if anything is new.
    pub(super) fn save(&mut self, store: &Store) -> Result<()> {
        if !std::mem::take(&mut self.changed) {
            return Ok(());
        }
        let mut lines = String::new();
        for (lob, turned) in &self.lobs {
            let or = |id: Option<LobId>| id.map_or("-".into(), |id| id.to_string());
            let effort = if turned.deep { "deep" } else { "fast" };
            let line = format!("{lob} {} {} {effort}\n", or(turned.parent), or(turned.root));
            if lines.len() + line.len() < LEN_MAX - 128 {
                lines.push_str(&line);
            }
        }
        let (path, new) = (store.root().join(FILE), store.root().join(NEW));
        sealed::write(store.disk().as_ref(), &path, &new, HEADING, &lines)
    }
}

fn parse(lines: &str) -> Option<BTreeMap<LobId, Turned>> {
    let lobs = lines.lines().map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        let [lob, parent, root, effort] = *words.as_slice() else {
            return None;
        };
        let id = |word: &str| match word {
            "-" => Some(None),
            word => word.parse().ok().map(Some),
        };
        let (parent, root) = (id(parent)?, id(root)?);
        let deep = effort == "deep";
        Some((lob.parse().ok()?, Turned { parent, root, deep }))
    });
    lobs.collect()
}
