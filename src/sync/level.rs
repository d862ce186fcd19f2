//! Where two stores stood when one of them had nothing that the other lacked: as long as both stand there
//! still, a run in complete mode need not compare them.
//!
//! It is kept for remotes that tell what differs. Others are read anyway.

use std::fmt::Write;
use std::io;

use lob_store::{Cursor, StoreId};

use super::plan::Direction;
use super::state::State;
use crate::remote::{Remote, Result};

const HEADING: &str = "lob level 1";

/// Where two stores stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    direction: Direction,
    here: (StoreId, Cursor),
    there: (StoreId, Cursor),
}

impl Level {
    /// Where they stand now, as seen before anything else is asked about them.
    pub fn of(direction: Direction, here: &dyn Remote, there: &dyn Remote) -> Result<Level> {
        Ok(Level {
            direction,
            here: (here.store_id(), here.cursor()?),
            there: (there.store_id(), there.cursor()?),
        })
    }

    /// Whether they stood so when nothing was to be moved.
    pub fn is_known(&self, state: &State) -> bool {
        state.read(&self.file_name()).as_ref() == Some(&self.lines())
    }

    /// Writes down that nothing is to be moved in this direction.
    pub fn save(&self, state: &State) -> io::Result<()> {
        state.write(&self.file_name(), &self.lines())
    }

    fn file_name(&self) -> String {
        format!("level-{}-{}", self.direction.name(), self.there.0)
    }

    fn lines(&self) -> String {
        let mut lines = format!("{HEADING}\n");
        for (store, cursor) in [&self.here, &self.there] {
            let hash = u128::from_be_bytes(cursor.hash);
            // Writing to a String does not fail.
            let _ = writeln!(lines, "store {store} cursor {} {hash:032x}", cursor.seq);
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(direction: Direction, here: u64, there: u8) -> Level {
        let at = |store, seq, hash| {
            let hash = [hash; 16];
            (StoreId::from_bytes([store; 32]), Cursor { seq, hash })
        };
        Level {
            direction,
            here: at(1, here, 1),
            there: at(2, 9, there),
        }
    }

    #[test]
    fn it_is_known_until_one_of_the_stores_changes() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::of(dir.path());
        let saved = level(Direction::Push, 5, 7);
        assert!(!saved.is_known(&state));
        saved.save(&state).unwrap();
        assert!(saved.is_known(&state));
        let others = [
            (Direction::Pull, 5, 7),
            (Direction::Push, 6, 7),
            (Direction::Push, 5, 8),
        ];
        for (direction, here, there) in others {
            assert!(!level(direction, here, there).is_known(&state));
        }
        let path = dir.path().join("state").join(saved.file_name());
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("cursor 5", "cursor 6")).unwrap();
        assert!(!level(Direction::Push, 6, 7).is_known(&state), "damaged");
    }
}
