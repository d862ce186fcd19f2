//! P3, P6, P11: roots that are lost or damaged hide nothing, and the next writer makes them whole.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lob_store::disk::SimDisk;
use lob_store::{Error, LobId, Store};

use super::{open, read};

const ROOTS: u64 = 6;

fn content(n: u64) -> Vec<u8> {
    format!("content number {n}").into_bytes()
}

fn add(store: &Store, content: &[u8]) {
    let mut writer = store.writer().expect("a writer");
    writer.add(&mut &*content, &()).expect("adds");
    writer.finish().expect("publishes");
}

/// A store of `count` roots, with a lob in each.
fn store(dir: &Path, count: u64) -> Store {
    let store = open(dir);
    (1..=count).for_each(|n| add(&store, &content(n)));
    store
}

fn root(dir: &Path, seq: u64) -> PathBuf {
    dir.join(format!("roots/{seq:016x}"))
}

#[track_caller]
fn assert_whole(store: &Store, lobs: impl Iterator<Item = u64>) {
    let mut listed = Vec::new();
    let each = store.each_lob(&mut |lob| {
        listed.push(lob.id);
        Ok(())
    });
    each.expect("lists");
    listed.sort();
    let mut ids = Vec::new();
    for n in lobs {
        let id = LobId::of(&content(n));
        assert_eq!(read(store, &id).expect("reads"), content(n));
        ids.push(id);
    }
    ids.sort();
    assert_eq!(listed, ids);
}

/// What is done to a file, in words and in fact.
type Damage = (&'static str, Box<dyn Fn()>);

/// Everything that can happen to root `seq`.
fn damages(dir: &Path, seq: u64) -> Vec<Damage> {
    let path = root(dir, seq);
    let other = root(dir, if seq == 1 { 2 } else { seq - 1 });
    let edit = |how: fn(&mut Vec<u8>)| {
        let path = path.clone();
        move || {
            let mut bytes = fs::read(&path).expect("reads");
            how(&mut bytes);
            fs::write(&path, bytes).expect("writes");
        }
    };
    let (gone, swapped) = (path.clone(), path.clone());
    vec![
        ("flipped", Box::new(edit(|bytes| bytes[50] ^= 1))),
        ("cut", Box::new(edit(|bytes| bytes.truncate(40)))),
        ("emptied", Box::new(edit(Vec::clear))),
        ("extended", Box::new(edit(|bytes| bytes.push(0)))),
        (
            "lost",
            Box::new(move || fs::remove_file(&gone).expect("removes")),
        ),
        (
            "swapped",
            Box::new(move || {
                let (one, two) = (fs::read(&swapped), fs::read(&other));
                fs::write(&other, one.expect("reads")).expect("writes");
                fs::write(&swapped, two.expect("reads")).expect("writes");
            }),
        ),
    ]
}

#[test]
fn p3_p6_a_root_that_is_lost_or_damaged_hides_nothing_and_is_mended() {
    for seq in 1..=ROOTS {
        for which in 0..6 {
            let dir = tempfile::tempdir().expect("a directory");
            let old = store(dir.path(), ROOTS);
            let (name, damage) = &damages(dir.path(), seq)[which];
            damage();
            // That the last one is lost cannot be seen without comparing all packs with the roots.
            let hidden = *name == "lost" && seq == ROOTS;
            let visible = || (1..=ROOTS).filter(move |n| !hidden || *n != seq);
            let store = open(dir.path());
            assert_eq!(store.broken_roots().is_some(), !hidden, "{name} {seq}");
            assert_whole(&store, visible());
            add(&store, &content(100));
            assert_eq!(store.broken_roots(), None, "{name} {seq}");
            let store = open(dir.path());
            assert_eq!(store.broken_roots(), None, "{name} {seq}");
            assert_whole(&store, visible().chain([100]));
            let seq = store.cursor().expect("a cursor").seq;
            assert_eq!(seq, if hidden { ROOTS } else { ROOTS + 1 }, "{name}");
            // Whoever had the old chain open goes over to the new one.
            add(&store, &content(101));
            assert!(old.refresh().expect("refreshes"));
            assert_whole(&old, visible().chain([100, 101]));
        }
    }
}

#[test]
fn p6_all_roots_lost_at_once_are_mended_too() {
    let dir = tempfile::tempdir().expect("a directory");
    drop(store(dir.path(), ROOTS));
    fs::remove_dir_all(dir.path().join("roots")).expect("removes");
    let store = open(dir.path());
    assert!(store.broken_roots().is_some());
    assert_whole(&store, 1..=ROOTS);
    add(&store, &content(100));
    let store = open(dir.path());
    assert_eq!(store.broken_roots(), None);
    assert_whole(&store, (1..=ROOTS).chain([100]));
}

#[test]
fn p6_many_roots_lost_in_a_row_are_noticed() {
    let dir = tempfile::tempdir().expect("a directory");
    drop(store(dir.path(), 40));
    for seq in 3..=20 {
        fs::remove_file(root(dir.path(), seq)).expect("removes");
    }
    fs::remove_dir_all(dir.path().join("index")).expect("removes");
    let store = open(dir.path());
    assert!(store.broken_roots().is_some());
    assert_whole(&store, 1..=40);
    add(&store, &content(100));
    let store = open(dir.path());
    assert_eq!(store.broken_roots(), None);
    assert_whole(&store, (1..=40).chain([100]));
    assert_eq!(store.cursor().expect("a cursor").seq, 41);
}

/// The disk takes new roots and does not give them back: whoever publishes is told, and soon.
#[test]
fn p5_roots_that_can_never_be_read_keep_nobody_busy() {
    let disk = SimDisk::new();
    let open = || Store::open_or_create(Arc::new(disk.clone()), Path::new("/store"));
    let store = open().unwrap();
    (1..=ROOTS).for_each(|n| add(&store, &content(n)));
    let mut writer = store.writer().unwrap();
    writer.add(&mut content(100).as_slice(), &()).unwrap();
    disk.fail_opens(|path| path.starts_with("/store/roots"));
    let changes = disk.changes();
    let error = writer.finish().unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains("roots"), "{error}");
    assert!(disk.injected() > 0 && disk.changes() - changes < 200);
    disk.fail_opens(|_| false);
    let store = open().unwrap();
    add(&store, &content(100));
    assert_whole(&open().unwrap(), (1..=ROOTS).chain([100]));
}

