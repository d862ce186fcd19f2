//! The examples in docs/format.md are what the engine writes, and say what the page says.

use std::fs;
use std::path::Path;

use lob_store::{ChunkId, LobId, Manifest, Parts, Segment};

use super::builder::{Pack, leave_in_stage, store};
use super::pack::{hash, records, table_of};
use super::reader::{By, Reader};
use super::{open, read_by_engine};
use crate::store::noise;

const HELLO: &[u8] = b"hello, lob\n";

/// A block of the page, by the name behind its language.
fn block(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/format.md");
    let page = fs::read_to_string(path).unwrap();
    let (_, rest) = page.split_once(&format!("```text {name}\n")).unwrap();
    rest.split_once("\n```").unwrap().0.to_owned()
}

/// The bytes of an example.
fn example(name: &str) -> Vec<u8> {
    let text = block(name);
    let bytes = text
        .lines()
        .flat_map(|line| line.split('#').next().unwrap().split_whitespace());
    bytes
        .map(|byte| u8::from_str_radix(byte, 16).unwrap())
        .collect()
}

/// Puts another closing hash where a changed one was.
fn close(bytes: &mut [u8]) {
    let at = bytes.len() - 32;
    let closing = hash(&bytes[..at]);
    bytes[at..].copy_from_slice(&closing);
}

#[test]
fn the_engine_writes_the_pack_and_the_root_of_the_page() {
    let dir = tempfile::tempdir().unwrap();
    let store = crate::store::open(dir.path());
    let mut writer = store.writer().unwrap();
    writer.add(&mut &*HELLO, &()).unwrap();
    writer.finish().unwrap();
    let find = |extension| {
        let files = fs::read_dir(dir.path().join("packs")).unwrap();
        let mut paths = files.map(|entry| entry.unwrap().path());
        let path = paths.find(|path| path.extension() == Some(extension));
        fs::read(path.unwrap()).unwrap()
    };
    let (pack, table) = (find("pack".as_ref()), find("idx".as_ref()));
    let expected = example("pack");

    // The nonce is random, and all else follows.
    let nonce = &expected[16..32];
    let at = pack.len() - 24 - table.len();
    let mut fixed = pack.clone();
    fixed[16..32].copy_from_slice(nonce);
    fixed[at + 16..at + 32].copy_from_slice(nonce);
    close(&mut fixed[at..at + table.len()]);
    assert_eq!(fixed, expected);
    assert_eq!(table_of(&pack).unwrap(), table);
    let id = hash(&expected);
    let name: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/format.md"));
    assert!(page.unwrap().contains(&name), "the page tells the id");

    let mut root = fs::read(dir.path().join(format!("roots/{:016x}", 1))).unwrap();
    let at = root.windows(32).position(|bytes| bytes == hash(&pack));
    root[at.unwrap()..][..32].copy_from_slice(&id);
    close(&mut root);
    assert_eq!(root, example("root"));
}

#[test]
fn the_pack_and_the_root_of_the_page_make_a_store() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), &[]);
    let pack = example("pack");
    let name = LobId::of(&pack);
    let packs = dir.path().join("packs");
    fs::write(packs.join(format!("{name}.pack")), &pack).unwrap();
    fs::write(packs.join(format!("{name}.idx")), table_of(&pack).unwrap()).unwrap();
    let root = dir.path().join(format!("roots/{:016x}", 1));
    fs::write(root, example("root")).unwrap();
    let engine = open(dir.path()).unwrap();
    assert_eq!(read_by_engine(&engine, &hash(HELLO)).unwrap(), HELLO);
    let reader = Reader::open(dir.path(), By::Tables).unwrap();
    assert_eq!(reader.lob(&hash(HELLO)).unwrap(), HELLO);
}

