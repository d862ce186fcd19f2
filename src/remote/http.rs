//! What carries requests to a service: HTTP over TCP, over TLS, and over the standard streams of ssh.
//!
//! [`Network`] is an [`Exchange`](crate::wire::Exchange): synchronous outside, with a small async runtime
//! inside that moves bytes and watches time. One that is made has not connected yet. Connections are kept
//! and used again; one that breaks, or on which nothing moves, is left for another, and what can be sent
//! again is, after growing waits, until the budget of time without any progress is used up.

mod answer;
mod budget;
mod dial;
mod fault;
mod login;
mod network;
mod origin;
mod own;
mod pieces;
mod place;
mod pool;
mod proxy;
mod reach;
mod sending;
pub mod ssh;
mod tls;

pub use budget::Patience;
pub use network::{Means, Network};
pub use own::Own;
pub use pieces::Pieces;
pub use place::{HttpPlace, SshPlace};
pub use reach::Place;
pub use tls::Authorities;

#[cfg(test)]
mod tests;
