//! Finding out what differs from a store behind a service.

use lob_store::LobInfo;
use lob_store::reconcile::{Difference, Initiator, LobSet, Peer};

use super::Served;
use crate::remote::{Error, Remote, Result};
use crate::wire::message::read_differ;
use crate::wire::{Differing, Verb};

/// What differs between `mine` and what a service holds. Memory is taken for all of `mine`, 40 bytes each:
/// they are gone through some times, which in a store takes longer than in a list.
pub(super) fn compare(served: &Served, mine: &dyn LobSet) -> Result<Difference> {
    let mut held = Vec::new();
    mine.each(&mut |lob| {
        held.push(lob);
        Ok(())
    })?;
    Initiator::new(&held)?.run(&mut Comparing(served))
}

/// The service as an initiator reaches it.
struct Comparing<'a>(&'a Served);

impl Peer for Comparing<'_> {
    type Error = Error;

    fn exchange(&mut self, question: &[u8], most: usize) -> Result<Vec<u8>> {
        let asked = Differing {
            store: self.0.store,
            question: question.to_vec(),
        };
        let body = asked.encode().map_err(|error| self.0.unasked(error))?;
        self.0
            .ask(Verb::Differ, &body, |from| read_differ(from, most))
    }

    fn each_lob(&mut self, each: &mut dyn FnMut(LobInfo) -> lob_store::Result<()>) -> Result<()> {
        self.0.each_lob(&mut |lob| Ok(each(lob)?))
    }

    fn wrong(&self, error: lob_store::Error) -> Error {
        self.0.failed(error.into())
    }
}
