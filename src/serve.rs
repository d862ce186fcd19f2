//! The other end of smart remotes.

pub mod service;
