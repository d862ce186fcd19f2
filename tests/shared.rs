//! A store that several clones share, with real git: what they have in common, and that a prune by one of
//! them takes nothing that another needs.

mod moving;
mod prune;
mod trouble;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use lob_store::disk::OsDisk;
use lob_store::{LobId, Store};

use crate::support::{Repo, World, noise};

/// Some content of its own for each name.
fn content(name: &str) -> Vec<u8> {
    let add = |seed: u64, byte| seed * 31 + u64::from(byte);
    noise(name.bytes().fold(5, add), 40_000)
}

fn id(name: &str) -> String {
    LobId::of(&content(name)).to_string()
}

/// A world in which every new clone shares the store `lobs`.
fn sharing() -> World {
    let world = World::new();
    share(&world);
    world
}

fn share(world: &World) {
    let mut git = world.command("git");
    world.ok(git.args(["config", "--global", "lob.store", "~/lobs"]));
}

fn store(world: &World) -> PathBuf {
    world.path().join("lobs")
}

/// Bytes of all packs of the shared store.
fn packed(world: &World) -> u64 {
    let files = fs::read_dir(store(world).join("packs")).unwrap();
    files
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum()
}

fn holds(world: &World, name: &str) -> bool {
    let store = Store::open(Arc::new(OsDisk), &store(world)).unwrap();
    store.lob(&LobId::of(&content(name))).unwrap().is_some()
}

/// Who has signed the store.
fn users(world: &World) -> Vec<PathBuf> {
    let Ok(files) = fs::read_dir(store(world).join("state/users")) else {
        return Vec::new();
    };
    files.map(|file| file.unwrap().path()).collect()
}

/// Whether a clone has lobs in a store of its own.
fn has_own(repo: &Repo) -> bool {
    let packs = fs::read_dir(repo.path().join(".git/lob/packs"));
    packs.is_ok_and(|mut packs| packs.next().is_some())
}

/// A bare repository and two clones of it that share a store, with one lob that is pushed.
fn two() -> (World, Repo, Repo, Repo) {
    let world = sharing();
    let (origin, a) = world.pair();
    a.track(&["*.bin"]);
    a.write("a.bin", content("first"));
    a.commit("first");
    a.git(&["push", "-q", "-u", "origin", "main"]);
    let b = world.clone_of(&origin, "b");
    (world, origin, a, b)
}

#[test]
fn what_one_clone_has_the_other_has() {
    let (world, origin, a, b) = two();
    assert_eq!(b.read("a.bin"), content("first"));
    assert!(!has_own(&a) && !has_own(&b));
    assert!(b.path().join(".git/hooks/pre-push").exists());
    // Whoever pushes there finds it in the bare repository, whose store is its own.
    assert!(origin.path().join("lob/packs").read_dir().unwrap().count() > 0);
    a.write("b.bin", content("second"));
    a.git(&["add", "-A"]);
    let before = packed(&world);
    b.write("c.bin", content("second"));
    b.git(&["add", "-A"]);
    assert_eq!(packed(&world), before, "it is there already");
    // Another clone asks no remote for what is here.
    fs::remove_dir_all(origin.path().join("lob")).unwrap();
    let c = world.clone_of(&origin, "c");
    assert_eq!(c.read("a.bin"), content("first"));
    assert_eq!(users(&world).len(), 3);
    let env = c.lob(&["env"]);
    for name in ["work", "b", "c"] {
        let place = world.path().canonicalize().unwrap().join(name);
        let line = format!("store shared by: {}/.git\n", place.display());
        assert!(env.contains(&line), "{env}");
    }
    let doctor = c.lob(&["doctor"]);
    assert!(doctor.contains("shared by 3 clones"), "{doctor}");
    c.lob(&["fsck", "--deep"]);
    c.lob(&["repair"]);
}

#[test]
fn linked_work_trees_of_a_clone_are_one_who_shares() {
    let (world, _origin, a, _b) = two();
    let linked = world.path().join("linked");
    a.git(&["worktree", "add", "-q", "-b", "x", linked.to_str().unwrap()]);
    let linked = world.repo("linked");
    linked.write("x.bin", content("linked"));
    linked.commit("linked");
    assert!(holds(&world, "linked"));
    assert_eq!(users(&world).len(), 2);
}

/// A clone that was killed when the store knew it and it did not know the store.
#[test]
fn p6_a_clone_that_was_killed_when_it_had_signed_goes_on() {
    let (world, _origin, a, _b) = two();
    let home = a.path().join(".git/lob/state/home");
    let known = fs::read(&home).unwrap();
    fs::remove_file(&home).unwrap();
    a.write("b.bin", content("second"));
    a.git(&["add", "-A"]);
    assert!(holds(&world, "second"));
    assert_eq!(fs::read(&home).unwrap(), known);
    assert_eq!(users(&world).len(), 2);
}

#[test]
fn a_bare_repository_has_a_store_of_its_own() {
    let (world, origin, ..) = two();
    assert!(origin.try_lob(&["init"]).success);
    let refused = origin.try_lob(&["init", "--store", "x"]).fails(2);
    assert!(refused.contains("a store of its own"), "{refused}");
    assert_eq!(users(&world).len(), 2);
    origin.lob(&["gc", "--dry-run"]);
}

#[test]
fn a_repository_cannot_choose_the_store() {
    let world = World::new();
    let repo = world.init("repo");
    let place = world.path().join("theirs");
    let config = format!("[lob]\n\tstore = {}\n", place.display());
    repo.write(".lobconfig", config);
    repo.track(&["*.bin"]);
    repo.write("a.bin", content("first"));
    repo.commit("first");
    assert!(has_own(&repo) && !place.exists());
    let doctor = repo.try_lob(&["doctor"]);
    let doctor = String::from_utf8(doctor.stdout).unwrap();
    assert!(
        doctor.contains("lob.store in .lobconfig has no effect"),
        "{doctor}"
    );
}
