//! P3, P11: the index is a cache. Whatever happens to it, and to the work on it, hides nothing.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lob_store::disk::{Disk, SimDisk};
use lob_store::{LobId, Store};

use super::witness::{ROOT, disk};
use super::{open, read};

/// Publications after which the index is merged.
const MERGED: u64 = 9;

fn content(n: u64) -> Vec<u8> {
    format!("content number {n}").into_bytes()
}

fn add(store: &Store, n: u64) {
    let mut writer = store.writer().expect("a writer");
    writer.add(&mut content(n).as_slice(), &()).expect("adds");
    writer.finish().expect("publishes");
}

#[track_caller]
fn assert_holds(store: &Store, count: u64) {
    let mut listed = 0;
    let each = store.each_lob(&mut |_| {
        listed += 1;
        Ok(())
    });
    each.expect("lists");
    assert_eq!(listed, count);
    for n in 0..count {
        let id = LobId::of(&content(n));
        assert!(store.lob(&id).expect("looks").is_some(), "lob {n}");
        assert_eq!(read(store, &id).expect("reads"), content(n));
    }
    let never = LobId::of(b"never added");
    assert_eq!(store.lob(&never).expect("looks"), None);
}

fn run(dir: &Path) -> PathBuf {
    let entries = fs::read_dir(dir.join("index")).expect("lists");
    let mut paths = entries.map(|entry| entry.expect("an entry").path());
    let path = paths.next().expect("a run");
    assert!(paths.next().is_none(), "only one run");
    path
}

#[test]
fn p3_a_changed_byte_of_a_run_hides_nothing_and_is_mended() {
    let dir = tempfile::tempdir().expect("a directory");
    (0..MERGED).for_each(|n| add(&open(dir.path()), n));
    let path = run(dir.path());
    let whole = fs::read(&path).expect("reads");
    let mut mended = 0;
    for at in 0..whole.len() {
        let mut bad = whole.clone();
        bad[at] ^= 1 << (at % 8);
        fs::write(&path, &bad).expect("writes");
        assert_holds(&open(dir.path()), MERGED);
        mended += usize::from(fs::read(run(dir.path())).expect("reads") == whole);
        fs::write(&path, &whole).expect("writes");
    }
    assert!(mended > 9 * 16, "{mended} times");
}

#[test]
fn p3_a_damaged_run_is_not_merged_into_the_next() {
    let dir = tempfile::tempdir().expect("a directory");
    (0..MERGED).for_each(|n| add(&open(dir.path()), n));
    let path = run(dir.path());
    let mut bytes = fs::read(&path).expect("reads");
    // In every entry the last byte of the first 8 of the id: all else makes sense.
    let entries = 16 * MERGED as usize;
    let chunks = 80 + 32 * MERGED as usize + 32;
    let lobs = chunks + entries + 8 + 32;
    for start in [chunks, lobs] {
        let list = bytes[start..start + entries].chunks_exact_mut(16);
        list.for_each(|entry| entry[0] ^= 1);
    }
    fs::write(&path, &bytes).expect("writes");
    // Nobody who adds has a need of what is there.
    (MERGED..2 * MERGED).for_each(|n| add(&open(dir.path()), n));
    assert_ne!(run(dir.path()), path, "it was merged again");
    assert_holds(&open(dir.path()), 2 * MERGED);
}

/// Does `work` over and over, each time with another of its changes failing, and gives the disk and
/// what came of it to `judge`.
fn fail_everywhere(
    before: &SimDisk,
    work: impl Fn(&SimDisk) -> lob_store::Result<()>,
    judge: impl Fn(&SimDisk, &str, lob_store::Result<()>),
) {
    let whole = before.killed(before.changes());
    work(&whole).expect("works where nothing fails");
    let log = whole.log();
    for (at, change) in log.iter().enumerate() {
        let disk = before.killed(before.changes());
        disk.fail_at(at, ErrorKind::StorageFull);
        let done = work(&disk);
        assert_eq!(disk.injected(), 1, "{change}");
        judge(&disk, change, done);
    }
}

#[test]
fn a_merge_that_fails_is_no_matter() {
    let sim = disk();
    let open = |disk: &SimDisk| Store::open_or_create(Arc::new(disk.clone()), Path::new(ROOT));
    (0..MERGED - 1).for_each(|n| add(&open(&sim).expect("opens"), n));
    let index = Path::new(ROOT).join("index");
    let work = |disk: &SimDisk| {
        let store = open(disk)?;
        let mut writer = store.writer()?;
        writer.add(&mut content(MERGED - 1).as_slice(), &())?;
        writer.finish()
    };
    let failed = std::cell::Cell::new(0);
    fail_everywhere(&sim, work, |disk, change, done| {
        if change.contains("/index/") || change.ends_with("/index") {
            failed.set(failed.get() + 1);
            done.unwrap_or_else(|e| panic!("{change}: {e}"));
            let left = disk.list(&index).expect("lists");
            assert!(left.iter().all(|entry| entry.name != "new"), "{change}");
            assert_holds(&open(disk).expect("opens"), MERGED);
        }
    });
    assert!(failed.get() >= 4, "create, append, sync, rename, sync");
}
