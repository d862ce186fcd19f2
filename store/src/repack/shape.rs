//! The shape that versions of one file are to have: the newest has no base. Each older one is based on
//! that, or on one that is, its *hub*; so no more than two frames stand on top of each other. Where
//! neither helps, a version has no base either, and older ones may be based on it in its place.

use std::collections::HashMap;

use crate::id::LobId;
use crate::limits::{REPACK_DEPTH, REPACK_GROUP};

use super::placed::{Placed, Turned};

/// What becomes of one version.
#[derive(Debug, Clone)]
pub(super) struct Version {
    pub(super) id: LobId,
    pub(super) size: u64,
    /// What it was turned into before, where it stays like that.
    pub(super) settled: Option<Turned>,
    /// The packs with chunks of it that are to be written anew, by their numbers in the marks.
    pub(super) packs: Vec<usize>,
}

/// The versions of one file, walked from the newest to the oldest.
#[derive(Debug, Default)]
pub(super) struct Shape {
    /// The last version without a base.
    pub(super) root: Option<LobId>,
    /// The last version that is based on it.
    pub(super) hub: Option<LobId>,
    depths: HashMap<LobId, u8>,
}

impl Shape {
    /// What is known of a version and still good: `rest` are those older than it.
    pub(super) fn settled(
        &self,
        lob: &LobId,
        rest: &[LobId],
        placed: &Placed,
        deep: bool,
    ) -> Option<Turned> {
        let turned = placed.get(lob).filter(|turned| turned.deep || !deep)?;
        let good = match (self.root, turned.parent) {
            (None, parent) => parent.is_none(),
            (Some(_), Some(parent)) => {
                let depth = self.depths.get(&parent);
                depth.is_some_and(|depth| *depth < REPACK_DEPTH)
            }
            // Nothing helped, or so much is based on it that it stays.
            (root, None) => {
                turned.root == root || !deep && group(lob, rest, placed) >= REPACK_GROUP
            }
        };
        good.then_some(turned)
    }

    /// Goes on to the next version.
    pub(super) fn take(&mut self, lob: LobId, parent: Option<LobId>) {
        let above = parent.and_then(|parent| self.depths.get(&parent).copied());
        let depth = match (parent, above) {
            (None, _) => 0,
            (_, above) => above.unwrap_or(REPACK_DEPTH).saturating_add(1),
        };
        match depth {
            0 => (self.root, self.hub) = (Some(lob), None),
            1 => self.hub = Some(lob),
            _ => {}
        }
        let _ = self.depths.insert(lob, depth);
    }
}

/// How many versions were based on this one, or on one that was.
fn group(lob: &LobId, rest: &[LobId], placed: &Placed) -> usize {
    let mut members = vec![*lob];
    for older in rest {
        match placed.get(older).and_then(|turned| turned.parent) {
            Some(parent) if members.contains(&parent) => members.push(*older),
            _ => break,
        }
    }
    members.len() - 1
}
