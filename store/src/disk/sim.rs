//! The simulation.
/// A simulated disk.
#[derive(Debug, Default)]
pub struct SimDisk;
/// A crash.
#[derive(Debug)]
pub struct Crash;
