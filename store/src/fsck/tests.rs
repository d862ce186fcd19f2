//! What was dropped.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::disk::{Disk, OsDisk};
use crate::id::PackId;
use crate::roots::{self, Cursor, Root};
use crate::store::Store;

use super::*;

/// A store of `count` packs, and their ids in order of arrival.
fn store(dir: &Path, count: u8) -> (Store, Vec<PackId>) {
    let store = Store::create(Arc::new(OsDisk), &dir.join("s")).expect("a store");
    for n in 0..count {
        let mut writer = store.writer().expect("a writer");
        let _ = writer.add(&mut [n; 50].as_slice(), &()).expect("adds");
        writer.finish().expect("publishes");
    }
    let packs = store.view().packs().collect();
    (store, packs)
}

fn drop_pack(store: &Store, pack: PackId) {
    let lock = store.root().join("state/roots.lock");
    let root = Root {
        added: Vec::new(),
        dropped: vec![pack],
    };
    let (dir, start) = (store.root().join("roots"), Cursor::default());
    let all = || panic!("nothing is lost");
    let mut agree = |_| Ok(true);
    let done = roots::append(&OsDisk, &dir, &lock, &start, &root, &all, &mut agree);
    assert!(done.expect("appends").is_some());
}

fn found(store: &Store, progress: &dyn Progress) -> Vec<Finding> {
    let mut found = Vec::new();
    let each = &mut |finding| found.push(finding);
    let _ = examine(Arc::new(OsDisk), store.root(), Depth::Deep, progress, each).expect("examines");
    found
}

#[test]
fn a_dropped_pack_is_a_leftover_while_it_is_there() {
    let dir = tempfile::tempdir().expect("a directory");
    // One pack under the index and one after it.
    let (store, packs) = store(dir.path(), 11);
    for pack in [packs[0], packs[10]] {
        drop_pack(&store, pack);
        let left = Finding::unused(Object::Pack(pack), Remedy::Prune);
        assert_eq!(found(&store, &()), [left]);
        OsDisk.remove(&store.packs().path(&pack)).expect("removes");
        let left = Finding::unused(Object::Table(pack), Remedy::Prune);
        assert_eq!(found(&store, &()), [left]);
        OsDisk
            .remove(&store.packs().table_path(&pack))
            .expect("removes");
        assert_eq!(found(&store, &()), []);
    }
}

/// Somebody drops the last pack and deletes it, as soon as the first bytes were read.
#[test]
fn a_pack_that_is_dropped_meanwhile_is_not_missed() {
    struct Dropper<'a>(&'a Store, PackId, std::sync::Once);
    impl Progress for Dropper<'_> {
        fn bytes(&self, _: u64) {
            self.2.call_once(|| {
                let packs = self.0.packs();
                drop_pack(self.0, self.1);
                OsDisk.remove(&packs.path(&self.1)).expect("removes");
                OsDisk.remove(&packs.table_path(&self.1)).expect("removes");
            });
        }
    }
    let dir = tempfile::tempdir().expect("a directory");
    let (store, packs) = store(dir.path(), 80);
    let dropper = Dropper(&store, packs[79], std::sync::Once::new());
    assert_eq!(found(&store, &dropper), []);
}

/// Of one who was killed while he wrote a file of state.
#[test]
fn a_draft_that_nobody_finishes_is_a_leftover_and_goes_with_a_repair() {
    let dir = tempfile::tempdir().expect("a directory");
    let (store, _) = store(dir.path(), 1);
    let state = store.root().join("state");
    std::fs::create_dir(state.join("users")).expect("makes it");
    let draft = "0123456789abcdef";
    let old = ["ledger", "users/one"].map(|name| format!("{name}.{draft}"));
    let young = "seen.fedcba9876543210";
    let others = ["ledger", "ledger.0123", "seen.lock", "users/one"];
    let age = |days: u64| SystemTime::now() - Duration::from_secs(days * 86_400);
    let names = old.iter().map(|name| (name.as_str(), age(2)));
    let names = names.chain(others.map(|name| (name, age(2))));
    for (name, written) in names.chain([(young, age(0))]) {
        let file = std::fs::File::create(state.join(name)).expect("creates");
        file.set_modified(written).expect("sets its time");
    }
    let left = old.each_ref().map(|name| Path::new("state").join(name));
    let unused = left
        .each_ref()
        .map(|path| Finding::unused(Object::File(path.clone()), Remedy::Delete));
    assert_eq!(found(&store, &()), unused);
    let disk = Arc::new(OsDisk);
    let plan = crate::repair::plan(disk, store.root(), Depth::Quick, None, &()).expect("plans");
    let repaired = plan.run(&()).expect("runs").expect("alone");
    assert!(repaired.failed.is_empty(), "{repaired:?}");
    assert_eq!(found(&store, &()), []);
    for name in others.into_iter().chain([young]) {
        assert!(state.join(name).exists(), "{name}");
    }
}
