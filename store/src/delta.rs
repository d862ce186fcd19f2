//! Deltas between two files: the new one in terms of the old one, its base.
//!
//! Chunks that both have are copied. A chunk that the base lacks is compressed with the part of the
//! base that stands where it stood as its prefix (Korn et al., "The VCDIFF Generic Differencing and
//! Compression Data Format", RFC 3284, 2002, calls this windowed delta compression; the codec is
//! zstd's `refPrefix`). Which part that is follows from the copies around it and from votes of short
//! features that both have. Where the base is elsewhere, a [`Signature`] of it tells what can be copied.
//! docs/deltas.md tells how, and has every byte.

mod align;
mod base;
mod blocks;
mod make;
mod parts;
mod patch;
mod patchwork;
mod rolled;
mod signature;

pub(crate) use align::{Features, features, sparseness};
pub use base::Base;
pub(crate) use base::{Chunks, Source};
pub use make::{Delta, make};
pub(crate) use parts::{Aligner, Chunk, Part};
pub use patch::{Header, Patch};
pub use rolled::{make_from, worth};
pub use signature::Signature;

/// The first bytes of a delta.
const MAGIC: &[u8; 8] = b"LOBDELTA";
/// The version of the format.
const VERSION: u16 = 1;
/// Bytes before the first instruction: magic, version, reserved, lengths of base and new content,
/// hash of the base.
const HEADER_LEN: usize = 64;

/// The end of the instructions.
const END: u8 = 0;
/// Bytes of the base.
const COPY: u8 = 1;
/// Bytes as they are.
const RAW: u8 = 2;
/// One zstd frame.
const ZSTD: u8 = 3;
/// One zstd frame with a part of the base as its prefix.
const PREFIXED: u8 = 4;
/// Copies of the base and new bytes, side by side.
const PATCHWORK: u8 = 5;

#[cfg(test)]
mod tests;
