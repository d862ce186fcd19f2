//! Stores that the engine wrote, read by the page.

use std::collections::HashSet;
use std::path::Path;

use lob_store::{LobId, Store};

use super::pack::Id;
use super::reader::{By, Reader};
use crate::store::noise;

/// Adds each content in the same writer, or in a writer of its own.
fn add(store: &Store, contents: &[Vec<u8>], each_published: bool) {
    let mut writer = store.writer().unwrap();
    for content in contents {
        let added = writer.add(&mut content.as_slice(), &()).unwrap();
        assert_eq!(added.id, LobId::of(content));
        if each_published {
            writer.publish().unwrap();
        }
    }
    writer.finish().unwrap();
}

/// Reads a store both ways, and fails unless it holds exactly these contents.
fn check(dir: &Path, contents: &[Vec<u8>]) -> Reader {
    let by_tables = Reader::open(dir, By::Tables).unwrap();
    let by_records = Reader::open(dir, By::Records).unwrap();
    assert!(by_tables.contents().eq(by_records.contents()));
    let ids: HashSet<Id> = contents
        .iter()
        .map(|content| *LobId::of(content).as_bytes())
        .collect();
    assert_eq!(by_tables.lobs(), ids);
    for content in contents {
        let id = LobId::of(content);
        let read = by_records.lob(id.as_bytes()).unwrap();
        assert!(read == *content, "{} bytes", content.len());
    }
    by_tables
}

/// Text that compresses, and is different for each number.
fn text(n: usize, len: usize) -> Vec<u8> {
    let lines = (0..).map(|line| format!("line {line} of text {n}\n"));
    let mut text: Vec<u8> = lines.take(len / 8).flat_map(String::into_bytes).collect();
    text.truncate(len);
    text
}

#[test]
fn many_small_lobs_are_read_by_the_page() {
    let dir = tempfile::tempdir().unwrap();
    let store = crate::store::open(dir.path());
    let contents: Vec<_> = (0..300)
        .map(|n| match n % 3 {
            0 => noise(n, 1 + 37 * n as usize),
            1 => text(n as usize, 20_000),
            _ => vec![n as u8; 1 + n as usize],
        })
        .collect();
    add(&store, &contents, false);
    let reader = check(dir.path(), &contents);
    let frames = reader.contents().map(|contents| contents.frames.len());
    assert!(frames.sum::<usize>() < 20, "small lobs share frames");
}

#[test]
fn large_lobs_are_read_by_the_page() {
    let dir = tempfile::tempdir().unwrap();
    let store = crate::store::open(dir.path());
    let old = noise(1, 40 << 20);
    let mut new = old.clone();
    new.splice(9 << 20..9 << 20, noise(2, 5000));
    let zeros = vec![0; (1 << 20) + 1];
    let contents = [old, new, text(1, 3 << 20), zeros, noise(3, 1 << 20)];
    add(&store, &contents, false);
    let reader = check(dir.path(), &contents);
    assert!(reader.contents().count() > 1, "more than one pack");
    let longest = LobId::of(&contents[0]);
    let manifest = store.manifest(&longest).unwrap().unwrap();
    assert!(
        matches!(manifest.parts, lob_store::Parts::Segments(_)),
        "40 MiB make segments"
    );
}

#[test]
fn many_packs_under_a_merged_index_are_read_by_the_page() {
    let dir = tempfile::tempdir().unwrap();
    let store = crate::store::open(dir.path());
    let contents: Vec<_> = (0..25).map(|n| noise(n, 50_000)).collect();
    add(&store, &contents, true);
    let runs = std::fs::read_dir(dir.path().join("index")).unwrap();
    assert!(runs.count() > 0, "the index was merged");
    assert_eq!(check(dir.path(), &contents).contents().count(), 25);
}
