//! Directories of the machine's, for what does not go through the simulated disk.

use std::path::Path;

use tempfile::{Builder, TempDir};

/// Where files are in memory, on systems that have such a place.
const MEMORY: &str = "/dev/shm";

/// A new directory, deleted with the value: in memory where that can be.
pub fn dir() -> TempDir {
    let memory = Path::new(MEMORY);
    let made = match memory.is_dir() {
        true => Builder::new().prefix("lob-fuzz-").tempdir_in(memory),
        false => tempfile::tempdir(),
    };
    made.expect("a temporary directory can be made")
}
