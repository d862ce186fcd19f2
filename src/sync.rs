//! Replication: which lobs are wanted where, the plan that brings them there, and its run.

pub mod checkout;
pub mod claims;
mod contact;
pub mod convert;
mod error;
pub mod fetch;
pub mod fsck;
mod job;
pub mod keep;
pub mod ledger;
pub mod local;
pub mod pace;
pub mod plan;
pub mod prefetch;
pub mod proof;
pub mod push;
pub mod repair;
mod retry;
mod run;
pub mod state;
mod target;
mod transfer;
pub mod users;
pub mod wanted;
pub mod worktree;

pub use error::{Error, Result};
pub use job::Job;
pub use local::Local;
pub use pace::Pace;
pub use plan::{Direction, Missing, Plan, Why};
pub use run::{Report, Sides, carry_out, push_all, survey};
pub use target::Target;
pub use transfer::Cost;
