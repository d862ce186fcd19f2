//! `lob fsck` with real git: what is missing, where it is instead, and what is damaged.

use std::fs;
use std::path::{Path, PathBuf};

use lob_store::LobId;
use serde_json::Value;

use crate::support::{Repo, Run, World, noise};

/// A repository with two files, pushed, and its remote.
fn pushed() -> (World, Repo, Repo) {
    let world = World::new();
    let (origin, work) = world.pair();
    work.track(&["*.bin"]);
    for n in [1, 2] {
        work.write(&format!("{n}.bin"), noise(n, 300_000));
        work.commit("A file");
    }
    work.git(&["push", "-q", "origin", "main"]);
    (world, origin, work)
}

fn id(n: u64) -> String {
    LobId::of(&noise(n, 300_000)).to_string()
}

fn stdout(run: &Run) -> String {
    String::from_utf8_lossy(&run.stdout).into_owned()
}

/// The events of this name that a run prints which ends with this code.
#[track_caller]
fn events(repo: &Repo, args: &[&str], code: i32, name: &str) -> Vec<Value> {
    let run = repo.try_lob(&[&["--json", "fsck"], args].concat());
    assert_eq!(run.code, Some(code), "{run:?}");
    let events = stdout(&run);
    let events = events
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    events
        .filter(|event: &Value| event["event"] == name)
        .collect()
}

/// What each finding is about, its fault and its gravity.
#[track_caller]
fn findings(repo: &Repo, args: &[&str], code: i32) -> Vec<[String; 3]> {
    let events = events(repo, args, code, "finding");
    let text = |value: &Value| value.as_str().unwrap().to_string();
    let parts = |event: &Value| ["object", "fault", "gravity"].map(|part| text(&event[part]));
    events.iter().map(parts).collect()
}

fn packs(store: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(store.join("packs")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut packs: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|end| end == "pack"))
        .collect();
    packs.sort();
    packs
}

fn remove_packs(store: &Path) {
    for pack in packs(store) {
        fs::remove_file(pack.with_extension("idx")).unwrap();
        fs::remove_file(pack).unwrap();
    }
}

/// Changes a byte in the midst of every pack.
fn damage_packs(store: &Path) {
    for pack in packs(store) {
        let mut bytes = fs::read(&pack).unwrap();
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        fs::remove_file(&pack).unwrap();
        fs::write(&pack, bytes).unwrap();
    }
}

#[test]
fn a_whole_repository_has_no_findings_however_closely_it_is_looked_at() {
    let (world, _, work) = pushed();
    for args in [
        &["fsck"][..],
        &["fsck", "--deep"],
        &["fsck", "--sample", "50%"],
        &["fsck", "--deep", "--remote", "origin"],
    ] {
        let run = work.try_lob(args);
        assert_eq!(stdout(&run), "", "{args:?}");
        assert!(run.ok_stderr().contains("all is well"), "{args:?}");
    }
    let summary = &events(&work, &["--deep", "--remote", "origin"], 0, "summary")[0];
    // Here and there.
    for (field, count) in [("lobs", 4), ("whole_lobs", 4), ("pointers", 4), ("loss", 0)] {
        assert_eq!(summary[field], count, "{field} in {summary}");
    }
    assert!(summary["whole_packs"] == summary["packs"]);
    // Before anything is there, too.
    let empty = world.init("empty");
    assert!(empty.try_lob(&["fsck"]).ok_stderr().contains("0 packs"));
    assert!(
        !empty.path().join(".git/lob").exists(),
        "looking makes nothing"
    );
}

#[test]
fn what_a_remote_holds_is_not_lost() {
    let (world, origin, work) = pushed();
    remove_packs(&work.path().join(".git/lob"));
    // What the store lost is a loss to it, though not to its user.
    let found = findings(&work, &[], 3);
    let pack = ["pack", "missing", "loss"].map(String::from);
    let held = ["lob", "held", "note"].map(String::from);
    assert_eq!(found[..2], [pack.clone(), pack]);
    assert_eq!(found[2..], [held.clone(), held]);
    // A clone that fetched nothing yet.
    let mut clone = world.command("git");
    clone.env("GIT_LFS_SKIP_SMUDGE", "1");
    world.ok(clone.args([
        "-c",
        "lob.smudge=pointer",
        "clone",
        "-q",
        "origin.git",
        "bare",
    ]));
    let clone = world.repo("bare");
    let run = clone.try_lob(&["fsck"]);
    assert_eq!(stdout(&run), "");
    assert!(
        run.ok_stderr()
            .contains("2 lobs, 600.0 kB are not here: origin holds them")
    );
    let run = clone.try_lob(&["-v", "fsck"]);
    assert!(stdout(&run).contains(&format!(
        "1.bin (lob {}): not here, and held by origin",
        id(1)
    )));
    // Where it cannot be asked, its branches tell what it must have.
    fs::rename(origin.path(), world.path().join("away")).unwrap();
    let run = clone.try_lob(&["fsck"]);
    assert!(run.stderr.contains("origin cannot be asked"), "{run:?}");
    assert!(run.ok_stderr().contains("origin holds them"));
}

