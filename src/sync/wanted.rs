//! Which lobs a mode asks for.

use lob_store::{LobId, LobInfo};

/// A lob that is wanted, and where it was first found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// The lob.
    pub id: LobId,
    /// Its length in bytes, as its pointer says.
    pub size: u64,
    /// The path of the pointer that asks for it; empty where none does.
    pub path: Box<[u8]>,
}

impl Want {
    /// The lob without its place.
    pub fn info(&self) -> LobInfo {
        LobInfo {
            id: self.id,
            size: self.size,
        }
    }
}
