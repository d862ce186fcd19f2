//! `lob guard`: keeps a lock of git's from outliving the lob that took it.

use std::path::PathBuf;

use super::Outcome;
use crate::git::index_file;
use crate::ui::Exit;

/// Remove a lock of git's when the lob that took it is killed
///
/// Lob starts this while it writes git's index. It ends when its stdin does.
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub(super) struct Args {
    /// The lock
    lock: PathBuf,
    /// Which file it is: another one of its name stays
    identity: String,
}

pub(super) fn run(args: Args) -> Outcome {
    index_file::wait(&args.lock, &args.identity, std::io::stdin())?;
    Ok(Exit::Done)
}
