//! P1-P6: lob is killed at every call to the system that it makes, in every command that it has a part in.
//!
//! Only lob is killed, never a git, which leaves its own locks. Then nothing is locked, every store is whole, and the same command does its work.

use std::sync::Mutex;

use super::inject::{CHANGES, LOOKS, counts, is_allowed, plainly, points, some, traced};
use super::scene::{Scene, Share, each_task};
use super::task::Task;
use super::{Tier, report};

/// What the trials came to.
#[derive(Debug, Default)]
struct Outcome {
    kills: u64,
    stale_locks: u64,
    failed_retries: u64,
    violations: Vec<String>,
}

#[test]
fn p1_p2_p3_p5_p6_a_command_may_be_killed_anywhere_and_is_done_again() {
    if !is_allowed() {
        crate::support::skip("no strace on this machine, or it may not trace");
        return;
    }
    let tier = Tier::asked();
    let outcome = Mutex::new(Outcome::default());
    each_task(tier, &|scene, task, share| {
        kill(scene, task, tier, share, &outcome);
    });
    let outcome = outcome.into_inner().unwrap();
    report(
        "kills",
        &[
            ("kills", outcome.kills),
            ("stale locks", outcome.stale_locks),
            ("failed retries", outcome.failed_retries),
        ],
    );
    assert!(
        outcome.violations.is_empty(),
        "{} violations:\n{}",
        outcome.violations.len(),
        outcome.violations.join("\n")
    );
    let least = tier.pick(300, 5000);
    assert!(outcome.kills >= least, "only {} kills", outcome.kills);
}

/// Kills a task at one point after the other.
fn kill(scene: &Scene, task: &Task, tier: Tier, share: Share, outcome: &Mutex<Outcome>) {
    let counts = counts(scene, task);
    let few = |changes, looks| {
        let some = [
            some(&points(&counts, CHANGES), changes),
            some(&points(&counts, LOOKS), looks),
        ];
        some.concat()
    };
    let some = match tier {
        Tier::Quick if task.is_slow => few(9, 4),
        Tier::Quick => few(16, 6),
        Tier::Full => some(&points(&counts, &[CHANGES, LOOKS].concat()), 360),
    };
    for (n, (call, count)) in some.into_iter().enumerate() {
        if share.takes(n) {
            kill_at(scene, task, call, count, outcome);
        }
    }
}

fn kill_at(scene: &Scene, task: &Task, call: &str, n: u32, all: &Mutex<Outcome>) {
    scene.restore(task);
    let words = format!("-e trace={call} -e inject={call}:signal=KILL:when={n}");
    let (ran, trace) = traced(scene, task, &words);
    let mut outcome = Outcome {
        kills: trace.kills(),
        ..Outcome::default()
    };
    if outcome.kills > 0 {
        check(scene, task, ran.success, &mut outcome);
    }
    let mut all = all.lock().unwrap();
    all.kills += outcome.kills;
    all.stale_locks += outcome.stale_locks;
    all.failed_retries += outcome.failed_retries;
    for violation in outcome.violations {
        let (name, said) = (task.name, &ran.stderr);
        let text = format!("{name}, {call} {n}: {violation}; it said: {said}");
        eprintln!("{text}");
        all.violations.push(text);
    }
}

fn check(scene: &Scene, task: &Task, succeeded: bool, outcome: &mut Outcome) {
    if let Err(lock) = scene.is_unlocked(task) {
        outcome.stale_locks += 1;
        outcome.violations.push(lock);
    }
    if let Err(fault) = scene.is_sound(task) {
        outcome
            .violations
            .push(format!("before the retry: {fault}"));
    }
    if !(task.is_once && succeeded) {
        let again = plainly(scene, task);
        if !again.success {
            outcome.failed_retries += 1;
            outcome
                .violations
                .push(format!("the retry failed: {}", again.stderr));
            return;
        }
    }
    let checks = [
        scene.is_done(task),
        scene.is_unlocked(task),
        scene.is_sound_and_tidy(task),
    ];
    let failed = checks.into_iter().filter_map(Result::err);
    outcome
        .violations
        .extend(failed.map(|fault| format!("after the retry: {fault}")));
}
