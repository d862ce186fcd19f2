//! Packs: immutable files of records, closed by a table of what is in them.
//!
//! ```text
//! header | record ... | table | where the table is
//! ```
//!
//! docs/format.md describes every byte.

mod journal;
mod packs;
mod reader;
mod record;
mod table;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use journal::Journal;
pub(crate) use packs::Packs;
pub(crate) use reader::{hash_of, rescue, salvage, stage_of};
pub(crate) use reader::{nonce_of, read_frame, read_frame_payload, read_manifest, read_table};
pub(crate) use record::Record;
pub(crate) use table::{CHUNK_COST, ChunkEntry, FrameEntry, LobEntry, Table};
pub(crate) use writer::{PackWriter, Sealed};

/// The version of the format that this program writes, and the latest that it reads.
pub(crate) const VERSION: u16 = 1;

/// The last bytes of a pack.
const TRAILER_MAGIC: &[u8; 8] = b"LOBDONE\n";

/// A random number that makes every pack file unique.
pub(crate) type Nonce = [u8; 16];
