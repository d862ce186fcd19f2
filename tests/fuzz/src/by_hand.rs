//! Stores made and read from docs/format.md alone, which the tests of that page use too.

#![allow(
    clippy::duplicate_mod,
    reason = "the tests of the page are in one program with the targets"
)]

#[path = "../../format/builder.rs"]
pub mod builder;
#[path = "../../format/pack.rs"]
pub mod pack;
