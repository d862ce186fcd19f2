//! Places that may not be written to. For root too: they are mounted so.

use std::fs;

use super::{mounting, pair, says};
use crate::support::{Repo, World, noise};

/// A repository with a lob that was pushed and another that was not.
fn pushed(world: &World) -> (Repo, Repo) {
    let (origin, work) = pair(world);
    work.write("a.bin", noise(1, 300_000));
    work.commit("First");
    work.git(&["push", "-q", "origin", "main"]);
    work.write("b.bin", noise(2, 300_000));
    (origin, work)
}

const READ_ONLY: &str = "
    freeze() { mount --bind $1 $1; mount -o remount,ro,bind $1; }
";

#[test]
fn a_store_that_cannot_be_written_is_read_and_takes_nothing() {
    let world = World::new();
    let (_, work) = pushed(&world);
    let script = "
        freeze .git/lob
        ! git add b.bin 2>../said
        rm a.bin && git checkout -q a.bin
        lob status >/dev/null && lob ls-files >/dev/null && lob checkout
        ! lob sync --mode complete 2>../sync
        git commit -q --allow-empty -m Nothing && git push -q origin main
        umount .git/lob && git add b.bin";
    let Some(done) = mounting(&work, &[READ_ONLY, script].concat()) else {
        return;
    };
    done.ok();
    let said = fs::read_to_string(world.path().join("said")).unwrap();
    says(
        &said,
        &[
            "lob: warning: b.bin: ",
            ".git/lob/state/stages.lock: Read-only file system",
            "hint: mount it so that it can be written to",
        ],
    );
    let said = fs::read_to_string(world.path().join("sync")).unwrap();
    assert_eq!(said.matches("Read-only").count(), 1, "{said}");
    assert_eq!(said.matches("/state/").count(), 1, "once: {said}");
    assert_eq!(work.read("a.bin"), noise(1, 300_000));
}

#[test]
fn a_remote_that_cannot_be_written_is_read_and_takes_no_ref() {
    let world = World::new();
    let (origin, work) = pushed(&world);
    work.commit("Second");
    let script = "
        freeze ../origin.git/lob
        ! git push -q origin main 2>../said
        git clone -q ../origin.git ../clone
        umount ../origin.git/lob && git push -q origin main";
    let before = origin.git(&["rev-parse", "main"]);
    let Some(done) = mounting(&work, &[READ_ONLY, script].concat()) else {
        return;
    };
    done.ok();
    let said = fs::read_to_string(world.path().join("said")).unwrap();
    says(
        &said,
        &[
            "lob: error: the push to origin was stopped",
            "origin.git/lob/state/stages.lock: Read-only file system",
            "hint: mount it so that it can be written to",
        ],
    );
    let clone = world.repo("clone");
    assert_eq!(clone.git(&["rev-parse", "HEAD"]), before, "no ref moved");
    assert_eq!(clone.read("a.bin"), noise(1, 300_000));
    assert_ne!(origin.git(&["rev-parse", "main"]), before);
}

#[test]
fn a_work_tree_that_cannot_be_written_keeps_its_pointers() {
    let world = World::new();
    let (_, work) = pushed(&world);
    let script = "
        git clone -q -n ../origin.git ../clone && cd .. && mv clone/.git bare
        export GIT_DIR=$PWD/bare GIT_WORK_TREE=$PWD/clone
        LOB_SKIP_SMUDGE=1 git checkout -q main
        freeze clone
        set +e; lob pull 2>said; echo $? >code; set -e
        umount clone && lob sync --mode fixup && git status --porcelain >status";
    let Some(done) = mounting(&work, &[READ_ONLY, script].concat()) else {
        return;
    };
    done.ok();
    let read = |name: &str| fs::read_to_string(world.path().join(name)).unwrap();
    says(
        &read("said"),
        &[
            "lob: warning: a.bin: Read-only file system",
            "hint: mount it so that it can be written to",
        ],
    );
    assert_eq!(read("code"), "3\n");
    assert_eq!(read("status"), "");
    let content = fs::read(world.path().join("clone/a.bin")).unwrap();
    assert_eq!(content, noise(1, 300_000));
}
