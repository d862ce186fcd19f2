//! Files that lob writes itself when git has ended.

use std::fs;

use super::{FILES, Starts, assert_version, two_versions};
use crate::support::{World, noise};

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
