//! What each remote store is known to hold: the commits all of whose lobs are there.
//!
//! A push scans only what is not reachable from these tips, so a new branch or tag on known commits
//! costs no scan. The tips say nothing but what was once true; a store that went backwards, or
//! another store, begins with an empty ledger.

use std::collections::HashSet;
use std::fmt::Write;
use std::io;

use lob_store::{Cursor, Epoch, StoreId};

use super::state::State;
use crate::git::{Oid, Repo};

/// Most tips that are kept; the oldest go first.
const TIPS_MAX: usize = 1 << 17;
const HEADING: &str = "lob ledger 2";

/// The ledger of one remote store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    store: StoreId,
    horizon: Horizon,
    cursor: Cursor,
    epoch: Epoch,
    /// Oldest first.
    tips: Vec<Oid>,
    known: HashSet<Oid>,
}

/// Where the history of this repository begins: everywhere in a full clone, elsewhere in a shallow
/// one. What a ledger says of commits it says of their history too, as far as it was here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Horizon(Option<blake3::Hash>);

impl Horizon {
    /// That of a repository, from the file in which git keeps it.
    pub fn of(repo: &Repo) -> Horizon {
        let file = std::fs::read(repo.common_dir().join("shallow"));
        Horizon::of_shallow(&file.unwrap_or_default())
    }

    /// That of a repository in which this is the content of git's file `shallow`: nothing in a full
    /// clone.
    pub fn of_shallow(commits: &[u8]) -> Horizon {
        Horizon((!commits.is_empty()).then(|| blake3::hash(commits)))
    }
}

impl std::fmt::Display for Horizon {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(hash) => write!(f, "{}", hash.to_hex()),
            None => f.write_str("none"),
        }
    }
}

impl Ledger {
    /// An empty ledger.
    pub fn new(store: StoreId, horizon: Horizon) -> Ledger {
        Ledger {
            store,
            horizon,
            cursor: Cursor::default(),
            epoch: Epoch::from_bytes([0; 32]),
            tips: Vec::new(),
            known: HashSet::new(),
        }
    }

    /// The ledger of `store`; an empty one where there is none that is whole, or where it speaks of
    /// a history that ended elsewhere.
    pub fn load(state: &State, store: StoreId, horizon: Horizon) -> Ledger {
        state
            .read(&file_name(store))
            .and_then(|text| parse(&text, store, horizon))
            .unwrap_or_else(|| Ledger::new(store, horizon))
    }

    /// Writes it down.
    pub fn save(&self, state: &State) -> io::Result<()> {
        let mut lines = format!(
            "{HEADING}\nstore {}\nhorizon {}\nepoch {}\ncursor {} ",
            self.store, self.horizon, self.epoch, self.cursor.seq
        );
        for byte in self.cursor.hash {
            // Writing to a String does not fail.
            let _ = write!(lines, "{byte:02x}");
        }
        lines.push('\n');
        for tip in &self.tips {
            let _ = writeln!(lines, "tip {tip}");
        }
        state.write(&file_name(self.store), &lines)
    }

    /// Commits and tags that are on the remote with all their lobs and all their history.
    pub fn tips(&self) -> &[Oid] {
        &self.tips
    }

    /// Where the store stood when the tips were last compared with it.
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// The epoch of the store in which the tips were true.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Whether `oid` is one of the tips; its ancestors are known to git alone.
    pub fn holds(&self, oid: &Oid) -> bool {
        self.known.contains(oid)
    }

    /// Compares with where the store stands now. Forgets everything where the store has gone
    /// backwards, as one that was restored from a backup has, and where lobs may have left it.
    /// Returns whether that was so.
    pub fn meet(&mut self, now: Cursor, epoch: Epoch) -> bool {
        let same_place_other_chain = now.seq == self.cursor.seq && now.hash != self.cursor.hash;
        let backwards = now.seq < self.cursor.seq || same_place_other_chain;
        let forgets = backwards || epoch != self.epoch;
        if forgets {
            self.tips.clear();
            self.known.clear();
        }
        self.cursor = now;
        self.epoch = epoch;
        forgets
    }

    /// Adds `tips` as the newest, in place of `covered`, which are their ancestors. `now` is where
    /// the store stands after all their lobs were seen in it.
    pub fn record(&mut self, tips: &[Oid], covered: &HashSet<Oid>, now: Cursor) {
        self.cursor = now;
        let fresh: HashSet<&Oid> = tips.iter().collect();
        self.tips
            .retain(|tip| !covered.contains(tip) && !fresh.contains(tip));
        let mut seen = HashSet::new();
        self.tips
            .extend(tips.iter().filter(|tip| seen.insert(**tip)));
        let excess = self.tips.len().saturating_sub(TIPS_MAX);
        self.tips.drain(..excess);
        self.known = self.tips.iter().copied().collect();
    }
}

