//! P7: what a prune sets aside comes back where somebody asks for it in time, and what is damaged
//! makes nothing go that may belong to it.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use lob_store::{Error, LobId, Store, Swept};

use super::{noise, open, read};

const DAY: Duration = Duration::from_secs(86_400);

/// Prunes all but `kept`, however young, and sets it aside where there is a grace.
fn prune(store: &Store, kept: &[LobId], grace: Option<Duration>) -> Swept {
    let young = SystemTime::now() + Duration::from_secs(1000);
    let prune = store.prune(young).expect("begins");
    let mut prune = prune.expect("nobody else prunes");
    if let Some(grace) = grace {
        prune.set_aside(grace);
    }
    for id in kept {
        assert!(prune.keep(id).expect("marks"), "{id} is there");
    }
    prune.plan().expect("plans").run(&()).expect("prunes")
}

fn add(store: &Store, content: &[u8]) -> LobId {
    let mut writer = store.writer().expect("a writer");
    let added = writer.add(&mut &*content, &()).expect("adds");
    writer.finish().expect("publishes");
    added.id
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir.join("packs")).expect("lists");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .filter(|path| path.extension().is_some_and(|e| e == "pack"))
        .collect()
}

#[test]
fn p7_what_is_set_aside_comes_back_and_goes_when_its_time_has_come() {
    let dir = tempfile::tempdir().expect("a directory");
    let contents = [noise(1, 3 << 20), noise(2, 200_000), noise(3, 5000)];
    let store = open(dir.path());
    let ids = contents.each_ref().map(|content| add(&store, content));
    let swept = prune(&store, &[], Some(DAY));
    assert!(swept.aside > 3 << 20 && swept.bytes == 0, "{swept:?}");
    let other = open(dir.path());
    assert!(matches!(read(&other, &ids[0]), Err(Error::NoLob(_))));
    let unknown = LobId::of(b"unknown");
    assert_eq!(other.bring_back(&[ids[0], unknown]).expect("brings"), 1);
    assert!(read(&store, &ids[0]).expect("reads") == contents[0]);
    // Twice is once.
    assert_eq!(other.bring_back(&ids[..1]).expect("brings"), 0);
    // Who sets nothing aside leaves alone what others did.
    let swept = prune(&store, &ids[..1], None);
    assert!(swept.aside > 3 << 20, "{swept:?}");
    assert_eq!(store.bring_back(&ids[1..2]).expect("brings"), 1);
    let swept = prune(&store, &ids[..2], Some(Duration::ZERO));
    assert!(swept.bytes > 3 << 20 && swept.aside == 0, "{swept:?}");
    assert_eq!(store.bring_back(&ids[2..]).expect("brings"), 0);
    for n in [0, 1] {
        assert!(read(&open(dir.path()), &ids[n]).expect("reads") == contents[n]);
    }
    assert!(!dir.path().join("state/aside").exists());
}

#[test]
fn p7_without_its_list_everything_that_was_dropped_is_set_aside_anew() {
    let dir = tempfile::tempdir().expect("a directory");
    let content = noise(1, 100_000);
    let store = open(dir.path());
    let id = add(&store, &content);
    prune(&store, &[], Some(DAY));
    let list = dir.path().join("state/aside");
    let whole = std::fs::read_to_string(&list).expect("reads");
    std::fs::write(&list, whole.replace(' ', "  ")).expect("writes");
    prune(&store, &[], None);
    assert_eq!(store.bring_back(&[id]).expect("brings"), 1);
    assert!(read(&store, &id).expect("reads") == content);
}

#[test]
fn p7_what_a_damaged_lob_may_need_stays() {
    let dir = tempfile::tempdir().expect("a directory");
    let contents = [noise(1, 3 << 20), noise(2, 3 << 20), noise(3, 1 << 20)];
    let store = open(dir.path());
    let dead = add(&store, &contents[1]);
    let kept = add(&store, &contents[2]);
    // A lob whose chunks are in one pack, and its name in another.
    let manifest = {
        let mut writer = store.writer().expect("a writer");
        writer.add(&mut &contents[0][..], &()).expect("adds");
        writer.finish().expect("publishes");
        let id = LobId::of(&contents[0]);
        store.manifest(&id).expect("reads").expect("is there")
    };
    let first = manifest.named_chunks()[0].0;
    let (path, good) = files(dir.path())
        .into_iter()
        .find_map(|path| {
            let bytes = std::fs::read(&path).expect("reads");
            let id = first.as_bytes();
            let places: Vec<_> = (0..bytes.len() - 32)
                .filter(|at| bytes[*at..].starts_with(id))
                .collect();
            // In the head of its frame, in the manifest, in the table.
            let [_, at, _] = *places else { return None };
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            std::fs::write(&path, bad).expect("writes");
            Some((path, bytes))
        })
        .expect("one pack has it");
    let store = open(dir.path());
    let young = SystemTime::now() + Duration::from_secs(1000);
    let mut prune = store.prune(young).expect("begins").expect("alone");
    for id in [manifest.id, kept] {
        assert!(prune.keep(&id).expect("goes on"));
    }
    let damaged: Vec<_> = prune.damaged().iter().map(|(id, _)| *id).collect();
    assert_eq!(damaged, [manifest.id]);
    let swept = prune.plan().expect("plans").run(&()).expect("prunes");
    assert!(swept.bytes > 3 << 20, "{swept:?}");
    assert_eq!(store.lob(&dead).expect("looks"), None);
    assert!(read(&store, &kept).expect("reads") == contents[2]);
    std::fs::write(path, good).expect("mends");
    assert!(read(&open(dir.path()), &manifest.id).expect("reads") == contents[0]);
}

#[test]
fn p7_a_pack_that_cannot_be_read_stays_and_the_rest_goes() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    // In one frame with others that go.
    let mut writer = store.writer().expect("a writer");
    let small: Vec<_> = (0..50).map(|n| noise(n, 9000)).collect();
    for content in &small {
        writer.add(&mut &content[..], &()).expect("adds");
    }
    writer.finish().expect("publishes");
    let path = files(dir.path()).remove(0);
    let kept = LobId::of(&small[7]);
    let dead = add(&store, &noise(100, 1 << 20));
    let mut bytes = std::fs::read(&path).expect("reads");
    let at = bytes.windows(100).position(|part| *part == small[7][..100]);
    bytes[at.expect("is stored as it is") + 50] ^= 1;
    std::fs::write(&path, bytes).expect("writes");
    let swept = prune(&open(dir.path()), &[kept], None);
    assert_eq!(swept.unreadable, 1);
    assert!(swept.bytes > 1 << 20 && path.exists(), "{swept:?}");
    let store = open(dir.path());
    assert_eq!(store.lob(&dead).expect("looks"), None);
    assert!(matches!(read(&store, &kept), Err(Error::Damaged { .. })));
    assert!(read(&store, &LobId::of(&small[8])).expect("reads") == small[8]);
}
