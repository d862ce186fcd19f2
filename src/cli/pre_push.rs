//! What git's pre-push hook does: objects go before refs.

use std::ffi::OsStr;
use std::io::Read;

use super::Outcome;
use super::transfer::{How, carry_out, local, waiting};
use crate::git::path;
use crate::sync::{Pace, push};
use crate::ui::{Exit, Explain, Failure, Ui};

/// More refs than fit in here are not pushed at once.
const INPUT_MAX: u64 = 256 << 20;

/// Sends what the refs need that git is about to push to `remote` at `url`. Where there is nothing
/// to send the remote is not touched, and nothing is said.
pub(super) fn run(ui: &Ui, remote: &OsStr, url: &OsStr) -> Outcome {
    let mut lines = Vec::new();
    std::io::stdin()
        .lock()
        .take(INPUT_MAX + 1)
        .read_to_end(&mut lines)
        .because("cannot read what git is about to push")?;
    if lines.len() as u64 > INPUT_MAX {
        return Err(Failure::new("too many refs at once"));
    }
    let local = local()?;
    let (name, url) = (remote.to_string_lossy(), path::bytes(url));
    let stopped = format!("the push to {name} was stopped");
    let job = push::before_refs(&local, &name, &url, &lines, &waiting(ui)).because(&stopped)?;
    match job {
        Some(job) if !job.plan().is_empty() || !job.plan().missing.is_empty() => {
            // What is missing is missing there already; to stop git would bring nothing back.
            let _ = carry_out(ui, &local, job, &How::default()).because(&stopped)?;
        }
        // Writes down that the remote has all of it.
        Some(mut job) => {
            let _ = job.run(&Pace::unlimited(), &()).because(&stopped)?;
        }
        None => {}
    }
    Ok(Exit::Done)
}
