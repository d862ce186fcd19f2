//! Manifests: one lob as an ordered list of chunks.

use crate::id::{ChunkId, LobId};

/// A lob as an ordered list: of its chunks, or, when there are many, of segments. A segment is
/// itself a chunk in the store, whose bytes are a run of the list; so a small edit of a long lob
/// stores only the segments that it changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The lob.
    pub id: LobId,
    /// Its length in bytes.
    pub size: u64,
    /// What it is made of.
    pub parts: Parts,
}

/// The two forms of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parts {
    /// Chunks with their lengths in bytes.
    Chunks(Vec<(ChunkId, u32)>),
    /// Segments.
    Segments(Vec<Segment>),
}

/// A run of the list of a long lob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// The chunk that holds the run.
    pub id: ChunkId,
    /// How many chunks it lists.
    pub chunks: u32,
    /// How many bytes of the lob they hold.
    pub bytes: u64,
}

#[expect(unused_variables, clippy::todo, reason = "the skeleton")]
impl Segment {
    /// The run of the list that `bytes`, the content of this segment, holds.
    pub fn decode(&self, bytes: &[u8]) -> crate::error::Result<Vec<(ChunkId, u32)>> {
        todo!()
    }
}
