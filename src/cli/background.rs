//! Going on in the background: this program is started anew, so that the command can end.

use std::process::{Command, Stdio};

use super::Outcome;
use crate::sync::background::{Phase, Run};
use crate::ui::{Exit, Explain, Failure};

/// Starts this program with these arguments: nothing of it keeps git or a terminal waiting.
pub(super) fn start(args: &[String]) -> Result<(), Failure> {
    let program = std::env::current_exe().because("cannot tell where lob itself is")?;
    let mut command = Command::new(program);
    command.args(args);
    let nothing = [Stdio::null(), Stdio::null(), Stdio::null()];
    let [input, output, errors] = nothing;
    command.stdin(input).stdout(output).stderr(errors);
    #[cfg(windows)]
    {
        use std::os::windows::process::CommandExt;
        const DETACHED_PROCESS: u32 = 8;
        command.creation_flags(DETACHED_PROCESS);
    }
    command
        .spawn()
        .because("cannot start in the background")
        .map(drop)
}

/// Writes down how a run ended, with one line about it.
pub(super) fn end(run: Run, done: Result<(Exit, String), Failure>) -> Outcome {
    let (phase, summary) = match &done {
        Ok((_, summary)) => (Phase::Done, summary.clone()),
        Err(failure) => (Phase::Failed, failure.message().to_string()),
    };
    run.end(phase, summary)
        .because("cannot write down how it ended")?;
    done.map(|(exit, _)| exit)
}

/// A session of its own, so that closing the terminal ends nothing, and a low priority.
pub(super) fn leave_the_terminal() {
    #[cfg(unix)]
    {
        // Neither is needed for the work itself.
        let _ = rustix::process::setsid();
        let _ = rustix::process::nice(10);
    }
}
