//! P7: prune takes what nobody needs, and nothing else, whoever reads and writes meanwhile.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use lob_store::disk::{OsDisk, SimDisk};
use lob_store::fsck::{Depth, Remedy};
use lob_store::{Error, Fate, LobId, Prune, Store, Swept, Writer};

use super::{noise, open, read};
use crate::format::damage::{ROOT, examine};

/// Everything that is there already is old.
fn begin(store: &Store) -> Prune<'_> {
    let young = SystemTime::now() + Duration::from_secs(1000);
    let prune = store.prune(young).expect("begins");
    prune.expect("nobody else prunes")
}

fn prune(store: &Store, kept: &[LobId]) -> Swept {
    let mut prune = begin(store);
    for id in kept {
        assert!(prune.keep(id).expect("marks"), "{id} is there");
    }
    prune.plan().expect("plans").run(&()).expect("prunes")
}

fn add(writer: &mut Writer<'_>, content: &[u8]) -> LobId {
    writer.add(&mut &*content, &()).expect("adds").id
}

/// Stores contents in packs of about `soft` bytes.
fn store(dir: &Path, contents: &[Vec<u8>], soft: u64) -> Store {
    let store = open(dir);
    let mut writer = store.writer().expect("a writer");
    writer.set_pack_soft(soft);
    let mut unpublished = 0;
    for content in contents {
        add(&mut writer, content);
        unpublished += content.len() as u64;
        if unpublished >= soft {
            writer.publish().expect("publishes");
            unpublished = 0;
        }
    }
    writer.finish().expect("publishes");
    store
}

fn ids<'c>(contents: impl IntoIterator<Item = &'c Vec<u8>>) -> Vec<LobId> {
    contents
        .into_iter()
        .map(|content| LobId::of(content))
        .collect()
}

#[track_caller]
fn assert_held(store: &Store, contents: &[Vec<u8>], held: impl Fn(usize) -> bool) {
    for (n, content) in contents.iter().enumerate() {
        match (read(store, &LobId::of(content)), held(n)) {
            (Ok(bytes), true) => assert!(bytes == *content, "content {n}"),
            (Err(Error::NoLob(_)), false) => {}
            (Ok(_), false) => panic!("content {n} is still there"),
            (Err(error), _) => panic!("content {n}: {error}"),
        }
    }
}

/// At each change that a prune makes the disk says no: the next one leaves nothing that nobody takes.
#[test]
fn p6_a_prune_that_failed_anywhere_is_made_good_by_the_next() {
    let contents: Vec<_> = (0..4).map(|n| noise(n, 500)).collect();
    let kept = ids([&contents[0], &contents[3]]);
    let begun = SimDisk::new();
    let open = |disk: &SimDisk| Store::open_or_create(Arc::new(disk.clone()), Path::new(ROOT));
    for pair in contents.chunks(2) {
        let store = open(&begun).unwrap();
        let mut writer = store.writer().unwrap();
        for content in pair {
            add(&mut writer, content);
        }
        writer.finish().unwrap();
    }
    let mut failed = 0;
    for at in 0.. {
        let disk = begun.killed(begun.changes());
        disk.fail_at(at, ErrorKind::QuotaExceeded);
        let store = open(&disk).unwrap();
        let attempt = || {
            let young = SystemTime::now() + Duration::from_secs(1000);
            let mut prune = store.prune(young)?.expect("nobody else prunes");
            for id in &kept {
                assert!(prune.keep(id)?);
            }
            prune.plan()?.run(&())
        };
        let done = attempt();
        if disk.injected() == 0 {
            break;
        }
        failed += u64::from(done.is_err());
        let store = open(&disk).unwrap();
        prune(&store, &kept);
        assert_held(&store, &contents, |n| n == 0 || n == 3);
        let left = examine(&disk, Depth::Deep).unwrap();
        let left: Vec<_> = left
            .iter()
            .filter(|finding| finding.remedy != Remedy::Prune)
            .collect();
        assert!(left.is_empty(), "after change {at} failed: {left:?}");
    }
    assert!(failed > 5, "only {failed} failed");
}

