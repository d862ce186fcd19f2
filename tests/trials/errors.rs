//! P1-P4, P6: the system refuses, once or from then on, at every call that lob makes in every command.
//!
//! Then no command panics or hangs, each that fails says what failed with an exit code of its own,
//! what says that it is done is done, every store is whole, no file is synced again that the system
//! once refused to sync, and the same command does its work when the system is well again.

use std::collections::BTreeMap;
use std::sync::Mutex;

use lob_store::fsck::{self, Finding, Object};

use crate::support::Run;

use super::inject::{Trace, counts, is_allowed, plainly, points, some, traced};
use super::scene::{Scene, each_task, is_bad};
use super::task::Task;
use super::{Tier, report};

/// The calls, and what the system may say to each. Syncs are never interrupted: the standard library
/// would do them again.
const REFUSALS: &[(&str, &[&str])] = &[
    ("openat", &["EIO", "EMFILE", "ENOMEM", "EINTR", "ENOSPC"]),
    ("openat2", &["EIO", "EMFILE"]),
    ("read", &["EIO", "EINTR"]),
    ("pread64", &["EIO", "EINTR"]),
    ("write", &["ENOSPC", "EIO", "EDQUOT", "EINTR"]),
    ("fsync", &["EIO", "ENOSPC", "EDQUOT"]),
    ("fdatasync", &["EIO", "ENOSPC", "EDQUOT"]),
    ("rename", &["EIO", "ENOSPC", "EDQUOT"]),
    ("renameat", &["EIO", "ENOSPC"]),
    ("linkat", &["EIO", "ENOSPC"]),
    ("unlink", &["EIO"]),
    ("unlinkat", &["EIO"]),
    ("rmdir", &["EIO"]),
    ("mkdir", &["ENOSPC", "EIO", "EDQUOT"]),
    ("ftruncate", &["EIO", "EINTR"]),
    ("utimensat", &["EIO"]),
    ("fchmod", &["EIO"]),
    ("flock", &["EINTR", "ENOLCK", "EIO"]),
    ("statx", &["EIO", "ENOMEM"]),
    ("newfstatat", &["EIO", "ENOMEM"]),
    ("getdents64", &["EIO", "ENOMEM"]),
    ("pipe2", &["EMFILE"]),
];

/// One refusal: the call, which of them, the error, and whether it lasts.
type Fault = (&'static str, u32, &'static str, bool);

/// What the trials came to.
#[derive(Debug, Default)]
struct Outcome {
    trials: u64,
    errors: u64,
    panics: u64,
    failed_retries: u64,
    violations: Vec<String>,
}

#[test]
fn p1_p2_p3_p6_the_system_may_refuse_anything() {
    if !is_allowed() {
        crate::support::skip("no strace on this machine, or it may not trace");
        return;
    }
    let tier = Tier::asked();
    let outcome = Mutex::new(Outcome::default());
    each_task(tier, &|scene, task, share| {
        for (n, fault) in faults(scene, task, tier).into_iter().enumerate() {
            if share.takes(n) {
                refuse(scene, task, fault, &outcome);
            }
        }
    });
    let outcome = outcome.into_inner().unwrap();
    report(
        "errors",
        &[
            ("commands with an injected error", outcome.trials),
            ("injected errors", outcome.errors),
            ("panics", outcome.panics),
            ("failed retries", outcome.failed_retries),
        ],
    );
    let count = outcome.violations.len();
    let all = outcome.violations.join("\n");
    assert!(count == 0, "{count} violations:\n{all}");
    let least = tier.pick(500, 10_000);
    assert!(outcome.trials >= least, "only {} errors", outcome.trials);
}

/// All that the system may say to a task, or an even choice of that. Not before the program begins: who
/// loads it has no other way than to give up.
fn faults(scene: &Scene, task: &Task, tier: Tier) -> Vec<Fault> {
    let counts = counts(scene, task);
    let loading = loading(scene);
    let mut all = Vec::new();
    for (call, errors) in REFUSALS {
        let begun = loading.get(*call).copied().unwrap_or(0);
        for (call, n) in points(&counts, &[*call]) {
            if n > begun {
                let each = errors
                    .iter()
                    .flat_map(|error| [(*error, false), (*error, true)]);
                all.extend(each.map(|(error, lasts)| (call, n, error, lasts)));
            }
        }
    }
    match tier {
        Tier::Quick if task.is_slow => some(&all, 25),
        Tier::Quick => some(&all, 34),
        Tier::Full => some(&all, 640),
    }
}

/// How often each call is made to load the program and to say its version.
fn loading(scene: &Scene) -> BTreeMap<String, u32> {
    let mut version = *super::task::TASKS.last().unwrap();
    version.words = &["lob", "--version"];
    let calls: Vec<_> = REFUSALS.iter().map(|(call, _)| *call).collect();
    let (ran, trace) = traced(scene, &version, &format!("-e trace={}", calls.join(",")));
    assert!(ran.success, "{ran:?}");
    let mut counts = trace.calls();
    counts.remove("write");
    counts
}

