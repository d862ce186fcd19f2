//! The engine through its public interface.

mod add;
mod aside;
mod copies;
pub mod deltas;
mod fsck;
mod hostile;
mod index;
mod kill;
mod lengths;
pub mod long;
mod mend;
mod moving;
mod order;
mod prune;
mod repair;
pub mod runs;
mod spare;
mod watched;
pub mod witness;

use std::path::Path;
use std::sync::Arc;

use lob_store::disk::OsDisk;
use lob_store::{LobId, Store};

/// Bytes that look random: the output of BLAKE3 for a seed.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new()
        .update(&seed.to_le_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

/// A store on the machine's disk.
pub fn open(root: &Path) -> Store {
    Store::open_or_create(Arc::new(OsDisk), root).expect("the store opens")
}

/// The whole content of a lob.
pub fn read(store: &Store, id: &LobId) -> lob_store::Result<Vec<u8>> {
    let mut out = Vec::new();
    store.write_to(id, &mut out, &()).map(|_| out)
}
