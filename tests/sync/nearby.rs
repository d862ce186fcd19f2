//! What a file of the work tree has of a lob that is wanted need not move.

use super::*;

const LEN: usize = 4_000_000;

/// A clone that has lost its store, and in whose one file a few bytes were changed at each of `places`.
fn edited(places: &[usize]) -> (World, Repo, Repo, Vec<u8>) {
    let (world, origin, work) = pair();
    let content = noise(1, LEN);
    keep(&work, "dir/a file.bin", &content);
    work.commit("first");
    work.git(&["push", "-q", "origin", "main"]);
    let clone = clone(&world, &origin, "clone");
    clone.lob(&["pull"]);
    let mut file = content.clone();
    for at in places {
        file.splice(at..&(at + 3), *b"edited");
    }
    clone.write("dir/a file.bin", &file);
    fs::remove_dir_all(clone.path().join(".git/lob")).unwrap();
    (world, origin, clone, content)
}

/// What `lob fetch` moves to a clone that then has all of `content`.
#[track_caller]
fn fetched(clone: &Repo, content: &[u8]) -> u64 {
    let said = clone.lob(&["--json", "fetch"]);
    let store = store(&clone.path().join(".git/lob"));
    let mut read = Vec::new();
    store.write_to(&LobId::of(content), &mut read, &()).unwrap();
    assert!(read == content);
    clone.lob(&["fsck", "--deep"]);
    events(&said, "summary")[0]["bytes"].as_u64().unwrap()
}

#[test]
fn a_fetch_moves_only_what_an_edited_file_does_not_have() {
    let (_world, _origin, clone, content) = edited(&[10, 1_500_000]);
    let before = clone.read("dir/a file.bin");
    let moved = fetched(&clone, &content);
    assert!((1..800_000).contains(&moved), "{moved}");
    assert!(clone.read("dir/a file.bin") == before, "it is as it was");
}

#[test]
fn a_file_that_is_whole_is_not_fetched_again() {
    let (_world, _origin, clone, content) = edited(&[]);
    assert_eq!(fetched(&clone, &content), 0);
}

#[test]
fn what_shares_nothing_or_is_no_file_is_passed_over() {
    for what in ["other", "short", "directory", "link"] {
        let (_world, _origin, clone, content) = edited(&[]);
        let path = clone.path().join("dir/a file.bin");
        fs::rename(&path, clone.path().join("copy")).unwrap();
        match what {
            "other" => fs::write(&path, noise(2, LEN)).unwrap(),
            "short" => fs::write(&path, &content[..100_000]).unwrap(),
            "directory" => fs::create_dir(&path).unwrap(),
            _ => {
                #[cfg(unix)]
                std::os::unix::fs::symlink("../copy", &path).unwrap();
            }
        }
        let moved = fetched(&clone, &content);
        assert!(moved > LEN as u64, "{what}: {moved}");
    }
}

#[test]
fn fixup_takes_from_a_copy_beside_the_pointer() {
    let (world, origin, work) = pair();
    let content = noise(1, LEN);
    keep(&work, "dir/a file.bin", &content);
    work.commit("first");
    work.git(&["push", "-q", "origin", "main"]);
    for (name, helps) in [("a copy.bin", true), ("a copy.txt", false)] {
        let clone = clone(&world, &origin, name);
        let mut copy = content.clone();
        copy.splice(1_500_000..1_500_000, *b"edited");
        clone.write(&format!("dir/{name}"), &copy);
        clone.write("dir/other.bin", noise(2, LEN));
        let said = clone.lob(&["--json", "sync", "--mode", "fixup"]);
        assert!(clone.read("dir/a file.bin") == content);
        let moved = events(&said, "summary")[0]["bytes"].as_u64().unwrap();
        assert_eq!(moved < 500_000, helps, "{name}: {moved}");
        assert!(
            clone.read(&format!("dir/{name}")) == copy,
            "it is as it was"
        );
    }
}

/// Changes a byte in the midst of the one pack of a store.
fn flip(store: &Path) {
    let entries = fs::read_dir(store.join("packs")).unwrap();
    let entries = entries.map(|entry| entry.unwrap().path());
    let is_pack = |path: &PathBuf| path.extension().is_some_and(|end| end == "pack");
    let packs: Vec<_> = entries.filter(is_pack).collect();
    let [pack] = &packs[..] else {
        panic!("not one pack");
    };
    let mut bytes = fs::read(pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::remove_file(pack).unwrap();
    fs::write(pack, bytes).unwrap();
}

#[test]
fn a_fetch_puts_together_what_neither_the_remote_nor_the_file_has_whole() {
    let (_world, origin, clone, content) = edited(&[10]);
    // The remote has lost what is in the midst of the file, and the file its first bytes.
    flip(&origin.path().join("lob"));
    fetched(&clone, &content);
}

#[test]
fn a_repair_takes_from_an_edited_file_what_the_store_and_the_remote_have_lost() {
    let (_world, origin, work) = pair();
    let content = noise(1, LEN);
    keep(&work, "a file.bin", &content);
    work.commit("first");
    work.git(&["push", "-q", "origin", "main"]);
    let mut file = content.clone();
    file[10] ^= 1;
    work.write("a file.bin", &file);
    let lob = work.path().join(".git/lob");
    flip(&lob);
    flip(&origin.path().join("lob"));
    work.lob(&["repair"]);
    let mut read = Vec::new();
    let id = LobId::of(&content);
    store(&lob).write_to(&id, &mut read, &()).unwrap();
    assert!(read == content);
    assert!(work.read("a file.bin") == file, "it is as it was");
}
