//! New versions of a file cost their difference on the way, and in the remote.

use super::*;
use crate::store::deltas::{scattered, versions};

/// What a run with `--json` says that it moved.
fn moved(stdout: &str) -> u64 {
    events(stdout, "summary")[0]["bytes"].as_u64().unwrap()
}

fn stored(origin: &Repo) -> u64 {
    remote_store(origin).stored_bytes().unwrap()
}

#[test]
fn each_push_and_each_fetch_of_a_version_moves_its_difference() {
    let (world, origin, work) = pair();
    let contents = versions(4, 3_000_000);
    let mut clones = Vec::new();
    for (n, content) in contents.iter().enumerate() {
        keep(&work, "dir/a file.bin", content);
        work.commit("one more");
        let before = if n > 0 { stored(&origin) } else { 0 };
        let pushed = moved(&work.lob(&["--json", "push"]));
        work.git(&["push", "-q", "origin", "main"]);
        let grown = stored(&origin) - before;
        match n {
            0 => {
                assert!(pushed > 2_900_000);
                clones.push(clone(&world, &origin, "clone"));
            }
            _ => {
                assert!(pushed < 100_000, "push {n}: {pushed}");
                assert!(grown < 150_000, "push {n}: {grown}");
                clones[0].git(&["pull", "-q"]);
            }
        }
        let fetched = moved(&clones[0].lob(&["--json", "fetch"]));
        assert!(n == 0 || fetched < 100_000, "fetch {n}: {fetched}");
        clones[0].lob(&["checkout"]);
        assert_eq!(clones[0].read("dir/a file.bin"), *content);
    }
    // Whoever comes new needs what the last version stands on only to read it.
    let new = clone(&world, &origin, "new");
    new.lob(&["pull"]);
    assert_eq!(new.read("dir/a file.bin"), contents[3]);
    new.lob(&["sync", "--pull", "--mode", "complete"]);
    for clone in [&clones[0], &new] {
        let store = store(&clone.path().join(".git/lob"));
        for content in &contents {
            let mut read = Vec::new();
            store.write_to(&LobId::of(content), &mut read, &()).unwrap();
            assert!(read == *content);
        }
        clone.lob(&["fsck", "--deep"]);
    }
}

#[test]
fn a_history_that_is_pushed_at_once_is_one_version_and_differences() {
    let (world, origin, work) = pair();
    let contents = versions(5, 2_000_000);
    for content in &contents {
        keep(&work, "a.bin", content);
        work.commit("one more");
    }
    let pushed = moved(&work.lob(&["--json", "push"]));
    assert!(pushed > 1_900_000 && pushed < 2_200_000, "{pushed}");
    work.git(&["push", "-q", "origin", "main"]);
    let clone = clone(&world, &origin, "clone");
    let fetched = moved(&clone.lob(&["--json", "sync", "--pull", "--mode", "complete"]));
    assert!(fetched < 2_200_000, "{fetched}");
    let store = store(&clone.path().join(".git/lob"));
    for content in &contents {
        assert!(holds(
            &store,
            LobInfo {
                id: LobId::of(content),
                size: 2_000_000
            }
        ));
    }
    clone.lob(&["fsck", "--deep"]);
}

/// A file that is renamed and changed, one whose name tells its version, and others of their kind.
#[test]
fn what_a_new_path_holds_goes_as_the_difference_from_what_it_is_like() {
    let (world, origin, work) = pair();
    let chapters = versions(2, 2_000_000);
    let mut part = noise(9, 3_000_000);
    keep(&work, "data/old name.bin", &part);
    keep(&work, "game-1.9.bin", &chapters[0]);
    keep(&work, "another.bin", &noise(5, 2_000_000));
    work.commit("old");
    work.git(&["push", "-q", "origin", "main"]);
    work.git(&["rm", "-q", "data/old name.bin"]);
    for at in (0..1_500_000).step_by(20_000) {
        part[at] ^= 1;
    }
    keep(&work, "other/place.bin", &part);
    keep(&work, "game-1.10.bin", &chapters[1]);
    work.commit("new");
    let pushed = moved(&work.lob(&["--json", "push"]));
    assert!(pushed < 100_000, "{pushed}");
    work.git(&["push", "-q", "origin", "main"]);
    let clone = clone(&world, &origin, "clone");
    clone.lob(&["pull"]);
    assert_eq!(clone.read("other/place.bin"), part);
    assert_eq!(clone.read("game-1.10.bin"), chapters[1]);
    assert_eq!(clone.read("game-1.9.bin"), chapters[0]);
}

