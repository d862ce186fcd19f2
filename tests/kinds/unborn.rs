//! Repositories in which nothing was committed yet.

use super::*;

const VERBS: [&[&str]; 14] = [
    &["status"],
    &["ls-files"],
    &["checkout"],
    &["doctor"],
    &["env"],
    &["track"],
    &["fetch"],
    &["pull"],
    &["push"],
    &["prefetch"],
    &["sync"],
    &["sync", "--mode", "fixup"],
    &["sync", "--mode", "committed"],
    &["sync", "--mode", "complete"],
];

#[test]
fn every_verb_works_before_the_first_commit() {
    let world = World::new();
    let (_, work) = world.pair();
    for verb in VERBS {
        let said = work.try_lob(verb).ok_stderr();
        assert!(!said.contains("warning"), "{verb:?}: {said}");
    }
    assert_eq!(work.lob(&["status"]), "0 lobs, 0 B: all here and pushed\n");
    // With files that are only added, too.
    work.track(&["*.bin"]);
    work.write("a.bin", noise(1, 1000));
    work.git(&["add", "."]);
    for verb in VERBS {
        work.lob(verb);
    }
    assert!(
        work.lob(&["status"])
            .contains("staged: 1\n  new       a.bin")
    );
    let said = work.try_lob(&["push", "origin", "main"]).fails(1);
    assert!(
        said.contains("\"main\" is no branch, tag or commit"),
        "{said}"
    );
    work.git(&["commit", "-q", "-m", "First"]);
    work.git(&["push", "-q", "origin", "main"]);
}

#[test]
fn without_a_remote_the_way_to_one_is_named() {
    let world = World::new();
    let repo = world.init("repo");
    for verb in VERBS {
        let ended = repo.try_lob(verb);
        let moves = ["fetch", "pull", "push", "prefetch", "sync"].contains(&verb[0]);
        if moves {
            let said = ended.fails(1);
            assert!(said.contains("this repository has no remote"), "{said}");
            assert!(said.contains("git remote add origin URL"), "{said}");
        } else if verb[0] != "doctor" {
            ended.ok();
        }
    }
}

#[test]
fn a_clone_of_nothing_waits_for_something() {
    let world = World::new();
    let (_, work) = world.pair();
    let clone = clone_with(&world, &[], "clone");
    for verb in ["status", "pull", "sync"] {
        clone.lob(&[verb]);
    }
    work.track(&["*.bin"]);
    work.write("a.bin", noise(1, 1000));
    work.commit("First");
    work.git(&["push", "-q", "origin", "main"]);
    clone.git(&["pull", "-q", "origin", "main"]);
    assert_eq!(clone.read("a.bin"), noise(1, 1000));
}
