//! Why a step, or all of a run, came to nothing.

use std::fmt::Display;
use std::io;
use std::process::ExitStatus;

/// What went wrong, with the object of it.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The system refused something.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A program did not succeed.
    #[error("{command}: {status}\n{said}")]
    Program {
        /// The command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it said.
        said: String,
    },
    /// All programs succeeded, and the result is wrong all the same.
    #[error("{0}")]
    Wrong(String),
}

/// Says what an error of the system stopped.
pub trait Explain<T> {
    /// Names the thing that was tried.
    fn because(self, what: impl Display) -> Result<T, Failure>;
}

impl<T, E: Into<io::Error>> Explain<T> for Result<T, E> {
    fn because(self, what: impl Display) -> Result<T, Failure> {
        self.map_err(|source| Failure::Io {
            what: what.to_string(),
            source: source.into(),
        })
    }
}
