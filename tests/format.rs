//! docs/format.md says what the engine does: a reader written from that page alone reads what the
//! engine writes, and the engine reads what was made by hand from it.

mod builder;
pub mod damage;
mod deltas;
mod foreign;
mod frozen;
mod pack;
mod page;
mod reader;
mod stores;

use std::path::Path;
use std::sync::Arc;

use lob_store::disk::OsDisk;
use lob_store::{LobId, Store};

/// The content of a lob as the engine reads it.
fn read_by_engine(store: &Store, id: &pack::Id) -> lob_store::Result<Vec<u8>> {
    let mut out = Vec::new();
    store
        .write_to(&LobId::from_bytes(*id), &mut out, &())
        .map(|_| out)
}

fn open(dir: &Path) -> lob_store::Result<Store> {
    Store::open(Arc::new(OsDisk), dir)
}
