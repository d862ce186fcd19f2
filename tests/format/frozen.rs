//! A store of version 1 that was written once and stays readable for ever: `frozen-v1/`.
//!
//! Small lobs, each in a pack of its own, and an index over them; a lob of several chunks and one of
//! segments; then a pack made by hand, with delta frames on a chunk of the engine's and aliases.
//! Nobody writes it again: when this test fails, it is the readers that are wrong.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lob_store::disk::OsDisk;
use lob_store::fsck::{self, Depth, Object};
use lob_store::{LobId, Parts};

use super::pack::{Id, hash};
use super::reader::{By, Reader};
use super::{open, read_by_engine};

const CHUNK: usize = 256 << 10;
/// A number in a chunk of zeros that makes the id of the chunk end a segment.
const ENDS_SEGMENT: u32 = 47;

fn text(edits: usize) -> Vec<u8> {
    let lines = (0..80).map(|n| format!("line {n} of a text that compresses\n"));
    let mut lines: Vec<_> = lines.collect();
    for edit in 0..edits {
        lines.insert(20 * (edit + 1), format!("edit {edit}\n"));
    }
    lines.concat().into_bytes()
}

/// A chunk of the greatest length: zeros, after a number.
fn grain(number: u32) -> Vec<u8> {
    let mut chunk = number.to_le_bytes().to_vec();
    chunk.resize(CHUNK, 0);
    chunk
}

/// What the store holds.
fn contents() -> Vec<Vec<u8>> {
    let mut all: Vec<_> = (0..9)
        .map(|n| format!("lob number {n}\n").into_bytes())
        .collect();
    all.push([grain(1), grain(2), b"the end\n".to_vec()].concat());
    let zeros = |count: usize| vec![0; count * CHUNK];
    all.push([zeros(66), grain(ENDS_SEGMENT), zeros(3)].concat());
    all.extend((0..3).map(text));
    all
}

fn frozen() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/format/frozen-v1")
}

/// A copy, so that a writer that should not be does no harm.
fn thawed() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in ["state", "packs", "roots", "index"] {
        fs::create_dir(dir.path().join(name)).unwrap();
        for entry in fs::read_dir(frozen().join(name)).unwrap() {
            let entry = entry.unwrap();
            let to = dir.path().join(name).join(entry.file_name());
            fs::copy(entry.path(), to).unwrap();
        }
    }
    dir
}

#[test]
fn the_frozen_store_is_read_by_the_page() {
    let ids: HashSet<Id> = contents().iter().map(|content| hash(content)).collect();
    for by in [By::Tables, By::Records] {
        let reader = Reader::open(&frozen(), by).unwrap();
        assert_eq!(reader.lobs(), ids);
        for content in contents() {
            assert!(reader.lob(&hash(&content)).unwrap() == content);
        }
        let bases = reader.contents().flat_map(|contents| &contents.frames);
        assert_eq!(bases.filter(|frame| frame.codec == 2).count(), 2);
    }
}

#[test]
fn the_frozen_store_is_read_by_the_engine() {
    let whole = thawed();
    let without_index = thawed();
    fs::remove_dir_all(without_index.path().join("index")).unwrap();
    let without_tables = thawed();
    for entry in fs::read_dir(without_tables.path().join("packs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension() == Some("idx".as_ref()) {
            fs::remove_file(path).unwrap();
        }
    }
    for dir in [&whole, &without_index, &without_tables] {
        let store = open(dir.path()).unwrap();
        let mut ids = HashSet::new();
        store
            .each_lob(&mut |lob| {
                ids.insert(*lob.id.as_bytes());
                Ok(())
            })
            .unwrap();
        assert_eq!(ids.len(), contents().len());
        for content in contents() {
            let id = hash(&content);
            assert!(ids.contains(&id));
            assert!(read_by_engine(&store, &id).unwrap() == content);
        }
    }
    let store = open(whole.path()).unwrap();
    let long = store.manifest(&LobId::of(&contents()[10])).unwrap();
    let segments = match long.unwrap().parts {
        Parts::Segments(segments) => segments,
        other => panic!("{other:?}"),
    };
    let listed: Vec<_> = segments.iter().map(|segment| segment.items).collect();
    assert_eq!(listed, [67, 3]);
    // It can be written to as well, and what is there is recognised.
    let mut writer = store.writer().unwrap();
    let again = writer.add(&mut contents()[10].as_slice(), &()).unwrap();
    assert_eq!(again.new_bytes, 0);
    writer.finish().unwrap();
    assert_eq!(store.cursor().unwrap().seq, 11);
    let mut writer = store.writer().unwrap();
    let added = writer.add(&mut text(4).as_slice(), &()).unwrap();
    writer.finish().unwrap();
    assert!(read_by_engine(&store, added.id.as_bytes()).unwrap() == text(4));
}

/// Its run is of a version in which nothing told whether the entries are as they were written.
#[test]
fn p3_a_changed_byte_of_the_frozen_run_hides_nothing() {
    let dir = thawed();
    let path = dir
        .path()
        .join("index/0000000000000000-0000000000000009.run");
    let whole = fs::read(&path).unwrap();
    let contents = contents();
    for at in 0..whole.len() {
        let mut bad = whole.clone();
        bad[at] ^= 1 << (at % 8);
        fs::write(&path, &bad).unwrap();
        let store = open(dir.path()).unwrap();
        for content in &contents[..9] {
            assert!(read_by_engine(&store, &hash(content)).unwrap() == *content);
        }
    }
}

/// The run of version 2 over the same store: written from its tables, and read in place of its own.
#[test]
fn the_frozen_run_of_version_2_is_written_and_read() {
    let dir = thawed();
    let index = dir.path().join("index");
    let run = index.join("0000000000000000-000000000000000b.run");
    let frozen = fs::read(frozen().with_file_name("frozen-v2.run")).unwrap();
    // Who misses something looks whether the index holds, and that of version 1 never does.
    let missing = LobId::of(b"never added");
    let store = open(dir.path()).unwrap();
    assert_eq!(store.lob(&missing).unwrap(), None);
    assert_eq!(fs::read(&run).unwrap(), frozen);
    assert_eq!(fs::read_dir(&index).unwrap().count(), 1);
    let written = fs::metadata(&run).unwrap().modified().unwrap();
    let store = open(dir.path()).unwrap();
    for content in contents() {
        assert!(read_by_engine(&store, &hash(&content)).unwrap() == content);
    }
    assert_eq!(store.lob(&missing).unwrap(), None);
    let after = fs::metadata(&run).unwrap().modified().unwrap();
    assert_eq!(after, written, "it holds");
}

/// Its run has no hashes, so that only the tables can tell what should be in it.
#[test]
fn p11_the_frozen_store_is_examined() {
    let dir = thawed();
    let found = || {
        let mut found = Vec::new();
        let each = &mut |finding| found.push(finding);
        fsck::examine(Arc::new(OsDisk), dir.path(), Depth::Deep, &(), each).unwrap();
        found
    };
    assert_eq!(found(), []);
    let path = dir
        .path()
        .join("index/0000000000000000-0000000000000009.run");
    let whole = fs::read(&path).unwrap();
    let lists = 80 + 9 * 32 + 32;
    for at in (lists..lists + 9 * 16).step_by(5) {
        let mut bad = whole.clone();
        bad[at] ^= 1 << (at % 8);
        fs::write(&path, &bad).unwrap();
        assert!(matches!(found().as_slice(), [f] if f.object == Object::Run(0, 9)));
    }
}
