//! The side that answers.

use super::LobSet;
use super::message::{Request, encode_found, encode_sketched};
use super::sketch::{Sketch, find};
use crate::error::{Error, Result};

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

    /// Answers it about a set. Nothing is kept for the next one: each goes through the set once. Takes some
    /// megabytes for each core, however large the set is. Errors are those of the set.
    pub fn answer(&self, set: &dyn LobSet) -> Result<Vec<u8>> {
        match &self.0 {
            Request::Sketch { key, mine, cells } => {
                let mut theirs = Sketch::of(set, key, cells.clone())?;
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
