//! Remotes out of which somebody takes lobs while others push to them.

use std::time::Duration;

use super::*;

/// Lets all packs of a store be as old as yesterday.
fn age(store: &Path) {
    for entry in fs::read_dir(store.join("packs")).unwrap() {
        let file = fs::File::options().append(true).open(entry.unwrap().path());
        let old = SystemTime::now() - Duration::from_secs(86_400);
        file.unwrap().set_modified(old).unwrap();
    }
}

/// Takes everything out of a store that is older than an hour.
fn prune(dir: &Path) {
    let store = store(dir);
    let young = SystemTime::now() - Duration::from_secs(3600);
    let prune = store.prune(young).unwrap().unwrap();
    prune.plan().unwrap().run(&()).unwrap();
}

/// A repository whose lob is in a store that has forgotten the branch that needed it.
fn forgotten() -> (World, Repo, Repo, LobInfo) {
    let (world, origin, work) = pair();
    let lob = keep(&work, "a.bin", &noise(1, 100_000));
    work.commit("first");
    work.git(&["push", "-q", "origin", "main"]);
    origin.git(&["update-ref", "-d", "refs/heads/main"]);
    age(&origin.path().join("lob"));
    (world, origin, work, lob)
}

#[test]
fn p7_what_a_push_found_there_outlasts_a_prune_before_the_refs_come() {
    let (world, origin, work, lob) = forgotten();
    // Another clone, which knows nothing of that store: it asks, and has nothing to send.
    let other = clone(&world, &work, "other");
    other.git(&[
        "remote",
        "set-url",
        "origin",
        origin.path().to_str().unwrap(),
    ]);
    let said = other.try_lob(&["push"]).ok_stderr();
    assert_eq!(said, "nothing to push to origin\n");
    prune(&origin.path().join("lob"));
    assert!(holds(&remote_store(&origin), lob));
}

#[test]
fn p7_what_was_pushed_long_ago_and_pruned_is_pushed_again() {
    let (_world, origin, work, lob) = forgotten();
    prune(&origin.path().join("lob"));
    assert!(!holds(&remote_store(&origin), lob));
    work.git(&["push", "-q", "origin", "main"]);
    assert!(holds(&remote_store(&origin), lob));
}
