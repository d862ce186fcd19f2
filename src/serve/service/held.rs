//! What all requests together hold in memory: each is bounded, but many at once are more than a server has.

use std::io::{self, Read};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::refuse::of_wire;
use crate::wire::{Refusal, RefusalKind, WireError};

/// Bytes for all requests of this process that are more than small.
const MOST: usize = 64 << 20;
/// Bytes that a request may hold without being counted: questions about little are always answered.
const SMALL: usize = 64 << 10;
/// What a byte of a question becomes where nothing else is said: a list of ids, the same of another kind, a
/// set, and what is answered.
const WEIGHT: usize = 4;

static HELD: AtomicUsize = AtomicUsize::new(0);

/// What one request holds, until it is dropped.
#[derive(Debug, Default)]
pub(super) struct Held {
    bytes: usize,
    counted: usize,
}

impl Held {
    /// Takes note that it holds more. Refuses where all together would hold too much; later it works.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.bytes += bytes;
        let more = self.bytes.saturating_sub(SMALL) - self.counted;
        self.counted += more;
        let before = HELD.fetch_add(more, Ordering::Relaxed);
        match more == 0 || before + more <= MOST {
            true => Ok(()),
            false => {
                let message = "too many long requests at once";
                Err(Refusal::new(RefusalKind::Busy, message))
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = HELD.fetch_sub(self.counted, Ordering::Relaxed);
    }
}

/// The body of a question, which is held as a whole from when it comes until it is answered.
pub(super) struct Question<'r> {
    body: &'r mut dyn Read,
    weight: usize,
    held: Held,
    refused: Option<Refusal>,
}

impl<'r> Question<'r> {
    pub(super) fn new(body: &'r mut dyn Read) -> Question<'r> {
        Question::of_weight(body, WEIGHT)
    }

    /// One of which a byte becomes so many.
    pub(super) fn of_weight(body: &'r mut dyn Read, weight: usize) -> Question<'r> {
        Question {
            body,
            weight,
            held: Held::default(),
            refused: None,
        }
    }

    /// Reads all of it.
    pub(super) fn read<T>(
        &mut self,
        read: impl FnOnce(&mut dyn Read) -> Result<T, WireError>,
    ) -> Result<T, Refusal> {
        let found = read(self);
        match self.refused.take() {
            Some(refusal) => Err(refusal),
            None => found.map_err(of_wire),
        }
    }
}

impl Read for Question<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.body.read(buffer)?;
        match self.held.grow(len * self.weight) {
            Ok(()) => Ok(len),
            Err(refusal) => {
                self.refused = Some(refusal);
                Err(io::ErrorKind::OutOfMemory.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_long_questions_wait_for_each_other_and_short_ones_do_not() {
        let long = vec![7; MOST / WEIGHT];
        let take = |bytes: &[u8]| {
            let mut body = bytes;
            let mut question = Question::new(&mut body);
            let read = question.read(|from| {
                let mut all = Vec::new();
                from.read_to_end(&mut all).map_err(WireError::Cut)
            });
            read.map_err(|refusal| refusal.kind)
        };
        assert_eq!(take(&long), Ok(long.len()));
        let mut held = Held::default();
        held.grow(MOST / 2).unwrap();
        assert_eq!(take(&long), Err(RefusalKind::Busy));
        assert_eq!(take(&long[..SMALL / WEIGHT]), Ok(SMALL / WEIGHT));
        assert_eq!(take(&long[..1 << 20]), Ok(1 << 20));
        drop(held);
        assert_eq!(take(&long), Ok(long.len()), "all was given back");
    }
}