fn refuse(scene: &Scene, task: &Task, fault: Fault, all: &Mutex<Outcome>) {
    let (call, n, error, lasts) = fault;
    // An interrupt that came every time would be waited for for ever, as it should.
    let from = match (lasts, error) {
        (false, _) => "",
        (true, "EINTR") => "+2",
        (true, _) => "+",
    };
    scene.restore(task);
    // A file that is made anew under the name of one that could not be synced is another file.
    let more = if call.contains("sync") { ",openat" } else { "" };
    let words = format!("-e trace={call}{more} -e inject={call}:error={error}:when={n}{from}");
    let (ran, trace) = traced(scene, task, &words);
    if trace.errors() == 0 {
        return;
    }
    let mut outcome = Outcome {
        trials: 1,
        errors: trace.errors(),
        ..Outcome::default()
    };
    // Tables of packs that hold nothing any longer are what a prune gives up first for room, which may be
    // wanted for them as well then: the packs have it all.
    let is_full = lasts && matches!(error, "ENOSPC" | "EDQUOT") && !task.drops.is_empty();
    check(scene, task, (&ran, is_full), &trace, &mut outcome);
    let mut all = all.lock().unwrap();
    all.trials += outcome.trials;
    all.errors += outcome.errors;
    all.panics += outcome.panics;
    all.failed_retries += outcome.failed_retries;
    for violation in outcome.violations {
        let (name, code, said) = (task.name, ran.code, &ran.stderr);
        let text = format!(
            "{name}, {call} {n}{from} {error}: {violation}; it ended with {code:?} and said: {said}"
        );
        eprintln!("{text}");
        all.violations.push(text);
    }
}

fn check(
    scene: &Scene,
    task: &Task,
    (ran, is_full): (&Run, bool),
    trace: &Trace,
    outcome: &mut Outcome,
) {
    let mut blame = |result: Result<(), String>| outcome.violations.extend(result.err());
    let ended = ended_well(task, ran, trace.is_silenced());
    blame(ended.clone());
    if ended.is_err_and(|fault| fault.contains("panic")) {
        outcome.panics += 1;
    }
    let mut blame = |result: Result<(), String>| outcome.violations.extend(result.err());
    let again = trace.synced_again();
    blame(match again.as_slice() {
        [] => Ok(()),
        files => Err(format!("synced again: {}", files.join(" "))),
    });
    blame(scene.is_unlocked(task));
    blame(match is_full && !ran.success {
        true => scene.findings(task, &|finding| {
            is_bad(finding) && !is_missing_table(finding)
        }),
        false => scene.is_sound(task),
    });
    // What a remote cannot read it does not hold, and a prune says that it therefore drops nothing.
    let told = ["warning: ", "but no remote holds them"];
    let warned = told.iter().any(|told| ran.stderr.contains(told)) || trace.is_silenced();
    if ran.success && !warned {
        let done = scene.is_done(task);
        blame(done.map_err(|fault| format!("said that it was done: {fault}")));
    }
    if !(task.is_once && ran.success) {
        let again = plainly(scene, task);
        if !again.success {
            outcome.failed_retries += 1;
            let said = again.stderr;
            outcome.violations.push(format!("the retry failed: {said}"));
            return;
        }
    }
    if ran.success && task.checked_out.is_some() {
        // Git has done its part, and pointers are in place: this is what the warning says.
        scene.repo(task.repo).lob(&["pull"]);
    }
    for result in [scene.is_done(task), scene.is_sound_and_tidy(task)] {
        let fault = result
            .err()
            .map(|fault| format!("after the retry: {fault}"));
        outcome.violations.extend(fault);
    }
}

fn is_missing_table(finding: &Finding) -> bool {
    matches!(finding.object, Object::Table(_)) && finding.fault == fsck::Fault::Missing
}

/// Whether a command that met an error ended as commands do, and said what it was.
fn ended_well(task: &Task, ran: &Run, is_silenced: bool) -> Result<(), String> {
    let said = &ran.stderr;
    for words in [
        "this is a bug in lob",
        "panicked at",
        "memory allocation of",
    ] {
        if said.contains(words) {
            return Err("a panic".into());
        }
    }
    let codes: &[i32] = match task.words[0] {
        "git" => &[0, 1, 128],
        _ => &[0, 1, 3],
    };
    if !ran.code.is_some_and(|code| codes.contains(&code)) {
        return Err(format!("the exit code is {:?}", ran.code));
    }
    let errors: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("lob: error: "))
        .collect();
    match (ran.code, errors.as_slice()) {
        (Some(1), []) if task.words[0] == "lob" && !is_silenced => {
            Err("it failed and said nothing".into())
        }
        (Some(0), [error, ..]) if task.words[0] == "lob" => Err(format!("no failure: {error}")),
        (_, [_, _, ..]) if task.words[0] == "lob" => Err("it said more than one error".into()),
        _ => Ok(()),
    }
}
