//! `lob gc` with real git: what goes out of a store that others use, what stays, and what comes back.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use lob_store::disk::OsDisk;
use lob_store::{LobId, Store};
use serde_json::Value;

use crate::support::{Repo, World, noise};

fn content(name: &str) -> Vec<u8> {
    let add = |seed: u64, byte| seed * 31 + u64::from(byte);
    noise(name.bytes().fold(9, add), 40_000)
}

fn id(name: &str) -> LobId {
    LobId::of(&content(name))
}

/// Commits a lob to a branch of its own, pushes that, and goes back.
fn branch(repo: &Repo, name: &str) {
    repo.git(&["checkout", "-q", "-b", name]);
    repo.write("b.bin", content(name));
    repo.commit(name);
    repo.git(&["push", "-q", "origin", name]);
    repo.git(&["checkout", "-q", "main"]);
}

/// Lets a branch be forgotten everywhere.
fn forget(repo: &Repo, name: &str) {
    repo.git(&["push", "-q", "origin", "--delete", name]);
    repo.git(&["branch", "-q", "-D", name]);
    repo.git(&["reflog", "expire", "--expire=all", "--all"]);
}

/// A repository with a lob on its main branch and one on `topic`, of which nobody knows any more, and
/// a store that is older than any grace.
fn world() -> (World, Repo, Repo) {
    let world = World::new();
    let (origin, work) = world.pair();
    work.track(&["*.bin"]);
    work.write("a.bin", content("main"));
    work.commit("main");
    work.git(&["push", "-q", "-u", "origin", "main"]);
    branch(&work, "topic");
    forget(&work, "topic");
    age(&inside(&origin));
    (world, origin, work)
}

fn inside(origin: &Repo) -> PathBuf {
    origin.path().join("lob")
}

/// Lets all packs of a store be older than any grace.
fn age(store: &Path) {
    for entry in fs::read_dir(store.join("packs")).unwrap() {
        let file = fs::File::options().append(true).open(entry.unwrap().path());
        let old = SystemTime::now() - Duration::from_secs(100 * 86_400);
        file.unwrap().set_modified(old).unwrap();
    }
}

fn holds(store: &Path, name: &str) -> bool {
    let store = Store::open(Arc::new(OsDisk), store).unwrap();
    store.lob(&id(name)).unwrap().is_some()
}

/// What a run says of each lob: why it stays, or `drop`.
fn said(repo: &Repo, args: &[&str]) -> BTreeMap<String, String> {
    let events = repo.lob(&[&["--json", "gc"], args].concat());
    let events = events
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let lobs = events.filter(|event: &Value| event["event"] == "lob");
    let text = |value: &Value| value.as_str().map(str::to_string);
    lobs.map(|lob| {
        (
            text(&lob["id"]).unwrap(),
            text(&lob["reason"]).unwrap_or("drop".into()),
        )
    })
    .collect()
}

fn files(store: &Path) -> usize {
    fs::read_dir(store.join("packs")).unwrap().count()
}

#[test]
fn p7_what_nobody_references_is_set_aside_and_comes_back_when_it_is_pushed_again() {
    let (world, origin, work) = world();
    let store = inside(&origin);
    let before = files(&store);
    let dry = said(&work, &["--remote", "origin", "--dry-run"]);
    let expected = [("main", "referenced"), ("topic", "drop")];
    let expected = expected.map(|(name, why)| (id(name).to_string(), why.to_string()));
    assert_eq!(dry, BTreeMap::from(expected));
    assert!(holds(&store, "topic"), "a dry run changes nothing");
    assert_eq!(said(&work, &["--remote", "origin"]), dry);
    assert!(!holds(&store, "topic") && holds(&store, "main"));
    assert!(files(&store) >= before, "the files are set aside");
    // Another clone has the same content in a branch of its own.
    let other = world.clone_of(&origin, "other");
    branch(&other, "topic");
    assert!(holds(&store, "topic"));
    let clone = world.clone_of(&origin, "clone");
    clone.git(&["checkout", "-q", "topic"]);
    assert_eq!(clone.read("b.bin"), content("topic"));
}

#[test]
fn p7_what_is_referenced_after_all_comes_back_and_the_rest_goes_in_time() {
    let (_world, origin, work) = world();
    let store = inside(&origin);
    for name in ["one", "two"] {
        branch(&work, name);
    }
    let one = work.git(&["rev-parse", "one"]);
    for name in ["one", "two"] {
        forget(&work, name);
    }
    // Just pushed, and so it stays for now.
    let found = said(&work, &["--remote", "origin", "--dry-run"]);
    assert_eq!(found[&id("one").to_string()], "young");
    age(&store);
    work.lob(&["gc", "--remote", "origin"]);
    assert!(!holds(&store, "one") && !holds(&store, "two"));
    // A ref that was on its way while it was cleaned up.
    origin.git(&["update-ref", "refs/heads/late", one.trim_end()]);
    let run = work
        .try_lob(&["gc", "--remote", "origin", "--grace", "0"])
        .ok_stderr();
    assert!(run.contains("came back: 1"), "{run}");
    assert!(run.contains("given back"), "{run}");
    assert!(holds(&store, "one") && holds(&store, "main"));
    let opened = Store::open(Arc::new(OsDisk), &store).unwrap();
    assert_eq!(
        opened.bring_back(&[id("two")]).unwrap(),
        0,
        "it is gone for good"
    );
    let run = work.try_lob(&["gc", "--remote", "origin"]).ok_stderr();
    assert!(run.contains("nothing to clean up"), "{run}");
}

