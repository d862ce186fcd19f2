//! What a later lob may have written, and what nobody should have.

use std::fs;

use lob_store::Error;

use super::builder::{Frame, Pack, alias, leave_in_stage, list_item, listed, root, store};
use super::pack::{Id, hash};
use super::reader::{By, Reader};
use super::{open, read_by_engine};
use crate::store::noise;

/// A pack of one lob among optional records and sections.
fn with_optional_pieces(content: &[u8]) -> Pack {
    let mut pack = Pack::new([1; 16]);
    let id = hash(content);
    let aliases = [
        alias(&[3; 20], &id, 1),
        alias(&[3; 32], &id, 2),
        alias(&[4; 9], &id, 9),
    ]
    .concat();
    pack.record([0x83, 0, 0, 0], 0, &[], &aliases);
    pack.frame(&Frame::raw(&[content]));
    // Not even the meaning of the header is known, but its length is.
    pack.record([0xff, 77, 200, 3], 2, &[9; 2 * 36 + 3 * 32], b"whatever");
    pack.lob_of(&[content]);
    pack.record([0x80, 0, 0, 0], 0, &[], &[]);
    pack.section(b"ALIA", 1, &aliases);
    pack.section(b"\0\xff\x1b ", 0xffff_fff1, b"odd");
    pack
}

#[test]
fn unknown_optional_pieces_are_passed_over() {
    let content = noise(1, 5000);
    let pack = with_optional_pieces(&content);
    let id = hash(&content);
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), &[&pack]);
    assert!(read_by_engine(&open(dir.path()).unwrap(), &id).unwrap() == content);
    for by in [By::Tables, By::Records] {
        let reader = Reader::open(dir.path(), by).unwrap();
        assert!(reader.lob(&id).unwrap() == content);
    }

    let staged = tempfile::tempdir().unwrap();
    store(staged.path(), &[]);
    let stage = leave_in_stage(staged.path(), &pack.bytes);
    assert!(read_by_engine(&open(staged.path()).unwrap(), &id).unwrap() == content);
    assert!(!stage.exists(), "the stage was taken over");
}

/// lob cuts segments by its rule; a reader knows no rule.
#[test]
fn segments_of_any_length_are_read() {
    let parts: Vec<_> = (1..6).map(|n| noise(n, 700 * n as usize)).collect();
    let content = parts.concat();
    let id = hash(&content);
    let twice = [content.as_slice(), &content].concat();
    let mut pack = Pack::new([1; 16]);
    let chunks: Vec<_> = parts.iter().map(Vec::as_slice).collect();
    pack.frame(&Frame::raw(&chunks));
    let mut segments = Vec::new();
    for some in [&chunks[..2], &chunks[2..3], &chunks[3..]] {
        let items = listed(some).into_iter();
        let list = items.map(|(id, len)| [id.as_slice(), &len.to_le_bytes()].concat());
        let list = list.collect::<Vec<_>>().concat();
        pack.frame(&Frame::raw(&[&list]));
        let bytes = some.iter().map(|part| part.len() as u64).sum();
        segments.push((hash(&list), some.len() as u32, bytes));
    }
    pack.lob_of_lists(id, 1, &segments);
    let list: Vec<u8> = segments.iter().flat_map(list_item).collect();
    pack.frame(&Frame::raw(&[&list]));
    let group = (hash(&list), 3, content.len() as u64);
    pack.lob_of_lists(hash(&twice), 2, &[group, group]);
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), &[&pack]);
    let engine = open(dir.path()).unwrap();
    let reader = Reader::open(dir.path(), By::Tables).unwrap();
    for content in [content, twice] {
        let id = hash(&content);
        assert!(read_by_engine(&engine, &id).unwrap() == content);
        assert!(reader.lob(&id).unwrap() == content);
    }
}

