//! The program `lob`: large files out of git, kept in a chunk store and replicated.

#![forbid(unsafe_code)]

use std::process::ExitCode;

/// Runs the program with the arguments of this process.
pub fn run() -> ExitCode {
    ExitCode::SUCCESS
}