#[test]
fn p7_space_comes_back_and_all_that_is_kept_stays() {
    let dir = tempfile::tempdir().expect("a directory");
    let contents: Vec<_> = (0..40).map(|n| noise(n, 40_000)).collect();
    let writing = store(dir.path(), &contents, 100_000);
    let reading = open(dir.path());
    let before = writing.stored_bytes().expect("a size");
    let held = |n: usize| n.is_multiple_of(4) || n > 30;
    let kept: Vec<_> = (0..40).filter(|n| held(*n)).map(|n| &contents[n]).collect();
    let live: u64 = kept.iter().map(|content| content.len() as u64).sum();
    let swept = prune(&writing, &ids(kept.clone()));
    let after = writing.stored_bytes().expect("a size");
    assert_eq!(swept.waiting, 0);
    assert!(
        after < live * 4 / 3 + 20_000,
        "{before} became {after} for {live}"
    );
    // Whoever had the store open before finds all that is left, in its new places.
    for store in [&reading, &writing, &open(dir.path())] {
        assert_held(store, &contents, held);
        let mut listed = 0;
        let each = store.each_lob(&mut |_| {
            listed += 1;
            Ok(())
        });
        each.expect("lists");
        assert_eq!(listed, kept.len());
    }
    // What is worth it was done: the next one writes nothing.
    let files = writing.stored_bytes().expect("a size");
    let mut again = begin(&writing);
    for id in ids(kept) {
        again.keep(&id).expect("marks");
    }
    let plan = again.plan().expect("plans");
    assert_eq!(plan.cost().packs, 0);
    plan.run(&()).expect("prunes");
    assert_eq!(writing.stored_bytes().expect("a size"), files);
}

#[test]
fn p7_a_long_lob_goes_and_what_shares_its_chunks_stays() {
    let dir = tempfile::tempdir().expect("a directory");
    let old = noise(1, 20 << 20);
    let mut new = old.clone();
    new.splice(10 << 20..12 << 20, noise(2, 1 << 20));
    let contents = [old, new];
    let store = store(dir.path(), &contents, 2 << 20);
    let before = store.stored_bytes().expect("a size");
    prune(&store, &ids(&contents[1..]));
    assert_held(&store, &contents, |n| n == 1);
    let after = store.stored_bytes().expect("a size");
    assert!(after + (1 << 20) < before, "{before} became {after}");
    prune(&store, &[]);
    assert_held(&open(dir.path()), &contents, |_| false);
    assert_eq!(store.stored_bytes().expect("a size"), 0);
}

#[test]
fn p7_the_plan_says_what_becomes_of_each_lob() {
    let dir = tempfile::tempdir().expect("a directory");
    let contents: Vec<_> = (0..10).map(|n| noise(n, 40_000)).collect();
    let store = store(dir.path(), &contents, 400_000);
    let mut prune = begin(&store);
    // All but one are kept: not worth writing nine anew.
    for id in ids(&contents[1..]) {
        prune.keep(&id).expect("marks");
    }
    let mut others = Vec::new();
    let each = prune.each_other(&mut |lob| {
        others.push(lob.id);
        Ok(())
    });
    each.expect("lists");
    assert_eq!(others, [LobId::of(&contents[0])]);
    let fates = |prune: Prune<'_>| {
        let plan = prune.plan().expect("plans");
        let mut fates = Vec::new();
        let each = plan.each_lob(&mut |lob, fate| {
            fates.push((lob.id, fate));
            Ok(())
        });
        each.map(|()| fates).expect("lists")
    };
    let found = fates(prune);
    assert!(found.contains(&(LobId::of(&contents[0]), Fate::Left)));
    assert_eq!(
        found.iter().filter(|(_, fate)| *fate == Fate::Kept).count(),
        9
    );
    let found = fates(begin(&store));
    assert!(found.iter().all(|(_, fate)| *fate == Fate::Goes));
    let young = store.prune(SystemTime::UNIX_EPOCH).expect("begins");
    let found = fates(young.expect("nobody else prunes"));
    assert_eq!(found.len(), 10);
    assert!(found.iter().all(|(_, fate)| *fate == Fate::Young));
}

