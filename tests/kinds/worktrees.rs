//! Linked work trees: one store for all of them.

use super::*;

#[test]
fn linked_work_trees_share_one_store() {
    let world = World::new();
    let (origin, work) = published(&world);
    work.git(&["worktree", "add", "-q", "-b", "side", "../linked", "HEAD~1"]);
    let linked = world.repo("linked");
    assert_eq!(linked.read("a.bin"), noise(1, 100_000));
    linked.assert_clean();
    // What is added in one is there in the other, without any remote.
    linked.write("c.bin", noise(4, 50_000));
    linked.commit("From the linked one");
    let c = without(&[&origin], || {
        work.try_git(&["checkout", "-q", "side", "--", "c.bin"])
    });
    assert_eq!(c.ok_stderr(), "");
    assert_eq!(work.read("c.bin"), noise(4, 50_000));
    let git_dir = work.path().join(".git/worktrees/linked");
    assert!(work.path().join(".git/lob").exists() && !git_dir.join("lob").exists());
    // Each has an index of its own: a pointer in one is filled in that one.
    let pointer = linked.stored("HEAD:c.bin");
    linked.write("c.bin", &pointer);
    assert!(
        linked
            .lob(&["status"])
            .contains("still pointers, with content at hand: 1 file")
    );
    linked.lob(&["checkout"]);
    assert_eq!(linked.read("c.bin"), noise(4, 50_000));
    linked.assert_clean();
    linked.git(&["push", "-q", "origin", "side"]);
    let clone = clone_with(&world, &["-b", "side"], "clone");
    assert_eq!(clone.read("c.bin"), noise(4, 50_000));
}
