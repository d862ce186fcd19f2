//! A clone that changes its store takes its lobs along.

use std::fs;

use super::{content, has_own, holds, share, store, users};
use crate::support::{Repo, World};

/// A clone with lobs in a store of its own: in a commit, in the index, and in no ref at all.
fn alone() -> (World, Repo) {
    let world = World::new();
    let (_origin, work) = world.pair();
    work.track(&["*.bin"]);
    work.write("a.bin", content("first"));
    work.commit("first");
    work.write("b.bin", content("lost"));
    work.git(&["add", "-A"]);
    work.write("b.bin", content("staged"));
    work.git(&["add", "-A"]);
    (world, work)
}

/// Writes files anew by what the store has.
fn read_all(repo: &Repo) {
    for (path, name) in [("a.bin", "first"), ("b.bin", "staged")] {
        fs::remove_file(repo.path().join(path)).unwrap();
        repo.git(&["checkout", "-q", "--", path]);
        assert_eq!(repo.read(path), content(name), "{path}");
    }
}

#[test]
fn lobs_stay_in_sight_until_they_are_brought_over() {
    let (world, work) = alone();
    share(&world);
    let said = work.try_lob(&["status"]).ok_stderr();
    assert!(
        said.contains("but the lobs of this clone are in") && said.contains("lob init"),
        "{said}"
    );
    let doctor = String::from_utf8(work.try_lob(&["doctor"]).stdout).unwrap();
    assert!(
        doctor.contains("but the lobs of this clone are in"),
        "{doctor}"
    );
    work.write("c.bin", content("third"));
    work.git(&["add", "-A"]);
    read_all(&work);
    assert!(has_own(&work) && !store(&world).exists());
    let said = work.try_lob(&["init"]).ok_stderr();
    assert!(said.contains("brought over 4 lobs, 160.0 kB"), "{said}");
    assert!(!has_own(&work), "its space is given back");
    for name in ["first", "lost", "staged", "third"] {
        assert!(holds(&world, name), "{name}");
    }
    read_all(&work);
    let said = work.try_lob(&["status"]).ok_stderr();
    assert!(!said.contains("lob init"), "{said}");
    let said = work.try_lob(&["init"]).ok_stderr();
    assert!(said.contains("is set up in"), "{said}");
}

#[test]
fn a_clone_takes_what_it_needs_out_of_a_shared_store() {
    let (world, work) = alone();
    let lobs = store(&world);
    work.lob(&["init", "--store", lobs.to_str().unwrap()]);
    assert_eq!(users(&world).len(), 1);
    work.git(&["config", "--unset", "lob.store"]);
    read_all(&work);
    assert!(!has_own(&work), "it stays where it is");
    let said = work.try_lob(&["status"]).ok_stderr();
    assert!(said.contains("lob.store is not set any more"), "{said}");
    let said = work.try_lob(&["init"]).ok_stderr();
    assert!(said.contains("brought over 2 lobs, 80.0 kB"), "{said}");
    assert_eq!(users(&world).len(), 0);
    fs::rename(&lobs, world.path().join("away")).unwrap();
    read_all(&work);
    work.lob(&["fsck", "--deep"]);
}

#[test]
fn a_clone_goes_from_one_shared_store_to_another() {
    let (world, work) = alone();
    work.lob(&["init", "--store", "../one"]);
    assert!(!store(&world).exists());
    let said = work.try_lob(&["init", "--store", store(&world).to_str().unwrap()]);
    assert!(said.ok_stderr().contains("brought over 2 lobs"));
    fs::rename(world.path().join("one"), world.path().join("away")).unwrap();
    read_all(&work);
}

/// Killed between the copy and the end of it.
#[test]
fn p6_what_was_left_behind_is_noticed_and_brought_over() {
    let (world, work) = alone();
    let packs = work.path().join(".git/lob");
    let copy = world.path().join("copy");
    let cp = |from: &std::path::Path, to: &std::path::Path| {
        world.ok(world.command("cp").arg("-a").arg(from).arg(to));
    };
    cp(&packs, &copy);
    work.lob(&["init", "--store", store(&world).to_str().unwrap()]);
    // All of the old store is there still, and the clone knows the new one.
    for part in ["packs", "index", "roots"] {
        fs::remove_dir_all(packs.join(part)).unwrap();
        cp(&copy.join(part), &packs.join(part));
    }
    work.write("c.bin", content("third"));
    work.git(&["add", "-A"]);
    assert!(holds(&world, "third"));
    let said = work.try_lob(&["status"]).ok_stderr();
    assert!(said.contains("lobs were left in"), "{said}");
    work.lob(&["init"]);
    assert!(!has_own(&work));
    read_all(&work);
}

#[test]
fn what_cannot_be_brought_over_stays_where_it_is() {
    let (world, work) = alone();
    let packs = work.path().join(".git/lob/packs");
    let mut flipped = 0;
    for file in fs::read_dir(&packs).unwrap() {
        let path = file.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        let some = content("lost")[..100].to_vec();
        if let Some(at) = bytes.windows(100).position(|window| window == some) {
            bytes[at + 50] ^= 1;
            fs::write(&path, bytes).unwrap();
            flipped += 1;
        }
    }
    assert_eq!(flipped, 1);
    share(&world);
    let said = work.try_lob(&["init"]).fails(1);
    assert!(
        said.contains("could not be moved") && said.contains("lob repair"),
        "{said}"
    );
    assert!(has_own(&work));
    read_all(&work);
    assert!(!work.path().join(".git/lob/state/home").exists());
}
