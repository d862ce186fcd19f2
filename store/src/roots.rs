//! Roots: the numbered commit points that make packs visible, in order of arrival.

/// Where a reader of the roots stands: it has seen `seq` roots, the last of which hashes to `hash`.
/// 24 bytes say whether a store has changed, and whether it is still the same store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor {
    /// Roots seen.
    pub seq: u64,
    /// The first 16 bytes of the hash chain up to there.
    pub hash: [u8; 16],
}
