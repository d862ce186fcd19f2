//! Files that lob writes itself when git has ended.

use std::fs;

use super::{FILES, Starts, assert_version, two_versions};
use crate::support::{World, noise, run};

#[test]
fn every_way_to_populate_the_work_tree_gives_the_content() {
    for populate in ["false", "100000"] {
        let world = World::new();
        let repo = two_versions(&world);
        repo.git(&["config", "lob.populate", populate]);
        repo.git(&["checkout", "-q", "first"]);
        assert_version(&repo, 0);
        repo.git(&["switch", "-q", "main"]);
        assert_version(&repo, 100);
        repo.git(&["reset", "-q", "--hard", "first"]);
        assert_version(&repo, 0);
        repo.git(&["reset", "-q", "--hard", "main@{1}"]);
        assert_version(&repo, 100);
        for (path, _) in FILES {
            fs::remove_file(repo.path().join(path)).unwrap();
        }
        repo.git(&["restore", "."]);
        assert_version(&repo, 100);
        repo.write("large.bin", noise(7, 3_100_000));
        repo.git(&["stash", "-q"]);
        assert_version(&repo, 100);
        repo.git(&["stash", "pop", "-q"]);
        assert_eq!(repo.read("large.bin"), noise(7, 3_100_000));
        repo.git(&["checkout", "-q", "--", "large.bin"]);
        assert_version(&repo, 100);
        repo.assert_clean();
        let linked = repo.world().path().join("linked");
        repo.git(&["worktree", "add", "-q", linked.to_str().unwrap(), "first"]);
        let linked = repo.world().repo("linked");
        assert_version(&linked, 0);
        linked.assert_clean();
    }
}

#[test]
fn a_rebase_finds_content_at_each_of_its_steps() {
    let world = World::new();
    let repo = two_versions(&world);
    repo.git(&["config", "lob.populate", "100000"]);
    repo.git(&["checkout", "-q", "-b", "side", "first"]);
    repo.write("other.bin", noise(50, 500_000));
    repo.commit("Another file");
    repo.write("other.bin", noise(51, 500_000));
    repo.commit("Another version");
    // What is executed between the steps sees no pointer.
    let check = "for f in large.bin larger.bin other.bin; do \
        if head -c 20 $f | grep -q git-lob; then exit 1; fi; done";
    repo.git(&["rebase", "-q", "--exec", check, "main"]);
    assert_version(&repo, 100);
    assert_eq!(repo.read("other.bin"), noise(51, 500_000));
    repo.assert_clean();
}

#[test]
fn what_is_written_at_the_end_is_not_cleaned_again() {
    let world = World::new();
    let repo = two_versions(&world);
    repo.git(&["config", "lob.populate", "1"]);
    // Long enough for the filter to wait until git trusts the index.
    repo.write("huge.bin", noise(60, 140_000_000));
    repo.commit("Huge");
    repo.git(&["checkout", "-q", "first"]);
    let starts = Starts::count_in(&world);
    repo.git(&["checkout", "-q", "main"]);
    assert_eq!(starts.take(), 1);
    assert_version(&repo, 100);
    assert!(repo.read("huge.bin") == noise(60, 140_000_000));
    repo.assert_clean();
    repo.assert_clean();
    assert_eq!(starts.take(), 0, "git status has nothing to clean");
}

#[test]
fn a_foreign_hook_after_checkout_finds_content() {
    let world = World::new();
    let repo = two_versions(&world);
    repo.git(&["config", "lob.populate", "100000"]);
    let hook = repo.path().join(".git/hooks/post-checkout");
    fs::write(&hook, "#!/bin/sh\ncp larger.bin .git/seen\n").unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    }
    repo.git(&["checkout", "-q", "first"]);
    assert!(repo.read(".git/seen") == noise(5, FILES[5].1));
    assert_version(&repo, 0);
}
/// Sets a key for every repository of the world.
fn set(world: &World, key: &str, value: &str) {
    world.ok(world
        .command("git")
        .args(["config", "--global", key, value]));
}

