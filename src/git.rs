//! Git: the only place that runs git or reads its files.
//!
//! Git is run with argument vectors, never through a shell, and what comes from outside is never an
//! operand that begins with `-`. Paths are bytes, as git's are.

pub mod attributes;
pub mod command;
pub mod config;
pub mod credential;
pub mod error;
pub mod filter;
#[cfg(test)]
pub(crate) mod fixture;
pub mod history;
pub mod hooks;
pub mod index_file;
pub mod objects;
pub mod oid;
pub mod path;
pub mod patterns;
pub mod pipes;
pub mod pktline;
pub mod pointer;
pub mod records;
pub mod refs;
pub mod remotes;
pub mod repo;
mod rewrite;
pub mod scan;
pub mod seen;
pub mod settings;
pub mod traces;
pub mod tracked;
pub mod tree_path;
pub mod version;

pub use command::{Git, Pipe};
pub use config::Config;
pub use error::{GitError, Result};
pub use oid::Oid;
pub use pointer::Pointer;
pub use repo::Repo;
pub use seen::{Blob, Seen};
pub use settings::{Populate, Settings, Smudge, Window};
pub use tree_path::TreePath;
