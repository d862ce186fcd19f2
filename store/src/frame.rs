//! Frames: one or more chunks compressed together.

use crate::id::ChunkId;

/// How the bytes of a frame are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Codec {
    /// As they are.
    Raw = 0,
    /// One zstd frame.
    Zstd = 1,
    /// One zstd frame with the base chunks, concatenated, as its prefix.
    ZstdPrefix = 2,
}

/// A frame as it is stored and as it moves between stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// How `stored` is encoded.
    pub codec: Codec,
    /// Length of the longest chain of bases behind this frame; 0 for a plain frame.
    pub depth: u8,
    /// The chunks in it, in order, with their lengths in bytes.
    pub chunks: Vec<(ChunkId, u32)>,
    /// The chunks whose bytes are the prefix, in order. Empty for a plain frame.
    pub bases: Vec<ChunkId>,
    /// The encoded bytes.
    pub stored: Vec<u8>,
}
