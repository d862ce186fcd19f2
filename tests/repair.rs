//! `lob repair` with real git: every kind of file of a store is damaged, and what was lost comes back
//! from a remote or from the work tree.

use std::fs;
use std::path::{Path, PathBuf};

use lob_store::LobId;

use crate::support::{Repo, World, noise};

/// A repository with two versions of two files, pushed, and its remote.
fn pushed() -> (World, Repo, Repo) {
    let world = World::new();
    let (origin, work) = world.pair();
    work.track(&["*.bin"]);
    for version in [0, 10] {
        for n in [1, 2] {
            work.write(&format!("{n}.bin"), noise(version + n, 200_000));
            work.commit("A version");
        }
    }
    work.git(&["push", "-q", "origin", "main"]);
    (world, origin, work)
}

fn store(repo: &Repo) -> PathBuf {
    repo.path().join(".git/lob")
}

/// The files of a store that say something.
fn files(store: &Path) -> Vec<PathBuf> {
    let mut files = vec![store.join("state/format")];
    for dir in ["packs", "roots", "index"] {
        let entries = fs::read_dir(store.join(dir)).unwrap();
        files.extend(entries.map(|entry| entry.unwrap().path()));
    }
    files.sort();
    files
}

fn packs(store: &Path) -> Vec<PathBuf> {
    let mut packs = files(store);
    packs.retain(|path| path.extension().is_some_and(|end| end == "pack"));
    packs
}

/// Changes a byte in the midst of a file.
fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    // In the midst of the format is the id of the store, and another one is as good.
    let at = match path.ends_with("state/format") {
        true => 0,
        false => bytes.len() / 2,
    };
    bytes[at] ^= 1;
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

fn remove(path: &Path) {
    fs::remove_file(path).unwrap();
}

fn cut(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() / 3]).unwrap();
}

/// Both versions of both files come out of the store as they went in.
#[track_caller]
fn assert_whole(work: &Repo, what: &str) {
    work.git(&["config", "remote.origin.lobUrl", "/no/such/place"]);
    for (revision, version) in [("HEAD~2", 0), ("main", 10)] {
        work.git(&["checkout", "-q", "-f", revision]);
        for n in [1, 2] {
            let name = format!("{n}.bin");
            remove(&work.path().join(&name));
            work.git(&["checkout", "-q", "-f", "--", &name]);
            assert!(work.read(&name) == noise(version + n, 200_000), "{what}");
        }
    }
    work.git(&["config", "--unset", "remote.origin.lobUrl"]);
    let fsck = work.try_lob(&["fsck", "--deep"]);
    assert_eq!(fsck.code, Some(0), "{what}: {fsck:?}");
}

