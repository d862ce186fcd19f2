//! The one integration test binary.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod delta;
mod estimate;
mod filters;
mod format;
mod fsck;
mod gc;
#[cfg(unix)]
mod guide;
#[cfg(unix)]
mod kinds;
mod look;
mod manners;
mod network;
mod promises;
mod prune;
mod repair;
mod served;
mod setup;
mod shared;
mod store;
mod support;
mod sync;
mod tidy;
mod trials;
#[cfg(unix)]
mod trouble;