#[test]
fn p5_one_prune_at_a_time() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = store(dir.path(), &[], 1);
    let first = begin(&store);
    assert!(store.prune(SystemTime::now()).expect("asks").is_none());
    drop(first);
    drop(begin(&store));
}

/// Whoever publishes, merges, prunes or repacks may be stopped with its locks for as long as it likes.
#[test]
fn p5_a_reader_waits_for_no_lock() {
    let dir = tempfile::tempdir().expect("a directory");
    let contents: Vec<_> = (0..20).map(|n| noise(n, 3000)).collect();
    let _ = prune(&store(dir.path(), &contents, 1), &ids(&contents[1..]));
    let name = |name: &str| dir.path().join("state").join(name);
    let names = [
        "roots.lock",
        "index.lock",
        "prune.lock",
        "stages.lock",
        "lock",
    ];
    let held = names.map(|lock| {
        let file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(name(lock));
        let file = file.expect("opens");
        file.try_lock().expect("nobody else has it");
        file
    });
    let reading = Store::open(Arc::new(OsDisk), dir.path()).expect("opens");
    assert_held(&reading, &contents, |n| n > 0);
    drop(held);
}

#[test]
fn p7_a_writer_brings_back_the_chunks_that_it_relied_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let old = noise(1, 3 << 20);
    let new = [&old[..2 << 20], &noise(2, 100_000)].concat();
    let pruning = store(dir.path(), std::slice::from_ref(&old), 1 << 20);
    let writing = open(dir.path());
    let mut writer = writing.writer().expect("a writer");
    let added = writer.add(&mut new.as_slice(), &()).expect("adds");
    assert!(added.new_bytes < 1 << 20, "most of it was there");
    let swept = prune(&pruning, &[]);
    assert!(swept.waiting > 3 << 20, "the files wait for the writer");
    writer.finish().expect("publishes");
    let contents = [old, new];
    assert_held(&writing, &contents, |n| n == 1);
    assert_held(&open(dir.path()), &contents, |n| n == 1);
    let swept = prune(&pruning, &ids(&contents[1..]));
    assert!(swept.bytes > 3 << 20 && swept.waiting == 0, "{swept:?}");
    assert_held(&open(dir.path()), &contents, |n| n == 1);
}

#[test]
fn p7_a_writer_that_died_relied_on_chunks_too() {
    let dir = tempfile::tempdir().expect("a directory");
    let old = noise(1, 3 << 20);
    let new = [&old[..2 << 20], &noise(2, 100_000)].concat();
    let pruning = store(dir.path(), std::slice::from_ref(&old), 1 << 20);
    let mut writer = pruning.writer().expect("a writer");
    add(&mut writer, &new);
    // Its lock is gone with it, its stage is not.
    drop(writer);
    let swept = prune(&pruning, &[]);
    assert!(swept.waiting > 3 << 20, "the files wait for the stage");
    assert_held(&open(dir.path()), &[old, new], |n| n == 1);
}

#[test]
fn p7_a_lob_that_was_found_again_stays_although_the_plan_has_it_go() {
    let dir = tempfile::tempdir().expect("a directory");
    let contents: Vec<_> = (0..4).map(|n| noise(n, 40_000)).collect();
    let pruning = store(dir.path(), &contents, 1);
    let writing = open(dir.path());
    let mut writer = writing.writer().expect("a writer");
    let file = std::fs::read_dir(dir.path().join("packs")).expect("lists");
    for path in file.map(|entry| entry.expect("an entry").path()) {
        let file = std::fs::File::options().append(true).open(path);
        let old = SystemTime::now() - Duration::from_secs(60);
        file.and_then(|file| file.set_modified(old)).expect("ages");
    }
    let plan = begin(&pruning).plan().expect("plans");
    add(&mut writer, &contents[1]);
    // Whoever adds what is there may end before the prune begins to drop.
    writer.finish().expect("ends");
    plan.run(&()).expect("prunes");
    assert_held(&writing, &contents, |n| n == 1);
    assert_held(&open(dir.path()), &contents, |n| n == 1);
}