/// Sets aside what a branch holds that comes back when that is done.
fn set_late_aside(work: &Repo, origin: &Repo) {
    branch(work, "late");
    let late = work.git(&["rev-parse", "late"]);
    forget(work, "late");
    age(&inside(origin));
    work.lob(&["gc", "--remote", "origin"]);
    origin.git(&["update-ref", "refs/heads/late", late.trim_end()]);
}

#[test]
fn p7_a_fetch_gets_what_is_set_aside() {
    let (world, origin, work) = world();
    set_late_aside(&work, &origin);
    let clone = world.clone_of(&origin, "clone");
    clone.git(&["checkout", "-q", "late"]);
    assert_eq!(clone.read("b.bin"), content("late"));
}

#[test]
fn p7_a_repair_gets_what_is_set_aside() {
    let (world, origin, work) = world();
    set_late_aside(&work, &origin);
    let clone = world.clone_of(&origin, "clone");
    clone.git(&["branch", "-q", "mine", "origin/late"]);
    let packs = clone.path().join(".git/lob/packs");
    fs::remove_dir_all(&packs).unwrap();
    fs::create_dir(&packs).unwrap();
    let plan = clone.lob(&["repair", "--from", "origin", "--dry-run"]);
    assert!(plan.contains("b.bin from origin"), "{plan}");
    assert!(!holds(&inside(&origin), "late"), "looking changes nothing");
    clone.lob(&["repair", "--from", "origin"]);
    assert!(holds(&clone.path().join(".git/lob"), "late"));
}

#[test]
fn what_is_set_aside_is_not_lost() {
    let (world, origin, work) = world();
    set_late_aside(&work, &origin);
    work.git(&["fetch", "-q", "origin"]);
    let fsck = ["fsck", "--remote", "origin"];
    let found = work.lob(&fsck);
    assert!(
        found.contains("set aside there by lob gc") && found.contains("lob gc --remote origin"),
        "{found}"
    );
    let own = origin.lob(&["fsck"]);
    assert!(own.contains("set aside here by lob gc"), "{own}");
    let clone = world.clone_of(&origin, "clone");
    clone.git(&["branch", "-q", "mine", "origin/late"]);
    let held = clone.lob(&["fsck", "--verbose"]);
    assert!(held.contains("not here, and held by origin"), "{held}");
    assert!(!holds(&inside(&origin), "late"), "looking changes nothing");
    work.lob(&["gc", "--remote", "origin"]);
    assert!(!work.lob(&fsck).contains("there by lob gc"));
    // What nobody could bring back is lost.
    let packs = inside(&origin).join("packs");
    fs::remove_dir_all(&packs).unwrap();
    fs::create_dir(&packs).unwrap();
    let found = work.try_lob(&fsck);
    assert_eq!(found.code, Some(3), "{found:?}");
}

#[test]
fn a_bare_repository_cleans_its_own_store_and_a_clone_does_not() {
    let (_world, origin, work) = world();
    let said = work.try_lob(&["gc"]).fails(2);
    assert!(
        said.contains("lob gc --remote origin") && said.contains("lob prune"),
        "{said}"
    );
    let own = work.path().join(".git/lob");
    let said = work
        .try_lob(&["gc", "--remote", own.to_str().unwrap()])
        .fails(2);
    assert!(
        said.contains("the store of this repository itself"),
        "{said}"
    );
    let said = origin.try_lob(&["gc"]).ok_stderr();
    assert!(
        said.contains("set aside 1 lob, 40.0 kB, for 14 days"),
        "{said}"
    );
    assert!(!holds(&inside(&origin), "topic") && holds(&inside(&origin), "main"));
}

/// Two repositories whose remotes keep their lobs in one directory.
fn two() -> (World, [(Repo, Repo); 2], PathBuf) {
    let world = World::new();
    let store = world.path().join("store");
    let pairs = ["a", "b"].map(|name| {
        let origin = world.init_bare(&format!("{name}.git"));
        let work = world.init(name);
        work.lob(&["init"]);
        work.git(&["remote", "add", "origin", origin.path().to_str().unwrap()]);
        work.git(&["config", "remote.origin.lobUrl", store.to_str().unwrap()]);
        work.track(&["*.bin"]);
        work.write("a.bin", content(name));
        work.commit("main");
        work.git(&["push", "-q", "-u", "origin", "HEAD:main"]);
        (origin, work)
    });
    age(&store);
    (world, pairs, store)
}

