//! What a pull moves where the version before is here.

use std::fs;

use super::{Serving, logged};
use crate::support::{World, noise};

/// Bytes of answers to a verb that a server sent, by its log.
fn sent(log: &std::path::Path, verb: &str) -> u64 {
    let lines = logged(log, verb).into_iter();
    lines.map(|line| line["sent"].as_u64().unwrap()).sum()
}

#[test]
fn a_pull_of_a_new_version_moves_the_difference_though_it_is_stored_plainly() {
    let world = World::new();
    let (origin, work) = world.pair();
    work.track(&["*.bin"]);
    let mut content = noise(1, 3_000_000);
    work.write("a.bin", &content);
    work.commit("first");
    work.git(&["push", "-q", "origin", "main"]);
    let log = world.path().join("access.log");
    let options = ["--anonymous", "read", "--access-log", log.to_str().unwrap()];
    let server = Serving::start(&world, world.path(), &options);
    let clones = ["pulled", "fetched"].map(|name| {
        let clone = world.clone_of(&origin, name);
        clone.git(&["config", "remote.origin.lobUrl", &server.url("origin.git")]);
        assert!(clone.read("a.bin") == content);
        clone
    });
    content
        .iter_mut()
        .step_by(10_000)
        .for_each(|byte| *byte ^= 1);
    work.write("a.bin", &content);
    work.commit("second");
    work.git(&["push", "-q", "origin", "main"]);
    // So the newest version is plain, and the one that the clones have stands on it.
    work.lob(&["repack", "--remote", "origin"]);

    let before = sent(&log, "frames");
    clones[0].git(&["pull", "-q", "origin", "main"]);
    assert!(clones[0].read("a.bin") == content);
    clones[0].assert_clean();
    let moved = sent(&log, "frames") - before;
    assert!(0 < moved && moved < 150_000, "{moved} bytes");
    clones[0].lob(&["fsck", "--deep"]);

    // The same where git has moved on before lob is asked.
    let config = ["-c", "lob.smudge=pointer"];
    clones[1].git(&[config[0], config[1], "pull", "-q", "origin", "main"]);
    clones[1].lob(&["pull"]);
    assert!(clones[1].read("a.bin") == content);
    let again = sent(&log, "frames") - before - moved;
    assert!(0 < again && again < 150_000, "{again} bytes");
}

#[test]
fn a_file_that_nobody_else_knows_saves_what_it_is_like() {
    let world = World::new();
    let (origin, work) = world.pair();
    work.track(&["*.bin"]);
    let content = noise(1, 3_000_000);
    work.write("a.bin", &content);
    work.commit("first");
    work.git(&["push", "-q", "origin", "main"]);
    let log = world.path().join("access.log");
    let options = ["--anonymous", "read", "--access-log", log.to_str().unwrap()];
    let server = Serving::start(&world, world.path(), &options);
    let clone = world.clone_of(&origin, "clone");
    clone.git(&["config", "remote.origin.lobUrl", &server.url("origin.git")]);
    // It was changed in so many places that no chunk of it is as it was, and the store is lost.
    let mut edited = content.clone();
    edited
        .iter_mut()
        .step_by(20_000)
        .for_each(|byte| *byte ^= 1);
    clone.write("a.bin", &edited);
    fs::remove_dir_all(clone.path().join(".git/lob")).unwrap();

    let said = clone.lob(&["--json", "fetch"]);
    let summary: Vec<serde_json::Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|event: &serde_json::Value| event["event"] == "summary")
        .collect();
    let moved = summary[0]["bytes"].as_u64().unwrap();
    let delta = sent(&log, "delta");
    assert!(0 < delta && delta < 500_000, "{delta} bytes of a delta");
    assert!(delta < moved && moved < 600_000, "{moved} bytes moved");
    assert_eq!(sent(&log, "frames"), 0, "nothing is left to be sent");
    assert!(clone.read("a.bin") == edited, "it is as it was");
    clone.git(&["checkout", "-q", "--", "a.bin"]);
    assert!(clone.read("a.bin") == content);
    clone.lob(&["fsck", "--deep"]);
}