#[test]
fn unknown_critical_pieces_say_that_a_newer_lob_is_needed() {
    let content = noise(1, 5000);
    let plain = || {
        let mut pack = Pack::new([1; 16]);
        pack.frame(&Frame::raw(&[&content])).lob_of(&[&content]);
        pack
    };
    let mut section = plain();
    section.section(b"CRIT", 2, b"");
    let mut codec = Pack::new([1; 16]);
    let later = Frame {
        codec: 3,
        ..Frame::raw(&[&content])
    };
    codec.frame(&later).lob_of(&[&content]);
    for (pack, says) in [(&section, "section CRIT"), (&codec, "codec 3")] {
        let dir = tempfile::tempdir().unwrap();
        store(dir.path(), &[pack]);
        let said = open(dir.path()).unwrap_err();
        assert!(matches!(said, Error::Later { .. }), "{said:?}");
        let said = said.to_string();
        assert!(
            said.contains(says) && said.contains("install a newer lob") && said.contains(".idx"),
            "{said}"
        );
        let reader = Reader::open(dir.path(), By::Tables).map(drop);
        assert!(reader.unwrap_err().contains("newer lob"), "{says}");
    }

    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), &[&plain()]);
    let first = dir.path().join(format!("roots/{:016x}", 1));
    let hash_of_first = fs::read(&first).unwrap();
    let before = hash_of_first[hash_of_first.len() - 32..][..16].try_into();
    let mut later = root(2, &before.unwrap(), &[]);
    later[8] = 2;
    let body = later.len() - 32;
    let closing = hash(&later[..body]);
    later[body..].copy_from_slice(&closing);
    fs::write(dir.path().join(format!("roots/{:016x}", 2)), later).unwrap();
    let said = open(dir.path()).unwrap_err().to_string();
    assert!(
        said.contains("version 2") && said.contains("newer lob"),
        "{said}"
    );
}

/// What a later lob had staged when it was killed is for a later lob to take in; what this one
/// understands of it can be had at once.
#[test]
fn a_stage_of_a_later_lob_stays() {
    let (old, new) = (noise(1, 5000), noise(2, 5000));
    let mut pack = Pack::new([1; 16]);
    pack.frame(&Frame::raw(&[&old])).lob_of(&[&old]);
    pack.record([3, 0, 0, 0], 0, &[], b"critical");
    pack.frame(&Frame::raw(&[&new])).lob_of(&[&new]);
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), &[]);
    let stage = leave_in_stage(dir.path(), &pack.bytes);
    let mut packs = Vec::new();
    for _ in 0..3 {
        let store = open(dir.path()).unwrap();
        assert!(read_by_engine(&store, &hash(&old)).unwrap() == old);
        let said = read_by_engine(&store, &hash(&new)).map(drop);
        assert!(matches!(said, Err(Error::NoLob(_))), "{said:?}");
        assert!(stage.join("00000001.pack").exists());
        packs.push(fs::read_dir(dir.path().join("packs")).unwrap().count());
    }
    assert!(
        packs[0] > 0 && packs[1..] == [packs[0]; 2],
        "taken in once: {packs:?}"
    );
}

/// A manifest that does not hold gives nothing a name, and keeps nobody from opening the store.
#[test]
fn a_stage_with_false_manifests_is_taken_over_without_them() {
    let (one, two) = (noise(1, 5000), noise(2, 5000));
    let whole = [one.as_slice(), &two].concat();
    let lies: [(Id, Vec<(Id, u32)>); 4] = [
        (hash(b"something else"), listed(&[&one, &two])),
        (hash(&whole), listed(&[&two, &one])),
        (hash(&whole), vec![(hash(&one), 4999), (hash(&two), 5001)]),
        (hash(&two), vec![(hash(&two), 4000)]),
    ];
    for (n, (id, chunks)) in lies.into_iter().enumerate() {
        let mut pack = Pack::new([1; 16]);
        pack.frame(&Frame::raw(&[&one, &two]));
        pack.lob(id, &chunks).lob_of(&[&one]);
        let dir = tempfile::tempdir().unwrap();
        store(dir.path(), &[]);
        let stage = leave_in_stage(dir.path(), &pack.bytes);
        let store = open(dir.path()).unwrap();
        let said = read_by_engine(&store, &id).map(drop);
        assert!(matches!(said, Err(Error::NoLob(_))), "lie {n}: {said:?}");
        assert!(read_by_engine(&store, &hash(&one)).unwrap() == one);
        assert!(!stage.exists(), "lie {n}");
        // The true content can be added as if nobody had lied.
        let mut writer = store.writer().unwrap();
        for content in [&two, &whole] {
            writer.add(&mut content.as_slice(), &()).unwrap();
        }
        writer.finish().unwrap();
        for content in [&two, &whole] {
            assert!(read_by_engine(&store, &hash(content)).unwrap() == *content);
        }
    }
}
