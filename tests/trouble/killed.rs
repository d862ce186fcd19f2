//! P2, P5, P6: a filter that is killed by the system, in the midst of anything it asks the system for.

use std::fs;

use super::*;
use crate::support::{noise, pointer};

/// Runs git with a filter that is killed at the `n`th of these calls to the system. Says whether it
/// came to that; `None` where processes may not be traced.
fn git_killed_at(repo: &Repo, args: &[&str], call: &str, n: usize) -> Option<bool> {
    static ALLOWED: OnceLock<bool> = OnceLock::new();
    let allowed = || {
        run(
            repo.command("sh").args(["-c", "strace -o /dev/null true"]),
            b"",
        )
        .success
    };
    if !*ALLOWED.get_or_init(allowed) {
        skip("no strace on this machine, or it may not trace");
        return None;
    }
    let trace = repo.path().join(".git/trace");
    let strace = format!(
        "filter.lob.process=strace -f -o '{}' -e trace={call} -e inject={call}:signal=KILL:when={n} \
         lob filter-process",
        trace.display()
    );
    let args = ["-c", &strace].into_iter().chain(args.iter().copied());
    repo.try_git(&args.collect::<Vec<_>>());
    Some(
        fs::read_to_string(trace)
            .unwrap()
            .contains("killed by SIGKILL"),
    )
}

#[test]
fn p2_p5_p6_an_add_may_be_killed_anywhere_and_is_done_again() {
    let world = World::new();
    let (_, work) = pair(&world);
    work.git(&["add", "."]);
    let mut kills = 0;
    for call in [
        "write",
        "fsync",
        "fdatasync",
        "rename",
        "unlink",
        "flock",
        "mkdir",
    ] {
        for n in 1.. {
            let seed = 1000 * kills + n as u64;
            let files = [
                ("a.bin", noise(seed, 1000)),
                ("b.bin", noise(seed + 500, 1_500_000)),
            ];
            for (path, content) in &files {
                work.write(path, content);
            }
            let Some(killed) = git_killed_at(&work, &["add", "."], call, n) else {
                return;
            };
            // Plainly again: no lock is in the way, and nothing is to be said.
            assert_eq!(work.try_git(&["add", "."]).ok_stderr(), "", "{call} {n}");
            for (path, content) in &files {
                let stored = work.stored(&format!(":{path}"));
                assert_eq!(stored, pointer(content).as_bytes(), "{call} {n}");
                let kept = run(work.command("lob").arg("smudge"), &stored).stdout;
                assert!(kept == *content, "{call} {n}: {path} is kept");
            }
            let stages = fs::read_dir(work.path().join(".git/lob/stage")).unwrap();
            assert_eq!(stages.count(), 0, "{call} {n}: no stage stays");
            if !killed {
                break;
            }
            kills += 1;
        }
    }
    assert!(kills > 20, "only {kills} kills");
}

#[test]
fn p5_p6_a_checkout_may_be_killed_anywhere_and_is_done_again() {
    let world = World::new();
    let (origin, work) = pair(&world);
    let files = |version| {
        [
            ("a.bin", noise(version, 1000)),
            ("b.bin", noise(10 + version, 90_000)),
        ]
    };
    for version in [1, 2] {
        for (path, content) in files(version) {
            work.write(path, content);
        }
        work.commit("A version");
    }
    work.git(&["push", "-q", "origin", "main"]);
    let clone = world.clone_of(&origin, "clone");
    // The hook would repair what the kill left, and hide it.
    clone.git(&["config", "core.hooksPath", "/dev/null"]);
    let mut kills = 0;
    // Only some of many.
    for (populate, call, step) in [
        ("false", "write", 5),
        ("1", "write", 5),
        ("1", "renameat", 1),
        ("1", "flock", 1),
    ] {
        clone.git(&["config", "lob.populate", populate]);
        for n in (1..).step_by(step) {
            // The content has to come again, too.
            fs::remove_dir_all(clone.path().join(".git/lob")).unwrap();
            let args = ["checkout", "-q", "-f", "HEAD~1"];
            let Some(killed) = git_killed_at(&clone, &args, call, n) else {
                return;
            };
            // The lock of git's index is a file, which neither git nor lob can take along when killed.
            let _ = fs::remove_file(clone.path().join(".git/index.lock"));
            for (path, content) in files(1) {
                // Git takes the old version away before it asks for the new one.
                let file = clone.path().join(path);
                let Ok(found) = fs::read(&file) else { continue };
                let is_new = found == content || found == pointer(&content).as_bytes();
                let is_old = files(2).contains(&(path, found));
                assert!(is_new || is_old, "{populate} {call} {n}: {path}");
                fs::remove_file(file).unwrap();
            }
            clone.git(&["checkout", "-q", "-f", "main~1"]);
            for (path, content) in files(1) {
                assert!(clone.read(path) == content, "{populate} {call} {n}: {path}");
            }
            clone.assert_clean();
            clone.git(&["checkout", "-q", "main"]);
            for (path, content) in files(2) {
                assert!(clone.read(path) == content, "{call} {n}: {path}");
            }
            if !killed {
                break;
            }
            kills += 1;
        }
    }
    assert!(kills >= 8, "only {kills} kills");
}
