//! The index: sorted runs of `id -> (pack, number)` over the tables of many packs.
//!
//! A run covers the packs of a range of roots. Small runs are merged into larger ones, so that a
//! store has few: a lookup costs one binary search in each, in a memory map. Entries hold 8 bytes of
//! an id; what they point to is confirmed in the table of its pack before it counts, since 8 bytes
//! can be forged. Runs are rebuilt from the tables when they are lost.

mod merge;
mod run;
#[cfg(test)]
mod tests;

pub(crate) use merge::{Gone, Source, build};
pub(crate) use run::{Kind, Run, is_run, ranges, run_name};

#[doc(hidden)]
pub mod simulate;
