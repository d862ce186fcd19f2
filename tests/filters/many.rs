//! Many small files at once: lob stores the pointers to them for git.

use crate::support::{Repo, World, noise};

fn add(repo: &Repo, first: u64, files: u64) {
    for i in first..first + files {
        repo.write(&format!("{i}.bin"), noise(i, 3000));
    }
    repo.git(&["add", "-A"]);
}

fn counts(repo: &Repo) -> String {
    repo.git(&["count-objects", "-v"])
}

#[test]
fn the_pointers_of_many_new_files_go_into_a_pack() {
    for format in ["sha1", "sha256"] {
        let world = World::new();
        let repo = world.repo("repo");
        let format = format!("--object-format={format}");
        world.ok(world.command("git").args(["init", "-q", &format, "repo"]));
        repo.lob(&["init"]);
        repo.track(&["*.bin"]);
        add(&repo, 0, 90);
        assert!(counts(&repo).contains("packs: 0\n"), "{}", counts(&repo));
        add(&repo, 90, 300);
        let counted = counts(&repo);
        assert!(counted.contains("in-pack: 300\npacks: 1\n"), "{counted}");
        repo.git(&["commit", "-q", "-m", "Many"]);
        repo.git(&["fsck", "--full", "--strict"]);
        repo.git(&["prune-packed"]);
        repo.git(&["fsck", "--full", "--strict"]);
        repo.assert_clean();

        // What is known already is stored no second time.
        repo.git(&["rm", "-q", "--cached", "-r", "."]);
        repo.git(&["add", "-A"]);
        assert!(counts(&repo).contains("packs: 1\n"), "{}", counts(&repo));
        assert_eq!(repo.git(&["status", "--porcelain"]), "");
    }
}

/// Where loose objects have to be more than written, git writes them as it is told to.
#[test]
fn the_loose_objects_of_a_shared_repository_are_git_s() {
    let world = World::new();
    let repo = world.repo("repo");
    world.ok(world
        .command("git")
        .args(["init", "-q", "--shared=0660", "repo"]));
    repo.lob(&["init"]);
    repo.track(&["*.bin"]);
    add(&repo, 0, 200);
    repo.git(&["commit", "-q", "-m", "Many"]);
    let mut found = 0;
    for fan in std::fs::read_dir(repo.path().join(".git/objects")).unwrap() {
        for object in std::fs::read_dir(fan.unwrap().path()).unwrap() {
            let mode = std::os::unix::fs::PermissionsExt::mode(
                &object.unwrap().metadata().unwrap().permissions(),
            );
            assert_eq!(mode & 0o777, 0o440);
            found += 1;
        }
    }
    assert!(found > 200, "{found}");
    repo.git(&["fsck", "--full", "--strict"]);
}

/// What only compares leaves git's database as it is.
#[test]
fn a_status_of_many_changed_files_stores_nothing_for_git() {
    let world = World::new();
    let repo = world.init("repo");
    repo.lob(&["init"]);
    repo.track(&["*.bin"]);
    add(&repo, 0, 150);
    repo.git(&["commit", "-q", "-m", "Many"]);
    let before = counts(&repo);
    for i in 0..150 {
        repo.write(&format!("{i}.bin"), noise(1000 + i, 3000));
    }
    assert_eq!(repo.git(&["status", "--porcelain"]).lines().count(), 150);
    repo.git(&["diff", "--stat"]);
    assert_eq!(counts(&repo), before);
}