#[test]
fn p6_a_damaged_store_is_mended_from_a_service_with_what_is_here() {
    let world = World::new();
    let (_, work) = world.pair();
    work.track(&["*.bin"]);
    let contents: Vec<_> = (1..=3).map(|n| noise(n, 3_000_000)).collect();
    let names = ["lost.bin", "edited.bin", "whole.bin"];
    for (name, content) in names.iter().zip(&contents) {
        work.write(name, content);
        // Each comes in a pack of its own.
        work.commit(name);
    }
    work.git(&["push", "-q", "origin", "main"]);
    let log = world.path().join("access.log");
    let options = ["--anonymous", "read", "--access-log", log.to_str().unwrap()];
    let server = Serving::start(&world, world.path(), &options);
    let url = server.url("origin.git");
    work.git(&["config", "remote.origin.lobUrl", &url]);
    fs::remove_file(work.path().join("lost.bin")).unwrap();
    let mut edited = contents[1].clone();
    edited
        .iter_mut()
        .step_by(20_000)
        .for_each(|byte| *byte ^= 1);
    work.write("edited.bin", &edited);
    let store = work.path().join(".git/lob");
    for entry in fs::read_dir(store.join("packs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "pack") {
            fs::remove_file(path).unwrap();
        }
    }
    work.try_lob(&["fsck"]).fails(3);

    let plan = work.lob(&["repair", "--dry-run"]);
    assert_eq!(sent(&log, "frames") + sent(&log, "delta"), 0, "a dry run");
    let done = work.lob(&["repair"]);
    assert_eq!(done, plan);
    for (name, from) in names.iter().zip(["origin", "origin", "the work tree"]) {
        let lines = done.lines().filter(|line| line.contains(name));
        let told: Vec<&str> = lines.collect();
        assert!(
            told.len() == 1 && told[0].ends_with(&format!("from {from}")),
            "{done}"
        );
    }
    // One came whole, one as what makes it of the file that is here, and one did not have to.
    let (frames, delta) = (sent(&log, "frames"), sent(&log, "delta"));
    assert!(
        (3_000_000..3_300_000).contains(&frames),
        "{frames} bytes of frames"
    );
    assert!((1..500_000).contains(&delta), "{delta} bytes of a delta");
    assert!(work.read("edited.bin") == edited, "it is as it was");
    drop(server);
    for (name, content) in names.iter().zip(&contents) {
        work.git(&["checkout", "-q", "--", name]);
        assert!(work.read(name) == *content, "{name}");
    }
    work.lob(&["fsck", "--deep"]);
}

#[test]
fn a_file_that_was_renamed_and_changed_comes_as_the_difference() {
    let world = World::new();
    let (origin, work) = world.pair();
    work.track(&["*.bin"]);
    let mut content = noise(1, 3_000_000);
    let mut other = noise(2, 3_000_000);
    work.write("old/name.bin", &content);
    work.write("tool-1.2.bin", &other);
    work.write("beside.bin", noise(3, 2_900_000));
    work.commit("first");
    work.git(&["push", "-q", "origin", "main"]);
    let log = world.path().join("access.log");
    let options = ["--anonymous", "read", "--access-log", log.to_str().unwrap()];
    let server = Serving::start(&world, world.path(), &options);
    let clone = world.clone_of(&origin, "clone");
    clone.git(&["config", "remote.origin.lobUrl", &server.url("origin.git")]);
    // Most of the one stays as it was; of the other, which has its name, nothing does.
    content[1_000_000..1_500_000]
        .iter_mut()
        .step_by(5_000)
        .for_each(|byte| *byte ^= 1);
    other.iter_mut().step_by(10_000).for_each(|byte| *byte ^= 1);
    work.git(&["mv", "old/name.bin", "another.bin"]);
    work.git(&["mv", "tool-1.2.bin", "tool-1.3.bin"]);
    work.write("another.bin", &content);
    work.write("tool-1.3.bin", &other);
    work.commit("second");
    work.git(&["push", "-q", "origin", "main"]);
    work.lob(&["repack", "--remote", "origin"]);
    let before = sent(&log, "frames");
    clone.git(&["pull", "-q", "origin", "main"]);
    assert!(clone.read("another.bin") == content && clone.read("tool-1.3.bin") == other);
    clone.assert_clean();
    let moved = sent(&log, "frames") - before;
    assert!(0 < moved && moved < 200_000, "{moved} bytes");
    clone.lob(&["fsck", "--deep"]);
}
