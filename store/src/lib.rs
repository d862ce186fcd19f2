//! The engine of lob: a content-addressed, deduplicating, crash-safe chunk store.
//!
//! It knows no git, no network, no terminal and no environment. What it promises stands, numbered,
//! in docs/architecture.md.

#![deny(unsafe_code)]

mod against;
#[doc(hidden)]
pub mod buffer;
mod chunk;
mod cost;
mod decode;
pub mod delta;
pub mod disk;
mod epoch;
mod error;
mod frame;
pub mod fsck;
mod id;
#[doc(hidden)]
pub mod index;
pub mod limits;
mod manifest;
mod pack;
mod progress;
mod prune;
mod reach;
mod read;
pub mod reconcile;
mod repack;
pub mod repair;
mod roots;
mod stage;
mod store;
mod view;

pub use chunk::cut;
pub use cost::{LobCost, LobCosts};
pub use epoch::epoch;
pub use error::{Error, Result};
#[doc(hidden)]
pub use frame::compress_with_prefix;
pub use frame::{Codec, Frame};
pub use id::{BadId, ChunkId, Epoch, LobId, PackId, StoreId};
pub use manifest::{Manifest, Parts, Segment};
pub use progress::Progress;
pub use prune::{Fate, Prune, PruneCost, PrunePlan, Swept};
pub use read::{Kin, Stored};
pub use repack::{Effort, RepackCost, RepackPlan, Repacked, Turn};
pub use roots::Cursor;
pub use stage::{Added, Writer};
pub use store::{LobInfo, Store};
