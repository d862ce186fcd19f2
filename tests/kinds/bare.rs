//! Bare repositories: mirrors between clones and a far remote.

use super::*;

/// A mirror of `origin.git` that has no store yet.
fn mirror(world: &World, name: &str) -> Repo {
    clone_with(world, &["--mirror"], name)
}

#[test]
fn a_mirror_gets_what_all_commits_reference() {
    let world = World::new();
    let (origin, _) = published(&world);
    for (n, verb) in [
        &["fetch"][..],
        &["sync"],
        &["sync", "--mode", "committed"],
        &["sync", "--mode", "complete"],
    ]
    .iter()
    .enumerate()
    {
        let mirror = mirror(&world, &format!("mirror{n}.git"));
        let said = mirror.try_lob(verb).ok_stderr();
        assert!(said.contains("fetched 3 lobs, 2.2 MB"), "{verb:?}: {said}");
        let again = without(&[&origin], || mirror.try_lob(&["fetch"]).ok_stderr());
        assert_eq!(again, "nothing to fetch from origin\n");
        // A clone of the mirror has everything that one of the origin has.
        let clone = without(&[&origin], || world.clone_of(&mirror, &format!("clone{n}")));
        assert_published(&clone);
        clone.git(&["checkout", "-q", "HEAD~1"]);
        assert_eq!(clone.read("a.bin"), noise(1, 100_000));
    }
}

#[test]
fn a_mirror_has_pushed_what_it_mirrors_and_pushes_on() {
    let world = World::new();
    let (origin, _) = published(&world);
    let mirror = mirror(&world, "mirror.git");
    assert_eq!(
        mirror.lob(&["status"]),
        "0 lobs, 0 B: all here and pushed\n"
    );
    mirror.lob(&["init"]);
    mirror.lob(&["sync"]);
    let far = world.init_bare("far.git");
    mirror.git(&["push", "-q", far.path().to_str().unwrap(), "main"]);
    let clone = without(&[&origin, &mirror], || world.clone_of(&far, "clone"));
    assert_published(&clone);
}

#[test]
fn what_needs_files_says_that_there_are_none() {
    let world = World::new();
    let (_, _) = published(&world);
    let mirror = mirror(&world, "mirror.git");
    for verb in [&["checkout"][..], &["track", "*.x"], &["untrack", "*.x"]] {
        let said = mirror.try_lob(verb).fails(1);
        assert!(said.contains("mirror.git is a bare repository"), "{said}");
        assert!(said.contains("hint: run this in a clone"), "{said}");
    }
    for verb in [
        &["ls-files"][..],
        &["env"],
        &["prefetch"],
        &["push"],
        &["pull"],
        &["doctor"],
    ] {
        mirror.lob(verb);
    }
    assert_eq!(mirror.lob(&["ls-files", "main"]).lines().count(), 2);
}