fn file_name(store: StoreId) -> String {
    format!("ledger-{store}")
}

fn parse(text: &str, store: StoreId, horizon: Horizon) -> Option<Ledger> {
    let mut lines = text.lines();
    if lines.next()? != HEADING
        || lines.next()?.strip_prefix("store ")? != store.to_string()
        || lines.next()?.strip_prefix("horizon ")? != horizon.to_string()
    {
        return None;
    }
    let epoch = lines.next()?.strip_prefix("epoch ")?.parse().ok()?;
    let (seq, hash) = lines.next()?.strip_prefix("cursor ")?.split_once(' ')?;
    let cursor = Cursor {
        seq: seq.parse().ok()?,
        hash: crate::git::oid::hex(hash.as_bytes())?,
    };
    let tips = lines
        .map(|line| Oid::from_hex(line.strip_prefix("tip ")?.as_bytes()))
        .collect::<Option<Vec<Oid>>>()?;
    Some(Ledger {
        store,
        horizon,
        cursor,
        epoch,
        known: tips.iter().copied().collect(),
        tips,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oid(n: u8) -> Oid {
        Oid::from_bytes(&[n; 20]).unwrap()
    }

    fn cursor(seq: u64, hash: u8) -> Cursor {
        Cursor {
            seq,
            hash: [hash; 16],
        }
    }

    const WHOLE: Horizon = Horizon(None);

    fn store() -> StoreId {
        StoreId::from_bytes([7; 32])
    }

    #[test]
    fn it_comes_back_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::of(dir.path());
        let mut ledger = Ledger::load(&state, store(), WHOLE);
        assert_eq!(ledger, Ledger::new(store(), WHOLE));
        ledger.record(&[oid(1), oid(2)], &HashSet::new(), cursor(3, 9));
        ledger.save(&state).unwrap();
        assert_eq!(Ledger::load(&state, store(), WHOLE), ledger);
        let shallow = Horizon(Some(blake3::hash(b"x")));
        let unknown = Ledger::new(store(), shallow);
        assert_eq!(Ledger::load(&state, store(), shallow), unknown);
        let other = StoreId::from_bytes([8; 32]);
        assert_eq!(
            Ledger::load(&state, other, WHOLE),
            Ledger::new(other, WHOLE)
        );
    }

    #[test]
    fn damage_is_an_empty_ledger() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::of(dir.path());
        let mut ledger = Ledger::new(store(), WHOLE);
        ledger.record(&[oid(1)], &HashSet::new(), cursor(3, 9));
        ledger.save(&state).unwrap();
        let path = dir.path().join("state").join(file_name(store()));
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("tip 01", "tip 02")).unwrap();
        assert_eq!(
            Ledger::load(&state, store(), WHOLE),
            Ledger::new(store(), WHOLE)
        );
        for lines in ["", "lob ledger 1\n", "lob ledger 2\nstore x\n"] {
            state.write(&file_name(store()), lines).unwrap();
            assert_eq!(
                Ledger::load(&state, store(), WHOLE),
                Ledger::new(store(), WHOLE)
            );
        }
    }

    #[test]
    fn a_descendant_takes_the_place_of_what_it_covers() {
        let mut ledger = Ledger::new(store(), WHOLE);
        ledger.record(&[oid(1), oid(2)], &HashSet::new(), cursor(1, 1));
        ledger.record(&[oid(3), oid(3)], &HashSet::from([oid(1)]), cursor(2, 2));
        assert_eq!(ledger.tips(), [oid(2), oid(3)]);
        assert!(ledger.holds(&oid(3)) && !ledger.holds(&oid(1)));
    }

    #[test]
    fn a_store_that_went_backwards_or_lost_lobs_is_known_to_hold_nothing() {
        let mut start = Ledger::new(store(), WHOLE);
        let (first, later) = (start.epoch(), Epoch::of(b"later"));
        start.record(&[oid(1)], &HashSet::new(), cursor(5, 1));
        for (now, epoch, forgets) in [
            (cursor(5, 1), first, false),
            (cursor(9, 2), first, false),
            (cursor(5, 2), first, true),
            (cursor(4, 1), first, true),
            (cursor(0, 0), first, true),
            (cursor(9, 2), later, true),
        ] {
            let mut ledger = start.clone();
            assert_eq!(ledger.meet(now, epoch), forgets, "{now:?}");
            assert_eq!(ledger.tips().is_empty(), forgets, "{now:?}");
        }
    }
}
