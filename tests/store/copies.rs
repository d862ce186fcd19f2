//! A copy of a store by any means (rsync, a USB disk, a bucket) is a store.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use lob_store::disk::OsDisk;
use lob_store::{Error, LobId, Store};

use super::{noise, open, read};

/// Adds one lob and publishes it in a pack of its own.
fn add(store: &Store, seed: u64) -> LobId {
    let mut writer = store.writer().expect("a writer");
    let added = writer
        .add(&mut noise(seed, 1000).as_slice(), &())
        .expect("adds");
    writer.finish().expect("publishes");
    added.id
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a directory");
    for entry in fs::read_dir(from).expect("lists") {
        let (path, name) = entry.map(|e| (e.path(), e.file_name())).expect("an entry");
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            fs::copy(&path, to.join(name)).expect("copies");
        }
    }
}

#[test]
fn a_copy_without_empty_directories_is_read_and_written() {
    let dir = tempfile::tempdir().expect("a directory");
    let root = dir.path().join("store");
    let first = add(&open(&root), 1);
    for name in ["index", "stage"] {
        fs::remove_dir(root.join(name)).expect("is empty");
    }
    assert_eq!(read(&open(&root), &first).expect("reads"), noise(1, 1000));
    // More than one run of the index, so that each directory is needed again.
    let ids: Vec<_> = (2..12).map(|seed| add(&open(&root), seed)).collect();
    for (seed, id) in (2..).zip(ids) {
        assert_eq!(read(&open(&root), &id).expect("reads"), noise(seed, 1000));
    }

    let empty = dir.path().join("empty");
    drop(open(&empty));
    for name in ["index", "stage", "packs", "roots"] {
        fs::remove_dir(empty.join(name)).expect("is empty");
    }
    let id = add(&open(&empty), 20);
    assert_eq!(read(&open(&empty), &id).expect("reads"), noise(20, 1000));
}

/// The index may have been copied after the roots, and then it knows of more than they do. Whoever
/// believed it would append the next root behind a gap that no reader crosses.
#[test]
fn an_index_ahead_of_the_roots_does_not_count() {
    let dir = tempfile::tempdir().expect("a directory");
    let root = dir.path().join("store");
    let store = open(&root);
    let ids: Vec<_> = (0..9).map(|seed| add(&store, seed)).collect();
    let runs = fs::read_dir(root.join("index")).expect("lists").count();
    assert_eq!(runs, 1, "the index was merged");
    let half = dir.path().join("half");
    copy(&root, &half);
    for n in 6..=9 {
        fs::remove_file(half.join(format!("roots/{n:016x}"))).expect("was there");
    }

    let copied = open(&half);
    assert_eq!(copied.cursor().expect("a cursor").seq, 5);
    let more = add(&copied, 100);
    // A reader without the index sees the same as one with it.
    fs::remove_dir_all(half.join("index")).expect("removes");
    for store in [&copied, &open(&half)] {
        assert_eq!(read(store, &more).expect("reads"), noise(100, 1000));
        assert_eq!(read(store, &ids[4]).expect("reads"), noise(4, 1000));
        assert!(matches!(read(store, &ids[5]), Err(Error::NoLob(_))));
    }
}

#[test]
fn an_index_of_another_store_does_not_count() {
    let dir = tempfile::tempdir().expect("a directory");
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    let gone: Vec<_> = (0..9).map(|seed| add(&open(&one), seed)).collect();
    let ids: Vec<_> = (20..29).map(|seed| add(&open(&two), seed)).collect();
    fs::remove_dir_all(two.join("index")).expect("removes");
    copy(&one.join("index"), &two.join("index"));
    let store = open(&two);
    for (seed, id) in (20..).zip(ids) {
        assert_eq!(read(&store, &id).expect("reads"), noise(seed, 1000));
    }
    assert!(matches!(read(&store, &gone[8]), Err(Error::NoLob(_))));
}

#[test]
fn only_the_exact_format_file_makes_a_store() {
    let dir = tempfile::tempdir().expect("a directory");
    let root = dir.path().join("store");
    let id = open(&root).id();
    let written = format!("lob store\nformat 1\nid {id}\n");
    let path = root.join("state/format");
    assert_eq!(fs::read_to_string(&path).expect("reads"), written);
    let opened = |text: &str| {
        fs::write(&path, text).expect("writes");
        Store::open(Arc::new(OsDisk), &root)
    };
    // Lines that a later lob may add do not change what the first three say.
    assert_eq!(
        opened(&format!("{written}hint x\n")).expect("opens").id(),
        id
    );
    let newer = opened("lob store\nformat 2\nwhatever\n").expect_err("refuses");
    assert!(newer.to_string().contains("newer lob"), "{newer}");
    for bad in [
        "",
        "lob store\n",
        &written[1..],
        &written[..written.len() - 2],
        &written.replace("format 1", "format 0"),
        &written.replace("format 1", "format +1"),
        &written.replace("format 1", "format 01"),
        &written.replace("format 1", "format 99999999999"),
        &written.replace('\n', "\r\n"),
        &written.replace("id ", "id  "),
    ] {
        assert!(
            matches!(opened(bad), Err(Error::NotAStore(_))),
            "{bad:?} is refused"
        );
    }
}
