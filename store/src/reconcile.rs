//! Which lobs differ between two sets, in bytes that follow the difference and not the sets.
//!
//! The method is rateless set reconciliation: Yang, Gilad and Alizadeh, "Practical Rateless Set
//! Reconciliation", SIGCOMM 2024, <https://doi.org/10.1145/3651890.3672219>. Each side can make the
//! cells of one endless sketch of its set; the difference of two sketches is the sketch of the
//! difference, and about 1.4 cells for each lob in it are enough to take it apart (`reconcile/peel.rs`).
//!
//! The [`Initiator`] asks and finds out; the other side answers each [`Question`] by itself: what it
//! remembers of those before, its last [`Sketches`], only spares it work. Lobs stand in cells as 8 bytes that a key makes of them which is drawn for the run: so
//! nobody can have stored lobs that collide. The key is the initiator's alone, since the other side
//! never takes anything apart: nothing that is in a sketch can hurt it.
//!
//! What was found counts only if it makes up the whole difference between two digests over all 32
//! bytes, one of each side. Otherwise, and where it is shorter, the initiator reads the list of all
//! lobs of the other side, which must have that digest too. A peer can lie about what it holds, as it
//! can in a list; it cannot make two sets pass for equal that it does not claim to be equal. What it
//! makes the initiator do ends within the limits in [`crate::limits`].
//!
//! docs/reconcile.md describes the messages.

mod estimate;
mod initiator;
mod message;
mod peel;
mod responder;
mod sketch;
#[cfg(test)]
mod tests;

use crate::error::Result;
use crate::store::{LobInfo, Store};

pub use initiator::{Difference, How, Initiator, Peer, Spent};
pub use message::{ANSWER_MAX, REQUEST_MAX};
pub use responder::{Question, Sketches};

/// A set of lobs that can be gone through again and again.
pub trait LobSet {
    /// Calls `each` for every lob, in any order, each once. Stops at the first error of `each`.
    fn each(&self, each: &mut dyn FnMut(LobInfo) -> Result<()>) -> Result<()>;
}

impl LobSet for Store {
    fn each(&self, each: &mut dyn FnMut(LobInfo) -> Result<()>) -> Result<()> {
        self.each_lob(each)
    }
}

/// A list without duplicates.
impl LobSet for Vec<LobInfo> {
    fn each(&self, each: &mut dyn FnMut(LobInfo) -> Result<()>) -> Result<()> {
        self.iter().try_for_each(|lob| each(*lob))
    }
}
