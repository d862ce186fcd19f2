//! How long work reports itself, without knowing who listens.

/// A listener to work in progress. Called from many threads, often; must be quick.
pub trait Progress: Sync {
    /// `n` more bytes of lob content were dealt with.
    fn bytes(&self, n: u64);
    /// One more lob was dealt with.
    fn lob(&self) {}
    /// Whether the work should stop with [`crate::Error::Interrupted`] as soon as it safely can.
    fn cancelled(&self) -> bool {
        false
    }
}

/// Nobody listens.
impl Progress for () {
    fn bytes(&self, _: u64) {}
}