#[test]
fn a_file_of_an_absurd_number_is_no_root() {
    let dir = tempfile::tempdir().expect("a directory");
    drop(store(dir.path(), 3));
    fs::write(root(dir.path(), u64::MAX), b"x").expect("writes");
    fs::write(root(dir.path(), 2), b"damaged").expect("writes");
    add(&open(dir.path()), &content(100));
    let store = open(dir.path());
    assert_eq!(store.broken_roots(), None);
    assert_whole(&store, (1..=3).chain([100]));
}

/// It would take the writing of a root for each number before it.
#[test]
fn p9_a_stray_far_behind_the_roots_costs_the_next_writer_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    drop(store(dir.path(), 3));
    fs::copy(root(dir.path(), 3), root(dir.path(), 3 + 65536)).expect("copies");
    let store = open(dir.path());
    assert!(store.broken_roots().is_some());
    assert_whole(&store, 1..=3);
    add(&store, &content(100));
    let store = open(dir.path());
    assert_eq!(store.broken_roots(), None);
    assert_whole(&store, (1..=3).chain([100]));
    assert_eq!(store.cursor().expect("a cursor").seq, 4);
    let names = fs::read_dir(dir.path().join("roots")).expect("lists");
    assert_eq!(names.count(), 5, "and nothing was deleted");
}

/// Roots are counted from 1. Whoever mends must not take it for the last of them.
#[test]
fn p5_a_file_with_the_number_0_keeps_no_writer_from_mending() {
    let dir = tempfile::tempdir().expect("a directory");
    drop(store(dir.path(), 3));
    fs::copy(root(dir.path(), 1), root(dir.path(), 0)).expect("copies");
    fs::remove_file(root(dir.path(), 2)).expect("removes");
    let mended = open(dir.path());
    assert!(mended.broken_roots().is_some());
    add(&mended, &content(4));
    let mended = open(dir.path());
    assert_eq!(mended.broken_roots(), None);
    assert_whole(&mended, 1..=4);
}

/// What an index covers need not be read again, until somebody writes the roots anew.
#[test]
fn p6_roots_under_an_index_are_mended_while_a_store_is_open() {
    let dir = tempfile::tempdir().expect("a directory");
    let old = store(dir.path(), 12);
    for seq in 1..=12 {
        let path = root(dir.path(), seq);
        let mut bytes = fs::read(&path).expect("reads");
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(&path, bytes).expect("writes");
    }
    let opened = open(dir.path());
    assert!(opened.broken_roots().is_some());
    add(&opened, &content(13));
    assert_eq!(opened.broken_roots(), None);
    // Nor does who had it open before break them again.
    add(&old, &content(14));
    for store in [&opened, &old, &open(dir.path())] {
        assert_whole(store, 1..=14);
        assert_eq!(store.broken_roots(), None);
    }
}
