//! P1-P6 on disks of every small size: a command does its work or says that it has no room, and what was
//! there is still there; and it does its work when there is room again.

use std::fs;
use std::path::Path;
use std::sync::Mutex;

use crate::support::mounting;

use super::inject::plainly;
use super::scene::{Scene, each_task};
use super::task::Task;
use super::{Tier, report};

/// What a disk is made larger by from trial to trial.
const STEP: u64 = 64 << 10;
/// What a prune writes anew here, with its table.
const MOVED: u64 = 320 << 10;
/// What a disk has room for in pieces of.
const PAGE: u64 = 4096;

/// What the trials came to.
#[derive(Debug, Default)]
struct Outcome {
    disks: u64,
    full: u64,
    violations: Vec<String>,
}

#[test]
fn p1_p2_p3_p4_p6_a_disk_may_be_full_at_any_point() {
    let tier = Tier::asked();
    let outcome = Mutex::new(Outcome::default());
    let skipped = Mutex::new(false);
    each_task(tier, &|scene, task, share| {
        let mut steps = share.number as u64;
        loop {
            match on_disk_with(scene, task, steps * STEP, &outcome) {
                None => return *skipped.lock().unwrap() = true,
                Some(true) => return,
                Some(false) => {}
            }
            assert!(steps < 1000, "{}: 64 MiB are not enough", task.name);
            // The smallest disks fail in the most ways.
            steps += tier.pick(1 + steps / 2, share.of as u64);
        }
    });
    if skipped.into_inner().unwrap() {
        return;
    }
    let outcome = outcome.into_inner().unwrap();
    report(
        "full_disk",
        &[
            ("disks", outcome.disks),
            ("disks that were full", outcome.full),
        ],
    );
    let count = outcome.violations.len();
    let all = outcome.violations.join("\n");
    assert!(count == 0, "{count} violations:\n{all}");
    assert!(outcome.full >= 40, "only {} were full", outcome.full);
}

/// Runs a task where it has so many bytes of room. Returns whether they were enough; `None` where nothing
/// can be mounted.
fn on_disk_with(scene: &Scene, task: &Task, room: u64, all: &Mutex<Outcome>) -> Option<bool> {
    let used: u64 = task
        .uses()
        .map(|name| pages(&scene.kept().join(name)))
        .sum();
    let words = task.words.iter().map(|word| format!("'{word}'"));
    let words = words.collect::<Vec<_>>().join(" ");
    let names: Vec<_> = task.uses().map(|name| format!("kept/{name}")).collect();
    let script = format!(
        "cd ..; cd ..
        mount -t tmpfs -o size={size} none live
        cp -a {names} live
        cd live/{repo}
        timeout 60 {words} >../../out 2>../../said && echo 0 >../../code || echo $? >../../code
        cd ../..
        rm -rf after
        cp -a live after",
        size = used + room,
        names = names.join(" "),
        repo = task.repo,
    );
    scene.restore(task);
    mounting(&scene.repo(task.repo), &script)?.ok();
    let world = scene.world().path();
    scene.take(&world.join("after"));
    let read = |name| fs::read_to_string(world.join(name)).unwrap();
    let (code, said) = (read("code"), read("said"));
    let ended_well = code.trim() == "0" && !said.contains("warning: ");
    let mut all = all.lock().unwrap();
    all.disks += 1;
    all.full += u64::from(!ended_well);
    for violation in violations(scene, task, room, code.trim(), ended_well) {
        let name = task.name;
        let text =
            format!("{name}, {room} bytes: {violation}; it ended with {code} and said: {said}");
        eprintln!("{text}");
        all.violations.push(text);
    }
    Some(ended_well)
}

fn violations(scene: &Scene, task: &Task, room: u64, code: &str, ended_well: bool) -> Vec<String> {
    let mut results = vec![scene.is_sound(task), scene.is_unlocked(task)];
    let known = match task.words[0] {
        "git" => ["0", "1", "128"],
        _ => ["0", "1", "3"],
    };
    if !known.contains(&code) {
        results.push(Err("the exit code".into()));
    }
    let needed = match task.name {
        "lob fsck" => Some(0),
        // For what is to be moved: every pack in question is live in part.
        "lob prune" => Some(MOVED),
        _ => None,
    };
    if !ended_well && needed.is_some_and(|needed| room >= needed) {
        results.push(Err("it needs no more room".into()));
    }
    if ended_well {
        results.push(scene.is_done(task));
    }
    if !(task.is_once && code == "0") {
        let again = plainly(scene, task);
        if !again.success {
            results.push(Err(format!("the retry failed: {}", again.stderr)));
        }
    }
    if code == "0" && task.checked_out.is_some() {
        scene.repo(task.repo).lob(&["pull"]);
    }
    results.push(scene.is_done(task));
    results.push(scene.is_sound_and_tidy(task));
    results.into_iter().filter_map(Result::err).collect()
}

/// What a directory takes on a disk that is memory.
fn pages(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let of = |entry: fs::DirEntry| match entry.metadata().unwrap() {
        meta if meta.is_dir() => pages(&entry.path()),
        meta => meta.len().next_multiple_of(PAGE),
    };
    entries.map(of).sum()
}
