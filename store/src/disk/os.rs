//! The machine.
/// The file system of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsDisk;
