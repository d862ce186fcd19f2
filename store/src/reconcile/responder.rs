//! The side that answers.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::LobSet;
use super::message::{Request, encode_found, encode_sketched};
use super::sketch::{Key, Sketch, find};
use crate::error::{Error, Result};
use crate::limits::{SKETCH_AHEAD, SKETCHES_MAX};
use crate::roots::Cursor;

/// Makes cells of a sketch.
type Sketching<'a> = dyn Fn(&Key, &Range<usize>) -> Result<Sketch> + 'a;

/// The sketches that were made last, so that who asks for more cells need not wait until the set was gone
/// through again: at most [`SKETCHES_MAX`], of 64 KiB each.
#[derive(Debug, Default)]
pub struct Sketches(Mutex<VecDeque<Made>>);

/// A sketch, for a key, of a set that stood there.
#[derive(Debug)]
struct Made {
    key: Key,
    at: Cursor,
    sketch: Sketch,
}

impl Sketches {
    fn part(&self, key: &Key, at: Cursor, cells: &Range<usize>) -> Option<Sketch> {
        let made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = made.iter().filter(|made| made.key == *key && made.at == at);
        found.find_map(|made| made.sketch.part(cells))
    }

    fn remember(&self, new: Made) {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if made.len() >= SKETCHES_MAX {
            let _ = made.pop_front();
        }
        made.push_back(new);
    }
}

/// A request of an [`super::Initiator`].
#[derive(Debug)]
pub struct Question(Request);

impl Question {
    /// Reads one that came from somebody.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Later`] and [`Error::OverLimit`], all the fault of who asks.
    pub fn decode(request: &[u8]) -> Result<Question> {
        Request::decode(request).map(Question)
    }

    /// Answers it about a set, and goes through that once. Takes some megabytes for each core, however large
    /// the set is. Errors are those of the set.
    pub fn answer(&self, set: &dyn LobSet) -> Result<Vec<u8>> {
        self.answer_with(set, &|key, cells| Sketch::of(set, key, cells.clone()))
    }

    /// The same about a set that changes only when `stands` says something else, where cells that were made
    /// for a request before need not be made again.
    pub fn answer_again(
        &self,
        set: &dyn LobSet,
        stands: &dyn Fn() -> Result<Cursor>,
        made: &Sketches,
    ) -> Result<Vec<u8>> {
        self.answer_with(set, &|key, cells| {
            let at = stands()?;
            if let Some(part) = made.part(key, at, cells) {
                return Ok(part);
            }
            if cells.end > SKETCH_AHEAD {
                return Sketch::of(set, key, cells.clone());
            }
            let sketch = Sketch::ahead(set, key)?;
            let part = sketch.part(cells);
            // Somebody may have added to it meanwhile.
            if stands()? == at {
                let key = *key;
                made.remember(Made { key, at, sketch });
            }
            part.ok_or_else(|| Error::damaged("a request for cells", "it ends before it begins"))
        })
    }

    fn answer_with(&self, set: &dyn LobSet, sketch: &Sketching<'_>) -> Result<Vec<u8>> {
        match &self.0 {
            Request::Sketch { key, mine, cells } => {
                let mut theirs = sketch(key, cells)?;
                if theirs.head == *mine {
                    theirs.cells.clear();
                }
                Ok(encode_sketched(&theirs))
            }
            Request::Find { key, symbols } => {
                let found = find(set, key, symbols)?;
                let mut lobs: Vec<_> = found.into_iter().map(|(lob, _)| lob).collect();
                // Of lobs whose symbols are the same, which nobody can make on purpose, the first ones;
                // the digests tell that some are missing.
                lobs.truncate(symbols.len());
                match lobs.is_sorted_by(|a, b| a.id < b.id) {
                    true => Ok(encode_found(&lobs)),
                    false => Err(Error::damaged("the list of lobs", "one is in it twice")),
                }
            }
        }
    }
}