/// The remote still names the first version, and cannot read it.
#[test]
fn a_base_that_is_damaged_in_the_remote_stops_no_push() {
    let (_world, origin, work) = pair();
    let old = noise(1, 2_000_000);
    keep(&work, "a.bin", &old);
    work.commit("old");
    work.git(&["push", "-q", "origin", "main"]);
    for pack in super::hostile::packs(&origin) {
        let mut bytes = fs::read(&pack).unwrap();
        for at in (0..bytes.len() / 2).step_by(10_000) {
            bytes[at] ^= 0x10;
        }
        fs::write(&pack, bytes).unwrap();
    }
    let new = scattered(&old, 1);
    let lob = keep(&work, "a.bin", &new);
    work.commit("new");
    work.git(&["push", "-q", "origin", "main"]);
    let mut read = Vec::new();
    let store = remote_store(&origin);
    store.write_to(&lob.id, &mut read, &()).unwrap();
    assert!(read == new);
}

#[test]
fn what_was_no_pointer_before_and_what_is_gone_here_are_no_bases() {
    let (_world, origin, work) = pair();
    let old = noise(1, 2_000_000);
    work.write("was.bin", &old);
    let gone = keep(&work, "gone.bin", &old);
    work.commit("old");
    work.git(&["push", "-q", "origin", "main"]);
    fs::remove_dir_all(work.path().join(".git/lob")).unwrap();
    assert!(holds(&remote_store(&origin), gone));
    let new = scattered(&old, 1);
    for path in ["was.bin", "gone.bin"] {
        keep(&work, path, &new);
    }
    work.commit("new");
    let pushed = moved(&work.lob(&["--json", "push"]));
    assert!(pushed > 1_900_000, "{pushed}");
}

/// What was fetched as a difference is copied as one, to a receiver that cannot read its base.
#[test]
fn a_base_that_rotted_stops_neither_a_fetch_nor_a_copy() {
    let (world, origin, work) = pair();
    let contents = versions(2, 2_000_000);
    keep(&work, "a.bin", &contents[0]);
    work.commit("old");
    work.git(&["push", "-q", "origin", "main"]);
    let clone = clone(&world, &origin, "clone");
    clone.lob(&["pull"]);
    let usb = world.path().join("usb");
    clone.lob(&["push", usb.to_str().unwrap()]);
    let new = keep(&work, "a.bin", &contents[1]);
    work.commit("new");
    work.git(&["push", "-q", "origin", "main"]);
    clone.git(&["pull", "-q"]);
    let rot = |dir: &Path| {
        let files = census(dir).into_keys();
        for pack in files.filter(|path| path.extension().is_some_and(|end| end == "pack")) {
            let mut bytes = fs::read(&pack).unwrap();
            for at in (0..bytes.len() / 2).step_by(10_000) {
                bytes[at] ^= 0x10;
            }
            fs::write(&pack, bytes).unwrap();
        }
    };
    let good = world.path().join("good");
    fs::create_dir(&good).unwrap();
    let packs = clone.path().join(".git/lob/packs");
    for path in census(&packs).into_keys() {
        fs::copy(&path, good.join(path.file_name().unwrap())).unwrap();
    }
    rot(&packs);
    clone.lob(&["pull"]);
    assert_eq!(clone.read("a.bin"), contents[1]);
    // With its base again, the other store's copy of which is damaged.
    for path in census(&good).into_keys() {
        fs::copy(&path, packs.join(path.file_name().unwrap())).unwrap();
    }
    rot(&usb.join("packs"));
    clone.lob(&["push", usb.to_str().unwrap()]);
    let mut read = Vec::new();
    store(&usb).write_to(&new.id, &mut read, &()).unwrap();
    assert!(read == contents[1]);
}
