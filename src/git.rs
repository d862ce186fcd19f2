//! Git: the only place that runs git or reads its files.

pub mod filter;
pub mod pktline;
