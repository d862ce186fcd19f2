//! The server: the stores of many repositories over HTTP, over TLS, and over the standard streams.
//!
//! A request is found out about, admitted, and handed to a thread, on which a [`crate::wire::Serve`]
//! reads its body and writes its answer; how fast is up to the slower of the two. The only place
//! besides the network client that has an async runtime: it moves bytes and watches time, no more.

mod access;
mod answer;
mod app;
mod body;
mod config;
mod connection;
mod limits;
mod log;
mod metrics;
mod name;
mod places;
mod server;
pub mod service;
mod tls;
mod tokens;

pub use crate::wire::Caller;
pub use access::Gate;
pub use app::{App, Places};
pub use config::{Config, LimitsConfig};
pub use limits::Limits;
pub use log::{Log, appended};
pub use name::RepoName;
pub use places::{Beneath, Only};
pub use server::{Server, Stopper};
pub use service::{CareError, Change, Cleaner, Shares, What, Witness};
pub use tls::acceptor;
pub use tokens::{Grant, NewToken, Secret, Token, TokenFile, Tokens, make_private};

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