/// The records of the page, in the stage of a writer that is gone, are what both readers make of
/// them.
#[test]
fn the_records_of_the_page_hold() {
    let text = HELLO.repeat(20);
    let mut edited = text.clone();
    edited.splice(100..100, *b"an edit\n");
    let mut pack = Pack::new([1; 16]);
    for name in ["aliases", "zstd-frame", "delta-frame"] {
        pack.bytes.extend(example(name));
    }
    for content in [&text, &edited] {
        pack.lob_of(&[content]);
    }
    let contents = records(&pack.bytes).unwrap();
    assert_eq!(contents.frames[1].bases, [hash(&text)]);
    assert_eq!((contents.frames[0].raw, contents.frames[1].raw), (220, 228));
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), &[]);
    leave_in_stage(dir.path(), &pack.bytes);
    let engine = open(dir.path()).unwrap();
    let reader = Reader::open(dir.path(), By::Tables).unwrap();
    for content in [&text, &edited] {
        let id = hash(content);
        assert_eq!(&read_by_engine(&engine, &id).unwrap(), content);
        assert_eq!(&reader.lob(&id).unwrap(), content);
    }
}

#[test]
fn the_manifest_of_the_page_is_that_of_the_engine() {
    let segment = |n: u8, items, bytes| Segment {
        id: ChunkId::of(&[n]),
        items,
        bytes,
    };
    let manifest = Manifest {
        id: LobId::of(b"a long lob"),
        size: 10_000_000,
        parts: Parts::Segments(vec![segment(1, 100, 6_000_000), segment(2, 65, 4_000_000)]),
    };
    assert_eq!(manifest.encode(), example("segments"));
    assert_eq!(Manifest::decode(&example("segments")).unwrap(), manifest);
    let groups = Manifest {
        id: LobId::of(b"a very long lob"),
        size: 4_000_000_000,
        parts: Parts::Groups(vec![segment(3, 300, 4_000_000_000)]),
    };
    assert_eq!(groups.encode(), example("groups"));
    assert_eq!(Manifest::decode(&example("groups")).unwrap(), groups);
}

#[test]
fn the_aliases_of_the_page_are_hashes_of_the_lob() {
    use sha2::Digest as _;
    let record = example("aliases");
    let (sha2, sha1) = record[32..].split_at(72);
    assert_eq!(sha1[..20], sha1::Sha1::digest(HELLO)[..]);
    assert_eq!(sha1[20..32], [0; 12]);
    assert_eq!(sha2[..32], sha2::Sha256::digest(HELLO)[..]);
    for (item, algorithm) in [(sha1, 1), (sha2, 2)] {
        assert_eq!(item[32..64], hash(HELLO));
        assert_eq!(item[64..], [algorithm, 0, 0, 0, 0, 0, 0, 0]);
    }
}

/// The chunks of a lob as the page cuts them, with the table of the page.
fn cut(gear: &[u64], content: &[u8]) -> Vec<usize> {
    let ends = |piece: &[u8]| {
        let last = piece.last_chunk::<64>().unwrap();
        let hash = last.iter().fold(0u64, |hash, &byte| {
            (hash << 1).wrapping_add(gear[usize::from(byte)])
        });
        hash & 0xfffe_0000_0000_0000 == 0
    };
    let mut lengths = Vec::new();
    let mut rest = content;
    while !rest.is_empty() {
        let most = rest.len().min(262_144);
        let first = (32_769..most).find(|&len| ends(&rest[..len]));
        lengths.push(first.unwrap_or(most));
        rest = &rest[first.unwrap_or(most)..];
    }
    lengths
}

#[test]
fn the_engine_cuts_where_the_page_says() {
    let gear: Vec<_> = block("gear")
        .split_whitespace()
        .map(|word| u64::from_str_radix(word, 16).unwrap())
        .collect();
    assert_eq!(gear.len(), 256);
    let bytes: Vec<u8> = gear.iter().flat_map(|n| n.to_le_bytes()).collect();
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/format.md"));
    let told = LobId::of(&bytes).to_string();
    assert!(page.unwrap().contains(&told), "the table hashes to {told}");

    let content = noise(1, 1 << 20);
    let pinned: Vec<usize> = block("cuts")
        .split_whitespace()
        .map(|length| length.parse().unwrap())
        .collect();
    assert_eq!(cut(&gear, &content), pinned);
    let zeros = vec![0; 600_000];
    let text = HELLO.repeat(60_000);
    for content in [&content, &zeros, &text, &content[..32_769].to_vec()] {
        assert_eq!(lob_store::cut(content), cut(&gear, content));
    }
}
