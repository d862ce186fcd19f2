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

use crate::support::{Repo, Run, World, mounting, run};

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

/// Fails unless the text has all of these words.
#[track_caller]
fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
}