#[test]
fn p7_a_store_knows_all_who_have_pushed_to_it() {
    let (world, [(_, a), (b_origin, _)], store) = two();
    a.lob(&["gc", "--remote", "origin"]);
    assert!(
        holds(&store, "a") && holds(&store, "b"),
        "the other one is asked"
    );
    // It cannot be asked now.
    let aside = world.path().join("aside.git");
    fs::rename(b_origin.path(), &aside).unwrap();
    let gc = ["gc", "--remote", "origin", "--grace", "0"];
    let said = a.try_lob(&gc).fails(1);
    assert!(said.contains("cannot be asked what must stay"), "{said}");
    assert!(
        said.contains("b.git") && said.contains("--forget"),
        "{said}"
    );
    assert!(holds(&store, "b"));
    let place = b_origin.path().canonicalize();
    assert!(place.is_err());
    let place = world.path().canonicalize().unwrap().join("b.git");
    let dry = [&gc[..], &["--forget", place.to_str().unwrap(), "--dry-run"]].concat();
    assert!(a.lob(&dry).contains(&id("b").to_string()), "it would go");
    assert!(holds(&store, "b"));
    let forced = [&gc[..], &["--forget", place.to_str().unwrap()]].concat();
    let said = a.try_lob(&forced).ok_stderr();
    assert!(said.contains("is forgotten"), "{said}");
    assert!(holds(&store, "a") && !holds(&store, "b"));
}

/// Git goes on from a broken repository to one around it, whose refs say nothing.
#[test]
fn p7_a_repository_around_a_broken_one_is_not_asked_in_its_place() {
    let (world, [(_, a), (b_origin, _)], store) = two();
    world.init(".");
    fs::remove_file(b_origin.path().join("HEAD")).unwrap();
    let gc = ["gc", "--remote", "origin", "--grace", "0"];
    let said = a.try_lob(&gc).fails(1);
    assert!(
        said.contains("b.git: there is no git repository any more"),
        "{said}"
    );
    assert!(holds(&store, "b"));
}

#[test]
fn p7_an_unusual_share_is_not_taken_without_force() {
    let (_world, origin, work) = world();
    work.git(&["checkout", "-q", "-b", "many"]);
    for n in 0..12 {
        work.write(&format!("{n}.bin"), content(&format!("many {n}")));
    }
    work.commit("many");
    work.git(&["push", "-q", "origin", "many"]);
    work.git(&["checkout", "-q", "main"]);
    forget(&work, "many");
    age(&inside(&origin));
    let said = work
        .try_lob(&["gc", "--remote", "origin", "--dry-run"])
        .ok_stderr();
    assert!(
        said.contains("13 lobs, 520.0 kB of 14 lobs, 560.0 kB would go"),
        "{said}"
    );
    let said = work.try_lob(&["gc", "--remote", "origin"]).fails(1);
    assert!(
        said.contains("is this the right store?") && said.contains("--force"),
        "{said}"
    );
    assert!(holds(&inside(&origin), "topic"));
    work.lob(&["gc", "--remote", "origin", "--force"]);
    assert!(!holds(&inside(&origin), "topic") && holds(&inside(&origin), "main"));
}

/// A remote that git reaches by ssh has its refs asked for, and its commits must be here.
#[cfg(unix)]
#[test]
fn p7_commits_of_a_far_remote_must_be_here() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let (origin, work) = world.pair();
    let ssh = world.path().join("ssh");
    // The last word is the command.
    fs::write(
        &ssh,
        "#!/bin/sh\nfor word; do :; done\nexec sh -c \"$word\"\n",
    )
    .unwrap();
    fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).unwrap();
    let (store, url) = (
        world.path().join("store"),
        format!("host:{}", origin.path().display()),
    );
    let far = |repo: &Repo| {
        repo.git(&["config", "core.sshCommand", ssh.to_str().unwrap()]);
        repo.git(&["config", "remote.origin.lobUrl", store.to_str().unwrap()]);
        repo.git(&["remote", "set-url", "origin", &url]);
    };
    far(&work);
    work.track(&["*.bin"]);
    work.write("a.bin", content("main"));
    work.commit("main");
    work.git(&["push", "-q", "-u", "origin", "main"]);
    let other = world.init("other");
    other.lob(&["init"]);
    other.git(&["remote", "add", "origin", &url]);
    far(&other);
    other.git(&["pull", "-q", "origin", "main"]);
    branch(&other, "theirs");
    branch(&work, "topic");
    forget(&work, "topic");
    age(&store);
    let said = work.try_lob(&["gc", "--remote", "origin"]).fails(1);
    assert!(
        said.contains("origin has 1 commits or tags that are not here"),
        "{said}"
    );
    assert!(said.contains("git fetch origin"), "{said}");
    work.git(&["fetch", "-q", "origin"]);
    work.lob(&["gc", "--remote", "origin"]);
    assert!(holds(&store, "theirs") && holds(&store, "main") && !holds(&store, "topic"));
    // Who does not know the remote cannot tell what it needs.
    let path = store.to_str().unwrap();
    let stranger = world.init("stranger");
    let said = stranger.try_lob(&["gc", "--remote", path]).fails(1);
    assert!(
        said.contains(&format!("git remote add NAME {url:?}")),
        "{said}"
    );
}
