//! The run in docs/format.md is what this program writes, and reads.

use std::sync::Arc;

use super::*;
use crate::disk::{Disk, Map, OsDisk};
use crate::id::{ChunkId, PackId};
use crate::pack::Table;
use crate::roots::Cursor;

/// The bytes of an example of the page.
fn example(name: &str) -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/format.md");
    let page = std::fs::read_to_string(path).expect("reads");
    let start = format!("```text {name}\n");
    let (_, rest) = page.split_once(&start).expect("an example");
    let (text, _) = rest.split_once("\n```").expect("its end");
    let bytes = text
        .lines()
        .flat_map(|line| line.split('#').take(1))
        .flat_map(str::split_whitespace);
    bytes
        .map(|byte| u8::from_str_radix(byte, 16).expect("hexadecimal"))
        .collect()
}

#[test]
fn the_run_of_the_page_is_what_is_written() {
    let (pack, root) = (example("pack"), example("root"));
    let table = pack[pack.len() - 24 - 260..pack.len() - 24].to_vec();
    let table = Table::open(Map::from(table), "table").expect("opens");
    let mut to = Cursor {
        seq: 1,
        hash: [0; 16],
    };
    to.hash
        .copy_from_slice(&root[root.len() - 32..root.len() - 16]);
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join(run_name(0, 1));
    let source = (PackId::of(&pack), Arc::new(table));
    let temporary = dir.path().join("new");
    let gone = Gone::default();
    build(&OsDisk, &temporary, &path, (0, to), &[&source], &gone).expect("writes");
    let written = OsDisk.map(&path).expect("maps");
    assert_eq!(written[..], example("run")[..]);
    let run = Run::open(&OsDisk, &path).expect("opens");
    assert_eq!(run.packs, [PackId::of(&pack)]);
    let chunk = ChunkId::of(b"hello, lob\n").prefix();
    for kind in [Kind::Chunk, Kind::Lob] {
        assert_eq!(run.find(kind, chunk).collect::<Vec<_>>(), [(0, 0)]);
        assert_eq!(run.find(kind, chunk + 1).count(), 0);
    }
}

/// Hashes of lists are compared late, so a reader must expect anything of them; and then they tell.
#[test]
fn no_change_of_a_run_brings_its_reader_down_or_holds() {
    let good = example("run");
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join(run_name(0, 1));
    std::fs::write(&path, &good).expect("writes");
    assert!(Run::open(&OsDisk, &path).expect("opens").holds_all());
    for at in 0..good.len() {
        for value in [1, 0x80, 0xff] {
            let mut bad = good.clone();
            bad[at] ^= value;
            std::fs::write(&path, &bad).expect("writes");
            let Ok(run) = Run::open(&OsDisk, &path) else {
                continue;
            };
            assert!(at >= 80 + 32 + 32, "the header is hashed: byte {at}");
            for prefix in [0, ChunkId::of(b"hello, lob\n").prefix(), u64::MAX] {
                let _ = run.find(Kind::Chunk, prefix).count();
                let _ = run.find(Kind::Lob, prefix).count();
            }
            let holds = [Kind::Chunk, Kind::Lob].map(|kind| run.holds(kind));
            assert_eq!(holds.iter().filter(|holds| **holds).count(), 1);
        }
    }
}

#[test]
fn a_run_of_the_first_version_is_read_and_never_holds() {
    let top = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/format/frozen-v1");
    let dir = std::path::Path::new(top);
    let run = Run::open(&OsDisk, &dir.join("index").join(run_name(0, 9))).expect("opens");
    assert_eq!((run.packs.len(), run.count(Kind::Lob)), (9, 9));
    let lob = crate::id::LobId::of(b"lob number 3\n").prefix();
    assert_eq!(run.find(Kind::Lob, lob).count(), 1);
    assert!(!run.holds(Kind::Chunk) && !run.holds(Kind::Lob));
}
