//! P3, P11: the index is a cache. Whatever happens to it, and to the work on it, hides nothing.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use lob_store::disk::{Disk, SimDisk};
use lob_store::{LobId, Store};

use super::read;
use super::witness::{ROOT, disk};

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

/// Does `work` over and over, each time with another of its changes failing: first each alone, then
/// each with all that follow. Gives the disk and what came of it to `judge`.
fn fail_everywhere(
    before: &SimDisk,
    work: impl Fn(&SimDisk) -> lob_store::Result<()>,
    judge: impl Fn(&SimDisk, &str, lob_store::Result<()>),
) -> usize {
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
    log.len()
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
