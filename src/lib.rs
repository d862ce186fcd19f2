//! The program `lob`: large files out of git, kept in a chunk store and replicated.
//!
//! Imports run one way: `cli` uses `sync`, `git`, `ui` and `remote`, which use the engine
//! (`lob_store`); `remote` says what `wire` writes; nothing uses `cli`. docs/architecture.md is the map.

#![forbid(unsafe_code)]

mod cli;
pub mod git;
pub mod remote;
pub mod serve;
pub mod sync;
pub mod ui;
pub mod wire;

use std::process::ExitCode;

/// Runs the program with the arguments of this process.
pub fn run() -> ExitCode {
    cli::main()
}