#[test]
fn a_clone_gets_its_content_and_its_hooks() {
    for populate in ["false", "100000"] {
        let world = World::new();
        set(&world, "lob.populate", populate);
        let repo = two_versions(&world);
        let clone = world.path().join("clone");
        let mut git = world.command("git");
        let talk = run(git.args(["clone", "-q"]).arg(repo.path()).arg(clone), b"");
        assert!(talk.success, "{talk:?}");
        assert_eq!(
            talk.stderr.matches("Receiving").count(),
            1,
            "{}",
            talk.stderr
        );
        let clone = world.repo("clone");
        assert_version(&clone, 100);
        clone.assert_clean();
        assert!(clone.path().join(".git/hooks/pre-push").exists());
        clone.git(&["checkout", "-q", "first"]);
        assert_version(&clone, 0);
        clone.assert_clean();
    }
}

/// Indexes that only git can write, and repositories of other formats.
#[test]
fn every_kind_of_repository_is_clean_afterwards() {
    for (key, value) in [
        ("index.version", "4"),
        ("core.splitIndex", "true"),
        ("core.untrackedCache", "true"),
        ("feature.manyFiles", "true"),
        ("init.defaultObjectFormat", "sha256"),
        ("core.checkStat", "minimal"),
    ] {
        let world = World::new();
        set(&world, "lob.populate", "100000");
        set(&world, key, value);
        let repo = two_versions(&world);
        let clone = world.clone_of(&repo, "clone");
        assert_version(&clone, 100);
        clone.assert_clean();
        clone.git(&["checkout", "-q", "first"]);
        assert_version(&clone, 0);
        clone.assert_clean();
        // Git refuses when it takes a file for modified.
        clone.git(&["checkout", "-q", "main"]);
        assert_version(&clone, 100);
    }
}

#[test]
fn a_sparse_checkout_gets_only_what_it_has() {
    let world = World::new();
    set(&world, "lob.populate", "100000");
    let repo = two_versions(&world);
    let clone = world.path().join("clone");
    let mut git = world.command("git");
    world.ok(git
        .args(["clone", "-q", "--sparse"])
        .arg(repo.path())
        .arg(clone));
    let clone = world.repo("clone");
    assert!(clone.read("larger.bin") == noise(105, FILES[5].1));
    assert!(!clone.path().join("dir").exists());
    clone.git(&["sparse-checkout", "set", "--sparse-index", "dir"]);
    assert_version(&clone, 100);
    clone.assert_clean();
}

/// Git collects each answer of a filter in memory; what lob writes itself it never sees.
#[cfg(target_os = "linux")]
#[test]
fn the_memory_of_git_does_not_grow_with_the_files() {
    let world = World::new();
    let repo = world.init("repo");
    repo.track(&["*.bin"]);
    repo.write("huge.bin", noise(1, 200_000_000));
    repo.commit("Huge");
    fs::remove_file(repo.path().join("huge.bin")).unwrap();
    // In KiB: an address space in which git cannot hold the file, which lob does not inherit.
    set(
        &world,
        "filter.lob.process",
        "ulimit -Sv unlimited; lob filter-process",
    );
    let script = "ulimit -Sv 180000; git checkout -q -- .";
    let talk = run(repo.command("sh").args(["-c", script]), b"");
    assert!(talk.success, "{talk:?}");
    assert!(repo.read("huge.bin") == noise(1, 200_000_000));
    repo.assert_clean();
}

/// P6: git takes for done what a filter that was killed had left for its end.
#[test]
fn p6_what_a_killed_filter_had_left_is_filled_by_the_next_checkout() {
    for (smudge, fetched) in [("fetch", true), ("cached", false)] {
        let world = World::new();
        let repo = two_versions(&world);
        let mut clone = world.command("git");
        clone.args(["clone", "-q"]).arg(repo.path()).arg("clone");
        run(clone.env("LOB_SKIP_SMUDGE", "1"), b"").ok();
        let clone = world.repo("clone");
        clone.lob(&["init"]);
        clone.git(&["config", "lob.smudge", smudge]);
        // These are pointers because the user wanted them to be: nothing else is known.
        clone.git(&["checkout", "-q", "-f", "main"]);
        assert!(clone.read("large.bin").starts_with(b"version git-lob/2"));
        // What a filter notes while it leaves something, and a killed one goes on saying.
        clone.write(".git/lob-checkout.lock", "\0");
        clone.git(&["checkout", "-q", "-f", "main"]);
        match fetched {
            true => assert_version(&clone, 100),
            false => assert!(clone.read("large.bin").starts_with(b"version git-lob/2")),
        }
        clone.assert_clean();
        assert_eq!(clone.read(".git/lob-checkout.lock"), b"");
    }
}
