//! What the fuzzers run, and the plain test command over what they found.
//!
//! A target takes any bytes and panics where a promise does not hold: that nothing panics is the
//! least of it. The targets know only what the crates offer to everybody.

#[allow(dead_code, reason = "tests of the page use the rest")]
mod by_hand;
mod dribble;
mod input;
mod place;
mod plan;
mod scratch;

pub mod answers;
pub mod attributes;
pub mod config;
pub mod delta;
pub mod filter;
pub mod index_file;
pub mod journal;
pub mod pack;
pub mod pktline;
pub mod pointer;
pub mod reconcile;
pub mod roots;
pub mod salvage;
pub mod service;
pub mod state;
pub mod store;
pub mod url;

/// A target: its name, and what takes the bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("answers", answers::run),
    ("attributes", attributes::run),
    ("config", config::run),
    ("delta", delta::run),
    ("filter", filter::run),
    ("index_file", index_file::run),
    ("journal", journal::run),
    ("pack", pack::run),
    ("pktline", pktline::run),
    ("pointer", pointer::run),
    ("reconcile", reconcile::run),
    ("roots", roots::run),
    ("salvage", salvage::run),
    ("service", service::run),
    ("state", state::run),
    ("store", store::run),
    ("url", url::run),
];
