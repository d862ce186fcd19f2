//! What goes wrong around lob: each time a clear error that names the way out, and nothing lost.

mod escape;
mod full;
mod garbage;
mod limited;
mod moving;
mod old;
mod pointers;
mod refused;
mod stores;
mod wire;

use std::process::Command;
use std::sync::OnceLock;

use crate::support::{Repo, Run, World, run, skip};

/// A bare repository, and one that has it as its remote and keeps `*.bin`.
fn pair(world: &World) -> (Repo, Repo) {
    let (origin, work) = world.pair();
    work.track(&["*.bin"]);
    (origin, work)
}

/// Runs a script of the shell, which fails with its first command that does.
fn shell(repo: &Repo, script: &str) -> Run {
    run(repo.command("sh").args(["-ec", script]), b"")
}

/// Runs a script where it may mount what it likes, unseen by everybody else. `None`, and said aloud,
/// on machines that do not let it.
fn mounting(repo: &Repo, script: &str) -> Option<Run> {
    static ALLOWED: OnceLock<bool> = OnceLock::new();
    let unshare = |command: &mut Command, script: &str| {
        let words = ["-Urm", "sh", "-ec", script];
        run(command.args(words), b"")
    };
    let allowed = *ALLOWED.get_or_init(|| {
        let here = repo.path().to_str().unwrap();
        let probe = format!("mount -t tmpfs none '{here}' && mount -o remount,size=1m '{here}'");
        let has_it = run(Command::new("sh").args(["-c", "command -v unshare"]), b"").success;
        has_it && unshare(&mut repo.command("unshare"), &probe).success
    });
    if !allowed {
        skip("no mounts for users on this machine");
        return None;
    }
    Some(unshare(&mut repo.command("unshare"), script))
}

/// Fails unless the text has all of these words.
#[track_caller]
fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
}