#[test]
fn what_is_nowhere_is_lost_and_named() {
    let (_world, origin, work) = pushed();
    work.write("evil\x1b[2J.bin", b"new and never pushed");
    work.commit("More");
    remove_packs(&work.path().join(".git/lob"));
    remove_packs(&origin.path().join("lob"));
    let run = work.try_lob(&["fsck"]);
    let lines = stdout(&run);
    assert!(
        lines.contains(&format!("1.bin (lob {}): neither here nor", id(1))),
        "{lines}"
    );
    assert!(lines.contains(r#""evil\033[2J.bin" (lob "#), "{lines}");
    assert!(!lines.contains('\x1b'));
    assert!(run.fails(3).contains("lost"));
    let summary = &events(&work, &[], 3, "summary")[0];
    assert!(summary["loss"].as_u64() > Some(2), "{summary}");
}

#[test]
fn indexes_of_all_work_trees_and_stashes_ask_too() {
    let (world, _, work) = pushed();
    let asked = || events(&work, &[], 0, "summary")[0]["pointers"].clone();
    assert_eq!(asked(), 2);
    work.write("3.bin", noise(3, 5000));
    work.git(&["stash", "-q", "-u"]);
    work.write("4.bin", noise(4, 5000));
    work.git(&["stash", "-q", "-u"]);
    assert_eq!(asked(), 4);
    let tree = world.path().join("tree");
    work.git(&["worktree", "add", "-q", tree.to_str().unwrap()]);
    let tree = world.repo("tree");
    tree.write("5.bin", noise(5, 5000));
    tree.git(&["add", "5.bin"]);
    assert_eq!(asked(), 5);
}

#[test]
fn a_pointer_with_a_wrong_size_is_a_finding_of_its_own() {
    let (_world, _, work) = pushed();
    let pointer = String::from_utf8(work.stored("HEAD:1.bin")).unwrap();
    let lie = pointer.replace("300000", "300001");
    work.write("lie.bin", lie);
    work.commit("A lie");
    let found = findings(&work, &[], 3);
    assert_eq!(found, [["lob", "other-size", "damage"]]);
    let run = work.try_lob(&["fsck"]);
    assert!(
        stdout(&run).contains("make its last line `size 300000`"),
        "{run:?}"
    );
}

#[test]
fn p11_damage_inside_packs_is_found_by_reading_them() {
    let (_world, origin, work) = pushed();
    damage_packs(&work.path().join(".git/lob"));
    assert_eq!(findings(&work, &[], 0), [[""; 3]; 0], "not read");
    for depth in [&["--deep"][..], &["--sample", "100"]] {
        let found = findings(&work, depth, 3);
        for expected in [["pack", "damaged", "damage"], ["chunk", "damaged", "loss"]] {
            assert!(found.contains(&expected.map(String::from)), "{found:?}");
        }
    }
    // Chunks of one pack are one line, and lobs have names.
    let run = work.try_lob(&["fsck", "--deep"]);
    let lines = stdout(&run);
    assert!(lines.contains(" chunks in pack "), "{lines}");
    assert!(
        lines.contains(&format!("lob {} (1.bin): damaged", id(1))),
        "{lines}"
    );
    let long = stdout(&work.try_lob(&["-v", "fsck", "--deep"]));
    assert!(long.lines().count() > lines.lines().count(), "{long}");
    // The remote is another store.
    let there = |events: &[Value]| events.iter().filter(|e| e["store"] == "origin").count();
    let args = ["--deep", "--remote", "origin"];
    assert_eq!(there(&events(&work, &args, 3, "finding")), 0);
    damage_packs(&origin.path().join("lob"));
    assert!(there(&events(&work, &args, 3, "finding")) > 2);
}

#[test]
fn a_remote_must_hold_what_its_branches_need() {
    let (_world, origin, work) = pushed();
    let store = origin.path().join("lob");
    fs::remove_dir_all(&store).unwrap();
    let stderr = work.try_lob(&["fsck", "--remote", "origin"]).fails(1);
    assert!(stderr.contains("now nothing is there"), "{stderr}");
    work.git(&["config", "remote.origin.lobStoreId", "none"]);
    work.write("3.bin", noise(3, 5000));
    work.commit("Another");
    work.git(&["push", "-q", "--no-verify", "origin", "main"]);
    work.lob(&["push"]);
    assert_eq!(findings(&work, &["--remote", "origin"], 0), [[""; 3]; 0]);
    remove_packs(&store);
    let found = events(&work, &["--remote", "origin"], 3, "finding");
    let lobs = found.iter().filter(|event| event["object"] == "lob");
    let lobs: Vec<_> = lobs
        .map(|event| (&event["store"], &event["fault"]))
        .collect();
    assert_eq!(lobs, [(&Value::from("origin"), &Value::from("missing")); 3]);
    work.git(&["config", "--unset", "remote.origin.lobStoreId"]);
    work.lob(&["sync", "--mode", "complete", "--push", "origin"]);
    let found = findings(&work, &["--remote", "origin"], 3);
    assert!(
        found.iter().all(|[object, ..]| object == "pack"),
        "{found:?}"
    );
}

#[test]
fn a_store_that_does_not_open_is_examined_all_the_same() {
    let (_world, _, work) = pushed();
    let format = work.path().join(".git/lob/state/format");
    fs::write(&format, "nonsense").unwrap();
    let found = findings(&work, &[], 3);
    assert_eq!(found[0], ["file", "damaged", "loss"]);
    assert_eq!(found.len(), 3, "and what is not here is held: {found:?}");
}

#[test]
fn what_was_asked_wrongly_is_told() {
    let (_world, _, work) = pushed();
    for args in [
        &["fsck", "--sample", "0"][..],
        &["fsck", "--sample", "101%"],
        &["fsck", "--sample", "x"],
        &["fsck", "--deep", "--sample", "5"],
    ] {
        work.try_lob(args).fails(2);
    }
    let stderr = work.try_lob(&["fsck", "--remote", "nowhere"]).fails(1);
    assert!(stderr.contains("there is no remote"), "{stderr}");
}