#[test]
fn p6_damage_to_any_file_is_mended_from_the_remote_and_the_work_tree() {
    let (_world, _, work) = pushed();
    let kept = work.path().with_extension("kept");
    let copy = |from: &Path, to: &Path| {
        let _ = fs::remove_dir_all(to);
        let mut cp = work.command("cp");
        work.world().ok(cp.arg("-r").arg(from).arg(to));
    };
    copy(&store(&work), &kept);
    type Damage = (&'static str, fn(&Path));
    let damages: [Damage; 3] = [("flipped", flip), ("lost", remove), ("cut", cut)];
    let count = files(&store(&work)).len();
    assert!(count > 12, "{count} files");
    for n in 0..count {
        for (name, damage) in damages {
            copy(&kept, &store(&work));
            let path = &files(&store(&work))[n];
            damage(path);
            let what = format!("{name}: {}", path.display());
            let plan = work.try_lob(&["repair", "--dry-run"]);
            let run = work.try_lob(&["repair"]);
            assert_eq!(run.code, Some(0), "{what}: {run:?}");
            assert_eq!(run.stdout, plan.stdout, "{what}: as the dry run said");
            assert!(!plan.stdout.is_empty(), "{what} is found");
            assert_whole(&work, &what);
            let again = work.try_lob(&["repair"]);
            assert_eq!(again.stdout, b"", "{what}");
            assert!(again.ok_stderr().contains("nothing to repair"), "{what}");
        }
    }
}

#[test]
fn all_packs_at_once_come_back() {
    let (_world, origin, work) = pushed();
    let old = packs(&store(&work)).len();
    packs(&store(&work)).iter().for_each(|path| flip(path));
    let run = work.try_lob(&["repair"]);
    let lines = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(
        lines.contains("add 200.0 kB 1.bin from the work tree"),
        "{lines}"
    );
    assert!(
        lines.contains("fetch 200.0 kB 1.bin from origin"),
        "{lines}"
    );
    assert_eq!(lines.matches("rewrite pack ").count(), old, "{lines}");
    assert!(run.ok_stderr().contains("4 lobs brought back"));
    // What was damaged is not deleted, and not in the way.
    let aside = fs::read_dir(store(&work).join("damaged")).unwrap();
    assert_eq!(aside.count(), 2 * old);
    assert_whole(&work, "all packs");
    // A bare repository is repaired in the same way, from a clone.
    let far = origin.path().join("lob");
    packs(&far).iter().for_each(|path| flip(path));
    origin.try_lob(&["repair"]).fails(3);
    let from = store(&work);
    origin.lob(&["repair", "--from", from.to_str().unwrap()]);
    origin.lob(&["fsck", "--deep"]);
}

#[test]
fn what_is_nowhere_is_named_and_comes_back_when_somebody_has_it() {
    let (world, origin, work) = pushed();
    let clone = world.clone_of(&origin, "clone");
    clone.lob(&["fetch", "--recent"]);
    clone.lob(&["sync", "--mode", "complete", "--pull"]);
    for store in [store(&work), origin.path().join("lob")] {
        packs(&store).iter().for_each(|path| remove(path));
    }
    work.write("1.bin", "changed");
    let run = work.try_lob(&["repair"]);
    let lines = String::from_utf8_lossy(&run.stdout).into_owned();
    // The other file of the checkout is there still.
    assert!(
        lines.contains("add 200.0 kB 2.bin from the work tree"),
        "{lines}"
    );
    assert!(lines.contains("lost: 1.bin"), "{lines}");
    assert!(run.fails(3).contains("could not be had"));
    assert_eq!(work.read("1.bin"), b"changed");
    // Nothing is given up while something is lost: the packs are still missed.
    let fsck = work.try_lob(&["fsck"]);
    assert!(
        String::from_utf8_lossy(&fsck.stdout).contains("missing"),
        "{fsck:?}"
    );
    fsck.fails(3);
    let from = store(&clone);
    work.lob(&["repair", "--from", from.to_str().unwrap()]);
    assert_whole(&work, "from a clone");
}

/// Takes away all packs, and all that told what was in them.
fn forget(store: &Path) {
    for dir in ["packs", "index"] {
        let entries = fs::read_dir(store.join(dir)).unwrap();
        entries.for_each(|entry| remove(&entry.unwrap().path()));
    }
}

/// What a repair would do, which is then done.
#[track_caller]
fn repaired(work: &Repo, from: &[&str], code: i32) -> String {
    let plan = work.try_lob(&[&["repair", "--dry-run"], from].concat());
    let run = work.try_lob(&[&["repair"], from].concat());
    assert_eq!(run.code, Some(code), "{run:?}");
    assert!(run.stdout.starts_with(&plan.stdout), "{plan:?} {run:?}");
    String::from_utf8(run.stdout).unwrap()
}

#[test]
fn what_packs_held_that_are_gone_without_a_trace_comes_back() {
    let (_world, _, work) = pushed();
    // In the work tree, and within the window.
    forget(&store(&work));
    let lines = repaired(&work, &[], 0);
    assert_eq!(lines.matches("from the work tree").count(), 2, "{lines}");
    assert_eq!(lines.matches("from origin").count(), 2, "{lines}");
    assert_whole(&work, "what is recent");
    // What is older is not lost: a remote holds it, as it does for every clone.
    work.git(&["config", "lob.fetchCommitsHeadDays", "0"]);
    forget(&store(&work));
    let lines = repaired(&work, &[], 0);
    assert_eq!(lines.matches("from the work tree").count(), 2, "{lines}");
    assert!(!lines.contains("origin"), "{lines}");
    assert_eq!(repaired(&work, &["--from", "origin"], 0), "");
    work.lob(&["fsck"]);
    // Whoever names a store gets all that it has.
    forget(&store(&work));
    let lines = repaired(&work, &["--from", "origin"], 0);
    assert_eq!(lines.matches("from origin").count(), 2, "{lines}");
    assert_whole(&work, "all");
}

#[test]
fn what_no_remote_has_is_lost_until_a_store_is_named_that_has_it() {
    let (world, _, work) = pushed();
    for n in [20, 30] {
        work.write("1.bin", noise(n, 200_000));
        work.commit("Not pushed");
    }
    let kept = world.path().join("kept");
    let kept = kept.to_str().unwrap();
    work.lob(&["sync", "--mode", "complete", "--push", kept]);
    work.git(&["config", "lob.fetchCommitsHeadDays", "0"]);
    forget(&store(&work));
    let lines = repaired(&work, &[], 3);
    assert_eq!(lines.matches("lost: 1.bin").count(), 1, "{lines}");
    work.try_lob(&["fsck"]).fails(3);
    let lines = repaired(&work, &["--from", kept], 0);
    assert!(lines.contains("fetch 200.0 kB 1.bin from"), "{lines}");
    work.git(&["checkout", "-q", "HEAD~1"]);
    assert!(work.read("1.bin") == noise(20, 200_000));
    // Also where nothing is missing but that.
    work.git(&["checkout", "-q", "main"]);
    fs::remove_dir_all(store(&work)).unwrap();
    work.lob(&["init"]);
    let lines = repaired(&work, &["--from", kept], 0);
    assert!(lines.contains("fetch 200.0 kB 1.bin from"), "{lines}");
    work.git(&["checkout", "-q", "HEAD~1"]);
    assert!(work.read("1.bin") == noise(20, 200_000));
}

/// What is here of a lob may need a pack that is gone.
#[test]
fn a_fetch_sends_to_the_repair_where_a_part_of_a_file_is_gone() {
    for with_table in [false, true] {
        let world = World::new();
        let (_, work) = world.pair();
        work.track(&["*.bin"]);
        let mut content = noise(1, 600_000);
        work.write("1.bin", &content);
        work.commit("One");
        let one = packs(&store(&work));
        content.truncate(500_000);
        content.extend(noise(2, 90_000));
        work.write("1.bin", &content);
        work.commit("Two");
        work.git(&["push", "-q", "origin", "main"]);
        one.iter().for_each(|pack| remove(pack));
        if with_table {
            one.iter()
                .for_each(|pack| remove(&pack.with_extension("idx")));
        }
        let said = work.try_lob(&["fetch"]).fails(3);
        for part in [
            "1.bin",
            "a pack is gone that held a part of it",
            "lob repair",
        ] {
            assert!(said.contains(part), "{said}");
        }
        remove(&work.path().join("1.bin"));
        work.lob(&["repair"]);
        let said = work.try_lob(&["fetch"]).ok_stderr();
        assert!(said.contains("nothing to fetch"), "{said}");
        work.git(&["checkout", "-q", "--", "1.bin"]);
        assert!(work.read("1.bin") == content);
    }
}

#[test]
fn what_was_never_pushed_comes_back_from_the_work_tree() {
    let world = World::new();
    let work = world.init("work");
    work.lob(&["init"]);
    work.track(&["*.bin"]);
    work.write("deep/new.bin", noise(5, 300_000));
    work.commit("New");
    packs(&store(&work)).iter().for_each(|path| flip(path));
    work.lob(&["repair"]);
    work.lob(&["fsck", "--deep"]);
    remove(&work.path().join("deep/new.bin"));
    work.git(&["checkout", "-q", "--", "deep/new.bin"]);
    assert!(work.read("deep/new.bin") == noise(5, 300_000));
}

#[test]
fn a_damaged_pack_names_the_way_out() {
    let (_world, _, work) = pushed();
    for pack in packs(&store(&work)) {
        flip(&pack);
    }
    let id = LobId::of(&noise(11, 200_000));
    let pointer = format!("version git-lob/2\noid blake3:{id}\nsize 200000\n");
    work.git(&["config", "remote.origin.lobUrl", "/no/such/place"]);
    remove(&work.path().join("1.bin"));
    let run = work.try_git(&["checkout", "--", "1.bin"]);
    assert_eq!(work.read("1.bin"), pointer.as_bytes());
    assert!(run.stderr.contains("lob repair"), "{run:?}");
    let fsck = work.try_lob(&["fsck", "--deep"]);
    let lines = String::from_utf8_lossy(&fsck.stdout).into_owned();
    assert!(lines.contains("-> lob repair"), "{lines}");
}