#[test]
fn p7_what_is_published_after_the_plan_keeps_what_it_shares() {
    let dir = tempfile::tempdir().expect("a directory");
    let old = noise(1, 3 << 20);
    let new = [&old[..2 << 20], &noise(2, 100_000)].concat();
    let pruning = store(dir.path(), std::slice::from_ref(&old), 1 << 20);
    let plan = begin(&pruning).plan().expect("plans");
    let writing = open(dir.path());
    let mut writer = writing.writer().expect("a writer");
    add(&mut writer, &new);
    writer.finish().expect("publishes");
    plan.run(&()).expect("prunes");
    assert_held(&open(dir.path()), &[old, new], |n| n == 1);
}

#[test]
fn p7_a_lob_of_an_old_view_is_stored_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let contents: Vec<_> = (0..4).map(|n| noise(n, 40_000)).collect();
    let writing = store(dir.path(), &contents, 1);
    prune(&open(dir.path()), &[]);
    let mut writer = writing.writer().expect("a writer");
    add(&mut writer, &contents[1]);
    add(&mut writer, b"something new");
    writer.finish().expect("publishes");
    assert_held(&open(dir.path()), &contents, |n| n == 1);
}

#[test]
fn what_was_dropped_is_forgotten_when_its_files_are_gone() {
    let dir = tempfile::tempdir().expect("a directory");
    let contents: Vec<_> = (0..30).map(|n| noise(n, 4000)).collect();
    let store = store(dir.path(), &contents, 1);
    prune(&store, &ids(&contents[..2]));
    for round in 0..3 {
        for n in 0..20 {
            let mut writer = store.writer().expect("a writer");
            add(&mut writer, &noise(1000 + round * 20 + n, 100));
            writer.finish().expect("publishes");
        }
    }
    let index = dir.path().join("index");
    let runs = || {
        std::fs::read_dir(&index)
            .expect("lists")
            .map(|e| e.expect("an entry").path())
    };
    let dropped = |path| {
        let bytes = std::fs::read(path).expect("reads");
        u32::from_le_bytes(bytes[16..20].try_into().expect("four"))
    };
    assert!(runs().count() > 0);
    assert_eq!(runs().map(dropped).sum::<u32>(), 0);
    assert_held(&open(dir.path()), &contents, |n| n < 2);
    // Without the index, the roots say the same.
    std::fs::remove_dir_all(&index).expect("removes");
    let store = Store::open(Arc::new(OsDisk), dir.path()).expect("opens");
    assert_held(&store, &contents, |n| n < 2);
}

#[test]
fn p7_a_good_copy_stays_when_the_one_that_counts_is_damaged() {
    let dir = tempfile::tempdir().expect("a directory");
    let content = noise(1, 40_000);
    let stores = [open(dir.path()), open(dir.path())];
    let mut writers = stores
        .each_ref()
        .map(|store| store.writer().expect("a writer"));
    let packs = dir.path().join("packs");
    let list = || -> Vec<_> {
        let entries = std::fs::read_dir(&packs).expect("lists");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        paths
            .filter(|path| path.extension().is_some_and(|e| e == "pack"))
            .collect()
    };
    // Two writers at once store the same twice.
    for writer in &mut writers {
        add(writer, &content);
    }
    let [one, two] = writers;
    one.finish().expect("publishes");
    let first = list();
    two.finish().expect("publishes");
    let newest = list().into_iter().find(|path| !first.contains(path));
    let newest = newest.expect("a second pack");
    let mut bytes = std::fs::read(&newest).expect("reads");
    bytes[1000] ^= 1;
    std::fs::write(&newest, bytes).expect("writes");
    let store = open(dir.path());
    prune(&store, &[LobId::of(&content)]);
    assert!(read(&open(dir.path()), &LobId::of(&content)).expect("reads") == content);
}
