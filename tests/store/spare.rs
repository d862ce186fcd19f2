//! P3: what two packs hold is read from either, where the other is damaged or lost.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use lob_store::{ChunkId, LobId, Store, Writer};

use super::{noise, open, read};

/// A lob of some chunks, and a small one.
pub fn contents() -> [Vec<u8>; 2] {
    [noise(1, 400_000), noise(2, 3000)]
}

/// A store with two packs that hold the same: their writers did not see each other.
pub fn store(dir: &Path) -> Vec<PathBuf> {
    let stores = [open(dir), open(dir)];
    let fill = |store| {
        let mut writer = Store::writer(store).expect("a writer");
        for content in contents() {
            writer.add(&mut content.as_slice(), &()).expect("adds");
        }
        writer
    };
    let writers: Vec<Writer<'_>> = stores.iter().map(fill).collect();
    for writer in writers {
        writer.finish().expect("publishes");
    }
    let entries = fs::read_dir(dir.join("packs")).expect("lists");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut packs: Vec<_> = paths
        .filter(|path| path.extension() == Some("pack".as_ref()))
        .collect();
    packs.sort();
    assert_eq!(packs.len(), 2);
    packs
}

/// Where `bytes` are in a file.
pub fn find(file: &[u8], bytes: &[u8]) -> usize {
    let mut windows = file.windows(bytes.len());
    windows
        .position(|window| window == bytes)
        .expect("is there")
}

/// All ways to read from a store give the contents; `what` was done to it.
#[track_caller]
fn assert_readable(dir: &Path, what: &str) {
    let from = open(dir);
    let other = tempfile::tempdir().expect("a directory");
    let to = open(other.path());
    let mut writer = to.writer().expect("a writer");
    for content in contents() {
        let id = LobId::of(&content);
        let whole = read(&from, &id).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert!(whole == content, "{what}");
        let range = from.read_range(&id, 100, 2000);
        assert_eq!(range.expect(what), content[100..2100]);
        let manifest = from.manifest(&id).expect(what).expect(what);
        let chunks = manifest.named_chunks();
        // One alone, and all together.
        let ids: Vec<ChunkId> = chunks.iter().map(|(id, _)| *id).collect();
        for ids in [&ids[..1], &ids] {
            from.each_frame(ids, &HashSet::new(), &mut |frame| writer.add_frame(frame))
                .and_then(|()| writer.sync())
                .unwrap_or_else(|e| panic!("{what}: {e}"));
        }
        writer.add_manifest(&manifest).expect(what);
    }
    writer.finish().expect(what);
    for content in contents() {
        assert!(read(&to, &LobId::of(&content)).expect(what) == content);
    }
}

#[test]
fn p3_of_two_copies_the_good_one_is_read() {
    let dir = tempfile::tempdir().expect("a directory");
    let packs = store(dir.path());
    let [long, small] = contents();
    assert_readable(dir.path(), "nothing");
    for path in &packs {
        let whole = fs::read(path).expect("reads");
        let table = path.with_extension("idx");
        let table_bytes = fs::read(&table).expect("reads");
        let manifest = find(&whole, LobId::of(&long).as_bytes());
        // A byte of the content, of a record before it, and of a manifest; and all of it.
        let first = find(&whole, &long[..100]);
        let places = [
            ("a chunk", first),
            ("another chunk", find(&whole, &long[350_000..350_100])),
            ("a small lob", find(&whole, &small[..100])),
            ("a record", first - 40),
            ("a manifest", manifest),
        ];
        for (what, at) in places {
            let mut bad = whole.clone();
            bad[at] ^= 1;
            fs::write(path, &bad).expect("writes");
            assert_readable(dir.path(), what);
        }
        fs::write(path, &whole[..first]).expect("writes");
        assert_readable(dir.path(), "cut off");
        fs::write(path, vec![0; whole.len()]).expect("writes");
        assert_readable(dir.path(), "zeros");
        fs::remove_file(path).expect("removes");
        assert_readable(dir.path(), "lost");
        fs::remove_file(&table).expect("removes");
        assert_readable(dir.path(), "lost with its table");
        fs::write(path, &whole).expect("writes");
        fs::write(&table, &table_bytes).expect("writes");
    }
}

/// Each pack has lost something else, and no pack is whole.
#[test]
fn p3_what_is_left_of_two_copies_is_put_together() {
    let dir = tempfile::tempdir().expect("a directory");
    let packs = store(dir.path());
    let [long, _] = contents();
    for (path, at) in packs.iter().zip([0, 350_000]) {
        let mut bytes = fs::read(path).expect("reads");
        let place = find(&bytes, &long[at..at + 100]);
        bytes[place] ^= 1;
        fs::write(path, &bytes).expect("writes");
    }
    assert_readable(dir.path(), "both");
}
