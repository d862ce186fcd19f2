//! Clones that lack objects of git's: partial and shallow ones.

use std::fs;

use super::*;

/// Runs lob and fails if a git beneath it fetched objects that the clone lacks by design.
#[track_caller]
fn lob_without_fetching(clone: &Repo, args: &[&str]) -> String {
    let trace = clone.world().path().join("trace");
    let mut lob = clone.command("lob");
    let said = run(lob.args(args).env("GIT_TRACE", &trace), b"").ok();
    let trace = fs::read_to_string(trace).unwrap();
    assert!(trace.contains("git "), "the trace tells something");
    assert!(
        !trace.contains("fetch.negotiationAlgorithm"),
        "{args:?}: {trace}"
    );
    said
}

#[test]
fn partial_and_shallow_clones_have_their_content_and_fetch_no_objects_for_lob() {
    let world = World::new();
    let (origin, _) = published(&world);
    origin.git(&["config", "uploadpack.allowFilter", "true"]);
    for (n, options) in [
        &["--filter=blob:none"][..],
        &["--filter=tree:0"],
        &["--filter=tree:0", "--depth=1"],
        &["--depth=1"],
    ]
    .iter()
    .enumerate()
    {
        let clone = clone_with(&world, options, &format!("clone{n}"));
        assert_published(&clone);
        for verb in [
            &["env"][..],
            &["status"],
            &["ls-files"],
            &["ls-files", "HEAD"],
            &["doctor"],
            &["fetch"],
            &["prefetch"],
            &["push"],
            &["sync"],
            &["sync", "--mode", "committed"],
            &["sync", "--mode", "fixup"],
        ] {
            lob_without_fetching(&clone, verb);
        }
        clone.write("c.bin", noise(10 + n as u64, 50_000));
        clone.commit("Third");
        let branch = format!("HEAD:branch{n}");
        clone.git(&["push", "-q", "origin", &branch]);
        if !options.contains(&"--depth=1") {
            clone.git(&["checkout", "-q", "HEAD~2"]);
            assert_eq!(clone.read("a.bin"), noise(1, 100_000));
            clone.assert_clean();
        }
        let other = clone_with(&world, &["-b", &branch[5..]], &format!("other{n}"));
        assert_eq!(other.read("c.bin"), noise(10 + n as u64, 50_000));
    }
}

/// Even the tree of HEAD is missing, in which `.lobconfig` would be.
#[test]
fn settings_are_read_without_fetching_trees() {
    let world = World::new();
    let (origin, work) = published(&world);
    origin.git(&["config", "uploadpack.allowFilter", "true"]);
    work.write(".lobconfig", "[lob]\n\tsmudge = pointer\n");
    work.commit("Settings");
    work.git(&["push", "-q", "origin", "main"]);
    let clone = clone_with(&world, &["-n", "--filter=tree:0"], "clone");
    for verb in [&["env"][..], &["ls-files"], &["fetch"], &["push"]] {
        lob_without_fetching(&clone, verb);
    }
    // When git has what it checks out, the settings are there.
    clone.git(&["checkout", "-q", "main"]);
    assert!(clone.read("a.bin").starts_with(b"version git-lob/2\n"));
    clone.assert_clean();
}
