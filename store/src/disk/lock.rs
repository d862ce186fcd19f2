//! Kernel locks: they end with their process.
use std::fs::File;
/// A held kernel lock.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code)] pub(super) Option<File>);
